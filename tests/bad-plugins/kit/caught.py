# SPDX-License-Identifier: Apache-2.0
"""The kit must find the one fault of a bad plugin, by the check that is for it, and find nothing else.

usage: caught.py KIT PLUGIN CHECK PLUGIN-PATH    CHECK '': the plugin has no fault. Run by meson.
"""
import json
import subprocess
import sys


def main():
    kit, plugin, check, path = sys.argv[1:]
    done = subprocess.run([kit, "--json", "--plugin-path", path, plugin], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"the kit gives {done.returncode}: {done.stderr}")
    report = json.loads(done.stdout)
    failed = {c["name"]: c["reason"] for c in report["checks"] if c["result"] == "failed"}
    for name, reason in failed.items():
        print(f"{name}: {reason}")
    assert report["failed"] == len(failed) and done.returncode == (1 if failed else 0), report
    assert all(c["reason"] for c in report["checks"] if c["result"] != "ok"), "a verdict without a reason"
    if set(failed) != ({check} if check else set()):
        sys.exit(f"{sorted(failed)} failed, and {check or 'nothing'} should have")
    # By its own name the check finds the same, so that a report can be acted upon.
    if check:
        alone = subprocess.run([kit, "--check", check, "--plugin-path", path, plugin], capture_output=True, text=True)
        assert alone.returncode == 1 and f"FAILED   {check}" in alone.stdout, alone.stdout


main()

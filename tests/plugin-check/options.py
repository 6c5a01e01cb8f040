# SPDX-License-Identifier: Apache-2.0
"""Options, exit codes and reports of flamenco-plugin-check.

usage: options.py KIT PLUGIN    PLUGIN: one without faults that provides flamenco.clock/1. Prints TAP. Run by meson.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

kit, plugin = sys.argv[1:]
number = failed = 0


def run(*args):
    return subprocess.run([kit, *args], capture_output=True, text=True)


def result(good, name, about=None):
    global number, failed
    number += 1
    failed += not good
    print("ok" if good else "not ok", number, name)
    if not good and about is not None:
        print("#", about.returncode, repr(about.stdout[-500:]), repr(about.stderr[-500:]))


done = run()
result(done.returncode == 2 and "usage:" in done.stderr, "no file is wrong usage", done)
done = run("--nonsense", plugin)
result(done.returncode == 2, "an unknown option is wrong usage", done)
done = run("--help")
result(done.returncode == 0 and "--plugin-path" in done.stdout, "--help", done)
done = run("--version")
result(done.returncode == 0 and "ABI" in done.stdout, "--version", done)
done = run(plugin + ".missing")
result(done.returncode == 2 and "No such file" in done.stderr, "a file that is not there", done)
done = run(__file__)
result(done.returncode == 2 and "cannot be loaded" in done.stderr, "a file that is no shared object", done)
done = run("--service", "persistence", plugin)
result(done.returncode == 2 and "does not provide persistence" in done.stderr, "a service that it does not provide", done)

done = run("--list")
names = [line.split()[0] for line in done.stdout.splitlines()]
result(done.returncode == 0 and "persistence.kill" in names and len(names) == len(set(names)), "--list names all", done)
done = run("--list", plugin)
mine = [line.split()[0] for line in done.stdout.splitlines()]
result("symbols.exports" in mine and "persistence.kill" not in mine and set(mine) < set(names), "--list of a plugin", done)
done = run("--list", "--service", "clock", plugin)
result(all(line.startswith("clock.") for line in done.stdout.splitlines()), "--list of a service", done)

done = run("--check", "symbols.exports", plugin)
result(done.returncode == 0 and "1 passed, 0 failed, 0 skipped" in done.stdout, "--check of one", done)
done = run("--check", "descriptor.*", plugin)
result(done.returncode == 0 and done.stdout.count("\nok ") >= 5, "--check of several", done)
done = run("--json", "--check", "symbols.*", plugin)
report = json.loads(done.stdout)
result(report["passed"] + report["skipped"] == len(report["checks"]) == 3 and report["failed"] == 0, "--json", done)
result(all(c["proves"] and c["reference"] and c["seconds"] >= 0 for c in report["checks"]), "JSON tells what is proved", done)

with tempfile.TemporaryDirectory() as folder:
    config = pathlib.Path(folder, "config.yaml")
    config.write_text("sett: {}\n")
    done = run("--config", str(config), plugin)
    result(done.returncode == 2 and "unknown key" in done.stderr, "a misspelt key of the configuration", done)
    config.write_text("settings: {colour: red}\n")
    done = run("--config", str(config), plugin)
    result(done.returncode == 2 and "colour" in done.stderr, "a setting that the plugin does not have", done)
    config.write_text("settings: [\n")
    done = run("--config", str(config), plugin)
    result(done.returncode == 2 and "config.yaml" in done.stderr, "a configuration that is not YAML", done)
    config.write_text(f"setup: ['echo \"{{run}}\" >> {folder}/runs', 'test -d {{dir}}']\nteardown: 'echo end >> {folder}/runs'\n")
    done = run("--config", str(config), "--check", "lifecycle.*", plugin)
    lines = pathlib.Path(folder, "runs").read_text().splitlines()
    begun = [line for line in lines if line != "end"]
    result(done.returncode == 0 and len(begun) == len(set(begun)) == lines.count("end") > 3,
           "commands run around each check, with a word of its own", done)
    config.write_text("setup: 'echo no storage; false'\n")
    done = run("--config", str(config), "--check", "lifecycle.start", plugin)
    result(done.returncode == 1 and "no storage" in done.stdout, "a command that fails is told", done)

print(f"1..{number}")
sys.exit(failed > 0)

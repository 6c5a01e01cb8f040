# SPDX-License-Identifier: Apache-2.0
"""A plugin built with the headers of an older ABI minor is loaded by today's manager, started, told events, and stopped.

usage: frozen.py MANAGER MANAGER-YAML PLUGIN    Prints TAP. Run by meson.
"""
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

LIMIT_S = 60


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    manager, shipped, plugin = (str(pathlib.Path(a).resolve()) for a in sys.argv[1:])
    number = failed = 0

    def result(good, text, why=""):
        nonlocal number, failed
        number += 1
        failed += not good
        print("ok" if good else "not ok", number, text)
        for line in why.splitlines() if not good else []:
            print("#", line)

    with tempfile.TemporaryDirectory() as work:
        entry = f"    - {{name: old, file: '{plugin}', settings: {{greeting: hello}}}}"
        text = re.sub(r"^  event_forwarder:$", rf"\g<0>\n{entry}", pathlib.Path(shipped).read_text(), count=1, flags=re.MULTILINE)
        pathlib.Path(work, "manager.yaml").write_text(text)
        pathlib.Path(work, "flamenco-manager.yaml").write_text(
            f"_meta: {{version: 3}}\nlisten: 127.0.0.1:{free_port()}\nlocal_manager_storage_path: {work}/storage\n")
        command = [manager, "--config", "manager.yaml"]
        run = subprocess.run([*command, "--list-plugins"], cwd=work, capture_output=True, text=True, timeout=LIMIT_S,
                             check=False)
        listed = re.search(r"^event_forwarder\s+old\s+1\.0\s", run.stdout, re.MULTILINE)
        result(run.returncode == 0 and listed is not None, "it is listed", run.stdout + run.stderr)

        child = subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        guard = threading.Timer(LIMIT_S, child.kill)
        guard.start()
        lines, told = [], False
        for line in child.stdout:
            lines.append(line)
            if "frozen saw" in line and not told:  # the event of the manager's own start
                told = True  # it sees another event at the stop, and a second signal would cut that short
                child.send_signal(signal.SIGTERM)
        code = child.wait()
        guard.cancel()
        log = "".join(lines)
        for words in ("frozen says hello", "frozen saw", "frozen is flushed", "frozen has ended"):
            result(words in log, words, log)
        result(code == 0, "the manager stops cleanly", f"exit code {code}\n{log}")
    print(f"1..{number}")
    sys.exit(failed > 0)


main()

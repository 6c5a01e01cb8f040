# SPDX-License-Identifier: Apache-2.0
"""Each plugin exports flamenco_plugin_query and nothing else (design rule 21), and is linked to system libraries alone.

usage: symbols.py NM READELF FOLDER    FOLDER is searched for *.so. Prints TAP. Run by meson.
"""
import pathlib
import re
import subprocess
import sys

# What a plugin may be linked to; beside these its own third-party libraries, which must be known here. Nothing of ours.
COMMON = {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"}
SANITIZERS = re.compile(r"lib(asan|ubsan|tsan|lsan)\.so")
OWN = {
    "broadcaster-socketio": {"libjansson.so.4"},
    "clock-manual": {"libjansson.so.4"},
    "event-recorder": {"libjansson.so.4"},
    "last-rendered": {"libjpeg.so.62", "libjpeg.so.8", "libpng16.so.16"},
    "persist-postgres": {"libpq.so.5"},
    "persist-sqlite": {"libsqlite3.so.0"},
    "shaman": {"libcrypto.so.3"},
    "compiler-js": {"libcrypto.so.3"},
    "webapp": {"libz.so.1"},
}


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main():
    nm, readelf, folder = sys.argv[1:]
    number = failed = 0

    def result(good, text, why=""):
        nonlocal number, failed
        number += 1
        failed += not good
        print("ok" if good else "not ok", number, text)
        if not good:
            print("#", why)

    for path in sorted(pathlib.Path(folder).rglob("*.so")):
        exported = {line.split()[-1] for line in output_of(nm, "-D", "--defined-only", str(path)).splitlines()}
        result(exported == {"flamenco_plugin_query"}, f"{path.stem} exports one symbol", f"it exports {sorted(exported)}")
        needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", output_of(readelf, "-d", "--wide", str(path))))
        foreign = {n for n in needed if not SANITIZERS.match(n)} - COMMON - OWN.get(path.stem, set())
        result(not foreign, f"{path.stem} is linked to what it may be", f"also to {sorted(foreign)}")
    result(number > 0, "there are plugins", f"none in {folder}")
    print(f"1..{number}")
    sys.exit(failed > 0)


main()

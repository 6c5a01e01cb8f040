#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs unit tests again and again, each time with another allocation failing (alloc_fail.c, preloaded). A test may fail then,
since it does not get what it expects. What must not happen: the code under test ends the process by a signal, or never ends.

usage: units.py BUILD [--paths] [--tries N | --every] [--jobs N] [NAME...]

  --paths    only the first allocation of each path to one: the latest callers, without those in libraries
  --tries N  so many allocations of each program, evenly spread (8)
  --every    all of them; with --paths half an hour, without it days
  --jobs N   programs at one time (2)
  NAME       parts of the names of tests; without any, those of all suites of SUITES
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SUITES = {"base", "config", "api", "persist-sqlite", "reference", "state-machine", "scheduler-priority", "scheduler-fair",
          "log-storage", "local-storage", "farm-status", "sleep-scheduler", "events-mqtt"}
# A program of threads that wait for each other, and those that look at other things than memory, for minutes.
LEFT_OUT = {"persist-threads", "sleep-scheduler-window"}
HANGS_AFTER = 120  # seconds
ROOT = Path(__file__).resolve().parents[2]
FRAME = re.compile(r"^(.*)\(([^()+]*)\+(0x[0-9a-f]+)\)\[0x[0-9a-f]+\]$")


def tests_of(build, names):
    """(name, command, environment) of the unit tests that are wanted."""
    listed = json.loads(subprocess.run(["meson", "introspect", "--tests", str(build)], check=True, capture_output=True).stdout)
    for test in listed:
        suites = {s.split(":")[-1] for s in test["suite"]}
        named = any(name in test["name"] for name in names) if names else suites & SUITES and test["name"] not in LEFT_OUT
        if named and test["protocol"] == "tap":
            yield test["name"], test["cmd"], test["env"]


class Program:
    def __init__(self, build, name, command, env):
        self.name, self.command = name, command
        self.env = {**os.environ, **env, "LD_PRELOAD": str(build / "tests" / "allocations" / "alloc-fail.so")}
        self.scratch = tempfile.TemporaryDirectory(prefix="allocations-")
        self.counts = Path(self.scratch.name) / "counts"
        # What a test leaves behind, since it could not end as it should, goes with it.
        self.env.update(ALLOC_FAIL_COUNT=str(self.counts), TMPDIR=self.scratch.name)

    def run(self, at):
        """Lets allocation number `at` fail. Gives what must not be, or None."""
        try:
            done = subprocess.run(self.command, env={**self.env, "ALLOC_FAIL_AT": str(at)}, capture_output=True, text=True,
                                  errors="replace", timeout=HANGS_AFTER, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return f"it is not over after {HANGS_AFTER} s"
        if "ALLOC_FAIL: ended by a signal" not in done.stderr:
            return f"exit code {done.returncode}" if done.returncode < 0 else None
        frames = [f for line in done.stderr.split("ALLOC_FAIL: ended by a signal", 1)[1].splitlines() if (f := place(line))]
        # The first frame of ours tells whose fault it is: a test may use what it did not get.
        return None if frames and frames[0].startswith("tests/") else "ended by a signal: " + " < ".join(frames[:6])

    def count(self):
        done = subprocess.run(self.command, env=self.env, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{self.name} fails when all allocations succeed:\n{done.stdout.decode()[-2000:]}")
        return int(self.counts.read_text().split()[0])

    def first_of_each_path(self):
        found = Path(self.scratch.name) / "paths"
        subprocess.run(self.command, env={**self.env, "ALLOC_FAIL_PATHS": str(found)}, capture_output=True, stdin=subprocess.DEVNULL,
                       check=True)
        return sorted(int(line) for line in found.read_text().split())


def place(line):
    """file:line of a frame in our sources, or None."""
    match = FRAME.match(line)
    if not match or match[2] or not os.path.exists(match[1]) or match[1].endswith("alloc-fail.so"):
        return None
    # The address is that of the instruction behind the call.
    out = subprocess.run(["addr2line", "-e", match[1], hex(int(match[3], 16) - 1)], capture_output=True, text=True, check=False)
    path = out.stdout.split(" ")[0].strip()
    if path.startswith("?"):
        return None
    file, _, number = path.rpartition(":")
    file = os.path.relpath(os.path.realpath(os.path.join(os.path.dirname(match[1]), file) if not file.startswith("/") else file), ROOT)
    return None if file.startswith("..") or "cmocka" in file else f"{file}:{number}"


def sweep(build, test, options):
    program = Program(build, *test)
    total = program.count()
    among = program.first_of_each_path() if options.paths else range(1, total + 1)
    n = len(among) if options.every else min(options.tries, len(among))
    wanted = [among[k * len(among) // n] for k in range(n)]
    wrong = []
    for at in wanted:
        found = program.run(at)
        if found:
            wrong.append(f"allocation {at}: {found}")
    return program.name, total, len(among) if options.paths else None, len(wanted), wrong


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--tries", type=int, default=8)
    parser.add_argument("--paths", action="store_true")
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    tests = list(tests_of(options.build, options.names))
    failed = made = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, total, paths, n, wrong in pool.map(lambda t: sweep(options.build.resolve(), t, options), tests):
            print(f"{'FAILED' if wrong else 'ok':6} {name}: {n} of {total} allocations failed one by one"
                  f"{'' if paths is None else f', of {paths} paths'}", flush=True)
            for text in wrong:
                print(f"       {text}", flush=True)
            failed += bool(wrong)
            made += n
    print(f"{len(tests)} programs, {made} runs, {failed} with findings")
    return 1 if failed or not tests else 0


sys.exit(main())

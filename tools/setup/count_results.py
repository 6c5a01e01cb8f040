# SPDX-License-Identifier: Apache-2.0
"""Prints "passed failed" of test results. Skipped tests count as neither. Called by test.sh.

usage: count_results.py meson TESTLOG.JSON    each case of a TAP test counts, other tests count as one
       count_results.py junit FILE.XML        as pytest writes it

A file that is missing or broken counts as one failure, as does a test that fails in spite of its cases: one that crashes at
its end, leaks, or takes too long.
"""
import json
import re
import sys
import xml.etree.ElementTree as tree

CASE = re.compile(r"^(not )?ok\b(?!.*# *SKIP)", re.MULTILINE | re.IGNORECASE)


def count_meson(path):
    passed = failed = 0
    with open(path, encoding="utf-8") as file:
        tests = [json.loads(line) for line in file]
    for test in tests:
        cases = [bool(match[1]) for match in CASE.finditer(test.get("stdout") or "")]
        bad = test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")
        passed += cases.count(False) if cases else test["result"] == "OK"
        failed += max(cases.count(True), bad)
    if not tests:
        raise ValueError("no test was run")
    return passed, failed


def count_junit(path):
    passed = failed = 0
    for case in tree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        failed += bool(kinds & {"failure", "error"})
        passed += not kinds & {"failure", "error", "skipped"}
    return passed, failed


def main():
    kind, path = sys.argv[1:]
    try:
        counts = count_meson(path) if kind == "meson" else count_junit(path)
    except (OSError, ValueError, tree.ParseError) as problem:
        print(f"{path}: {problem}", file=sys.stderr)
        counts = (0, 1)
    print(*counts)


main()

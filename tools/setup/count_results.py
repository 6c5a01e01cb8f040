# SPDX-License-Identifier: Apache-2.0
"""Prints "passed failed" of test results. Skipped tests count as neither. Called by test.sh.

usage: count_results.py meson TESTLOG.JSON FAILURES    each case of a TAP test counts, other tests count as one
       count_results.py junit FILE.XML FAILURES        as pytest writes it

A file that is missing or broken counts as one failure, as does a test that fails in spite of its cases: one that crashes at
its end, leaks, or takes too long. What failed is appended to the file FAILURES, each with the end of what it said: a log of
all tests is long, and often only its end is kept.
"""
import json
import re
import sys
import xml.etree.ElementTree as tree

CASE = re.compile(r"^(not )?ok\b(?!.*# *SKIP)", re.MULTILINE | re.IGNORECASE)
LAST_LINES = 25


def tell(failures, name, text):
    lines = text.rstrip().splitlines()
    print(f"FAILED {name}", *(f"    {line}" for line in lines[-LAST_LINES:]), sep="\n", file=failures)


def count_meson(path, failures):
    passed = failed = 0
    with open(path, encoding="utf-8") as file:
        tests = [json.loads(line) for line in file]
    for test in tests:
        cases = [bool(match[1]) for match in CASE.finditer(test.get("stdout") or "")]
        bad = test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")
        passed += cases.count(False) if cases else test["result"] == "OK"
        failed += max(cases.count(True), bad)
        if bad:
            tell(failures, f"{test['name']} ({test['result']})", (test.get("stdout") or "") + (test.get("stderr") or ""))
    if not tests:
        raise ValueError("no test was run")
    return passed, failed


def count_junit(path, failures):
    passed = failed = 0
    for case in tree.parse(path).getroot().iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error")]
        failed += bool(bad)
        passed += not bad and case.find("skipped") is None
        for child in bad:
            tell(failures, f"{case.get('classname')}.{case.get('name')} ({child.tag})", child.text or child.get("message") or "")
    return passed, failed


def main():
    kind, path, failures_path = sys.argv[1:]
    try:
        with open(failures_path, "a", encoding="utf-8") as failures:
            counts = count_meson(path, failures) if kind == "meson" else count_junit(path, failures)
    except (OSError, ValueError, tree.ParseError) as problem:
        print(f"{path}: {problem}", file=sys.stderr)
        counts = (0, 1)
    print(*counts)


main()

# SPDX-License-Identifier: Apache-2.0
"""Prints "passed failed" of the JUnit files given, as meson and pytest write them. Skipped tests count as neither.

Called by test.sh. A file that is missing or broken counts as one failure.
"""
import sys
import xml.etree.ElementTree as tree


def count(path):
    passed = failed = 0
    try:
        root = tree.parse(path).getroot()
    except (OSError, tree.ParseError) as problem:
        print(f"{path}: {problem}", file=sys.stderr)
        return 0, 1
    for case in root.iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
        elif "skipped" not in kinds:
            passed += 1
    return passed, failed


totals = [count(path) for path in sys.argv[1:]]
print(sum(t[0] for t in totals), sum(t[1] for t in totals))

# SPDX-License-Identifier: Apache-2.0
"""Each piece of code in a document stands, word by word, in a source that is compiled.

usage: snippets.py DOCUMENT SOURCE...    Fenced blocks of `c` and `meson` are looked at. Prints TAP. Run by meson.
"""
import pathlib
import re
import sys


def main():
    document, *sources = map(pathlib.Path, sys.argv[1:])
    texts = [s.read_text(encoding="utf-8") for s in sources]
    blocks = re.findall(r"^```(c|meson)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.S | re.M)
    failed = 0
    for number, (_, code) in enumerate(blocks, 1):
        good = any(("\n" + text).find("\n" + code) >= 0 for text in texts)
        failed += not good
        print("ok" if good else "not ok", number, code.strip().splitlines()[0])
    if len(blocks) < 10:
        failed += 1
        print(f"not ok {len(blocks) + 1} there are pieces of code")
        blocks.append(None)
    print(f"1..{len(blocks)}")
    sys.exit(failed > 0)


main()

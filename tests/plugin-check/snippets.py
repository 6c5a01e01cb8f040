# SPDX-License-Identifier: Apache-2.0
"""Each piece of code in a document stands, word by word, in a source that is compiled, and who puts the pieces together has the
whole of the first source.

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
    # What stands between empty lines; the comment at the head of the file is no part of the program.
    parts = re.split(r"\n{2,}", texts[0][texts[0].index("*/\n") + 3:].strip())
    missing = [part for part in parts if not any(part in code for _, code in blocks)]
    failed += bool(missing)
    print("not ok" if missing else "ok", len(blocks) + 1, f"{sources[0].name} is all there", *(part.split("\n")[0] for part in missing))
    print(f"1..{len(blocks) + 1}")
    sys.exit(failed > 0)


main()

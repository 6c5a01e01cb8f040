# SPDX-License-Identifier: Apache-2.0
"""Writes files, one behind the other, as the elements of a C array: embed.py OUTPUT INPUT... Lines of comment and indents are
left out: the engine copies and hashes the text for each new context."""
import sys

lines = []
for name in sys.argv[2:]:
    with open(name, encoding="utf-8") as source:
        lines += [line.strip() for line in source]
data = "".join(line + "\n" for line in lines if line and not line.startswith("//")).encode()
with open(sys.argv[1], "w", encoding="ascii") as out:
    for at in range(0, len(data), 24):
        out.write(", ".join(str(byte if byte < 128 else byte - 256) for byte in data[at:at + 24]) + ",\n")

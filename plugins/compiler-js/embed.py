# SPDX-License-Identifier: Apache-2.0
"""Writes files, one behind the other, as the elements of a C array: embed.py OUTPUT INPUT..."""
import sys

data = b""
for name in sys.argv[2:]:
    with open(name, "rb") as source:
        data += source.read()
with open(sys.argv[1], "w", encoding="ascii") as out:
    for at in range(0, len(data), 24):
        out.write(", ".join(str(byte if byte < 128 else byte - 256) for byte in data[at:at + 24]) + ",\n")

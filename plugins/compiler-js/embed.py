# SPDX-License-Identifier: Apache-2.0
"""Writes a file as the elements of a C array: embed.py INPUT OUTPUT."""
import sys

with open(sys.argv[1], "rb") as source:
    data = source.read()
with open(sys.argv[2], "w", encoding="ascii") as out:
    for at in range(0, len(data), 24):
        out.write(", ".join(str(byte if byte < 128 else byte - 256) for byte in data[at:at + 24]) + ",\n")

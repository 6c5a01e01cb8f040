# SPDX-License-Identifier: Apache-2.0
"""Makes PNG images, whole and broken, and looks at JPEG files, without an image library."""
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, data=b"", length=None, crc=None):
    """length and crc: what is claimed, when it is not the truth."""
    total = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data) if length is None else length) + kind + data + struct.pack(">I", total)


def head(width, height, depth=8, colour=2, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def plain(width, height, colour=(200, 80, 40), colour_type=2):
    """A PNG of one colour. A large one is small in bytes, and quickly made: all its blocks of rows are alike."""
    def blocks():
        at_once = max(1, min(height, 1000000 // (width * len(colour))))
        rows = (b"\0" + bytes(colour) * width) * at_once
        yield from [rows] * (height // at_once)
        yield rows[:(height % at_once) * (width * len(colour) + 1)]

    adler, packed, known = 1, [b"\x78\x9c"], {}
    for rows in blocks():
        adler = zlib.adler32(rows, adler)
        if len(rows) not in known:
            packer = zlib.compressobj(6, wbits=-15)
            known[len(rows)] = packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)
        packed.append(known[len(rows)])
    data = b"".join(packed) + b"\x03\x00" + struct.pack(">I", adler)
    return SIGNATURE + head(width, height, colour=colour_type) + chunk(b"IDAT", data) + chunk(b"IEND")


def jpeg_size(data):
    """Width and height of a baseline JPEG; asserts that it has an end."""
    assert data[:3] == b"\xff\xd8\xff" and data[-2:] == b"\xff\xd9"
    at = 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2:at + 4])[0]
        if marker == 0xC0:
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        at += 2 + length


def jpeg_lying(data, width, height):
    """The same JPEG with another size in its head."""
    at = data.index(b"\xff\xc0")
    return data[:at + 5] + struct.pack(">HH", height, width) + data[at + 9:]

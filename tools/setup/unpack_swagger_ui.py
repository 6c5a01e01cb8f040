# SPDX-License-Identifier: Apache-2.0
"""Takes Swagger UI's files out of the wheel in a folder, and compresses them for browsers that like it so.

usage: unpack_swagger_ui.py FOLDER DESTINATION
"""
import gzip
import pathlib
import sys
import zipfile

WANTED = {"LICENSE": False, "swagger-ui-bundle.js.LICENSE.txt": False, "swagger-ui-bundle.js": True, "swagger-ui.css": True}  # name: also compressed


def main():
    folder, destination = map(pathlib.Path, sys.argv[1:])
    (wheel,) = folder.glob("*.whl")
    destination.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        for name, compressed in WANTED.items():
            (member,) = (m for m in archive.namelist() if m.endswith(f"/swagger-ui-dist/{name}"))
            data = archive.read(member)
            (destination / name).write_bytes(data)
            if compressed:
                (destination / f"{name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))


main()

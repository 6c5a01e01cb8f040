#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the C code and the served JSON of the REST API from flamenco-openapi.yaml.

usage: generate.py DOCUMENT OUTPUT_FOLDER

Called by meson. Reads nothing but the document and writes the same bytes each time.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import model as model_module  # noqa: E402
import out_decode  # noqa: E402
import out_routes  # noqa: E402
import out_types  # noqa: E402
import out_write  # noqa: E402


def document_source(text):
    """The document as an array: string literals of that length are not portable."""
    data = text.encode("utf-8")
    out = out_types.head(["api_document.c - the API's document as JSON, as /api/v3/openapi3.json gives it."])
    out += '#include "api_routes.h"\n\nstatic const unsigned char bytes[] = {\n'
    for at in range(0, len(data), 24):
        out += "    " + ", ".join(str(b) for b in data[at:at + 24]) + ",\n"
    out += "};\n\nflamenco_str api_document(void)\n{\n"
    out += "    flamenco_str text = { (const char *)bytes, sizeof(bytes) };\n    return text;\n}\n"
    return out


def main(argv):
    if len(argv) != 3:
        sys.exit(__doc__)
    model = model_module.Model(argv[1])
    text = json.dumps(model.document, ensure_ascii=False, separators=(",", ":")) + "\n"
    files = {
        "flamenco-openapi.json": text,
        "api_types.h": out_types.header(model),
        "api_types.c": out_types.source(model),
        "api_routes.h": out_routes.header(model),
        "api_routes.c": out_routes.source(model),
        "api_decode.h": out_decode.header(model),
        "api_decode.c": out_decode.source(model),
        "api_write.h": out_write.header(model),
        "api_write.c": out_write.source(model),
        "api_document.c": document_source(text),
    }
    for name, content in files.items():
        with open(os.path.join(argv[2], name), "w", encoding="utf-8", newline="\n") as file:
            file.write(content)


if __name__ == "__main__":
    main(sys.argv)

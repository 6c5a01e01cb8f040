#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what the loader knows of each service: generate-services.py GENERATE_CALLS HEADER... OUTPUT.

For every service header: id, size of its method table, and each method's name, place and whether a plugin must have it
(everything above the comment "-- optional --"). Called by the build.
"""

import importlib.util
import pathlib
import sys


def load_parser(path):
    spec = importlib.util.spec_from_file_location("generate_calls", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def describe(parser, path):
    text = path.read_text(encoding="utf-8")
    marker = text.find("/* -- optional -- */")
    plain = parser.strip_comments(text)
    service_id, name = parser.find_service(plain)
    all_methods = [m[1] for m in parser.parse_methods(parser.find_table(plain, name))]
    optional = set()
    if marker >= 0:
        rest = parser.strip_comments(text[marker:])
        optional = {m[1] for m in parser.parse_methods(rest[: rest.index("}")])}
    return path.name, service_id, name, [(m, m not in optional) for m in all_methods]


def main():
    parser = load_parser(sys.argv[1])
    services = [describe(parser, pathlib.Path(p)) for p in sys.argv[2:-1]]
    out = ["/* Made by core/generate-services.py; do not edit. */", '#include "core/services.h"', "",
           "#include <stddef.h>", ""]
    out += [f'#include "flamenco/{header}"' for header, *_ in services]
    for _, _, name, methods in services:
        out += ["", f"static const fl_service_method {name}_methods[] = {{"]
        out += [f'    {{ "{m}", offsetof(flamenco_{name}, {m}), {int(required)} }},' for m, required in methods]
        out += ["};"]
    out += ["", "const fl_service fl_services[] = {"]
    out += [f'    {{ "{sid}", sizeof(flamenco_{name}), {name}_methods, {len(methods)} }},'
            for _, sid, name, methods in services]
    out += ["};", "", "const size_t fl_services_count = sizeof(fl_services) / sizeof(fl_services[0]);", ""]
    pathlib.Path(sys.argv[-1]).write_text("\n".join(out), encoding="utf-8")


main()

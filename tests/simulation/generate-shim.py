#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the simulation's layer around the persistence table: generate-shim.py GENERATE_CALLS HEADER OUTPUT_C OUTPUT_H.

Every method that may fail (int32_t with an `err`) asks shim_before() first, which may make it fail, and tells shim_after()
how the real one ended. The others are passed on. Called by the build.
"""

import importlib.util
import sys


def load(path):
    spec = importlib.util.spec_from_file_location("generate_calls", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    calls = load(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        text = file.read()
    service_id, name = calls.find_service(text)
    methods = list(calls.parse_methods(calls.find_table(calls.strip_comments(text), name)))
    out = [
        "/* SPDX-License-Identifier: Apache-2.0",
        " *",
        f" * The table of {service_id} with failures in between. Generated, do not edit.",
        " */",
        '#include "shim.h"',
        "",
        f"static const flamenco_{name} *real;",
        "",
    ]
    for result, method, parameters in methods:
        arguments = ", ".join(n for _, n in parameters)
        declarations = ", ".join(d for d, _ in parameters)
        names = [n for _, n in parameters]
        head = f"static {calls.spell(result, 'shim_' + method)}({declarations})"
        call = f"real->{method}({arguments})"
        if result == "int32_t" and "err" in names and method != "commit":
            writes = "cx != NULL && !cx->read_only" if "cx" in names else "1"
            if method == "open":
                writes = "kind == FLAMENCO_SESSION_WRITER"
            elif method in ("check", "backup"):
                writes = "0"
            out += [head, "{",
                    f"    int32_t rc = ({writes}) ? shim_before(SHIM_{method.upper()}, {'cx' if 'cx' in names else 'NULL'}, err)",
                    "                            : FLAMENCO_OK;",
                    f"    return rc != FLAMENCO_OK ? rc : {call};", "}", ""]
        elif method == "commit":
            out += [head, "{",
                    "    int32_t rc = shim_before(SHIM_COMMIT, cx, err);",
                    "    if (rc != FLAMENCO_OK) {",
                    "        real->rollback(self, cx); /* a failed commit ends the transaction, too */",
                    "        return rc;",
                    "    }",
                    f"    rc = {call};",
                    "    return rc == FLAMENCO_OK ? shim_after_commit(err) : rc;", "}", ""]
        else:
            out += [head, "{", f"    {'' if result == 'void' else 'return '}{call};", "}", ""]
    out += [f"static flamenco_{name} table;", "",
            f"const flamenco_{name} *shim_wrap(const flamenco_{name} *wrapped)", "{",
            "    real = wrapped;", "    table = *wrapped;"]
    for _, method, _ in methods:
        out.append(f"    table.{method} = FLAMENCO_HAS(wrapped, {method}) ? shim_{method} : NULL;")
    out += ["    return &table;", "}", "", "const char *const shim_names[SHIM_METHODS] = {"]
    out += [f'    "{method}",' for _, method, _ in methods] + ["};", ""]
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        file.write("\n".join(out))
    with open(sys.argv[4], "w", encoding="utf-8") as file:
        file.write("/* SPDX-License-Identifier: Apache-2.0 */\n/* The methods by number. Generated, do not edit. */\n")
        file.write("enum {\n" + "".join(f"    SHIM_{m.upper()},\n" for _, m, _ in methods) + "    SHIM_METHODS\n};\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the call wrappers of one service: generate-calls.py include/flamenco/X.h OUTPUT.

Reads a public service header, finds the service id ("flamenco.X/1") and its method table (struct flamenco_X), and writes
an inline function per method that tests the size of the table and the method for NULL before it calls. So a caller never
looks at struct_size itself, and a method that an older plugin does not have fails with UNSUPPORTED. Called by the build.
"""

import re
import sys

# Services whose wrappers have another prefix than flamenco_<service>_.
SHORT_PREFIX = {"persistence": "flamenco_persist_"}


class HeaderError(Exception):
    """The header does not look like a service header."""


def strip_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def find_service(text):
    """Returns the service id and its name, "flamenco.clock/1" and "clock"."""
    found = re.findall(r'^#define\s+FLAMENCO_\w+\s+"(flamenco\.([a-z_]+)/\d+)"\s*$', text, flags=re.MULTILINE)
    if len(found) != 1:
        raise HeaderError(f"expected one service id, found {len(found)}")
    return found[0]


def find_table(text, name):
    """Returns the body of the method table."""
    table = f"flamenco_{name}"
    match = re.search(rf"typedef\s+struct\s+{table}\s*\{{([^{{}}]*)\}}\s*{table}\s*;", text)
    if match is None:
        raise HeaderError(f"no method table 'typedef struct {table} {{ … }} {table};'")
    if not re.match(r"\s*uint32_t\s+struct_size\s*;", match.group(1)):
        raise HeaderError(f"{table} does not start with struct_size")
    return match.group(1)


def parse_parameter(text):
    """Returns the whole declaration and the name of a parameter."""
    text = " ".join(text.split())
    match = re.fullmatch(r".*?(?<![\w])(\w+)\s*(\[[^\]]*\])?", text)
    if match is None or match.group(1) == text or "(" in text:
        raise HeaderError(f"cannot read the parameter '{text}'")
    return text, match.group(1)


def parse_methods(body):
    """Yields (return type, name, [(declaration, name)]) for each method of a table."""
    for member in body.split(";"):
        member = " ".join(member.split())
        if "(" not in member:
            continue  # struct_size and other data
        match = re.fullmatch(r"(.+?)\s*\(\*(\w+)\)\s*\((.*)\)(?:\s*__attribute__\(\(.*\)\))?", member)
        if match is None:
            raise HeaderError(f"cannot read the method '{member}'")
        result, name, parameters = match.groups()
        if "..." in parameters:
            raise HeaderError(f"{name}: variable arguments cannot be passed on")
        parts = [] if parameters.strip() in ("", "void") else parameters.split(",")
        yield result, name, [parse_parameter(part) for part in parts]


def spell(result, name):
    """Joins a type and a name: 'char *' + 'f' is 'char *f'."""
    return result + name if result.endswith("*") else f"{result} {name}"


def wrap_list(head, items, tail=""):
    """Lays out head, items, a closing parenthesis and tail in lines of at most 120 characters."""
    if not items:
        return f"{head}){tail}"
    lines, line = [], head
    for i, item in enumerate(items):
        item += f"){tail}" if i + 1 == len(items) else ","
        if line != head and len(line) + len(item) + 1 > 120:
            lines.append(line)
            line = " " * len(head) + item
        else:
            line += item if line == head else " " + item
    return "\n".join(lines + [line])


def write_wrapper(service_id, name, prefix, method):
    result, method_name, parameters = method
    arguments = [n for _, n in parameters]
    declarations = [d for d, _ in parameters]
    has_self = bool(arguments) and arguments[0] == "self"
    if has_self:
        arguments, declarations = arguments[1:], declarations[1:]
    ref = "s" if "s" not in arguments else "service_ref"
    declarations.insert(0, f"const flamenco_{name}_ref *{ref}")
    before_call = " " * 8 + ("" if result == "void" else "return ")
    call = wrap_list(f"{before_call}{ref}->table->{method_name}(", [f"{ref}->self"] * has_self + arguments, ";")
    lines = [
        wrap_list(f"static inline {spell(result, prefix + method_name)}(", declarations),
        "{",
        f"    if ({ref}->table != NULL && FLAMENCO_HAS({ref}->table, {method_name}))",
    ]
    lines.append(call)
    if result != "void":
        if result == "int32_t" and "err" in arguments:
            lines.append(f'    return flamenco_fail(err, FLAMENCO_E_UNSUPPORTED, "{service_id} has no {method_name} here");')
        elif result == "int32_t":
            lines.append("    return FLAMENCO_E_UNSUPPORTED;")
        elif result.endswith("*"):
            lines.append("    return NULL;")
        elif re.fullmatch(r"u?int\d+_t|double", result):
            lines.append("    return 0;")
        else:
            lines += [f"    {result} none;", "    memset(&none, 0, sizeof(none));", "    return none;"]
    lines.append("}")
    return "\n".join(lines)


def generate(header, text):
    text = strip_comments(text)
    service_id, name = find_service(text)
    prefix = SHORT_PREFIX.get(name, f"flamenco_{name}_")
    methods = list(parse_methods(find_table(text, name)))
    if not methods:
        raise HeaderError(f"flamenco_{name} has no methods")
    types = set(re.findall(r"\bflamenco_\w+", text))
    for _, method_name, _ in methods:
        if prefix + method_name in types:
            raise HeaderError(f"the wrapper {prefix + method_name} would have the name of something else")
    guard = f"FLAMENCO_CALLS_{name.upper()}_H"
    head = f"""/* SPDX-License-Identifier: Apache-2.0
 *
 * flamenco/calls/{name}.h - calls of the service "{service_id}".
 * Made from flamenco/{header} by include/generate-calls.py; do not edit.
 * What a function does, its threads and its errors stand there beside the method of the same name. A method that the
 * implementation does not have, or a service that is absent (table NULL), gives FLAMENCO_E_UNSUPPORTED, 0 or NULL.
 */
#ifndef {guard}
#define {guard}

#include "flamenco/{header}"

#ifdef __cplusplus
extern "C" {{
#endif

/* Where a service is: its table and its instance. table NULL = absent. */
typedef struct flamenco_{name}_ref {{
    const flamenco_{name} *table;
    void *self;
}} flamenco_{name}_ref;
"""
    tail = """
#ifdef __cplusplus
}
#endif

#endif
"""
    wrappers = [write_wrapper(service_id, name, prefix, method) for method in methods]
    return head + "".join(f"\n{wrapper}\n" for wrapper in wrappers) + tail


def main(arguments):
    if len(arguments) != 3:
        print("usage: generate-calls.py HEADER OUTPUT", file=sys.stderr)
        return 2
    source, target = arguments[1:]
    try:
        with open(source, encoding="utf-8") as file:
            text = generate(source.replace("\\", "/").rsplit("/", 1)[-1], file.read())
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    except (HeaderError, OSError) as error:
        print(f"{source}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

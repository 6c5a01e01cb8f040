# SPDX-License-Identifier: Apache-2.0
"""Writes api_types.[ch]: an enum and its texts per enumeration, a struct per object."""
from model import c_text, snake

NOTICE = "/* SPDX-License-Identifier: Apache-2.0\n *\n * Made by api/generate.py from api/flamenco-openapi.yaml. Do not edit.\n"


def head(about):
    """The comment at the top of a generated file."""
    return NOTICE + "".join(f" * {line}\n" for line in about) + " */\n"


def enum_constant(schema, value):
    text = snake(value).strip("_").upper() + ("_DESC" if value.startswith("-") else "")
    return f"{schema.c.upper()}_{text}"


def wrap(text, indent, width=116):
    """A comment's text in lines."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width - len(indent):
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return lines + ([line] if line else [])


def comment(text, indent=""):
    lines = wrap(text, indent + " * ")
    if not lines:
        return ""
    return f"{indent}/* " + f"\n{indent} * ".join(lines) + " */\n"


def list_type(model, item):
    """The name of the {ptr, count} struct for items of a type."""
    if item.kind == "text":
        return "api_text_array"
    if item.name is None:
        raise ValueError(item.kind)
    return model.schemas[item.name].c + "_array"


def c_type(model, type_, inbound, field=None):
    """The C type that holds a value."""
    if field is not None and field.raw:
        return "flamenco_str "
    if type_.kind == "text":
        return "flamenco_str "
    if type_.kind == "int":
        return f"int{type_.bits}_t "
    if type_.kind == "bool":
        return "int32_t "
    if type_.kind == "time":
        return "int64_t "
    if type_.free:
        return "const json_t *" if inbound else "flamenco_str "
    if type_.kind == "enum":
        return model.schemas[type_.name].c + " "
    if type_.kind == "list":
        return list_type(model, type_.item) + " "
    if type_.kind == "object":
        pointer = field is not None and field.by_pointer
        return ("const " if pointer else "") + model.schemas[type_.name].c + (" *" if pointer else " ")
    raise ValueError(type_.kind)


def field_note(field, inbound):
    if field.raw or (field.type.free and not inbound):
        empty = "null" if not field.type.free or field.required else "{}"
        return f"JSON; empty: {empty}" if field.written_always else "JSON; empty: left out"
    if field.type.free:
        return "borrowed from the body" + ("" if field.required else "; NULL: absent")
    if field.type.kind == "time":
        return "µs" if field.written_always else "µs; FLAMENCO_TIME_NONE: absent"
    if field.type.kind == "enum" and not field.written_always:
        return "0: absent"
    if field.by_pointer:
        return "NULL: absent"
    if field.omit_empty:
        return "left out when empty"
    return ""


def struct(model, schema):
    out = comment(schema.doc) + f"typedef struct {schema.c} {{\n"
    for field in schema.fields:
        note = field_note(field, schema.inbound)
        out += f"    {c_type(model, field.type, schema.inbound, field)}{field.member};"
        out += f" /* {note} */\n" if note else "\n"
        if field.has_flag:
            out += f"    uint8_t has_{field.member};\n"
    return out + f"}} {schema.c};\n" + initialiser(model, schema)


def initialiser(model, schema):
    """API_X_INIT: times that are not set must be FLAMENCO_TIME_NONE, not 1970."""
    parts = []
    for field in schema.fields:
        if field.type.kind == "time":
            parts.append(f".{field.member} = FLAMENCO_TIME_NONE")
        elif field.type.kind == "object" and not field.by_pointer and has_time(model, model.schemas[field.type.name]):
            parts.append(f".{field.member} = {model.schemas[field.type.name].c.upper()}_INIT")
    return f"#define {schema.c.upper()}_INIT {{ {', '.join(parts) or '0'} }}\n\n"


def has_time(model, schema):
    for field in schema.fields:
        if field.type.kind == "time":
            return True
        if field.type.kind == "object" and not field.by_pointer and has_time(model, model.schemas[field.type.name]):
            return True
    return False


def enum_header(schema):
    name = schema.c
    out = comment(schema.doc) + f"typedef enum {name} {{\n    {name.upper()}_NONE = 0, /* no value, or an unknown one */\n"
    for value in schema.values:
        out += f"    {enum_constant(schema, value)},\n"
    out += f"}} {name};\n"
    out += f"#define {name.upper()}_COUNT {len(schema.values) + 1}\nextern const flamenco_str {name}_texts[{name.upper()}_COUNT];\n"
    out += f"/* Gives the text of the document; empty for NONE and for what is no member. */\nflamenco_str {name}_text({name} value);\n"
    out += f"/* Gives the member with that text, in exactly this case; NONE when there is none. */\n{name} {name}_from(flamenco_str text);\n\n"
    return out


def enum_source(schema):
    name = schema.c
    out = f"const flamenco_str {name}_texts[{name.upper()}_COUNT] = {{\n    {{ \"\", 0 }},\n"
    for value in schema.values:
        out += f"    {{ {c_text(value)}, {len(value)} }},\n"
    out += "};\n\n"
    out += f"flamenco_str {name}_text({name} value)\n{{\n"
    out += f"    uint32_t n = (uint32_t)value;\n    return {name}_texts[n < {name.upper()}_COUNT ? n : 0];\n}}\n\n"
    out += f"{name} {name}_from(flamenco_str text)\n{{\n    switch (text.len) {{\n"
    lengths = sorted({len(v) for v in schema.values})
    for length in lengths:
        out += f"    case {length}:\n"
        for value in schema.values:
            if len(value) == length:
                out += f"        if (memcmp(text.ptr, {c_text(value)}, {length}) == 0)\n"
                out += f"            return {enum_constant(schema, value)};\n"
        out += "        break;\n"
    out += f"    default:\n        break;\n    }}\n    return {name.upper()}_NONE;\n}}\n\n"
    return out


def list_structs(model, schema):
    name = schema.c
    return (f"typedef struct {name}_array {{\n    const {name} *ptr;\n    uint64_t count;\n}} {name}_array;\n\n")


def used_lists(model):
    """Names of the schemas that stand in lists."""
    used = set()

    def look(type_):
        if type_ is None:
            return
        if type_.kind == "list" and type_.item.name is not None:
            used.add(type_.item.name)
        look(type_.item)

    for schema in model.schemas.values():
        if schema.kind == "list" and schema.item.name is not None:
            used.add(schema.item.name)
        for field in schema.fields:
            look(field.type)
    for op in model.operations:
        for parameter in op.parameters:
            look(parameter.type)
        look(op.body)
    return used


def header(model):
    out = head(["api_types.h - the schemas of the REST API and of the events as C types.",
                "Texts are borrowed. In lists ptr may be NULL when count is 0. Integers for booleans: 0 or 1."])
    out += "#ifndef FL_API_TYPES_H\n#define FL_API_TYPES_H\n\n#include <jansson.h>\n\n#include \"flamenco/plugin.h\"\n\n"
    out += "typedef struct api_text_array {\n    const flamenco_str *ptr;\n    uint64_t count;\n} api_text_array;\n\n"
    lists = used_lists(model)
    for schema in model.ordered():
        if schema.kind == "enum":
            out += enum_header(schema)
        elif schema.kind == "object":
            out += struct(model, schema)
        elif schema.kind == "list":
            out += comment(schema.doc) + f"typedef {list_type(model, schema.item)} {schema.c};\n\n"
        elif schema.kind == "alias":
            out += f"typedef {schema.target.c} {schema.c};\n\n"
        elif schema.kind == "map":
            item = model.schemas[schema.item.name].c
            out += comment(schema.doc + " Entries are written in the order given; put them in the order of their keys.")
            out += f"typedef struct {schema.c}_entry {{\n    flamenco_str key;\n    {item} value;\n}} {schema.c}_entry;\n"
            out += f"typedef struct {schema.c} {{\n    const {schema.c}_entry *ptr;\n    uint64_t count;\n}} {schema.c};\n\n"
        if schema.name in lists:
            out += list_structs(model, schema)
    return out + "#endif\n"


def source(model):
    out = head(["api_types.c - the texts of the enumerations."])
    out += '#include "api_types.h"\n\n#include <string.h>\n\n'
    for schema in model.schemas.values():
        if schema.kind == "enum":
            out += enum_source(schema)
    return out

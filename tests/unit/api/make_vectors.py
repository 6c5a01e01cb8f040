# SPDX-License-Identifier: Apache-2.0
"""Makes vectors.h for test_document.c from the API's document.

usage: make_vectors.py GENERATOR_FOLDER DOCUMENT OUTPUT
"""
import copy
import json
import sys

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

from model import Model, c_text  # noqa: E402
from out_types import c_type, enum_constant  # noqa: E402
from out_write import value_schema, writer_name, writers  # noqa: E402

MISSING = object()


def good(model, type_):
    """A value that is accepted."""
    if type_.kind == "text":
        return "x"
    if type_.kind == "int":
        return 7 if type_.minimum is None else type_.minimum
    if type_.kind == "bool":
        return True
    if type_.kind == "time":
        return "2026-03-04T05:06:07.5Z"
    if type_.kind == "enum":
        return model.schemas[type_.name].values[-1]
    if type_.kind in ("object_free", "any"):
        return {"a": None}
    if type_.kind == "text_map":
        return {"k": "v"}
    if type_.kind == "list":
        return [good(model, type_.item), good(model, type_.item)]
    return {f.name: good(model, f.type) for f in model.schemas[type_.name].fields}


def wrong(type_):
    """Values of other types, and of the right type but not allowed."""
    values = {"text": [5, True, {}, []], "int": ["5", True, 7.5, [], {}], "bool": [1, "true", []], "time": [5, "x", {}],
              "enum": [5, "no-such", "", []], "object_free": [5, "x", []], "text_map": [5, []], "list": [5, {}, "x"],
              "object": [5, "x", []], "any": []}[type_.kind]
    if type_.minimum is not None:
        values = values + [type_.minimum - 1]
    if type_.maximum is not None:
        values = values + [type_.maximum + 1]
    return values


def places(model, type_, path):
    """(path, type, field or None) of every value in good(type)."""
    if type_.kind == "list":
        yield path + [1], type_.item, None
        yield from places(model, type_.item, path + [1])
    elif type_.kind == "object":
        for field in model.schemas[type_.name].fields:
            yield path + [field.name], field.type, field
            yield from places(model, field.type, path + [field.name])


def changed(body, path, value):
    body = copy.deepcopy(body)
    node = body
    for step in path[:-1]:
        node = node[step]
    if value is MISSING:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return body


def refusals(model, op):
    """(body, pointer): a request with that body is refused, naming that place."""
    body = good(model, op.body)
    for value in wrong(op.body) + [None]:
        yield value, "request body"
    for path, type_, field in places(model, op.body, []):
        pointer = "/" + "/".join(map(str, path))
        for value in wrong(type_):
            yield changed(body, path, value), pointer
        if type_.kind != "any" and (field is None or field.default is None):
            yield changed(body, path, None), pointer
        if field is not None and field.required and field.default is None:
            yield changed(body, path, MISSING), pointer
        if type_.kind == "text_map":
            yield changed(body, path + ["k"], 1), pointer + "/k"


def c_json(value):
    return c_text(json.dumps(value))


class Filler:
    """Makes C functions that fill every member of a struct."""

    def __init__(self, model):
        self.model = model
        self.out = ""

    def value(self, type_, field, inbound, target, static):
        """Statements that set `target`; `static` is the name of a variable that they may use."""
        if field is not None and (field.raw or (type_.free and not inbound)):
            sample = {"list": "[]", "text_map": '{"k":"v"}'}.get(type_.kind, '{"a":[null]}')
            return f"    {target} = flamenco_text({c_text(sample)});\n"
        if type_.free:
            sample = '{"k":"v"}' if type_.kind == "text_map" else '{"b":1,"a":[null]}'
            return f"    {target} = keep({c_text(sample)});\n"
        if type_.kind == "text":
            return f'    {target} = flamenco_text("<\\xC3\\xA9\\"");\n'
        if type_.kind == "int":
            return f"    {target} = 42;\n"
        if type_.kind == "bool":
            return f"    {target} = 1;\n"
        if type_.kind == "time":
            return f"    {target} = INT64_C(1772600767500000);\n"
        if type_.kind == "enum":
            schema = self.model.schemas[type_.name]
            return f"    {target} = {enum_constant(schema, schema.values[-1])};\n"
        if type_.kind == "list":
            item = c_type(self.model, type_.item, inbound).strip()
            out = f"    static {item} {static}[2];\n"
            for i in range(2):
                out += self.value(type_.item, None, inbound, f"{static}[{i}]", f"{static}_{i}")
            return out + f"    {target}.ptr = {static};\n    {target}.count = 2;\n"
        schema = self.model.schemas[type_.name]
        if field is not None and field.by_pointer:
            return (f"    static {schema.c} {static};\n    fill_{schema.c}(&{static});\n    {target} = &{static};\n")
        return f"    fill_{schema.c}(&{target});\n"

    def object(self, schema):
        self.out += f"static void fill_{schema.c}({schema.c} *v)\n{{\n"
        for field in schema.fields:
            self.out += self.value(field.type, field, schema.inbound, f"v->{field.member}", f"s_{field.member}")
            if field.has_flag:
                self.out += f"    v->has_{field.member} = 1;\n"
        self.out += "}\n\n"

    def all(self):
        for schema in self.model.ordered():
            if schema.kind == "object":
                self.object(schema)
            elif schema.kind == "alias":
                self.out += (f"static void fill_{schema.c}({schema.c} *v)\n{{\n    fill_{schema.target.c}(v);\n}}\n\n")
            elif schema.kind == "list":
                item = self.model.schemas[schema.item.name].c
                self.out += (f"static void fill_{schema.c}({schema.c} *v)\n{{\n    static {item} rows[2];\n"
                             f"    fill_{item}(&rows[0]);\n    fill_{item}(&rows[1]);\n    v->ptr = rows;\n"
                             f"    v->count = 2;\n}}\n\n")
            elif schema.kind == "map":
                item = self.model.schemas[schema.item.name].c
                self.out += (f"static void fill_{schema.c}({schema.c} *v)\n{{\n    static {schema.c}_entry row;\n"
                             f"    row.key = flamenco_text(\"k\");\n    fill_{item}(&row.value);\n    v->ptr = &row;\n"
                             f"    v->count = 1;\n}}\n\n")
        return self.out


def initial(schema):
    if schema.kind == "alias":
        return initial(schema.target)
    return schema.c.upper() + "_INIT" if schema.kind == "object" else "{ 0 }"


def samples(model):
    out = "static void write_samples(fl_buf *buf)\n{\n"
    for schema in writers(model):
        for name, fill in (("full", f"        fill_{schema.c}(&v);\n"), ("empty", "")):
            out += (f"    {{\n        {schema.c} v = {initial(schema)};\n{fill}"
                    f"        fl_json w = fl_json_begin(buf);\n"
                    f"        fl_buf_add_text(buf, \"{schema.name} {name} \");\n        {writer_name(schema)}(&w, &v);\n"
                    f"        fl_buf_add_char(buf, '\\n');\n    }}\n")
    return out + "}\n\n"


def replies(model):
    out = "static void call_replies(void (*check)(const char *name, int32_t rc, fl_reply *reply, int32_t status, int kind))\n{\n"
    out += "    fl_reply reply = { 0 };\n"
    for op in model.operations:
        for status, type_ in op.replies:
            name = f"api_{op.name}_{status}"
            kind, prepare, more = {None: (0, "", ""), "error": (1, "", ', "%s", "why"'),
                                   "text": (2, "", ', flamenco_text("t")')}.get(type_, (1, None, None))
            if prepare is None and type_.free:
                prepare, more = "", ', flamenco_text("{}")'
            elif prepare is None:
                c = value_schema(model, type_)
                prepare, more = f"        {c.c} v = {initial(c)};\n        fill_{c.c}(&v);\n", ", &v"
            out += (f"    {{\n{prepare}        int32_t rc = {name}(&reply{more});\n"
                    f"        check(\"{name}\", rc, &reply, {status}, {kind});\n    }}\n")
    return out + "    fl_reply_fini(&reply);\n}\n\n"


def enums(model):
    out = "static const struct {\n    const char *text;\n    uint32_t value, other;\n    flamenco_str (*text_of)(uint32_t);\n"
    out += "    uint32_t (*from)(flamenco_str);\n} enum_rows[] = {\n"
    thunks = ""
    for schema in model.schemas.values():
        if schema.kind != "enum":
            continue
        thunks += (f"static flamenco_str text_of_{schema.c}(uint32_t v)\n{{\n    return {schema.c}_text(({schema.c})v);\n}}\n"
                   f"static uint32_t from_{schema.c}(flamenco_str t)\n{{\n    return (uint32_t){schema.c}_from(t);\n}}\n")
        for value in schema.values:
            out += (f"    {{ {c_text(value)}, {enum_constant(schema, value)}, {schema.c.upper()}_COUNT, "
                    f"text_of_{schema.c}, from_{schema.c} }},\n")
    return thunks + out + "};\n\n"


def bodies(model):
    accepted = "static const struct {\n    uint32_t op;\n    const char *body;\n} good_bodies[] = {\n"
    refused = "static const struct {\n    uint32_t op;\n    const char *body, *place;\n} bad_bodies[] = {\n"
    for op in model.operations:
        if op.body is None or op.body.kind == "binary":
            continue
        number = f"API_OP_{op.name.upper()}"
        accepted += f"    {{ {number}, {c_json(good(model, op.body))} }},\n"
        for body, place in refusals(model, op):
            refused += f"    {{ {number}, {c_json(body)}, {c_text(place + ': ')} }},\n"
    return accepted + "};\n\n" + refused + "};\n\n"


def main():
    model = Model(sys.argv[2])
    out = "/* Made by make_vectors.py. Do not edit. */\n"
    out += '#include "api_routes.h"\n#include "api_write.h"\n\n'
    out += bodies(model) + enums(model)
    out += "static const json_t *keep(const char *json);\n\n" + Filler(model).all()
    out += samples(model) + replies(model)
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        file.write(out)


main()

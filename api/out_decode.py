# SPDX-License-Identifier: Apache-2.0
"""Writes api_decode.[ch]: the struct of each operation's input, and the tables by which requests are checked."""
from model import c_text
from out_types import c_type, comment, head

WHERE = {"path": "FL_PARAM_PATH", "query": "FL_PARAM_QUERY", "header": "FL_PARAM_HEADER"}
KINDS = {"text": "FL_IN_TEXT", "int": "FL_IN_INT", "bool": "FL_IN_BOOL", "time": "FL_IN_TIME", "enum": "FL_IN_ENUM",
         "any": "FL_IN_ANY", "object_free": "FL_IN_FREE_OBJECT", "text_map": "FL_IN_TEXT_MAP"}


def in_struct(model, op):
    out = comment(f"{op.method} {op.path}: {op.doc}")
    out += f"typedef struct api_{op.name}_in {{\n    fl_api_decoded decoded;\n"
    for p in op.parameters:
        note = " /* µs; FLAMENCO_TIME_NONE: absent */" if p.type.kind == "time" else \
               " /* 0: absent */" if p.type.kind == "enum" else ""
        out += f"    {c_type(model, p.type, True)}{p.member};{note}\n"
        if p.has_flag:
            out += f"    uint8_t has_{p.member};\n"
    if op.body is not None:
        if op.body.kind == "binary":
            out += "    flamenco_str body;\n    flamenco_str content_type;\n"
        else:
            out += f"    {c_type(model, op.body, True)}body;\n"
            if not op.body_required:
                out += "    uint8_t has_body;\n"
    return out + f"}} api_{op.name}_in;\n\n"


def header(model):
    out = head(["api_decode.h - what each operation gets in, and the check of it (core/api/request.h).",
                "Each api_decode_... fills *out, whatever it held, and returns 0; INVALID with the status and message to",
                "answer in problem; NOMEM. After success the caller gives out->decoded to fl_api_decoded_fini()."])
    out += '#ifndef FL_API_DECODE_H\n#define FL_API_DECODE_H\n\n#include "api_types.h"\n#include "core/api/request.h"\n\n'
    for op in model.operations:
        out += in_struct(model, op)
    for op in model.operations:
        out += (f"int32_t api_decode_{op.name}(const fl_api_raw *raw, fl_arena *arena, api_{op.name}_in *out,\n"
                f"    fl_api_problem *problem);\n")
    return out + "\n#endif\n"


class Tables:
    """Makes one static fl_in_type per different type, in the order of use."""

    def __init__(self, model):
        self.model = model
        self.out = ""
        self.names = {}

    def key(self, type_):
        item = self.key(type_.item) if type_.item is not None else None
        return (type_.kind, type_.name, type_.minimum, type_.maximum, item)

    def name(self, type_):
        key = self.key(type_)
        if key not in self.names:
            self.names[key] = self.make(type_)
        return self.names[key]

    def make(self, type_):
        more, label = "", type_.kind
        size = f"sizeof({c_type(self.model, type_, True).strip()})"
        if type_.kind == "int":
            if type_.bits != 64:
                raise ValueError("only 64 bit integers are read")
            if type_.minimum is not None:
                more += f", .has_min = 1, .min = INT64_C({type_.minimum})"
                label += f"_from_{type_.minimum}"
            if type_.maximum is not None:
                more += f", .has_max = 1, .max = INT64_C({type_.maximum})"
                label += f"_to_{type_.maximum}"
            label = label.replace("-", "minus_")
        elif type_.kind == "enum":
            c = self.model.schemas[type_.name].c
            label = c[4:]
            more = f", .n = {c.upper()}_COUNT, .texts = {c}_texts"
        elif type_.kind == "list":
            item = self.name(type_.item)
            label = item[5:] + "_list"
            more = f", .item = &{item}"
        elif type_.kind == "object":
            schema = self.model.schemas[type_.name]
            label = schema.c[4:]
            fields = self.fields(schema)
            more = f", .n = {len(schema.fields)}, .fields = {fields}"
        kind = {"list": "FL_IN_LIST", "object": "FL_IN_OBJECT"}.get(type_.kind) or KINDS[type_.kind]
        name = "type_" + label
        self.out += f"static const fl_in_type {name} = {{ .kind = {kind}, .size = (uint32_t){size}{more} }};\n"
        return name

    def fields(self, schema):
        name = f"fields_{schema.c[4:]}"
        types = [self.name(f.type) for f in schema.fields]
        out = f"static const fl_in_field {name}[] = {{\n"
        for field, type_ in zip(schema.fields, types):
            if field.raw:
                raise ValueError(f"{schema.name}.{field.name}: raw and text members cannot be read")
            has = f"offsetof({schema.c}, has_{field.member})" if field.has_flag else "FL_IN_NO_OFFSET"
            out += f"    {{ .name = {c_text(field.name)}, .type = &{type_}, "
            out += f".offset = offsetof({schema.c}, {field.member}), .has_offset = {has}"
            if field.default is not None:
                out += f", .has_default = 1, .default_value = INT64_C({field.default})"
            elif field.required:
                out += ", .required = 1"
            if field.by_pointer:
                out += ", .pointer = 1"
            out += " },\n"
        self.out += out + "};\n"
        return name


def operation_table(model, op, tables):
    struct = f"api_{op.name}_in"
    spec = []
    if op.parameters:
        types = [tables.name(p.type) for p in op.parameters]
        tables.out += f"static const fl_in_param params_{op.name}[] = {{\n"
        index = 0
        for p, type_ in zip(op.parameters, types):
            name = p.name.lower() if p.where == "header" else p.name
            has = f"offsetof({struct}, has_{p.member})" if p.has_flag else "FL_IN_NO_OFFSET"
            tables.out += f"    {{ .name = {c_text(name)}, .type = &{type_}, .where = {WHERE[p.where]}, .index = {index}, "
            tables.out += f".offset = offsetof({struct}, {p.member}), .has_offset = {has} }},\n"
            index += p.where == "path"
        tables.out += "};\n"
        spec += [f".params = params_{op.name}", f".n_params = {len(op.parameters)}"]
    if op.body is not None:
        if op.body.kind == "binary":
            spec += [".body = FL_BODY_BYTES", f".content_type_offset = offsetof({struct}, content_type)"]
        else:
            spec += [".body = FL_BODY_JSON", f".body_type = &{tables.name(op.body)}",
                     ".content_type_offset = FL_IN_NO_OFFSET"]
        tables.out += f"static const char *const content_{op.name}[] = {{ {', '.join(map(c_text, op.content_types))} }};\n"
        has = "FL_IN_NO_OFFSET" if op.body_required or op.body.kind == "binary" else f"offsetof({struct}, has_body)"
        spec += [f".body_required = {int(op.body_required)}", f".body_offset = offsetof({struct}, body)",
                 f".has_body_offset = {has}", f".content_types = content_{op.name}",
                 f".n_content_types = {len(op.content_types)}"]
    if op.unvalidated:
        spec.append(".unvalidated = 1")
    tables.out += f"static const fl_in_operation operation_{op.name} = {{ {', '.join(spec) or '0'} }};\n\n"


def source(model):
    out = head(["api_decode.c - the tables of what operations get in."])
    out += '#include "api_decode.h"\n\n#include <string.h>\n\n'
    tables = Tables(model)
    for op in model.operations:
        operation_table(model, op, tables)
    out += tables.out
    for op in model.operations:
        out += (f"int32_t api_decode_{op.name}(const fl_api_raw *raw, fl_arena *arena, api_{op.name}_in *out,\n"
                f"    fl_api_problem *problem)\n{{\n    memset(out, 0, sizeof(*out));\n"
                f"    return fl_api_decode(&operation_{op.name}, raw, arena, out, problem);\n}}\n\n")
    return out



# SPDX-License-Identifier: Apache-2.0
"""Writes api_write.[ch]: a JSON writer per schema, and a reply function per operation and status."""
from model import c_text
from out_types import comment, head


class Writer:
    """Makes the C statements that write one value."""

    def __init__(self, model):
        self.model = model

    def value(self, type_, expr, inbound, field, indent):
        """expr: the C expression of the member."""
        pad = "    " * indent
        if field is not None and field.raw:
            return self.raw(expr, "null", pad)
        if type_.kind == "text":
            return f"{pad}fl_json_str(w, {expr});\n"
        if type_.free:
            if inbound:
                return f"{pad}fl_json_in_write(w, {expr});\n"
            return self.raw(expr, "null" if field is None or field.required else "{}", pad)
        if type_.kind == "int":
            return f"{pad}fl_json_int(w, {expr});\n"
        if type_.kind == "bool":
            return f"{pad}fl_json_bool(w, {expr});\n"
        if type_.kind == "time":
            return f"{pad}fl_json_time(w, {expr});\n"
        if type_.kind == "enum":
            return f"{pad}fl_json_str(w, {self.model.schemas[type_.name].c}_text({expr}));\n"
        if type_.kind == "object":
            address = expr if field is not None and field.by_pointer else f"&{expr}"
            return f"{pad}{writer_name(self.model.schemas[type_.name])}(w, {address});\n"
        if type_.kind == "list":
            inner = self.value(type_.item, f"{expr}.ptr[i]", inbound, None, indent + 1)
            return (f"{pad}fl_json_array_begin(w);\n{pad}for (uint64_t i = 0; i < {expr}.count; ++i)\n{inner}"
                    f"{pad}fl_json_array_end(w);\n")
        raise ValueError(type_.kind)

    @staticmethod
    def raw(expr, empty, pad):
        return f"{pad}write_raw(w, {expr}, {c_text(empty)});\n"

    def present(self, field, inbound):
        """The C condition under which a field is written; None = always."""
        expr = f"v->{field.member}"
        if field.written_always:
            return None
        if field.has_flag:
            return f"v->has_{field.member}"
        if field.raw or (field.type.free and not inbound):
            return f"{expr}.len != 0"
        if field.type.free or field.by_pointer:
            return f"{expr} != NULL"
        if field.type.kind == "time":
            return f"{expr} != FLAMENCO_TIME_NONE"
        if field.type.kind == "enum":
            return f"{expr} != {self.model.schemas[field.type.name].c.upper()}_NONE"
        if field.type.kind == "text":
            return f"{expr}.len != 0"
        if field.type.kind == "list":
            return f"{expr}.count != 0"
        return f"{expr} != 0"

    def object(self, schema):
        out = f"void {writer_name(schema)}(fl_json *w, const {schema.c} *v)\n{{\n    fl_json_object_begin(w);\n"
        for field in sorted(schema.fields, key=lambda f: f.name):
            condition = self.present(field, schema.inbound)
            indent = 1 if condition is None else 2
            if condition is not None:
                out += f"    if ({condition}) {{\n"
            out += "    " * indent + f"FL_JSON_KEY(w, {c_text(field.name)});\n"
            out += self.value(field.type, f"v->{field.member}", schema.inbound, field, indent)
            if condition is not None:
                out += "    }\n"
        return out + "    fl_json_object_end(w);\n}\n\n"


def writer_name(schema):
    return "api_write_" + schema.c[4:]


def writers(model):
    """(schema, parameter type) of each writer, in the order of the document."""
    return [s for s in model.schemas.values() if s.kind in ("object", "list", "map", "alias")]


def value_schema(model, type_):
    """The named schema of a reply's type, for its C name; lists of the document keep theirs."""
    if type_.kind == "object":
        return model.schemas[type_.name]
    for schema in model.schemas.values():
        if schema.kind == type_.kind and schema.item is type_.item:
            return schema
    raise ValueError(type_.kind)


def reply_signature(model, op, status, type_):
    name = f"int32_t api_{op.name}_{status}(fl_reply *reply"
    if type_ is None:
        return name + ")"
    if type_ == "error":
        return name + ", const char *fmt, ...)"
    if type_ == "text":
        return name + ", flamenco_str text)"
    if type_.free:
        return name + ", flamenco_str json)"
    return name + f", const {value_schema(model, type_).c} *body)"


def reply_body(model, op, status, type_):
    if type_ is None:
        return f"    return fl_reply_empty(reply, {status});\n"
    if type_ == "error":
        return ("    va_list args;\n    va_start(args, fmt);\n"
                f"    int32_t rc = fl_reply_error_va(reply, {status}, fmt, args);\n    va_end(args);\n    return rc;\n")
    if type_ == "text":
        return f"    return fl_reply_text(reply, {status}, text);\n"
    if type_.free:
        return f"    return fl_reply_json_raw(reply, {status}, json);\n"
    writer = writer_name(value_schema(model, type_))
    return (f"    {writer}(fl_reply_json_begin(reply, {status}), body);\n    return fl_reply_json_end(reply);\n")


def header(model):
    out = head(["api_write.h - writes schemas as JSON, keys in alphabetical order, and answers operations.",
                "A reply function is named after operation and status, and returns 0 or NOMEM (core/api/reply.h). Errors",
                "that the document does not name go through fl_reply_error()."])
    out += ('#ifndef FL_API_WRITE_H\n#define FL_API_WRITE_H\n\n#include "api_types.h"\n#include "core/api/reply.h"\n\n')
    for schema in writers(model):
        out += f"void {writer_name(schema)}(fl_json *w, const {schema.c} *v);\n"
    out += "\n"
    tag = None
    for op in model.operations:
        if op.tag != tag:
            tag = op.tag
            out += f"/* ---- {tag} ---- */\n"
        for status, type_ in op.replies:
            out += reply_signature(model, op, status, type_)
            out += " __attribute__((format(printf, 2, 3)));\n" if type_ == "error" else ";\n"
    return out + "\n#endif\n"


def source(model):
    writer = Writer(model)
    out = head(["api_write.c - the JSON writers and replies."])
    out += '#include "api_write.h"\n\n#include "core/api/json_in.h"\n\n'
    out += comment("Splices JSON text; an empty one stands for `empty`.")
    out += ("static void write_raw(fl_json *w, flamenco_str json, const char *empty)\n{\n"
            "    fl_json_raw(w, json.len != 0 ? json : flamenco_text(empty));\n}\n\n")
    for schema in writers(model):
        if schema.kind == "object":
            out += writer.object(schema)
        elif schema.kind == "alias":
            out += (f"void {writer_name(schema)}(fl_json *w, const {schema.c} *v)\n{{\n"
                    f"    {writer_name(schema.target)}(w, v);\n}}\n\n")
        elif schema.kind == "list":
            out += f"void {writer_name(schema)}(fl_json *w, const {schema.c} *v)\n{{\n"
            out += "    fl_json_array_begin(w);\n    for (uint64_t i = 0; i < v->count; ++i)\n"
            out += writer.value(schema.item, "v->ptr[i]", schema.inbound, None, 2)
            out += "    fl_json_array_end(w);\n}\n\n"
        else:
            out += f"void {writer_name(schema)}(fl_json *w, const {schema.c} *v)\n{{\n"
            out += "    fl_json_object_begin(w);\n    for (uint64_t i = 0; i < v->count; ++i) {\n"
            out += "        fl_json_key_str(w, v->ptr[i].key);\n"
            out += writer.value(schema.item, "v->ptr[i].value", schema.inbound, None, 2)
            out += "    }\n    fl_json_object_end(w);\n}\n\n"
    for op in model.operations:
        for status, type_ in op.replies:
            out += reply_signature(model, op, status, type_) + "\n{\n" + reply_body(model, op, status, type_) + "}\n\n"
    return out

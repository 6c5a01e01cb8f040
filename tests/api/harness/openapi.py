# SPDX-License-Identifier: Apache-2.0
"""Reads api/flamenco-openapi.yaml: the operations, a valid body for each, every way to get a field's type wrong, and a check
of replies against their schemas."""
import functools
import re

import yaml

from .check import TIMESTAMP, UNKNOWN
from .manager import REPO

METHODS = ("get", "put", "post", "delete")


@functools.lru_cache(maxsize=None)
def document():
    return yaml.safe_load((REPO / "api" / "flamenco-openapi.yaml").read_text())


def resolve(node):
    """Follows references and melts allOf into one object."""
    while "$ref" in node:
        target = document()
        for part in node["$ref"][2:].split("/"):
            target = target[part]
        node = target
    if "allOf" in node:
        out = {k: v for k, v in node.items() if k != "allOf"}
        for part in node["allOf"]:
            part = resolve(part)
            for key, value in part.items():
                if key == "properties":
                    out["properties"] = {**out.get("properties", {}), **value}
                elif key == "required":
                    out["required"] = out.get("required", []) + value
                else:
                    out.setdefault(key, value)
        return out
    return node


class Operation:
    def __init__(self, method, path, node, path_params):
        self.id, self.method, self.path, self.node = node["operationId"], method.upper(), path, node
        self.params = [resolve(p) for p in path_params + node.get("parameters", [])]
        self.auth = bool(node.get("security"))
        body = resolve(node["requestBody"]) if "requestBody" in node else None
        self.body_required = bool(body and body.get("required"))
        self.content = {t: resolve(c["schema"]) for t, c in body["content"].items()} if body else {}
        self.body = self.content.get("application/json")

    def __repr__(self):
        return self.id

    def url(self, **values):
        """The path below /api/v3 with every parameter filled in."""
        def value(match):
            name = match.group(1)
            return str(values.get(name, {"audience": "users", "platform": "linux", "typeName": "graph", "checksum": "a" * 64,
                                         "filesize": 12}.get(name, UNKNOWN)))
        return re.sub(r"\{(\w+)\}", value, self.path).removeprefix("/api/v3")

    def query_params(self):
        return [p for p in self.params if p["in"] == "query"]


@functools.lru_cache(maxsize=None)
def operations():
    out = []
    for path, item in document()["paths"].items():
        for method in METHODS:
            if method in item:
                out.append(Operation(method, path, item[method], item.get("parameters", [])))
    return out


def operation(name):
    return next(op for op in operations() if op.id == name)


# ---- Bodies -------------------------------------------------------------------------------------------------------------

def sample(schema):
    """A valid value, with every declared property."""
    schema = resolve(schema)
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        if "properties" in schema:
            return {name: sample(sub) for name, sub in schema["properties"].items()}
        extra = schema.get("additionalProperties")
        return {"key": sample(extra)} if isinstance(extra, dict) and extra else {}
    if kind == "array":
        return [sample(schema["items"])]
    if kind == "string":
        return "2026-05-01T10:00:00Z" if schema.get("format") == "date-time" else "text"
    return {"integer": schema.get("minimum", 7), "boolean": True, "number": 0.5}.get(kind)


WRONG = {"null": None, "a boolean": True, "an integer": 7, "a real": 1.5, "a string": "text", "an array": [], "an object": {}}
RIGHT = {"object": "an object", "array": "an array", "integer": "an integer", "boolean": "a boolean", "string": "a string"}


def _places(schema, value, at=()):
    """Every (path, schema) within a sample value that has a type of its own."""
    schema = resolve(schema)
    if "type" not in schema and "enum" not in schema:
        return  # anything goes
    yield at, schema
    if isinstance(value, dict):
        for key, sub in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if isinstance(inner, dict) and inner:
                yield from _places(inner, sub, at + (key,))
    elif isinstance(value, list):
        for i, sub in enumerate(value):
            yield from _places(schema["items"], sub, at + (i,))


def _replace(value, at, new):
    if not at:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[at[0]] = _replace(copy[at[0]], at[1:], new)
    return copy


def _remove(value, at):
    if len(at) == 1:
        return {k: v for k, v in value.items() if k != at[0]}
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[at[0]] = _remove(copy[at[0]], at[1:])
    return copy


def wrong_bodies(op):
    """Yields (what is wrong, body) for every field of an operation's body: all wrong types, values outside the enum and
    the range, required keys missing."""
    good = sample(op.body)
    for at, schema in _places(op.body, good):
        where = "/" + "/".join(map(str, at))
        right = "a string" if "enum" in schema else RIGHT[schema["type"]]
        for name, value in WRONG.items():
            if name == right or (value is None and "default" in schema):
                continue
            yield f"{where} is {name}", _replace(good, at, value)
        if "enum" in schema:
            for value in ("", "no-such-member", schema["enum"][0].upper(), schema["enum"][0] + " "):
                yield f"{where} is {value!r}", _replace(good, at, value)
        if schema.get("format") == "date-time":
            for value in ("", "yesterday", "2026-05-01", "2026-13-01T00:00:00Z", "2026-05-01T10:00:00"):
                yield f"{where} is {value!r}", _replace(good, at, value)
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in schema:
                yield f"{where} is beyond {bound}", _replace(good, at, schema[bound] + step)
        for key in schema.get("required", ()):
            if "default" not in resolve(schema["properties"][key]):
                yield f"{where}/{key} is missing", _remove(good, at + (key,))


# ---- Replies ------------------------------------------------------------------------------------------------------------

def problems(schema, value, at=""):
    """Everything in a reply that its schema does not allow; undeclared fields, too."""
    if isinstance(schema, str):
        schema = document()["components"]["schemas"][schema]
    schema = resolve(schema)
    if value is None and schema.get("nullable"):
        return []
    if "anyOf" in schema:
        found = [problems(one, value, at) for one in schema["anyOf"]]
        return [] if [] in found else found[0]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{at}: {value!r} is not in {schema['enum']}"]
    kind = schema.get("type")
    if kind == "object":
        return _object_problems(schema, value, at)
    if kind == "array":
        if not isinstance(value, list):
            return [f"{at}: {value!r} is no array"]
        return [p for i, item in enumerate(value) for p in problems(schema["items"], item, f"{at}/{i}")]
    fits = {"string": isinstance(value, str), "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool)}.get(kind, True)
    if not fits:
        return [f"{at}: {value!r} is no {kind}"]
    if schema.get("format") == "date-time" and not TIMESTAMP.fullmatch(value):
        return [f"{at}: {value!r} is no timestamp"]
    return []


def _object_problems(schema, value, at):
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is no object"]
    declared, extra = schema.get("properties", {}), schema.get("additionalProperties")
    out = [f"{at}/{key} is missing" for key in schema.get("required", ()) if key not in value]
    for key, sub in value.items():
        if key in declared:
            out += problems(declared[key], sub, f"{at}/{key}")
        elif isinstance(extra, dict):
            out += problems(extra, sub, f"{at}/{key}") if extra else []
        elif declared:
            out.append(f"{at}/{key} is not declared")
    return out


def assert_schema(name, value):
    found = problems(name, value)
    assert not found, "\n".join(found)

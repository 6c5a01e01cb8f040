# SPDX-License-Identifier: Apache-2.0
"""Checks what the writers write against the API's document.

usage: check_samples.py DOCUMENT PROGRAM ARGUMENT...

The checker shares no code with the generator: a mistake there must not hide itself.
"""
import json
import re
import subprocess
import sys

import yaml

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def resolve(schemas, schema):
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    return schema


def merged(schemas, schema):
    """properties, required and always of an object, with the parts of allOf put together."""
    schema = resolve(schemas, schema)
    properties, required, always = {}, set(), set(schema.get("x-flamenco-always-fields", []))
    for part in schema.get("allOf", []):
        p, r, a = merged(schemas, part)
        properties.update(p)
        required |= r
        always |= a
    properties.update(schema.get("properties", {}))
    required |= set(schema.get("required", []))
    always |= {n for n, p in schema.get("properties", {}).items() if p.get("x-flamenco-always")}
    return properties, required, always


def check(schemas, schema, value, place, full):
    """Raises AssertionError when the value does not fit. full: every optional property must be there, else none."""
    nullable, text = schema.get("nullable"), schema.get("x-flamenco-text")
    schema = resolve(schemas, schema)
    if "allOf" in schema and len(schema["allOf"]) == 1:
        schema = resolve(schemas, schema["allOf"][0])
    if value is None:
        assert nullable or "type" not in schema and "allOf" not in schema, f"{place}: null"
        return
    if "enum" in schema:
        assert value in schema["enum"] or (not full and value == "") or (text and isinstance(value, str)), f"{place}: {value}"
        return
    kind = schema.get("type")
    if kind == "string":
        assert isinstance(value, str), place
        if schema.get("format") == "date-time":
            assert TIME.fullmatch(value), f"{place}: {value}"
    elif kind == "integer":
        assert isinstance(value, int) and not isinstance(value, bool), place
    elif kind == "boolean":
        assert isinstance(value, bool), place
    elif kind == "array":
        assert isinstance(value, list), place
        for number, item in enumerate(value):
            check(schemas, schema["items"], item, f"{place}/{number}", full)
    elif kind == "object" and "properties" not in schema:
        assert isinstance(value, dict), place
        if isinstance(schema.get("additionalProperties"), dict):
            for name, item in value.items():
                check(schemas, schema["additionalProperties"], item, f"{place}/{name}", full)
    elif kind == "object" or "allOf" in schema:
        assert isinstance(value, dict), place
        properties, required, always = merged(schemas, schema)
        expected = sorted(properties if full else required | always)
        assert list(value) == expected, f"{place}: keys {list(value)}, expected {expected}"
        for name, item in value.items():
            check(schemas, properties[name], item, f"{place}/{name}", full)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schemas = yaml.safe_load(file)["components"]["schemas"]
    run = subprocess.run(sys.argv[2:], stdout=subprocess.PIPE, check=True)
    wanted = {name for name, schema in schemas.items()
              if "enum" not in schema and not (schema.get("additionalProperties") in (True, {"type": "string"}))}
    seen = set()
    for line in run.stdout.decode("utf-8").splitlines():
        name, kind, text = line.split(" ", 2)
        value = json.loads(text)
        assert json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c") == text, f"{name}: {text}"
        if name not in schemas:  # an object within another one
            continue
        check(schemas, schemas[name], value, name, kind == "full")
        seen.add((name, kind))
    missing = {(name, kind) for name in wanted for kind in ("full", "empty")} - seen
    assert not missing, missing
    print(f"{len(seen)} passed, 0 failed")


main()

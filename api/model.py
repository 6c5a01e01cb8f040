# SPDX-License-Identifier: Apache-2.0
"""Reads flamenco-openapi.yaml into the simple model that the writers of C code share.

Everything that the document may contain but the generator does not understand is an error: a constraint that is silently
not checked would be worse than a broken build.
"""
import re

import yaml

C_WORDS = {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
           "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
           "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while"}
METHODS = ("get", "put", "post", "delete")
JSON = "application/json"
NO_VALUE = {"type": "string", "enum": [""]}  # the text of an enumeration's NONE
DEFAULT_BODY_LIMIT = 16 * 1024 * 1024
CLASSES = ("none", "read", "write", "steps", "work")
LANES = ("", "configuration", "check")
SCHEMA_KEYS = {"type", "format", "description", "enum", "default", "minimum", "maximum", "items", "properties", "required",
               "additionalProperties", "nullable", "allOf", "anyOf", "$ref", "x-flamenco-always", "x-flamenco-omit-empty",
               "x-flamenco-raw", "x-flamenco-always-fields"}
OPERATION_KEYS = {"operationId", "tags", "summary", "description", "parameters", "requestBody", "responses", "security",
                  "x-flamenco-class", "x-flamenco-prepare", "x-flamenco-finish", "x-flamenco-body-limit",
                  "x-flamenco-unvalidated", "x-flamenco-worker", "x-flamenco-lane",
                  "x-flamenco-late-limit", "x-flamenco-storage"}


class DocumentError(Exception):
    """The document is wrong, or uses what the generator does not know."""


def snake(name):
    """someName, SomeIOName, Some-Name -> some_name, some_io_name, some_name."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return name.lower()


def member(name):
    """The C member for a JSON name."""
    text = snake(name)
    return text + "_" if text in C_WORDS else text


def c_text(text):
    """A C string literal. Only plain ASCII occurs in names of the document."""
    if not all(32 <= ord(c) < 127 for c in text):
        raise DocumentError(f"not plain ASCII: {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Type:
    """kind: text int bool time enum any object_free text_map map list object ref_list.

    any, object_free and text_map are free-form: json_t * in requests, JSON text in replies.
    """

    def __init__(self, kind, **more):
        self.kind = kind
        self.name = more.get("name")  # enum, object: the schema's
        self.item = more.get("item")  # list, map
        self.minimum = more.get("minimum")
        self.maximum = more.get("maximum")
        self.bits = more.get("bits", 64)

    @property
    def free(self):
        return self.kind in ("any", "object_free", "text_map")


class Field:
    def __init__(self, name, type_, required, schema):
        self.name = name
        self.member = member(name)
        self.type = type_
        self.required = required
        self.always = bool(schema.get("x-flamenco-always"))
        self.omit_empty = bool(schema.get("x-flamenco-omit-empty"))
        self.raw = bool(schema.get("x-flamenco-raw"))
        self.nullable = bool(schema.get("nullable"))
        self.default = schema.get("default")
        self.inbound = False

    def copy(self):
        new = Field.__new__(Field)
        new.__dict__.update(self.__dict__)
        return new

    @property
    def written_always(self):
        return self.required or self.always

    @property
    def by_pointer(self):
        """Optional objects are pointers; NULL = absent."""
        return self.type.kind == "object" and not self.written_always

    @property
    def has_flag(self):
        """Kinds whose absence the value cannot show have a has_ member."""
        if self.written_always or self.omit_empty or self.raw:
            return False
        return self.type.kind in ("text", "int", "bool", "list") and not (self.inbound and self.default is not None)


class Schema:
    """kind: enum object list map alias free."""

    def __init__(self, name, kind, schema):
        self.name = name
        self.c = "api_" + snake(name)
        self.kind = kind
        self.doc = schema.get("description", "")
        self.fields = []
        self.values = schema.get("enum", [])
        self.item = None
        self.target = None
        self.free_type = None
        self.inbound = self.outbound = False


class Parameter:
    def __init__(self, name, where, type_, required, unvalidated):
        self.name = name
        self.where = where
        self.type = type_
        self.required = required
        self.unvalidated = unvalidated
        self.member = member(name[2:] if name.startswith("X-") else name)

    @property
    def has_flag(self):
        return not self.required and self.type.kind in ("text", "int", "bool", "list")


class Operation:
    pass


class Model:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.document = yaml.safe_load(file)
        self.schemas = {}
        self.operations = []
        for name, schema in self.document["components"]["schemas"].items():
            self._schema(name, schema)
        for path_, methods in self.document["paths"].items():
            for method in METHODS:
                if method in methods:
                    self.operations.append(self._operation(path_, method, methods[method]))
            unknown = set(methods) - set(METHODS)
            if unknown:
                raise DocumentError(f"{path_}: {unknown}")
        for number, operation in enumerate(self.operations):
            operation.number = number
        self._directions()

    # -- schemas ------------------------------------------------------------------------------------------------------

    def _node(self, schema, place):
        unknown = set(schema) - SCHEMA_KEYS
        if unknown:
            raise DocumentError(f"{place}: unknown {sorted(unknown)}")
        return schema

    @staticmethod
    def _ref_name(schema):
        return schema["$ref"].rsplit("/", 1)[1]

    def _schema(self, name, schema):
        if name in self.schemas:
            return self.schemas[name]
        schema = self._node(schema, name)
        if "$ref" in schema:
            made = Schema(name, "alias", {})
            made.target = self._named(self._ref_name(schema))
            made.doc = made.target.doc
        elif "enum" in schema:
            made = Schema(name, "enum", schema)
        elif "allOf" in schema:
            made = Schema(name, "object", schema)
            for part in schema["allOf"]:
                if "$ref" in part:
                    made.fields += [f.copy() for f in self._named(self._ref_name(part)).fields]
                else:
                    made.fields += self._fields(name, part)
            for field in made.fields:
                if field.name in schema.get("x-flamenco-always-fields", []):
                    field.always = True
        elif schema.get("type") == "array":
            made = Schema(name, "list", schema)
            made.item = self._type(schema["items"], name)
        elif schema.get("type") == "object" and "properties" in schema:
            made = Schema(name, "object", schema)
            made.fields = self._fields(name, schema)
        elif schema.get("type") == "object":
            made = Schema(name, "map", schema)
            type_ = self._type(schema, name)
            if type_.free:
                made.kind, made.free_type = "free", type_
            else:
                made.item = type_.item
        else:
            raise DocumentError(f"{name}: not understood")
        names = [f.member for f in made.fields]
        if len(set(names)) != len(names):
            raise DocumentError(f"{name}: two fields with one name")
        self.schemas[name] = made
        return made

    def _named(self, name):
        return self._schema(name, self.document["components"]["schemas"][name])

    def _fields(self, owner, schema):
        required = schema.get("required", [])
        missing = set(required) - set(schema["properties"])
        if missing:
            raise DocumentError(f"{owner}: {missing} required, but not there")
        fields = []
        for name, sub in schema["properties"].items():
            self._node(sub, f"{owner}.{name}")
            if sub.get("type") == "object" and "properties" in sub:
                inner = owner + name[0].upper() + name[1:]
                self._schema(inner, sub)
                type_ = Type("object", name=inner)
            else:
                type_ = self._type(sub, f"{owner}.{name}")
            fields.append(Field(name, type_, name in required, sub))
        return fields

    def _type(self, schema, place):
        schema = self._node(schema, place)
        if "anyOf" in schema:
            if len(schema["anyOf"]) != 2 or schema["anyOf"][1] != NO_VALUE:
                raise DocumentError(f"{place}: anyOf is for an enumeration of replies that may be {NO_VALUE}")
            schema = schema["anyOf"][0]
        if "$ref" in schema or ("allOf" in schema and len(schema["allOf"]) == 1):
            target = self._named(self._ref_name(schema if "$ref" in schema else schema["allOf"][0]))
            while target.kind == "alias":
                target = target.target
            if target.kind == "enum":
                return Type("enum", name=target.name)
            if target.kind == "object":
                return Type("object", name=target.name)
            if target.kind == "list":
                return Type("list", item=target.item)
            if target.kind == "free":
                return target.free_type
            return Type("map", item=target.item)
        kind, format_ = schema.get("type"), schema.get("format")
        if kind is None:
            return Type("any")
        if kind == "string":
            if format_ == "date-time":
                return Type("time")
            if format_ not in (None, "url", "HH:MM", "binary"):
                raise DocumentError(f"{place}: format {format_}")
            return Type("text")
        if kind == "integer":
            if format_ not in (None, "int32"):
                raise DocumentError(f"{place}: format {format_}")
            return Type("int", minimum=schema.get("minimum"), maximum=schema.get("maximum"),
                        bits=32 if format_ == "int32" else 64)
        if kind == "boolean":
            return Type("bool")
        if kind == "array":
            return Type("list", item=self._type(schema["items"], place))
        if kind == "object":
            values = schema.get("additionalProperties", True)
            if values is True:
                return Type("object_free")
            item = self._type(values, place)
            return Type("text_map") if item.kind == "text" else Type("map", item=item)
        raise DocumentError(f"{place}: type {kind}")

    # -- operations ---------------------------------------------------------------------------------------------------

    def _resolve(self, node):
        while "$ref" in node:
            parts = node["$ref"].split("/")[1:]
            node = self.document
            for part in parts:
                node = node[part]
        return node

    def _operation(self, path, method, node):
        op = Operation()
        op.id = node["operationId"]
        unknown = set(node) - OPERATION_KEYS
        if unknown or "description" not in node or "summary" not in node:
            raise DocumentError(f"{op.id}: unknown {sorted(unknown)}, or without description or summary")
        op.name = snake(op.id)
        op.path, op.method = path, method.upper()
        op.doc = node["summary"]
        op.tag = node["tags"][0]
        op.klass = node["x-flamenco-class"]
        if op.klass not in CLASSES:
            raise DocumentError(f"{op.id}: class {op.klass}")
        op.lane = node.get("x-flamenco-lane", "")
        if op.lane not in LANES or (op.lane and op.klass != "work"):
            raise DocumentError(f"{op.id}: lane {op.lane}")
        op.storage = bool(node.get("x-flamenco-storage"))
        if op.storage and op.klass != "work":
            raise DocumentError(f"{op.id}: only work waits for the storage")
        op.prepare = bool(node.get("x-flamenco-prepare"))
        op.finish = bool(node.get("x-flamenco-finish"))
        op.body_limit = node.get("x-flamenco-body-limit", DEFAULT_BODY_LIMIT)
        op.late_limit = bool(node.get("x-flamenco-late-limit"))
        op.unvalidated = bool(node.get("x-flamenco-unvalidated"))
        op.worker = bool(node.get("x-flamenco-worker"))
        op.auth = bool(node.get("security"))
        op.parameters = []
        for parameter in node.get("parameters", []):
            op.parameters.append(self._parameter(op, self._resolve(parameter)))
        wanted = re.findall(r"\{(\w+)\}", path)
        if wanted != [p.name for p in op.parameters if p.where == "path"]:
            raise DocumentError(f"{op.id}: path parameters differ from those of {path}")
        self._body(op, node.get("requestBody"))
        self._replies(op, node["responses"])
        return op

    def _parameter(self, op, node):
        type_ = self._type(node["schema"], f"{op.id}.{node['name']}")
        if node["in"] == "path" and type_.kind == "enum" and op.unvalidated:
            type_ = Type("text")
        if type_.kind not in ("text", "int", "bool", "enum", "time", "list"):
            raise DocumentError(f"{op.id}.{node['name']}: {type_.kind}")
        if type_.kind == "list" and (type_.item.kind != "enum" or node.get("explode", True)):
            raise DocumentError(f"{op.id}.{node['name']}: only lists of enumerations separated by commas")
        return Parameter(node["name"], node["in"], type_, node.get("required", False), op.unvalidated)

    def _body(self, op, node):
        op.body, op.body_required, op.content_types = None, False, []
        if node is None:
            return
        op.body_required = node.get("required", False)
        op.content_types = list(node["content"])
        if op.content_types == [JSON]:
            schema = node["content"][JSON]["schema"]
            op.body = self._type(schema, op.id + " body")
            if op.body.kind not in ("object", "list", "object_free"):
                raise DocumentError(f"{op.id}: a body of kind {op.body.kind}")
        else:
            op.body = Type("binary")

    def _replies(self, op, node):
        """op.replies: (status, None | "text" | "error" | Type)."""
        op.replies = []
        for status, reply in node.items():
            if not isinstance(status, str):
                raise DocumentError(f"{op.id}: quote the status {status}")
            reply = self._resolve(reply)
            if status == "default":
                continue
            content = reply.get("content", {})
            if JSON in content:
                type_ = self._type(content[JSON]["schema"], f"{op.id} {status}")
                if type_.kind == "object" and type_.name in ("Error", "SecurityError"):
                    type_ = "error"
                op.replies.append((int(status), type_))
            elif "text/plain" in content:
                op.replies.append((int(status), "text"))
            elif "text/event-stream" in content:
                continue # written by its handler, bit by bit
            elif "is an `Error`" in reply["description"]:
                op.replies.append((int(status), "error"))
            elif not content:
                op.replies.append((int(status), None))
            else:
                raise DocumentError(f"{op.id} {status}: {list(content)}")
        if "default" not in node:
            raise DocumentError(f"{op.id}: no default reply")

    # -- directions ---------------------------------------------------------------------------------------------------

    def _reach(self, type_, attribute, seen):
        if type_.item is not None:
            self._reach(type_.item, attribute, seen)
        if type_.name is None or type_.name in seen:
            return
        seen.add(type_.name)
        schema = self.schemas[type_.name]
        setattr(schema, attribute, True)
        for field in schema.fields:
            self._reach(field.type, attribute, seen)

    def _directions(self):
        """Finds out what is read and what is written: free-form members differ between the two."""
        seen = set()
        for op in self.operations:
            if op.body is not None and op.body.kind != "binary":
                self._reach(op.body, "inbound", seen)
        for name, schema in self.schemas.items():
            if schema.kind == "object" and not schema.inbound:
                schema.outbound = True
        seen = set()
        for op in self.operations:
            for _, type_ in op.replies:
                if isinstance(type_, Type):
                    self._reach(type_, "outbound", seen)
        for schema in self.schemas.values():
            for field in schema.fields:
                field.inbound = schema.inbound
                if schema.inbound and schema.outbound and field.type.free:
                    raise DocumentError(f"{schema.name}.{field.name}: free-form, and both read and written")
                if schema.inbound and field.default is not None and field.type.kind != "int":
                    raise DocumentError(f"{schema.name}.{field.name}: a default that is no number")

    def ordered(self):
        """Schemas, each behind those that its struct contains."""
        done, order = set(), []

        def visit(schema):
            if schema.name in done:
                return
            done.add(schema.name)
            types = [f.type for f in schema.fields]
            if schema.item is not None:
                types.append(schema.item)
            if schema.target is not None:
                visit(schema.target)
            for type_ in types:
                while type_.item is not None:
                    type_ = type_.item
                if type_.name is not None:
                    visit(self.schemas[type_.name])
            order.append(schema)

        for schema in self.schemas.values():
            visit(schema)
        return order

# SPDX-License-Identifier: Apache-2.0
"""Writes api_routes.[ch]: the interface that the handlers fill, the table of operations, and the tree of paths."""
from model import LANES, c_text
from out_types import comment, head

METHOD_ORDER = ("DELETE", "GET", "POST", "PUT")  # the order within Allow

INTERFACE = """/* One request under way; made by the core. */
typedef struct fl_call fl_call;

/* The handlers. Each fills the call's reply and returns 0, or a FLAMENCO_E_* with the reply left empty, which the core answers
 * (fl_reply_failure). `in` is borrowed for as long as the call lives. prepare_... and finish_... run on a worker thread before
 * and after the handler; they may be NULL. finish_... is called only when the handler returned 0 and left reply.status 0. */
typedef struct flamenco_server_interface {
"""

TABLE = """
/* On which thread and in what a handler runs; see the document's head. */
#define API_CLASS_NONE 0u
#define API_CLASS_READ 1u
#define API_CLASS_WRITE 2u
#define API_CLASS_STEPS 3u
#define API_CLASS_WORK 4u

/* What the core needs to know of an operation. */
typedef struct api_operation {
    api_op id;
    uint32_t klass;      /* API_CLASS_* */
    const char *name;    /* operationId */
    const char *method;
    const char *path;    /* template */
    uint64_t body_limit; /* bytes; 0 = as large as declared */
    uint32_t in_size;    /* of its api_..._in */
    uint32_t lane;       /* handlers of one lane run one after the other; 0 = each by itself */
    uint8_t auth;        /* needs a Worker's credentials */
    uint8_t worker;      /* trouble of the database closes the connection instead of a 5xx */
    uint8_t prepare, finish;
    uint8_t has_body;    /* 0: a body is ignored */
    uint8_t validated;
    uint8_t late_limit;  /* the handler answers a body above the limit */
    uint8_t storage;     /* waits for the shared storage */
} api_operation;

/* The operation, or NULL when the number is none. */
const api_operation *api_operation_get(uint32_t op);

/* Finds the operation for a method and an encoded path without its query. Returns 0 with *out filled, or NOMEM. */
typedef fl_route_match api_match;
int32_t api_route(flamenco_str method, flamenco_str path, fl_arena *arena, api_match *out);

/* Checks a request of operation `op` into an api_..._in that is made in the arena. Returns 0; INVALID with what to answer in
 * problem; NOMEM. After success api_decoded_fini() must be called once, before the arena ends. */
int32_t api_decode(uint32_t op, const fl_api_raw *raw, fl_arena *arena, void **in_out, fl_api_problem *problem);
void api_decoded_fini(void *in); /* accepts NULL */

/* Call the handler of operation `op`, or what comes before and after it. UNSUPPORTED: there is no handler (to be answered with
 * 501). A missing prepare or finish step is no error. */
int32_t api_invoke(const flamenco_server_interface *si, uint32_t op, fl_call *call, const void *in);
int32_t api_prepare(const flamenco_server_interface *si, uint32_t op, fl_call *call, const void *in);
int32_t api_finish(const flamenco_server_interface *si, uint32_t op, fl_call *call, const void *in);

/* The API's document as JSON, with a newline behind it. */
flamenco_str api_document(void);

#endif
"""


def header(model):
    out = head(["api_routes.h - the operations of the REST API: their numbers and attributes, the interface that the handlers",
                "fill, and the way from a request to its handler."])
    out += '#ifndef FL_API_ROUTES_H\n#define FL_API_ROUTES_H\n\n#include "api_decode.h"\n#include "core/api/router.h"\n\n'
    out += "typedef enum api_op {\n"
    for op in model.operations:
        out += f"    API_OP_{op.name.upper()} = {op.number},\n"
    out += f"    API_OP_COUNT = {len(model.operations)}\n}} api_op;\n\n" + INTERFACE
    tag = None
    for op in model.operations:
        if op.tag != tag:
            tag = op.tag
            out += f"    /* ---- {tag} ---- */\n"
        for step in (["prepare_"] if op.prepare else []) + [""] + (["finish_"] if op.finish else []):
            out += f"    int32_t (*{step}{op.name})(fl_call *call, const api_{op.name}_in *in);\n"
    return out + "} flamenco_server_interface;\n" + TABLE


class Node:
    def __init__(self, text=None):
        self.text = text
        self.literals = {}
        self.param = None
        self.path = 0
        self.takes_rest = False


def tree(model):
    """The root node and the list of (path, operations by method)."""
    root, paths = Node(), {}
    for op in model.operations:
        paths.setdefault(op.path, []).append(op)
    for number, (path, ops) in enumerate(paths.items()):
        node = root
        for part in path.strip("/").split("/"):
            if part.startswith("{"):
                node.param = node.param or Node()
                node = node.param
            else:
                node = node.literals.setdefault(part, Node(part))
        if node.path:
            raise ValueError(f"{path}: there is another path of this form")
        node.path = number + 1
        unvalidated = {op.unvalidated for op in ops}
        if len(unvalidated) != 1:
            raise ValueError(f"{path}: validated and not")
        if ops[0].unvalidated:
            node.takes_rest = True
    return root, list(paths.items())


def flat(root):
    """Nodes in an order in which the literals behind one node are neighbours."""
    order, todo = [root], [root]
    while todo:
        node = todo.pop(0)
        children = sorted(node.literals.values(), key=lambda n: (len(n.text), n.text))
        node.first = len(order) + 1 if children else 0
        order += children
        todo += children
        if node.param is not None:
            order.append(node.param)
            todo.append(node.param)
    for number, node in enumerate(order):
        node.number = number + 1
    return order


def route_tables(model):
    root, paths = tree(model)
    out = "static const fl_route_node nodes[] = {\n"
    for node in flat(root):
        text = f".text = {c_text(node.text)}, .len = {len(node.text)}, " if node.text else ""
        out += f"    {{ {text}.first = {node.first}, .count = {len(node.literals)}, "
        out += f".param = {node.param.number if node.param else 0}, .path = {node.path}"
        out += ", .takes_rest = 1 },\n" if node.takes_rest else " },\n"
    out += "};\n\nstatic const fl_route_path paths[] = {\n"
    for path, ops in paths:
        methods = {op.method: op for op in ops}
        numbers = ", ".join(str(methods[m].number + 1) if m in methods else "0" for m in METHOD_ORDER)
        allow = ", ".join(["OPTIONS"] + [m for m in METHOD_ORDER if m in methods])
        out += f"    {{ .operations = {{ {numbers} }}, .unvalidated = {int(ops[0].unvalidated)}, "
        out += f".allow = {c_text(allow)} }}, /* {path} */\n"
    return out + "};\n\nstatic const fl_route_tree routes = { nodes, paths };\n\n"


def thunks(model):
    """Functions of one form for operations of many."""
    out = ""
    for op in model.operations:
        struct = f"api_{op.name}_in"
        out += (f"static int32_t decode_{op.name}(const fl_api_raw *raw, fl_arena *arena, void *out, "
                f"fl_api_problem *problem)\n{{\n    return api_decode_{op.name}(raw, arena, out, problem);\n}}\n\n")
        steps = [("invoke", "", "FLAMENCO_E_UNSUPPORTED")]
        steps += [("prepare", "prepare_", "FLAMENCO_OK")] if op.prepare else []
        steps += [("finish", "finish_", "FLAMENCO_OK")] if op.finish else []
        for verb, prefix, missing in steps:
            out += (f"static int32_t {verb}_{op.name}(const flamenco_server_interface *si, fl_call *call, const void *in)\n"
                    f"{{\n    return si->{prefix}{op.name} != NULL ? si->{prefix}{op.name}(call, (const {struct} *)in) : "
                    f"{missing};\n}}\n\n")
    return out


FUNCTIONS = """
const api_operation *api_operation_get(uint32_t op)
{
    return op < API_OP_COUNT ? &operations[op] : NULL;
}

int32_t api_route(flamenco_str method, flamenco_str path, fl_arena *arena, api_match *out)
{
    return fl_router_find(&routes, method, path, arena, out);
}

int32_t api_decode(uint32_t op, const fl_api_raw *raw, fl_arena *arena, void **in_out, fl_api_problem *problem)
{
    if (op >= API_OP_COUNT)
        return FLAMENCO_E_INTERNAL;
    void *in = fl_arena_alloc(arena, operations[op].in_size);
    if (in == NULL)
        return FLAMENCO_E_NOMEM;
    int32_t rc = calls[op].decode(raw, arena, in, problem);
    if (rc == 0)
        *in_out = in;
    return rc;
}

void api_decoded_fini(void *in)
{
    fl_api_decoded_fini((fl_api_decoded *)in);
}

int32_t api_invoke(const flamenco_server_interface *si, uint32_t op, fl_call *call, const void *in)
{
    return op < API_OP_COUNT ? calls[op].invoke(si, call, in) : FLAMENCO_E_INTERNAL;
}

int32_t api_prepare(const flamenco_server_interface *si, uint32_t op, fl_call *call, const void *in)
{
    return op < API_OP_COUNT && calls[op].prepare != NULL ? calls[op].prepare(si, call, in) : FLAMENCO_OK;
}

int32_t api_finish(const flamenco_server_interface *si, uint32_t op, fl_call *call, const void *in)
{
    return op < API_OP_COUNT && calls[op].finish != NULL ? calls[op].finish(si, call, in) : FLAMENCO_OK;
}
"""


def source(model):
    out = head(["api_routes.c - the tables of paths and operations."])
    out += '#include "api_routes.h"\n\n' + route_tables(model) + thunks(model)
    out += "static const api_operation operations[API_OP_COUNT] = {\n"
    for op in model.operations:
        out += (f"    {{ .id = API_OP_{op.name.upper()}, .klass = API_CLASS_{op.klass.upper()}, .name = {c_text(op.id)}, "
                f".method = {c_text(op.method)}, .path = {c_text(op.path)}, .body_limit = UINT64_C({op.body_limit}), "
                f".in_size = (uint32_t)sizeof(api_{op.name}_in), .lane = {LANES.index(op.lane)}, .auth = {int(op.auth)}, .worker = {int(op.worker)}, "
                f".prepare = {int(op.prepare)}, .finish = {int(op.finish)}, .has_body = {int(op.body is not None)}, "
                f".validated = {int(not op.unvalidated)}, .late_limit = {int(op.late_limit)}, .storage = {int(op.storage)} }},\n")
    out += "};\n\n"
    out += comment("The functions of each operation, beside the table that everybody may read.")
    out += ("typedef int32_t (*call_fn)(const flamenco_server_interface *si, fl_call *call, const void *in);\n"
            "static const struct {\n    int32_t (*decode)(const fl_api_raw *raw, fl_arena *arena, void *out, "
            "fl_api_problem *problem);\n    call_fn invoke, prepare, finish;\n} calls[API_OP_COUNT] = {\n")
    for op in model.operations:
        prepare = f", .prepare = prepare_{op.name}" if op.prepare else ""
        finish = f", .finish = finish_{op.name}" if op.finish else ""
        out += f"    {{ .decode = decode_{op.name}, .invoke = invoke_{op.name}{prepare}{finish} }},\n"
    return out + "};\n" + FUNCTIONS

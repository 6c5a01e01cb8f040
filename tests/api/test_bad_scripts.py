# SPDX-License-Identifier: Apache-2.0
"""Job types that misbehave: the artist gets 400 with script, line and message, and the manager lives."""
import os
import signal
from pathlib import Path

import pytest
from harness.check import assert_empty, assert_error, wait_until
from harness.http import Background
from harness.manager import scale

HEAD = 'const JOB_TYPE = { label: "x", settings: [] };\n'


def script(body):
    """A script whose compileJob begins on line 2; its body begins on line 3."""
    return HEAD + "function compileJob(job) {\n" + body + "\n}\n"


THROWS = {
    # file: (body, what the message contains)
    "error": ('throw new Error("no tiles");', ["Error: no tiles", "error.js:3"]),
    "type_error": ('throw new TypeError("x");', ["TypeError: x", "type_error.js:3"]),
    "text": ('\nthrow "needs frames";', ["needs frames"]),
    "number": ("throw 42;", ["42"]),
    "null": ("throw null;", ["null"]),
    "undefined": ("throw undefined;", ["undefined"]),
    "object": ("throw {a: 1};", ["[object Object]"]),
    "undeclared": ("\n\nnothing.at.all;", ["ReferenceError: ", "undeclared.js:5"]),
    "not_a_function": ("job.explode();", ["TypeError: ", "not_a_function.js:3"]),
    "add_text": ('job.addTask("text");', ["TypeError"]),
    "chunker": ('frameChunker("a-b", 3);', []),
    "umlaut": ('throw new Error("Größe <&> 😀");', ["Größe <&> 😀"]),
    "empty_name": ('author.Task("  ", "misc");', []),
    "deep": ("function f() { return f() + 1; }\nf();", ["RangeError"]),
    "long": ('throw new Error("x".repeat(1000000));', ["Error: xxx"]),
    "evil_to_string": ("throw { toString() { throw new Error('again'); } };", []),
}

HANGS = {
    "loop": "for (;;) {}",
    "loop_in_try": "for (;;) { try { for (;;) {} } catch (e) {} finally { continue; } }",
    "microtasks": "async function f() { for (;;) { await 0; } }\nf();",
    "promises": "const again = () => Promise.resolve().then(again);\nagain();",
    "regexp": '/^(a+)+$/.test("a".repeat(60) + "b");',
    "getter": 'Object.defineProperty(globalThis, "x", { get() { for (;;) {} } });\nx;',
    "generator": "function* g() { for (;;) yield 1; }\nfor (const i of g()) {}",
}

BOMBS = {
    "array": "const a = [];\nfor (;;) a.push({ x: a.length, y: [1, 2, 3] });",
    "string": 'let s = "x";\nfor (;;) s = s + s;',
    "typed": "const a = [];\nfor (;;) a.push(new Uint8Array(1 << 20).fill(1));",
    "tasks": 'for (;;) job.addTask(author.Task("t", "misc"));',
    "settings": 'for (let i = 0;; i++) job.settings["k" + i] = "v".repeat(1000);',
    "map": "const m = new Map();\nfor (let i = 0;; i++) m.set(i, { i });",
}


@pytest.fixture(scope="module")
def bad_farm(tmp_path_factory):
    from conftest import start_farm
    scripts = {f"{name}.js": script(body) for name, (body, _) in THROWS.items()}
    scripts.update({f"hang_{name}.js": script(body) for name, body in HANGS.items()})
    scripts.update({f"bomb_{name}.js": script(body) for name, body in BOMBS.items()})
    scripts["load_loop.js"] = "for (;;) {}\n" + script("")
    scripts["busy.js"] = script("const until = Date.now() + 400; while (Date.now() < until) {}")
    farm = start_farm(tmp_path_factory.mktemp("bad"), scripts=scripts, yaml={"plugins": {"job_compiler": {"settings": {
        "time_limit": f"{0.7 * max(1, scale() / 2):.1f}s", "memory_limit": "128MiB", "task_limit": 5000}}}})
    yield farm
    assert farm.manager.is_running()
    farm.submit([{}])
    farm.manager.stop()


def refused(farm, name, **fields):
    """Submits and checks; gives the message of the refusal. Nothing is stored or told."""
    events = farm.events()
    before = farm.api.ok("GET", "/jobs")
    body = farm.submission(type=name.replace("_", "-"), settings={}, **fields)
    message = assert_error(farm.api.post("/jobs", body), 400)
    assert_error(farm.api.post("/jobs/check", body), 400)
    assert farm.api.ok("GET", "/jobs") == before and events.take() == []
    return message


@pytest.mark.parametrize("name", sorted(THROWS))
def test_exception(bad_farm, name):
    message = refused(bad_farm, name)
    for part in THROWS[name][1]:
        assert part in message
    assert f"{name}.js" in message
    assert len(message.encode()) <= 10_000


@pytest.mark.parametrize("name", sorted(HANGS))
def test_script_that_does_not_end(bad_farm, name):
    message = refused(bad_farm, "hang_" + name)
    assert f"hang_{name}.js" in message
    assert_empty(bad_farm.api.post("/jobs/check", bad_farm.submission([])))


def test_script_that_does_not_end_loading(bad_farm):
    assert "load_loop.js" in refused(bad_farm, "load_loop")
    types = [t["name"] for t in bad_farm.api.ok("GET", "/jobs/types")["job_types"]]
    assert "load-loop" not in types and "graph" in types


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_script_that_eats_memory(bad_farm, name):
    message = refused(bad_farm, "bomb_" + name)
    assert f"bomb_{name}.js" in message
    assert_empty(bad_farm.api.post("/jobs/check", bad_farm.submission([])))


def test_too_many_tasks(bad_farm):
    assert_empty(bad_farm.api.post("/jobs/check", bad_farm.submission(5000)))
    assert "5000" in assert_error(bad_farm.api.post("/jobs/check", bad_farm.submission(5001)), 400)


def test_others_are_served_while_a_script_hangs(bad_farm):
    body = bad_farm.submission(type="hang-loop", settings={})
    hanging = [Background(bad_farm.api.clone().post, "/jobs/check", body) for _ in range(2)]
    assert bad_farm.api.get("/version").status_code == 200
    assert bad_farm.api.get("/jobs").status_code == 200
    worker = bad_farm.register()
    worker.sign_on()
    assert_empty(bad_farm.api.post("/jobs/check", bad_farm.submission([])))
    for call in hanging:
        assert call.result().status_code == 400


def helpers(pid):
    """Pids of the manager's children."""
    out = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            out.append(int(stat.parent.name))
    return out


def test_helper_that_is_killed_while_idle_is_replaced(bad_farm):
    assert_empty(bad_farm.api.post("/jobs/check", bad_farm.submission([])))
    children = helpers(bad_farm.manager.proc.pid)
    assert children
    for child in children:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: not set(children) & set(helpers(bad_farm.manager.proc.pid)), "they are dead")
    assert_empty(bad_farm.api.post("/jobs/check", bad_farm.submission([])))


@pytest.mark.parametrize("sig", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGBUS, signal.SIGKILL])
def test_helper_that_dies_while_it_compiles(bad_farm, sig):
    """A crash is the script's doing: 400 with its name. Who kills it from outside is not: 503 is right then, too."""
    assert_empty(bad_farm.api.post("/jobs/check", bad_farm.submission([])))
    body = bad_farm.submission(type="busy", settings={})
    call = Background(bad_farm.api.clone().post, "/jobs/check", body)
    bad_farm.api.get("/version")
    for child in helpers(bad_farm.manager.proc.pid):
        try:
            os.kill(child, sig)
        except ProcessLookupError:
            pass
    reply = call.result()
    if sig == signal.SIGKILL and reply.status_code == 503:
        assert_error(reply, 503)
    elif reply.status_code != 204:  # it was hit before it had begun, and another one did the work
        assert "busy.js" in assert_error(reply, 400)
    # a helper that was hit while it started is tried again after a moment
    wait_until(lambda: bad_farm.api.post("/jobs/check", bad_farm.submission([])).status_code == 204, "compiling works again")


def test_no_helper_is_left_behind(make_farm):
    farm = make_farm()
    farm.api.ok("POST", "/jobs/check", 204, json=farm.submission([]))
    children = helpers(farm.manager.proc.pid)
    assert children
    farm.manager.stop()
    wait_until(lambda: not any(Path(f"/proc/{c}").exists() for c in children), "the helpers have ended")


def test_helpers_end_with_a_killed_manager(make_farm):
    farm = make_farm()
    farm.api.ok("POST", "/jobs/check", 204, json=farm.submission([]))
    children = helpers(farm.manager.proc.pid)
    farm.manager.kill()
    wait_until(lambda: not any(Path(f"/proc/{c}").exists() for c in children), "the helpers have ended")

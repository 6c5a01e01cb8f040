# SPDX-License-Identifier: Apache-2.0
"""Job types: list, get, etag, the scripts folder (job-compiler 1, 7 to 9)."""
import hashlib
import json
import os

import pytest
from harness.check import assert_empty, assert_error
from harness.openapi import assert_schema

MINIMAL = 'const JOB_TYPE = { label: "%s", settings: [] };\nfunction compileJob(job) {}\n'

KITCHEN_SINK = """
const JOB_TYPE = {
    label: "Kitchen & <Sink>", description: "Größe",
    settings: [
        { key: "mode", type: "string", choices: ["fast", "slow"], default: "fast", label: "Mode", visible: "submission",
          required: true, editable: true },
        { key: "amount", type: "int32", default: 4, propargs: { min: 1, max: 9, soft_max: 5.5 } },
        { key: "ratio", type: "float", default: 0.25, eval: "C.scene.render.resolution_percentage / 100",
          evalInfo: { showLinkButton: true, description: "Scene's percentage" } },
        { key: "flag", type: "bool", default: false, required: false, visible: "hidden" },
        { key: "out", type: "string", subtype: "hashed_file_path", editable: false, description: "Where", unknown: 1 },
    ],
};
function compileJob(job) {}
"""


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("types"), scripts={
        "blank_slate.js": MINIMAL % "Blank",
        "kitchen_sink.js": KITCHEN_SINK,
        "Upper_case.js": MINIMAL % "Upper",
        "my.type.js": MINIMAL % "Dotted",
        "a-b.js": MINIMAL % "dash", "a_b.js": MINIMAL % "underscore",
        "tiny.js": "1;", "README.md": "no script", "A.JS": MINIMAL % "capital ending",
        "broken.js": "const JOB_TYPE = { label: 'x', settings: [] }; function compileJob(job) {",
        "throws.js": "throw new Error('at load');",
        "no_type.js": "function compileJob(job) {}",
    })
    folder = farm.manager.dir / "scripts"
    (folder / "folder.js").mkdir()
    (folder / "sub").mkdir()
    (folder / "sub" / "inner.js").write_text(MINIMAL % "inner")
    os.symlink(folder / "blank_slate.js", folder / "link.js")
    yield farm
    farm.manager.stop()


def names(farm):
    return [t["name"] for t in farm.api.ok("GET", "/jobs/types")["job_types"]]


def canonical_etag(job_type):
    text = json.dumps({**job_type, "etag": ""}, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    for char, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escape)
    return hashlib.sha1(text.encode()).hexdigest()


def test_list_is_sorted_and_leaves_broken_ones_out(typed):
    assert names(typed) == ["Upper-case", "a-b", "blank-slate", "echo-sleep-test", "graph", "kitchen-sink", "my.type",
                            "simple-blender-render"]
    body = typed.api.ok("GET", "/jobs/types")
    assert_schema("AvailableJobTypes", body)
    for job_type in body["job_types"]:
        assert typed.api.ok("GET", f"/jobs/type/{job_type['name']}") == job_type


def test_last_file_in_byte_order_wins(typed):
    assert typed.api.ok("GET", "/jobs/type/a-b")["label"] == "underscore"


@pytest.mark.parametrize("name, etag", [
    ("blank-slate", "08b717f94195be87fc12cd269f24830e7a836659"),
    ("kitchen-sink", "ac1956a424f9b84eb3a2e8299e41d194369cb527"),
    ("echo-sleep-test", "eba586e16d6b55baaa43e32f9e78ae514b457fee"),
])
def test_etags_of_the_contract(typed, name, etag):
    assert typed.api.ok("GET", f"/jobs/type/{name}")["etag"] == etag


def test_etag_is_the_sha1_of_the_description(typed):
    for job_type in typed.api.ok("GET", "/jobs/types")["job_types"]:
        assert job_type["etag"] == canonical_etag(job_type)


def test_optional_members_are_there_exactly_when_given(typed):
    settings = {s["key"]: s for s in typed.api.ok("GET", "/jobs/type/kitchen-sink")["settings"]}
    assert settings["out"] == {"key": "out", "type": "string", "subtype": "hashed_file_path", "editable": False,
                               "description": "Where"}
    assert settings["flag"] == {"key": "flag", "type": "bool", "default": False, "required": False, "visible": "hidden"}
    assert settings["amount"]["propargs"] == {"min": 1, "max": 9, "soft_max": 5.5}
    assert settings["ratio"]["evalInfo"] == {"showLinkButton": True, "description": "Scene's percentage"}
    assert "description" not in typed.api.ok("GET", "/jobs/type/blank-slate")
    assert typed.api.ok("GET", "/jobs/type/blank-slate")["settings"] == []


@pytest.mark.parametrize("name, status", [
    ("no-such-type", 404), ("echo_sleep_test", 404), ("Blank-Slate", 404), ("tiny", 404), ("README", 404), ("A", 404),
    ("folder", 404), ("inner", 404), ("link", 404), ("broken", 404), ("throws", 500), ("no-type", 500), ("%20", 404),
    ("..%2F..%2Fetc%2Fpasswd", 404), ("x" * 3000, 404),
])
def test_unknown_is_404_and_broken_is_500(typed, name, status):
    assert_error(typed.api.get(f"/jobs/type/{name}"), status)


@pytest.mark.parametrize("name", ["broken", "throws", "no-type", "no-such-type", "", "echo_sleep_test"])
def test_submission_of_a_type_that_cannot_be_used(typed, name):
    body = typed.submission([], type=name)
    for path in ("/jobs", "/jobs/check"):
        assert_error(typed.api.post(path, body), 400)


def test_broken_scripts_are_named_in_log_and_health(typed):
    typed.api.ok("GET", "/jobs/types")
    for file in ("broken.js", "throws.js", "no_type.js"):
        typed.manager.wait_log(file.replace(".", r"\."))
    health = typed.api.get("//health/ready")
    assert health.status_code == 200, "broken scripts do not take the manager off the network"
    message = health.json()["checks"]["job_compiler"]["message"]
    assert "throws.js" in message or "at load" in message


@pytest.mark.parametrize("etag, status", [("right", 200), ("", 200), (None, 200), ("wrong", 412), ("RIGHT", 412)])
def test_etag_is_compared(typed, etag, status):
    right = typed.api.ok("GET", "/jobs/type/blank-slate")["etag"]
    body = typed.submission(type="blank-slate", settings={}, initial_status="paused")
    if etag is not None:
        body["type_etag"] = {"right": right, "RIGHT": right.upper()}.get(etag, etag)
    check, submit = typed.api.post("/jobs/check", body), typed.api.post("/jobs", body)
    if status == 200:
        assert_empty(check)
        assert submit.status_code == 200 and "type_etag" not in submit.json()
    else:
        assert_error(check, 412)
        assert_error(submit, 412)


def test_scripts_may_change_while_the_manager_runs(make_farm):
    farm = make_farm()
    path = farm.manager.dir / "scripts" / "live.js"
    assert "live" not in names(farm)
    path.write_text(MINIMAL % "one")
    first = farm.api.ok("GET", "/jobs/type/live")
    assert first["label"] == "one"
    path.write_text(MINIMAL % "two")
    second = farm.api.ok("GET", "/jobs/type/live")
    assert second["label"] == "two" and second["etag"] != first["etag"]
    # only compileJob changes: same etag, new behaviour
    path.write_text((MINIMAL % "two") .replace("{}\n", '{ throw "changed"; }\n'))
    assert farm.api.ok("GET", "/jobs/type/live")["etag"] == second["etag"]
    assert "changed" in assert_error(farm.api.post("/jobs/check", farm.submission(type="live", settings={})), 400)
    path.write_text("this is no JavaScript")
    assert_error(farm.api.get("/jobs/type/live"), 404)
    path.write_text(MINIMAL % "one")
    assert farm.api.ok("GET", "/jobs/type/live") == first
    path.unlink()
    assert_error(farm.api.get("/jobs/type/live"), 404)


def test_script_on_disk_beats_the_built_in_one(make_farm):
    farm = make_farm(scripts={"echo-sleep-test.js": MINIMAL % "mine"})
    assert farm.api.ok("GET", "/jobs/type/echo-sleep-test")["label"] == "mine"
    path = farm.manager.dir / "scripts" / "echo-sleep-test.js"
    path.write_text("throw 1; // broken, and hides the built-in one\n")
    assert "echo-sleep-test" not in names(farm)
    path.unlink()
    assert farm.api.ok("GET", "/jobs/type/echo-sleep-test")["label"] == "Echo Sleep Test"


def test_setting_scripts_names_the_folders(make_farm, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, label in ((one, "from one"), (two, "from two")):
        folder.mkdir()
        (folder / "shared.js").write_text(MINIMAL % label)
    (two / "second.js").write_text(MINIMAL % "second")
    farm = make_farm(yaml={"plugins": {"job_compiler": {"settings": {"scripts": [str(one), str(two)]}}}})
    assert farm.api.ok("GET", "/jobs/type/shared")["label"] == "from one"
    assert farm.api.ok("GET", "/jobs/type/second")["label"] == "second"
    assert_error(farm.api.get("/jobs/type/graph"), 404)


def test_etags_are_the_same_after_a_restart(own_farm):
    before = own_farm.api.ok("GET", "/jobs/types")
    own_farm.manager.restart()
    assert own_farm.api.ok("GET", "/jobs/types") == before

# SPDX-License-Identifier: Apache-2.0
"""The configuration over HTTP: reading, replacing and reloading the file (configuration-and-clients 1.6 to 1.12,
api-behaviour 7.1, decisions.md). What a file may contain is tested in test_config.py and in tests/unit/config."""
import copy
import os
import stat

import pytest
import yaml
from harness.check import assert_empty, assert_error, wait_until
from harness.http import Background

TOP_KEYS = ["_meta", "manager_name", "database", "database_check_period", "listen", "autodiscoverable",
            "local_manager_storage_path", "shared_storage_path", "shaman", "task_timeout", "worker_timeout",
            "blocklist_threshold", "task_fail_after_softfail_count", "mqtt", "variables"]
FILE = "/configuration/file"


def current(farm):
    return farm.api.ok("GET", FILE)


def path_of(farm):
    return farm.manager.dir / "flamenco-manager.yaml"


def on_disk(farm):
    return yaml.safe_load(path_of(farm).read_text())


def ready(farm):
    return farm.api.get("//health/ready").json()["checks"]["configuration"]


# ---- GET ------------------------------------------------------------------------------------------------------------------

def test_exact_keys_in_order(own_farm):
    reply = own_farm.api.get(FILE)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
    body = reply.json()
    assert list(body) == TOP_KEYS
    assert body["_meta"] == {"version": 3}
    assert list(body["shaman"]) == ["enabled", "garbageCollect"]
    assert body["shaman"]["garbageCollect"] == {"period": "24h0m0s", "maxAge": "744h0m0s"}
    assert list(body["mqtt"]["client"]) == ["enabled", "broker", "clientID", "topic_prefix", "username", "password"]
    assert body["task_timeout"] == "10m0s" and body["worker_timeout"] == "1m0s" and body["database_check_period"] == "10m0s"
    assert body["variables"]["blenderArgs"] == {"values": [{"audience": "all", "platform": "all", "value": "-b -y"}]}
    assert "jobs" not in body["variables"]


def test_memory_is_the_processed_form(make_farm):
    farm = make_farm(reference={"shared_storage_path": "./rel/../x/", "variables": {
        "jobs": {"values": [{"platform": "linux", "value": "/mine"}]},
        "many": {"is_twoway": True, "values": [{"platforms": ["linux", "darwin"], "value": "/a"}]}}})
    body = current(farm)
    assert body["shared_storage_path"] == str(farm.manager.dir / "x")
    assert body["variables"]["many"] == {
        "is_twoway": True, "values": [{"audience": "all", "platforms": ["linux", "darwin"], "value": "/a"}]}
    assert "jobs" not in body["variables"]


def test_own_keys_are_not_shown(make_farm):
    """What manager.yaml alone holds is not part of it; what it presets is."""
    farm = make_farm(yaml={"manager_name": "preset", "http": {"gzip": True}}, reference={"manager_name": None})
    body = current(farm)
    assert list(body) == TOP_KEYS and body["manager_name"] == "preset"


# ---- PUT ------------------------------------------------------------------------------------------------------------------

def test_put_is_in_force_and_survives(own_farm):
    body = current(own_farm)
    body["manager_name"] = "Höhle 🐈"
    body["variables"]["ren"] = {"is_twoway": True, "values": [{"platform": "linux", "value": "/srv/ren"},
                                                              {"platform": "windows", "value": "R:\\"}]}
    before = path_of(own_farm).read_bytes()
    assert_empty(own_farm.api.put(FILE, json=body))
    assert own_farm.api.ok("GET", "/version")["name"] == "Höhle 🐈"
    assert own_farm.api.ok("GET", "/configuration/variables/workers/windows")["ren"] == {"value": "R:", "is_twoway": True}
    for values in body["variables"]["ren"]["values"]:
        values["audience"] = "all"
    assert current(own_farm) == body
    assert (own_farm.manager.dir / "flamenco-manager.yaml.bak").read_bytes() == before
    assert not (own_farm.manager.dir / "flamenco-manager.yaml~").exists()
    own_farm.api.ok("GET", "/configuration")
    assert current(own_farm) == body
    own_farm.manager.restart()
    own_farm.api.session.close()
    assert current(own_farm) == body


def test_live_settings_act_at_once_and_others_at_the_next_start(own_farm):
    body = current(own_farm)
    storage = own_farm.manager.dir / "elsewhere"
    body.update(shared_storage_path=str(storage), listen="127.0.0.1:1", database="other.sqlite")
    body["variables"] = {"blender": {"values": [{"platform": "linux", "value": "/opt/b"}]}}
    assert_empty(own_farm.api.put(FILE, json=body))
    assert own_farm.api.ok("GET", "/configuration")["storageLocation"] == str(storage)
    assert own_farm.api.ok("GET", "/configuration/shared-storage/users/linux")["location"] == str(storage)
    variables = own_farm.api.ok("GET", "/configuration/variables/workers/linux")
    assert variables["blender"]["value"] == "/opt/b" and variables["jobs"]["value"] == str(storage)
    # Still served from where it listens, and from the database that it has.
    own_farm.api.ok("GET", "/jobs")
    assert not (own_farm.manager.dir / "other-c.sqlite").exists()


def test_thresholds_are_live(own_farm):
    """A job is failed at the number of failures that was set while it ran."""
    body = current(own_farm)
    body["task_fail_after_softfail_count"] = 1
    job = own_farm.submit([{"type": "soft"}])
    worker = own_farm.worker(types=["soft"])
    own_farm.worker(types=["soft"])
    task = worker.get_task()["uuid"]
    assert_empty(own_farm.api.put(FILE, json=body))
    worker.update(task, taskStatus="failed")
    assert own_farm.letters(job["id"]) == "F"


def test_file_keeps_what_was_sent(own_farm):
    body = current(own_farm)
    body["shared_storage_path"] = "rel/x/"
    body["variables"] = {"jobs": {"values": [{"platform": "linux", "value": "/mine"}]},
                         "plain": {"values": [{"platform": "linux", "value": "yes"}]}}
    body["colour"] = "red"
    assert_empty(own_farm.api.put(FILE, json=body))
    file = on_disk(own_farm)
    assert file["shared_storage_path"] == "rel/x/" and file["variables"] == body["variables"]
    assert list(file) == TOP_KEYS, "unknown keys are not kept"
    assert stat.S_IMODE(path_of(own_farm).stat().st_mode) == 0o600
    memory = current(own_farm)
    assert memory["shared_storage_path"] == str(own_farm.manager.dir / "rel" / "x") and "jobs" not in memory["variables"]


def test_absent_keys_are_zero_and_absent_variables_come_back(own_farm):
    """Nothing is merged. Without variables there are none until the file is read again, which brings the defaults."""
    assert_empty(own_farm.api.put(FILE, json={"_META": {"VERSION": 3}, "Database": "farm.sqlite", "LISTEN": ":8080"}))
    body = current(own_farm)
    assert body["manager_name"] == "" and body["task_timeout"] == "0s" and body["blocklist_threshold"] == 0
    assert body["variables"] == {} and body["autodiscoverable"] is False
    assert own_farm.api.ok("GET", "/configuration")["isFirstRun"] is True
    assert set(current(own_farm)["variables"]) == {"blender", "blenderArgs"}
    assert on_disk(own_farm)["variables"] == {}


def change(body, dotted, value):
    *path, last = dotted.split(".")
    at = body
    for part in path:
        at = at[part]
    if value is KeyError:
        del at[last]
    else:
        at[last] = value


@pytest.mark.parametrize("key, value, words", [
    ("_meta.version", 2, ["_meta.version", "3"]),
    ("_meta.version", "3", ["_meta.version"]),
    ("_meta", KeyError, ["_meta.version"]),
    ("_meta", None, ["_meta.version"]),
    ("_meta", [], ["_meta"]),
    ("listen", "", ["listen"]),
    ("listen", "  ", ["listen"]),
    ("listen", KeyError, ["listen"]),
    ("listen", "localhost", ["listen", "HOST:PORT"]),
    ("database", "", ["database"]),
    ("database", None, ["database"]),
    ("database", "a\0b", ["database"]),
    ("database", "x" * 5000, ["database"]),
    ("database_check_period", "-1s", ["database_check_period", "negative"]),
    ("task_timeout", "", ["task_timeout", "10m0s"]),
    ("task_timeout", 10, ["task_timeout"]),
    ("task_timeout", None, ["task_timeout"]),
    ("task_timeout", "10", ["task_timeout"]),
    ("task_timeout", "1d", ["task_timeout"]),
    ("worker_timeout", "-1ns", ["worker_timeout", "negative"]),
    ("shaman.garbageCollect.period", "soon", ["shaman.garbageCollect.period"]),
    ("shaman.garbageCollect.maxAge", "-744h", ["shaman.garbageCollect.maxAge", "negative"]),
    ("shaman.enabled", "yes", ["shaman.enabled", "true or false"]),
    ("shaman", [1], ["shaman", "object"]),
    ("blocklist_threshold", 3.0, ["blocklist_threshold", "whole number"]),
    ("blocklist_threshold", "3", ["blocklist_threshold"]),
    ("task_fail_after_softfail_count", 2.5, ["task_fail_after_softfail_count"]),
    ("manager_name", 5, ["manager_name", "text"]),
    ("autodiscoverable", 1, ["autodiscoverable"]),
    ("mqtt.client.enabled", "false", ["mqtt.client.enabled"]),
    ("mqtt.client", [], ["mqtt.client"]),
    ("variables", [], ["variables", "object"]),
    ("variables.blender.values", {}, ["variables.blender"]),
    ("variables.blender.is_twoway", 1, ["variables.blender.is_twoway"]),
])
def test_refused_naming_the_field(farm, key, value, words):
    before, memory = path_of(farm).read_bytes(), current(farm)
    body = copy.deepcopy(memory)
    change(body, key, value)
    message = assert_error(farm.api.put(FILE, json=body), 400)
    assert all(word in message for word in words), message
    assert path_of(farm).read_bytes() == before and current(farm) == memory
    assert not (farm.manager.dir / "flamenco-manager.yaml.bak").exists()


@pytest.mark.parametrize("kw", [
    {"json": []}, {"json": 5}, {"json": None, "headers": {"Content-Type": "application/json"}}, {"data": b"{"},
    {"data": b"", "headers": {"Content-Type": "application/json"}}, {"data": b"{}", "headers": {"Content-Type": "application/yaml"}},
])
def test_no_object_is_refused(farm, kw):
    if "data" in kw:
        kw.setdefault("headers", {"Content-Type": "application/json"})
    assert_error(farm.api.call("PUT", FILE, **kw), 400)


def test_comments_are_kept(own_farm):
    text = path_of(own_farm).read_text()
    path_of(own_farm).write_text("# by the admin\n\n" + text.replace("manager_name:", "# the name\nmanager_name:").replace(
        "autodiscoverable: false", "autodiscoverable: false # no broadcast here"))
    own_farm.api.ok("GET", "/configuration")
    body = current(own_farm)
    for name in ("first", "second"):
        body["manager_name"] = name
        assert_empty(own_farm.api.put(FILE, json=body))
    written = path_of(own_farm).read_text()
    assert "# by the admin\n" in written
    assert "\n# the name\nmanager_name: second\n" in written
    assert "\nautodiscoverable: false # no broadcast here\n" in written


def test_symbolic_link_and_permissions(own_farm):
    target = own_farm.manager.dir / "real.yaml"
    os.rename(path_of(own_farm), target)
    path_of(own_farm).symlink_to("real.yaml")
    body = current(own_farm)
    body["manager_name"] = "linked"
    assert_empty(own_farm.api.put(FILE, json=body))
    assert path_of(own_farm).is_symlink() and yaml.safe_load(target.read_text())["manager_name"] == "linked"


def test_many_writers_leave_one_whole_file(own_farm):
    bodies = [dict(current(own_farm), manager_name=f"name {i}" + "x" * 100 * i) for i in range(12)]
    calls = [Background(own_farm.api.clone().put, FILE, json=body) for body in bodies]
    reads = [Background(own_farm.api.clone().ok, "GET", "/configuration") for _ in range(12)]
    assert [call.result().status_code for call in calls] == [204] * len(calls)
    assert all(read.result()["isFirstRun"] is False for read in reads)
    assert on_disk(own_farm)["manager_name"] == current(own_farm)["manager_name"]
    assert current(own_farm)["manager_name"] in [body["manager_name"] for body in bodies]
    assert ready(own_farm)["ok"]


# ---- Reload -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("garbage", [b"", b"# nothing\n", b"_meta: {version: 2}\n", b"\x7fELF\0\0\0\1", b"_meta: {version: 3}\nlisten: [\n",
                                     b"_meta: {version: 3}\ntask_timeout: 10\n", os.urandom(3000), b"a" * 1200000],
                         ids=["empty", "comment", "version 2", "binary", "cut off", "bad duration", "random", "huge"])
def test_garbage_leaves_the_last_good_configuration(own_farm, garbage):
    """decisions.md: it stays and is answered, the error is logged and shown in the health reply."""
    good, memory = path_of(own_farm).read_bytes(), current(own_farm)
    configuration = own_farm.api.ok("GET", "/configuration")
    assert ready(own_farm) == {"ok": True, "message": ""}
    path_of(own_farm).write_bytes(garbage)
    position = own_farm.manager.log_position()
    for _ in range(3):
        assert own_farm.api.ok("GET", "/configuration") == configuration
    assert current(own_farm) == memory
    assert not ready(own_farm)["ok"] and "flamenco-manager.yaml" in ready(own_farm)["message"]
    assert own_farm.api.get("//health/ready").status_code == 200, "it serves all the same"
    lines = own_farm.manager.log().splitlines()[position:]
    assert len([line for line in lines if " ERR config: the last good configuration stays" in line]) == 1, "told once"
    own_farm.submit([{}])
    path_of(own_farm).write_bytes(good)
    assert own_farm.api.ok("GET", "/configuration") == configuration
    assert ready(own_farm) == {"ok": True, "message": ""}


def test_put_replaces_garbage(own_farm):
    body = current(own_farm)
    path_of(own_farm).write_bytes(b"garbage: [\n")
    own_farm.api.ok("GET", "/configuration")
    assert not ready(own_farm)["ok"]
    assert_empty(own_farm.api.put(FILE, json=dict(body, manager_name="saved")))
    assert ready(own_farm)["ok"]
    assert (own_farm.manager.dir / "flamenco-manager.yaml.bak").read_bytes() == b"garbage: [\n"
    own_farm.manager.restart()
    own_farm.api.session.close()
    assert current(own_farm)["manager_name"] == "saved"


def test_unreadable_file_and_directory_in_its_place(own_farm):
    memory = current(own_farm)
    path_of(own_farm).unlink()
    path_of(own_farm).mkdir()
    assert own_farm.api.ok("GET", "/configuration")["isFirstRun"] is False
    assert current(own_farm) == memory and not ready(own_farm)["ok"]
    assert_error(own_farm.api.put(FILE, json=memory), 500)
    path_of(own_farm).rmdir()
    assert_empty(own_farm.api.put(FILE, json=memory))
    assert ready(own_farm)["ok"]


def test_file_that_is_gone_is_a_first_run(own_farm):
    path_of(own_farm).unlink()
    assert own_farm.api.ok("GET", "/configuration") == {
        "storageLocation": str(own_farm.manager.dir), "shamanEnabled": False, "isFirstRun": True}
    assert current(own_farm)["manager_name"] == "Flamenco"


def test_edit_by_hand_acts_at_the_next_page(own_farm):
    path_of(own_farm).write_text(path_of(own_farm).read_text().replace("Test Farm", "By hand"))
    assert own_farm.api.ok("GET", "/version")["name"] == "Test Farm"
    own_farm.api.ok("GET", "/configuration")
    wait_until(lambda: own_farm.api.ok("GET", "/version")["name"] == "By hand", "the change is in force")

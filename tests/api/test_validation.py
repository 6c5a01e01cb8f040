# SPDX-License-Identifier: Apache-2.0
"""The rules for request bodies and their vectors (api-behaviour 2.1 to 2.5; decisions: every body is a full Error)."""
import json

import pytest
from harness.check import UNKNOWN, assert_empty, assert_error

JSON = {"Content-Type": "application/json"}
WORKER = {"name": "w", "platform": "linux", "supported_task_types": [], "secret": ""}


@pytest.fixture(scope="module")
def job_id(shared_farm):
    return shared_farm.submit([], initial_status="paused")["id"]


@pytest.fixture(scope="module")
def worker(shared_farm):
    """An awake worker with a task of its own."""
    worker = shared_farm.worker(types=["validation"])
    job = shared_farm.submit([{"type": "validation"}])
    worker.task_id = worker.get_task()["uuid"]
    worker.job_id = job["id"]
    return worker


def set_priority(api, job_id, body, headers=None):
    return api.post(f"/jobs/{job_id}/setpriority", data=body, headers=headers or JSON)


# ---- Bodies -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("body, priority", [
    ('{"priority":7}', 7),
    ('\r\n\t {"priority":8}\n', 8),
    ('{"priority":9} zzz', 9),
    ('{"priority":10}{"priority":11}', 10),
    ('{"priority":1,"priority":12}', 12),
    ('{"priority":13,"unknown":{"a":[null]},"also":1}', 13),
    ('{"priority":14,"Priority":15}', 14),
    ('{"pri\\u006frity":16}', 16),
    ('{"priority":0}', 0),
    ('{"priority":-0}', 0),
    ('{"priority":100}', 100),
])
def test_accepted_bodies(farm, job_id, body, priority):
    assert_empty(set_priority(farm.api, job_id, body))
    assert farm.job(job_id)["priority"] == priority


@pytest.mark.parametrize("body", [
    "", " ", "\n", "{", '{"priority":7', '{"priority":7,}', "{'priority':7}", "{priority:7}", '{"priority":07}',
    '{"priority":+7}', '{"priority":NaN}', '{"priority":Infinity}', '/* c */{"priority":7}', '{"priority":7 // c\n}',
    '\ufeff{"priority":7}', '{"a":"x\ny","priority":7}', '{"a":"\x01","priority":7}', "zzz",
    "[]", '[{"priority":7}]', '"x"', "7", "null", "true",
    "{}", '{"Priority":7}', '{"PRIORITY":7}', '{"priority":null}', '{"priority":"5"}', '{"priority":true}',
    '{"priority":[7]}', '{"priority":{"a":7}}', '{"priority":""}',
    '{"priority":50.0}', '{"priority":5e1}', '{"priority":50.5}', '{"priority":7.0}', '{"priority":1e400}',
    '{"priority":101}', '{"priority":-1}', '{"priority":9223372036854775808}', '{"priority":-99999999999999999999}',
    '{"priority":5,"priority":"x"}',
])
def test_refused_bodies(farm, job_id, body):
    before = farm.job(job_id)["priority"]
    assert_error(set_priority(farm.api, job_id, body.encode()), 400)
    assert farm.job(job_id)["priority"] == before


@pytest.mark.parametrize("content_type, accepted", [
    ("application/json", True),
    ("application/json; charset=utf-8", True),
    ("application/json;whatever", True),
    ("application/json;", True),
    (None, False),
    ("", False),
    ("text/plain", False),
    ("application/vnd.api+json", False),
    ("Application/JSON", False),
    ("application/json ;x", False),
    ("application/jsonx", False),
    ("application/x-www-form-urlencoded", False),
])
def test_content_type_is_matched_exactly(farm, job_id, content_type, accepted):
    headers = {} if content_type is None else {"Content-Type": content_type}
    reply = set_priority(farm.api, job_id, b'{"priority":7}', headers or {"Content-Type": None})
    if accepted:
        assert_empty(reply)
    else:
        assert_error(reply, 400)


def test_message_names_the_field_and_what_is_allowed(farm, job_id):
    message = assert_error(set_priority(farm.api, job_id, '{"priority":101}'), 400)
    assert "priority" in message and "100" in message
    message = assert_error(farm.api.post("/worker/register-worker", {**WORKER, "supported_task_types": ["a", 1]}), 400)
    assert "supported_task_types/1" in message


# ---- Vectors ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("body, status", [
    ({k: v for k, v in WORKER.items() if k != "secret"}, 400),
    (WORKER, 200),
    ({**WORKER, "secret": None}, 400),
    ({**WORKER, "supported_task_types": None}, 400),
    ({**WORKER, "supported_task_types": "blender"}, 400),
    ({**WORKER, "supported_task_types": {}}, 400),
    ({**WORKER, "name": "", "platform": ""}, 200),
    ({**WORKER, "extra": 1}, 200),
    ({}, 400),
    ([], 400),
])
def test_registration(api, body, status):
    reply = api.post("/worker/register-worker", json=body)
    if status == 400:
        assert_error(reply, 400)
    else:
        assert reply.status_code == status, reply.text


def test_authentication_comes_before_validation(farm, worker):
    assert_error(farm.api.post("/worker/sign-on", json={}), 403)
    assert_error(farm.api.call("POST", "/worker/sign-on", data=b"\xff", headers={"Content-Type": "text/plain"}), 403)
    assert_error(worker.api.post("/worker/sign-on", json={}), 400)


@pytest.mark.parametrize("body", [{"status": "Awake"}, {"status": ""}, {"status": "awake "}, {"status": None}, {"status": 1},
                                  {}, {"status": ["awake"]}])
def test_worker_status_must_be_one_of_the_enum(worker, body):
    assert_error(worker.api.post("/worker/state-changed", json=body), 400)


def test_validation_comes_before_the_uuid_check(api):
    assert "UUID" in assert_error(set_priority(api, "not-a-uuid", '{"priority":7}'), 400)
    assert "UUID" not in assert_error(set_priority(api, "not-a-uuid", '{"priority":700}'), 400)


@pytest.mark.parametrize("body", [
    {"status": "deleted", "reason": ""}, {"status": "queued"}, {"reason": ""}, {"status": "queued", "reason": None},
    {"status": "Queued", "reason": ""}, {"status": "soft-failed", "reason": ""}, {"status": "", "reason": ""},
])
def test_job_status_body(api, body):
    assert_error(api.post(f"/jobs/{UNKNOWN}/setstatus", json=body), 400)


@pytest.mark.parametrize("body", [
    {"status": "pause-requested", "reason": ""}, {"status": "queued"}, {"status": "queued", "reason": 1},
])
def test_task_status_body(api, body):
    assert_error(api.post(f"/tasks/{UNKNOWN}/setstatus", json=body), 400)


def test_empty_reason_is_accepted(farm, job_id):
    assert_empty(farm.api.post(f"/jobs/{job_id}/setstatus", json={"status": "paused", "reason": ""}))


@pytest.mark.parametrize("body, status", [
    ({"taskStatus": None}, 400),
    ({"activity": None}, 400),
    ({"log": None}, 400),
    ({"steps_completed": None}, 400),
    ({"taskStatus": "Active"}, 400),
    ({"steps_completed": "1"}, 400),
    ({"steps_completed": 1.5}, 400),
    ({"unknown": 1}, 204),
    ({}, 204),
    ({"activity": "", "log": ""}, 204),
])
def test_task_update_body(worker, body, status):
    reply = worker.api.post(f"/worker/task/{worker.task_id}", json=body)
    assert_empty(reply) if status == 204 else assert_error(reply, 400)


@pytest.mark.parametrize("change, status", [
    ({"priority": "absent"}, 200),
    ({"priority": None}, 200),
    ({"priority": -5}, 200),
    ({"priority": 1000}, 200),
    ({"priority": "50"}, 400),
    ({"priority": 50.5}, 400),
    ({"metadata": {"a": 1}}, 400),
    ({"metadata": None}, 400),
    ({"metadata": {"a": None}}, 400),
    ({"metadata": {"a": "b"}}, 200),
    ({"settings": {"a": None, "b": [1]}}, 200),
    ({"settings": None}, 400),
    ({"settings": []}, 400),
    ({"name": "absent"}, 400),
    ({"type": "absent"}, 400),
    ({"submitter_platform": "absent"}, 400),
    ({"submitter_platform": ""}, 200),
    ({"name": ""}, 200),
    ({"initial_status": "deleted"}, 400),
    ({"initial_status": ""}, 400),
    ({"storage": {"shaman_checkout_id": 5}}, 400),
    ({"storage": {}}, 200),
    ({"storage": None}, 400),
    ({"worker_tag": None}, 400),
    ({"type_etag": None}, 400),
])
def test_submission_body(farm, change, status):
    body = farm.submission([], initial_status="paused")
    for key, value in change.items():
        if value == "absent":
            del body[key]
        else:
            body[key] = value
    reply = farm.api.post("/jobs", json=body)
    check = farm.api.post("/jobs/check", json=body)
    if status == 400:
        assert_error(reply, 400)
        assert_error(check, 400)
        return
    assert reply.status_code == 200, reply.text
    assert_empty(check)
    if "priority" in change:
        want = 50 if change["priority"] in ("absent", None) else change["priority"]
        assert reply.json()["priority"] == want


@pytest.mark.parametrize("body", [{"last_updated_max": "2026-05-01"}, {"last_updated_max": "2026-05-01t10:00:00z"},
                                  {"last_updated_max": "2026-05-01T10:00:00"}, {"last_updated_max": "2026-05-01T10:00:60Z"},
                                  {"last_updated_max": 5}, {"last_updated_max": ""}])
def test_timestamps_are_checked(api, body):
    assert_error(api.delete("/jobs/mass-delete", json=body), 400)


@pytest.mark.parametrize("content_type", ["image/openexr", "application/json", None, "image/jpg"])
def test_output_of_another_type_is_400_and_not_415(worker, content_type):
    reply = worker.api.post(f"/worker/task/{worker.task_id}/output-produced", data=b"x",
                            headers={"Content-Type": content_type})
    assert_error(reply, 400)


def test_output_without_body_is_400(worker):
    reply = worker.api.post(f"/worker/task/{worker.task_id}/output-produced", headers={"Content-Type": "image/jpeg"})
    assert_error(reply, 400)


@pytest.mark.parametrize("size", ["abc", "12x", "0x10", "1e3", "9223372036854775808", "-1x", "1.0"])
def test_shaman_file_size_must_be_an_integer(api, size):
    assert_error(api.get(f"/shaman/files/{'a' * 64}/{size}"), 400)


def test_strings_of_any_length_and_emptiness_are_accepted(farm):
    job = farm.submit([], name="x" * 100_000, initial_status="paused")
    assert farm.job(job["id"])["name"] == "x" * 100_000


def test_lists_take_limit_offset_status_and_order(farm, job_id):
    first, second = (farm.submit([], name=n, initial_status="paused")["id"] for n in ("list-a", "list-b"))
    ids = [j["id"] for j in farm.api.ok("GET", "/jobs")["jobs"]]
    assert ids.index(first) < ids.index(second)
    assert [j["id"] for j in farm.api.ok("GET", "/jobs?limit=2")["jobs"]] == ids[:2]
    assert [j["id"] for j in farm.api.ok("GET", f"/jobs?offset={len(ids) - 1}")["jobs"]] == ids[-1:]
    assert [j["id"] for j in farm.api.ok("GET", "/jobs?order_by=-created&limit=1")["jobs"]] == ids[-1:]
    assert all(j["status"] == "paused" for j in farm.api.ok("GET", "/jobs?status=paused")["jobs"])
    for query in ("limit=0", "limit=x", "offset=-1", "status=nope", "order_by=colour", "updated_after=yesterday"):
        assert_error(farm.api.get(f"/jobs?{query}"), 400)
    assert json.loads(farm.api.get("/jobs?status=under-construction").text) == {"jobs": []}

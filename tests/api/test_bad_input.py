# SPDX-License-Identifier: Apache-2.0
"""Hostile bodies: deep, large, NUL, bytes that are no UTF-8. The right status, a full Error body, and the manager lives."""
import json

import pytest
from harness.check import assert_error
from harness.http import Raw

JSON = {"Content-Type": "application/json"}
MIB = 1 << 20


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    """A manager of their own: a job with a name of 10 MB makes every list of jobs that long."""
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("hostile"))
    yield farm
    farm.manager.stop()


def register_body(**fields):
    return {"name": "w", "platform": "linux", "supported_task_types": ["misc"], "secret": "s", **fields}


def nested(levels, opening, closing, inside=b"1"):
    return opening * levels + inside + closing * levels


@pytest.mark.parametrize("body", [
    nested(20_000, b"[", b"]"),
    nested(20_000, b'{"a":', b"}"),
    b"[" * 1_000_000,
    b'{"a":' * 500_000,
    nested(10_001, b"[", b"]"),
])
def test_too_deep_json_is_refused(farm, body):
    assert_error(farm.api.post("/worker/register-worker", data=body, headers=JSON), 400)
    full = b'{"name":"w","platform":"linux","supported_task_types":[],"secret":"","x":' + body + b"}"
    assert_error(farm.api.post("/worker/register-worker", data=full, headers=JSON), 400)
    assert farm.api.get("/version").status_code == 200


def test_deep_json_in_free_form_settings(farm):
    """What is allowed by its depth is stored and comes back, or is refused; nothing in between."""
    for levels in (50, 500, 5000):
        value = json.dumps(farm.submission([], initial_status="paused")).encode()
        value = value.replace(b'"tasks": []', b'"tasks": [], "deep": ' + nested(levels, b"[", b"]"), 1)
        reply = farm.api.post("/jobs", data=value, headers=JSON)
        if reply.status_code == 200:
            depth = reply.text.count("[") - 1
            assert depth == levels
        else:
            assert_error(reply, 400)
    assert farm.api.get("/jobs").status_code == 200


@pytest.mark.parametrize("payload", [
    b"\x00", b'{"name":"\x00"}', b'\x00{"priority":7}', b'{"priority":7\x00}', b"\xff\xfe{\x00}\x00", b'{"\xff": 1',
    b'"', b'{"a":"\\', b'{"a":"\\u12', b"[1,2", b"\x80\x80\x80\x80", b"-", b"1e", b'{"a":1e999999}',
    b"9" * 100_000, b'"' + b"\\u0000" * 1000,
])
def test_garbage_is_refused(farm, payload):
    assert_error(farm.api.post("/worker/register-worker", data=payload, headers=JSON), 400)


def test_ten_megabyte_strings(farm):
    big = "x" * (10 * MIB)
    worker = farm.worker()
    # where they are allowed
    job = farm.submit([], name=big, initial_status="paused")
    assert len(job["name"]) == len(big)
    assert len(farm.job(job["id"])["name"]) == len(big)
    # where something else is wrong
    assert_error(farm.api.post("/worker/register-worker", register_body(secret=big)), 400)
    assert_error(farm.api.post(f"/jobs/{big[:6000]}/setpriority", {"priority": 1}), 400)
    assert_error(worker.api.post("/worker/state-changed", {"status": big}), 400)
    message = assert_error(farm.api.post(f"/jobs/{job['id']}/setpriority", {"priority": big}), 400)
    assert len(message) < 2000
    farm.api.post(f"/jobs/{job['id']}/setstatus", {"status": "canceled", "reason": "x"})
    farm.api.ok("POST", "/jobs/check", 204, json=farm.submission([], name=big))


def test_ten_megabyte_log_and_activity(farm, lane):
    worker = farm.worker(types=[lane])
    farm.submit([{"type": lane}])
    task = worker.get_task()
    worker.update(task["uuid"], log="y" * (10 * MIB), activity="z" * MIB)
    assert farm.api.ok("GET", f"/tasks/{task['uuid']}/log")["size"] > 10 * MIB
    assert farm.task(task["uuid"])["activity"] == "z" * MIB
    worker.complete(task["uuid"])


def test_many_keys_and_items(farm):
    reply = farm.api.post("/worker/register-worker", register_body(supported_task_types=["t"] * 200_000))
    assert reply.status_code in (200, 400)
    extra = {f"k{i}": i for i in range(100_000)}
    assert farm.api.post("/worker/register-worker", register_body(**extra)).status_code == 200
    job = farm.submit(settings={"tasks": [], **extra}, initial_status="paused")
    assert len(job["settings"]) == 100_001
    farm.api.post(f"/jobs/{job['id']}/setstatus", {"status": "canceled", "reason": "x"})


def test_colliding_keys_are_not_quadratic(farm):
    """Many duplicates of one key, and keys of one length."""
    body = b'{"name":"w","platform":"linux","supported_task_types":[],"secret":"",' + \
        b",".join(b'"k":%d' % i for i in range(300_000)) + b"}"
    assert farm.api.post("/worker/register-worker", data=body, headers=JSON).status_code == 200


def test_body_over_the_limit_is_413(make_farm):
    farm = make_farm(yaml={"http": {"body_json": "64KiB", "body_job": "128KiB"}})
    small, large = "x" * 60_000, "x" * 70_000
    assert farm.api.post("/worker/register-worker", register_body(name=small)).status_code == 200
    assert farm.api.post("/worker/register-worker", register_body(name=large)).status_code == 413
    farm.submit([], name=large, initial_status="paused")
    assert farm.api.post("/jobs", farm.submission([], name="x" * 140_000)).status_code == 413


@pytest.mark.parametrize("head", [
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-H%d: 1\r\n" % i for i in range(200)) + b"\r\n",
    b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"b" * 2_000_000 + b"\r\n\r\n",
])
def test_too_large_heads_are_refused(farm, head):
    with Raw(farm.port) as raw:
        try:
            raw.send(head)
            assert raw.read().status in (400, 414, 431)
        except ConnectionError:
            pass
    assert farm.api.get("/version").status_code == 200


def test_client_that_leaves_within_a_body_does_no_harm(farm):
    for _ in range(20):
        with Raw(farm.port) as raw:
            raw.send(b"POST /api/v3/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
                     b'{"name":')
    assert farm.api.get("/version").status_code == 200


@pytest.mark.parametrize("header", [
    "Basic", "Basic ", "Basic !!!!", "Basic " + "A" * 100_000, "Basic Og==", "Basic \xff\xfe", "Bearer x", "basic",
    "Basic AAAA====", "Negotiate " + "x" * 1000,
])
def test_odd_authorization_headers_are_403(farm, header):
    with Raw(farm.port) as raw:
        raw.send(b"POST /api/v3/worker/task HTTP/1.1\r\nHost: x\r\nAuthorization: " + header.encode("latin-1") +
                 b"\r\nContent-Length: 0\r\n\r\n")
        reply = raw.read()
        assert reply.status == 403
        assert json.loads(reply.body)["code"] == 403

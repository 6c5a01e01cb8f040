# SPDX-License-Identifier: Apache-2.0
"""Worker authentication (api-behaviour 3): Basic, always 403, full Error bodies."""
import base64

import pytest
from harness.check import UNKNOWN, assert_empty, assert_error
from harness.http import Raw

AUTHENTICATED = [
    ("POST", "/worker/sign-on", {"name": "n", "supported_task_types": [], "software_version": "1"}),
    ("POST", "/worker/sign-off", None),
    ("GET", "/worker/state", None),
    ("POST", "/worker/state-changed", {"status": "awake"}),
    ("POST", "/worker/task", None),
    ("POST", f"/worker/task/{UNKNOWN}", {}),
    ("GET", f"/worker/task/{UNKNOWN}/may-i-run", None),
]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture(scope="module")
def worker(shared_farm):
    return shared_farm.worker(types=["auth"])


@pytest.mark.parametrize("method, path, body", AUTHENTICATED)
def test_every_worker_operation_wants_credentials(farm, worker, method, path, body):
    for auth in (None, (worker.id, "wrong"), (worker.id, ""), (UNKNOWN, worker.secret), ("", ""), ("x", worker.secret)):
        reply = farm.api.call(method, path, json=body, auth=auth)
        assert_error(reply, 403)
        assert "WWW-Authenticate" not in reply.headers
    assert farm.api.call(method, path, json=body, auth=(worker.id, worker.secret)).status_code != 403


def test_output_produced_wants_credentials(farm):
    assert_error(farm.api.post(f"/worker/task/{UNKNOWN}/output-produced", data=b"x",
                               headers={"Content-Type": "image/jpeg"}), 403)


@pytest.mark.parametrize("build, accepted", [
    (lambda w: basic(w.id, w.secret), True),
    (lambda w: basic(w.id, w.secret).replace("Basic", "bAsIc"), True),
    (lambda w: basic(w.id.upper(), w.secret), True),
    (lambda w: basic(w.id, w.secret).rstrip("=") + "=" * 3, False),
    (lambda w: base64.b64encode(f"{w.id}:{w.secret}".encode()).decode(), False),
    (lambda w: "Bearer " + basic(w.id, w.secret)[6:], False),
    (lambda w: basic(w.id, w.secret + "\n"), False),
    (lambda w: basic(w.id + " ", w.secret), False),
    (lambda w: basic(w.id, w.secret.upper()), False),
    (lambda w: "Basic " + base64.b64encode(f"{w.id}".encode()).decode(), False),
])
def test_header_forms(farm, worker, build, accepted):
    reply = farm.api.get("/worker/state", headers={"Authorization": build(worker)})
    if accepted:
        assert_empty(reply)
    else:
        assert_error(reply, 403)


def test_secret_may_hold_colons_and_any_bytes(farm):
    for secret in ("a:b:c", ":", "", "ä€😀", "x" * 72, "0123456789abcdef" * 4):
        worker = farm.register(secret=secret)
        with Raw(farm.port) as raw:
            assert raw.request("POST", "/api/v3/worker/sign-off", [("Authorization", basic(worker.id, secret))],
                               b"").read().status == 204
            assert raw.request("POST", "/api/v3/worker/sign-off", [("Authorization", basic(worker.id, secret + "x"))],
                               b"").read().status == 403


@pytest.mark.parametrize("secret", ["x" * 73, "ä" * 37, "a\0b", "\0"])
def test_secret_that_cannot_be_hashed_is_refused(api, secret):
    body = {"name": "w", "platform": "linux", "secret": secret, "supported_task_types": []}
    assert_error(api.post("/worker/register-worker", body), 400)


def test_management_ignores_credentials(farm):
    for auth in (("", ""), ("x", "y")):
        assert farm.api.get("/jobs", auth=auth).status_code == 200
        body = {"name": "w", "platform": "linux", "secret": "", "supported_task_types": []}
        assert farm.api.post("/worker/register-worker", body, auth=auth).status_code == 200


def test_refusal_is_logged_and_does_not_count_as_seen(farm):
    worker = farm.register()
    position = farm.manager.log_position()
    assert_error(farm.api.get("/worker/state", auth=(worker.id, "wrong")), 403)
    farm.manager.wait_log("(?i)worker|credential|secret", position)
    assert "last_seen" not in worker.row()


def test_credentials_are_kept_over_a_restart(own_farm):
    worker = own_farm.worker()
    own_farm.manager.restart()
    assert worker.api.get("/worker/state").status_code == 204
    assert_error(own_farm.api.get("/worker/state", auth=(worker.id, "wrong")), 403)

# SPDX-License-Identifier: Apache-2.0
"""Every field of every operation with a wrong type: 400 with a full Error body. Generated from api/flamenco-openapi.yaml."""
import json

import pytest
from harness import openapi
from harness.check import assert_error

WITH_BODY = [op for op in openapi.operations() if op.body]
WITH_QUERY = [op for op in openapi.operations() if op.query_params()]


@pytest.fixture(scope="module")
def worker(shared_farm):
    return shared_farm.worker(types=["none"])


def client_for(op, farm, worker):
    return worker.api if op.auth else farm.api


def test_document_has_all_operations_and_bodies():
    assert len(openapi.operations()) >= 57
    assert len(WITH_BODY) >= 20
    assert sum(1 for op in WITH_BODY for _ in openapi.wrong_bodies(op)) > 400


@pytest.mark.parametrize("op", WITH_BODY, ids=str)
def test_wrong_types_are_refused(op, farm, worker):
    client = client_for(op, farm, worker)
    before = farm.api.ok("GET", "/jobs"), len(farm.api.ok("GET", "/worker-mgt/workers")["workers"])
    for what, body in openapi.wrong_bodies(op):
        reply = client.call(op.method, op.url(), data=json.dumps(body), headers={"Content-Type": "application/json"})
        try:
            assert_error(reply, 400)
        except AssertionError as problem:
            raise AssertionError(f"{op.id}: {what}: {problem}") from None
    assert before == (farm.api.ok("GET", "/jobs"), len(farm.api.ok("GET", "/worker-mgt/workers")["workers"]))


@pytest.mark.parametrize("op", WITH_BODY, ids=str)
def test_missing_body_is_refused_where_one_is_required(op, farm, worker):
    reply = client_for(op, farm, worker).call(op.method, op.url(), headers={"Content-Type": "application/json"})
    if op.body_required:
        assert_error(reply, 400)
    else:
        assert reply.status_code != 400 or op.id in ("saveSetupAssistantConfig", "removeJobBlocklist")


@pytest.mark.parametrize("op", WITH_QUERY, ids=str)
def test_wrong_query_parameters_are_refused(op, farm, worker):
    client = client_for(op, farm, worker)
    for param in op.query_params():
        schema = openapi.resolve(param["schema"])
        wrong = ["", "1.5", "x", "-1", "%zz"] if schema.get("type") == "integer" else ["", "no-such-value", "%zz"]
        for value in wrong:
            assert_error(client.get(f"{op.url()}?{param['name']}={value}"), 400)
        assert_error(client.get(f"{op.url()}?{param['name']}=1&{param['name']}=1"), 400)


ID_PARAMS = ("job_id", "task_id", "worker_id", "tag_id")
WITH_ID = [op for op in openapi.operations() if any(p["name"] in ID_PARAMS for p in op.params)]
BAD_IDS = ["x", "not-a-uuid", "11111111-2222-4333-8444-55555555555", "11111111-2222-4333-8444-5555555555555",
           "11111111222243338444555555555555", "1111111-12222-4333-8444-555555555555", "g1111111-2222-4333-8444-555555555555",
           "{11111111-2222-4333-8444-555555555555}", "urn:uuid:11111111-2222-4333-8444-555555555555",
           "11111111-2222-4333-8444-55555555555%00", "%20", "..%2F..%2Fetc%2Fpasswd", "a" * 5000]


@pytest.mark.parametrize("op", WITH_ID, ids=str)
def test_ids_that_are_no_uuid_are_refused(op, farm, worker):
    client = client_for(op, farm, worker)
    for bad in BAD_IDS:
        url = op.url(**{name: bad for name in ID_PARAMS})
        kw = {}
        if op.body:
            kw["json"] = openapi.sample(op.body)
        elif op.content:
            kw = {"data": b"x", "headers": {"Content-Type": "image/jpeg"}}
        reply = client.call(op.method, url, **kw)
        assert_error(reply, 400)

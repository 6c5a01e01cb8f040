# SPDX-License-Identifier: Apache-2.0
"""What is on the port beside the operations: health, metrics, the API document; and getVersion."""
import re

import pytest
from harness.check import assert_error
from harness.http import Raw
from harness.openapi import assert_schema, document


def test_version(farm):
    version = farm.api.ok("GET", "/version")
    assert_schema("FlamencoVersion", version)
    assert version["name"] == "Test Farm" and version["shortversion"] == "3.9" == version["version"] and version["git"]


def test_version_stays_the_same_over_restarts(own_farm):
    before = own_farm.api.ok("GET", "/version")
    own_farm.manager.restart()
    assert own_farm.api.ok("GET", "/version") == before


def test_live_and_ready(farm):
    assert farm.api.ok("GET", "//health/live") == {"status": "live"}
    ready = farm.api.ok("GET", "//health/ready")
    assert ready["status"] == "ready"
    for name in ("manager", "configuration", "persist", "task_scheduler", "job_compiler", "state_machine", "clock",
                 "log_storage", "local_storage"):
        assert ready["checks"][name] == {"ok": True, "message": ""}, name


def test_metrics(farm):
    farm.api.get("/nope")
    reply = farm.api.get("//metrics")
    assert reply.status_code == 200
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    seen, typed = set(), set()
    for line in reply.text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            name, value = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{[^}]*\})? (\S+)', line).groups()
            float(value)
            seen.add(name)
    assert seen == typed
    assert {"flamenco_commits_total", "flamenco_parked_requests", "flamenco_http_connections"} <= seen


def test_metrics_count(farm):
    before = farm.api.metric("flamenco_http_requests_total")
    for _ in range(5):
        farm.api.get("/version")
    assert farm.api.metric("flamenco_http_requests_total") >= before + 5


@pytest.mark.parametrize("path", ["//health/live", "//health/ready", "//metrics", "/openapi3.json"])
def test_pages_know_head(farm, path):
    with Raw(farm.port) as raw:
        full = path[1:] if path.startswith("//") else "/api/v3" + path
        reply = raw.request("HEAD", full).read("HEAD")
        assert reply.status in (200, 405)
        assert raw.request("GET", "/api/v3/version").read().status == 200


def test_api_document(api):
    body = api.ok("GET", "/openapi3.json")
    assert body["servers"] == [{"url": "/"}]
    assert body["openapi"].startswith("3.")
    wanted = {path: {m for m in item if m in ("get", "put", "post", "delete")} for path, item in document()["paths"].items()}
    assert {path: {m for m in item if m in ("get", "put", "post", "delete")} for path, item in body["paths"].items()} == wanted


@pytest.mark.parametrize("path", ["//health", "//health/", "//health/live/", "//metrics/", "//test", "//test/events/x"])
def test_neighbours_of_pages_are_404(api, path):
    assert_error(api.get(path), 404)

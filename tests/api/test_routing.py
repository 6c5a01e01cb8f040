# SPDX-License-Identifier: Apache-2.0
"""Which requests find an operation, and what the others get (api-behaviour 1.6, 2.2)."""
import pytest
from harness.check import UNKNOWN, assert_empty, assert_error
from harness.http import Raw

SHA = "a" * 64


@pytest.mark.parametrize("method, path", [
    # unknown paths; no redirect, no cleaning
    ("GET", "/api/v3/nope"),
    ("GET", "/api/v3/jobs/"),
    ("GET", "/api/v3/version/"),
    ("GET", "/api/v3"),
    ("GET", "/api/"),
    ("GET", "/api/v4/version"),
    ("GET", "/API/v3/version"),
    ("GET", "/api/v3/Version"),
    ("GET", "/nope"),
    ("GET", "/api/v3/jobs%2Ftypes"),
    ("POST", f"/api/v3/worker/task/{UNKNOWN}/"),
    # known path, another method
    ("DELETE", "/api/v3/version"),
    ("PATCH", "/api/v3/version"),
    ("PUT", "/api/v3/jobs"),
    ("POST", f"/api/v3/jobs/{UNKNOWN}"),
    ("GET", "/api/v3/worker/sign-on"),
    ("BREW", "/api/v3/jobs"),
    # a literal segment with another method is no parameter
    ("GET", "/api/v3/jobs/check"),
    ("GET", "/api/v3/jobs/mass-delete"),
    ("DELETE", "/api/v3/jobs/last-rendered"),
    ("DELETE", "/api/v3/jobs/types"),
    # one segment too many
    ("GET", "/api/v3/jobs/type/a/b"),
    ("GET", "/api/v3/worker-mgt/tag/a/b"),
    ("GET", f"/api/v3/jobs/{UNKNOWN}/tasks/1"),
    # an empty parameter is none
    ("GET", "/api/v3/jobs/type/"),
    ("GET", "/api/v3/jobs//tasks"),
])
def test_unknown_path_or_method_gives_404(api, method, path):
    reply = api.call(method, "/" + path)
    assert_error(reply, 404)
    assert "Allow" not in reply.headers


def test_double_slash_is_not_cleaned(farm):
    with Raw(farm.port) as raw:
        assert raw.request("GET", "/api/v3//jobs").read().status == 404
        assert raw.request("GET", "//api/v3/jobs").read().status == 404
        assert raw.request("GET", "/api/v3/./jobs").read().status == 404
        assert raw.request("GET", "/api/v3/x/../jobs").read().status == 404


def test_head_of_an_api_path_is_an_unknown_method_without_body(farm):
    with Raw(farm.port) as raw:
        reply = raw.request("HEAD", "/api/v3/jobs").read("HEAD")
        assert reply.status == 404
        # the connection is still in step
        assert raw.request("GET", "/api/v3/version").read().status == 200


@pytest.mark.parametrize("method, path", [
    ("POST", "/api/v3/configuration/variables/users/linux"),
    ("DELETE", "/api/v3/configuration/shared-storage/users/linux"),
    ("HEAD", "/api/v3/configuration/variables/users/linux"),
    ("POST", "/api/v3/openapi3.json"),
    ("POST", "/metrics"),
    ("PUT", "/health/live"),
])
def test_wrong_method_on_unvalidated_path_gives_405_with_allow(api, method, path):
    reply = api.call(method, "/" + path)
    if method == "HEAD":
        assert reply.status_code == 405 and not reply.content
    else:
        assert_error(reply, 405)
    assert reply.headers["Allow"] == "OPTIONS, GET"


def test_wrong_method_on_shaman_files_names_both_methods(api):
    reply = api.put(f"/shaman/files/{SHA}/1")
    assert_error(reply, 405)
    assert reply.headers["Allow"] == "OPTIONS, GET, POST"


@pytest.mark.parametrize("path, allow", [
    ("/api/v3/version", "OPTIONS, GET"),
    ("/api/v3/jobs", "OPTIONS, GET, POST"),
    (f"/api/v3/jobs/{UNKNOWN}", "OPTIONS, DELETE, GET"),
    ("/api/v3/worker/sign-on", "OPTIONS, POST"),
    ("/api/v3/nope", None),
    ("/nope", None),
    ("/", None),
])
def test_options_is_answered_everywhere(api, path, allow):
    reply = api.call("OPTIONS", "/" + path)
    assert_empty(reply)
    assert "Origin" in reply.headers["Vary"]
    if allow is None:
        assert "Allow" not in reply.headers
    else:
        assert sorted(reply.headers["Allow"].split(", ")) == sorted(allow.split(", "))
        assert reply.headers["Allow"].startswith("OPTIONS")


def test_literal_segment_beats_a_parameter(api):
    assert set(api.ok("GET", "/jobs/types")) == {"job_types"}


def test_unknown_query_parameters_are_ignored(api):
    assert api.get("/version?colour=red&colour=blue&&=&x").status_code == 200
    assert api.get("/jobs?colour=red").status_code == 200


def test_percent_encoded_parameters_are_decoded(api):
    assert api.get("/jobs/type/echo%2Dsleep%2dtest").json()["name"] == "echo-sleep-test"
    assert "a/b" in assert_error(api.get("/jobs/type/a%2Fb"), 404)


@pytest.mark.parametrize("path", ["/api/v3/jobs/type/%zz", "/api/v3/jobs/type/a%2", "/api/v3/jobs/type/a%00b"])
def test_bad_escapes_and_nul_in_the_path_give_400(farm, path):
    with Raw(farm.port) as raw:
        assert raw.request("GET", path).read().status == 400


def test_routing_comes_before_authentication(api):
    assert_error(api.post("/worker/nope"), 404)
    assert_error(api.get("/worker/sign-on"), 404)


@pytest.mark.parametrize("path, expected", [
    ("/configuration/variables/martians/linux", {}),
    ("/configuration/variables//linux", None),
])
def test_unknown_audience_has_no_variables(api, path, expected):
    reply = api.get(path)
    if expected is None:
        assert_error(reply, 404)
    else:
        assert reply.status_code == 200 and reply.json() == expected


def test_unknown_audience_is_echoed_by_shared_storage(api, farm):
    body = api.ok("GET", "/configuration/shared-storage/martians/linux")
    assert body == {"location": str(farm.manager.shared), "audience": "martians", "platform": "linux", "shamanEnabled": False}


def test_last_parameter_of_an_unvalidated_path_takes_the_rest(api):
    body = api.ok("GET", "/configuration/shared-storage/users/linux/extra")
    assert body["platform"] == "linux/extra"

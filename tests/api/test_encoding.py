# SPDX-License-Identifier: Apache-2.0
"""How replies look on the wire: JSON, headers, compression, CORS, HTTP itself (api-behaviour 1.3, 1.4, 9.3)."""
import gzip
import json

import pytest
from harness.check import UNKNOWN, assert_empty, assert_error, parse_time
from harness.http import Raw

ALLOW_HEADERS = ("Accept,Accept-Encoding,Access-Control-Allow-Origin,Access-Control-Request-Headers,"
                 "Access-Control-Request-Method,Authorization,Content-Length,Content-Type,Origin,X-CSRF-Token,"
                 "X-Requested-With,Cache-Control,Connection,Host,Referer,User-Agent,X-header")


@pytest.fixture(scope="module")
def many_jobs(shared_farm):
    """Enough jobs that their list is over 1 KB."""
    jobs = [shared_farm.submit([], initial_status="paused") for _ in range(10)]
    return jobs


# ---- JSON ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, status", [("/version", 200), ("/jobs", 200), ("/nope", 404), ("/jobs/xyz", 400)])
def test_json_is_compact_and_ends_with_a_newline(api, path, status):
    reply = api.get(path)
    assert reply.status_code == status
    assert reply.headers["Content-Type"] == "application/json"
    text = reply.content.decode()
    assert text.endswith("\n") and text.count("\n") == 1
    assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False) + "\n"


@pytest.mark.parametrize("query", ["?pretty", "?pretty=1", "?pretty=false", "?a=b&pretty="])
@pytest.mark.parametrize("path", ["/version", "/jobs/xyz", "/configuration/variables/users/linux", "/jobs/types"])
def test_pretty_indents_by_two_blanks(api, path, query):
    plain, pretty = api.get(path), api.get(path + query)
    assert pretty.status_code == plain.status_code
    assert pretty.text == json.dumps(plain.json(), indent=2, ensure_ascii=False).replace("[]", "[]") + "\n"


@pytest.mark.parametrize("query", ["?Pretty", "?prettyx", "?x=pretty"])
def test_other_parameters_do_not_indent(api, query):
    assert api.get("/version" + query).text == api.get("/version").text


def test_strings_are_escaped_as_the_reference_does(farm):
    name = "<b>&\u2028\u2029\"\\/\n\t\r\b\f\x01\x7fä€😀"
    job = farm.submit([], name=name, initial_status="paused")
    raw = farm.api.get(f"/jobs/{job['id']}").content.decode()
    assert job["name"] == name
    assert ('"name":"\\u003cb\\u003e\\u0026\\u2028\\u2029\\"\\\\/\\n\\t\\r' in raw)
    assert "ä€😀" in raw and "\\u0001" in raw


def test_invalid_utf8_becomes_the_replacement_character(farm):
    body = json.dumps(farm.submission([], initial_status="paused")).encode()
    body = body.replace(b'"name": "', b'"name": "a\xff\xc3(\\ud800b', 1)
    reply = farm.api.post("/jobs", data=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 200, reply.text
    assert reply.json()["name"].startswith("a\ufffd\ufffd(\ufffdb")


def test_nul_character_is_stored_and_returned(farm):
    job = farm.submit([], name="a\0b", metadata={"k": "x\0y"}, initial_status="paused")
    assert farm.job(job["id"])["name"] == "a\0b"
    assert farm.job(job["id"])["metadata"] == {"k": "x\0y"}


def test_free_form_numbers_are_doubles_and_maps_are_sorted(farm):
    settings = {"tasks": [], "z": 3.0, "a": 0.5, "m": 1e21, "Z": 7, "big": 12345, "neg": -0.25, "tiny": 1e-7,
                "deep": {"b": 1, "a": [2.0, None, True]}}
    job = farm.submit(settings=settings, initial_status="paused")
    raw = farm.api.get(f"/jobs/{job['id']}").text
    want = '"settings":{"Z":7,"a":0.5,"big":12345,"deep":{"a":[2,null,true],"b":1},"m":1e+21,"neg":-0.25,"tasks":[],' \
           '"tiny":1e-7,"z":3}'
    assert want in raw


def test_timestamps_have_no_trailing_zeros(farm, many_jobs):
    jobs = farm.api.ok("GET", "/jobs")["jobs"]
    for job in jobs:
        parse_time(job["created"])
        parse_time(job["updated"])


# ---- Headers ------------------------------------------------------------------------------------------------------------

def some_replies(farm):
    worker = farm.register()
    return {
        "200": farm.api.get("/version"),
        "204": worker.api.post("/worker/sign-off"),
        "400": farm.api.get("/jobs/xyz"),
        "403": farm.api.post("/worker/sign-off"),
        "404": farm.api.get("/nope"),
        "405": farm.api.post("/openapi3.json"),
        "options": farm.api.call("OPTIONS", "/version"),
        "metrics": farm.api.get("//metrics"),
    }


def test_every_reply_has_date_and_vary_and_nothing_else_of_note(farm):
    for what, reply in some_replies(farm).items():
        assert "Origin" in reply.headers["Vary"], what
        assert "Date" in reply.headers, what
        for name in ("Server", "ETag", "WWW-Authenticate", "Cache-Control", "X-Powered-By"):
            assert name not in reply.headers, (what, name)


def test_204_has_neither_body_nor_type(farm):
    worker = farm.register()
    for reply in (worker.api.post("/worker/sign-off"), farm.api.call("OPTIONS", "/jobs")):
        assert_empty(reply)
        assert "Content-Encoding" not in reply.headers


# ---- Compression --------------------------------------------------------------------------------------------------------

def raw_reply(farm, path, *headers):
    with Raw(farm.port) as raw:
        return raw.request("GET", path, headers).read()


@pytest.mark.parametrize("accept, compressed", [
    ("gzip", True), ("deflate, gzip;q=0.5", True), ("GZIP", True), ("br, *", None),
    ("identity", False), ("gzip;q=0", False), ("gzip;q=0.0, deflate", False), ("br", False), ("", False),
])
def test_large_replies_are_compressed_for_those_who_accept_it(farm, many_jobs, accept, compressed):
    plain = raw_reply(farm, "/api/v3/jobs")
    assert len(plain.body) > 1024
    reply = raw_reply(farm, "/api/v3/jobs", ("Accept-Encoding", accept))
    vary = {v.strip() for v in reply.header("Vary").split(",")}
    assert {"Origin", "Accept-Encoding"} <= vary
    if reply.header("Content-Encoding") == "gzip":
        assert compressed is not False
        assert len(reply.body) < len(plain.body)
        assert gzip.decompress(reply.body) == plain.body
    else:
        assert compressed is not True
        assert reply.body == plain.body


def test_small_replies_are_not_compressed(farm):
    reply = raw_reply(farm, "/api/v3/version", ("Accept-Encoding", "gzip"))
    assert reply.header("Content-Encoding") is None


def test_gzip_can_be_switched_off(make_farm):
    farm = make_farm(yaml={"http": {"gzip": False}})
    for _ in range(10):
        farm.submit([], initial_status="paused")
    reply = raw_reply(farm, "/api/v3/jobs", ("Accept-Encoding", "gzip"))
    assert reply.header("Content-Encoding") is None and len(reply.body) > 1024


# ---- CORS ---------------------------------------------------------------------------------------------------------------

ALLOWED = ["http://localhost:8081", "http://127.0.0.1:8081"]
FOREIGN = ["http://evil.example", "http://localhost:8082", "https://localhost:8081", "null", "http://localhost:8081.evil.example"]


@pytest.mark.parametrize("origin", ALLOWED)
@pytest.mark.parametrize("path, status", [("/version", 200), ("/jobs/xyz", 400), ("/nope", 404)])
def test_allowed_origin_is_echoed_also_on_errors(api, origin, path, status):
    reply = api.get(path, headers={"Origin": origin})
    assert reply.status_code == status
    assert reply.headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origin_is_served_without_cors_headers(api, origin):
    reply = api.get("/version", headers={"Origin": origin})
    assert reply.status_code == 200
    assert not [h for h in reply.headers if h.lower().startswith("access-control")]
    reply = api.call("OPTIONS", "/version", headers={"Origin": origin})
    assert_empty(reply)
    assert not [h for h in reply.headers if h.lower().startswith("access-control")]


@pytest.mark.parametrize("origin", ALLOWED)
@pytest.mark.parametrize("path", ["/jobs", f"/jobs/{UNKNOWN}/setstatus", "/nope"])
def test_preflight(api, origin, path):
    reply = api.call("OPTIONS", path, headers={"Origin": origin, "Access-Control-Request-Method": "POST",
                                               "Access-Control-Request-Headers": "content-type"})
    assert_empty(reply)
    assert reply.headers["Access-Control-Allow-Origin"] == origin
    assert reply.headers["Access-Control-Allow-Methods"] == "POST,GET,OPTIONS,PUT,DELETE"
    assert reply.headers["Access-Control-Allow-Headers"] == ALLOW_HEADERS
    vary = reply.headers["Vary"]
    assert "Access-Control-Request-Method" in vary and "Access-Control-Request-Headers" in vary
    assert "Access-Control-Max-Age" not in reply.headers


# ---- HTTP ---------------------------------------------------------------------------------------------------------------

def test_http_1_0_is_served(farm):
    with Raw(farm.port) as raw:
        reply = raw.send("GET /api/v3/version HTTP/1.0\r\n\r\n").read()
        assert reply.status == 200 and json.loads(reply.body)["name"] == "Test Farm"
        assert raw.is_closed_by_peer()


def test_connection_serves_many_requests_also_pipelined(farm):
    with Raw(farm.port) as raw:
        for i in range(5):
            raw.request("GET", "/api/v3/version" if i % 2 else "/api/v3/nope")
        assert [raw.read().status for _ in range(5)] == [404, 200, 404, 200, 404]


def test_chunked_body_is_accepted(farm):
    body = json.dumps({"name": "w", "platform": "linux", "supported_task_types": [], "secret": ""}).encode()
    with Raw(farm.port) as raw:
        raw.send(b"POST /api/v3/worker/register-worker HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n")
        for part in (body[:10], body[10:]):
            raw.send(b"%x\r\n%s\r\n" % (len(part), part))
        raw.send(b"0\r\n\r\n")
        assert raw.read().status == 200


def test_expect_continue_is_answered(farm):
    body = b'{"name":"w","platform":"linux","supported_task_types":[],"secret":""}'
    with Raw(farm.port) as raw:
        raw.send(b"POST /api/v3/worker/register-worker HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert raw._until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        assert raw.send(body).read().status == 200


@pytest.mark.parametrize("request_text", [
    b"GET\r\n\r\n",
    b"GET /api/v3/version\r\n\r\n",
    b"\x00\x01\x02\r\n\r\n",
    b"GET /api/v3/version HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/v3/jobs HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /api/v3/jobs HTTP/1.1\r\nContent-Length: -5\r\n\r\nhello",
])
def test_malformed_http_is_refused_and_the_server_lives(farm, request_text):
    with Raw(farm.port) as raw:
        raw.send(request_text)
        try:
            assert raw.read().status == 400
        except ConnectionError:
            pass  # closed without an answer is fine, too
    assert farm.api.get("/version").status_code == 200


def test_request_content_encoding_is_not_decoded(farm):
    body = gzip.compress(b'{"name":"w","platform":"linux","supported_task_types":[],"secret":""}')
    reply = farm.api.post("/worker/register-worker", data=body,
                          headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert_error(reply, 400)


def test_unfinished_head_is_closed_without_an_answer(make_farm):
    farm = make_farm(yaml={"http": {"head_timeout": "1s"}})
    with Raw(farm.port) as raw:
        raw.send("GET /api/v3/version HTTP/1.1\r\nHost:")
        assert raw.is_closed_by_peer()
    assert farm.api.get("/version").status_code == 200

# SPDX-License-Identifier: Apache-2.0
"""The web interface's files, the add-on, the API documentation and the redirects (api-behaviour 9.1 to 9.3)."""
import gzip
import os
import zipfile

import pytest
from harness.check import assert_empty, assert_error
from harness.http import Raw

INDEX = "<!DOCTYPE html><title>the app</title>" + "x" * 3000
DOCS = "//api/v3/swagger-ui/"


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def addon(path, version="3.9-beta1"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flamenco/__init__.py", "bl_info = {}\n")
        archive.writestr("flamenco/manager/__init__.py", f'# made by a machine\n__version__ = "{version}"\n')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A manager with another build of the web interface, an add-on, and something in the place of Swagger UI."""
    from conftest import start_farm
    root = tmp_path_factory.mktemp("site")
    app, swagger = root / "app", root / "swagger"
    write(app / "index.html", INDEX)
    write(app / "assets" / "index-1.js", "let a = 1;" * 500)
    write(app / "assets" / "index-1.js.gz", gzip.compress(b"let a = 1;" * 500))
    write(app / "assets" / "index-1.js.br", b"pretends to be brotli")
    write(app / "assets" / "style.css", "a {}")
    write(app / "with blank ü.txt", "text")
    write(app / "favicon.png", b"\x89PNG\r\n\x1a\n")
    write(app / ".env", "SECRET=1")
    write(root / "outside.txt", "outside")
    (app / "link.txt").symlink_to(root / "outside.txt")
    (app / "inside.css").symlink_to("assets/style.css")
    os.mkfifo(app / "fifo")
    write(swagger / "swagger-ui-bundle.js", "window.SwaggerUIBundle = 1;")
    write(swagger / "swagger-ui.css", "a {}")
    addon(root / "addon" / "flamenco-addon.zip")
    settings = {"directory": str(app), "addon": str(root / "addon" / "flamenco-addon.zip"), "swagger_ui": str(swagger)}
    farm = start_farm(root / "manager", recorder=False, yaml={"plugins": {"http_routes": [
        {"file": "webapp", "settings": settings}]}})
    farm.root, farm.app = root, app
    yield farm
    farm.manager.stop()


def location(reply, status):
    assert_empty(reply, status)
    return reply.headers["Location"]


# ---- Redirects ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path, status, target", [
    ("//", 307, "/app/"), ("//app", 307, "/app/"), ("//flamenco3-addon.zip", 308, "/flamenco-addon.zip"),
    ("//app/index.html", 301, "./"), ("//app/workers/", 301, "../workers"), ("//app/a/b/", 301, "../b"),
    ("//app/assets", 301, "assets/"), ("//app/assets/style.css/", 301, "../style.css"),
    ("//?x=1", 307, "/app/"),
])
def test_redirects(site, path, status, target):
    assert location(site.api.get(path), status) == target


@pytest.mark.parametrize("path", ["/app//", "/app//evil.example/", "/app/x//", "/app/%2f%2fevil.example/", "/app/a\\b/"])
def test_redirects_stay_on_this_host(site, path):
    with Raw(site.port) as raw:
        reply = raw.request("GET", path).read()
    target = reply.header("location")
    assert target is None or (target.startswith("../") and "//" not in target), target


# ---- Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path, kind", [
    ("//app/", "text/html; charset=utf-8"), ("//app/assets/index-1.js", "application/javascript"),
    ("//app/assets/style.css", "text/css; charset=utf-8"), ("//app/inside.css", "text/css; charset=utf-8"),
    ("//app/favicon.png", "image/png"), ("//favicon.png", "image/png"), ("//flamenco-addon.zip", "application/zip"),
    ("//app/with%20blank%20%C3%BC.txt", "text/plain; charset=utf-8"),
])
def test_files_and_their_types(site, path, kind):
    reply = site.api.get(path)
    assert reply.status_code == 200 and reply.content
    assert reply.headers["Content-Type"] == kind
    assert reply.headers["Accept-Ranges"] == "bytes" and reply.headers["ETag"]
    assert reply.headers["Cache-Control"] == "no-cache" and reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" not in reply.headers  # another build may want what ours would forbid
    head = site.api.call("HEAD", path)
    assert head.status_code == 200 and head.content == b""
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert head.headers[name] == reply.headers[name]


@pytest.mark.parametrize("path", [
    "/app/jobs/0b7c2f0a-53c3-4f0e-9d1d-6d2f3f0f9a11", "/app/workers", "/app/assets/gone.js", "/app/assets/", "/app/link.txt",
    "/app/.env", "/app/fifo", "/app/../outside.txt", "/app/%2e%2e/outside.txt", "/app/..%2foutside.txt", "/app/assets/../../outside.txt",
    "/app/%00", "/app/%", "/app//etc/passwd", "/app/%2fetc/passwd", "/app/" + "a" * 3000,
])
def test_anything_else_is_the_app_itself(site, path):
    with Raw(site.port) as raw:
        reply = raw.request("GET", path).read()
    assert reply.status == 200
    assert reply.header("content-type") == "text/html; charset=utf-8"
    assert reply.body.decode() == INDEX


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["//", "//app/", "//app/assets/style.css", DOCS, "//flamenco-addon.zip"])
def test_other_methods(site, method, path):
    reply = site.api.call(method, path)
    assert_error(reply, 405)
    assert reply.headers["Allow"] == "OPTIONS, GET"


def test_options(site):
    reply = site.api.call("OPTIONS", "//app/")
    assert_empty(reply)
    assert reply.headers["Allow"] == "OPTIONS, GET"


def test_the_root_alone_is_redirected(site):
    for path in ("//nope", "//apps", "//api", "//api/v3/nope"):
        assert_error(site.api.get(path), 404)
    assert site.api.get("/version").status_code == 200


def test_a_new_build_is_served_at_once(site):
    first = site.api.get("//app/assets/style.css")
    write(site.app / "assets" / "style.css", "b { color: red }")
    second = site.api.get("//app/assets/style.css", headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200 and second.text == "b { color: red }"
    assert second.headers["ETag"] != first.headers["ETag"]


# ---- Conditions, ranges, compression --------------------------------------------------------------------------------------


def test_unchanged_files_are_not_sent_again(site):
    etag = site.api.get("//app/").headers["ETag"]
    reply = site.api.get("//app/", headers={"If-None-Match": f'"other", {etag}'})
    assert reply.status_code == 304 and reply.content == b"" and reply.headers["ETag"] == etag


@pytest.mark.parametrize("value, status, body, content_range", [
    ("bytes=0-3", 206, "<!DO", "bytes 0-3/3037"), ("bytes=-4", 206, "xxxx", "bytes 3033-3036/3037"),
    ("bytes=3037-", 416, "", "bytes */3037"), ("bytes=0-0,2-2", 200, INDEX, None), ("words=1-2", 200, INDEX, None),
])
def test_ranges(site, value, status, body, content_range):
    reply = site.api.get("//app/", headers={"Range": value, "Accept-Encoding": "gzip"})
    assert reply.status_code == status and reply.text == body
    assert reply.headers.get("Content-Range") == content_range
    etag = site.api.get("//app/").headers["ETag"]
    assert site.api.get("//app/", headers={"Range": value, "If-Range": '"old"'}).text == INDEX
    assert site.api.get("//app/", headers={"Range": value, "If-Range": etag}).status_code == status


@pytest.mark.parametrize("accepted, coding", [
    ("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip"), ("deflate", None), ("", None),
])
def test_precompressed_files(site, accepted, coding):
    with Raw(site.port) as raw:
        reply = raw.request("GET", "/app/assets/index-1.js", [("Accept-Encoding", accepted)]).read()
        plain = raw.request("GET", "/app/assets/index-1.js").read()
    assert reply.header("content-encoding") == coding
    assert reply.header("content-type") == "application/javascript"
    assert "Accept-Encoding" in reply.header("vary")
    assert (reply.header("etag") == plain.header("etag")) == (coding is None)
    expected = {"br": b"pretends to be brotli", "gzip": (site.app / "assets" / "index-1.js.gz").read_bytes(), None: plain.body}
    assert reply.body == expected[coding]


def test_cors(site):
    reply = site.api.get("//app/", headers={"Origin": "http://localhost:8081"})
    assert reply.headers["Access-Control-Allow-Origin"] == "http://localhost:8081"
    assert "Access-Control-Allow-Origin" not in site.api.get("//app/", headers={"Origin": "http://evil.example"}).headers


# ---- Add-on ---------------------------------------------------------------------------------------------------------------


def test_version_is_that_of_the_addon(site):
    version = site.api.ok("GET", "/version")
    assert version["shortversion"] == version["version"] == "3.9-beta1"
    assert site.api.get("//flamenco-addon.zip").content == (site.root / "addon" / "flamenco-addon.zip").read_bytes()


def test_admins_version_wins(make_farm, tmp_path):
    addon(tmp_path / "a.zip", "3.7")
    routes = [{"file": "webapp", "settings": {"addon": "../a.zip"}}]
    farm = make_farm(recorder=False, yaml={"plugins": {"http_routes": routes}, "reported_version": "3.8"})
    assert farm.api.ok("GET", "/version")["shortversion"] == "3.8"
    assert farm.api.get("//flamenco-addon.zip").status_code == 200  # relative to the working directory


@pytest.mark.parametrize("content", [None, b"PK no zip"])
def test_broken_addon(make_farm, tmp_path, content):
    if content:
        (tmp_path / "a.zip").write_bytes(content)
    routes = [{"file": "webapp", "settings": {"addon": str(tmp_path / "a.zip")}}]
    farm = make_farm(recorder=False, yaml={"plugins": {"http_routes": routes}})
    assert farm.api.ok("GET", "/version")["shortversion"] == "3.9"
    farm.manager.wait_log("webapp: the add-on's version is not known: .*a.zip")
    assert not farm.api.ok("GET", "//health/ready")["checks"]["webapp"]["ok"]
    assert farm.api.get("//flamenco-addon.zip").status_code == (200 if content else 404)


# ---- As shipped, and without ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    from conftest import start_farm
    root = tmp_path_factory.mktemp("shipped")
    farm = start_farm(root / "manager", recorder=False, yaml={"plugins": {"http_routes": [
        {"file": "webapp", "settings": {"swagger_ui": str(root / "nothing")}}]}})
    yield farm
    farm.manager.stop()


def test_default_page(shipped):
    page = shipped.api.get("//app/")
    assert page.status_code == 200 and "/api/v3/swagger-ui/" in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text and "style=" not in page.text and "<style" not in page.text
    assert shipped.api.get("//app/jobs/0b7c2f0a-53c3-4f0e-9d1d-6d2f3f0f9a11").text == page.text
    for name in ("page.css", "favicon.svg"):
        assert f"/app/{name}" in page.text
        assert shipped.api.get(f"//app/{name}").text != page.text
    assert shipped.api.ok("GET", "//health/ready")["checks"]["webapp"] == {"ok": True, "message": ""}


def test_where_to_get_the_addon(shipped):
    message = assert_error(shipped.api.get("//flamenco-addon.zip"), 404)
    assert "flamenco.blender.org/download" in message and "addon" in message
    assert shipped.api.ok("GET", "/version")["shortversion"] == "3.9"


def test_missing_icons(shipped):
    for path in ("//favicon.png", "//favicon.ico"):
        assert_error(shipped.api.get(path), 404)


def test_documentation_without_swagger_ui_says_so(shipped):
    page = shipped.api.get(DOCS)
    assert page.status_code == 200 and "swagger_ui" in page.text and "openapi3.json" in page.text
    assert_error(shipped.api.get(DOCS + "swagger-ui-bundle.js"), 404)


def test_documentation(site):
    page = site.api.get(DOCS)
    assert page.status_code == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "initializer.js"):
        assert f'"{name}"' in page.text
        assert site.api.get(DOCS + name).status_code == 200
    assert "/api/v3/openapi3.json" in site.api.get(DOCS + "initializer.js").text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for path in (DOCS[:-1], DOCS + "nope", DOCS + "../version", DOCS + "%2e%2e/outside.txt", DOCS + "a/"):
        with Raw(site.port) as raw:
            assert raw.request("GET", path[1:]).read().status == 404, path


def test_app_without_index(make_farm, tmp_path):
    routes = [{"file": "webapp", "settings": {"directory": str(tmp_path / "nothing")}}]
    farm = make_farm(recorder=False, yaml={"plugins": {"http_routes": routes}})
    farm.manager.wait_log("no index.html")
    assert "index.html" in assert_error(farm.api.get("//app/"), 404)
    assert not farm.api.ok("GET", "//health/ready")["checks"]["webapp"]["ok"]
    write(tmp_path / "nothing" / "index.html", "here it is")
    assert farm.api.get("//app/").text == "here it is"


@pytest.mark.parametrize("routes", [None, [{"file": "webapp", "enabled": False}]])
def test_absent_or_disabled(make_farm, routes):
    farm = make_farm(recorder=False, yaml={"plugins": {"http_routes": routes}})
    for path in ("//", "//app", "//app/", "//flamenco-addon.zip", "//flamenco3-addon.zip", "//favicon.png", DOCS):
        assert_error(farm.api.get(path), 404)
    assert farm.api.get("/openapi3.json").status_code == 200
    assert farm.api.ok("GET", "/version")["shortversion"] == "3.9"


def test_two_of_them_do_not_start(make_manager):
    manager = make_manager(recorder=False, yaml={"plugins": {"http_routes": [
        {"file": "webapp"}, {"file": "webapp", "name": "other"}]}})
    manager.spawn()
    assert manager.wait_exit() == 1
    assert "two plugins want to serve GET /" in manager.log()

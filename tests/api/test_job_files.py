# SPDX-License-Identifier: Apache-2.0
"""/job-files: the manager's local storage as static files (api-behaviour 9.4)."""
import email.utils
import os

import pytest
from harness.check import assert_error
from harness.http import Raw


@pytest.fixture(scope="module")
def files(shared_farm):
    root = shared_farm.manager.storage
    folder = root / "job-0000" / "folder"
    folder.mkdir(parents=True)
    content = bytes(range(256)) * 40
    (folder / "data.jpg").write_bytes(content)
    (folder / "log.txt").write_text("täxt\n")
    (folder / "log.txt.1").write_text("rotated\n")
    (folder / "blank name.txt").write_text("blank")
    (folder / "empty.txt").write_text("")
    (folder / "index").mkdir()
    (folder / "index" / "index.html").write_text("<p>index</p>")
    (root.parent / "secret.txt").write_text("secret")
    os.symlink(root.parent / "secret.txt", folder / "link.txt")
    shared_farm.content = content
    return shared_farm


BASE = "//job-files/job-0000/folder/"


def test_file(files):
    reply = files.api.get(BASE + "data.jpg")
    assert reply.status_code == 200 and reply.content == files.content
    assert reply.headers["Content-Type"] == "image/jpeg"
    assert reply.headers["Content-Length"] == str(len(files.content))
    assert email.utils.parsedate_to_datetime(reply.headers["Last-Modified"]).timestamp() == \
        int((files.manager.storage / "job-0000/folder/data.jpg").stat().st_mtime)


@pytest.mark.parametrize("name, content_type, body", [
    ("log.txt", "text/plain; charset=utf-8", "täxt\n"),
    ("log.txt.1", "text/plain; charset=utf-8", "rotated\n"),
    ("blank%20name.txt", "text/plain; charset=utf-8", "blank"),
    ("log%2Etxt", "text/plain; charset=utf-8", "täxt\n"),
    ("empty.txt", "text/plain; charset=utf-8", ""),
    ("log.txt?v=17", "text/plain; charset=utf-8", "täxt\n"),
])
def test_types_and_names(files, name, content_type, body):
    reply = files.api.get(BASE + name)
    assert reply.status_code == 200 and reply.content.decode() == body
    assert reply.headers["Content-Type"] == content_type


@pytest.mark.parametrize("value, status, start, end", [
    ("bytes=0-9", 206, 0, 10),
    ("bytes=100-", 206, 100, None),
    ("bytes=-50", 206, -50, None),
    ("bytes=0-0", 206, 0, 1),
    ("bytes=10200-99999", 206, 10200, None),
    ("bytes=99999-", 416, None, None),
    ("bytes=5-2", 200, 0, None),
    ("lines=1-2", 200, 0, None),
    ("bytes=x", 200, 0, None),
])
def test_ranges(files, value, status, start, end):
    reply = files.api.get(BASE + "data.jpg", headers={"Range": value})
    size = len(files.content)
    if status == 200:
        assert reply.status_code in (200, 416)  # a range that makes no sense may be ignored or refused
        return
    assert reply.status_code == status
    if status == 206:
        want = files.content[start:end]
        assert reply.content == want
        first = start if start >= 0 else size + start
        assert reply.headers["Content-Range"] == f"bytes {first}-{first + len(want) - 1}/{size}"
    else:
        assert reply.headers["Content-Range"] == f"bytes */{size}"


def test_if_modified_since(files):
    modified = files.api.get(BASE + "data.jpg").headers["Last-Modified"]
    reply = files.api.get(BASE + "data.jpg", headers={"If-Modified-Since": modified})
    assert reply.status_code == 304 and reply.content == b""
    old = email.utils.formatdate(0, usegmt=True)
    assert files.api.get(BASE + "data.jpg", headers={"If-Modified-Since": old}).status_code == 200
    assert files.api.get(BASE + "data.jpg", headers={"If-Modified-Since": "yesterday"}).status_code == 200


def test_head(files):
    with Raw(files.port) as raw:
        reply = raw.request("HEAD", BASE[1:] + "data.jpg").read("HEAD")
        assert reply.status in (200, 405)
        assert raw.request("GET", BASE[1:] + "log.txt").read().status == 200


@pytest.mark.parametrize("path", ["missing.txt", "missing/", "log.txt/", "log.txt/x", "index/nothing.txt"])
def test_missing(files, path):
    assert_error(files.api.get(BASE + path), 404)


def test_directories(files):
    reply = files.api.get("//job-files/job-0000/folder")
    assert reply.status_code == 301 and reply.headers["Location"] == "/job-files/job-0000/folder/"
    assert_error(files.api.get(BASE), 404)  # no listing
    reply = files.api.get(BASE + "index/")
    assert reply.status_code == 200 and "index" in reply.text and reply.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("path", [
    "/job-files/../secret.txt",
    "/job-files/job-0000/../../secret.txt",
    "/job-files/%2e%2e/secret.txt",
    "/job-files/..%2fsecret.txt",
    "/job-files/%2e%2e%2fsecret.txt",
    "/job-files/job-0000/%2E%2E/%2E%2E/secret.txt",
    "/job-files//etc/passwd",
    "/job-files/%2fetc%2fpasswd",
    "/job-files/job-0000/folder/..%5c..%5csecret.txt",
    "/job-files/./../secret.txt",
])
def test_nothing_outside_the_root_is_served(files, path):
    with Raw(files.port) as raw:
        reply = raw.request("GET", path).read()
        assert reply.status in (400, 404), (path, reply.status)
        assert b"secret" not in reply.body and b"root:" not in reply.body


def test_symbolic_links_do_not_lead_out(files):
    reply = files.api.get(BASE + "link.txt")
    assert reply.status_code == 404 and b"secret" not in reply.content


@pytest.mark.parametrize("name", ["%00", "log.txt%00.jpg", "%zz", "a" * 300, "a/" * 200 + "b"])
def test_odd_names(files, name):
    assert files.api.get(BASE + name).status_code in (400, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods(files, method):
    reply = files.api.call(method, BASE + "log.txt")
    assert_error(reply, 405)
    assert reply.headers["Allow"] == "OPTIONS, GET"
    assert (files.manager.storage / "job-0000/folder/log.txt").exists()


def test_root_itself(files):
    assert files.api.get("//job-files/").status_code == 404
    assert files.api.get("//job-filesX").status_code == 404

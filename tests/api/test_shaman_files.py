# SPDX-License-Identifier: Apache-2.0
"""Files of Shaman: status and upload (contract: shaman 3.1, 3.3, 3.4; decisions: 425 is never sent)."""
import gzip

import pytest
from harness.check import assert_error, wait_until
from harness.http import Raw
from harness.shaman import OURS, sha

STORE = "/api/v3/shaman/files"


def content(name):
    """Content that no other test stores."""
    return f"test_shaman_files {name}".encode()


def path_of(data, size=None, digest=None):
    return f"/shaman/files/{digest or sha(data)}/{len(data) if size is None else size}"


def assert_stored(reply):
    assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
    assert reply.content == b"" and reply.headers["Content-Length"] == "0"
    assert "Content-Type" not in reply.headers


def assert_known(reply):
    assert reply.status_code == 208, f"{reply.status_code} {reply.text}"
    assert reply.content == b"" and reply.headers["Content-Type"] == "text/plain; charset=UTF-8"


# ---- Upload ----

def test_file_is_stored_once_and_then_known(shaman):
    data = content("once")
    assert shaman.status(data) == "unknown"
    assert_stored(shaman.upload(data))
    assert shaman.status(data) == "stored"
    assert_known(shaman.upload(data))
    assert_known(shaman.upload(data, headers={"X-Shaman-Can-Defer-Upload": "True"}))


def test_two_sizes_below_one_checksum_are_two_files(shaman):
    data = content("sizes")
    shaman.store(data)
    assert shaman.api.ok("GET", path_of(data, size=len(data) + 1)) == {"status": "unknown"}


def test_empty_file(shaman):
    reply = shaman.upload(b"")
    assert_stored(reply) if reply.status_code == 200 else assert_known(reply)
    assert shaman.status(b"") == "stored"


@pytest.mark.parametrize("size", (0, 1, -1, 1000))
def test_wrong_size_is_417_and_leaves_nothing(shaman, size):
    data = content(f"wrong size {size}")
    declared = max(-1, len(data) + size) if size != 0 else 0
    if size == -1:
        declared = -1
    reply = shaman.upload(data, path_of(data, size=declared))
    message = assert_error(reply, 417)
    assert str(declared) in message
    assert shaman.status(data) == "unknown"


@pytest.mark.parametrize("digest", ("f" * 64, "ab", "x" * 64, "a" * 63, "a" * 65, "..%2F..%2F..%2Fx", "%2e%2e"))
def test_wrong_checksum_is_417(shaman, digest):
    data = content(f"wrong sum {digest}")
    assert_error(shaman.upload(data, f"/shaman/files/{digest}/{len(data)}"), 417)
    assert shaman.api.ok("GET", f"/shaman/files/{digest}/{len(data)}") == {"status": "unknown"}


def test_upper_case_checksum_is_another_text(shaman):
    data = content("case")
    shaman.store(data)
    upper = path_of(data, digest=sha(data).upper())
    assert shaman.api.ok("GET", upper) == {"status": "unknown"}
    assert_error(shaman.upload(data, upper), 417)


def test_size_is_told_before_the_checksum(shaman):
    message = assert_error(shaman.upload(b"12345", f"/shaman/files/{'f' * 64}/7"), 417)
    assert "7" in message and "5" in message and "f" * 64 not in message


@pytest.mark.parametrize("method", ("GET", "POST"))
@pytest.mark.parametrize("digest", ("a", "%20"))
def test_checksum_that_is_too_short_is_refused(shaman, method, digest):
    assert_error(shaman.api.call(method, f"/shaman/files/{digest}/5", data=b"12345" if method == "POST" else None), 400)


@pytest.mark.parametrize("size", ("0x0b", "1e3", "11.0", "1_1", "%2011", "9223372036854775808", "11/12", "x", "11x"))
@pytest.mark.parametrize("method", ("GET", "POST"))
def test_size_that_is_no_integer_is_refused(shaman, method, size):
    assert shaman.api.call(method, f"/shaman/files/{'a' * 64}/{size}").status_code == 400


def test_size_that_is_missing_is_not_found(shaman):
    assert shaman.api.get(f"/shaman/files/{'a' * 64}/").status_code == 404


@pytest.mark.parametrize("form", ("+{}", "0{}", "{}"))
def test_forms_of_a_size(shaman, form):
    data = content(f"form {form}")
    assert_stored(shaman.upload(data, path_of(data, size=form.format(len(data)))))
    assert shaman.status(data) == "stored"


def test_negative_size_is_unknown(shaman):
    assert shaman.api.ok("GET", path_of(b"x", size=-1)) == {"status": "unknown"}


# ---- Headers ----

@pytest.mark.parametrize("value, good", [(v, True) for v in ("1", "t", "T", "true", "True", "TRUE", "0", "f", "F", "false", "False",
                                                             "FALSE")] +
                         [(v, False) for v in ("", "yes", "on", "tRue", "2")])
def test_can_defer_header(shaman, value, good):
    data = content(f"defer {value}")
    reply = shaman.upload(data, headers={"X-Shaman-Can-Defer-Upload": value})
    assert reply.status_code == (200 if good else 400)
    assert shaman.status(data) == ("stored" if good else "unknown")


@pytest.mark.parametrize("value, status", [
    ("", 200), ("plain.blend", 200), ("=?utf-8?q?tex/h=C3=A4us=2Epng?=", 200),
    ("=?utf-8?b?5pel5pysL+ODleOCoeOCpOODqy5ibGVuZA==?=", 200), ("=?utf-8?q?a?= =?utf-8?q?b?=", 200),
    ("=?iso-8859-1?q?h=E4?=", 200), ("=?us-ascii?q?x?=", 200), ("=?UTF-8?Q?x?=", 200), ("=?utf-8?b?!!!?=", 200),
    ("=?koi8-r?q?abc?=", 400), ("=?utf-8?q?" + "=C3=A4" * 1000 + "?=", 200),
])
def test_original_filename_header(shaman, value, status):
    data = content(f"name {value}")
    reply = shaman.upload(data, headers={"X-Shaman-Original-Filename": value})
    assert reply.status_code == status, reply.text
    if status == 400:
        assert_error(reply, 400)
    assert shaman.status(data) == ("stored" if status == 200 else "unknown")


def test_folded_filename_header_is_understood(shaman):
    data = content("folded")
    with Raw(shaman.farm.port) as raw:
        raw.send(f"POST {STORE}/{sha(data)}/{len(data)} HTTP/1.1\r\nHost: x\r\nX-Shaman-Original-Filename: =?utf-8?q?a?=\r\n"
                 f" =?utf-8?q?b?=\r\nContent-Length: {len(data)}\r\n\r\n")
        raw.send(data)
        assert raw.read("POST").status == 200
    assert shaman.status(data) == "stored"


@pytest.mark.parametrize("name", ("X-Shaman-Can-Defer-Upload", "X-Shaman-Original-Filename"))
def test_header_given_twice_is_refused(shaman, name):
    data = content(f"twice {name}")
    with Raw(shaman.farm.port) as raw:
        raw.request("POST", f"{STORE}/{sha(data)}/{len(data)}", [(name, "1"), (name, "1")], data)
        assert raw.read("POST").status == 400
    assert shaman.status(data) == "unknown"


@pytest.mark.parametrize("headers", ({}, {"Content-Type": "application/octet-stream"}, {"Content-Type": "text/nonsense"},
                                     {"Content-Encoding": "identity"}))
def test_content_type_does_not_matter(shaman, headers):
    data = content(f"type {headers}")
    assert_stored(shaman.upload(data, headers=headers))


def test_content_encoding_is_not_undone(shaman):
    data = content("gzip")
    packed = gzip.compress(data)
    assert_error(shaman.api.post(path_of(data), data=packed, headers={"Content-Encoding": "gzip"}), 417)
    assert_stored(shaman.upload(packed, headers={"Content-Encoding": "gzip"}))


def test_chunked_upload(shaman):
    data = content("chunked")
    reply = shaman.api.post(path_of(data), data=iter([data[:5], data[5:]]))
    assert_stored(reply)
    assert shaman.status(data) == "stored"


def test_wrong_method_names_the_others(shaman):
    reply = shaman.api.put(path_of(b"x"))
    assert_error(reply, 405)
    assert reply.headers["Allow"] == "OPTIONS, GET, POST"


def test_connection_is_kept_over_uploads(shaman):
    with Raw(shaman.farm.port) as raw:
        for i in range(5):
            data = content(f"kept {i}")
            for status in (200, 208):
                raw.request("POST", f"{STORE}/{sha(data)}/{len(data)}", body=data)
                assert raw.read("POST").status == status


# ---- Requirements ----

def entries(*pairs):
    return [{"sha": sha(data) if isinstance(data, bytes) else data, "size": size, "path": path} for path, data, size in pairs]


def test_requirements_lists_each_missing_file_once_as_sent(shaman):
    stored, missing = content("needed"), "f" * 64
    shaman.store(stored)
    n = len(stored)
    wanted = entries(("a", stored, n), ("x\\ä/../日本", missing, 5), ("y", missing, 5), ("z", missing, 6), ("b", stored, n))
    assert shaman.requirements(*wanted) == [
        {"path": "x\\ä/../日本", "sha": missing, "size": 5, "status": "unknown"},
        {"path": "z", "sha": missing, "size": 6, "status": "unknown"}]
    assert shaman.requirements(*entries(("a", stored, n))) == []
    assert shaman.requirements() == []


def test_requirements_of_sums_that_are_none(shaman):
    wanted = entries(("a", "ab", 1), ("b", "F" * 64, 1), ("c", "../" * 30, -5), ("d", "e" * 64, -1), ("", "x y", 0))
    assert [f["path"] for f in shaman.requirements(*wanted)] == ["a", "b", "c", "d", ""]
    assert_error(shaman.api.post("/shaman/checkout/requirements", json={"files": entries(("a", "a", 1))}), 400)


def test_requirements_of_ten_thousand_files(shaman):
    stored = content("many")
    shaman.store(stored)
    wanted = entries(*[(f"p{i}", stored if i % 3 == 0 else f"{i:064x}", len(stored)) for i in range(10000)])
    reply = shaman.requirements(*wanted)
    assert len(reply) == sum(1 for i in range(10000) if i % 3 != 0)
    assert reply[0]["path"] == "p1" and {f["status"] for f in reply} == {"unknown"}


@pytest.mark.parametrize("body", ({}, {"files": None}, {"files": {}}, {"files": [{"sha": "ab", "size": 1}]},
                                  {"files": [{"sha": "ab", "size": "1", "path": "x"}]}, {"files": [{"sha": "ab", "size": 1.5, "path": "x"}]},
                                  [], "x", 5))
def test_requirements_of_bad_bodies(shaman, body):
    assert shaman.api.post("/shaman/checkout/requirements", json=body).status_code == 400


@pytest.mark.parametrize("text", (b"", b"{", b'{"files":[{"sha":"ab","size":11.0,"path":"x"}]}',
                                  b'{"files":[{"sha":"ab","size":9223372036854775808,"path":"x"}]}'))
def test_requirements_of_bad_texts(shaman, text):
    reply = shaman.api.post("/shaman/checkout/requirements", data=text, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400


def test_file_under_way_is_uploading(shaman):
    if not OURS:
        pytest.skip("another implementation need not tell")
    data = content("under way") * 20000
    with Raw(shaman.farm.port) as raw:
        raw.send(f"POST {STORE}/{sha(data)}/{len(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n")
        raw.send(data[:200000])
        wait_until(lambda: shaman.status(data) == "uploading", "the upload is seen")
        assert [f["status"] for f in shaman.requirements(*entries(("a", data, len(data))))] == ["uploading"]
        raw.send(data[200000:])
        assert raw.read("POST").status == 200
    assert shaman.status(data) == "stored"

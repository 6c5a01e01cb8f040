# SPDX-License-Identifier: Apache-2.0
"""Uploads that are stored while they arrive: whole, slow, broken off, two of one file, answered early, mixed with other
requests on one connection (contract: shaman 3.4, 8; "What clients depend on" 3)."""
import random
import socket
import ssl
import subprocess

import pytest
from harness.check import wait_until
from harness.farm import Farm
from harness.http import Background, Raw
from harness.manager import scale
from harness.shaman import OURS, Shaman, manager_options, sha, start

MIB = 1 << 20


def content(name, size):
    """Bytes that no other test stores; `size` of them."""
    return random.Random(name).randbytes(size)


def head(data, length=None, digest=None, size=None, extra=()):
    lines = [f"POST /api/v3/shaman/files/{digest or sha(data)}/{len(data) if size is None else size} HTTP/1.1", "Host: x"]
    if length != "chunked":
        lines.append(f"Content-Length: {len(data) if length is None else length}")
    else:
        lines.append("Transfer-Encoding: chunked")
    return ("\r\n".join(lines + list(extra)) + "\r\n\r\n").encode()


def assert_no_uploads(shaman):
    if OURS:
        wait_until(lambda: not shaman.temporary_files(), "temporary files are gone")


@pytest.mark.parametrize("size", (65535, 65536, 65537, MIB, 5 * MIB + 3, 33 * MIB))
def test_sizes(shaman, size):
    data = content(f"size {size}", size)
    assert shaman.upload(data).status_code == 200
    assert shaman.upload(data).status_code == 208
    assert shaman.status(data) == "stored"
    if OURS:
        assert shaman.blob(data).read_bytes() == data


def test_head_split_at_every_place(shaman):
    data = content("split", 70000)
    message = head(data) + data
    end = len(head(data))
    for cut in list(range(1, end + 2, 3)) + [end + 1000]:
        with Raw(shaman.farm.port) as raw:
            raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.send(message[:cut]).send(message[cut:])
            assert raw.read("POST").status in (200, 208)
    assert shaman.status(data) == "stored"


@pytest.mark.parametrize("chunk", (1, 1000, 70000, 10 ** 6))
def test_chunks(shaman, chunk):
    data = content(f"chunk {chunk}", 3000 if chunk == 1 else 300000)
    body = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(data[i:i + chunk]), data[i:i + chunk]) for i in range(0, len(data), chunk))
    with Raw(shaman.farm.port) as raw:
        for status in (200, 208):
            raw.send(head(data, "chunked") + body + b"0\r\nTrailer: x\r\n\r\n")
            assert raw.read("POST").status == status
        raw.request("GET", "/api/v3" + shaman.path(data))
        assert b"stored" in raw.read().body


@pytest.mark.parametrize("body", (b"zz\r\n", b"5\r\nhelloXX\r\n", b"-5\r\n", b"\r\n", b"ffffffffffffffffff\r\n"))
def test_bad_chunks_close_the_connection(shaman, body):
    with Raw(shaman.farm.port) as raw:
        raw.send(head(b"x" * 100, "chunked", digest="f" * 64) + body)
        try:
            assert raw.read("POST").status >= 400
        except ConnectionError:
            pass
    assert_no_uploads(shaman)


def test_mixed_requests_on_one_connection(shaman):
    rng = random.Random(7)
    with Raw(shaman.farm.port) as raw:
        for i in range(60):
            kind = rng.choice(("get", "small", "large", "wrong", "known"))
            data = content(f"mixed {i}", 300 if kind == "small" else 100000 + i)
            if kind == "get":
                raw.request("GET", "/api/v3/version")
                assert raw.read().status == 200
                continue
            if kind == "known":
                shaman.store(data)
            raw.send(head(data, digest="f" * 64 if kind == "wrong" else None) + data)
            assert raw.read("POST").status == {"wrong": 417, "known": 208}.get(kind, 200)


def test_pipelined_requests(shaman):
    datas = [content(f"pipelined {i}", 100000 + i) for i in range(6)]
    get = b"GET /api/v3/version HTTP/1.1\r\nHost: x\r\n\r\n"
    with Raw(shaman.farm.port) as raw:
        message = b"".join(head(data) + data + get for data in datas)
        sender = Background(raw.send, message)
        for _ in datas:
            assert raw.read("POST").status == 200
            assert raw.read().status == 200
        sender.result()
    assert all(shaman.status(data) == "stored" for data in datas)


def test_expectation_is_met_only_when_the_body_is_wanted(shaman):
    data = content("expect", 200000)
    with Raw(shaman.farm.port) as raw:
        raw.send(head(data, extra=["Expect: 100-continue"]))
        assert raw._until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        raw.send(data)
        assert raw.read("POST").status == 200
        raw.send(head(data, extra=["Expect: 100-continue"]))
        reply = raw.read("POST") # without a byte of the body
        assert reply.status == 208
        assert raw.is_closed_by_peer()


def test_known_file_is_answered_before_the_body_has_come(shaman):
    if not OURS:
        pytest.skip("how early is our own affair")
    data = content("early", 3 * MIB)
    shaman.store(data)
    with Raw(shaman.farm.port) as raw:
        raw.send(head(data)).send(data[:100000])
        assert raw.read("POST").status == 208
        raw.send(data[100000:]) # the rest is read and thrown away, and the connection goes on
        raw.request("GET", "/api/v3" + shaman.path(data))
        assert b"stored" in raw.read().body


@pytest.mark.parametrize("change, status", (({"length": 200001}, 417), ({"size": 5}, 417), ({"digest": "a"}, 400), ({"digest": "f" * 64}, 417),
                                            ({"extra": ["X-Shaman-Can-Defer-Upload: maybe"]}, 400),
                                            ({"extra": ["X-Shaman-Original-Filename: =?koi8-r?q?a?="]}, 400), ({"size": "x"}, 400)))
def test_refused_upload_leaves_connection_and_storage_in_order(shaman, change, status):
    data = content(f"refused {change}", 200000)
    with Raw(shaman.farm.port) as raw:
        raw.send(head(data, **change)).send(data + b"x" * (change.get("length", 200000) - 200000))
        assert raw.read("POST").status == status
        raw.request("GET", "/api/v3" + shaman.path(data))
        assert b"unknown" in raw.read().body
    assert_no_uploads(shaman)


def test_broken_off_uploads_leave_nothing(shaman):
    data = content("broken", 2 * MIB)
    for cut in (0, 1, 70000, MIB, 2 * MIB - 1):
        for reset in (False, True):
            raw = Raw(shaman.farm.port)
            raw.send(head(data)).send(data[:cut])
            if reset:
                raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            raw.close()
    wait_until(lambda: shaman.status(data) == "unknown", "the uploads are given up")
    assert_no_uploads(shaman)
    assert shaman.upload(data).status_code == 200


def test_slow_client_is_waited_for(shaman):
    data = content("slow", 200000)
    with Raw(shaman.farm.port) as raw:
        raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.send(head(data))
        for i in range(0, len(data), 997):
            raw.send(data[i:i + 997])
        assert raw.read("POST").status == 200


def test_stalled_upload_is_given_up(make_farm):
    shaman = start(make_farm, yaml={"http": {"body_timeout": "1s"}})
    data = content("stalled", 200000)
    with Raw(shaman.farm.port) as raw:
        raw.send(head(data)).send(data[:100000])
        assert raw.is_closed_by_peer()
    assert_no_uploads(shaman)
    wait_until(lambda: shaman.status(data) == "unknown", "the upload is forgotten")


def test_second_upload_hears_of_the_first(shaman):
    if not OURS:
        pytest.skip("another implementation may store it twice")
    data = content("two", 3 * MIB)
    with Raw(shaman.farm.port) as slow:
        slow.send(head(data)).send(data[:MIB])
        wait_until(lambda: shaman.status(data) == "uploading", "the first is under way")
        # never 425, whatever the client could do
        assert shaman.upload(data, headers={"X-Shaman-Can-Defer-Upload": "True"}).status_code == 200
        slow.send(data[MIB:MIB + 1000])
        assert slow.read("POST").status == 208
    assert_no_uploads(shaman)


def test_upload_goes_on_when_another_one_of_the_file_fails(shaman):
    data = content("other fails", MIB)
    with Raw(shaman.farm.port) as good, Raw(shaman.farm.port) as bad:
        good.send(head(data)).send(data[:500000])
        bad.send(head(data)).send(data[:-1] + bytes([data[-1] ^ 1]))
        assert bad.read("POST").status == 417
        good.send(data[500000:])
        assert good.read("POST").status == 200
    assert shaman.status(data) == "stored"


def test_many_uploads_of_one_file_at_once(shaman):
    data = content("crowd", MIB)
    clients = [Background(shaman.api.clone().post, shaman.path(data), data=data) for _ in range(12)]
    statuses = {client.result().status_code for client in clients}
    assert statuses <= {200, 208} and 200 in statuses
    assert shaman.status(data) == "stored"
    assert_no_uploads(shaman)


def test_many_files_at_once_and_answers_meanwhile(shaman):
    datas = [content(f"parallel {i}", MIB + i) for i in range(24)]
    clients = [Background(shaman.api.clone().post, shaman.path(data), data=data) for data in datas]
    while not all(client.done for client in clients):
        assert shaman.api.get("/version").status_code == 200
    assert {client.result().status_code for client in clients} == {200}
    if OURS:
        assert all(shaman.blob(data).read_bytes() == data for data in datas)


def test_memory_stays_flat(make_farm):
    """Four uploads far larger than what may be kept of them."""
    shaman = start(make_farm)

    def anonymous_kib():
        with open(f"/proc/{shaman.farm.manager.proc.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))

    size, piece = 96 * MIB, content("flat", MIB)
    assert shaman.upload(piece).status_code == 200
    before, peak = anonymous_kib(), 0
    raws = [Raw(shaman.farm.port) for _ in range(4)]
    for i, raw in enumerate(raws):
        raw.send(head(b"", length=size, digest=f"{i:064x}", size=size))

    def send(raw):
        for _ in range(size // MIB):
            raw.send(piece)
        return raw.read("POST").status

    senders = [Background(send, raw) for raw in raws]
    while not all(sender.done for sender in senders):
        peak = max(peak, anonymous_kib())
    assert {sender.result(120) for sender in senders} == {417}
    for raw in raws:
        raw.close()
    if scale() == 1: # sanitizers keep what was freed
        assert peak - before <= 16 * 1024


def test_stop_in_the_middle_of_an_upload(make_farm):
    shaman = start(make_farm)
    data = content("stop", MIB)
    with Raw(shaman.farm.port) as raw:
        raw.send(head(data)).send(data[:500000])
        wait_until(lambda: not OURS or shaman.status(data) == "uploading", "it is under way")
        manager = shaman.farm.manager
        with Raw(manager.port) as idle:
            idle.request("GET", "/api/v3/version")
            assert idle.read().status == 200
            manager.proc.terminate()
            assert idle.is_closed_by_peer() # from now on only what runs is served
        raw.send(data[500000:]) # running requests are finished
        assert raw.read("POST").status == 200
    assert manager.wait_exit() == 0
    manager.start()
    assert shaman.status(data) == "stored"


def test_uploads_over_https(make_farm, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2",
                    "-subj", "/CN=localhost"], check=True, capture_output=True)
    manager = make_farm.make_manager(**manager_options(yaml={"http": {"tls_certificate": str(cert), "tls_key": str(key)}})).spawn()
    manager.wait_log("manager: ready")
    shaman = Shaman(Farm(manager))
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    with Raw(manager.port) as raw:
        raw.sock = context.wrap_socket(raw.sock)
        for i, size in enumerate((100, 70000, 3 * MIB, 200000)):
            data = content(f"tls {i}", size)
            raw.send(head(data) + data)
            assert raw.read("POST").status == 200
            raw.send(head(data) + data)
            assert raw.read("POST").status == 208
            raw.request("GET", "/api/v3" + shaman.path(data))
            assert b"stored" in raw.read().body
        raw.send(head(data, digest="e" * 64) + data)
        assert raw.read("POST").status == 417

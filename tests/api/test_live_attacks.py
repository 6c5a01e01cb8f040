# SPDX-License-Identifier: Apache-2.0
"""Clients of events that mean harm, or are broken, and crowds of them: memory stays bounded, nobody else notices."""
import os
import random
import resource
import socket

import pytest
from harness.check import wait_until
from harness.http import Background, Raw
from harness.manager import sanitizer
from harness.sse import Sse
from harness.websocket import Closed, SocketIo, WebSocket

ORIGINS = (None, "http://127.0.0.1:{port}", "http://localhost:8081", "http://evil.example", "https://evil.example:8443", "null", "", "*",
           "file://", "http://[::1]", "a\tb", "x" * 4000)
HEADERS = {"upgrade", "connection", "sec-websocket-accept"}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("attacks"), live=True)
    yield farm
    farm.manager.stop()


def memory_kib(farm):
    with open(f"/proc/{farm.manager.proc.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def still_serves(farm):
    """A new page hears of what happens now."""
    with SocketIo(farm.port) as page:
        page.subscribe("allJobs")
        job = farm.submit([], initial_status="paused")
        assert job["id"] in [p["id"] for _, p in page.sync()]


@pytest.mark.parametrize("eio", [3, 4])
@pytest.mark.parametrize("origin", ORIGINS)
def test_any_origin_is_let_in(live, origin, eio):
    headers = [] if origin is None else [("Origin", origin.format(port=live.port))]
    with SocketIo(live.port, eio, headers=headers) as page:
        assert {name.lower() for name in page.reply_head} - {"date"} == HEADERS
        page.subscribe("allJobs")
    reply = live.api.get(f"//socket.io/?EIO={eio}&transport=polling", headers=dict(headers))
    assert reply.status_code == 200
    assert "*" not in reply.headers.get("Access-Control-Allow-Origin", "")


@pytest.mark.parametrize("path", ["/socket.io/?EIO=3&transport=websocket", "/socket.io/?EIO=4&transport=websocket"])
def test_http_1_0_never_becomes_a_websocket(live, path):
    with Raw(live.port) as raw:
        raw.request("GET", path, [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                                  ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")], version="1.0")
        assert b" 503 " in raw._until(b"\r\n")
    still_serves(live)


def test_http_1_0_may_poll(live):
    with Raw(live.port) as raw:
        raw.request("GET", "/socket.io/?EIO=3&transport=polling", version="1.0")
        assert b" 200 " in raw._until(b"\r\n")
        body = raw._until(b"\r\n\r\n")
        while raw._more():
            body = raw.buffer
        assert b'0{"sid":' in raw.buffer and body


def announce(length):
    """The head of a text frame of that length, with a mask of zeros."""
    return b"\x81\xff" + length.to_bytes(8, "big") + b"\0\0\0\0"


@pytest.mark.parametrize("length", [65537, 1 << 20, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_oversized_frames_are_refused_by_their_head(live, length):
    before = memory_kib(live)
    pages = [SocketIo(live.port) for _ in range(20)]
    for page in pages:
        page.raw.send(announce(length) + b"42")
        assert page.wait_closed() in (1009, 1002, 1006)
        page.close()
    assert sanitizer() or memory_kib(live) - before < 16 << 10
    still_serves(live)


def test_many_fragments_are_one_oversized_message(live):
    with SocketIo(live.port) as page:
        with pytest.raises((Closed, ConnectionError, OSError)):
            page.send("42[", fin=False)
            for _ in range(100):
                page.send("x" * 1000, opcode=0, fin=False)
            page.read()
            page.read()
    still_serves(live)


def garbage(number, seed):
    """Bytes that look like a WebSocket's more or less."""
    dice = random.Random(seed * 1000 + number)
    kind = number % 4
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 2000))
    if kind == 1: # any head, any length, too few bytes
        return bytes([dice.randrange(256), dice.randrange(256)]) + dice.randbytes(dice.randrange(0, 60))
    text = dice.choice(["42", "4", "42[", '42["/subscription",', '420["/subscription",{"op":', "2probe", "5", "40/x", "43", "0{}", "\x1e", "b4"])
    text = (text + dice.choice(["", "]", "}]", "\u0000", "\"", "ä😀", "[" * 500, "9" * 500])).encode()
    if kind == 2:
        text = bytes(b ^ (dice.randrange(8) == 0) * dice.randrange(256) for b in text)
    frame = bytes([0x80 | dice.choice([1, 1, 1, 2, 9, 10, 8])])
    frame += bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return frame + b"\0\0\0\0" + text


@pytest.mark.parametrize("seed", range(3))
def test_garbage_after_the_upgrade_harms_nobody(live, seed):
    before = memory_kib(live)
    with SocketIo(live.port) as page:
        page.subscribe("allJobs")
        for number in range(200):
            with WebSocket(live.port, f"/socket.io/?EIO={3 + number % 2}&transport=websocket") as bad:
                assert bad.status == 101
                try:
                    bad.raw.send(garbage(number, seed))
                except OSError:
                    pass
        job = live.submit([], initial_status="paused")
        assert [p["id"] for _, p in page.sync()] == [job["id"]]
    assert sanitizer() or memory_kib(live) - before < 16 << 10


def test_two_thousand_idle_sockets(make_farm):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    many = 2000 if hard >= 4500 else 300
    farm = make_farm(live=True)
    still_serves(farm)
    before = memory_kib(farm)
    crowd = [SocketIo(farm.port, 3 + i % 2) for i in range(many // 2)]
    crowd += [Sse(farm.port, "/workertags") for _ in range(many // 4)]
    crowd += [Raw(farm.port) for _ in range(many // 4)]
    per_socket = (memory_kib(farm) - before) / many
    assert sanitizer() or per_socket < 64, f"{per_socket:.1f} KiB for a socket that does nothing"
    still_serves(farm)
    for client in crowd:
        client.close()
    wait_until(lambda: farm.api.metric("flamenco_http_connections") < 20, "everybody is forgotten")
    still_serves(farm)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def lazy(port, stream):
    """Wants to be told of all jobs, and never reads it."""
    raw = Raw(port)
    raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    if stream:
        raw.request("GET", "/api/v3/events?topics=/jobs")
    else:
        raw.request("GET", "/socket.io/?EIO=3&transport=websocket", [
            ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
        raw._until(b"40")
        text = b'42["/subscription",{"op":"subscribe","type":"allJobs"}]'
        raw.send(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)
    return raw


def test_readers_that_never_read_are_dropped_and_cost_little(make_farm):
    """Together they get a hundred times what the bounds allow."""
    farm = make_farm(live=True)
    page = SocketIo(farm.port).subscribe("allJobs")
    crowd = [lazy(farm.port, i % 2) for i in range(20)]
    job = farm.submit([], name="x" * 60000, initial_status="paused")
    before, top, changes = memory_kib(farm), 0, 300

    def listen():
        return [p["priority"] for _, p in page.wait(lambda e: e[1]["priority"] == 99, 120)]

    listening = Background(listen)
    for i in range(changes):
        farm.api.ok("POST", f"/jobs/{job['id']}/setpriority", 204, json={"priority": i % 90})
        top = max(top, memory_kib(farm))
    farm.api.ok("POST", f"/jobs/{job['id']}/setpriority", 204, json={"priority": 99})
    heard = listening.result(120)
    assert heard[-changes - 1:] == [i % 90 for i in range(changes)] + [99]
    # What waits is shared by all: 4 MiB, that much again at the longest, and what joins messages for the kernel.
    assert sanitizer() or top - before < 64 << 10, f"{(top - before) >> 10} MiB more"
    wait_until(lambda: farm.api.metric("flamenco_http_connections") < 10, "those who do not read are gone")
    page.close()
    for raw in crowd:
        raw.close()
    assert os.path.exists(f"/proc/{farm.manager.proc.pid}")
    still_serves(farm)

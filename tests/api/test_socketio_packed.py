# SPDX-License-Identifier: Apache-2.0
"""Compressed WebSocket messages (RFC 7692, permessage-deflate): for whom, and that both ends understand each other. The browser
and Node.js offer it by themselves: tests/web, tests/clients."""
import json
import zlib

import pytest
from harness.websocket import BINARY, Closed, SocketIo, WebSocket

OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
CHANGES = 40


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("packed"), live=True, reference={"worker_timeout": "0s", "task_timeout": "0s"})
    yield farm
    farm.manager.stop()


def answer_of(ws):
    return {k.lower(): v for k, v in ws.reply_head.items()}.get("sec-websocket-extensions")


def pack(text):
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(text.encode() if isinstance(text, str) else text) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert packed.endswith(b"\0\0\xff\xff")
    return packed[:-4]


def change(live, job, times=CHANGES):
    """Makes events that come close behind each other."""
    for i in range(times):
        live.api.ok("POST", f"/jobs/{job}/setpriority", 204, json={"priority": 1 + i % 90})


def priorities(events):
    return [payload["priority"] for name, payload in events if name == "/jobs"]


@pytest.mark.parametrize("setting, eio, answered", [
    (None, 3, False), (None, 4, True), ("engine4", 3, False), ("engine4", 4, True), ("all", 3, True), ("all", 4, True),
    ("off", 3, False), ("off", 4, False),
])
def test_who_gets_it(make_farm, live, setting, eio, answered):
    farm = live
    if setting is not None:
        farm = make_farm(live=True, yaml={"plugins": {"broadcaster": {"settings": {"compression": setting}}}})
    with SocketIo(farm.port, eio, headers=OFFER) as page:
        assert answer_of(page) == ("permessage-deflate; client_no_context_takeover" if answered else None)
        page.subscribe("allJobs") # what is for one alone is not compressed, and understood


def test_who_does_not_offer_does_not_get_it(live):
    with SocketIo(live.port, 4) as page:
        assert answer_of(page) is None


@pytest.mark.parametrize("offer, answer", [
    ("permessage-deflate", "permessage-deflate; client_no_context_takeover"),
    ("permessage-deflate; server_max_window_bits=15", "permessage-deflate; client_no_context_takeover; server_max_window_bits=13"),
    ("permessage-deflate; server_max_window_bits=9, permessage-deflate", "permessage-deflate; client_no_context_takeover"),
    ("permessage-deflate; server_max_window_bits=9", None),
    ("permessage-deflate; server_no_context_takeover", None),
    ("x-webkit-deflate-frame", None),
])
def test_offers(live, offer, answer):
    with SocketIo(live.port, 4, headers=[("Sec-WebSocket-Extensions", offer)]) as page:
        assert answer_of(page) == answer
        page.sync()


def test_pages_with_and_without_are_told_the_same_in_the_same_order(live):
    job = live.submit(tasks=1, initial_status="paused")["id"]
    with SocketIo(live.port, 4, headers=OFFER) as packed, SocketIo(live.port, 4) as plain, SocketIo(live.port, 3) as old:
        for page in (packed, plain, old):
            page.subscribe("allJobs")
        change(live, job)
        with SocketIo(live.port, 4, headers=OFFER) as late: # unpacks without what came before
            late.subscribe("allJobs")
            change(live, job)
            seen = priorities(late.sync())
            assert seen == [1 + i % 90 for i in range(CHANGES)]
        told = [priorities(page.sync()) for page in (packed, plain, old)]
        assert told[0] == told[1] == told[2] == 2 * [1 + i % 90 for i in range(CHANGES)]
        assert packed.packed > 0 and plain.packed == 0 and old.packed == 0


def test_what_a_page_compresses_is_understood(live):
    with SocketIo(live.port, 4, headers=OFFER) as page:
        page.send(pack('420["/subscription",{"op":"subscribe","type":"allJobs"}]'), packed=True)
        assert page.acknowledged(0) == "ok"
        whole = pack('421["/subscription",{"op":"unsubscribe","type":"allJobs"}]')
        page.raw.send(page.frame(whole[:7], fin=False, packed=True) + page.frame(whole[7:], opcode=0))
        assert page.acknowledged(1) == "ok"


@pytest.mark.parametrize("sent, code", [
    (b"\xff\xff\xff\xff", 1007), # no such block
    (b"\0\x09\0\xf6\xffH", 1007), # cut off
    (b"", 1007),
    (pack(b"4\xff\xfe"), 1007), # no UTF-8
    (pack("x" * (1 << 20)), 1009), # a kilobyte that is a megabyte
])
def test_bad_ones_close_the_connection(live, sent, code):
    with SocketIo(live.port, 4, headers=OFFER) as page:
        page.send(sent, packed=True)
        assert page.wait_closed() == code
    with SocketIo(live.port, 4) as other:
        other.sync()


def test_compressed_without_agreement_closes_the_connection(live):
    with SocketIo(live.port, 4) as page:
        page.send(pack("2"), packed=True)
        assert page.wait_closed() == 1002


def test_binary_messages_are_no_better_when_compressed(live):
    with SocketIo(live.port, 4, headers=OFFER) as page:
        page.send(pack(b"\x01\x02"), opcode=BINARY, packed=True)
        with pytest.raises(Closed):
            while True:
                page.read()


def test_probe_of_a_polling_client_may_offer_it(live):
    import requests
    url = f"http://127.0.0.1:{live.port}/socket.io/?EIO=4&transport=polling"
    sid = json.loads(requests.get(url, timeout=60).text.split("\x1e")[0][1:])["sid"]
    with WebSocket(live.port, f"/socket.io/?EIO=4&transport=websocket&sid={sid}", OFFER) as ws:
        assert answer_of(ws) is not None
        ws.send(pack("2probe"), packed=True)
        assert ws.read() == "3probe"

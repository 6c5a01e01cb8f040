# SPDX-License-Identifier: Apache-2.0
"""Socket.IO as the official web app's client speaks it (events 2), and as those of today do: the frames, the vectors of the
contract, polling, bad input. Real client libraries: test_socketio_clients.py."""
import json
import re
import socket

import pytest
import requests
from harness.check import UNKNOWN, wait_until
from harness.http import Raw
from harness.websocket import BINARY, CLOSE, PING, PONG, Closed, SocketIo, WebSocket

JOB = "0b7c8f1e-2f57-4c0e-9d3a-64f1a2b3c4d5"
PATH = "/socket.io/?EIO=3&transport=websocket"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("live"), live=True, reference={"worker_timeout": "0s", "task_timeout": "0s"})
    yield farm
    farm.manager.stop()


@pytest.fixture
def page(live):
    with SocketIo(live.port) as client:
        yield client


# ---- Opening ---------------------------------------------------------------------------------------------------------------


def test_opening_of_the_web_app(live):
    with WebSocket(live.port, PATH, [("Origin", "http://elsewhere.example"),
                                     ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
                                     ("Sec-WebSocket-Protocol", "chat")]) as ws:
        assert ws.status == 101
        names = {k.lower() for k in ws.reply_head}
        assert {"upgrade", "connection", "sec-websocket-accept"} <= names
        assert not names & {"sec-websocket-extensions", "sec-websocket-protocol", "access-control-allow-origin"}
        opening = ws.read()
        found = re.fullmatch(r'0\{"sid":"([A-Za-z0-9_-]{20})","upgrades":\[\],"pingInterval":30000,"pingTimeout":60000\}', opening)
        assert found, opening
        assert ws.read() == "40"


def test_opening_of_todays_clients(live):
    with WebSocket(live.port, "/socket.io/?EIO=4&transport=websocket") as ws:
        opening = json.loads(ws.read()[1:])
        assert opening["upgrades"] == [] and (opening["pingInterval"], opening["pingTimeout"]) == (25000, 20000)
        ws.send("40")
        answer = ws.read()
        assert answer.startswith("40{") and len(json.loads(answer[2:])["sid"]) == 20
        ws.send("40/admin,{}")
        assert ws.read() == '44/admin,{"message":"Invalid namespace"}'


def test_sids_are_unique(live):
    sids = set()
    for _ in range(20):
        with SocketIo(live.port) as client:
            sids.add(client.opening["sid"])
    assert len(sids) == 20


@pytest.mark.parametrize("method, headers", [
    ("GET", []),
    ("GET", [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]),
    ("GET", [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "8"),
             ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]),
    ("GET", [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]),
    ("PUT", []), ("DELETE", []), ("POST", []),
])
def test_what_is_no_handshake_gets_503(live, method, headers):
    with Raw(live.port) as raw:
        reply = raw.request(method, PATH, headers, body=b"" if method != "GET" else None).read()
    assert reply.status == 503
    assert reply.header("Content-Type") == "text/plain; charset=utf-8"
    assert reply.header("X-Content-Type-Options") == "nosniff"
    assert reply.body


def test_other_paths_and_options(live):
    url = live.manager.url.rsplit("/api", 1)[0] if "/api" in live.manager.url else live.manager.url
    assert requests.get(url + "/socket.io", timeout=30).status_code == 404
    assert requests.get(url + "/socket.io/x", timeout=30).status_code == 404
    assert requests.options(url + "/socket.io/", timeout=30).status_code == 204


# ---- Heartbeat and packets -------------------------------------------------------------------------------------------------


def test_pings_of_the_client_are_answered(page):
    for ping in ("2", "2probe", "2x"):
        page.send(ping)
        assert page.read() == "3"
    page.send("hello", PING)
    assert page.read_frame() == (PONG, b"hello")


@pytest.mark.parametrize("text", ["3", "3probe", "40", "40/x", '4312["x"]', '430[]', "1", '0{"sid":"x"}', '42["/chat",{}]', '423["/chat",{}]',
                                  "42[]", "42[1,2]", '423["/subscription"]', '423["/subscription",[1]]',
                                  '423["/subscription","text"]', '423["/subscription",7]',
                                  '423["/subscription",{"op":"subscribe","type":"job","uuid":5}]',
                                  '423["/subscription",{"op":1,"type":"allJobs"}]', '423["/subscription",{},{}]',
                                  '423["/subscription",{]', '423["\\/subscription",{"op":"subscribe","type":"allJobs"}]'])
def test_what_is_passed_over_in_silence(page, text):
    page.send(text).send("2")
    assert page.read() == "3"


@pytest.mark.parametrize("text", ["", "4", '44"x"', "45[]", "46[]", "49", "5", "6", "x", "41", "42", "43[1]", "43", "431", "43[",
                                  '42["x]y"z"'])
def test_what_drops_the_connection(page, text):
    page.send(text)
    assert page.wait_closed() == 1006


def test_the_frame_that_kills_the_reference(page):
    page.send("4312[").send("2")
    assert page.read() == "3"


def test_binary_drops_the_connection(page):
    page.send(b"42", BINARY)
    assert page.wait_closed() == 1006


@pytest.mark.parametrize("frame", [b"\x81\x01x", b"\x83\x80abcd", b"\x09\x80abcd", b"\x89\xfe\x00\x7eabcd" + b"x" * 126, b"\x80\x80abcd"],
                         ids=["unmasked", "reserved opcode", "fragmented ping", "long ping", "continuation of nothing"])
def test_violations_close_with_1002(page, frame):
    page.raw.send(frame)
    assert page.wait_closed() in (1002, 1006)


def test_a_close_frame_is_echoed(page):
    page.send((4001).to_bytes(2, "big"), CLOSE)
    assert page.wait_closed() == 4001


def test_fragments_are_joined(page):
    text = '427["/subscription",{"op":"subscribe","type":"allJobs"}]'
    page.send(text[:10], fin=False).send(text[10:20], 0, fin=False).send(text[20:], 0)
    assert page.read() == '437["ok"]'


def test_messages_over_64_KiB_are_refused(page):
    page.send("42" + "x" * 70000)
    assert page.wait_closed() == 1009


# ---- Subscriptions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload, expect", [
    ({"op": "subscribe", "type": "allJobs"}, "ok"),
    ({"op": "unsubscribe", "type": "allWorkers"}, "ok"),
    ({"op": "subscribe", "type": "allLastRendered"}, "ok"),
    ({"op": "subscribe", "type": "allWorkerTags"}, "ok"),
    ({"op": "subscribe", "type": "job", "uuid": JOB}, "ok"),
    ({"op": "subscribe", "type": "job", "uuid": JOB.upper()}, "ok"),
    ({"op": "subscribe", "type": "tasklog", "uuid": JOB}, "ok"),
    ({"op": "subscribe", "type": "job"}, "needs a uuid"),
    ({"op": "subscribe", "type": "tasklog"}, "needs a uuid"),
    ({"op": "subscribe", "type": "job", "uuid": "nope"}, "uuid is not valid"),
    ({"op": "subscribe", "type": "job", "uuid": JOB[:-1] + "g"}, "uuid is not valid"),
    ({"op": "subscribe", "type": "job", "uuid": JOB.replace("-", "0")}, "uuid is not valid"),
    ({"op": "subscribe", "type": "job", "uuid": "-" * 36}, "uuid is not valid"),
    ({"op": "subscribe", "type": "allJobs", "uuid": ""}, "uuid is not valid"),
    ({"op": "subscribe", "type": "allJobs", "uuid": JOB}, "ok"),
    ({"op": "subscribe", "type": "allJobs", "uuid": None}, "ok"),
    ({"op": "subscribe", "type": "everything"}, "unknown subscription type"),
    ({"op": "subscribe"}, "unknown subscription type"),
    ({"op": "toggle", "type": "allJobs"}, "operation"),
    ({"type": "allJobs"}, "operation"),
    ({"op": "toggle", "type": "allJobs", "uuid": "x"}, "uuid is not valid"),
    (None, "unknown subscription type"),
    ({"OP": "subscribe", "Type": "allJobs", "extra": [1]}, "ok"),
])
def test_vectors_of_subscriptions(page, payload, expect):
    assert expect in page.say(payload)


@pytest.mark.parametrize("number", ["0", "17", "-5", "+5"])
def test_ack_ids(page, number):
    page.send(f'42{number}["/subscription" , {{"op":"subscribe","type":"allJobs"}}]')
    assert page.read() == f'43{number}["ok"]'


def test_a_namespace_swallows_the_ack(live, page):
    page.send('42/x,3["/subscription",{"op":"subscribe","type":"allJobs"}]')
    live.put_away(live.submit([{"type": "none"}])["id"])
    assert [name for name, _ in page.sync()] == ["/jobs"] * 3


def test_subscriptions_need_no_ack_and_are_idempotent(live, page):
    for _ in range(2):
        page.say({"op": "subscribe", "type": "allJobs"}, ack=False)
    job = live.submit([{"type": "none"}])
    assert [(n, p["id"]) for n, p in page.sync()] == [("/jobs", job["id"])]
    page.subscribe("allJobs", op="unsubscribe")
    live.put_away(job["id"])
    assert page.sync() == []


def test_upper_case_uuids_never_match(live, page):
    job = live.submit([{"type": "none"}])
    page.subscribe("job", job["id"].upper())
    live.put_away(job["id"])
    assert page.sync() == []


def test_subscriptions_are_bounded(make_farm):
    farm = make_farm(live=True, yaml={"plugins": {"broadcaster": {"settings": {"subscriptions": 10}}}})
    with SocketIo(farm.port) as page:
        answers = [page.say({"op": "subscribe", "type": "tasklog", "uuid": f"{i:08x}{JOB[8:]}"}) for i in range(9)]
        assert answers == ["ok"] * 8 + ["too many subscriptions"]


def test_clients_are_bounded(make_farm):
    farm = make_farm(live=True, yaml={"plugins": {"broadcaster": {"settings": {"clients": 1}}}})
    with SocketIo(farm.port):
        with WebSocket(farm.port, PATH) as second:
            assert second.wait_closed() == 1013
    wait_until(lambda: opens(farm), "the place is free again")


def opens(farm):
    try:
        with SocketIo(farm.port):
            return True
    except Closed:
        return False


# ---- Topics ----------------------------------------------------------------------------------------------------------------


def test_rooms_and_names(live, lane):
    """Who gets what: each client one subscription."""
    worker = live.worker(types=[lane])
    job = live.submit([{"type": lane}])
    task = live.tasks(job["id"])[0]["id"]
    kinds = {"allJobs": None, "allWorkers": None, "allLastRendered": None, "allWorkerTags": None, "job": job["id"], "tasklog": task}
    pages = {kind: SocketIo(live.port).subscribe(kind, uuid) for kind, uuid in kinds.items()}
    assert worker.get_task()["uuid"] == task
    worker.update(task, log="line one\nline two\n")
    worker.complete(task)
    tag = live.api.ok("POST", "/worker-mgt/tags", json={"name": f"tag of {lane}"})
    live.api.ok("DELETE", f"/worker-mgt/tag/{tag['id']}", 204)
    got = {kind: page.sync() for kind, page in pages.items()}
    for page in pages.values():
        page.close()
    assert {name for name, _ in got["allJobs"]} == {"/jobs"}
    assert [(p.get("previous_status"), p["status"]) for _, p in got["allJobs"]] == [("queued", "active"), ("active", "completed")]
    assert [(n, p["previous_status"], p["status"]) for n, p in got["job"]] == [
        ("/task", "queued", "active"), ("/task", "active", "completed")]
    assert {name for name, _ in got["tasklog"]} == {"/tasklog"}
    assert {"log": "line one\nline two\n", "task_id": task} in [p for _, p in got["tasklog"]]
    assert [n for n, _ in got["allWorkers"]] == ["/workers"]
    assert got["allWorkerTags"] == [("/workertags", {"tag": {"description": "", "id": tag["id"], "name": f"tag of {lane}"}}),
                                    ("/workertags", {"tag": {"id": tag["id"], "name": ""}, "was_deleted": True})]
    assert got["allLastRendered"] == []


def test_farm_status_comes_unasked(make_farm):
    farm = make_farm(live=True)
    with SocketIo(farm.port, statuses=True) as page:
        farm.worker()
        assert page.wait(lambda e: e == ("/status", {"status": "idle"}))


@pytest.mark.parametrize("eio", [3, 4])
def test_shutdown_is_told_then_the_connection_is_closed(make_farm, eio):
    farm = make_farm(live=True)
    with SocketIo(farm.port, eio) as page:
        farm.manager.proc.terminate()
        told = []
        try:
            while True:
                told.append(page.read())
        except Closed as closed:
            assert closed.code == 1001
        # Who comes at once may hear that the manager is there.
        lifecycle = [t for t in told if "lifecycle" in t and "manager-startup" not in t]
        assert lifecycle == ['42["/lifecycle",{"type":"manager-shutdown"}]']
        assert not [t for t in told if t.startswith("41")]
    assert farm.manager.wait_exit() == 0


def test_restart_closes_too(make_farm):
    farm = make_farm(live=True)
    with SocketIo(farm.port) as page:
        farm.manager.restart_in_place()
        assert page.wait_closed() in (1001, 1006)
    with SocketIo(farm.port) as page:
        page.subscribe("allJobs")


# ---- Polling ---------------------------------------------------------------------------------------------------------------


class Polling:
    """HTTP polling by hand."""

    def __init__(self, farm, eio):
        self.eio, self.session = eio, requests.Session()
        self.url = f"http://127.0.0.1:{farm.port}/socket.io/?EIO={eio}&transport=polling&t=x"
        first = self.split(self.session.get(self.url, timeout=60))
        self.opening = json.loads(first[0][1:])
        self.first = first[1:]
        self.url += "&sid=" + self.opening["sid"]

    def split(self, reply):
        assert reply.status_code == 200, reply.text
        assert reply.headers["Content-Type"] == "text/plain; charset=UTF-8"
        text = reply.content.decode()
        if self.eio == 4:
            return text.split("\x1e")
        packets = []
        while text:
            length, text = text.split(":", 1)
            units = text.encode("utf-16-le")
            packets.append(units[:2 * int(length)].decode("utf-16-le"))
            text = units[2 * int(length):].decode("utf-16-le")
        return packets

    def join(self, *packets):
        if self.eio == 4:
            return "\x1e".join(packets)
        return "".join(f"{len(p.encode('utf-16-le')) // 2}:{p}" for p in packets)

    def get(self):
        return self.split(self.session.get(self.url, timeout=60))

    def post(self, *packets):
        reply = requests.post(self.url, data=self.join(*packets).encode(), timeout=60)
        assert (reply.status_code, reply.text) == (200, "ok"), reply.text


@pytest.mark.parametrize("eio", [3, 4])
def test_polling(live, eio):
    polling = Polling(live, eio)
    assert polling.opening["upgrades"] == ["websocket"]
    if eio == 3:
        assert polling.first == ["40"]
        polling.post("2")
        assert polling.get() == ["3"]
    else:
        polling.post("40")
        (hello,) = polling.get()
        assert hello.startswith('40{"sid":')
    polling.post('420["/subscription",{"op":"subscribe","type":"allJobs"}]', '421["/subscription",{"op":"x","type":"allJobs"}]')
    assert polling.get() == ['430["ok"]', '431["the operation must be subscribe or unsubscribe"]']
    job = live.submit([{"type": "none"}], name="größer 😀 <&>")
    (packet,) = polling.get()
    assert json.loads(packet[2:])[1]["name"] == "größer 😀 <&>"
    live.put_away(job["id"])
    assert len(polling.get()) >= 1


def test_binary_form_of_payloads(live):
    polling = Polling(live, 3)
    packets = ["2", '420["/subscription",{"op":"subscribe","type":"allJobs"}]']
    body = b"".join(b"\0" + bytes(int(d) for d in str(len(p))) + b"\xff" + p.encode() for p in packets)
    assert requests.post(polling.url, data=body, timeout=60).text == "ok"
    assert polling.get() == ["3", '430["ok"]']
    for bad in (b"\0\xff2", b"\0\x05\xff2", b"\1\1\xff2", b"\0"):
        assert requests.post(Polling(live, 3).url, data=bad, timeout=60).status_code == 400


@pytest.mark.parametrize("eio", [3, 4])
def test_polling_waits_for_an_event(live, eio):
    from harness.http import Background
    polling = Polling(live, eio)
    if eio == 4:
        polling.post("40")
        polling.get()
    polling.post('42["/subscription",{"op":"subscribe","type":"allJobs"}]')
    waiting = Background(polling.get)
    job = live.submit([{"type": "none"}])
    assert job["id"] in waiting.result()[0]
    live.put_away(job["id"])


@pytest.mark.parametrize("eio", [3, 4])
def test_upgrade_from_polling(live, eio):
    from harness.http import Background
    polling = Polling(live, eio)
    if eio == 4:
        polling.post("40")
        polling.get()
    polling.post('42["/subscription",{"op":"subscribe","type":"allJobs"}]')
    waiting = Background(polling.get)
    with WebSocket(live.port, f"/socket.io/?EIO={eio}&transport=websocket&sid={polling.opening['sid']}") as ws:
        ws.send("2probe")
        assert ws.read() == "3probe"
        assert waiting.result() == ["6"]
        job = live.submit([{"type": "none"}])
        ws.send("5")
        assert job["id"] in ws.read()
        live.put_away(job["id"])
        assert job["id"] in ws.read()
        reply = requests.get(polling.url, timeout=60)
        assert reply.status_code == 400 and reply.json()["code"] == 3


@pytest.mark.parametrize("eio", [3, 4])
def test_a_poll_that_comes_behind_the_probe_is_let_go(live, eio):
    """The client waits for it before it goes on; and when the WebSocket is lost, polling goes on as before."""
    polling = Polling(live, eio)
    if eio == 4:
        polling.post("40")
        polling.get()
    with WebSocket(live.port, f"/socket.io/?EIO={eio}&transport=websocket&sid={polling.opening['sid']}") as ws:
        ws.send("2probe")
        assert ws.read() == "3probe"
        assert polling.get() == ["6"]
        polling.post('420["/subscription",{"op":"subscribe","type":"allJobs"}]')
        assert polling.get() == ['430["ok"]']
        assert polling.get() == ["6"]
    polling.post('421["/subscription",{"op":"subscribe","type":"allJobs"}]')
    assert polling.get() == ['431["ok"]']


def test_errors_of_polling(live):
    base = f"http://127.0.0.1:{live.port}/socket.io/?EIO=4&transport="
    for reply, code in [(requests.get(base + "smoke", timeout=60), 0), (requests.get(base + "polling&sid=x", timeout=60), 1),
                        (requests.get(base + "polling&sid=" + "A" * 20, timeout=60), 1), (requests.post(base + "polling", timeout=60), 2)]:
        assert reply.status_code == 400
        assert reply.json()["code"] == code and reply.json()["message"]
    polling = Polling(live, 3)
    reply = requests.post(polling.url, data=b"99:x", timeout=60)
    assert reply.status_code == 400 and reply.json()["code"] == 3
    assert requests.get(polling.url, timeout=60).status_code == 400
    polling = Polling(live, 4)
    assert requests.post(polling.url, data=b"4" * 100000, timeout=60).status_code == 413


@pytest.mark.parametrize("eio", [3, 4])
def test_a_polling_client_says_good_bye(live, eio):
    polling = Polling(live, eio)
    polling.post("1")
    assert requests.get(polling.url, timeout=60).json()["code"] == 1


def test_a_polling_client_is_told_of_the_shutdown(make_farm):
    from harness.http import Background
    farm = make_farm(live=True)
    polling = Polling(farm, 3)
    waiting = Background(polling.get)
    farm.manager.proc.terminate()
    packets = waiting.result()
    if "1" not in packets:
        packets += polling.get()
    assert packets[-1] == "1"
    assert '42["/lifecycle",{"type":"manager-shutdown"}]' in packets
    assert farm.manager.wait_exit() == 0


# ---- Bad clients -----------------------------------------------------------------------------------------------------------


def test_garbage_after_the_upgrade(live):
    import os
    for _ in range(30):
        with WebSocket(live.port, PATH) as ws:
            ws.raw.send(os.urandom(2000))
            ws.wait_closed()
    live.api.ok("GET", "/version")


def test_http_1_0_is_no_handshake(live):
    with Raw(live.port) as raw:
        reply = raw.request("GET", PATH, [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                                          ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")], version="1.0").read()
    assert reply.status == 503


def test_a_reader_that_never_reads_is_dropped(make_farm):
    """It holds back nobody, and is dropped at its bound."""
    farm = make_farm(live=True)
    job = farm.submit([{"type": "none"}])
    task = farm.tasks(job["id"])[0]["id"]
    del task
    lazy = socket.create_connection(("127.0.0.1", farm.port))
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with SocketIo(farm.port) as page:
        slow = SocketIo(farm.port)
        slow.subscribe("tasklog", UNKNOWN)
        page.subscribe("allJobs")
        slow.subscribe("allJobs")
        worker = farm.worker(types=["misc"])
        busy = farm.submit([{"type": "misc"}])
        one = worker.get_task()["uuid"]
        slow.subscribe("tasklog", one)
        for _ in range(40):
            worker.update(one, log="x" * 1000000)
        worker.complete(one)
        assert page.wait(lambda e: e[0] == "/jobs" and e[1]["id"] == busy["id"] and e[1]["status"] == "completed")
        assert slow.wait_closed() == 1006
    lazy.close()

# SPDX-License-Identifier: Apache-2.0
"""GET /api/v3/events: server-sent events, with what was missed."""
import subprocess

import pytest
from harness.check import wait_until
from harness.http import Raw
from harness.sse import Sse


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("stream"), live=True, reference={"worker_timeout": "0s", "task_timeout": "0s"})
    yield farm
    farm.manager.stop()


def tags(farm, *names):
    for name in names:
        tag = farm.api.ok("POST", "/worker-mgt/tags", json={"name": name})
        farm.api.ok("DELETE", f"/worker-mgt/tag/{tag['id']}", 204)


def deleted(event):
    return event["event"] == "/workertags" and event["data"].get("was_deleted")


def test_head_and_form(live):
    with Sse(live.port, "/workertags") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        tags(live, "form")
        first, second = stream.wait(deleted)
    assert first["event"] == first["topic"] == "/workertags" and first["data"]["tag"]["name"] == "form"
    epoch, number = first["id"].split("-")
    assert len(epoch) == 8 and second["id"] == f"{epoch}-{int(number) + 1}"


def test_topics(live, lane):
    worker = live.worker(types=[lane])
    job = live.submit([{"type": lane}])
    with Sse(live.port, f"/jobs/*,%20/nothing") as tasks, Sse(live.port, "/jobs,/workers") as rows, \
            Sse(live.port) as everything, Sse(live.port, f"/jobs/{job['id']}") as one:
        worker.complete(worker.get_task()["uuid"])
        tags(live, "end")
        passed = [e for e in everything.wait(deleted) if e["event"] != "/status"]
        assert [e["event"] for e in passed[:3]] == ["/tasklog", "/tasklog", "/task"]
        for stream, wanted in [(tasks, {"/task"}), (rows, {"/jobs", "/workers"}), (one, {"/task"})]:
            expect = [e for e in passed if e["event"] in wanted]
            assert [stream.read() for _ in expect] == expect
    assert {e["topic"] for e in passed if e["event"] == "/task"} == {f"/jobs/{job['id']}"}


def test_what_was_missed_is_told_first(live):
    with Sse(live.port, "/workertags") as stream:
        tags(live, "a")
        last = stream.wait(deleted)[-1]["id"]
    tags(live, "b", "c")
    with Sse(live.port, "/workertags", last) as stream:
        tags(live, "d")
        got = [stream.read() for _ in range(6)]
    assert [e["data"]["tag"]["name"] for e in got] == ["b", "", "c", "", "d", ""]
    with Sse(live.port, "/workertags", got[-1]["id"]) as stream:
        tags(live, "e")
        assert stream.read()["data"]["tag"]["name"] == "e"


@pytest.mark.parametrize("last", ["x", "00000000-1", "-", "0-99999999999999999999999", "🙂"])
def test_an_unknown_id_is_answered_by_missed(live, last):
    with Sse(live.port, "/workertags", last.encode().decode("latin-1")) as stream:
        assert stream.read() == {"event": "/missed", "topic": "/missed", "data": {}}


def test_no_more_than_a_thousand_are_kept(live):
    with Sse(live.port, "/workertags") as stream:
        tags(live, "long ago")
        last = stream.wait(deleted)[-1]["id"]
    tags(live, *[f"n{i}" for i in range(510)])
    with Sse(live.port, "/workertags", last) as stream:
        assert stream.read()["event"] == "/missed"
        got = [stream.read() for _ in range(1000)]
        tags(live, "new")
        assert stream.read()["data"]["tag"]["name"] == "new"
    assert got[-2]["data"]["tag"]["name"] == "n509"


def test_a_restart_makes_old_ids_unknown(make_farm):
    farm = make_farm(live=True)
    with Sse(farm.port, "/workertags") as stream:
        tags(farm, "before")
        last = stream.wait(deleted)[-1]["id"]
    farm.manager.restart()
    tags(farm, "after")
    with Sse(farm.port, "/workertags", last) as stream:
        assert stream.read()["event"] == "/missed"


def test_the_stream_ends_with_the_manager(make_farm):
    farm = make_farm(live=True)
    with Sse(farm.port, "/lifecycle") as stream:
        farm.manager.proc.terminate()
        assert stream.read()["data"] == {"type": "manager-shutdown"}
        assert stream.wait_end()
    assert farm.manager.wait_exit() == 0


def test_curl(live):
    curl = subprocess.Popen(["curl", "-sN", f"http://127.0.0.1:{live.port}/api/v3/events?topics=/workertags"], stdout=subprocess.PIPE,
                            text=True)
    assert curl.stdout.readline().startswith(":")
    tags(live, "for curl")
    lines = [curl.stdout.readline() for _ in range(5)]
    curl.kill()
    curl.wait()
    curl.stdout.close()
    assert [line.split(":")[0] for line in lines[1:]] == ["id", "event", "topic", "data"]


def test_http_1_0_gets_it_without_chunks(live):
    with Raw(live.port) as raw:
        raw.request("GET", "/api/v3/events?topics=/workertags", version="1.0")
        head = raw._until(b"\r\n\r\n").decode().lower()
        assert "transfer-encoding" not in head
        tags(live, "old")
        raw._until(b"event: /workertags")


def test_clients_that_go_away_are_noticed(make_farm):
    farm = make_farm(live=True)
    streams = [Sse(farm.port) for _ in range(5)]
    before = farm.api.metric("flamenco_http_connections")
    for stream in streams:
        stream.close()
    wait_until(lambda: farm.api.metric("flamenco_http_connections") <= before - 5, "the connections are closed")


def test_a_reader_that_never_reads_is_cut(live, lane):
    worker = live.worker(types=[lane])
    live.submit([{"type": lane}])
    task = worker.get_task()["uuid"]
    with Sse(live.port, "/tasklog/*") as lazy, Sse(live.port, f"/tasklog/{task}") as eager:
        for _ in range(40):
            worker.update(task, log="x" * 1000000)
            assert len(eager.read()["data"]["log"]) == 1000000
        assert lazy.wait_end()
    worker.complete(task)

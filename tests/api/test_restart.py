# SPDX-License-Identifier: Apache-2.0
"""Start, stop and restart in place (architecture 9)."""
import json
import signal
import socket
import threading
import time

import pytest
from harness.check import wait_until
from harness.events import Events
from harness.http import Background, Raw
from harness.manager import scale


def test_restart_keeps_process_port_and_data(own_farm):
    farm = own_farm
    job = farm.submit([{}])
    pid = farm.manager.proc.pid
    farm.manager.restart_in_place()
    assert farm.manager.proc.pid == pid and farm.manager.is_running()
    farm.api.session.close()
    assert farm.job(job["id"]) == job


def test_no_connection_is_refused_during_a_restart(own_farm):
    """New connections all the time: each is accepted, and each request is answered or its connection closed."""
    port, stop, outcomes = own_farm.port, threading.Event(), []

    def hammer():
        while not stop.is_set():
            try:
                with Raw(port) as raw:
                    outcomes.append(raw.request("GET", "/api/v3/version").read().status)
            except ConnectionRefusedError:
                outcomes.append("refused")
            except (ConnectionError, socket.timeout):
                outcomes.append("closed")

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            own_farm.manager.restart_in_place()
            before = len(outcomes)
            wait_until(lambda: len(outcomes) > before + 20, "requests are served again")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30 * scale())
    assert "refused" not in outcomes
    assert set(outcomes) <= {200, "closed"}
    assert outcomes.count(200) > 40


def test_new_configuration_is_read_at_a_restart(own_farm):
    own_farm.manager.reference["manager_name"] = "renamed"
    own_farm.manager.manager_yaml["reported_version"] = "3.7"
    own_farm.manager.write_config()
    own_farm.manager.restart_in_place()
    own_farm.api.session.close()
    version = own_farm.api.ok("GET", "/version")
    assert version["name"] == "renamed" and version["shortversion"] == version["version"] == "3.7"


@pytest.mark.parametrize("file, text, words", [
    ("manager.yaml", "colour: red\n", "manager.yaml:1: .*colour"),
    ("flamenco-manager.yaml", "_meta: {version: 3}\ntask_timeout: 10\n", "flamenco-manager.yaml:2: .*task_timeout"),
    ("flamenco-manager.yaml", "\0\1", "flamenco-manager.yaml"),
])
def test_bad_configuration_prevents_a_restart(own_farm, file, text, words):
    """The manager tells what is wrong and goes on as it is; when it is put right, it restarts."""
    path = own_farm.manager.dir / file
    good = path.read_text()
    for _ in range(2):
        path.write_text(text)
        position = own_farm.manager.log_position()
        own_farm.manager.proc.send_signal(signal.SIGHUP)
        own_farm.manager.wait_log("not restarting, the manager goes on as it is", position)
        own_farm.manager.wait_log(words, position)
        own_farm.submit([{}])
        assert own_farm.api.get("//health/live").status_code == 200
        path.write_text(good)
        own_farm.manager.restart_in_place()
    own_farm.submit([{}])


def test_stop_while_restarting_is_an_orderly_end(own_farm):
    """The first signal to end it, not the second one: nothing is broken off."""
    own_farm.manager.proc.send_signal(signal.SIGHUP)
    own_farm.manager.wait_log("restarting")
    own_farm.manager.proc.send_signal(signal.SIGTERM)
    assert own_farm.manager.wait_exit() == 0
    log = own_farm.manager.log()
    assert "leaving at once" not in log and "manager: stopped" in log
    own_farm.manager.start()


def test_connections_stay_open_over_a_restart(own_farm):
    """One that was used, one that is fresh, and one that asks in between: all are served by the new image."""
    with Raw(own_farm.port) as used, Raw(own_farm.port) as fresh, Raw(own_farm.port) as asking:
        used.request("GET", "/api/v3/version").read()
        asking.request("GET", "/api/v3/version").read()
        position = own_farm.manager.log_position()
        own_farm.manager.proc.send_signal(signal.SIGHUP)
        own_farm.manager.wait_log("restarting", position)
        answered = 0
        while not any("manager: ready" in line for line in own_farm.manager.log().splitlines()[position:]):
            assert asking.request("GET", "/api/v3/version").read().status == 200
            answered += 1
        assert answered > 0
        for raw in (used, fresh, asking):
            reply = raw.request("GET", "/api/v3/version").read()
            assert reply.status == 200 and reply.header("Connection") != "close"


def test_shutdown_is_announced_once_and_readiness_ends(own_farm):
    """manager-shutdown, 500 ms of service with readiness 503, then the end."""
    farm = own_farm
    events = farm.events()
    waiting = Background(events.wait, lambda e: e["payload"] == {"type": "manager-shutdown"})
    farm.api.get("/version")
    farm.manager.proc.send_signal(signal.SIGTERM)
    got = waiting.result()
    assert got[-1]["topic"] == got[-1]["name"] == "/lifecycle" and got[-1]["kind"] == "lifecycle"
    ready = farm.api.get("//health/ready")
    assert ready.status_code == 503 and ready.json()["checks"]["manager"]["ok"] is False
    assert farm.api.get("/version").status_code == 200
    assert farm.api.get("//health/live").status_code == 200
    assert farm.events().take("lifecycle") == [] and events.take("lifecycle") == []
    assert farm.manager.wait_exit() == 0


def test_startup_is_announced(own_farm):
    events = Events.__new__(Events)
    events.api, events.last = own_farm.api.clone(), 0
    first = events.take()
    assert [e["payload"] for e in first if e["kind"] == "lifecycle"] == [{"type": "manager-startup"}]


def test_running_requests_are_finished(own_farm):
    """A submission that is under way when the signal comes is answered, and stored."""
    body = json.dumps(own_farm.submission(3000)).encode()
    with Raw(own_farm.port) as raw:
        raw.request("POST", "/api/v3/jobs", [("Content-Type", "application/json")], body)
        own_farm.manager.proc.send_signal(signal.SIGTERM)
        reply = raw.read()
    assert reply.status == 200
    job = json.loads(reply.body)
    assert own_farm.manager.wait_exit() == 0
    own_farm.manager.start()
    own_farm.api.session.close()
    assert len(own_farm.tasks(job["id"])) == 3000


def test_idle_connections_do_not_delay_the_end(own_farm):
    with Raw(own_farm.port) as used, Raw(own_farm.port) as unused:
        used.request("GET", "/api/v3/version").read()
        began = time.monotonic()
        own_farm.manager.stop()
        assert time.monotonic() - began < 5 * scale()
        assert used.is_closed_by_peer() and unused.is_closed_by_peer()


def test_second_signal_ends_it_at_once(own_farm):
    own_farm.manager.proc.send_signal(signal.SIGTERM)
    own_farm.manager.wait_log("stopping")
    own_farm.manager.proc.send_signal(signal.SIGTERM)
    assert own_farm.manager.wait_exit() in (0, 1)
    own_farm.manager.start()


@pytest.mark.parametrize("times", [3])
def test_restarts_in_a_row(own_farm, times):
    """Nothing piles up: descriptors, locks, threads."""
    def descriptors():
        from pathlib import Path
        return len(list(Path(f"/proc/{own_farm.manager.proc.pid}/fd").iterdir()))

    counts = []
    for _ in range(times):
        own_farm.manager.restart_in_place()
        own_farm.api.session.close()
        own_farm.submit([{}])
        own_farm.api.session.close()
        counts.append(descriptors())
    assert max(counts) - min(counts) <= 3, counts

# SPDX-License-Identifier: Apache-2.0
"""The manager on PostgreSQL under load while things break: the server restarts or crashes, connections are ended, the manager is
killed. What was acknowledged is there afterwards, nothing was done twice, and everybody goes on by himself."""
import os
import threading
import time

import pytest
from faultlib.check import check
from faultlib.load import Load
from finish import finish
from harness.manager import scale

TIMES = int(os.environ.get("FLAMENCO_POSTGRES_TIMES", 3))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_requests_wait_while_the_server_restarts(make_manager, server, store, seed, figure, mode):
    manager = make_manager(store=store).start()
    load = Load(manager, seed.random(), may_refuse=True).start()
    down = 0
    try:
        load.wait_acks(1, each=True, timeout=30 * scale())
        for _ in range(TIMES):
            time.sleep(seed.random() * scale())
            began = time.monotonic()
            server.stop(mode)
            time.sleep(seed.random() * 1.5)
            server.start()
            down += time.monotonic() - began
            load.wait_acks(3, each=True, timeout=60 * scale())
        finish(load, store, manager)
    finally:
        load.stop()
    assert load.breaks.total() == 0, f"no connection of a client broke: {load.breaks}"
    figure(f"{TIMES} restarts, down for {down:.1f} s in all, {load.refused} requests of people refused; {load.summary()}")


def test_ended_connections_cost_nobody_anything(make_manager, server, store, seed, figure):
    """pg_terminate_backend in the middle of transactions and commits, of the writer and of readers."""
    manager = make_manager(store=store).start()
    load = Load(manager, seed.random(), may_refuse=True).start()
    ended = 0
    try:
        load.wait_acks(1, each=True, timeout=30 * scale())
        until = time.monotonic() + 4 * scale()
        while time.monotonic() < until:
            time.sleep(seed.random() * 0.3 * scale())
            rows = server.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                              " WHERE application_name='flamenco-manager' AND random()<0.7", user="postgres")
            ended += int(rows[0][0])
        load.wait_acks(3, each=True, timeout=60 * scale())
        finish(load, store, manager)
    finally:
        load.stop()
    assert ended > 0 and load.breaks.total() == 0, load.breaks
    figure(f"{ended} connections ended; {load.summary()}")


def test_what_was_acknowledged_survives_kills_of_the_manager(make_manager, store, seed, figure):
    manager = make_manager(store=store).start()
    load = Load(manager, seed.random()).start()
    slowest = 0
    try:
        load.wait_acks(1, each=True, timeout=30 * scale())
        for _ in range(TIMES + 2):
            time.sleep(seed.random() * scale())
            manager.kill()
            load.close_gate()
            began = time.monotonic()
            manager.start()
            slowest = max(slowest, time.monotonic() - began)
            check(load)
            load.open_gate()
            load.wait_acks(3, each=True, timeout=30 * scale())
        finish(load, store, manager)
    finally:
        load.stop()
    figure(f"{TIMES + 2} kills, slowest start {slowest:.2f} s; {load.summary()}")


def test_server_that_stays_away_refuses_people_and_keeps_workers_waiting(make_manager, server, store, seed):
    """The deadline holds: people hear 503 with Retry-After in time, and all goes on when the server is back."""
    manager = make_manager(store=store, request_timeout="2s").start()
    farm = manager.farm()
    job = farm.submit(2)
    server.stop("fast")
    began = time.monotonic()
    refused = farm.api.post("/jobs/" + job["id"] + "/setpriority", json={"priority": 3})
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "1", refused.text
    assert time.monotonic() - began < 20 * scale()
    assert farm.api.get("//health/ready").status_code == 503
    server.start()
    answers = []

    def ask():
        answers.append(farm.api.clone().post("/jobs/" + job["id"] + "/setpriority", json={"priority": 4}))
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(20 * scale())
    assert answers and answers[0].status_code in (204, 503)
    until = time.monotonic() + 30 * scale()
    while farm.api.post("/jobs/" + job["id"] + "/setpriority", json={"priority": 5}).status_code != 204:
        assert time.monotonic() < until, manager.log()
    assert farm.job(job["id"])["priority"] == 5
    assert farm.api.get("//health/ready").status_code == 200


def test_manager_whose_lease_was_taken_over_stops_by_itself(make_manager, server, store):
    manager = make_manager(store=store).start()
    farm = manager.farm()
    job = farm.submit(1)
    store.execute("UPDATE lease SET epoch=epoch+1")
    try:
        farm.api.post("/jobs/" + job["id"] + "/setpriority", json={"priority": 3})
    except OSError:
        pass  # it may be gone before it answers
    assert manager.wait_exit() == 1
    assert "another manager has taken over" in manager.log()
    assert store.query("SELECT prio FROM job_hot") == [(50,)]


def test_missing_server_ends_the_start_with_one_clear_line(make_manager, server, store):
    server.stop("fast")
    manager = make_manager(store=store)
    manager.spawn()
    assert manager.wait_exit() == 1
    assert "plugins.persist: plugin persist-postgres:" in manager.log().splitlines()[-1]

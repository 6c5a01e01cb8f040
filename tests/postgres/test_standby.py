# SPDX-License-Identifier: Apache-2.0
"""Two managers on one store, on PostgreSQL and on one SQLite file: the second waits without listening, and takes over when the
first one dies (docs/reliability.md)."""
import signal
import socket
import subprocess
import time

import pytest
from faultlib.check import check
from faultlib.load import Load
from faultlib.manager import BUILD
from faultlib.recount import recount_store
from harness.http import Api
from harness.manager import scale
from harness.store import SqliteFile

TAKEOVER_S = 10
QUEUED_AND_ACTIVE = (0, 1)


@pytest.fixture(params=["postgres", "sqlite"])
def pair(request, make_manager, tmp_path):
    """make() gives two managers of one farm: store, storage and address are the same. The second one stands by."""
    store = request.getfixturevalue("store") if request.param == "postgres" else SqliteFile(tmp_path / "shared.sqlite")

    def make(**kw):
        first = make_manager(store=store, storage=tmp_path / "storage", args=["--standby"], **kw)
        second = make_manager(store=store, storage=tmp_path / "storage", args=["--standby"], **kw)
        second.port = first.port
        second.reference["listen"] = f"127.0.0.1:{first.port}"
        second.write_config()
        second._api = Api(second.url)
        return first, second

    make.store = store
    return make


def listens(pid):
    """Whether a process has a socket that accepts connections."""
    sockets = subprocess.run(["ss", "-Hltnp"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return f"pid={pid}," in sockets


def test_standby_takes_over_and_nothing_acknowledged_is_lost(pair, seed, figure):
    active, standby = pair()
    active.start()
    load = Load(active, seed.random()).start()
    slowest = 0
    try:
        load.wait_acks(1, each=True, timeout=30 * scale())
        for _ in range(3):
            position = standby.log_position()
            standby.spawn()
            line = standby.wait_log("standing by", position)
            assert f"process {active.pid} on host" in line
            assert not listens(standby.pid)
            load.wait_acks(2, each=True, timeout=30 * scale())
            time.sleep(seed.random() * scale())
            active.kill()
            began = time.monotonic()
            load.close_gate()
            standby.wait_ready()
            slowest = max(slowest, time.monotonic() - began)
            load.manager = standby
            check(load)
            load.open_gate()
            load.wait_acks(3, each=True, timeout=30 * scale())
            active, standby = standby, active
        load.close_gate()
        check(load, everything=True)
    finally:
        load.stop()
    assert slowest < TAKEOVER_S * scale()
    active.stop()
    assert recount_store(pair.store, QUEUED_AND_ACTIVE) == []
    figure(f"3 kills, slowest takeover {slowest:.2f} s; {load.summary()}")


def test_farm_sim_goes_on_with_the_standby(pair, seed, figure):
    farm_sim = BUILD / "tools" / "farm-sim" / "farm-sim"
    active, standby = pair(yaml={"plugins": {"job_compiler": {"file": "compiler-js"}}}, hold="10m")
    active.start()
    standby.spawn()
    standby.wait_log("standing by")
    duration = 6 * scale()
    command = [str(farm_sim), "soak", "--url", active.url, "--workers", "12", "--duration", f"{duration}s", "--jobs", "2",
               "--tasks", "20", "--fail-rate", "0", "--vanish-rate", "0", "--cut-rate", "0", "--disturb-rate", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as farm:
        try:
            time.sleep(duration / 3)
            active.kill()
            began = time.monotonic()
            standby.wait_ready()
            took = time.monotonic() - began
            output, _ = farm.communicate(timeout=120 * scale())
        finally:
            farm.kill()
    assert farm.returncode == 0, output
    assert took < TAKEOVER_S * scale()
    standby.stop()
    assert recount_store(pair.store, QUEUED_AND_ACTIVE) == []
    figure(f"takeover in {took:.2f} s; farm-sim: " + " ".join(output.split())[-300:])


def test_active_manager_that_stops_in_order_hands_over(pair):
    active, standby = pair()
    active.start()
    job = active.farm().submit(1)
    standby.spawn()
    standby.wait_log("standing by")
    active.stop()
    standby.wait_ready()
    assert standby.farm().job(job["id"])["status"] == "queued"


def test_waiting_standby_ends_when_told(pair):
    active, standby = pair()
    active.start()
    standby.spawn()
    standby.wait_log("standing by")
    standby.stop()
    active.farm().submit(1)
    position = standby.log_position()
    standby.spawn()
    standby.wait_log("standing by", position)
    standby.stop(sig=signal.SIGINT)


def test_restart_in_place_beside_a_standby_leaves_one_that_serves(pair):
    """The lease is free for a moment then: whoever gets it serves, and the other one stands by."""
    active, standby = pair()
    active.start()
    job = active.farm().submit(1)
    standby.spawn()
    standby.wait_log("standing by")
    position = active.log_position()
    active.proc.send_signal(signal.SIGHUP)
    active.wait_log("manager: ready|standing by", position + 1, 40)
    until = time.monotonic() + 30 * scale()
    while True:
        try:
            if active.api().get(f"/jobs/{job['id']}").status_code == 200:
                break
        except OSError:
            pass
        assert time.monotonic() < until, active.log() + standby.log()
    assert active.is_running() and standby.is_running()


def test_without_the_option_a_held_store_ends_the_start(pair):
    active, other = pair()
    active.start()
    other.args = [a for a in other.args if a != "--standby"]
    other.spawn()
    assert other.wait_exit() == 1
    assert f"process {active.pid} on host {socket.gethostname()}" in other.log()

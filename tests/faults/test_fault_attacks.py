# SPDX-License-Identifier: Apache-2.0
"""Hostile clients: a normal one gets its answers, memory stays bounded, everything recovers. Waiting times are printed, not
asserted: machines differ."""
import resource
import socket
import subprocess
import time

import pytest
from faultlib.attack import Churn, Idle, NeverRead, Noise, Normal, Silent, SlowBodies, SlowHeads
from faultlib.link import Link
from harness.check import wait_until
from harness.manager import sanitizer, scale

pytestmark = pytest.mark.alone
QUICK = {"http": {"head_timeout": "1s", "body_timeout": "1s", "reply_timeout": "1s"}}
QUIET, ATTACKED = 1.2, 1.8  # seconds


class Scene:
    """A manager, a normal client, and what was normal before the attack."""

    def __init__(self, manager, figure):
        self.manager, self.figure = manager.start(), figure
        self.farm = manager.farm()
        self.worker = self.farm.worker(status="asleep")
        self.normal = None

    def begin(self, **kw):
        self.normal = Normal(self.manager.port, self.worker, **kw)
        self.normal.start()
        time.sleep(0.3)
        self.quiet, self.quiet_p99 = self.normal.measure(QUIET)
        self.files, self.memory = self.manager.open_files(), self.manager.memory_kib()

    def under(self, attack, seconds=ATTACKED):
        """Runs the attack, and prints what the normal client saw."""
        if not attack.is_alive():
            attack.start()
        cpu, began = self.manager.cpu_seconds(), time.monotonic()
        seen, p99 = self.normal.measure(seconds)
        self.cpu = (self.manager.cpu_seconds() - cpu) / (time.monotonic() - began)
        self.peak = self.manager.memory_kib("VmHWM")
        self.figure(f"quiet: {self.quiet}; attacked: {seen} ({p99 / self.quiet_p99:.1f} x); server CPU {self.cpu:.2f} cores, memory "
                    f"{self.memory // 1024} -> {self.peak // 1024} MiB; attacker made {attack.made} connections, lost {attack.lost}")
        return attack

    def end(self, attack, mib):
        """Ends the attack; everything must be as before. mib: by how much memory may have grown at its peak."""
        attack.stop()
        wait_until(lambda: self.manager.open_files() <= self.files + 8, "descriptors are given back")
        wait_until(lambda: self.manager.api().metric("flamenco_http_connections") <= 8, "connections are forgotten")
        self.normal.stop()
        assert self.normal.errors == []
        if not sanitizer():
            assert self.peak - self.memory < mib * 1024, f"{self.memory} -> {self.peak} KiB"


@pytest.fixture
def scene(make_manager, figure):
    def make(**kw):
        kw.setdefault("hold", "0s")
        return Scene(make_manager(**kw), figure)
    return make


def cut(manager):
    return manager.api().metric("flamenco_http_cut_total")


def test_slow_heads(scene):
    s = scene(yaml=QUICK)
    s.begin()
    attack = s.under(SlowHeads(s.manager.port, 300, pace=0.2))
    wait_until(lambda: cut(s.manager) >= 300, "slow heads are cut")
    s.end(attack, 40)


def test_slow_bodies(scene):
    s = scene(yaml=QUICK)
    s.begin()
    attack = s.under(SlowBodies(s.manager.port, 300, pace=0.2))
    wait_until(lambda: cut(s.manager) >= 300, "slow bodies are cut")
    s.end(attack, 40)


def test_silence(scene):
    s = scene(yaml=QUICK)
    s.begin()
    attack = s.under(Silent(s.manager.port, 300, pace=0.2))
    wait_until(lambda: cut(s.manager) >= 300, "silent connections are cut")
    s.end(attack, 40)


def test_readers_that_never_read(scene):
    """Each holds one reply, no more: what is pipelined behind it is not read. They are cut while they go on."""
    readers, tasks = 12, 20000
    s = scene(yaml={"http": {"reply_timeout": "4s"}})
    job = s.farm.submit(tasks, lane="untouched")
    size = len(s.manager.api().get(f"/jobs/{job['id']}/tasks").content)
    s.begin()
    attack = NeverRead(s.manager.port, readers, f"/api/v3/jobs/{job['id']}/tasks", again=False)
    attack.start()
    began = time.monotonic()
    burst, p99 = s.normal.measure(0.5)
    wait_until(lambda: s.manager.api().metric("flamenco_read_steps_total") and
               s.manager.api().metric("flamenco_waiting_read_steps") == 0, "all replies are made")
    s.figure(f"{readers} readers of {size / 1e6:.1f} MB each; while these are made, {time.monotonic() - began:.1f} s: {burst} "
             f"({p99 / s.quiet_p99:.1f} x)")
    s.under(attack)
    assert attack.is_alive()
    wait_until(lambda: s.manager.api().metric("flamenco_http_connections") <= 8, "they are cut while they go on")
    s.end(attack, readers * size / 2**20 * 2.5 + 40)


def test_pipeline_of_one_who_is_gone(scene):
    """A client asks for much at once and leaves: what stands behind the request that runs is not run."""
    s = scene()
    job = s.farm.submit(20000, lane="untouched")
    api = s.manager.api()
    before = api.metric("flamenco_http_connections")
    with socket.create_connection(("127.0.0.1", s.manager.port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
        sock.sendall(f"GET /api/v3/jobs/{job['id']}/tasks HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 50)
        wait_until(lambda: api.metric("flamenco_http_pending_requests") >= 2, "the first one runs")
    wait_until(lambda: api.metric("flamenco_http_connections") <= before, "the connection is forgotten")
    steps = api.metric("flamenco_read_steps_total")
    assert steps < 10
    s.figure(f"{steps:.0f} of 50 were run")


def test_2000_idle_connections(scene):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5000:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    s = scene()
    s.begin()
    attack = s.under(Idle(s.manager.port, 2000, pace=0.5, again=False), seconds=3)
    wait_until(lambda: s.manager.api().metric("flamenco_http_connections") >= 2000, "all are connected")
    s.figure(f"memory with {s.manager.api().metric('flamenco_http_connections'):.0f} connections: {s.manager.memory_kib() / 1024:.1f} MiB")
    assert attack.lost == 0
    s.end(attack, 60)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_that_come_and_go(scene):
    s = scene()
    s.begin()
    s.end(s.under(Churn(s.manager.port, 60, pace=0.05)), 40)


def test_noise(scene, seed):
    s = scene(yaml=QUICK)
    s.begin()
    s.end(s.under(Noise(s.manager.port, 60, seed.random(), pace=0.03)), 40)


def test_more_connections_than_are_allowed(scene):
    """Accepting pauses; those who are connected are served; those who wait are, as soon as there is room."""
    s = scene(files=300, yaml=QUICK)
    s.begin()
    s.normal.new_connections = False
    attack = s.under(Silent(s.manager.port, 400, pace=0.2))
    assert s.cpu < 0.7 * scale(), "it spins"
    waiting = Link(s.manager.port, timeout=20 * scale())
    began = time.monotonic()
    assert waiting.call("GET", "/version").status == 200
    s.figure(f"one who came last was served after {time.monotonic() - began:.1f} s")
    waiting.close()
    s.end(attack, 40)


def set_file_limit(manager, soft):
    subprocess.run(["prlimit", f"--pid={manager.pid}", f"--nofile={soft}:"], check=True)


def test_descriptors_run_out(scene):
    """Others took the descriptors that the limit of connections counts on."""
    s = scene(yaml=QUICK)
    s.begin()
    s.normal.new_connections = False
    position = s.manager.log_position()
    normal = resource.prlimit(s.manager.pid, resource.RLIMIT_NOFILE)[0]
    set_file_limit(s.manager, s.manager.open_files() + 20)
    attack = s.under(Silent(s.manager.port, 100, pace=0.2))
    assert s.cpu < 0.7 * scale(), "it spins"
    s.manager.wait_log("cannot accept connections: Too many open files", after=position)
    lines = s.manager.count_log("cannot accept", position)
    assert lines <= 2, "once a minute for each loop"
    set_file_limit(s.manager, normal)
    link = Link(s.manager.port, timeout=20 * scale())
    assert link.call("GET", "/version").status == 200
    link.close()
    s.end(attack, 40)

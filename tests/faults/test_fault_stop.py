# SPDX-License-Identifier: Apache-2.0
"""Stop and restart under load: what was accepted is answered, what was acknowledged is kept, nobody is turned away."""
import os
import signal
import socket
import threading
import time

import pytest
from faultlib.check import check
from faultlib.link import Link, NoReply
from faultlib.load import Load
from harness.check import wait_until
from harness.http import Background
from harness.manager import scale


def write_requests(farm, n):
    """n connections, each with a Worker's write on it that is sent and not answered yet."""
    links = []
    for i in range(n):
        worker = farm.worker(f"waits-{i}", types=["none"], status="asleep")
        links.append(Link(farm.port, (worker.id, worker.secret), timeout=60))
        assert links[-1].call("POST", "/worker/state-changed", {"status": "awake"}).status == 204
    return links


def test_sigterm_answers_what_it_accepted(make_manager, tmp_path, figure):
    """The disk hangs while requests come in; the manager is told to stop; the disk comes back: all get their answers."""
    disk = tmp_path / "disk"
    disk.mkdir()
    manager = make_manager(database=disk / "farm.sqlite", trouble_at=disk).start()
    links = write_requests(manager.farm(), 20)
    manager.trouble.begin("hang")
    calls = [Background(link.call, "POST", "/worker/state-changed", {"status": "asleep"}) for link in links]
    wait_until(lambda: manager.api().metric("flamenco_http_pending_requests") > len(links), "all requests have arrived")
    manager.proc.send_signal(signal.SIGTERM)
    manager.wait_log("stopping: terminated")
    time.sleep(1)
    assert manager.is_running() and not any(call.done for call in calls)
    manager.trouble.end()
    began = time.monotonic()
    answers = [call.result() for call in calls]
    assert [answer.status for answer in answers] == [204] * len(links)
    assert all(answer.headers["connection"] == "close" for answer in answers)
    assert manager.wait_exit() == 0
    figure(f"{len(links)} requests answered and the process gone {time.monotonic() - began:.2f} s after the disk came back")
    manager.start()
    statuses = {row["name"]: row["status"] for row in manager.api().ok("GET", "/worker-mgt/workers")["workers"]}
    assert set(statuses.values()) == {"asleep"}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stop_under_load(make_manager, seed, figure, sig):
    manager = make_manager(hold="10m").start()
    load = Load(manager, seed.random()).start()
    try:
        load.wait_acks(10, each=True, timeout=30 * scale())
        began = time.monotonic()
        manager.stop(sig=sig)
        seconds = time.monotonic() - began
        load.close_gate()
        position = manager.log_position()
        manager.start()
        assert manager.count_log("not closed in order", position) == 0, "it had stopped in order"
        check(load, everything=True)
        load.open_gate()
        load.wait_acks(1, each=True, timeout=30 * scale())
    finally:
        load.stop()
    assert seconds < 5 * scale()
    figure(f"stopped in {seconds:.2f} s; {load.checked} states compared; {load.summary()}")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_parked_requests_are_answered(make_manager, figure, sig):
    manager = make_manager(hold="10m").start()
    farm = manager.farm()
    workers = [farm.worker(f"parks-{i}", types=["none"]) for i in range(30)]
    calls = [Background(worker.ask) for worker in workers[:20]] + \
            [Background(worker.api.get, "/worker/state") for worker in workers[20:]]
    wait_until(lambda: manager.api().metric("flamenco_parked_requests") == len(workers), "all are parked")
    began = time.monotonic()
    manager.proc.send_signal(sig)
    assert [call.result().status_code for call in calls] == [204] * len(workers)
    seconds = time.monotonic() - began
    figure(f"{len(workers)} parked requests answered {seconds:.2f} s after the signal")
    assert seconds < 2 * scale()
    if sig == signal.SIGTERM:
        assert manager.wait_exit() == 0
    else:
        wait_until(lambda: manager.count_log("manager: ready") == 2, "it is back")


class Knocker(threading.Thread):
    """Makes one connection after the other, each with one question."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.refused, self.answered, self.cut, self.slowest, self.going = port, [], 0, 0, 0, True

    def run(self):
        while self.going:
            began = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=30) as sock:
                    try:
                        sock.sendall(b"GET /api/v3/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        ok = b" 200 " in sock.recv(65536)
                    except OSError:
                        ok = False
            except OSError as reason:
                self.refused.append(str(reason))
                continue
            self.answered += ok
            self.cut += not ok
            self.slowest = max(self.slowest, time.monotonic() - began)
            time.sleep(0.001)


def test_restart_in_place(make_manager, seed, figure):
    """SIGHUP under load: the process keeps its id, no connection is refused, nothing acknowledged is lost."""
    manager = make_manager().start()
    pid = manager.pid
    load = Load(manager, seed.random(), workers=4, artists=1).start()
    knocker = Knocker(manager.port)
    knocker.start()
    longest = 0
    try:
        for _ in range(3):
            load.wait_acks(5, each=True, timeout=30 * scale())
            position = manager.log_position()
            began = time.monotonic()
            manager.proc.send_signal(signal.SIGHUP)
            manager.wait_log("manager: ready", after=position)
            longest = max(longest, time.monotonic() - began)
        load.wait_acks(5, each=True, timeout=30 * scale())
        load.close_gate()
        check(load, everything=True)
    finally:
        load.stop()
        knocker.going = False
        knocker.join()
    assert manager.pid == pid and manager.is_running()
    assert knocker.refused == [] and not load.breaks, "a Worker whose request fails waits for a minute"
    assert manager.count_log("not closed in order") == 0
    figure(f"3 restarts, longest {longest:.2f} s; {knocker.answered} connections served, {knocker.cut} cut, none refused, slowest "
           f"{knocker.slowest:.2f} s; {load.checked} states compared; {load.summary()}")


def test_restarts_leave_nothing_behind(make_manager):
    """Descriptors and threads of the former image do not pile up."""
    manager = make_manager().start()
    seen = []
    for _ in range(4):
        position = manager.log_position()
        manager.proc.send_signal(signal.SIGHUP)
        manager.wait_log("manager: ready", after=position)
        manager.api().ok("GET", "/version")
        wait_until(lambda: manager.api().metric("flamenco_http_connections") <= 1, "connections are closed")
        seen.append((manager.open_files(), len(os.listdir(f"/proc/{manager.pid}/task"))))
    assert max(files for files, _ in seen) <= seen[0][0] + 1 and max(t for _, t in seen) <= seen[0][1], seen


def test_many_hangups(make_manager, seed):
    """Further ones that come while it restarts, at whatever moment, neither end it nor turn anybody away."""
    manager = make_manager().start()
    pid = manager.pid
    knocker = Knocker(manager.port)
    knocker.start()
    for _ in range(25):
        manager.proc.send_signal(signal.SIGHUP)
        time.sleep(seed.random() * 0.15 * scale())
    starts = 0
    while starts != manager.count_log("manager: ready") or starts < 2:
        starts = manager.count_log("manager: ready")
        assert manager.proc.poll() is None, f"it ended with {manager.proc.returncode}"
        time.sleep(1.5 * scale())
    knocker.going = False
    knocker.join()
    assert manager.pid == pid and manager.is_running() and knocker.refused == []
    assert manager.api().ok("GET", "/version")


def test_second_signal_leaves_at_once(make_manager, tmp_path, seed, figure):
    """While the first one waits for a disk that hangs; what was acknowledged is there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    manager = make_manager(database=disk / "farm.sqlite", trouble_at=disk).start()
    load = Load(manager, seed.random(), workers=3, artists=1).start()
    try:
        load.wait_acks(10, each=True, timeout=30 * scale())
        manager.trouble.begin("hang")
        manager.proc.send_signal(signal.SIGTERM)
        manager.wait_log("stopping: terminated")
        time.sleep(1)
        assert manager.is_running()
        began = time.monotonic()
        manager.proc.send_signal(signal.SIGTERM)
        code = manager.wait_exit()
        seconds = time.monotonic() - began
        assert code == 1
        assert manager.count_log("leaving at once, nothing acknowledged is lost") == 1
        manager.trouble.end()
        load.close_gate()
        manager.start()
        check(load, everything=True)
        load.open_gate()
        load.wait_acks(1, each=True, timeout=30 * scale())
    finally:
        manager.trouble.end()
        load.stop()
    assert seconds < 1 * scale()
    figure(f"gone {seconds:.3f} s after the second signal")


def test_new_requests_while_stopping(make_manager):
    """In the half second of service after a signal: not ready, but still answering."""
    manager = make_manager(hold="10m").start()
    worker = manager.farm().worker(types=["none"])
    link = Link(manager.port, (worker.id, worker.secret))
    assert link.call("GET", "/version").status == 200
    manager.proc.send_signal(signal.SIGTERM)
    manager.wait_log("stopping: terminated")
    wait_until(lambda: manager.api().get("//health/ready").status_code == 503, "not ready any more")
    assert link.call("POST", "/worker/task").status == 204, "a new question is not parked any more"
    assert link.call("POST", "/worker/state-changed", {"status": "asleep"}).status == 204
    assert manager.wait_exit() == 0
    with pytest.raises((NoReply, OSError)):
        link.call("GET", "/version")
    link.close()
    manager.start()
    assert manager.api().ok("GET", f"/worker-mgt/workers/{worker.id}")["status"] == "asleep"


def test_exit_codes(make_manager):
    """0 for an orderly stop (asserted everywhere), 1 for trouble, 2 for a wrong command line, each with a line that says why."""
    manager = make_manager().start()
    second = make_manager(reference={"listen": f"127.0.0.1:{manager.port}"})
    done = second.run()
    assert done.returncode == 1 and "Address already in use" in done.stdout.splitlines()[-1], done.stdout
    same_store = make_manager(database=manager.dir / "farm-c.sqlite")
    done = same_store.run()
    assert done.returncode == 1 and "is in use by process" in done.stdout.splitlines()[-1], done.stdout
    assert manager.run("--no-such-option").returncode == 2
    broken = make_manager()
    broken.database.write_bytes(b"SQLite format 3\0" + os.urandom(8000))
    done = broken.run()
    assert done.returncode == 1 and "farm-c.sqlite" in done.stdout.splitlines()[-1], done.stdout

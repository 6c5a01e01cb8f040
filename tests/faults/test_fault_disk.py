# SPDX-License-Identifier: Apache-2.0
"""The disk of the database is full, or cannot be written, while the manager runs."""
import resource
import threading
import time

import pytest
from faultlib.check import check
from faultlib.link import Link, NoReply
from faultlib.load import Load
from harness.check import wait_until
from harness.manager import scale

TIMEOUT = 2  # limits.request_timeout, in seconds
REFUSES = "executor: the store refuses to write"
WRITES = "executor: the store writes again"
# The log is copied back often, so that trouble meets that, too.
UPKEEP = {"plugins": {"persist": {"settings": {"checkpoint_pages": 100, "quiet_pages": 200}}}}


class FullDisk:
    """A tmpfs without a free byte."""

    def __init__(self, disk):
        self.disk = disk
        self.database = disk.path / "farm.sqlite"
        self.says = "database or disk is full"

    def manager(self, make_manager, **kw):
        return make_manager(database=self.database, request_timeout=f"{TIMEOUT}s", yaml=UPKEEP, **kw)

    def begin(self, _):
        self.disk.fill()

    def end(self, _):
        self.disk.free()


class BrokenDisk:
    """A directory where writing fails."""

    def __init__(self, directory, what, says):
        self.directory, self.what, self.says = directory, what, says
        directory.mkdir()
        self.database = directory / "farm.sqlite"

    def manager(self, make_manager, **kw):
        return make_manager(database=self.database, trouble_at=self.directory, request_timeout=f"{TIMEOUT}s", yaml=UPKEEP, **kw)

    def begin(self, manager):
        manager.trouble.begin(self.what)

    def end(self, manager):
        manager.trouble.end()


class FileSizeLimit(BrokenDisk):
    """RLIMIT_FSIZE, whose signal ends a process that does not expect it."""

    def __init__(self, directory):
        super().__init__(directory, None, "File too large")

    def begin(self, manager):
        resource.prlimit(manager.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def end(self, manager):
        resource.prlimit(manager.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


TROUBLES = ["full", "size limit", "read-only", "broken", "quota", "cannot sync"]


@pytest.fixture(params=TROUBLES)
def disk(request, tmp_path):
    if request.param == "full":
        return FullDisk(request.getfixturevalue("tmpfs")("12m"))
    if request.param == "size limit":
        return FileSizeLimit(tmp_path / "disk")
    what, says = {"read-only": ("EROFS", "Read-only file system"), "broken": ("EIO", "Input/output error"),
                  "quota": ("EDQUOT", "Disk quota exceeded"), "cannot sync": ("EIO sync", "Input/output error")}[request.param]
    return BrokenDisk(tmp_path / "disk", what, says)


def wait_stuck(manager):
    """Waits until nothing is stored any more: on a full disk a small commit may still fit where a larger one failed."""
    api, last = manager.api(), [None, 0.0]

    def is_stuck():
        commits = api.metric("flamenco_commits_total")
        if commits != last[0]:
            last[:] = commits, time.monotonic()
        return time.monotonic() - last[1] > 0.6
    wait_until(is_stuck, "nothing can be written any more")


def ask_in_background(results, name, port, auth, method, path, body):
    """Notes when and how a single request ended."""
    def run():
        link = Link(port, auth)
        began = time.monotonic()
        try:
            results[name] = (link.call(method, path, body), time.monotonic() - began)
        except NoReply as reason:
            results[name] = (reason, time.monotonic() - began)
        link.close()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def assert_trouble_is_handled(manager, job_id, worker):
    """While nothing can be written: each request of a Worker waits, then its connection ends; people get a 503."""
    auth, results = (worker.id, worker.secret), {}
    register = {"name": "late", "platform": "linux", "secret": "x", "supported_task_types": ["misc"]}
    sign_on = {"name": worker.name, "supported_task_types": ["misc"], "software_version": "3"}
    threads = [ask_in_background(results, name, manager.port, auth, "POST", path, body) for name, path, body in (
        ("register", "/worker/register-worker", register), ("sign-on", "/worker/sign-on", sign_on),
        ("state", "/worker/state-changed", {"status": "asleep"}), ("ask", "/worker/task", None),
        ("sign-off", "/worker/sign-off", None),
        ("priority", f"/jobs/{job_id}/setpriority", {"priority": 77}),
        ("status", f"/jobs/{job_id}/setstatus", {"status": "cancel-requested", "reason": "test"}))]
    api = manager.api()
    assert api.ok("GET", f"/jobs/{job_id}")["priority"] == 50
    assert len(api.ok("GET", f"/jobs/{job_id}/tasks")["tasks"]) == 3
    api.ok("GET", "/version")
    for thread in threads:
        thread.join(30 * scale())
    for name, (outcome, seconds) in sorted(results.items()):
        assert seconds >= TIMEOUT - 0.5, f"{name} was given up after {seconds:.1f} s: {outcome!r}"
        assert seconds <= (TIMEOUT + 3) * scale(), f"{name} took {seconds:.1f} s"
        if name in ("priority", "status"):
            assert outcome.status == 503 and outcome.headers["retry-after"] == "1", outcome
            assert outcome.json()["code"] == 503
        else:
            assert isinstance(outcome, NoReply), f"{name}: {outcome!r}"
    ready = api.get("//health/ready")
    assert ready.status_code == 503 and not ready.json()["checks"]["persist"]["ok"], ready.text
    assert api.get("//health/live").status_code == 200
    # What was refused was not done behind the client's back.
    job = api.ok("GET", f"/jobs/{job_id}")
    assert (job["priority"], job["status"]) == (50, "queued")


def test_trouble_is_waited_out(disk, make_manager, seed, figure):
    manager = disk.manager(make_manager).start()
    farm = manager.farm()
    job = farm.submit(3, lane="untouched")
    worker = farm.worker(types=["misc"], status="asleep")
    load = Load(manager, seed.random(), workers=3, artists=1, may_refuse=True, big_jobs=False,
                check_logs=not isinstance(disk, FileSizeLimit))
    # These were made before the load, which takes inventory of everything.
    load.maybe_jobs[job["name"]] = 3
    load.maybe_workers |= {worker.name, "late"}
    load.start()
    try:
        load.wait_acks(20, each=True, timeout=30 * scale())
        failed = manager.api().metric("flamenco_failed_commits_total")
        position = manager.log_position()
        disk.begin(manager)
        manager.wait_log(f"{REFUSES}: .*({disk.says})", after=position)
        wait_stuck(manager)
        assert_trouble_is_handled(manager, job["id"], worker)
        assert manager.count_log(REFUSES, position) == manager.count_log(WRITES, position) + 1, "not for every try"
        logged = manager.log_position() - position
        disk.end(manager)
        began = time.monotonic()
        manager.wait_log(WRITES, after=position)
        assert manager.api().metric("flamenco_failed_commits_total") > failed
        load.wait_acks(1, each=True, timeout=30 * scale())
        back = time.monotonic() - began
        wait_until(lambda: manager.api().get("//health/ready").status_code == 200, "ready again")
        load.close_gate()
        check(load, everything=True)
        manager.kill()
        manager.start()
        check(load, everything=True)
        load.open_gate()
        load.wait_acks(1, each=True, timeout=30 * scale())
    finally:
        load.stop()
    figure(f"{logged} log lines in {TIMEOUT + 1} s of trouble, all clients served {back:.2f} s after its end; {load.checked} states "
           f"compared; {load.summary()}")


def test_stop_and_start_on_a_full_disk(tmpfs, make_manager, seed, figure):
    disk = FullDisk(tmpfs("12m"))
    manager = disk.manager(make_manager).start()
    load = Load(manager, seed.random(), workers=3, artists=1, may_refuse=True, big_jobs=False).start()
    try:
        load.wait_acks(20, each=True, timeout=30 * scale())
        disk.begin(manager)
        manager.wait_log(REFUSES)
        began = time.monotonic()
        manager.stop()  # asserts exit code 0
        stopped = time.monotonic() - began
        load.close_gate()
        manager.spawn()
        code = manager.wait_exit()
        last = manager.log().splitlines()[-1]
        assert code == 1 and "cannot start" in last and "full" in last, last
        disk.end(manager)
        manager.start()
        check(load, everything=True)
        load.open_gate()
        load.wait_acks(1, each=True, timeout=30 * scale())
    finally:
        load.stop()
    figure(f"stopped in {stopped:.1f} s while nothing could be written; start: {last.split('Z ', 1)[-1]}; {load.summary()}")


def test_kill_while_the_disk_is_full(tmpfs, make_manager, seed):
    disk = FullDisk(tmpfs("12m"))
    manager = disk.manager(make_manager).start()
    load = Load(manager, seed.random(), workers=3, artists=1, may_refuse=True, big_jobs=False).start()
    try:
        load.wait_acks(20, each=True, timeout=30 * scale())
        disk.begin(manager)
        manager.wait_log(REFUSES)
        manager.kill()
        load.close_gate()
        disk.end(manager)
        manager.start()
        check(load, everything=True)
        load.open_gate()
        load.wait_acks(1, each=True, timeout=30 * scale())
    finally:
        load.stop()


def test_file_system_turns_read_only(ext4, make_manager, seed, figure):
    """The kernel's own way, once: it cannot be made writable again without a restart."""
    manager = make_manager(database=ext4.path / "farm.sqlite", request_timeout=f"{TIMEOUT}s", yaml=UPKEEP).start()
    load = Load(manager, seed.random(), workers=3, artists=1, may_refuse=True, big_jobs=False).start()
    try:
        load.wait_acks(20, each=True, timeout=30 * scale())
        ext4.fail()
        line = manager.wait_log(REFUSES)
        time.sleep(TIMEOUT)
        manager.api().ok("GET", "/jobs")
        assert manager.api().get("//health/ready").status_code == 503
        assert manager.is_running()
        manager.kill()
        load.close_gate()
        ext4.repair()
        manager.start()
        check(load, everything=True)
        load.open_gate()
        load.wait_acks(1, each=True, timeout=30 * scale())
    finally:
        load.stop()
        manager.stop()
    figure(f"{line.split('Z ', 1)[-1]}; {load.checked} states compared; {load.summary()}")

# SPDX-License-Identifier: Apache-2.0
"""Task logs cannot be written: the farm goes on, failures are counted, and said once a minute."""
import time

import pytest
from faultlib.check import check
from faultlib.link import Link
from faultlib.load import Load
from harness.check import wait_until
from harness.manager import scale

COMPLAINT = "publisher: task logs cannot be written"


def failed(manager):
    return manager.api().metric("flamenco_failed_log_appends_total")


class Tasks:
    """A Worker with one task after the other, in the same job."""

    def __init__(self, manager, n=20):
        self.manager, self.farm = manager, manager.farm()
        self.job = self.farm.submit(n, lane="logs")
        self.worker = self.farm.worker(types=["logs"])
        self.link = Link(manager.port, (self.worker.id, self.worker.secret), timeout=60)

    def take(self):
        return self.worker.get_task()["uuid"]

    def log(self, task, text, **more):
        """Sends an update with a log text; gives how long the answer took."""
        began = time.monotonic()
        answer = self.link.call("POST", f"/worker/task/{task}", {"log": text, **more})
        assert answer.status == 204, answer
        return time.monotonic() - began

    def file(self, task):
        return self.farm.log_file(self.job["id"], task)


REASONS = {"full": "No space left on device", "EIO": "Input/output error", "EROFS": "Read-only file system",
           "EDQUOT": "Disk quota exceeded"}


@pytest.fixture(params=REASONS)
def what(request):
    """The kind of trouble, and for "full" its disk: made before the manager, so that it goes after it."""
    return request.param, request.getfixturevalue("tmpfs")("2m", "logs") if request.param == "full" else None


def test_storage_that_cannot_be_written(what, make_manager, tmp_path, figure):
    kind, disk = what
    if disk:
        manager = make_manager(storage=disk.path / "storage").start()
        begin, end = disk.fill, disk.free
    else:
        manager = make_manager(storage=tmp_path / "logs", trouble_at=tmp_path / "logs").start()
        begin, end = lambda: manager.trouble.begin(kind), manager.trouble.end
    reason = REASONS[kind]
    tasks = Tasks(manager)
    first = tasks.take()
    tasks.log(first, "before\n")
    begin()
    position = manager.log_position()
    slowest = max(tasks.log(first, f"line {i} " + "x" * 5000 + "\n", activity=f"step {i}") for i in range(40))
    tasks.log(first, "the end\n", taskStatus="completed", activity="done")
    second = tasks.take()  # the log file of a new task cannot be made
    tasks.log(second, "lost\n")
    assert failed(manager) >= 40
    line = manager.wait_log(f"{COMPLAINT}.*{reason}", after=position)
    assert manager.count_log(COMPLAINT, position) == 1, "once a minute"
    row = tasks.farm.task(first)
    assert (row["status"], row["activity"]) == ("completed", "done")
    end()
    tasks.log(second, "after\n")
    assert tasks.file(second).read_text().endswith("after\n")
    broken = [line for line in tasks.file(first).read_text().splitlines()
              if not line.startswith("20") and line not in ("before", "the end") and not (line.startswith("line ") and len(line) > 5000)]
    assert broken == [], "no pieces of lines are left behind"
    assert "before" in tasks.file(first).read_text().splitlines()
    assert manager.api().get("//health/ready").status_code == 200
    figure(f"{failed(manager):.0f} texts lost, slowest update {slowest * 1000:.0f} ms, one line: {line.split('Z ', 1)[-1]}")


def test_farm_works_on_without_logs(tmpfs, make_manager, seed, figure):
    disk = tmpfs("2m", "logs")
    manager = make_manager(storage=disk.path / "storage").start()
    load = Load(manager, seed.random(), workers=4, artists=1, check_logs=False).start()
    try:
        load.wait_acks(10, each=True, timeout=30 * scale())
        disk.fill()
        load.wait_acks(40, each=True, timeout=60 * scale())
        load.close_gate()
        check(load, everything=True)
    finally:
        load.stop()
    assert failed(manager) > 0 and manager.count_log(COMPLAINT) == 1
    figure(f"{failed(manager):.0f} texts lost; {load.checked} states compared; {load.summary()}")


def test_storage_that_hangs(make_manager, tmp_path, figure):
    """Answers and events wait for it once, for a second; texts that found room in the queue are kept in order."""
    manager = make_manager(storage=tmp_path / "logs", trouble_at=tmp_path / "logs").start()
    tasks = Tasks(manager)
    task = tasks.take()
    tasks.log(task, "before\n")
    manager.trouble.begin("hang")
    position = manager.log_position()
    times = [tasks.log(task, f"line {i}\n") for i in range(30)]
    manager.wait_log(f"{COMPLAINT}.*more than a second", after=position)
    assert manager.count_log(COMPLAINT, position) == 1
    began = time.monotonic()
    assert manager.api().ok("GET", f"/jobs/{tasks.job['id']}")
    reading = time.monotonic() - began
    assert manager.is_running()
    manager.trouble.end()
    wait_until(lambda: "line 29" in tasks.file(task).read_text(), "the texts arrive")
    lines = [line for line in tasks.file(task).read_text().splitlines() if line.startswith("line")]
    assert lines == [f"line {i}" for i in range(30)]
    assert tasks.log(task, "after\n") < 1 * scale()
    assert max(times) < 2.5 * scale() and sum(times) < 5 * scale()
    figure(f"{len(times)} updates took {sum(times):.2f} s while the disk hung, the slowest {max(times):.2f} s; reading a job {reading:.2f} s")

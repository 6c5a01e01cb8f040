# SPDX-License-Identifier: Apache-2.0
"""The database of the reference is imported at the first start (decisions "The database file", configuration-and-clients 6)."""
import crypt
import hashlib
import os
import re
import signal
import sqlite3
import uuid

import pytest

from harness.check import wait_until
from harness.farm import Farm
from harness.reference import NOW, ReferenceDb, blob
from harness.store import sqlite_only

pytestmark = sqlite_only # persist-postgres is filled by copy-data: tests/postgres/test_copy.py
WHEN = "2026-03-27T14:05:09.12Z"


@pytest.fixture
def manager(make_manager):
    return make_manager(manual_clock=True)


def reference_path(manager):
    return manager.dir / "farm.sqlite"


def start(manager):
    return Farm(manager.start())


def fingerprint(directory):
    """Every file that is not ours, with its content and times."""
    return {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in directory.iterdir() if path.name.startswith("farm.sqlite")}


def remains(manager):
    return sorted(p.name for p in manager.dir.iterdir() if p.name.startswith("farm-c.sqlite") and p.suffix != ".lock")


def refused(manager, pattern):
    """It must not start: exit code 1, one clear line, and nothing left behind."""
    before = fingerprint(manager.dir)
    done = manager.run()
    assert done.returncode == 1, done.stdout
    assert re.search(pattern, done.stdout), done.stdout
    assert remains(manager) == []
    assert fingerprint(manager.dir) == before


def jobs_of(farm):
    return {job["name"]: job for job in farm.api.ok("GET", "/jobs")["jobs"]}


# ---- What is kept --------------------------------------------------------------------------------------------------------


def test_whole_farm_of_the_newest_version(manager):
    db = ReferenceDb(reference_path(manager))
    tag = db.tag("gpu", description="with a GPU", uuid="11111111-2222-4333-8444-555555555555")
    db.tag("unused")
    secret = crypt.crypt("s3cret", "$2a$04$abcdefghijklmnopqrstuu")
    w1 = db.worker(name="anna", uuid="aaaaaaaa-0000-4000-8000-000000000001", secret=secret, status="awake", can_restart=1,
                   updated_at=NOW, software="3.8.1", address="192.0.2.7", supported_task_types="blender,misc")
    w2 = db.worker(name="bert", status="asleep", status_requested="awake", lazy_status_request=1, platform="windows")
    db.worker(name="gone", deleted_at=NOW)
    db.insert("worker_tag_membership", worker_tag_id=tag, worker_id=w1)
    db.insert("sleep_schedules", created_at=NOW, worker_id=w1, is_active=1, days_of_week="mo tu", start_time="09:00",
              end_time="18:30", next_check=NOW)
    job = db.job(name="shot <1>", uuid="0b7c0000-1111-4222-8333-444444444444", job_type="simple-blender-render",
                 priority=70, status="active", activity="going on", settings=blob({"frames": "1-3", "n": [1, 2.5, None]}),
                 metadata=blob({"user.name": "Änne <x>", "project": "Sprite"}), storage_shaman_checkout_id="shot/1",
                 worker_tag_id=tag, steps_total=4, steps_completed=2)
    first = db.task(job, status="completed", worker_id=w1, steps_total=2, steps_completed=2,
                    uuid="ffffffff-0000-4000-8000-000000000001")
    second = db.task(job, needs=[first], status="soft-failed", worker_id=w2, priority=60)
    third = db.task(job, needs=[first, second], type="ffmpeg", status="queued", commands=b"null", activity="waits")
    db.insert("task_failures", created_at=NOW, task_id=second, worker_id=w2)
    db.insert("job_blocks", created_at=NOW, job_id=job, worker_id=w2, task_type="blender")
    other = db.job(name="done", status="completed", created_at="2026-03-27 14:05:09 +0000 UTC",
                   updated_at="2026-03-27 14:05:09.5 +0100 CET m=+12.3")
    db.task(other, status="completed", worker_id=w1)
    db.insert("last_rendereds", id=1, created_at=NOW, job_id=other)
    db.close()
    before = fingerprint(manager.dir)
    farm = start(manager)
    assert "imported 2 jobs with 4 tasks, 3 workers and 2 tags" in manager.log()
    assert "WRN" not in "\n".join(line for line in manager.log().splitlines() if "import" in line)

    got = farm.job("0b7c0000-1111-4222-8333-444444444444")
    assert got["name"] == "shot <1>" and got["type"] == "simple-blender-render" and got["priority"] == 70
    assert got["status"] == "active" and got["activity"] == "going on" and got["created"] == got["updated"] == WHEN
    assert got["settings"] == {"frames": "1-3", "n": [1, 2.5, None]}
    assert got["metadata"] == {"user.name": "Änne <x>", "project": "Sprite"}
    assert got["storage"] == {"shaman_checkout_id": "shot/1"}
    assert got["worker_tag"] == "11111111-2222-4333-8444-555555555555"
    assert (got["steps_total"], got["steps_completed"]) == (4, 2)
    assert farm.letters(got["id"]) == "CSQ"
    tasks = farm.tasks(got["id"])
    assert [t["name"] for t in tasks] == ["task 1", "task 2", "task 3"]
    assert tasks[0]["id"] == "ffffffff-0000-4000-8000-000000000001"
    detail = [farm.task(t["id"]) for t in tasks]
    assert detail[0]["commands"] == [{"name": "echo", "parameters": {"message": "{blender}"}, "total_step_count": 1}]
    assert not detail[2]["commands"] and detail[2]["activity"] == "waits" and detail[2]["task_type"] == "ffmpeg"
    assert detail[0]["worker"]["name"] == "anna" and detail[1]["priority"] == 60
    assert [w["name"] for w in detail[1]["failed_by_workers"]] == ["bert"]
    assert [(b["worker_name"], b["task_type"]) for b in farm.api.ok("GET", f"/jobs/{got['id']}/blocklist")] == [
        ("bert", "blender")]
    done = jobs_of(farm)["done"]
    assert done["created"] == "2026-03-27T14:05:09Z" and done["updated"] == "2026-03-27T13:05:09.5Z"

    workers = {w["name"]: w for w in farm.api.ok("GET", "/worker-mgt/workers")["workers"]}
    assert set(workers) == {"anna", "bert"}
    assert workers["anna"]["status"] == "awake" and workers["anna"]["version"] == "3.8.1"
    assert workers["bert"]["status_change"] == {"status": "awake", "is_lazy": True}
    anna = farm.api.ok("GET", f"/worker-mgt/workers/{workers['anna']['id']}")
    assert anna["ip_address"] == "192.0.2.7" and anna["supported_task_types"] == ["blender", "misc"]
    assert [t["name"] for t in anna["tags"]] == ["gpu"] and anna["can_restart"] is True
    assert farm.api.ok("GET", f"/worker-mgt/workers/{workers['anna']['id']}/sleep-schedule") == {
        "is_active": True, "days_of_week": "mo tu", "start_time": "09:00", "end_time": "18:30"}
    assert {t["name"]: t.get("description", "") for t in farm.api.ok("GET", "/worker-mgt/tags")["tags"]} == {
        "gpu": "with a GPU", "unused": ""}

    # The worker proves itself by the hash that came along, and goes on: task 2 is soft-failed by another one.
    worker = farm.api.clone(("aaaaaaaa-0000-4000-8000-000000000001", "s3cret"))
    given = worker.ok("POST", "/worker/task")
    assert given["uuid"] == detail[1]["id"]
    assert given["commands"][0]["parameters"] == {"message": "blender"}
    assert worker.clone(("aaaaaaaa-0000-4000-8000-000000000001", "wrong")).post("/worker/task").status_code in (401, 403)
    assert fingerprint(manager.dir) == before

    # The second start reads nothing of it.
    position = manager.log_position()
    manager.restart()
    assert "import" not in "\n".join(manager.log().splitlines()[position:])
    assert set(jobs_of(farm)) == {"shot <1>", "done"}


@pytest.mark.parametrize("version", range(9))
def test_each_schema_version(manager, version):
    db = ReferenceDb(reference_path(manager), version)
    worker = db.worker(name="w", supported_task_types=None if version == 0 else "blender")
    job = db.job(name="old", settings=blob({"a": 1}))
    tasks = [db.task(job, status=s) for s in ("completed", "queued", "queued")]
    db.task(job, needs=tasks, worker_id=worker)
    db.close()
    farm = start(manager)
    if version == 0:
        manager.wait_log("a database of Flamenco, of release 3.3 or older", timeout=1)
    else:
        manager.wait_log(f"a database of Flamenco, version {version}$", timeout=1)
    got = jobs_of(farm)["old"]
    assert got["settings"] == {"a": 1}
    assert got["created"] == (WHEN if version >= 6 else "2023-11-06T10:11:12.123456Z")
    assert farm.letters(got["id"]) == "CQQQ"
    detail = [farm.task(t["id"]) for t in farm.tasks(got["id"])]
    assert [d["name"] for d in detail] == ["task 1", "task 2", "task 3", "task 4"]
    # Every command has its count, and the steps are 0 where the release had none.
    assert detail[1]["commands"][0]["total_step_count"] == (1 if version >= 8 else 0)
    assert got["steps_total"] == (4 if version >= 8 else 0)
    # Only tasks 2 and 3 may run: the last one waits for them.
    lane = farm.worker()
    for expected in ("task 2", "task 3", "task 4"):
        task = lane.get_task()
        assert task["name"] == expected
        lane.complete(task["uuid"])


def test_order_of_tasks_follows_the_index(manager):
    db = ReferenceDb(reference_path(manager))
    job = db.job(name="mixed")
    ids = [db.task(job, name=f"t{index}", index_in_job=index) for index in (30, 10, 20)]
    db.insert("task_dependencies", task_id=ids[1], dependency_id=ids[0])
    db.close()
    farm = start(manager)
    assert [t["name"] for t in farm.tasks(jobs_of(farm)["mixed"]["id"])] == ["t10", "t20", "t30"]
    worker = farm.worker()
    for expected in ("t20", "t30", "t10"):
        task = worker.get_task()
        assert task["name"] == expected
        worker.complete(task["uuid"])


def test_log_of_an_unclean_stop_is_read_and_left(manager, tmp_path):
    db = ReferenceDb(tmp_path / "made.sqlite")
    db.job(name="in the log")
    db.leave_log(reference_path(manager))
    before = fingerprint(manager.dir)
    assert len(before) == 2
    farm = start(manager)
    assert "in the log" in jobs_of(farm)
    manager.stop()
    assert fingerprint(manager.dir) == before
    assert remains(manager) == ["farm-c.sqlite"]


def test_job_marked_for_deletion_is_deleted(manager):
    db = ReferenceDb(reference_path(manager))
    db.task(db.job(name="marked", delete_requested_at=NOW))
    db.job(name="other")
    db.close()
    farm = start(manager)
    wait_until(lambda: set(jobs_of(farm)) == {"other"}, "the marked job is deleted")


def test_changes_that_a_crash_left_half_done_are_finished(manager):
    db = ReferenceDb(reference_path(manager))
    for status in ("cancel-requested", "requeueing", "pause-requested"):
        job = db.job(name=status, status=status)
        db.task(job, status="queued")
        db.task(job, status="failed")
    db.close()
    farm = start(manager)
    jobs = jobs_of(farm)
    assert {name: job["status"] for name, job in jobs.items()} == {
        "cancel-requested": "canceled", "requeueing": "queued", "pause-requested": "paused"}
    assert farm.letters(jobs["requeueing"]["id"]) == "QQ"


# ---- What is mended ------------------------------------------------------------------------------------------------------


def test_odd_rows_are_mended_and_told(manager):
    db = ReferenceDb(reference_path(manager), version=8, loose=True)
    same = str(uuid.uuid4())
    tag = db.tag("t")
    db.tag("t", description="the same name")
    db.tag(None, description="no name")
    worker = db.worker(name="odd", status="dancing", status_requested="flying")
    db.worker(name=b"bad \xff name".decode("latin1").encode("latin1"), uuid=None, secret=None, address=None, platform=None,
              software=None, status=None, last_seen_at=None, status_requested=None, lazy_status_request="false",
              supported_task_types=None, can_restart="false", created_at=None)
    db.insert("worker_tag_membership", worker_tag_id=tag, worker_id=4711)
    db.insert("worker_tag_membership", worker_tag_id=4711, worker_id=worker)
    db.insert("worker_tag_membership", worker_tag_id=tag, worker_id=worker)
    db.insert("sleep_schedules", created_at=NOW, worker_id=worker, is_active=1, days_of_week="xx", start_time="9",
              end_time="25:99", next_check="")
    db.insert("sleep_schedules", created_at=NOW, worker_id=4711, is_active=1)
    nulls = db.job(name=None, uuid=same, job_type=None, priority=None, status=None, activity=None, settings=None,
                   metadata=None, updated_at=None, storage_shaman_checkout_id=None)
    db.task(nulls, name=None, type=None, priority=None, status=None, activity=None, commands=None, updated_at=None,
            steps_completed=None, steps_total=None, uuid=same)
    broken = db.job(name="broken", uuid=same.upper(), status="archived", settings=b'{"a":', metadata=b'{"n":5,"s":"x"}',
                    created_at="yesterday", worker_tag_id=4711, priority=99999999999)
    ids = [db.task(broken, name=f"b{i}", uuid=same, commands=commands, status=status, steps_total=2, steps_completed=9,
                   worker_id=4711) for i, (commands, status) in enumerate([(b"{", "queued"), (b"[1]", "completed"),
                                                                             (b"[]", "waltzing"), (b"\xff", "active")])]
    other = db.task(nulls, name="other", status="queued", type="misc")
    for task_id, needed in ((ids[2], other), (ids[2], ids[2]), (ids[2], 4711), (4711, ids[2]), (ids[2], ids[1])):
        db.insert("task_dependencies", task_id=task_id, dependency_id=needed)
    for task_id, worker_id in ((other, 4711), (4711, worker), (other, worker)):
        db.insert("task_failures", created_at=NOW, task_id=task_id, worker_id=worker_id)
    for job_id, worker_id in ((nulls, 4711), (4711, worker), (nulls, worker), (nulls, worker)):
        db.insert("job_blocks", created_at=NOW, job_id=job_id, worker_id=worker_id, task_type="misc")
    db.task(4711)
    db.task(None)
    db.insert("last_rendereds", id=1, created_at=NOW, job_id=4711)
    db.close()
    before = fingerprint(manager.dir)
    farm = start(manager)
    assert fingerprint(manager.dir) == before
    jobs = jobs_of(farm)
    assert set(jobs) == {"", "broken"}
    assert jobs[""]["id"] == same and jobs[""]["status"] == "paused" and jobs[""]["settings"] == {}
    got = jobs["broken"]
    assert got["id"] != same and got["status"] == "paused" and got["priority"] == 2147483647 and "worker_tag" not in got
    assert got["settings"] == {} and got["metadata"] == {"n": "5", "s": "x"}
    assert farm.letters(got["id"]) == "FCXF"
    assert farm.letters(same) == "XQ"
    ids = [t["id"] for t in farm.tasks(got["id"]) + farm.tasks(same)]
    assert len(set(ids)) == 6 and ids[4] not in ids[:4]
    assert not farm.task(ids[0])["commands"]
    assert [w["name"] for w in farm.task(ids[5])["failed_by_workers"]] == ["odd"]
    assert len(farm.api.ok("GET", f"/jobs/{same}/blocklist")) == 1
    workers = {w["name"]: w for w in farm.api.ok("GET", "/worker-mgt/workers")["workers"]}
    assert set(workers) == {"odd", "bad \ufffd name"}
    assert workers["odd"]["status"] == "offline" and "status_change" not in workers["odd"]
    schedule = farm.api.ok("GET", f"/worker-mgt/workers/{workers['odd']['id']}/sleep-schedule")
    assert schedule["is_active"] is False
    tags = farm.api.ok("GET", "/worker-mgt/tags")["tags"]
    assert [t["name"] for t in tags] == ["t", "t (2)", "tag 3"]
    told = [line for line in manager.log().splitlines() if "WRN" in line and "import:" in line]
    for words in ("rows had no UUID", "texts were not UTF-8", "numbers were out of range", "jobs had an unknown status",
                  "settings or metadata", "worker tag that does not exist", "tasks had an unknown status",
                  "2 tasks had a job that does not exist", "4 tasks had a worker", "4 dependencies",
                  "workers had an unknown status", "2 worker tags had no name", "sleep schedules could not be read",
                  "times could not be read", "commands that could not be read", "7 entries of tags, schedules"):
        assert any(words in line for line in told), words + "\n" + "\n".join(told)
    # What came of it is a database that stands its own check.
    farm.manager.stop()
    assert sqlite3.connect(manager.database).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# ---- What is refused -----------------------------------------------------------------------------------------------------


def test_newer_version_is_refused(manager):
    ReferenceDb(reference_path(manager), version=8, newest=9).close()
    refused(manager, r"farm\.sqlite was written by a newer release of Flamenco \(database version 9, known up to 8\)")


def test_database_of_another_program_is_refused(manager):
    db = sqlite3.connect(reference_path(manager))
    db.execute("CREATE TABLE jobs(id INTEGER PRIMARY KEY, title TEXT)")
    db.commit()
    db.close()
    refused(manager, r"farm\.sqlite is no database of Flamenco: it lacks jobs\.uuid")


def test_file_that_is_no_database_is_refused(manager):
    reference_path(manager).write_text("These are my notes.\n" * 100)
    refused(manager, r"farm\.sqlite cannot be imported: file is not a database")


def test_damaged_database_is_refused(manager):
    db = ReferenceDb(reference_path(manager))
    for number in range(20):
        job = db.job(name=f"job {number}", settings=blob({"x": "y" * 3000}))
        for _ in range(20):
            db.task(job)
    db.close()
    data = bytearray(reference_path(manager).read_bytes())
    for at in range(8 * 4096, len(data), 5 * 4096):
        data[at:at + 512] = os.urandom(512)
    reference_path(manager).write_bytes(data)
    refused(manager, r"farm\.sqlite (is damaged and )?cannot be imported")


def test_truncated_database_is_refused(manager):
    db = ReferenceDb(reference_path(manager))
    for number in range(50):
        db.job(name=f"job {number}", settings=blob({"x": "y" * 3000}))
    db.close()
    os.truncate(reference_path(manager), reference_path(manager).stat().st_size // 2)
    refused(manager, r"farm\.sqlite (is damaged and )?cannot be imported")


def test_database_that_another_manager_has_open_is_refused(manager):
    db = ReferenceDb(reference_path(manager))
    db.job(name="first")
    db.db.commit()
    done = manager.run()
    assert done.returncode == 1
    assert re.search(rf"farm\.sqlite cannot be imported while process {os.getpid()} has it open", done.stdout), done.stdout
    assert remains(manager) == []
    db.close()
    assert "first" in jobs_of(start(manager))


@pytest.mark.parametrize("content", [None, b""])
def test_nothing_to_import(manager, content):
    """An empty file, or a database without tables, is what the reference would begin with, too."""
    if content is None:
        db = sqlite3.connect(reference_path(manager))
        db.execute("PRAGMA user_version=1")
        db.commit()
        db.close()
    else:
        reference_path(manager).write_bytes(content)
    assert jobs_of(start(manager)) == {}


def test_without_room_nothing_is_left(manager):
    """The import's own file reaches the limit of sizes."""
    db = ReferenceDb(reference_path(manager))
    for number in range(200):
        db.job(name=f"job {number}", settings=blob({"x": "y" * 20000}))
    db.close()
    command = ["prlimit", f"--fsize={1 << 20}", *manager.command()]
    done = manager.run(command=command)
    assert done.returncode == 1, done.stdout
    assert remains(manager) == []
    assert len(jobs_of(start(manager))) == 200


# ---- What interrupts it --------------------------------------------------------------------------------------------------


def make_large(path, jobs, tasks):
    db = ReferenceDb(path)
    for number in range(jobs):
        job = db.job(name=f"job {number}", status="completed" if number % 2 else "queued")
        first = db.task(job, status="completed")
        for _ in range(tasks - 1):
            db.task(job, needs=[first], status="completed" if number % 2 else "queued")
    db.close()


def test_killed_import_is_done_again(manager):
    make_large(reference_path(manager), jobs=20, tasks=500)
    before = fingerprint(manager.dir)
    kills = 0
    # Each time it gets a bit further; a half-done import is never taken for a database.
    for size in (1, 200_000, 600_000, 1_200_000, 2_000_000, 3_000_000):
        manager.spawn()
        made = manager.dir / "farm-c.sqlite.import"

        def far_enough():
            total = 0
            for part in (made, manager.dir / "farm-c.sqlite.import-wal"):
                try:
                    total += part.stat().st_size
                except FileNotFoundError:  # not yet, or renamed just now
                    pass
            return total >= size or manager.database.exists()

        wait_until(far_enough, "the import goes on")
        half = not manager.database.exists()
        manager.kill()
        kills += half
        if manager.database.exists():
            break
    assert kills >= 2
    farm = start(manager)
    jobs = jobs_of(farm)
    assert len(jobs) == 20 and all(len(farm.tasks(job["id"])) == 500 for job in list(jobs.values())[:3])
    assert fingerprint(manager.dir) == before
    manager.stop()
    assert remains(manager) == ["farm-c.sqlite"]


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_import_that_is_told_to_stop_leaves_nothing(manager, sig):
    make_large(reference_path(manager), jobs=20, tasks=500)
    before = fingerprint(manager.dir)
    manager.spawn()
    made = manager.dir / "farm-c.sqlite.import"
    wait_until(lambda: made.exists() and made.stat().st_size > 100_000 or manager.database.exists(), "the import goes on")
    assert not manager.database.exists(), "the test came too late"
    manager.proc.send_signal(sig)
    assert manager.wait_exit() == 0, manager.log()
    assert remains(manager) == []
    assert "imported" not in manager.log() and "manager: ready" not in manager.log()
    assert "manager: stopped" in manager.log().splitlines()[-1]
    assert fingerprint(manager.dir) == before
    farm = start(manager)
    assert len(jobs_of(farm)) == 20
    manager.stop()
    assert remains(manager) == ["farm-c.sqlite"]


def test_big_database_needs_little_memory(manager):
    """One job of 60,000 tasks, and the memory of a manager with a small one plus a few bytes a task."""

    def peak():
        with open(f"/proc/{manager.proc.pid}/status", encoding="ascii") as lines:
            status = next(line for line in lines if line.startswith("VmHWM"))
        return int(status.split()[1]) * 1024

    make_large(reference_path(manager), jobs=1, tasks=60_000)
    assert reference_path(manager).stat().st_size > 14_000_000
    farm = start(manager)
    manager.wait_log("imported 1 jobs with 60000 tasks", timeout=1)
    if not os.environ.get("FLAMENCO_BUILD", "").count("san"):
        assert peak() < 150 << 20
    assert jobs_of(farm)["job 0"]["status"] == "queued"

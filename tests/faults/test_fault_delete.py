# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments of deletions: what was asked for is done in the end, nothing is orphaned, nothing else is touched."""
import sqlite3
import time

from harness.check import wait_until
from harness.manager import scale

from test_fault_kill import KILLS


def jobs_in(manager, table, column):
    with sqlite3.connect(f"file:{manager.database}?mode=ro", uri=True) as db:
        return {row[0] for row in db.execute(f"SELECT {column} FROM {table}")}


def orphans(manager):
    """Rows that belong to no job."""
    with sqlite3.connect(f"file:{manager.database}?mode=ro", uri=True) as db:
        return {table: n for table, sql in {
            "job_hot": "SELECT count(*) FROM job_hot WHERE id NOT IN (SELECT id FROM job) OR hidden=1",
            "task": "SELECT count(*) FROM task WHERE job NOT IN (SELECT id FROM job)",
            "task_cold": "SELECT count(*) FROM task_cold WHERE id NOT IN (SELECT id FROM task)",
            "dep": "SELECT count(*) FROM dep WHERE needs NOT IN (SELECT id FROM task) OR task NOT IN (SELECT id FROM task)",
            "failure": "SELECT count(*) FROM failure WHERE task NOT IN (SELECT id FROM task)",
            "runq": "SELECT count(*) FROM runq WHERE job NOT IN (SELECT id FROM job)",
        }.items() for n in db.execute(sql).fetchone() if n}


def test_kills_within_deletions(make_manager, seed, figure):
    manager = make_manager(hold="0s").start()
    farm = manager.farm()
    worker = farm.worker()
    kept, deleted, unknown = set(), 0, 0
    for _ in range(KILLS):
        jobs = [farm.submit(seed.choice((1, 3, 600, 6000)))["id"] for _ in range(6)]
        kept.add(farm.submit(2, lane="kept")["id"])
        task = worker.get_task()
        if task:
            worker.update(task["uuid"], log="a line\n")
        asked = set(jobs[: seed.randrange(1, len(jobs) + 1)])
        for job_id in asked:
            assert farm.api.delete(f"/jobs/{job_id}").status_code == 204
        time.sleep(seed.random() * 0.06 * scale())
        manager.kill()
        left = asked & {str_uuid(b) for b in jobs_in(manager, "job", "uuid")}
        unknown += len(left)
        manager.start()
        for job_id in asked:
            wait_until(lambda j=job_id: farm.api.get(f"/jobs/{j}").status_code == 404, "what was asked for is deleted")
        deleted += len(asked)
        kept |= set(jobs) - asked
        wait_until(lambda: not orphans(manager), f"no orphans: {orphans(manager)}")
        listed = {job["id"] for job in farm.api.ok("GET", "/jobs")["jobs"]}
        assert listed == kept
        wait_until(lambda: {d.name for d in manager.storage.glob("job-*/*")} <= kept, "no files of deleted jobs")
    for job_id in kept:
        assert farm.tasks(job_id)
    figure(f"{KILLS} kills, {deleted} jobs deleted, {unknown} of them after the restart")


def str_uuid(data):
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

# SPDX-License-Identifier: Apache-2.0
"""Fills a database with old jobs, faster than the farm could work them off.

The manager makes the schema and two template jobs itself: one whose tasks simulated workers have completed, one whose tasks
are queued. Here their rows are copied in SQL, table by table, with new keys and UUIDs. Then the database is marked as not
closed in order, and the manager is started once: it checks every counter, dependency and runnable group against the rows and
refuses a database that is not right.
"""

import os
import sqlite3
import time

from manager import running

DATABASE = "flamenco-manager-c.sqlite"
COMPLETED, QUEUED = 3, 0 # task status
FOUND_GOOD = "the database is in order"


def ascending_uuids(count):
    """UUIDs of version 7, as the manager makes them, of the last so many milliseconds."""
    at = int(time.time() * 1000) - count
    while True:
        random = bytearray(os.urandom(10))
        random[0] = random[0] & 0x0F | 0x70
        random[2] = random[2] & 0x3F | 0x80
        yield at.to_bytes(6, "big") + bytes(random)
        at += 1


def random_uuid():
    data = bytearray(os.urandom(16))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    return bytes(data)


class Copier:
    """Copies jobs inside one database; copy() as often as wanted, then close()."""

    def __init__(self, path, tasks):
        self.db = sqlite3.connect(path, isolation_level=None)
        uuids = ascending_uuids(tasks)
        self.db.create_function("task_uuid", 0, lambda: next(uuids))
        self.db.create_function("job_uuid", 0, random_uuid)
        self.db.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-200000; PRAGMA foreign_keys=OFF; BEGIN;")

    def value(self, sql, *arguments):
        return self.db.execute(sql, arguments).fetchone()[0]

    def copy_rows(self, table, where, keys, **changes):
        """Copies the rows of a table, with some columns replaced by expressions."""
        columns = [row[1] for row in self.db.execute(f"PRAGMA table_info({table})")]
        missing = set(changes) - set(columns)
        if missing:
            raise ValueError(f"{table} has no column {missing}: adapt this program to the schema")
        values = ",".join(changes.get(column, column) for column in columns)
        self.db.execute(f"INSERT INTO {table}({','.join(columns)}) SELECT {values} FROM {table} WHERE {where}", keys)

    def template(self, status):
        """The job all of whose tasks have that status."""
        rows = self.db.execute(f"SELECT id FROM job_hot WHERE n{status}>0 AND hidden=0 AND n{status}="
                               "(SELECT n_tasks FROM job WHERE job.id=job_hot.id) LIMIT 1").fetchall()
        if not rows:
            raise ValueError(f"there is no job with all tasks in status {status}")
        return rows[0][0]

    def copy(self, job, copies):
        first, tasks = self.db.execute("SELECT first_task,n_tasks FROM job WHERE id=?", (job,)).fetchone()
        if self.value("SELECT count(*) FROM task WHERE id>=? AND id<?", first, first + tasks) != tasks:
            raise ValueError(f"the tasks of job {job} do not stand in one range: adapt this program to the schema")
        new = self.value("SELECT max(id) FROM job")
        next_task = self.value("SELECT value FROM state WHERE name='next_task'")
        for _ in range(copies):
            new += 1
            keys = {"old": job, "new": new, "first": first, "end": first + tasks, "shift": next_task - first}
            self.copy_rows("job", "id=:old", keys, id=":new", uuid="job_uuid()", first_task="first_task+:shift")
            for table, key in (("job_hot", "id"), ("runq", "job")):
                self.copy_rows(table, f"{key}=:old", keys, **{key: ":new"})
            tasks_of = "{0}>=:first AND {0}<:end ORDER BY {0}"
            self.copy_rows("task", tasks_of.format("id"), keys, id="id+:shift", uuid="task_uuid()", job=":new")
            self.copy_rows("task_cold", tasks_of.format("id"), keys, id="id+:shift")
            self.copy_rows("dep", tasks_of.format("needs"), keys, needs="needs+:shift", task="task+:shift")
            next_task += tasks
        self.db.execute("UPDATE state SET value=? WHERE name='next_task'", (next_task,))
        self.db.execute("UPDATE job_count SET n=n+? WHERE status=(SELECT status FROM job_hot WHERE id=?)", (copies, job))

    def close(self):
        """Commits, and makes the next start check the database."""
        self.db.execute("UPDATE state SET value=0 WHERE name='clean'")
        self.db.execute("COMMIT")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()


def fill(bench, name, finished=0, queued=0):
    """Makes data of that name whose database holds about so many tasks; both counts are of whole jobs."""
    size = bench.sizes.tasks_per_old_job
    begun = time.monotonic()
    with running(bench, name) as manager:
        if finished:
            manager.farm("--workers", 10, "--tasks", size)
        if queued:
            manager.farm("--submit-tasks", size)
    copier = Copier(manager.folder / DATABASE, finished + queued)
    for status, tasks in ((COMPLETED, finished), (QUEUED, queued)):
        if tasks > size:
            copier.copy(copier.template(status), tasks // size - 1)
    copier.close()
    with running(bench, name, fresh=False) as manager:
        if FOUND_GOOD not in (manager.folder / "log.txt").read_text(encoding="utf-8"):
            manager.give_up("the manager did not check the filled database")
    bench.note(f"filled a database with {finished:,} finished and {queued:,} queued tasks "
               f"in {time.monotonic() - begun:.1f} s")

# SPDX-License-Identifier: Apache-2.0
"""Looks into the database of persist-sqlite and the storage when the manager is down: do the counters equal a recount, does
every row and every directory belong to something?"""
import sqlite3
import uuid

# Task statuses by number: queued 0, soft-failed 1, active 2, completed 3, failed 4, canceled 5, paused 6.
COUNTED = ", ".join(f"count(*) FILTER (WHERE status={n}) AS c{n}" for n in range(7))
DIFFERENT = " OR ".join(f"h.n{n}<>coalesce(c.c{n},0)" for n in range(7))

# Each finds rows that there must not be.
FAULTS = {
    "tasks per status": f"""
        SELECT h.id FROM job_hot h LEFT JOIN (SELECT job, {COUNTED} FROM task GROUP BY job) c ON c.job=h.id
        WHERE h.hidden=0 AND ({DIFFERENT})""",
    "number of tasks and steps": """
        SELECT h.id FROM job_hot h JOIN job j ON j.id=h.id
        LEFT JOIN (SELECT job, count(*) n, sum(steps_done) done, sum(steps_total) total FROM task GROUP BY job) c
               ON c.job=h.id
        WHERE h.hidden=0 AND (j.n_tasks<>coalesce(c.n,0) OR h.steps_done<>coalesce(c.done,0)
                              OR h.steps_total<>coalesce(c.total,0))""",
    "jobs per status": """
        SELECT status FROM (SELECT status, n FROM job_count WHERE n<>0
                            EXCEPT SELECT status, count(*) FROM job_hot WHERE hidden=0 GROUP BY status) a
        UNION SELECT status FROM (SELECT status, count(*) FROM job_hot WHERE hidden=0 GROUP BY status
                                  EXCEPT SELECT status, n FROM job_count) b""",
    "open dependencies": """
        SELECT t.id FROM task t WHERE t.open_deps<>(SELECT count(*) FROM dep d JOIN task n ON n.id=d.needs
                                                    WHERE d.task=t.id AND n.status<>3)""",
    "jobs without one half": "SELECT id FROM job WHERE id NOT IN (SELECT id FROM job_hot)",
    "tasks without a job": "SELECT id FROM task WHERE job NOT IN (SELECT id FROM job)",
    "commands without a task": "SELECT id FROM task_cold WHERE id NOT IN (SELECT id FROM task)",
    "tasks without commands": "SELECT id FROM task WHERE id NOT IN (SELECT id FROM task_cold)",
    "dependencies without a task": """
        SELECT task FROM dep WHERE task NOT IN (SELECT id FROM task) OR needs NOT IN (SELECT id FROM task)""",
    "failures without a task": "SELECT task FROM failure WHERE task NOT IN (SELECT id FROM task)",
    "hidden jobs": "SELECT id FROM job_hot WHERE hidden=1",
    "active tasks of nobody": "SELECT id FROM task WHERE status=2 AND worker=0",
    "what runs in the queue's index": """
        SELECT job, type FROM (
            SELECT DISTINCT t.job, t.type FROM task t JOIN job_hot h ON h.id=t.job
            WHERE t.status<2 AND t.open_deps=0 AND h.hidden=0 AND h.delete_requested IS NULL AND h.status IN (%(runnable)s)
            EXCEPT SELECT job, type FROM runq) a
        UNION SELECT job, type FROM (
            SELECT job, type FROM runq
            EXCEPT SELECT DISTINCT t.job, t.type FROM task t JOIN job_hot h ON h.id=t.job
            WHERE t.status<2 AND t.open_deps=0 AND h.hidden=0 AND h.delete_requested IS NULL AND h.status IN (%(runnable)s)) b""",
    "broken references": "PRAGMA foreign_key_check",
}


def recount_store(store, runnable):
    """The same for what a harness's store knows how to ask, SQLite or PostgreSQL; without the storage."""
    wrong = []
    for name, query in FAULTS.items():
        if query.startswith("PRAGMA"):
            continue
        rows = store.query(query % {"runnable": ",".join(map(str, runnable))} if "%(" in query else query)
        if rows:
            wrong.append(f"{name}: {len(rows)}, the first are {rows[:3]}")
    return wrong


def recount(database, storage, runnable):
    """Gives what is wrong, a line each. runnable: the numbers of the job statuses that are scheduled."""
    wrong = []
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        state = db.execute("PRAGMA integrity_check").fetchall()
        if state != [("ok",)]:
            wrong.append(f"the database is damaged: {state}")
        for name, query in FAULTS.items():
            rows = db.execute(query % {"runnable": ",".join(map(str, runnable))} if "%(" in query else query).fetchall()
            if rows:
                wrong.append(f"{name}: {len(rows)}, the first are {rows[:3]}")
        jobs = {str(uuid.UUID(bytes=row[0])) for row in db.execute("SELECT uuid FROM job")}
    for directory in storage.glob("job-*/*"):
        if directory.name not in jobs:
            wrong.append(f"{directory.relative_to(storage)} belongs to no job: {[p.name for p in directory.iterdir()][:3]}")
    return wrong

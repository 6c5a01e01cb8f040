# SPDX-License-Identifier: Apache-2.0
"""Makes databases as the reference manager leaves them, of each of its schema versions (configuration-and-clients part 6).

Version 0 is a database of release 3.3 or older: no version table, nothing is NOT NULL, columns are missing.
"""
import json
import shutil
import sqlite3
import uuid as uuids
from pathlib import Path

# table: (column, type, NOT NULL and default, first version with it)
TABLES = {
    "worker_tags": [("id", "integer PRIMARY KEY", "", 0), ("created_at", "datetime", "NOT NULL", 0),
                    ("updated_at", "datetime", "", 0), ("uuid", "varchar(36)", "UNIQUE NOT NULL", 0),
                    ("name", "varchar(64)", "UNIQUE NOT NULL", 0),
                    ("description", "varchar(255)", "NOT NULL DEFAULT ''", 0)],
    "jobs": [("id", "integer PRIMARY KEY", "", 0), ("created_at", "datetime", "NOT NULL", 0),
             ("updated_at", "datetime", "", 0), ("uuid", "varchar(36)", "UNIQUE NOT NULL", 0),
             ("name", "varchar(64)", "NOT NULL DEFAULT ''", 0), ("job_type", "varchar(32)", "NOT NULL DEFAULT ''", 0),
             ("priority", "smallint", "NOT NULL DEFAULT 0", 0), ("status", "varchar(32)", "NOT NULL DEFAULT ''", 0),
             ("activity", "varchar(255)", "NOT NULL DEFAULT ''", 0), ("settings", "jsonb", "NOT NULL", 0),
             ("metadata", "jsonb", "NOT NULL", 0), ("delete_requested_at", "datetime", "", 0),
             ("storage_shaman_checkout_id", "varchar(255)", "NOT NULL DEFAULT ''", 0),
             ("worker_tag_id", "integer", "REFERENCES worker_tags(id) ON DELETE SET NULL", 0),
             ("steps_completed", "integer", "NOT NULL DEFAULT 0", 8), ("steps_total", "integer", "NOT NULL DEFAULT 0", 8)],
    "workers": [("id", "integer PRIMARY KEY", "", 0), ("created_at", "datetime", "NOT NULL", 0),
                ("updated_at", "datetime", "", 0), ("uuid", "varchar(36)", "UNIQUE NOT NULL", 0),
                ("secret", "varchar(255)", "NOT NULL DEFAULT ''", 0), ("name", "varchar(64)", "NOT NULL DEFAULT ''", 0),
                ("address", "varchar(39)", "NOT NULL DEFAULT ''", 0),
                ("platform", "varchar(16)", "NOT NULL DEFAULT ''", 0),
                ("software", "varchar(32)", "NOT NULL DEFAULT ''", 0), ("status", "varchar(16)", "NOT NULL DEFAULT ''", 0),
                ("last_seen_at", "datetime", "", 0), ("status_requested", "varchar(16)", "NOT NULL DEFAULT ''", 0),
                ("lazy_status_request", "boolean", "NOT NULL DEFAULT false", 0),
                ("supported_task_types", "varchar(255)", "NOT NULL DEFAULT ''", 0), ("deleted_at", "datetime", "", 0),
                ("can_restart", "boolean", "NOT NULL DEFAULT false", 0)],
    "tasks": [("id", "integer PRIMARY KEY", "", 0), ("created_at", "datetime", "NOT NULL", 0),
              ("updated_at", "datetime", "", 0), ("uuid", "varchar(36)", "UNIQUE NOT NULL", 0),
              ("name", "varchar(64)", "NOT NULL DEFAULT ''", 0), ("type", "varchar(32)", "NOT NULL DEFAULT ''", 0),
              ("job_id", "integer", "NOT NULL DEFAULT 0 REFERENCES jobs(id) ON DELETE CASCADE", 0),
              ("index_in_job", "integer", "NOT NULL DEFAULT 0", 7), ("priority", "smallint", "NOT NULL DEFAULT 50", 0),
              ("status", "varchar(16)", "NOT NULL DEFAULT ''", 0),
              ("worker_id", "integer", "REFERENCES workers(id) ON DELETE SET NULL", 0),
              ("last_touched_at", "datetime", "", 0), ("commands", "jsonb", "NOT NULL", 0),
              ("activity", "varchar(255)", "NOT NULL DEFAULT ''", 0),
              ("steps_completed", "integer", "NOT NULL DEFAULT 0", 8), ("steps_total", "integer", "NOT NULL DEFAULT 0", 8)],
    "sleep_schedules": [("id", "integer PRIMARY KEY", "", 0), ("created_at", "datetime", "NOT NULL", 0),
                        ("updated_at", "datetime", "", 0),
                        ("worker_id", "integer", "UNIQUE NOT NULL REFERENCES workers(id) ON DELETE CASCADE", 0),
                        ("is_active", "numeric", "NOT NULL DEFAULT false", 0),
                        ("days_of_week", "text", "NOT NULL DEFAULT ''", 0), ("start_time", "text", "NOT NULL DEFAULT ''", 0),
                        ("end_time", "text", "NOT NULL DEFAULT ''", 0), ("next_check", "datetime", "", 0)],
    "job_blocks": [("id", "integer PRIMARY KEY", "", 0), ("created_at", "datetime", "NOT NULL", 0),
                   ("job_id", "integer", "NOT NULL REFERENCES jobs(id) ON DELETE CASCADE", 0),
                   ("worker_id", "integer", "NOT NULL REFERENCES workers(id) ON DELETE CASCADE", 0),
                   ("task_type", "text", "NOT NULL", 0)],
    "last_rendereds": [("id", "integer PRIMARY KEY", "", 0), ("created_at", "datetime", "NOT NULL", 0),
                       ("updated_at", "datetime", "", 0),
                       ("job_id", "integer", "NOT NULL REFERENCES jobs(id) ON DELETE CASCADE", 0)],
}
PAIRS = {
    "worker_tag_membership": ("worker_tag_id", "worker_id", ""),
    "task_dependencies": ("task_id", "dependency_id", ""),
    "task_failures": ("task_id", "worker_id", "created_at datetime NOT NULL,"),
}
NOW = "2026-03-27 14:05:09.12 +0000 UTC"
OLD_NOW = "2023-11-06 10:11:12.123456789+00:00"


def blob(value):
    """JSON as the reference stores it."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").encode()


class ReferenceDb:
    """A database being made. foreign keys are off, as in old releases, so that rows may name what does not exist."""

    def __init__(self, path, version=8, newest=None, loose=None):
        self.path, self.version = Path(path), version
        self.db = sqlite3.connect(self.path)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA wal_autocheckpoint=0")
        self.loose = version < 4 if loose is None else loose
        for table, columns in TABLES.items():
            rows = [f"{name} {kind} {'' if self.loose else rule}" for name, kind, rule, since in columns if version >= since]
            if table == "job_blocks" and not self.loose:
                rows.append("UNIQUE(job_id, worker_id, task_type)")
            if table == "tasks" and version >= 7 and not self.loose:
                rows.append("UNIQUE(job_id, index_in_job)")
            self.db.execute(f"CREATE TABLE {table} ({', '.join(rows)})")
        for table, (a, b, more) in PAIRS.items():
            self.db.execute(f"CREATE TABLE {table} ({more} {a} integer, {b} integer, PRIMARY KEY ({a}, {b}))")
        if version > 0:
            self.db.execute("CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT "
                            "NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))")
            for number in range((newest or version) + 1):
                self.db.execute("INSERT INTO goose_db_version(version_id, is_applied) VALUES (?, 1)", (number,))
        self.now = NOW if version >= 6 else OLD_NOW
        self.tasks_of = {}

    def insert(self, table, **fields):
        known = {name for name, _, _, since in TABLES[table] if self.version >= since} if table in TABLES else fields
        fields = {k: v for k, v in fields.items() if k in known}
        done = self.db.execute(f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({', '.join('?' * len(fields))})",
                               list(fields.values()))
        return done.lastrowid

    def job(self, **fields):
        row = dict(created_at=self.now, updated_at=self.now, uuid=str(uuids.uuid4()), name="a job", job_type="graph",
                   priority=50, status="queued", activity="", settings=blob({}), metadata=blob({}),
                   storage_shaman_checkout_id="", steps_completed=0, steps_total=0)
        row.update(fields)
        return self.insert("jobs", **row)

    def task(self, job_id, needs=(), **fields):
        index = self.tasks_of[job_id] = self.tasks_of.get(job_id, 0) + 1
        row = dict(created_at=self.now, updated_at=self.now, uuid=str(uuids.uuid4()), name=f"task {index}", type="blender",
                   job_id=job_id, index_in_job=index, priority=50, status="queued", activity="", steps_completed=0,
                   steps_total=1, commands=blob([{"name": "echo", "parameters": {"message": "{blender}"}}
                                                 | ({"total_step_count": 1} if self.version >= 8 else {})]))
        row.update(fields)
        task_id = self.insert("tasks", **row)
        for needed in needs:
            self.insert("task_dependencies", task_id=task_id, dependency_id=needed)
        return task_id

    def worker(self, **fields):
        row = dict(created_at=self.now, uuid=str(uuids.uuid4()), secret="", name="a worker", address="192.0.2.1",
                   platform="linux", software="3.8", status="offline", last_seen_at=self.now, status_requested="",
                   lazy_status_request=0, supported_task_types="blender,ffmpeg", can_restart=0)
        row.update(fields)
        return self.insert("workers", **row)

    def tag(self, name, **fields):
        return self.insert("worker_tags", **dict(dict(created_at=self.now, uuid=str(uuids.uuid4()), name=name,
                                                      description=""), **fields))

    def close(self):
        """Closed in order: one file."""
        self.db.commit()
        self.db.close()

    def leave_log(self, path):
        """Copies it as a crash would leave it: what was written last is in the log alone."""
        self.db.commit()
        shutil.copyfile(self.path, path)
        shutil.copyfile(f"{self.path}-wal", f"{path}-wal")
        self.close()

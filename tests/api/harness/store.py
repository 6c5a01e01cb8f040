# SPDX-License-Identifier: Apache-2.0
"""The back end that the harness's managers keep their data in, and how a test looks past the manager into it.

FLAMENCO_TEST_STORE=postgres runs every test on persist-postgres: one server per test process, one schema per manager.
"""
import atexit
import functools
import os
import sqlite3
import sys
import uuid
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "postgres"))


def backend():
    return os.environ.get("FLAMENCO_TEST_STORE", "sqlite")


sqlite_only = pytest.mark.skipif(backend() != "sqlite", reason="about the file of persist-sqlite")


@functools.lru_cache(maxsize=None)
def cluster():
    """The PostgreSQL server of this test process."""
    from cluster import Cluster  # noqa: PLC0415 not needed without PostgreSQL
    made = Cluster()
    atexit.register(made.close)
    return made


class SqliteStore:
    kind = "sqlite"

    def __init__(self, manager):
        self.manager = manager

    @staticmethod
    def yaml():
        return {"file": "persist-sqlite"}

    def query(self, sql):
        """Rows of a statement that changes nothing."""
        db = sqlite3.connect(f"file:{self.manager.database}?mode=ro", uri=True)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def execute(self, *statements):
        db = sqlite3.connect(self.manager.database)
        try:
            with db:
                for sql in statements:
                    db.execute(sql)
        finally:
            db.close()

    def count(self, table):
        return self.query(f"SELECT count(*) FROM {table}")[0][0]

    @staticmethod
    def uuid(text):
        """A UUID as it stands in SQL."""
        return f"X'{uuid.UUID(text).hex}'"


class SqliteFile(SqliteStore):
    """A file of its own, which several managers can be given."""

    def __init__(self, path):
        super().__init__(self)
        self.database = path

    def yaml(self):
        return {"file": "persist-sqlite", "settings": {"path": str(self.database)}}


class PostgresStore:
    kind = "postgres"

    def __init__(self, schema=None, server=None):
        self.server = server or cluster()
        self.schema = schema or f"t_{uuid.uuid4().hex[:12]}"

    def yaml(self):
        return {"file": "persist-postgres", "settings": {"conninfo": self.server.conninfo(), "schema": self.schema}}

    def query(self, sql):
        rows = self.server.sql(f'SET search_path TO "{self.schema}"; {sql}')
        return [tuple(int(v) if v.lstrip("-").isdigit() else v for v in row) for row in rows]

    def execute(self, *statements):
        self.query("; ".join(statements))

    def count(self, table):
        return self.query(f"SELECT count(*) FROM {table}")[0][0]

    @staticmethod
    def uuid(text):
        return f"'{uuid.UUID(text)}'::uuid"


def make_store(manager):
    return PostgresStore() if backend() == "postgres" else SqliteStore(manager)

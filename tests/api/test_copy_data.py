# SPDX-License-Identifier: Apache-2.0
"""flamenco-manager copy-data from one file of persist-sqlite to another: the program with its exit
codes. tests/unit/core/test_copy.c looks closer, tests/postgres/test_copy.py takes another back end."""
import subprocess

import pytest

from harness.farm import GRAPH, Farm
from harness.manager import environment, program, scale
from harness.store import SqliteFile


def copy(source, target, cwd):
    return subprocess.run([str(program()), "copy-data", "--from", source, "--to", target], cwd=cwd, env=environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * scale(), check=False)


def last_line(done):
    return done.stdout.splitlines()[-1]


@pytest.fixture
def full(make_manager, tmp_path):
    """A file with a farm in it, and its jobs."""
    store = SqliteFile(tmp_path / "full.sqlite")
    manager = make_manager(store=store, scripts={"graph.js": GRAPH})
    farm = Farm(manager.start())
    jobs = [farm.submit(n) for n in (1, 3)]
    worker = farm.worker()
    worker.complete(worker.get_task()["uuid"])
    manager.stop()
    return store, jobs


def test_farm_goes_on_with_the_copy(full, tmp_path, make_manager):
    source, jobs = full
    target = SqliteFile(tmp_path / "copy.sqlite")
    done = copy(f"persist-sqlite:{source.database}", f"persist-sqlite:{target.database}", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "copied 2 jobs, 4 tasks, 1 workers, 0 tags" in done.stdout and "every row and counter" in last_line(done)
    farm = Farm(make_manager(store=target).start())
    assert {job["id"] for job in farm.api.ok("GET", "/jobs")["jobs"]} == {job["id"] for job in jobs}


def test_target_that_is_not_empty_is_refused(full, tmp_path):
    source, _ = full
    target = SqliteFile(tmp_path / "copy.sqlite")
    assert copy(f"persist-sqlite:{source.database}", f"persist-sqlite:{target.database}", tmp_path).returncode == 0
    before = target.query("SELECT * FROM task")
    done = copy(f"persist-sqlite:{source.database}", f"persist-sqlite:{target.database}", tmp_path)
    assert done.returncode == 1 and "the target is not empty: it has 2 jobs, 1 workers" in last_line(done), done.stdout
    assert target.query("SELECT * FROM task") == before


def test_copy_that_breaks_off_says_so(full, tmp_path):
    source, _ = full
    source.execute("UPDATE task SET worker=99 WHERE id=(SELECT max(id) FROM task)")
    done = copy(f"persist-sqlite:{source.database}", "persist-sqlite:copy.sqlite", tmp_path)
    assert done.returncode == 1 and "empty the target before the next try" in last_line(done), done.stdout


def test_difference_is_found(full, tmp_path):
    """A trigger in the target changes a task on its way in."""
    source, _ = full
    target = SqliteFile(tmp_path / "copy.sqlite")
    assert copy("persist-sqlite:nothing.sqlite", f"persist-sqlite:{target.database}", tmp_path).returncode == 0
    target.execute("CREATE TRIGGER spoil AFTER INSERT ON task WHEN NEW.id=3 BEGIN"
                   " UPDATE task SET activity='spoiled' WHERE id=3; END")
    done = copy(f"persist-sqlite:{source.database}", f"persist-sqlite:{target.database}", tmp_path)
    assert done.returncode == 1 and "the copy differs in the tasks of job number 2: row 2" in last_line(done), done.stdout


def test_manager_that_runs_on_the_source_is_named(tmp_path, make_manager):
    source = SqliteFile(tmp_path / "used.sqlite")
    manager = make_manager(store=source).start()
    done = copy(f"persist-sqlite:{source.database}", "persist-sqlite:copy.sqlite", tmp_path)
    assert done.returncode == 1 and f"process {manager.proc.pid} on host" in last_line(done), done.stdout


@pytest.mark.parametrize("source, text", [
    ("persist-nothing:x", "persist-nothing"),
    ("log-storage:x", "log-storage"),
    ("persist-sqlite:{pth: x}", "pth"),
    ("persist-postgres:host=/nowhere password=geheim", "/nowhere"),
    ("persist-postgres:postgresql://[geheim", "conninfo"),
])
def test_errors_are_clear(tmp_path, source, text):
    done = copy(source, "persist-sqlite:copy.sqlite", tmp_path)
    assert done.returncode == 1 and text in done.stdout and "geheim" not in done.stdout, done.stdout
    assert not (tmp_path / "copy.sqlite").exists()

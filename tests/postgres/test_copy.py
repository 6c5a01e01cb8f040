# SPDX-License-Identifier: Apache-2.0
"""flamenco-manager copy-data: a farm with everything in it moves from SQLite to PostgreSQL and back, and every row is there."""
import subprocess
import time

import pytest
import yaml
from faultlib.load import Load
from faultlib.recount import recount_store
from harness.http import Api
from harness.manager import environment, program, scale
from harness.reference import ReferenceDb
from harness.store import SqliteFile

QUEUED_AND_ACTIVE = (0, 1)
# What is left of each table when the stores' own keys are taken out.
ROWS = {
    "tag": "SELECT uuid, name, description FROM tag ORDER BY id",
    "worker": "SELECT uuid, status, requested, lazy, can_restart, last_good, created, updated, seen, deleted, name, address, platform,"
              " software, task_types, secret FROM worker ORDER BY id",
    "worker_tag": "SELECT w.uuid, g.uuid FROM worker_tag m JOIN worker w ON w.id=m.worker JOIN tag g ON g.id=m.tag ORDER BY w.id, g.id",
    "sleep": "SELECT w.uuid, active, start, finish, next_check, days FROM sleep s JOIN worker w ON w.id=s.worker ORDER BY w.id",
    "job": "SELECT j.uuid, status, prio, delete_requested, created, updated, steps_total, steps_done, n_tasks, n0, n1, n2, n3, n4, n5, n6,"
           " j.name, type, activity, settings, metadata, storage, platform, g.uuid"
           " FROM job j JOIN job_hot h ON h.id=j.id LEFT JOIN tag g ON g.id=h.tag ORDER BY j.id",
    "task": "SELECT t.uuid, j.uuid, t.id-j.first_task, y.name, prio, t.status, w.uuid, open_deps, steps_total, steps_done, t.created,"
            " t.updated, touched, t.name, activity, commands FROM task t JOIN job j ON j.id=t.job JOIN task_cold c ON c.id=t.id"
            " JOIN task_type y ON y.id=t.type LEFT JOIN worker w ON w.id=t.worker ORDER BY t.id",
    "dep": "SELECT n.uuid, t.uuid FROM dep d JOIN task n ON n.id=d.needs JOIN task t ON t.id=d.task ORDER BY n.id, t.id",
    "runq": "SELECT g.uuid, y.name, njp, ntp, j.uuid FROM runq r JOIN job j ON j.id=r.job JOIN task_type y ON y.id=r.type"
            " LEFT JOIN tag g ON g.id=r.tag ORDER BY j.id, y.name",
    "blocklist": "SELECT j.uuid, y.name, w.uuid FROM blocklist b JOIN job j ON j.id=b.job JOIN task_type y ON y.id=b.type"
                 " JOIN worker w ON w.id=b.worker ORDER BY j.id, w.id, y.name",
    "failure": "SELECT t.uuid, w.uuid FROM failure f JOIN task t ON t.id=f.task JOIN worker w ON w.id=f.worker ORDER BY t.id, w.id",
    "last_rendered": "SELECT j.uuid FROM last_rendered l JOIN job j ON j.id=l.job",
    "last_task": "SELECT w.uuid, t.uuid FROM worker w LEFT JOIN task t ON t.id=w.last_task ORDER BY w.id",
    "job_count": "SELECT status, n FROM job_count ORDER BY status",
}


def plain(value):
    """PostgreSQL's psql gives texts, SQLite values."""
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else str(value).replace("-", "") if len(str(value)) == 36 else str(value)


def dump(store):
    return {table: [tuple(plain(v) for v in row) for row in store.query(sql)] for table, sql in ROWS.items()}


def spec(store):
    if store.kind == "sqlite":
        return f"persist-sqlite:{store.database}"
    return "persist-postgres:" + yaml.safe_dump(store.yaml()["settings"], default_flow_style=True, width=10000).strip()


def copy(source, target, cwd, *options):
    return subprocess.run([str(program()), "copy-data", "--from", spec(source), "--to", spec(target), *options], cwd=cwd,
                          env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240 * scale(),
                          check=False)


@pytest.fixture
def full(make_manager, tmp_path, seed):
    """A file with a farm that has been at work: jobs in all conditions, failures, blocked and deleted workers, tags, schedules."""
    store = SqliteFile(tmp_path / "full.sqlite")
    manager = make_manager(store=store, reference={"blocklist_threshold": 2, "task_fail_after_softfail_count": 3}).start()
    load = Load(manager, seed.random(), fail_rate=0.1).start()
    load.wait_acks(15, each=True, timeout=60 * scale())
    load.close_gate()
    load.stop()
    api = Api(manager.url)
    farm = manager.farm()
    workers = api.ok("GET", "/worker-mgt/workers")["workers"]
    for n, worker in enumerate(workers[:3]):
        tag = api.ok("POST", "/worker-mgt/tags", 200, json={"name": f"Tag {n}", "description": "ein \u00c4 \U0001f3ac"})
        api.ok("POST", f"/worker-mgt/workers/{worker['id']}/settags", 204, json={"tag_ids": [tag["id"]]})
        api.ok("POST", f"/worker-mgt/workers/{worker['id']}/sleep-schedule", 204, json={
            "is_active": n % 2 == 0, "days_of_week": "mo tu", "start_time": "01:00", "end_time": "02:00"})
    farm.submit(3, worker_tag=tag["id"], name="tabs\tand 'quotes' \"\\ \u00e4\u0000end")
    farm.submit(1300)
    api.ok("DELETE", f"/worker-mgt/workers/{workers[4]['id']}", 204)
    manager.stop()
    # All of the large job wait for its first task.
    store.execute("INSERT INTO dep(needs,task) SELECT j.first_task, t.id FROM job j JOIN task t ON t.job=j.id"
                  " WHERE j.n_tasks=1300 AND t.id>j.first_task",
                  "UPDATE task SET open_deps=1 WHERE id IN (SELECT task FROM dep)",
                  "INSERT INTO last_rendered(id,job) SELECT 1, min(id) FROM job",
                  "INSERT OR IGNORE INTO blocklist(job,type,worker) SELECT j.id, 1, w.id FROM job j, worker w WHERE j.id<4 AND w.id<4",
                  "INSERT OR IGNORE INTO failure(task,worker) SELECT t.id, w.id FROM task t, worker w WHERE t.id<9 AND w.id IN (2,5)")
    return store


def test_there_and_back_again(full, store, tmp_path, make_manager, figure):
    back = SqliteFile(tmp_path / "back.sqlite")
    before = dump(full)
    assert all(before.values()), [table for table, rows in before.items() if not rows]
    began = time.monotonic()
    there = copy(full, store, tmp_path)
    took = time.monotonic() - began
    assert there.returncode == 0, there.stdout
    assert "every row and counter" in there.stdout
    after = dump(store)
    for table, rows in before.items():
        # A NUL is stored as U+10FFFE and two digits, and psql leaves that character out.
        assert [tuple(v.replace("\x00", "00") for v in row) for row in rows] == after[table], table
    assert recount_store(store, QUEUED_AND_ACTIVE) == []
    again = copy(store, back, tmp_path)
    assert again.returncode == 0, again.stdout
    assert dump(back) == before
    manager = make_manager(store=back).start()
    manager.farm().submit(1)
    figure(f"{len(before['task'])} tasks of {len(before['job'])} jobs in {took:.1f} s")


def test_target_that_is_not_empty_is_refused(full, store, tmp_path):
    assert copy(full, store, tmp_path).returncode == 0
    before = dump(store)
    again = copy(full, store, tmp_path)
    assert again.returncode == 1
    assert "the target is not empty" in again.stdout.splitlines()[-1]
    assert dump(store) == before


def test_store_that_is_in_use_is_refused(store, tmp_path, make_manager):
    source = SqliteFile(tmp_path / "used.sqlite")
    manager = make_manager(store=source).start()
    done = copy(source, store, tmp_path)
    assert done.returncode == 1 and f"process {manager.pid} on host" in done.stdout.splitlines()[-1], done.stdout
    manager.stop()
    used = make_manager(store=store).start()
    done = copy(source, store, tmp_path)
    assert done.returncode == 1 and f"process {used.pid} on host" in done.stdout.splitlines()[-1], done.stdout


def test_empty_store_is_copied(tmp_path):
    done = copy(SqliteFile(tmp_path / "a.sqlite"), SqliteFile(tmp_path / "b.sqlite"), tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("args, text", [
    ([], "copy-data needs --from and --to"),
    (["--from", "persist-sqlite:a.sqlite"], "copy-data needs --from and --to"),
    (["--from", ":x", "--to", "persist-sqlite:b.sqlite"], "PLUGIN:PLACE"),
    (["--from", "persist-nothing:x", "--to", "persist-sqlite:b.sqlite"], "persist-nothing"),
    (["--from", "log-storage:x", "--to", "persist-sqlite:b.sqlite"], "log-storage"),
    (["--from", "persist-sqlite:{pth: x}", "--to", "persist-sqlite:b.sqlite"], "pth"),
    (["--from", "persist-sqlite:same.sqlite", "--to", "persist-sqlite:same.sqlite"], "in use by process"),
    (["--from", "persist-postgres:host=/nowhere password=geheim", "--to", "persist-sqlite:b.sqlite"], "/nowhere"),
])
def test_errors_are_clear(tmp_path, args, text):
    done = subprocess.run([str(program()), "copy-data", *args], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60 * scale(), check=False)
    assert done.returncode in (1, 2) and text in done.stdout and "geheim" not in done.stdout, done.stdout


def test_difference_is_found(full, store, tmp_path, monkeypatch):
    """The comparison is what tells: a trigger in the target changes one task on its way in."""
    empty = copy(SqliteFile(tmp_path / "nothing.sqlite"), store, tmp_path)
    assert empty.returncode == 0, empty.stdout
    store.execute("""CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN IF NEW.id=700 THEN NEW.activity=''spoiled''; END IF; RETURN NEW; END'""",
                  "CREATE TRIGGER spoil BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION spoil()")
    done = copy(full, store, tmp_path)
    assert done.returncode == 1, done.stdout
    assert "the copy differs in the tasks of job number" in done.stdout.splitlines()[-1]


def test_broken_copy_says_that_the_target_must_be_emptied(full, store, tmp_path):
    assert copy(SqliteFile(tmp_path / "nothing.sqlite"), store, tmp_path).returncode == 0
    store.execute("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN IF NEW.id=700 THEN RAISE EXCEPTION ''no more''; END IF; RETURN NEW; END'""",
                  "CREATE TRIGGER refuse BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION refuse()")
    done = copy(full, store, tmp_path)
    assert done.returncode == 1 and "empty the target" in done.stdout.splitlines()[-1], done.stdout


def test_database_of_the_reference_comes_to_postgres_by_way_of_a_file(store, tmp_path, make_manager):
    """As docs/configuration.md says: one command, in which persist-sqlite finds the file by `database` and imports it, as at a start."""
    db = ReferenceDb(tmp_path / "farm.sqlite")
    job = db.job(name="shot", status="completed")
    db.task(job, status="completed")
    db.worker(name="anna")
    db.close()
    (tmp_path / "flamenco-manager.yaml").write_text("_meta: {version: 3}\ndatabase: farm.sqlite\n")
    done = subprocess.run([str(program()), "copy-data", "--from", "persist-sqlite", "--to", spec(store)], cwd=tmp_path,
                          env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60 * scale(), check=False)
    assert done.returncode == 0, done.stdout
    assert "imported 1 jobs with 1 tasks, 1 workers and 0 tags" in done.stdout and "every row and counter" in done.stdout
    api = Api(make_manager(store=store).start().url)
    assert [job["name"] for job in api.ok("GET", "/jobs")["jobs"]] == ["shot"]
    assert [worker["name"] for worker in api.ok("GET", "/worker-mgt/workers")["workers"]] == ["anna"]

# SPDX-License-Identifier: Apache-2.0
"""Failed tasks: soft, hard, blocked workers, failed jobs (state-and-scheduling 8 with the thresholds of decisions.md: n means
n, and a job fails for lack of workers only when no capable one is left)."""
import pytest
import yaml
from harness.check import assert_error
from harness.events import shape


class Lane:
    """Workers that support one task type, and a job for them."""

    def __init__(self, farm, lane, n_workers, n_tasks=1, **kw):
        self.farm, self.type = farm, lane
        self.workers = [farm.worker(types=[lane], **kw) for _ in range(n_workers)]
        # enough other tasks that one failure is less than 10 %
        self.job = farm.submit([{"type": lane, "name": f"t{i}"} for i in range(n_tasks)] +
                               [{"type": lane + "-ballast"}] * 40)
        self.id = self.job["id"]

    def fail_by(self, index, name=None):
        """Lets a worker take the next task (checked by name when given) and fail it; gives the task's new row."""
        task = self.workers[index].get_task()
        assert task is not None, f"worker {index} gets nothing"
        assert name in (None, task["name"])
        self.workers[index].fail(task["uuid"])
        return self.farm.task(task["uuid"])

    @property
    def status(self):
        return self.farm.job(self.id)["status"]

    def statuses(self):
        return {t["name"]: t["status"] for t in self.farm.tasks(self.id) if t["task_type"] == self.type}


# ---- Soft and hard --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n_workers, outcomes", [
    (1, ["job failed"]),
    (2, ["soft-failed", "job failed"]),
    (3, ["soft-failed", "soft-failed", "failed"]),
    (4, ["soft-failed", "soft-failed", "failed"]),
])
def test_one_task_failed_by_one_worker_after_the_other(farm, lane, n_workers, outcomes):
    area = Lane(farm, lane, n_workers)
    for index, outcome in enumerate(outcomes):
        row = area.fail_by(index)
        if outcome == "job failed":
            assert row["status"] == "failed" and area.status == "failed"
            assert set(farm.letters(area.id)) <= {"F", "X"}
        else:
            assert row["status"] == outcome and area.status == "active"
        assert [w["id"] for w in row["failed_by_workers"]] == [w.id for w in area.workers[:index + 1]]
        assert row["failed_by_workers"][0] == {"id": area.workers[0].id, "name": area.workers[0].name, "address": "127.0.0.1"}
    farm.put_away(area.id)


def test_events_and_log_of_a_soft_failure(farm, lane):
    area = Lane(farm, lane, 2)
    task = area.workers[0].get_task()
    events = farm.events()
    area.workers[0].update(task["uuid"], taskStatus="failed", activity="no memory", log="boom\n")
    got = events.take()
    assert shape([e for e in got if e["kind"] == "task"]) == [("task", "active", "soft-failed")]
    assert "job" not in [e["kind"] for e in got]
    assert next(e for e in got if e["kind"] == "task")["payload"]["activity"] == "no memory"
    log = farm.log_file(area.id, task["uuid"]).read_text()
    assert "boom\n" in log and log.index("boom\n") < log.index("soft-failed")
    farm.put_away(area.id)


def test_same_worker_does_not_get_a_task_again_that_it_failed(farm, lane):
    area = Lane(farm, lane, 2)
    row = area.fail_by(0)
    assert area.workers[0].get_task() is None
    assert area.workers[1].get_task()["uuid"] == row["id"]
    farm.put_away(area.id)


def test_job_failure_for_lack_of_workers(farm, lane):
    area = Lane(farm, lane, 1, n_tasks=3)
    task = area.workers[0].get_task()
    events = farm.events()
    area.workers[0].fail(task["uuid"])
    got = shape([e for e in events.take() if e["kind"] in ("job", "task")])
    assert got == [("task", "active", "failed"), ("job", "active", "failed", True)]
    assert area.status == "failed" and area.statuses() == {"t0": "failed", "t1": "canceled", "t2": "canceled"}
    assert lane in farm.job(area.id)["activity"]
    log = farm.log_file(area.id, task["uuid"]).read_text()
    assert area.workers[0].name in log and area.workers[0].id in log


def test_repeated_failure_of_a_failed_task_changes_nothing(farm, lane):
    area = Lane(farm, lane, 3)
    rows = [area.fail_by(i) for i in range(3)]
    events = farm.events()
    area.workers[2].update(rows[2]["id"], taskStatus="failed")
    assert events.take("task", "job") == []
    assert farm.task(rows[2]["id"]) | {"updated": 0, "last_touched": 0} == rows[2] | {"updated": 0, "last_touched": 0}
    farm.put_away(area.id)


# ---- Ten percent ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("failed, total, job_fails", [
    (1, 1, True), (1, 9, True), (1, 10, True), (1, 11, False), (2, 20, True), (2, 21, False), (9, 100, False),
    (10, 100, True), (100, 1001, False),
])
def test_share_of_failed_tasks_that_fails_a_job(farm, lane, failed, total, job_fails):
    job = farm.submit(total, name=lane)
    farm.set_job_status(job["id"], "active")
    tasks = farm.tasks(job["id"])
    for task in tasks[:failed - 1]:
        farm.set_task_status(task["id"], "failed")
    assert farm.job(job["id"])["status"] == "active"
    events = farm.events()
    farm.set_task_status(tasks[failed - 1]["id"], "failed")
    got = shape(events.take("task", "job"))
    if job_fails:
        assert got == [("task", "queued", "failed"), ("job", "active", "failed", True)]
        assert farm.letters(job["id"]) == "F" * failed + "X" * (total - failed)
    else:
        assert got == [("task", "queued", "failed")]
        assert farm.job(job["id"])["status"] == "active"
        farm.put_away(job["id"])


def test_failure_in_a_queued_job_makes_it_active(farm):
    job = farm.submit(100)
    farm.set_task_status(farm.tasks(job["id"])[0]["id"], "failed")
    assert farm.job(job["id"])["status"] == "active"
    farm.put_away(job["id"])


# ---- Blocking -------------------------------------------------------------------------------------------------------------

def test_worker_is_blocked_at_the_third_failed_task(farm, lane):
    area = Lane(farm, lane, 3, n_tasks=5)
    for i in range(3):
        assert area.fail_by(0, f"t{i}")["status"] == "soft-failed"
    # two more wait, and it gets neither
    assert area.workers[0].get_task() is None
    assert area.workers[1].get_task()["name"] == "t0"
    # not in another job, nor for another type of this one
    other = farm.submit([{"type": lane, "name": "elsewhere"}])
    assert area.workers[0].get_task()["name"] == "elsewhere"
    area.workers[0].sign_on([lane + "-ballast"])
    area.workers[0].state_changed("awake")
    farm.put_away(area.id, other["id"])


def test_failures_of_another_type_or_job_do_not_count(farm, lane):
    worker = farm.worker(types=[lane, lane + "-2"])
    farm.worker(types=[lane, lane + "-2"])
    jobs = [farm.submit([{"type": lane}, {"type": lane + "-2"}] + [{"type": lane + "-ballast"}] * 40) for _ in range(3)]
    for _ in range(6):
        worker.fail(worker.get_task()["uuid"])
    assert all(farm.job(j["id"])["status"] == "active" for j in jobs)
    extra = farm.submit([{"type": lane, "name": "still trusted"}])
    assert worker.get_task()["name"] == "still trusted"
    farm.put_away(extra["id"], *(j["id"] for j in jobs))


def test_blocking_returns_failed_tasks_to_the_pool(farm, lane):
    area = Lane(farm, lane, 4, n_tasks=4)
    one = area.workers[0]
    # t0 fails hard with worker 0 as its last one
    for index in (1, 2, 0):
        area.fail_by(index, "t0")
    assert area.statuses()["t0"] == "failed"
    area.fail_by(0, "t1")
    events = farm.events()
    task = one.get_task()
    assert task["name"] == "t2"
    one.fail(task["uuid"])
    assert area.statuses() == {"t0": "queued", "t1": "soft-failed", "t2": "soft-failed", "t3": "queued"}
    assert ("task", "failed", "queued") in shape(events.take("task"))
    assert area.workers[3].get_task()["name"] == "t0"
    farm.put_away(area.id)


def test_blocked_workers_are_not_capable(farm, lane):
    """Two workers: when both are blocked, the job fails."""
    area = Lane(farm, lane, 2, n_tasks=6)
    for i in range(3):
        area.fail_by(0, f"t{i}")
    assert area.status == "active"
    # worker 1 fails t0: worker 0 is blocked, nobody is left
    row = area.fail_by(1, "t0")
    assert row["status"] == "failed" and area.status == "failed"


@pytest.mark.parametrize("status", ["asleep", "error", "offline", "starting"])
def test_workers_that_do_not_work_now_are_capable(farm, lane, status):
    area = Lane(farm, lane, 1)
    farm.worker(types=[lane], status=status)
    assert area.fail_by(0)["status"] == "soft-failed"
    assert area.status == "active"
    farm.put_away(area.id)


def test_workers_without_the_task_type_are_not_capable(farm, lane):
    area = Lane(farm, lane, 1)
    farm.worker(types=[lane + "-else"])
    area.fail_by(0)
    assert area.status == "failed"


def test_offline_workers_are_capable_for_a_day(make_farm):
    farm = make_farm(manual_clock=True, reference={"task_timeout": "0s", "worker_timeout": "0s"})
    one = farm.worker(types=["misc"])
    farm.worker(types=["misc"]).sign_off()
    farm.worker(types=["misc"]).state_changed("error")
    first, second = (farm.submit([{}] + [{"type": "ballast"}] * 40) for _ in range(2))
    farm.advance("23h")
    task = one.get_task()
    one.fail(task["uuid"])
    assert farm.task(task["uuid"])["status"] == "soft-failed"
    assert farm.job(first["id"])["status"] == "active"
    farm.advance("2h")
    task = one.get_task()
    assert task["job"] == second["id"]
    one.fail(task["uuid"])
    assert farm.job(second["id"])["status"] == "failed"


# ---- Other thresholds -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A manager whose thresholds are changed while it runs."""
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("tuned"))

    def set_thresholds(block, hard):
        farm.manager.reference.update(blocklist_threshold=block, task_fail_after_softfail_count=hard)
        (farm.manager.dir / "flamenco-manager.yaml").write_text(yaml.safe_dump(farm.manager.reference))
        farm.api.ok("GET", "/configuration")  # reads the file anew

    farm.set_thresholds = set_thresholds
    yield farm
    farm.manager.stop()


@pytest.mark.parametrize("block, blocked_at", [(1, 1), (0, 1), (-1, 1), (2, 2), (4, 4), (65535, None)])
def test_blocklist_threshold(tuned, lane, block, blocked_at):
    tuned.set_thresholds(block, 100)
    area = Lane(tuned, lane, 2, n_tasks=7)
    failures = 0
    while failures < 6 and (task := area.workers[0].get_task()) is not None:
        area.workers[0].fail(task["uuid"])
        failures += 1
    assert failures == (blocked_at or 6)
    tuned.put_away(area.id)


@pytest.mark.parametrize("hard, outcomes", [
    (1, ["failed"]), (0, ["failed"]), (2, ["soft-failed", "failed"]),
    (4, ["soft-failed", "soft-failed", "soft-failed", "failed"]),
])
def test_softfail_count(tuned, lane, hard, outcomes):
    tuned.set_thresholds(100, hard)
    area = Lane(tuned, lane, 5)
    assert [area.fail_by(i)["status"] for i in range(len(outcomes))] == outcomes
    assert area.status == "active"
    tuned.put_away(area.id)


# ---- Clearing the lists ---------------------------------------------------------------------------------------------------

def test_requeueing_a_task_clears_its_failure_list_but_not_the_blocklist(farm, lane):
    area = Lane(farm, lane, 2, n_tasks=4)
    rows = [area.fail_by(0, f"t{i}") for i in range(3)]
    farm.set_task_status(rows[0]["id"], "queued")
    assert farm.task(rows[0]["id"])["failed_by_workers"] == []
    assert len(farm.task(rows[1]["id"])["failed_by_workers"]) == 1
    assert area.workers[0].get_task() is None  # blocked
    farm.put_away(area.id)


def test_requeueing_a_job_clears_both_lists(farm, lane):
    area = Lane(farm, lane, 2, n_tasks=4)
    rows = [area.fail_by(0, f"t{i}") for i in range(3)]
    farm.set_job_status(area.id, "requeueing")
    assert all(farm.task(r["id"])["failed_by_workers"] == [] for r in rows)
    assert area.workers[0].get_task()["name"] == "t0"
    farm.put_away(area.id)


def test_requeueing_twice_clears_again(farm, lane):
    """Also when the job is in that status already (state-and-scheduling 3.1)."""
    job = farm.submit([{"type": lane}] + [{"type": lane + "-ballast"}] * 40, initial_status="active")
    worker = farm.worker(types=[lane])
    farm.worker(types=[lane])
    task = worker.get_task()
    worker.fail(task["uuid"])
    farm.set_job_status(job["id"], "requeueing")
    assert farm.task(task["uuid"])["failed_by_workers"] == []
    farm.put_away(job["id"])


def test_requeueing_by_the_manager_clears_nothing(farm, lane):
    area = Lane(farm, lane, 2)
    row = area.fail_by(0)
    area.workers[1].get_task()
    area.workers[1].sign_off()
    assert farm.task(row["id"])["status"] == "queued"
    assert [w["id"] for w in farm.task(row["id"])["failed_by_workers"]] == [area.workers[0].id]
    assert area.workers[0].get_task() is None
    farm.put_away(area.id)


def test_soft_failed_is_not_for_workers_to_say(farm, lane):
    area = Lane(farm, lane, 1)
    task = area.workers[0].get_task()
    assert_error(area.workers[0].update(task["uuid"], 400, taskStatus="soft-failed"), 400)
    farm.put_away(area.id)

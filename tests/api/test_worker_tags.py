# SPDX-License-Identifier: Apache-2.0
"""Tags: made, changed, deleted, given to Workers and to jobs (api-behaviour 7.4, 7.6; state-and-scheduling 6; decisions: a
tag's id is a UUID, other ids are 400)."""
import itertools
import uuid

import pytest
from harness.check import UNKNOWN, assert_empty, assert_error, assert_uuid, parse_time
from harness.events import shape
from harness.parked import Ask, parked

_numbers = itertools.count(1)


def make(farm, name=None, **fields):
    return farm.api.ok("POST", "/worker-mgt/tags", json={"name": name or f"tag {next(_numbers)}", **fields})


def listed(farm):
    return farm.api.ok("GET", "/worker-mgt/tags")["tags"]


def set_tags(worker, *ids, expect=204):
    reply = worker.farm.api.post(f"/worker-mgt/workers/{worker.id}/settags", {"tag_ids": list(ids)})
    assert reply.status_code == expect, reply.text
    return reply


def set_job_tag(farm, job, body, expect=204):
    reply = farm.api.post(f"/jobs/{job['id']}/settag", body)
    assert reply.status_code == expect, reply.text
    return reply


def worker_tags(worker):
    return [t["id"] for t in worker.row().get("tags", [])]


@pytest.fixture
def tag(farm):
    return make(farm)


# ---- Making, changing, deleting -------------------------------------------------------------------------------------------

def test_no_tags_is_an_empty_list(make_farm):
    assert listed(make_farm()) == []


def test_new_tag_gets_an_id(farm):
    events = farm.events()
    name = f"new {next(_numbers)}"
    row = make(farm, name)
    assert_uuid(row["id"], 4)
    assert row == {"id": row["id"], "name": name}
    assert listed(farm)[-1] == row
    assert farm.api.ok("GET", f"/worker-mgt/tag/{row['id']}") == row
    got = events.take()
    assert [(e["topic"], e["name"]) for e in got] == [("/workertags", "/workertags")]
    assert got[0]["payload"] == {"tag": {"description": "", "id": row["id"], "name": name}}


@pytest.mark.parametrize("given", [None, ""])
def test_empty_id_counts_as_none(farm, given):
    row = make(farm, **({} if given is None else {"id": given}), description="for GPUs")
    assert_uuid(row["id"], 4)
    assert row["description"] == "for GPUs"
    assert farm.api.ok("GET", f"/worker-mgt/tag/{row['id'].upper()}") == row


def test_given_id_is_used(farm):
    wanted = str(uuid.uuid4())
    events = farm.events()
    row = make(farm, id=wanted.upper(), description="<own>")
    assert row["id"] == wanted
    assert events.take()[0]["payload"] == {"tag": {"description": "<own>", "id": wanted, "name": row["name"]}}


@pytest.mark.parametrize("wrong", ["nope", "0", UNKNOWN[:-1], UNKNOWN + "0", UNKNOWN.replace("-", "_")])
def test_ids_that_are_none_are_refused(farm, wrong):
    before = listed(farm)
    assert_error(farm.api.post("/worker-mgt/tags", {"name": "x", "id": wrong}), 400)
    assert listed(farm) == before


def test_name_and_id_are_unique(farm, tag):
    before, events = listed(farm), farm.events()
    assert tag["name"] in assert_error(farm.api.post("/worker-mgt/tags", {"name": tag["name"]}), 409)
    assert tag["id"] in assert_error(farm.api.post("/worker-mgt/tags", {"name": "other", "id": tag["id"]}), 409)
    assert listed(farm) == before and events.take() == []


@pytest.mark.parametrize("name", ["", " ", "ünï\u2028<&>", "x" * 5000, "'; DROP TABLE tag; --"])
def test_any_name_will_do(farm, name):
    row = make(farm, name) if name else farm.api.ok("POST", "/worker-mgt/tags", json={"name": ""})
    assert row["name"] == name
    assert farm.api.ok("GET", f"/worker-mgt/tag/{row['id']}")["name"] == name
    assert_empty(farm.api.delete(f"/worker-mgt/tag/{row['id']}"))


@pytest.mark.parametrize("body, name, description", [
    ({"name": "N"}, "N", "old"),
    ({"name": "N", "description": ""}, "N", None),
    ({"name": "N", "description": "new"}, "N", "new"),
    ({"name": "N", "id": "ignored"}, "N", "old"),
])
def test_update(farm, body, name, description):
    row = make(farm, description="old")
    events = farm.events()
    assert_empty(farm.api.put(f"/worker-mgt/tag/{row['id']}", body))
    expected = {"id": row["id"], "name": name, **({"description": description} if description else {})}
    assert farm.api.ok("GET", f"/worker-mgt/tag/{row['id']}") == expected
    assert [e["payload"] for e in events.take()] == [
        {"tag": {"description": description or "", "id": row["id"], "name": name}}]
    assert_empty(farm.api.put(f"/worker-mgt/tag/{row['id']}", {"name": name}))  # its own name is free
    farm.api.delete(f"/worker-mgt/tag/{row['id']}")


def test_update_to_a_taken_name_is_refused(farm, tag):
    other = make(farm)
    events = farm.events()
    assert tag["name"] in assert_error(farm.api.put(f"/worker-mgt/tag/{other['id']}", {"name": tag["name"]}), 409)
    assert farm.api.ok("GET", f"/worker-mgt/tag/{other['id']}") == other and events.take() == []


def test_delete(farm, tag):
    events = farm.events()
    assert_empty(farm.api.delete(f"/worker-mgt/tag/{tag['id']}"))
    assert [(e["topic"], e["payload"]) for e in events.take()] == [
        ("/workertags", {"tag": {"id": tag["id"], "name": ""}, "was_deleted": True})]
    assert tag["id"] not in [t["id"] for t in listed(farm)]
    assert_error(farm.api.delete(f"/worker-mgt/tag/{tag['id']}"), 404)
    assert make(farm, tag["name"])["id"] != tag["id"]


@pytest.mark.parametrize("method, body", [("GET", None), ("PUT", {"name": "x"}), ("DELETE", None)])
def test_bad_and_unknown_ids_in_the_path(farm, method, body):
    assert_error(farm.api.call(method, "/worker-mgt/tag/nope", json=body), 400)
    assert_error(farm.api.call(method, f"/worker-mgt/tag/{UNKNOWN}", json=body), 404)


def test_list_is_in_order_of_creation(farm):
    made = [make(farm, f"{letter} {next(_numbers)}")["id"] for letter in "zam"]
    assert [t["id"] for t in listed(farm) if t["id"] in made] == made


# ---- Tags of workers ------------------------------------------------------------------------------------------------------

def test_worker_tags_are_replaced(farm):
    worker = farm.worker()
    a, b, c = (make(farm) for _ in range(3))
    events = farm.events()
    assert_empty(set_tags(worker, b["id"].upper(), a["id"]))
    got = events.take()
    assert shape(got) == [("worker", None, "awake")] and "tags" not in got[0]["payload"]
    assert worker.row()["tags"] == [a, b]  # in order of creation
    set_tags(worker, c["id"], c["id"])
    assert worker_tags(worker) == [c["id"]]
    set_tags(worker, c["id"], UNKNOWN)
    assert worker_tags(worker) == [c["id"]]
    set_tags(worker)
    assert "tags" not in worker.row()


@pytest.mark.parametrize("wrong", ["", "nope", UNKNOWN + " "])
def test_tag_ids_are_checked(farm, tag, wrong):
    worker = farm.worker()
    set_tags(worker, tag["id"])
    assert_error(set_tags(worker, wrong, expect=400), 400)
    assert worker_tags(worker) == [tag["id"]]


def test_tags_of_bad_and_unknown_workers(farm, tag):
    body = {"tag_ids": [tag["id"]]}
    assert_error(farm.api.post("/worker-mgt/workers/nope/settags", body), 400)
    assert_error(farm.api.post(f"/worker-mgt/workers/{UNKNOWN}/settags", body), 404)


def test_many_ids_cost_little(farm, tag):
    worker = farm.worker()
    set_tags(worker, *[str(uuid.uuid4()) for _ in range(20000)], tag["id"])
    assert worker_tags(worker) == [tag["id"]]


def test_deleted_tag_leaves_its_workers(farm, tag):
    worker = farm.worker()
    other = make(farm)
    set_tags(worker, tag["id"], other["id"])
    farm.api.delete(f"/worker-mgt/tag/{tag['id']}")
    assert worker_tags(worker) == [other["id"]]


def test_new_tag_lets_a_waiting_worker_look_again(parked_farm, lane):
    tag = make(parked_farm)
    worker = parked_farm.worker(types=[lane])
    job = parked_farm.submit([{"type": lane}], worker_tag=tag["id"])
    with Ask(worker) as ask:
        set_tags(worker, tag["id"])
        assert ask.task()["job"] == job["id"]
    parked_farm.put_away(job["id"])


# ---- Tags of jobs ---------------------------------------------------------------------------------------------------------

def test_job_tag_decides_who_runs_it(farm, lane):
    a, b = make(farm), make(farm)
    worker, plain = farm.worker(types=[lane]), farm.worker(types=[lane])
    set_tags(worker, a["id"])
    job = farm.submit([{"type": lane}] * 3)
    before = farm.job(job["id"])
    events = farm.events()
    assert_empty(set_job_tag(farm, job, {"id": a["id"].upper()}))
    row = farm.job(job["id"])
    assert row["worker_tag"] == a["id"] and parse_time(row["updated"]) > parse_time(before["updated"])
    got = events.take()
    assert shape(got) == [("job", None, "queued", False)] and got[0]["payload"]["updated"] == row["updated"]
    assert plain.get_task() is None
    task = worker.get_task()
    assert task is not None
    set_job_tag(farm, job, {"name": b["name"]})
    assert farm.job(job["id"])["worker_tag"] == b["id"]
    assert worker.get_task()["uuid"] == task["uuid"]  # what runs goes on
    worker.complete(task["uuid"])
    assert worker.get_task() is None and plain.get_task() is None
    set_job_tag(farm, job, {})
    assert "worker_tag" not in farm.job(job["id"])
    assert plain.get_task() is not None
    farm.put_away(job["id"])


def test_id_wins_over_name(farm, lane):
    a, b = make(farm), make(farm)
    job = farm.submit([{"type": lane}], initial_status="paused")
    set_job_tag(farm, job, {"id": a["id"], "name": b["name"]})
    assert farm.job(job["id"])["worker_tag"] == a["id"]
    set_job_tag(farm, job, {"id": a["id"], "name": "no such tag"})
    assert farm.job(job["id"])["worker_tag"] == a["id"]


@pytest.mark.parametrize("body, code", [
    ({"id": UNKNOWN}, 406), ({"id": ""}, 406), ({"name": "no such tag"}, 406), ({"name": ""}, 406),
    ({"id": UNKNOWN, "name": "TAG"}, 406), ({"id": "", "name": "TAG"}, 406), ({"id": "nope"}, 400),
])
def test_unknown_tags_for_jobs(farm, lane, tag, body, code):
    job = farm.submit([{"type": lane}], initial_status="paused", worker_tag=tag["id"])
    events = farm.events()
    body = {k: tag["name"] if v == "TAG" else v for k, v in body.items()}
    assert_error(set_job_tag(farm, job, body, code), code)
    assert farm.job(job["id"])["worker_tag"] == tag["id"] and events.take() == []


def test_tags_of_bad_and_unknown_jobs(farm, tag):
    assert_error(farm.api.post("/jobs/nope/settag", {"id": tag["id"]}), 400)
    assert_error(farm.api.post(f"/jobs/{UNKNOWN}/settag", {"id": tag["id"]}), 404)
    assert_error(farm.api.post(f"/jobs/{UNKNOWN}/settag", {}), 404)
    assert_error(farm.api.post(f"/jobs/{UNKNOWN}/settag", {"id": 7}), 400)


def test_deleted_tag_frees_its_jobs(farm, lane, tag):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}], worker_tag=tag["id"])
    assert worker.get_task() is None
    farm.api.delete(f"/worker-mgt/tag/{tag['id']}")
    assert "worker_tag" not in farm.job(job["id"])
    assert worker.get_task() is not None
    farm.put_away(job["id"])


@pytest.mark.parametrize("how", ["the tag is deleted", "the job gets another tag", "the job loses its tag"])
def test_who_waits_gets_what_a_tag_held_back(parked_farm, lane, how):
    farm = parked_farm
    tag, own = make(farm), make(farm)
    first, second = (farm.worker(types=[lane]) for _ in range(2))
    set_tags(second, own["id"])
    job = farm.submit([{"type": lane}], worker_tag=tag["id"])
    with Ask(first) as ask_first, Ask(second) as ask_second:
        if how == "the tag is deleted":
            farm.api.delete(f"/worker-mgt/tag/{tag['id']}")
            assert ask_first.task()["job"] == job["id"]
        elif how == "the job gets another tag":
            set_job_tag(farm, job, {"id": own["id"]})
            assert ask_second.task()["job"] == job["id"]
        else:
            set_job_tag(farm, job, {})
            assert ask_first.task()["job"] == job["id"]
        assert parked(farm) == 1
    farm.put_away(job["id"])


def test_tags_survive_a_restart(make_farm):
    farm = make_farm()
    worker = farm.worker(types=["t"])
    tag = make(farm, description="d")
    set_tags(worker, tag["id"])
    job = farm.submit([{"type": "t"}], worker_tag=tag["id"])
    farm.manager.restart()
    assert listed(farm) == [tag] and worker_tags(worker) == [tag["id"]]
    assert farm.job(job["id"])["worker_tag"] == tag["id"]

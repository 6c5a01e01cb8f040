# SPDX-License-Identifier: Apache-2.0
"""Parts of lists: limit, offset, status, order_by, updated_after on jobs, tasks and workers, with totals (decisions, "Ours
alone"). Each reply is compared with what Python makes of the whole list."""
import itertools

import pytest
from harness.check import assert_error, parse_time

STATUSES = {"job": ("queued", "paused", "canceled", "completed"), "task": ("queued", "canceled", "completed", "failed"),
            "worker": ("awake", "asleep", "offline")}


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """A manager in which every job, task and worker was changed at a time of its own."""
    from conftest import start_farm
    farm = start_farm(tmp_path_factory.mktemp("lists"), manual_clock=True,
                      reference={"worker_timeout": "0s", "task_timeout": "0s"})
    farm.clock(frozen=True)

    def later():
        farm.advance("1s")

    jobs = []
    for i in range(24):
        jobs.append(farm.submit([], name=f"job {i * 7 % 24:02}", priority=50 + i % 5,
                                initial_status="paused" if i % 4 == 1 else "queued")["id"])
        later()
    for i, job_id in enumerate(jobs[::-1]):
        if i % 3 == 0:
            farm.set_job_status(job_id, "cancel-requested" if i % 2 else "requeueing")
            later()
    farm.big = farm.submit([{"type": "list", "name": f"t {i * 5 % 12:02}", "priority": 40 + i % 3} for i in range(12)])["id"]
    for i, task in enumerate(farm.tasks(farm.big)[::-1]):
        later()
        if i % 4:
            farm.set_task_status(task["id"], STATUSES["task"][i % 4])
    for i in range(9):
        farm.worker(name=f"node {i * 4 % 9}", status=STATUSES["worker"][i % 3] if i % 3 < 2 else "starting", types=["none"])
        later()
    yield farm
    farm.manager.stop()


def path_of(farm, kind):
    return {"job": "/jobs", "task": f"/jobs/{farm.big}/tasks", "worker": "/worker-mgt/workers"}[kind]


def rows(reply, kind):
    assert reply.status_code == 200, reply.text
    return reply.json()[{"job": "jobs", "task": "tasks", "worker": "workers"}[kind]]


def whole(farm, kind):
    found = rows(farm.api.get(path_of(farm, kind)), kind)
    assert len(found) == {"job": 25, "task": 12, "worker": 9}[kind]
    return found


def ask(farm, kind, **query):
    reply = farm.api.get(path_of(farm, kind), params=query)
    total = reply.headers.get("X-Total-Count")
    return [r["id"] for r in rows(reply, kind)], None if total is None else int(total)


ORDERS = {"job": ["created", "updated", "name", "status", "priority"],
          "task": ["index_in_job", "updated", "name", "status", "priority"], "worker": ["created", "updated", "name", "status"]}


def sort_key(field, everything):
    """The value that rows are ordered by; equal ones are in the order of the whole list."""
    if field in ("created", "index_in_job"):
        return lambda r: everything.index(r)
    if field == "updated":
        return lambda r: parse_time(r["updated"])
    return lambda r: r[field]


# A worker's summary does not tell when it was changed.
@pytest.mark.parametrize("kind, order", [(k, d + o) for k in ORDERS for o in ORDERS[k] for d in ("", "-")
                                         if (k, o) != ("worker", "updated")])
def test_orders(lists, kind, order):
    everything = whole(lists, kind)
    ids, total = ask(lists, kind, order_by=order)
    assert total is None  # nothing was left out
    assert sorted(ids) == sorted(r["id"] for r in everything)
    key = sort_key(order.lstrip("-"), everything)
    values = [key(next(r for r in everything if r["id"] == i)) for i in ids]
    if order.endswith("status"):  # in an order of the manager's own
        groups = [name for name, _ in itertools.groupby(values)]
        assert len(groups) == len(set(groups)) > 1
    else:
        assert values == sorted(values, reverse=order.startswith("-"))
    # Pages of it are pieces of it.
    pieces = [ask(lists, kind, order_by=order, limit=4, offset=n)[0] for n in range(0, len(ids) + 4, 4)]
    assert [i for piece in pieces for i in piece] == ids


@pytest.mark.parametrize("kind", ORDERS)
def test_status(lists, kind):
    everything = whole(lists, kind)
    for n in (1, 2, 3):
        for some in itertools.combinations(sorted({r["status"] for r in everything}), n):
            for order in ("", ORDERS[kind][0], "-" + ORDERS[kind][0], ORDERS[kind][2]):
                query = {"status": ",".join(some), **({"order_by": order} if order else {})}
                ids, total = ask(lists, kind, **query)
                wanted = [r["id"] for r in everything if r["status"] in some]
                assert sorted(ids) == sorted(wanted) and total == len(wanted)
                if order in ("", ORDERS[kind][0]):
                    assert ids == wanted
                page, total = ask(lists, kind, limit=2, offset=1, **query)
                assert page == ids[1:3] and total == len(wanted)


@pytest.mark.parametrize("kind", ["job", "task"])
def test_updated_after(lists, kind):
    everything = whole(lists, kind)
    moments = sorted({r["updated"] for r in everything}, key=parse_time)
    for moment in [*moments[::3], moments[-1]]:
        wanted = [r["id"] for r in everything if parse_time(r["updated"]) > parse_time(moment)]
        for order in (None, "updated", "-updated", "name"):
            ids, total = ask(lists, kind, updated_after=moment, **({"order_by": order} if order else {}))
            assert sorted(ids) == sorted(wanted) and total == len(wanted)
        both = [r["id"] for r in everything if r["id"] in wanted and r["status"] in ("queued", "canceled")]
        ids, total = ask(lists, kind, updated_after=moment, status="queued,canceled", limit=3, offset=1)
        assert ids == both[1:4] and total == len(both)


def test_workers_updated_after(lists):
    everything = [w["id"] for w in whole(lists, "worker")]
    every, total = ask(lists, "worker", updated_after="2001-01-01T00:00:00Z", order_by="-updated")
    assert every == everything[::-1] and total == 9  # each was changed after the one before it
    assert ask(lists, "worker", updated_after="2999-01-01T00:00:00Z") == ([], 0)


@pytest.mark.parametrize("kind", ORDERS)
def test_ends_of_lists(lists, kind):
    n = len(whole(lists, kind))
    assert ask(lists, kind, offset=n) == ([], n)
    assert ask(lists, kind, offset=2**63 - 1) == ([], n)
    assert ask(lists, kind, limit=2**63 - 1)[1] == n
    assert len(ask(lists, kind, limit=1)[0]) == 1


def test_whole_list_has_no_total(lists):
    for kind in ORDERS:
        assert ask(lists, kind)[1] is None


@pytest.mark.parametrize("kind", ORDERS)
@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "offset=-1", "status=nope", "status=queued,nope",
                                   "order_by=colour", "order_by=--name", "updated_after=yesterday", "updated_after="])
def test_wrong_parameters(lists, kind, query):
    assert_error(lists.api.get(f"{path_of(lists, kind)}?{query}"), 400)


def test_unknown_job_has_no_tasks(lists):
    reply = lists.api.get("/jobs/11111111-2222-4333-8444-555555555555/tasks?limit=3")
    assert rows(reply, "task") == [] and reply.headers.get("X-Total-Count") == "0"

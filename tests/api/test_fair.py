# SPDX-License-Identifier: Apache-2.0
"""scheduler-fair in place of scheduler-priority, by one line of manager.yaml."""
from collections import Counter

import pytest


@pytest.fixture
def fair(make_farm):
    def make(settings=None):
        line = {"file": "scheduler-fair"}
        if settings:
            line["settings"] = settings
        # The clock stands still: every task costs the same.
        return make_farm(yaml={"plugins": {"task_scheduler": line}}, manual_clock=True)

    return make


def serve(worker, tasks):
    """Lets the worker do that many tasks; gives the names of their jobs."""
    done = []
    for _ in range(tasks):
        task = worker.get_task()
        assert task is not None
        done.append(task["job"])
        worker.complete(task["uuid"])
    return done


def submit(farm, user, tasks, **fields):
    return farm.submit(tasks, metadata={"user.name": user} if user else {}, **fields)["id"]


def by_user(owner, jobs):
    return Counter(owner[job] for job in jobs)


def test_submitters_share_the_farm(fair):
    farm = fair()
    owner = {submit(farm, "anna", 3): "anna" for _ in range(20)}
    owner |= {submit(farm, user, 30): user for user in ("bert", "carl")}
    worker = farm.worker()
    assert by_user(owner, serve(worker, 30)) == {"anna": 10, "bert": 10, "carl": 10}
    # A late one gets its part from now on.
    owner[submit(farm, "dora", 30)] = "dora"
    assert by_user(owner, serve(worker, 20)) == {"anna": 5, "bert": 5, "carl": 5, "dora": 5}
    # After a restart, which forgets what was used, it goes on as fairly.
    farm.manager.restart()
    assert by_user(owner, serve(worker, 20)) == {"anna": 5, "bert": 5, "carl": 5, "dora": 5}


def test_weights_and_other_keys(fair):
    farm = fair({"keys": ["project"], "weights": ["Sprite=2", "tests=0.5"]})
    owner = {}
    for project in ("Sprite", "Owl", "tests"):
        owner[farm.submit(40, metadata={"project": project, "user.name": "anna"})["id"]] = project
    assert by_user(owner, serve(farm.worker(), 35)) == {"Sprite": 20, "Owl": 10, "tests": 5}


def test_priority_is_a_matter_of_the_share(fair):
    farm = fair()
    low, high, other = submit(farm, "anna", 4), submit(farm, "anna", 4, priority=90), submit(farm, "bert", 8, priority=1)
    done = serve(farm.worker(), 16)
    assert Counter(done[:8]) == {high: 4, other: 4}
    assert Counter(done[8:]) == {low: 4, other: 4}
    assert farm.worker().get_task() is None


def test_a_held_task_and_what_others_leave(fair):
    farm = fair()
    submit(farm, "anna", 1)
    rest = submit(farm, "bert", 3)
    first = farm.worker()
    held = first.get_task()
    assert first.get_task()["uuid"] == held["uuid"]
    second = farm.worker()
    assert {held["job"], second.get_task()["job"]} >= {rest} or held["job"] != rest
    first.complete(held["uuid"])
    assert first.get_task()["job"] == rest


def test_settings_are_checked(make_manager):
    manager = make_manager(yaml={"plugins": {"task_scheduler": {"file": "scheduler-fair",
                                                                 "settings": {"weights": ["anna=many"]}}}})
    done = manager.run("--check-config")
    assert done.returncode == 1
    assert 'weights: "anna=many" is not NAME=WEIGHT' in done.stdout

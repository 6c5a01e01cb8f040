# SPDX-License-Identifier: Apache-2.0
"""One word for what the farm does (api-behaviour 7.1; state-and-scheduling 12). The other tests run without the plugin, so
that its events do not come between theirs."""
import pytest
from harness.check import wait_until
from harness.openapi import assert_schema

PLUGIN = {"plugins": {"farm_status": {"file": "farm-status"}}}


def status(farm):
    report = farm.api.ok("GET", "/status")
    assert_schema("FarmStatusReport", report)
    return report["status"]


class Watch:
    """Follows the farm status events of a manager."""

    def __init__(self, farm):
        self.farm, self.events = farm, farm.events()

    def expect(self, word):
        """The next event says so, and so does the reply from then on."""
        event = self.events.wait(lambda e: e["kind"] == "farm_status")[-1]
        assert (event["topic"], event["name"], event["payload"]) == ("/status", "/status", {"status": word})
        assert status(self.farm) == word


@pytest.fixture
def farm(make_farm):
    """With the clock by hand, for what no event tells."""
    farm = make_farm(yaml=PLUGIN, manual_clock=True, reference={"worker_timeout": "0s", "task_timeout": "0s"})
    wait_until(lambda: status(farm) == "inoperative", "the first look after the start")
    return farm


def test_starting_until_the_first_look(make_farm):
    farm = make_farm(yaml={"plugins": {"farm_status": {"file": "farm-status"},
                                       "clock": {"file": "clock-manual", "settings": {"frozen": True}}}}, manual_clock=True)
    assert status(farm) == "starting"
    watch = Watch(farm)
    farm.advance("1s")
    watch.expect("inoperative")


def test_life_of_a_farm(farm):
    watch = Watch(farm)
    worker = farm.register(types=["t"])
    worker.sign_on(["t"])
    worker.state_changed("awake")
    watch.expect("idle")
    job = farm.submit([{"type": "t"}])
    task = worker.get_task()
    watch.expect("active")
    worker.state_changed("asleep")
    watch.expect("waiting")
    worker.state_changed("awake")
    watch.expect("active")
    assert worker.get_task()["uuid"] == task["uuid"]
    worker.complete(task["uuid"])
    watch.expect("idle")
    assert farm.job(job["id"])["status"] == "completed"
    worker.state_changed("asleep")
    watch.expect("asleep")
    worker.state_changed("error")
    watch.expect("inoperative")
    worker.sign_off()
    farm.advance("30s")
    assert status(farm) == "inoperative"


def test_what_no_event_tells_is_found_by_the_clock(farm):
    """A new worker and a new job have no previous status."""
    watch = Watch(farm)
    worker = farm.register(types=["t"])
    farm.advance("31s")
    watch.expect("idle")
    farm.submit([{"type": "t"}])
    farm.advance("31s")
    watch.expect("waiting")
    farm.api.ok("DELETE", f"/worker-mgt/workers/{worker.id}", 204)
    farm.advance("31s")
    watch.expect("inoperative")


def test_restart_begins_anew(farm):
    farm.manager.restart()
    wait_until(lambda: status(farm) == "inoperative", "the first look after the start")


@pytest.mark.parametrize("member", [None, {"file": "farm-status", "enabled": False}], ids=["absent", "disabled"])
def test_without_the_plugin_nobody_knows(make_farm, member):
    farm = make_farm(yaml={"plugins": {"farm_status": member}})
    assert status(farm) == "unknown"

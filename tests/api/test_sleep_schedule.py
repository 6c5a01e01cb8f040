# SPDX-License-Identifier: Apache-2.0
"""When Workers sleep (api-behaviour 7.4; state-and-scheduling 11; decisions "overnight sleep window")."""
import datetime
import json

import pytest
from harness.check import UNKNOWN, assert_empty, assert_error, parse_time
from harness.events import shape
from harness.openapi import assert_schema
from harness.parked import Ask

UTC = datetime.timezone.utc


def schedule(days="", start="", end="", active=True):
    return {"is_active": active, "days_of_week": days, "start_time": start, "end_time": end}


def path(worker):
    return f"/worker-mgt/workers/{worker.id}/sleep-schedule"


def put(worker, *args, **kw):
    reply = worker.farm.api.post(path(worker), schedule(*args, **kw))
    assert_empty(reply)


def change(status):
    return {"status": status, "is_lazy": False}


@pytest.fixture
def plain(farm):
    """A worker that no schedule asks for anything."""
    return farm.worker(status="error")


# ---- Storing and showing ---------------------------------------------------------------------------------------------------

def test_no_schedule_is_204(farm, plain):
    assert_empty(farm.api.get(path(plain)))
    assert_empty(farm.api.get(f"/worker-mgt/workers/{UNKNOWN}/sleep-schedule"))
    assert_error(farm.api.get("/worker-mgt/workers/nope/sleep-schedule"), 400)


@pytest.mark.parametrize("sent, stored", [
    (("mo tu we", "09:00", "18:00"), ("mo tu we", "09:00", "18:00")),
    (("  Monday tuesday ", "9:5", "12:345"), ("mo tu", "09:05", "12:34")),
    (("mo,tu,SUNDAY", "", ""), ("mo tu su", "", "")),
    (("", "00:00", "24:00"), ("", "00:00", "24:00")),
    ((" \n", "22:00", "06:00"), ("", "22:00", "06:00")),
    (("fr", "18:00", "08:00"), ("fr", "18:00", "08:00")),
    (("", "09:00", "09:00"), ("", "09:00", "09:00")),
    (("", " 9:30", "24:00:00"), ("", "09:30", "24:00")),
])
def test_schedule_is_stored_cleaned(farm, plain, sent, stored):
    for active in (False, True):
        put(plain, *sent, active=active)
        got = farm.api.ok("GET", path(plain))
        assert got == schedule(*stored, active=active)
        assert_schema("WorkerSleepSchedule", got)
        assert_empty(farm.api.post(path(plain), got))  # what the web app does
        assert farm.api.ok("GET", path(plain)) == got


@pytest.mark.parametrize("days, start, end, field", [
    ("m", "", "", "days_of_week"), ("xx", "", "", "days_of_week"), ("mo tu xx", "", "", "days_of_week"),
    ("", "24:00", "", "start_time"), ("", "25:00", "", "start_time"), ("", "12:60", "", "start_time"),
    ("", "noon", "", "start_time"), ("", "12", "", "start_time"), ("", "12.30", "", "start_time"),
    ("", "-1:30", "", "start_time"), ("", "", "25:99", "end_time"), ("", "", "24:01", "end_time"),
    ("", "09:00", "x", "end_time"),
])
def test_bad_values_name_the_field(farm, plain, days, start, end, field):
    put(plain, "su", "01:00", "02:00", active=False)
    message = assert_error(farm.api.post(path(plain), schedule(days, start, end)), 400)
    assert message.startswith(field + ":")
    assert farm.api.ok("GET", path(plain)) == schedule("su", "01:00", "02:00", active=False)


def test_unknown_workers_and_wrong_bodies(farm, plain):
    assert_error(farm.api.post("/worker-mgt/workers/nope/sleep-schedule", schedule()), 400)
    assert_error(farm.api.post(f"/worker-mgt/workers/{UNKNOWN}/sleep-schedule", schedule()), 404)
    assert_error(farm.api.post(f"/worker-mgt/workers/{UNKNOWN}/sleep-schedule", {"is_active": True}), 400)
    put(plain, "mo")
    farm.api.delete(f"/worker-mgt/workers/{plain.id}")
    assert_empty(farm.api.get(path(plain)))
    assert_error(farm.api.post(path(plain), schedule()), 404)


def test_schedule_survives_a_restart(make_farm):
    farm = make_farm()
    worker = farm.worker(status="error")
    put(worker, "mo", "22:00", "06:00")
    farm.manager.restart()
    assert farm.api.ok("GET", path(worker)) == schedule("mo", "22:00", "06:00")


# ---- Applying when it is set -----------------------------------------------------------------------------------------------

ALWAYS, NEVER = ("", "", ""), ("", "12:00", "12:00")


@pytest.mark.parametrize("status, pending, when, after, told", [
    ("awake", None, ALWAYS, change("asleep"), True),
    ("awake", ("asleep", True), ALWAYS, change("asleep"), True),
    ("awake", ("asleep", False), ALWAYS, change("asleep"), False),
    ("asleep", None, ALWAYS, None, False),
    ("asleep", ("awake", False), ALWAYS, change("asleep"), True),
    ("awake", ("offline", False), NEVER, change("awake"), True),
    ("awake", None, NEVER, None, False),
    ("asleep", None, NEVER, change("awake"), True),
    ("error", None, ALWAYS, None, False),
    ("starting", None, ALWAYS, change("asleep"), True),
])
def test_applied_at_once(farm, status, pending, when, after, told):
    worker = farm.worker(status=status)
    if pending:
        farm.api.ok("POST", f"/worker-mgt/workers/{worker.id}/setstatus", 204,
                    json={"status": pending[0], "is_lazy": pending[1]})
    events = farm.events()
    put(worker, *when)
    row = worker.row()
    assert row["status"] == status and row.get("status_change") == after
    got = events.take()
    assert shape(got) == ([("worker", None, status)] if told else [])
    if told:
        payload = got[0]["payload"]
        parse_time(payload.pop("updated"))
        assert payload == {"can_restart": False, "id": worker.id, "last_seen": row["last_seen"], "name": worker.name,
                           "status": status, "status_change": after, "version": "3.9-test"}


def test_inactive_schedule_wakes_a_sleeper(farm):
    worker = farm.worker(status="asleep")
    put(worker, *ALWAYS, active=False)
    assert worker.row()["status_change"] == change("awake")
    assert worker.api.ok("GET", "/worker/state") == {"status_requested": "awake"}


@pytest.mark.parametrize("when, active, reply", [(ALWAYS, True, "asleep"), (ALWAYS, False, "awake"), (NEVER, True, "awake")])
def test_sign_on_asks_the_schedule(farm, when, active, reply):
    worker = farm.worker(status="error")
    put(worker, *when, active=active)
    assert worker.sign_on() == reply
    assert "status_change" not in worker.row()


def test_schedule_ends_the_wait_of_a_worker(parked_farm, lane):
    worker = parked_farm.worker(types=[lane])
    with Ask(worker) as ask:
        put(worker, *ALWAYS)
        reply = ask.read()
        assert reply.status == 423 and json.loads(reply.body) == {"status_requested": "asleep"}
    worker.state_changed("asleep")
    with Ask(worker, "/api/v3/worker/state", "GET") as ask:
        put(worker, *NEVER)
        assert json.loads(ask.read().body) == {"status_requested": "awake"}


# ---- A year ----------------------------------------------------------------------------------------------------------------

class Zone:
    """A zone as TZ names it, and when its clocks are changed in 2026: the offsets in hours before, between and after, and
    the two instants."""

    def __init__(self, tz, offsets, changes):
        self.tz, self.offsets = tz, [datetime.timedelta(hours=h) for h in offsets]
        self.changes = [datetime.datetime.fromisoformat(c).replace(tzinfo=UTC) for c in changes]

    def at_or_past(self, day, hours):
        """The first instant at which the local clock is at or past that time."""
        local = datetime.datetime(day.year, day.month, day.day, tzinfo=UTC) + datetime.timedelta(hours=hours)
        begin = datetime.datetime.min.replace(tzinfo=UTC)
        for offset, end in zip(self.offsets, [*self.changes, datetime.datetime.max.replace(tzinfo=UTC)]):
            moment = max(local - offset, begin)
            if moment < end:
                return moment
            begin = end
        raise AssertionError


ZONES = [
    Zone("CET-1CEST,M3.5.0,M10.5.0/3", (1, 2, 1), ("2026-03-29T01:00", "2026-10-25T01:00")),
    Zone("EST5EDT,M3.2.0,M11.1.0", (-5, -4, -5), ("2026-03-08T07:00", "2026-11-01T06:00")),
    Zone("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", (11, 10.5, 11), ("2026-04-04T15:00", "2026-10-03T15:30")),
]


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Sleeper:
    """A worker that does what its schedule asks, and one in `error` with the same schedule, which can be asked at any time
    what that says."""

    def __init__(self, make_farm, zone, *args):
        self.farm = make_farm(manual_clock=True, env={"TZ": zone.tz}, yaml={"plugins": {"clock": {
            "file": "clock-manual", "settings": {"start": "2026-01-01T12:00:00Z"}}}},
            reference={"task_timeout": "0s", "worker_timeout": "0s", "database_check_period": "0s"})
        self.worker, self.probe = self.farm.worker(), self.farm.worker(status="error")
        for worker in (self.worker, self.probe):
            put(worker, *args)
        self.events = self.farm.events()

    def says(self):
        status = self.probe.sign_on()
        self.probe.state_changed("error")
        # a check may have come between the two: take its request back
        self.farm.api.ok("POST", f"/worker-mgt/workers/{self.probe.id}/setstatus", 204, json=change("error"))
        return status

    def pass_boundary(self, moment, status):
        """The worker is asked for the status at that moment, and not before."""
        before = {"asleep": "awake", "awake": "asleep"}[status]
        self.farm.clock(set=rfc3339(moment - datetime.timedelta(seconds=30)))
        assert self.says() == before, f"already {status} before {moment}"
        self.farm.clock(set=rfc3339(moment + datetime.timedelta(seconds=31)))
        assert self.says() == status, f"still {before} at {moment}"
        asked = lambda e: e["kind"] == "worker" and e["payload"]["id"] == self.worker.id and "status_change" in e["payload"]
        passed = self.events.wait_while(lambda: self.farm.advance("31s"), asked)
        assert sum(map(asked, passed)) == 1
        payload = passed[-1]["payload"]
        assert payload["status_change"] == change(status) and "previous_status" not in payload
        assert moment <= parse_time(payload["updated"]) < moment + datetime.timedelta(minutes=10)
        self.worker.state_changed(status)


@pytest.mark.parametrize("zone", ZONES, ids=lambda z: z.tz[:6].strip("<"))
def test_a_year_of_nights_to_sunday(make_farm, zone):
    """The clocks are changed in the nights to Sunday, so a window from Saturday evening ends in the hour that is left out, or
    comes twice."""
    sleeper = Sleeper(make_farm, zone, "sa", "22:30", "02:15")
    saturday = datetime.date(2026, 1, 3)
    while saturday.year == 2026:
        sleeper.pass_boundary(zone.at_or_past(saturday, 22.5), "asleep")
        sleeper.pass_boundary(zone.at_or_past(saturday + datetime.timedelta(days=1), 2.25), "awake")
        saturday += datetime.timedelta(days=7)


def test_person_overrules_until_the_next_check(make_farm):
    zone = Zone("UTC0", (0, 0, 0), ("2026-06-01T00:00", "2026-07-01T00:00"))
    sleeper = Sleeper(make_farm, zone, "", "22:00", "06:00")
    worker, farm = sleeper.worker, sleeper.farm
    day = datetime.date(2026, 1, 2)
    sleeper.pass_boundary(zone.at_or_past(day, 22), "asleep")
    farm.api.ok("POST", f"/worker-mgt/workers/{worker.id}/setstatus", 204, json=change("awake"))
    worker.state_changed("awake")
    for _ in range(10):
        farm.advance("2m")
        assert "status_change" not in worker.row()
    # midnight is a time to check, too
    sleeper.events.skip()
    farm.clock(set="2026-01-03T00:00:01Z")
    passed = sleeper.events.wait_while(lambda: farm.advance("31s"), lambda e: "status_change" in e["payload"])
    assert passed[-1]["payload"]["status_change"] == change("asleep")


def test_many_workers_go_to_sleep_together(make_farm):
    """More than one step of the manager takes on."""
    farm = make_farm(manual_clock=True, env={"TZ": "UTC0"}, yaml={"plugins": {"clock": {
        "file": "clock-manual", "settings": {"start": "2026-01-01T12:00:00Z"}}}}, reference={"database_check_period": "0s"})
    workers = [farm.register() for _ in range(205)]
    for worker in workers:
        put(worker, "", "22:00", "06:00")
    events, left = farm.events(), {w.id for w in workers}
    farm.clock(set="2026-01-01T22:00:31Z")
    events.wait_while(lambda: farm.advance("31s"),
                      lambda e: left.discard(e["payload"].get("id")) or not left)
    assert all(w["status_change"] == change("asleep") for w in farm.api.ok("GET", "/worker-mgt/workers")["workers"])


# ---- Without the plugin ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("member", [None, {"file": "sleep-scheduler", "enabled": False}], ids=["absent", "disabled"])
def test_without_sleep_scheduler(make_farm, member):
    farm = make_farm(yaml={"plugins": {"sleep_scheduler": member}})
    worker = farm.worker(status="error")
    assert_empty(farm.api.get(path(worker)))
    assert_error(farm.api.get("/worker-mgt/workers/nope/sleep-schedule"), 400)
    reply = farm.api.post(path(worker), schedule())
    assert_error(reply, 503)
    assert "Retry-After" not in reply.headers
    assert_error(farm.api.post(f"/worker-mgt/workers/{UNKNOWN}/sleep-schedule", schedule()), 404)
    assert worker.sign_on() == "awake"

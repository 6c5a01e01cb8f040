# SPDX-License-Identifier: Apache-2.0
"""The table "A member that is absent or disabled" of decisions.md, and a manager that has none of its optional members. Each
member's own file has the rest: test_sleep_schedule.py, test_farm_status.py, test_last_rendered.py, test_shaman_*.py."""
import pytest
from harness.check import assert_empty, assert_error
from harness.images import plain

OPTIONAL = {"shaman": "shaman", "broadcaster": "event-recorder", "discovery": None, "event_forwarder": None, "http_routes": None,
            "farm_status": "farm-status", "last_rendered": "last-rendered", "sleep_scheduler": "sleep-scheduler"}


def off(member, how):
    """What manager.yaml says of a member that is not to be there."""
    if how == "absent" or OPTIONAL[member] is None:
        return None
    if how == "false":
        return False
    return {"file": OPTIONAL[member], "enabled": False}


@pytest.fixture(params=["absent", "disabled", "false"])
def bare_farm(make_farm, request):
    return make_farm(recorder=False, reference={"shaman": {"enabled": True}}, yaml={"plugins": {member: off(member, request.param) for member in OPTIONAL}})


def test_a_farm_renders_without_any_optional_member(bare_farm):
    worker = bare_farm.worker()
    job = bare_farm.submit([{}, {"deps": [0]}])
    for _ in range(2):
        worker.complete(worker.get_task()["uuid"])
    assert bare_farm.job(job["id"])["status"] == "completed"
    assert worker.ask().status_code == 204
    worker.sign_off()


def test_last_rendered_takes_images_and_knows_none(bare_farm):
    worker = bare_farm.worker()
    job = bare_farm.submit([{}])
    task = worker.get_task()["uuid"]
    reply = worker.api.post(f"/worker/task/{task}/output-produced", data=plain(4, 4), headers={"Content-Type": "image/png"})
    assert_empty(reply, 202)
    assert_empty(bare_farm.api.get(f"/jobs/{job['id']}/last-rendered"))
    assert_empty(bare_farm.api.get("/jobs/last-rendered"))


def test_sleep_scheduler_has_no_schedule_and_takes_none(bare_farm):
    worker = bare_farm.register()
    assert worker.sign_on() == "awake"
    path = f"/worker-mgt/workers/{worker.id}/sleep-schedule"
    assert_empty(bare_farm.api.get(path))
    schedule = {"is_active": True, "days_of_week": "mo", "start_time": "09:00", "end_time": "18:00"}
    assert_error(bare_farm.api.post(path, schedule), 503)


@pytest.mark.parametrize("path", ["/upnp/description.xml", "/socket.io/?EIO=3&transport=websocket", "/app/", "/flamenco-addon.zip",
                                  "/api/v3/swagger-ui/"])
def test_pages_of_members_that_are_not_there_are_404(bare_farm, path):
    assert bare_farm.api.get("/" + path).status_code == 404


def test_shaman_answers_503_and_stores_nothing(bare_farm):
    sha = "a" * 64
    for reply in (bare_farm.api.post("/shaman/checkout/requirements", {"files": []}),
                  bare_farm.api.post("/shaman/checkout/create", {"files": [], "checkoutPath": "x"}),
                  bare_farm.api.get(f"/shaman/files/{sha}/1"), bare_farm.api.post(f"/shaman/files/{sha}/1", data=b"x"),
                  bare_farm.api.post(f"/shaman/files/{sha}/1000000", data=b"x" * 1000000), bare_farm.api.get("/shaman/gc")):
        assert_error(reply, 503)
    shared = bare_farm.manager.shared
    assert not (shared / "file-store").exists() and not (shared / "jobs").exists()


def test_without_shaman_paths_are_those_of_a_shaman_that_is_switched_off(bare_farm):
    """The setting in the file stays."""
    config = bare_farm.api.ok("GET", "/configuration")
    assert config["shamanEnabled"] is False and config["storageLocation"] == str(bare_farm.manager.shared)
    where = bare_farm.api.ok("GET", "/configuration/shared-storage/workers/linux")
    assert where["shamanEnabled"] is False and where["location"] == str(bare_farm.manager.shared)
    assert bare_farm.api.ok("GET", "/configuration/file")["shaman"]["enabled"] is True


def test_farm_status_is_unknown(bare_farm):
    assert bare_farm.api.ok("GET", "/status")["status"] in ("unknown", "starting")


def test_plugins_say_what_is_off(bare_farm):
    shown = {m: p["enabled"] for p in bare_farm.api.ok("GET", "/plugins")["plugins"] for m in p["members"]}
    assert shown["persist"] is True
    assert not any(shown.get(member) for member in OPTIONAL)

# SPDX-License-Identifier: Apache-2.0
"""What is loaded (decisions, "Ours alone"): getPlugins."""
import pytest
from harness.manager import program, scale
from harness.openapi import assert_schema
from harness.store import backend, sqlite_only

SETTING = {"key", "type", "value", "secret", "given", "place"}


def plugins(farm):
    body = farm.api.ok("GET", "/plugins")
    assert_schema("PluginList", body)
    return {p["name"]: p for p in body["plugins"]}


def test_loaded_plugins_are_listed(farm):
    found = plugins(farm)
    assert list(found)[0] == "persist"
    persist = found["persist"]
    assert persist["members"] == ["persist"] and persist["interface"] == ["flamenco.persistence/1"]
    name = f"persist-{backend()}"
    assert persist["id"] == name and persist["version"] and persist["licence"] == "Apache-2.0"
    assert persist["file"] == str(program().resolve().parent.parent / "plugins" / name / f"{name}.so")
    assert persist["enabled"] is True and persist["health"] == {"ok": True, "message": ""}
    recorder = found["broadcaster"]
    assert recorder["members"] == ["broadcaster", "http_routes"]
    assert recorder["interface"] == ["flamenco.broadcaster/1", "flamenco.event_forwarder/1", "flamenco.http_routes/1"]
    assert {"task_scheduler", "job_compiler", "clock", "state_machine", "log_storage", "local_storage", "job_deleter",
            "sleep_scheduler"} <= set(found)


@sqlite_only
def test_settings(make_farm, tmp_path):
    farm = make_farm(yaml={"plugins": {
        "persist": {"file": "persist-sqlite", "settings": {"checkpoint_pages": 500}},
        "farm_status": {"file": "farm-status", "enabled": False},
        "http_routes": [{"use": "broadcaster"}, {"file": "webapp", "name": "pages", "settings": {"directory": str(tmp_path)}}]}})
    found = plugins(farm)
    settings = {s["key"]: s for s in found["persist"]["settings"]}
    given, default = settings["checkpoint_pages"], settings["quiet_pages"]
    assert SETTING <= set(given) and SETTING <= set(default)
    assert given["value"] == 500 and given["given"] is True and "manager.yaml:" in given["place"]
    assert default["given"] is False and default["place"].endswith("(default)") and str(default["value"]) == default["default"]
    # One that lives in the reference's file.
    (root,) = [s for s in found["local_storage"]["settings"] if s.get("reference_key") == "local_manager_storage_path"]
    assert root["value"] == str(farm.manager.storage) and root["given"] is True
    # Names are the admin's; a plugin that cannot work says why.
    pages = found["pages"]
    assert pages["id"] == "webapp" and pages["members"] == ["http_routes"]
    assert pages["health"]["ok"] is False and "index.html" in pages["health"]["message"]
    # Switched off.
    off = found["farm_status"]
    assert list(found)[-1] == "farm_status" and off["enabled"] is False and off["settings"] is None
    assert off["file"] == "farm-status" and off["interface"] == ["flamenco.farm_status/1"]
    assert off["health"] == {"ok": False, "message": "disabled"}


def test_secrets_are_masked(make_farm, tmp_path):
    """No plugin of ours has a secret yet: one of the loader's tests stands in."""
    file = program().resolve().parent.parent / "tests" / "bad-plugins" / "secret.so"
    if not file.exists():
        pytest.skip(f"{file} is missing: build with -Dtests=true")
    farm = make_farm(yaml={"plugins": {"event_forwarder": [
        {"name": "set", "file": str(file), "settings": {"password": "hunter2"}}, {"name": "unset", "file": str(file)}]}})
    found = plugins(farm)
    assert "hunter2" not in farm.api.get("/plugins").text
    assert [found[name]["settings"][0]["value"] for name in ("set", "unset")] == ["***", ""]
    assert found["set"]["settings"][0]["secret"] is True and "default" not in found["set"]["settings"][0]


def test_a_hanging_plugin_is_named_and_holds_up_nobody(make_farm):
    file = program().resolve().parent.parent / "tests" / "bad-plugins" / "hangs.so"
    if not file.exists():
        pytest.skip(f"{file} is missing: build with -Dtests=true")
    farm = make_farm(yaml={"plugins": {"event_forwarder": [{"name": "stuck", "file": str(file)}]}})
    for _ in range(12):  # more than the work pool has threads
        assert plugins(farm)["stuck"]["health"] == {"ok": False, "message": "it does not answer"}
    ready = farm.api.ok("GET", "//health/ready")
    assert ready["checks"]["stuck"] == {"ok": False, "message": "it does not answer"}
    assert ready["checks"]["persist"]["ok"]
    assert farm.api.ok("GET", "/version", timeout=20 * scale())
    # The manager cannot wait for it for ever.
    farm.manager.stop(expect=1)
    assert "stuck was asked for its health and hangs" in farm.manager.log()

# SPDX-License-Identifier: Apache-2.0
"""The setup assistant: first run, checks of storage and Blender, saving and the restart that follows (api-behaviour 7.1;
configuration-and-clients 1.9, 3.1)."""
import os
import time
from pathlib import Path

import pytest
import yaml
from harness.check import assert_empty, assert_error, wait_until
from harness.farm import GRAPH, Farm
from harness.http import Background
from harness.manager import Manager, program, scale

STORAGE, BLENDER, SAVE = "/configuration/check/shared-storage", "/configuration/check/blender", "/configuration/setup-assistant"
VERSION = "Blender 4.2.1 LTS"
GOOD = f"echo '{VERSION}'; echo '\tbuild date: 2024-08-20'"


def make_program(path, script, mode=0o755):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(mode)
    return str(path)


@pytest.fixture(scope="module")
def bin_dir(tmp_path_factory):
    """The only directory of the manager's PATH with programs of ours."""
    return tmp_path_factory.mktemp("bin")


@pytest.fixture(scope="module")
def module_farm(tmp_path_factory, bin_dir):
    manager = Manager(tmp_path_factory.mktemp("setup"), scripts={"graph.js": GRAPH}, env={"PATH": f":relative:{bin_dir}:/usr/bin:/bin"}).start()
    yield Farm(manager)
    manager.stop()


@pytest.fixture
def blender(bin_dir):
    """Puts a `blender` into the PATH."""
    def make(script):
        return make_program(bin_dir / "blender", script)
    yield make
    (bin_dir / "blender").unlink(missing_ok=True)


def check_storage(farm, path):
    reply = farm.api.ok("POST", STORAGE, json={"path": path})
    assert set(reply) == {"path", "is_usable", "cause"} and reply["path"] == path and reply["cause"]
    return reply["is_usable"], reply["cause"]


def check_blender(farm, path):
    reply = farm.api.ok("POST", BLENDER, json={"path": path})
    assert set(reply) == {"input", "path", "source", "is_usable", "cause"} and reply["input"] == path and reply["cause"]
    return reply


# ---- First run --------------------------------------------------------------------------------------------------------------

def configuration(farm):
    return farm.api.ok("GET", "/configuration")


def test_first_run_is_an_empty_storage_path(make_farm):
    farm = make_farm(reference={"shared_storage_path": ""})
    assert configuration(farm) == {"storageLocation": str(farm.manager.dir), "shamanEnabled": False, "isFirstRun": True}
    farm.api.ok("GET", "/jobs")  # everything works
    farm.submit([{}])


def test_first_run_without_a_file(make_manager):
    manager = make_manager(yaml={"listen": None})
    manager.manager_yaml["listen"] = f"127.0.0.1:{manager.port}"
    manager.manager_yaml["database"] = "farm.sqlite"
    manager.write_config()
    (manager.dir / "flamenco-manager.yaml").unlink()
    manager.start()
    assert configuration(Farm(manager))["isFirstRun"] is True
    assert not (manager.dir / "flamenco-manager.yaml").exists(), "the start writes nothing"


def test_first_run_can_be_forced_until_the_restart(make_farm):
    farm = make_farm(args=["-setup-assistant"])
    assert configuration(farm)["isFirstRun"] is True
    farm.manager.restart_in_place()
    farm.api.session.close()
    assert configuration(farm)["isFirstRun"] is False


def opener(make_manager, tmp_path, **kw):
    """A manager whose desktop has an xdg-open that notes what it should open, and does not end."""
    note = tmp_path / "opened"
    make_program(tmp_path / "desktop" / "xdg-open", f"echo $* >> {note}; exec sleep 5")
    manager = make_manager(env={"DISPLAY": ":77", "PATH": f"{tmp_path}/desktop:/usr/bin:/bin"}, **kw).start()
    return manager, note


def test_first_run_opens_the_browser_once(make_manager, tmp_path):
    manager, note = opener(make_manager, tmp_path, reference={"shared_storage_path": ""})
    manager.wait_log(f"first run: open {manager.url}/ ")
    wait_until(lambda: note.exists() and note.read_text(), "it is opened")
    manager.restart_in_place()
    time.sleep(1.5)
    assert note.read_text() == manager.url + "/\n"


def test_other_runs_open_no_browser(make_manager, tmp_path):
    manager, note = opener(make_manager, tmp_path)
    time.sleep(1.5)
    assert not note.exists() and "first run" not in manager.log()


def test_first_run_without_an_opener(make_manager):
    manager = make_manager(env={"DISPLAY": ":77", "PATH": "/no/such"}, reference={"shared_storage_path": ""}).start()
    manager.wait_log("the web browser was not opened: there is no xdg-open")


# ---- Shared storage -----------------------------------------------------------------------------------------------------------

def test_good_storage_is_left_as_it_was(module_farm, tmp_path):
    (tmp_path / "kept").write_text("x")
    assert check_storage(module_farm, str(tmp_path))[0] is True
    assert check_storage(module_farm, str(tmp_path) + "/")[0] is True
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_storage_without_a_body_is_the_empty_path(module_farm):
    reply = module_farm.api.ok("POST", STORAGE)
    assert reply["path"] == "" and reply["is_usable"] is False and reply["cause"]


@pytest.mark.parametrize("path", ["", "\\\\HOST\\share", "\\\\?\\UNC\\x", "\\\\", "/no/such/directory", "C:\\x", "\\", "//host/x",
                                  "no-such-relative", "/etc/passwd", "/etc/passwd/x", "/dev/null", "/tmp/\0x", "x" * 5000, "/" + "x" * 300])
def test_storage_that_cannot_be_used(module_farm, path):
    usable, cause = check_storage(module_farm, path)
    assert usable is False
    if path.startswith("\\\\"):
        assert "network path" in cause


def test_directory_of_the_program_is_no_storage(module_farm, tmp_path):
    own = str(program().resolve().parent)
    for path in (own, own + "/", own + "/."):
        usable, cause = check_storage(module_farm, path)
        assert usable is False and "program" in cause
    assert not list(Path(own).glob("flamenco-writability-test-*"))


def test_read_only_storage(module_farm):
    """/proc takes no files, from root neither."""
    usable, cause = check_storage(module_farm, "/proc")
    assert usable is False and "write" in cause


def test_bad_requests_for_checks(module_farm):
    for path in (STORAGE, BLENDER):
        for body in ({}, {"path": None}, {"path": 5}, [], "x"):
            assert_error(module_farm.api.post(path, json=body), 400)


# ---- Blender --------------------------------------------------------------------------------------------------------------------

def test_no_blender_is_found(module_farm):
    if any((Path(d) / "blender").exists() for d in ("/usr/bin", "/bin")):
        pytest.skip("this machine has a Blender")
    assert module_farm.api.ok("GET", BLENDER) == []
    reply = check_blender(module_farm, "")
    assert (reply["path"], reply["source"], reply["is_usable"]) == ("", "path_envvar", False)


def test_blender_in_the_path(module_farm, blender):
    path = blender(GOOD)
    found = {"input": "blender", "path": path, "source": "path_envvar", "is_usable": True, "cause": VERSION}
    assert module_farm.api.ok("GET", BLENDER) == [found]
    assert module_farm.api.ok("POST", BLENDER, json={"path": "blender"}) == found
    assert module_farm.api.ok("POST", BLENDER, json={"path": ""}) == dict(found, input="")
    assert module_farm.api.ok("POST", BLENDER) == dict(found, input="")


@pytest.mark.parametrize("script, words", [("exit 1", "exit code 1"), ("kill -9 $$", "137"), ("echo GIMP 2", "another program"),
                                           (f"{GOOD}; exit 3", "exit code 3"), ("", "another program")])
def test_blender_that_fails(module_farm, blender, script, words):
    path = blender(script)
    assert words in assert_error(module_farm.api.get(BLENDER), 500)
    for given, source in ((path, "input_path"), ("blender", "path_envvar")):
        reply = check_blender(module_farm, given)
        assert (reply["path"], reply["source"], reply["is_usable"]) == ("", source, False) and words in reply["cause"]


def test_blender_at_a_path(module_farm, tmp_path):
    directory = tmp_path / "blender 4.2 (x)"
    path = make_program(directory / "blender", GOOD)
    for given in (path, str(directory), str(directory) + "/"):
        reply = check_blender(module_farm, given)
        assert reply == {"input": given, "path": path, "source": "input_path", "is_usable": True, "cause": reply["cause"]}
        assert VERSION in reply["cause"]
    other = make_program(tmp_path / "blender-4.2", f"echo noise; echo '{VERSION}' >&2")
    assert check_blender(module_farm, other)["is_usable"] is True, "on stderr, and not in the first line"


def test_blender_that_is_not_there(module_farm, tmp_path):
    no_program = tmp_path / "text"
    no_program.write_text("x")
    script = make_program(tmp_path / "bad-interpreter", "")
    Path(script).write_text("#!/no/such/interpreter\n")
    for given in ("/no/such/blender", "./no-such", str(tmp_path), str(no_program), str(no_program) + "/x", "/dev/null", script, "/a\0b",
                  "/" + "é" * 3000):
        reply = check_blender(module_farm, given)
        assert (reply["path"], reply["source"], reply["is_usable"]) == ("", "input_path", False), given[:100]
    for given in ("no-such-blender", "x" * 5000, "a\0b"):
        reply = check_blender(module_farm, given)
        assert (reply["path"], reply["source"], reply["is_usable"]) == ("", "path_envvar", False)


def test_blender_that_floods(module_farm, tmp_path):
    """Only so much of the output is kept; the line must be in that."""
    flood = make_program(tmp_path / "flood", "head -c 20000000 /dev/zero | tr '\\0' x; echo")
    assert check_blender(module_farm, flood)["is_usable"] is False
    late = make_program(tmp_path / "late", f"{GOOD}; head -c 20000000 /dev/zero")
    assert check_blender(module_farm, late)["cause"] == VERSION
    long = make_program(tmp_path / "long", "printf 'Blender '; head -c 30000 /dev/zero | tr '\\0' y")
    assert len(check_blender(module_farm, long)["cause"]) <= 200


def test_what_blender_leaves_behind_is_ended(module_farm, tmp_path):
    """A background process that keeps the output open does not hold up the answer, and is killed."""
    pid_file = tmp_path / "pid"
    path = make_program(tmp_path / "daemon", f"sleep 1000 & echo $! > {pid_file}; {GOOD}")
    began = time.monotonic()
    assert check_blender(module_farm, path)["is_usable"] is True
    assert time.monotonic() - began < 5 * scale()
    pid = int(pid_file.read_text())
    wait_until(lambda: not is_alive(pid), "it is gone")


def is_alive(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_blender_that_hangs(module_farm, tmp_path):
    """Ended after 10 s with all that it started; the manager serves meanwhile; others wait for their turn."""
    pid_file = tmp_path / "pid"
    path = make_program(tmp_path / "hangs", f"trap '' TERM INT HUP; sleep 1000 & echo $! > {pid_file}; wait; sleep 1000")
    quick = make_program(tmp_path / "quick", GOOD)
    began = time.monotonic()
    call = Background(module_farm.api.clone().ok, "POST", BLENDER, json={"path": path})
    wait_until(pid_file.exists, "it runs")
    second = Background(module_farm.api.clone().ok, "POST", BLENDER, json={"path": quick})
    wait_until(lambda: pid_file.read_text().strip(), "it runs")
    while not call.done:
        module_farm.api.ok("GET", "/version")
        module_farm.submit([{}])
        time.sleep(0.2)
    reply = call.result()
    assert (reply["path"], reply["source"], reply["is_usable"]) == ("", "input_path", False) and "in time" in reply["cause"]
    assert 9 < time.monotonic() - began < 20 * scale()
    assert second.result()["is_usable"] is True
    wait_until(lambda: not is_alive(int(pid_file.read_text())), "its child is gone")


def test_blender_gets_no_descriptor_and_no_signal_mask(module_farm, tmp_path):
    out = tmp_path / "out"
    path = make_program(tmp_path / "looks", f"ls /proc/self/fd > {out}; grep SigBlk /proc/self/status >> {out}; {GOOD}")
    assert check_blender(module_farm, path)["is_usable"] is True
    lines = out.read_text().split()
    assert [line for line in lines if line.isdigit() and len(line) < 6] == ["0", "1", "2", "3"], lines  # 3: the directory itself
    assert "SigBlk:\t0000000000000000" in out.read_text()


def test_stop_does_not_wait_for_blender(own_farm, tmp_path):
    started = tmp_path / "started"
    path = make_program(tmp_path / "hangs", f"touch {started}; exec sleep 1000")
    call = Background(own_farm.api.clone().post, BLENDER, json={"path": path})
    wait_until(started.exists, "it runs")
    began = time.monotonic()
    own_farm.manager.stop()
    assert time.monotonic() - began < 6 * scale()
    assert call.result().json()["is_usable"] is False


# ---- Saving ------------------------------------------------------------------------------------------------------------------------

def body(storage="/srv/flamenco", **blender):
    return {"storageLocation": storage,
            "blenderExecutable": {"input": "", "path": "", "source": "default", "is_usable": True, "cause": "", **blender}}


@pytest.mark.parametrize("wrong", [
    body(storage=""), body(is_usable=False), body(storage="", is_usable=False), body(source="file_association", input="x"),
    *[body(source=source, path=path, input=given) for source in ("input_path", "path_envvar", "system_location")
      for path, given in (("", ""), ("/x", ""), ("", "x"))],
    body(source="nonsense"), body(source=""), {"storageLocation": "/x"}, {"blenderExecutable": body()["blenderExecutable"]}, {}, [],
], ids=str)
def test_incomplete_findings_are_refused(farm, wrong):
    before = (farm.manager.dir / "flamenco-manager.yaml").read_bytes()
    assert_error(farm.api.post(SAVE, json=wrong), 400)
    assert (farm.manager.dir / "flamenco-manager.yaml").read_bytes() == before
    assert farm.manager.is_running()


def test_no_body_is_refused(farm):
    assert_error(farm.api.post(SAVE), 400)


@pytest.mark.parametrize("chosen, blender", [
    (dict(source="default"), "blender"),
    (dict(source="file_association", path="C:\\b\\blender.exe"), "blender"),
    (dict(source="path_envvar", path="/usr/bin/blender-4", input="blender-4"), "blender-4"),
    (dict(source="input_path", path="/opt/b/blender", input="/opt/b"), "/opt/b/blender"),
    # Not quoted as the reference does: Workers could not run that.
    (dict(source="input_path", path="/opt/b (x86);\tü/blender", input="/opt/b"), "/opt/b (x86);\tü/blender"),
    (dict(source="system_location", path="/Applications/B", input="/Applications"), "/Applications/B"),
])
def test_saving_restarts_with_what_was_found(make_farm, chosen, blender):
    farm = make_farm(reference={"shared_storage_path": "", "manager_name": "Kept", "variables": {
        "mine": {"values": [{"platform": "linux", "value": "/m"}]},
        "blender": {"values": [{"platform": "linux", "value": "/old"}]}}})
    pid, path = farm.manager.proc.pid, farm.manager.dir / "flamenco-manager.yaml"
    before, position = path.read_bytes(), farm.manager.log_position()
    assert_empty(farm.api.post(SAVE, json=body("/srv/farm/../flamenco/", **chosen)))
    farm.api.session.close()
    farm.manager.wait_log("manager: ready", position)
    assert farm.manager.proc.pid == pid
    assert configuration(farm) == {"storageLocation": "/srv/flamenco", "shamanEnabled": False, "isFirstRun": False}
    file = yaml.safe_load(path.read_text())
    assert file["shared_storage_path"] == "/srv/farm/../flamenco/" and file["manager_name"] == "Kept"
    assert file["listen"] == f"127.0.0.1:{farm.manager.port}"
    assert file["variables"]["blender"] == {"values": [{"platform": p, "value": blender} for p in ("linux", "windows", "darwin")]}
    assert file["variables"]["blenderArgs"]["values"][0]["value"] == "-b -y"
    assert file["variables"]["mine"]["values"][0]["value"] == "/m"
    assert path.with_name(path.name + ".bak").read_bytes() == before
    assert farm.api.ok("GET", "/configuration/variables/workers/windows")["blender"]["value"] == blender


def test_page_that_reloads_after_two_seconds_is_served(make_farm):
    """The web application waits 2 s and loads once; until then every connection is taken."""
    farm = make_farm(reference={"shared_storage_path": ""})
    position = farm.manager.log_position()
    assert_empty(farm.api.post(SAVE, json=body(), headers={"Connection": "close"}))
    seen = []
    while not any(" manager: ready" in line for line in farm.manager.log().splitlines()[position:]):
        api = farm.api.clone()
        try:
            seen.append(api.get("/configuration", headers={"Connection": "close"}).status_code)
        except OSError as reason:
            assert "refused" not in str(reason).lower(), reason
            seen.append("cut")
    assert 200 in seen
    assert configuration(farm)["isFirstRun"] is False


def test_saving_twice_restarts_once(make_farm):
    farm = make_farm(reference={"shared_storage_path": ""})
    position = farm.manager.log_position()
    assert_empty(farm.api.post(SAVE, json=body("/srv/1")))
    assert_empty(farm.api.post(SAVE, json=body("/srv/2")))
    farm.api.session.close()
    farm.manager.wait_log("manager: ready", position)
    assert configuration(farm)["storageLocation"] == "/srv/2"
    assert len([line for line in farm.manager.log().splitlines()[position:] if " manager: restarting" in line]) == 1


def test_what_cannot_be_saved_is_told_and_nothing_restarts(make_farm):
    farm = make_farm(reference={"shared_storage_path": ""})
    path = farm.manager.dir / "flamenco-manager.yaml"
    os.mkdir(str(path) + "~")  # the temporary file cannot be made
    before = path.read_bytes()
    assert "flamenco-manager.yaml" in assert_error(farm.api.post(SAVE, json=body()), 500)
    assert path.read_bytes() == before and configuration(farm)["isFirstRun"] is True
    assert "restarting" not in farm.manager.log()

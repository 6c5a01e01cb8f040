# SPDX-License-Identifier: Apache-2.0
"""Command line, exit codes, log lines (configuration-and-clients 1.1, 1.5)."""
import json
import re
import signal
import subprocess

import pytest
import yaml
from harness.http import Api
from harness.manager import environment, program
from harness.store import backend


def run(*args, cwd):
    done = subprocess.run([str(program()), *args], cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("flag", ["-version", "--version", "-version=true", "--version=1", "-version=t"])
def test_version(tmp_path, flag):
    code, out, _ = run(flag, cwd=tmp_path)
    assert code == 0 and re.search(r"\d+\.\d+", out)
    assert list(tmp_path.iterdir()) == [], "nothing is started"


@pytest.mark.parametrize("flag", ["-h", "-help", "--help", "--h"])
def test_help(tmp_path, flag):
    code, out, err = run(flag, cwd=tmp_path)
    assert code == 0
    for word in ("check-config", "write-config", "quiet", "list-plugins", "config"):
        assert word in out + err


@pytest.mark.parametrize("args", [["-colour"], ["--colour=red"], ["-quiet=perhaps"], ["-version=2"], ["--log-format", "xml"],
                                  ["--log-format"], ["--config"], ["---quiet"]])
def test_bad_command_line_is_exit_code_2_with_usage_on_stderr(tmp_path, args):
    code, _, err = run(*args, cwd=tmp_path)
    assert code == 2 and "usage" in err.lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [["-check-config"], ["--check-config"], ["-check-config=true", "leftover"],
                                  ["--check-config", "--", "-colour"], ["-check-config", "leftover", "-colour"]])
def test_spellings_and_left_over_arguments(make_manager, args):
    manager = make_manager(config=None)
    assert manager.run("-config", "manager.yaml", *args).returncode == 0
    assert manager.run("--config=manager.yaml", *args).returncode == 0


def test_missing_config_file(tmp_path):
    code, out, err = run("--config", "nowhere.yaml", "--check-config", cwd=tmp_path)
    assert code == 1 and "nowhere.yaml" in out + err


def test_list_plugins(make_manager):
    done = make_manager(manual_clock=True).run("--list-plugins")
    assert done.returncode == 0
    for name in (f"persist-{backend()}", "compiler-js", "clock-manual", "event-recorder", "state-machine", "scheduler-priority",
                 "log-storage", "local-storage"):
        assert name in done.stdout
    assert "flamenco.persistence/1" in done.stdout


@pytest.mark.parametrize("flags, least", [
    ([], "INF"), (["-quiet"], "WRN"), (["-debug"], "DBG"), (["--trace"], "TRC"), (["-trace", "-quiet"], "TRC"),
    (["-debug", "-quiet"], "DBG"), (["-quiet=false"], "INF"),
])
def test_log_levels(make_manager, flags, least):
    manager = make_manager(args=flags)
    manager.start()
    Api(manager.url).get("/version")
    manager.stop()
    levels = ["TRC", "DBG", "INF", "WRN", "ERR"]
    seen = {m.group(1) for m in re.finditer(r"^\S+ ([A-Z]{3}) ", manager.log(), re.M)}
    assert seen <= set(levels[levels.index(least):])
    if least != "TRC":
        assert least in seen  # the recorder warns, so each has at least one line


def test_log_lines_of_text(make_farm):
    farm = make_farm()
    farm.submit([{}])
    for line in farm.manager.log().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d) (TRC|DBG|INF|WRN|ERR) [\w-]+: ", line), line
    assert any(re.search(r"req(uest)?=\S+", line) for line in farm.manager.log().splitlines())
    assert any(re.search(rf"- {re.escape(farm.manager.url)}/?$", line) for line in farm.manager.log().splitlines())


def test_log_lines_of_json(make_farm):
    farm = make_farm(args=["--log-format", "json", "-debug"])
    farm.submit([{}], name='quotes " and \\ and ä\n')
    lines = [json.loads(line) for line in farm.manager.log().splitlines()]
    assert len(lines) > 3
    for line in lines:
        assert {"time", "level", "message"} <= set(line), line
        assert all(isinstance(v, (str, int, float, bool)) for v in line.values())


# ---- -write-config --------------------------------------------------------------------------------------------------------

def test_write_config_without_a_file(make_manager):
    manager = make_manager(config=None)
    path = manager.dir / "flamenco-manager.yaml"
    path.unlink()
    (manager.dir / "manager.yaml").unlink()
    assert manager.run("-write-config").returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    comments = text.split("\n\n")[0].splitlines()
    assert len(comments) == 6 and all(line.startswith("#") for line in comments)
    written = yaml.safe_load(text)
    assert written["_meta"] == {"version": 3}
    assert list(written) == ["_meta", "manager_name", "database", "database_check_period", "listen", "autodiscoverable",
                             "local_manager_storage_path", "shared_storage_path", "shaman", "task_timeout", "worker_timeout",
                             "blocklist_threshold", "task_fail_after_softfail_count", "mqtt", "variables"]
    assert written["manager_name"] == "Flamenco" and written["listen"] == ":8080" and written["task_timeout"] == "10m0s"
    assert written["variables"]["blenderArgs"]["values"] == [{"audience": "all", "platform": "all", "value": "-b -y"}] or \
        written["variables"]["blenderArgs"]["values"][0]["value"] == "-b -y"


def test_write_config_keeps_what_is_set(make_manager):
    manager = make_manager(reference={"manager_name": "yes", "shared_storage_path": "./rel", "task_timeout": "90s",
                                      "variables": {"v": {"is_twoway": True, "values": [{"platforms": ["linux", "darwin"], "value": " x#y"}]}}})
    path = manager.dir / "flamenco-manager.yaml"
    path.chmod(0o640)
    assert manager.run("--write-config").returncode == 0
    written = yaml.safe_load(path.read_text())
    assert written["manager_name"] == "yes" and written["task_timeout"] == "1m30s"
    assert written["shared_storage_path"] == str(manager.dir / "rel")
    assert written["variables"]["v"]["values"][0]["value"] == " x#y"
    assert written["listen"] == f"127.0.0.1:{manager.port}"
    assert "plugins" not in written and "http" not in written
    assert path.stat().st_mode & 0o777 == 0o640, "writing in place keeps the mode"
    # what was written is read again as the same
    first = path.read_text().split("\n\n", 1)[1]
    assert manager.run("--write-config").returncode == 0
    assert path.read_text().split("\n\n", 1)[1] == first
    manager.start()


def test_write_config_failure_is_exit_code_1(make_manager):
    manager = make_manager()
    path = manager.dir / "flamenco-manager.yaml"
    path.unlink()
    path.mkdir()
    assert manager.run("-write-config").returncode == 1


def test_bad_file_is_not_overwritten(make_manager):
    manager = make_manager()
    path = manager.dir / "flamenco-manager.yaml"
    path.write_text("_meta: {version: 2}\nprecious: data\n")
    assert manager.run("-write-config").returncode == 1
    assert path.read_text() == "_meta: {version: 2}\nprecious: data\n"


# ---- Ending ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_exit_code_0(make_manager, sig):
    manager = make_manager()
    manager.start()
    manager.stop(expect=0, sig=sig)


def test_setup_assistant_forces_first_run_once(make_manager):
    manager = make_manager(args=["-setup-assistant"])
    manager.start()
    api = Api(manager.url)
    assert api.ok("GET", "/configuration")["isFirstRun"] is True
    manager.restart_in_place()
    assert api.clone().ok("GET", "/configuration")["isFirstRun"] is False

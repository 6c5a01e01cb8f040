# SPDX-License-Identifier: Apache-2.0
"""The simulated Worker has the official Worker's manners: what it does after each kind of answer. Pauses are scaled by
0.01, so its 20 s after "no task" are 200 ms here, and its minute is 600 ms."""
import json
import time

import pytest

from mock_manager import DROP

ONE_WORKER = ("--workers", "1", "--frames", "1-3", "--chunk", "3")


def times(manager, op):
    return [at for o, _, _, at in manager.requests if o == op]


def updates(manager):
    return [body for op, _, body, _ in manager.requests if op == "update"]


def statuses(manager):
    return [body["taskStatus"] for body in updates(manager) if "taskStatus" in body]


def test_worker_goes_the_official_way(sim, manager):
    assert sim("demo", *ONE_WORKER, "--quit-workers").returncode == 0
    assert manager.ops("sim-1")[:3] == ["sign_on", "state_changed", "ask"]
    assert manager.ops("sim-1")[-1] == "sign_off"
    assert manager.bodies("state_changed") == [{"status": "awake"}]
    first = updates(manager)[:6]
    assert first[0] == {"activity": "Started", "taskStatus": "active"}
    assert [u.get("steps_completed") for u in first[1:4]] == [1, 2, 3]
    assert "pid=" in first[4]["log"] and "Saved: '/render/" in first[4]["log"]
    assert first[5] == {"activity": "Completed", "taskStatus": "completed"}
    registration = manager.bodies("register")[0]
    assert registration["supported_task_types"] == ["blender", "ffmpeg", "file-management", "misc"]
    assert manager.bodies("sign_on")[0]["can_restart"] is False


def test_no_task_means_20_seconds_and_an_error_a_minute(sim, manager):
    manager.script("ask", (204, None), (409, {"code": 409, "message": "no"}), (500, {"message": "no"}), (403, {"message": "no"}),
                   (423, b"not JSON"), None)
    assert sim("demo", *ONE_WORKER).returncode == 0
    at = times(manager, "ask")
    assert 0.17 < at[1] - at[0] < 0.45
    for before, after in zip(at[1:5], at[2:6]):
        assert 0.53 < after - before < 0.95
    assert manager.ops().count("sign_on") == 1 and manager.ops().count("state_changed") == 1


def test_423_sends_the_worker_to_sleep_until_it_is_woken(sim, manager):
    manager.script("ask", (423, {"status_requested": "asleep"}))
    manager.script("state", (204, None), (500, None), DROP, (200, {"status_requested": "awake"}))
    assert sim("demo", *ONE_WORKER).returncode == 0
    assert manager.bodies("state_changed") == [{"status": s} for s in ("awake", "asleep", "awake")]
    assert manager.ops().count("state") == 4


def test_unknown_status_sends_the_worker_to_sleep(sim, manager):
    manager.script("ask", (423, {"status_requested": "dancing"}))
    manager.script("state", (200, {"status_requested": "awake"}))
    assert sim("demo", *ONE_WORKER).returncode == 0
    assert manager.bodies("state_changed")[1] == {"status": "asleep"}


def test_offline_worker_signs_off_without_acknowledging(sim, manager):
    manager.script("ask", (423, {"status_requested": "offline"}))
    assert sim("demo", *ONE_WORKER, "--timeout", "700ms").returncode == 4
    assert manager.ops("sim-1") == ["sign_on", "state_changed", "ask", "sign_off"]


def test_restarted_worker_comes_back_with_its_identity(sim, manager):
    manager.script("ask", (423, {"status_requested": "restart"}))
    assert sim("demo", *ONE_WORKER, "--can-restart").returncode == 0
    assert manager.ops("sim-1")[:6] == ["sign_on", "state_changed", "ask", "sign_off", "sign_on", "state_changed"]
    assert manager.ops().count("register") == 1
    assert manager.bodies("sign_on")[0]["can_restart"] is True


def test_409_on_an_update_makes_it_give_the_task_up(sim, manager):
    manager.script("update", None, None, (409, {"code": 409, "message": "reassigned"}))
    assert sim("demo", *ONE_WORKER).returncode == 0
    ops = [op for op in manager.ops("sim-1") if op != "may_i_run"] # that one depends on how slow the machine is
    assert ops[2:7] == ["ask", "update", "update", "update", "ask"]


@pytest.mark.parametrize("status", [400, 404, 409, 500, 503])
def test_task_whose_start_is_refused_is_dropped_silently(sim, manager, status):
    manager.script("update", (status, {"code": status, "message": "no"}))
    assert sim("demo", *ONE_WORKER).returncode == 0
    assert manager.ops("sim-1")[2:5] == ["ask", "update", "ask"]
    assert statuses(manager)[:2] == ["active", "active"]


def test_refused_log_fails_the_task(sim, manager):
    manager.script("update", None, None, None, None, (500, {"code": 500, "message": "disk full"}))
    sim("demo", *ONE_WORKER)
    assert statuses(manager)[:2] == ["active", "failed"]
    failure = updates(manager)[5]
    assert failure["activity"].startswith("Failed: ") and failure["log"] == failure["activity"]


def test_refused_progress_is_only_logged(sim, manager):
    manager.script("update", None, (500, {"code": 500, "message": "?"}))
    assert sim("demo", *ONE_WORKER).returncode == 0
    assert statuses(manager)[:2] == ["active", "completed"]


def test_updates_without_answer_are_queued_and_sent_again_in_order(sim, manager):
    manager.script("update", None, DROP)  # the first step gets no answer; everything after it has to wait
    assert sim("demo", *ONE_WORKER).returncode == 0
    assert [u.get("steps_completed") for u in updates(manager)[1:5]] == [1, 1, 2, 3]
    # Meanwhile the Worker is given the same task again, since the manager does not know yet that it is done.
    assert statuses(manager)[:2] == ["active", "completed"]


def test_queued_update_is_forgotten_after_any_answer(sim, manager):
    manager.script("update", None, DROP, (500, {"code": 500, "message": "?"}))
    assert sim("demo", *ONE_WORKER).returncode == 0
    assert [u.get("steps_completed") for u in updates(manager)[1:5]] == [1, 1, 2, 3]


def test_post_is_never_sent_twice_by_the_transport(sim, manager):
    # libcurl would repeat it at once on a fresh connection; the Worker waits a minute.
    manager.script("ask", DROP)
    assert sim("demo", *ONE_WORKER).returncode == 0
    at = times(manager, "ask")
    assert at[1] - at[0] > 0.5


def test_may_i_run_no_aborts_without_an_update(sim, manager):
    manager.script("may_i_run", (200, {"mayKeepRunning": False, "reason": "because", "statusChangeRequested": False}))
    # one frame takes as long as 50 s, so may-i-run is asked after 10
    assert sim("demo", "--workers", "1", "--frames", "1", "--frame-time", "50").returncode == 0
    assert statuses(manager)[:2] == ["active", "active"]
    assert manager.ops("sim-1")[2:6] == ["ask", "update", "may_i_run", "ask"]
    at = times(manager, "may_i_run")
    assert 0.09 < at[0] - times(manager, "update")[0] < 0.3


@pytest.mark.parametrize("answer", [(500, {"message": "?"}), (404, None), DROP, (200, b"mayKeepRunning")])
def test_unclear_may_i_run_keeps_it_running(sim, manager, answer):
    manager.script("may_i_run", *[answer] * 20)
    assert sim("demo", "--workers", "1", "--frames", "1", "--frame-time", "50").returncode == 0
    assert statuses(manager)[:2] == ["active", "completed"]


@pytest.mark.parametrize("command, reason", [
    ({"name": "dance", "parameters": {}}, "unknown command"),
    ({"name": "echo", "parameters": {}}, "echo without message"),
    ({"name": "sleep", "parameters": {"duration_in_seconds": "5"}}, "sleep without"),
    ({"name": "frames-to-video", "parameters": {"exe": "x", "fps": "24", "inputGlob": "a", "outputFile": "b"}}, "good fps"),
    ({"name": "blender-render", "parameters": {"exe": "blender"}}, "invalid parameters"),
])
def test_wrong_command_fails_the_task(sim, manager, command, reason):
    task = {"uuid": "11111111-1111-4111-8111-111111111111", "job": "21111111-1111-4111-8111-111111111111", "name": "t",
            "status": "active", "task_type": "misc", "steps_completed": 0, "steps_total": 1, "priority": 50,
            "commands": [dict(command, total_step_count=0)]}
    manager.script("ask", (200, task))
    manager.script("update", (204, None), (204, None))
    assert sim("demo", *ONE_WORKER).returncode == 0
    assert updates(manager)[1]["taskStatus"] == "failed" and reason in updates(manager)[1]["activity"]


def test_task_that_is_no_task_means_a_minute(sim, manager):
    manager.script("ask", (200, {"uuid": "?"}), (200, b"{}"))
    assert sim("demo", *ONE_WORKER).returncode == 0
    at = times(manager, "ask")
    assert at[1] - at[0] > 0.5 and at[2] - at[1] > 0.5


# -- registration and sign-on --

def test_credentials_are_kept_and_used_again(sim, manager, tmp_path):
    state = tmp_path / "state.json"
    for _ in range(2):
        assert sim("demo", *ONE_WORKER, "--state", str(state), "--quit-workers").returncode == 0
    assert manager.ops().count("register") == 1
    assert state.stat().st_mode & 0o777 == 0o600
    kept = json.loads(state.read_text())[manager.url]["sim-1"]
    assert len(kept["secret"]) == 64 and kept["uuid"] in manager.workers


def test_refused_sign_on_leads_to_a_new_registration(sim, manager, tmp_path):
    state = ("--state", str(tmp_path / "state.json"))
    assert sim("demo", *ONE_WORKER, *state).returncode == 0
    manager.script("sign_on", (503, {"code": 503, "message": "busy"}))
    assert sim("demo", *ONE_WORKER, *state).returncode == 0
    assert manager.ops().count("register") == 2


def test_sign_on_without_answer_is_tried_again_after_5_seconds(sim, manager, tmp_path):
    state = ("--state", str(tmp_path / "state.json"))
    assert sim("demo", *ONE_WORKER, *state).returncode == 0
    before = len(times(manager, "sign_on"))
    manager.script("sign_on", DROP, DROP)
    assert sim("demo", *ONE_WORKER, *state).returncode == 0
    at = times(manager, "sign_on")[before:]
    assert len(at) == 3 and 0.04 < at[1] - at[0] < 0.3
    assert manager.ops().count("register") == 1


@pytest.mark.parametrize("op", ["register", "sign_on"])
def test_new_worker_that_is_refused_ends(sim, manager, op):
    manager.script(op, (503, {"code": 503, "message": "busy"}))
    result = sim("demo", *ONE_WORKER)
    assert result.returncode == 1 and "503" in result.stderr


def test_manager_that_restarts_loses_nothing(start_sim, manager):
    process = start_sim("demo", "--workers", "3", "--frames", "1-40", "--chunk", "4", "--frame-time", "1")
    for _ in range(2):
        seen = len(manager.requests)
        deadline = time.monotonic() + 20
        while len(manager.requests) < seen + 15 and time.monotonic() < deadline:
            time.sleep(0.01)
        manager.stop()
        time.sleep(0.2)
        manager.start()
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    assert {t["status"] for t in manager.tasks.values()} == {"completed"}
    assert manager.ops().count("register") == 3

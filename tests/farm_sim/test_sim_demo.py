# SPDX-License-Identifier: Apache-2.0
"""farm-sim demo: what it prints, and with which code it ends."""
import json
import signal
import socket


def finished(manager):
    return {task["status"] for task in manager.tasks.values()}


def test_demo_completes_a_render_job(sim, manager):
    result = sim("demo", "--quit-workers")
    assert result.returncode == 0, result.stderr
    assert "The job is completed: 9 tasks" in result.stdout
    assert finished(manager) == {"completed"}
    assert [t["steps_completed"] for t in manager.tasks.values()] == [3] * 8 + [1]
    assert manager.ops().count("register") == 4 and manager.ops().count("sign_off") == 4
    assert "\033" not in result.stdout, "no colours when the output is no terminal"
    assert manager.problems == []


def test_demo_completes_an_echo_sleep_test(sim, manager):
    result = sim("demo", "--job-type", "echo-sleep-test", "--workers", "2")
    assert result.returncode == 0, result.stderr
    assert finished(manager) == {"completed"}
    assert manager.problems == []


def test_demo_json_is_one_object(sim, manager):
    result = sim("demo", "--json", "--frames", "1-4", "--chunk", "2")
    report = json.loads(result.stdout)
    assert report["status"] == "completed" and report["tasks"] == 3 and report["tasks_completed"] == 3


def test_demo_sends_images(sim, manager):
    assert sim("demo", "--images").returncode == 0
    assert "output" in manager.ops()
    assert manager.problems == []


def test_demo_of_a_failing_job_ends_with_1(sim, manager):
    result = sim("demo", "--fail-rate", "1")
    assert result.returncode == 1
    assert result.stderr == "farm-sim: the job ended as failed\n"
    assert any("Failed: exit status 11" in log for log in manager.logs.values())


def test_demo_without_manager_ends_with_3_and_one_line(sim):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = sim("demo", url=f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert result.returncode == 3
    assert len(result.stderr.splitlines()) == 1 and "Connection refused" in result.stderr


def test_demo_at_something_else_ends_with_3(sim, manager):
    manager.script("version", (404, None))
    assert sim("demo").returncode == 3


def test_demo_out_of_time_ends_with_4(sim):
    result = sim("demo", "--timeout", "300ms", scale="10")
    assert result.returncode == 4
    assert len(result.stderr.splitlines()) == 1


def test_demo_with_an_unknown_job_type_says_so(sim):
    result = sim("demo", "--job-type", "dance")
    assert result.returncode == 1 and "no job type dance" in result.stderr


def test_demo_whose_job_is_refused_ends_with_1(sim, manager):
    manager.script("submit", (400, {"code": 400, "message": "no frames, no render"}))
    result = sim("demo")
    assert result.returncode == 1 and "no frames, no render" in result.stderr


def test_interrupted_demo_signs_its_workers_off(start_sim, manager):
    process = start_sim("demo", "--workers", "3", scale="1")
    with manager.lock:
        assert manager.lock.wait_for(lambda: manager.jobs, timeout=20)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert manager.ops().count("sign_off") == 3


def test_wrong_usage_ends_with_2_and_help_with_0(sim):
    assert sim("dance").returncode == 2
    assert sim("demo", "--workers", "none").returncode == 2
    assert sim("demo", "--no-such-option").returncode == 2
    assert "usage: farm-sim demo" in sim("demo", "--help").stdout

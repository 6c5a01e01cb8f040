# SPDX-License-Identifier: Apache-2.0
"""farm-sim soak: a good manager passes, and one that loses what it acknowledged does not."""
import json
import time

OPTIONS = ("--duration", "3s", "--workers", "12", "--tasks", "15", "--timeout", "30s", "--seed", "7", "--json")


def test_soak_of_a_good_manager_passes(sim, manager):
    result = sim("soak", *OPTIONS, "--disturb-rate", "10", scale="0.02")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["violations"] == 0 and report["jobs_verified"] >= 1
    assert report["completions_verified"] > 0 and report["connections_cut"] > 0
    assert manager.problems == []


def test_soak_notices_lost_completions(sim, manager):
    manager.lose = range(20, 30)
    result = sim("soak", *OPTIONS, "--disturb-rate", "0", scale="0.02")
    assert result.returncode == 1
    assert "completion was acknowledged" in result.stderr


def test_soak_notices_answers_that_no_worker_should_get(sim, manager):
    manager.script("update", *[None] * 50, (500, {"code": 500, "message": "?"}))
    result = sim("soak", *OPTIONS, scale="0.02")
    assert result.returncode == 1
    assert "was answered with 500" in result.stderr


def test_soak_survives_a_manager_that_is_killed(start_sim, manager):
    process = start_sim("soak", *OPTIONS, scale="0.02")
    for _ in range(3):
        time.sleep(0.8)
        manager.stop()
        time.sleep(0.3)
        manager.start()
    out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    assert json.loads(out)["violations"] == 0

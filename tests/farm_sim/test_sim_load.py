# SPDX-License-Identifier: Apache-2.0
"""farm-sim load: the numbers that the bench reads."""
import json
import os
import signal

from mock_manager import DROP


def report_of(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_load_makes_seven_requests_per_task(sim, manager):
    report = report_of(sim("load", "--workers", "5", "--tasks", "60", "--json", "--server-pid", str(os.getpid())))
    assert report["scenario"] == "closed" and report["workers"] == 5 and report["tasks"] == 60 and report["errors"] == 0
    assert report["tasks_per_s"] > 0 and report["requests_per_s"] > 6 * report["tasks_per_s"]
    operations = report["operations"]
    for op, count in (("active", 60), ("log", 120), ("may_i_run", 60), ("steps", 60), ("completed", 60)):
        assert operations[op]["count"] == count
        assert 0 < operations[op]["p50_us"] <= operations[op]["p90_us"] <= operations[op]["p99_us"] <= operations[op]["max_us"]
    assert operations["ask"]["statuses"]["200"] == 60
    assert operations["completed"]["statuses"] == {"204": 60}
    assert report["server"]["rss_kib"] > 1000 and report["server"]["hwm_kib"] >= report["server"]["rss_kib"]
    assert report["server"]["cpu_us_per_task"] >= 0 and report["server"]["children"] >= 1
    assert [j["status"] for j in manager.jobs.values()] == ["completed"]
    assert sum(log.count("\n") for log in manager.logs.values()) == 60 * 3 * 8
    assert manager.problems == [] and manager.ops().count("sign_off") == 5


def test_load_spreads_the_tasks_over_jobs(sim, manager):
    assert report_of(sim("load", "--workers", "2", "--tasks", "20", "--jobs", "3", "--json"))["tasks"] == 20
    assert sorted(len(manager.job_tasks(job)) for job in manager.jobs) == [6, 7, 7]


def test_load_with_own_settings_counts_the_tasks_at_the_manager(sim, manager):
    settings = json.dumps({"message": "m", "sleep_repeats": 6, "sleep_duration_seconds": 1})
    report = report_of(sim("load", "--workers", "2", "--script-type", "echo-sleep-test", "--settings", settings, "--json"))
    assert report["tasks"] == 7


def test_load_for_a_duration_submits_jobs_as_needed(sim):
    report = report_of(sim("load", "--workers", "2", "--duration", "500ms", "--json"))
    assert 0.5 <= report["seconds"] < 1.5 and report["tasks"] > 0


def test_load_out_of_time_ends_with_4(sim):
    assert sim("load", "--workers", "1", "--tasks", "100000", "--duration", "200ms").returncode == 4


def test_load_counts_errors_by_status(sim, manager):
    manager.script("update", (500, {"code": 500, "message": "?"}), (409, {"code": 409, "message": "?"}), DROP)
    manager.script("ask", (503, {"code": 503, "message": "?"}))
    report = report_of(sim("load", "--workers", "1", "--tasks", "5", "--json"))
    assert report["tasks"] == 5 and report["errors"] == 3
    assert report["operations"]["active"]["statuses"]["500"] == 1
    assert report["operations"]["ask"]["statuses"]["503"] == 1
    assert sum(o["transport_errors"] for o in report["operations"].values()) == 1


def test_load_obeys_when_sent_to_sleep(sim, manager):
    manager.script("ask", (423, {"status_requested": "asleep"}))
    manager.script("state", (200, {"status_requested": "awake"}))
    assert report_of(sim("load", "--workers", "1", "--tasks", "5", "--json"))["tasks"] == 5
    assert manager.bodies("state_changed")[1:] == [{"status": "asleep"}, {"status": "awake"}]


def test_load_text_has_a_line_per_operation(sim):
    result = sim("load", "--workers", "2", "--tasks", "10")
    assert result.returncode == 0 and "10 tasks" in result.stdout and "may_i_run" in result.stdout


def test_submit_only_counts_jobs(sim, manager):
    report = report_of(sim("load", "--submit-only", "--clients", "3", "--jobs", "30", "--json"))
    assert report["jobs"] == 30 and report["jobs_per_s"] > 0 and report["clients"] == 3
    assert report["operations"]["submit"]["p50_us"] > 0
    assert all(len(manager.job_tasks(job)) == 1 for job in manager.jobs)


def test_submit_tasks_times_one_job(sim, manager):
    report = report_of(sim("load", "--submit-tasks", "500", "--json"))
    assert report["submitted_tasks"] == 500 and report["accepted_s"] > 0
    assert len(manager.tasks) == 500


def test_parked_measures_until_the_last_worker_has_a_task(sim, manager):
    report = report_of(sim("load", "--parked", "--workers", "12", "--settle", "200ms", "--json"))
    assert report["served"] == 12 and report["task_after_submit"]["count"] == 12
    assert report["submit_us"] > 0
    assert len(manager.tasks) == 12


def test_paced_workers_take_the_time_of_the_task(sim, manager):
    report = report_of(sim("load", "--paced", "10s", "--workers", "3", "--duration", "1s", "--json"))
    assert 6 <= report["tasks"] <= 24 # a task of 100 ms and a pause of 50 ms
    assert report["operations"]["steps"]["count"] >= report["tasks"]


def test_paced_workers_are_measured_when_all_of_them_have_begun(sim, manager):
    report = report_of(sim("load", "--paced", "10s", "--workers", "5", "--spread", "20s", "--duration", "500ms", "--json"))
    first_asks = report["operations"].get("ask", {"count": 0})["count"]
    assert manager.ops().count("ask") > first_asks # what was asked before the window is not in the report
    assert 0.4 <= report["seconds"] < 2


def test_while_storing_measures_only_that_time(sim, manager):
    manager.asks_while_storing = 4  # one more than workers: at least one of them was answered in that time
    report = report_of(sim("load", "--workers", "3", "--tasks", "50000", "--while-storing", "300", "--settle", "100ms", "--json"))
    assert report["stored_tasks"] == 300 and report["stored_s"] > 0
    assert abs(report["seconds"] - report["stored_s"]) < 0.2
    assert report["operations"]["submit"]["count"] == 1 and report["operations"]["ask"]["count"] > 0


def test_while_storing_fails_when_the_tasks_are_done_before(sim):
    result = sim("load", "--workers", "2", "--tasks", "5", "--while-storing", "10", "--settle", "20s")
    assert result.returncode == 1 and "--tasks" in result.stderr


def test_get_reads_one_path_as_often_as_wanted(sim, manager):
    options = ("--get", "/api/v3/version", "--clients", "3", "--requests", "50", "--json", "--server-pid", str(os.getpid()))
    report = report_of(sim("load", *options))
    assert report["operations"]["other"]["statuses"] == {"200": 50}
    assert report["clients"] == 3 and report["reply_bytes"] > 10 and report["server"]["cpu_us_per_request"] >= 0


def test_get_of_a_path_that_is_not_there_fails(sim):
    result = sim("load", "--get", "/api/v3/nothing")
    assert result.returncode == 1 and "/api/v3/nothing" in result.stderr


def test_load_without_manager_ends_with_3(sim, manager):
    url = manager.url
    manager.stop()
    assert sim("load", "--tasks", "1", url=url).returncode == 3


def test_load_interrupted_still_reports(start_sim, manager):
    process = start_sim("load", "--workers", "2", "--duration", "60s", "--json")
    with manager.lock:
        assert manager.lock.wait_for(lambda: len(manager.requests) > 100, timeout=20)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130 and json.loads(out)["tasks"] >= 0


def test_many_workers_keep_one_connection_each(sim, manager):
    report = report_of(sim("load", "--workers", "300", "--tasks", "600", "--json"))
    assert report["tasks"] == 600
    # and one for the sign-off of those whose request was under way, as it broke
    assert 300 < manager.connections_made <= 2 * 300 + 1

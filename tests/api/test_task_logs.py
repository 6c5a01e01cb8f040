# SPDX-License-Identifier: Apache-2.0
"""Task logs: files, the manager's lines, info and tail (state-and-scheduling 15, api-behaviour 7.7)."""
import re

import pytest
from harness.check import UNKNOWN, assert_empty, assert_error

STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)) (.+)")


@pytest.fixture(scope="module")
def logged(shared_farm):
    """A task whose log the tests write as they like; no worker has it."""
    job = shared_farm.submit([{"type": "logged"}], initial_status="paused")
    task_id = shared_farm.tasks(job["id"])[0]["id"]
    path = shared_farm.log_file(job["id"], task_id)
    path.parent.mkdir(parents=True)
    return shared_farm, job["id"], task_id, path


def lines(n):
    return "".join(f"This is line #{i}\n" for i in range(1, n + 1)).encode()


HUNDREDS = b"".join(b"%099d\n" % i for i in range(50))


@pytest.mark.parametrize("content, tail", [
    (None, None),
    (b"", None),
    (b"one\n", b"one\n"),
    (b"a\nb\n", b"a\nb\n"),
    (b"one\ntwo\n", b"one\ntwo\n"),
    (b"no newline", b"no newline"),
    (b"x" * 2048, b"x" * 2048),
    (b"\n" + b"x" * 2047, b"\n" + b"x" * 2047),
    (b"y\n" + b"x" * 2047, b"x" * 2047),
    (HUNDREDS, HUNDREDS[-2000:]),
    (b"x" * 2999 + b"\n", b"x" * 2047 + b"\n"),
    (lines(999), lines(999)[len(lines(886)):]),
    (b"x" * 5000 + b"\n", b"x" * 2047 + b"\n"),
    (b"x" * 5000, b"x" * 2048),
    (b"x" * 3000 + b"\n\n", b"\n"),
    ("ä".encode() * 2000, None),
    (b"\xff\x00\xfe\n", b"\xff\x00\xfe\n"),
])
def test_info_and_tail(logged, content, tail):
    farm, job_id, task_id, path = logged
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)
    info, reply = farm.api.get(f"/tasks/{task_id}/log"), farm.api.get(f"/tasks/{task_id}/logtail")
    if not content:
        assert_empty(info)
        assert_empty(reply)
        return
    assert info.status_code == 200
    assert info.json() == {"task_id": task_id, "job_id": job_id, "size": len(content),
                           "url": f"/job-files/job-{job_id[:4]}/{job_id}/task-{task_id}.txt"}
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "text/plain; charset=UTF-8"
    if tail is not None:
        assert reply.content == tail
    else:
        assert len(reply.content) <= 2048
    # the address of the info leads to the whole file
    assert farm.api.get("/" + info.json()["url"]).content == content


def test_unknown_and_bad_ids(api):
    for path in ("log", "logtail"):
        assert_error(api.get(f"/tasks/{UNKNOWN}/{path}"), 404)
        assert_error(api.get(f"/tasks/nope/{path}"), 400)


def test_lines_of_the_manager_and_texts_of_the_worker(farm, lane):
    worker = farm.worker(types=[lane], name=f"node {lane}")
    job = farm.submit([{"type": lane}] + [{"type": lane + "-x"}])
    task = worker.get_task()
    path = farm.log_file(job["id"], task["uuid"])
    first = path.read_text().splitlines()
    assert len(first) == 2
    for line, words in zip(first, ((worker.name, worker.id), ("queued", "active"))):
        stamp, text = STAMP.fullmatch(line).groups()
        assert all(word in text for word in words), line
    worker.update(task["uuid"], log="2031-01-01 own stamp\nsecond, without newline")
    worker.update(task["uuid"], log="third\n\n")
    worker.update(task["uuid"], log="")
    assert path.read_text().split("\n")[2:] == ["2031-01-01 own stamp", "second, without newline", "third", "", ""]
    worker.complete(task["uuid"])
    last = path.read_text().splitlines()[-1]
    assert "active" in last and "completed" in last and STAMP.fullmatch(last)
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755
    farm.put_away(job["id"])


def test_events_carry_the_text_as_written(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    events = farm.events()
    task = worker.get_task()
    worker.update(task["uuid"], log="no newline")
    got = [e["payload"] for e in events.take("task_log")]
    assert all(set(p) == {"task_id", "log"} and p["task_id"] == task["uuid"] for p in got)
    assert got[-1]["log"] == "no newline"
    file_lines = farm.log_file(job["id"], task["uuid"]).read_text().splitlines()
    assert [p["log"] for p in got] == file_lines
    farm.put_away(job["id"])


def test_empty_text_makes_no_file(farm, lane):
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    task = worker.get_task()
    path = farm.log_file(job["id"], task["uuid"])
    before = path.read_bytes()
    events = farm.events()
    worker.update(task["uuid"], log="")
    assert [e["payload"]["log"] for e in events.take("task_log")] == [""]
    assert path.read_bytes() == before
    farm.put_away(job["id"])


def test_texts_of_parallel_writers_do_not_mix(farm, lane):
    from harness.http import Background
    worker = farm.worker(types=[lane])
    job = farm.submit([{"type": lane}])
    task = worker.get_task()
    texts = [f"{i:03d} " + "x" * 3000 + f" {i:03d}\n" for i in range(24)]

    def send(text):
        api = worker.api.clone()
        api.ok("POST", f"/worker/task/{task['uuid']}", 204, json={"log": text})

    for call in [Background(send, text) for text in texts]:
        call.result()
    written = farm.log_file(job["id"], task["uuid"]).read_text().splitlines(keepends=True)[2:]
    assert sorted(written) == texts
    farm.put_away(job["id"])


def test_failed_disk_writes_do_not_fail_the_call(make_farm):
    farm = make_farm()
    worker = farm.worker()
    job = farm.submit([{}, {}])
    # where the job's directory should be, there is a file
    folder = farm.manager.storage / f"job-{job['id'][:4]}"
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    events = farm.events()
    task = worker.get_task()
    worker.update(task["uuid"], log="lost\n", taskStatus="completed")
    assert farm.task(task["uuid"])["status"] == "completed"
    assert events.take("task_log") == []
    assert farm.api.get(f"/tasks/{task['uuid']}/log").status_code in (204, 500)
    folder.unlink()
    task = worker.get_task()
    worker.update(task["uuid"], log="kept\n")
    assert farm.log_file(job["id"], task["uuid"]).read_text().endswith("kept\n")


@pytest.mark.parametrize("zone, offset", [("UTC0", "Z"), ("XST-5:30", "+05:30"), ("YST3", "-03:00")])
def test_stamps_are_local_time(make_farm, zone, offset):
    farm = make_farm(env={"TZ": zone})
    worker = farm.worker()
    job = farm.submit([{}])
    task = worker.get_task()
    for line in farm.log_file(job["id"], task["uuid"]).read_text().splitlines():
        assert STAMP.fullmatch(line).group(1).endswith(offset)
    assert farm.job(job["id"])["created"].endswith("Z")


@pytest.mark.parametrize("given", ["relative/storage", "./relative"])
def test_relative_storage_is_below_the_executable_or_the_working_directory(make_farm, given):
    """decisions: below the executable's directory, if it exists there or that is writable; else below the working one. The
    build's directory must not be littered: so it is only looked where it went."""
    import shutil
    from harness.manager import program
    farm = make_farm(reference={"local_manager_storage_path": given})
    worker = farm.worker()
    job = farm.submit([{}])
    task = worker.get_task()
    places = [base / given for base in (program().parent, farm.manager.dir)]
    tail = f"job-{job['id'][:4]}/{job['id']}/task-{task['uuid']}.txt"
    found = [place for place in places if (place / tail).exists()]
    farm.manager.stop()
    for place in places:
        shutil.rmtree(place, ignore_errors=True)
    assert len(found) == 1

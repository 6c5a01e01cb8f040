# SPDX-License-Identifier: Apache-2.0
"""plugins/events-webhook: what receivers can rely on (its README): order, signature, nothing lost and nothing held up."""
import hmac
import shutil
import subprocess
import threading

import pytest
from harness.check import wait_until
from harness.farm import GRAPH, Farm
from harness.webhook import SECRET, WebhookReceiver, signature

EVERYTHING = ("/**",)


@pytest.fixture
def receiver():
    made = WebhookReceiver()
    yield made
    made.stop()
    assert not made.problems, made.problems


@pytest.fixture
def hooked(make_manager):
    """Starts a farm whose events go to a receiver."""

    def start(*entries, **kw):
        manager = make_manager(scripts={"graph.js": GRAPH}, yaml={"plugins": {"event_forwarder": list(entries)}},
                               env={"no_proxy": "*"}, **kw)
        return Farm(manager.start())

    return start


def brief(events):
    return [(e["topic"], e["name"], e["payload"]) for e in events]


def tag(farm, name):
    return farm.api.ok("POST", "/worker-mgt/tags", json={"name": name})["id"]


def is_tag(name):
    return lambda e: e["kind"] == "worker_tag" and e["payload"]["tag"]["name"] == name


def tags_of(events):
    return [e["payload"]["tag"]["name"] for e in events if e["kind"] == "worker_tag"]


def metric(farm, name):
    for line in farm.api.get("//metrics").text.splitlines():
        if line.startswith(f"flamenco_webhook_{name}{{"):
            return float(line.split()[-1])
    return 0.0


def test_every_event_comes_in_order_as_it_was_published(receiver, hooked):
    farm = hooked(receiver.start(EVERYTHING).config())
    events = farm.events()
    events.last = 0
    worker = farm.worker()
    job = farm.submit([{}, {"deps": [0]}])
    for _ in range(2):
        task = worker.get_task()["uuid"]
        worker.update(task, log="line äöü 😀\n")
        worker.complete(task)
    tag(farm, "the end")
    came = receiver.wait(is_tag("the end"))
    published = events.take()
    assert brief(came) == brief(published)
    assert [e["kind"] for e in came] == [e["kind"] for e in published]
    assert any(e["topic"] == f"/jobs/{job['id']}" for e in came) and any(e["kind"] == "task_log" for e in came)
    assert len({e["id"] for e in came}) == len(came)
    numbers = [int(r.headers["X-Flamenco-Number"]) for r in receiver.deliveries()]
    assert numbers == list(range(1, len(numbers) + 1))
    wait_until(lambda: metric(farm, "delivered_total") >= len(came), "deliveries are counted")


def test_the_signature_is_the_one_that_the_readme_describes(receiver, hooked):
    farm = hooked(receiver.start(["/workertags"]).config())
    tag(farm, "signed")
    receiver.wait(is_tag("signed"))
    request = receiver.deliveries()[0]
    given, timestamp = request.headers["X-Flamenco-Signature"], request.headers["X-Flamenco-Timestamp"]
    assert hmac.compare_digest(given, signature(SECRET, timestamp, request.body))
    # Neither another time nor another body nor another key fits.
    for other in (signature(SECRET, str(int(timestamp) + 1), request.body), signature(SECRET, timestamp, request.body + b" "),
                  signature("guess", timestamp, request.body)):
        assert not hmac.compare_digest(given, other)
    assert request.headers["X-Flamenco-Attempt"] == "1"
    assert "Expect" not in request.headers and "Authorization" not in request.headers


def test_only_chosen_topics_are_sent(receiver, hooked):
    farm = hooked(receiver.start(["/jobs/*", "/workertags"]).config())
    worker = farm.worker()
    job = farm.submit([{}])
    worker.complete(worker.get_task()["uuid"])
    tag(farm, "the end")
    came = receiver.wait(is_tag("the end"))
    assert {e["topic"] for e in came} == {f"/jobs/{job['id']}", "/workertags"}


def test_failures_are_tried_again_with_the_same_id_until_they_succeed(receiver, hooked):
    statuses = iter([500, 503, None, 404, 429, 301, 302, 200])
    receiver.answer = lambda request: (lambda s: (s, {"Location": receiver.url("/elsewhere")}, b"") if s in (301, 302) else s)(
        next(statuses, 200))
    farm = hooked(receiver.start(["/workertags"]).config())
    for name in ("one", "two", "three"):
        tag(farm, name)
    receiver.wait(is_tag("three"))
    assert tags_of(receiver.events()) == ["one", "two", "three"]
    first = [r for r, _ in receiver.requests if r.event["payload"]["tag"]["name"] == "one"]
    assert len(first) >= 8 and len({r.event["id"] for r in first}) == 1 and len({r.body for r in first}) == 1
    attempts = [int(r.headers["X-Flamenco-Attempt"]) for r in first]
    # A kept connection that breaks is tried once more at once, as the same attempt.
    assert attempts == sorted(attempts) and set(attempts) == set(range(1, attempts[-1] + 1)) and attempts[-1] >= 7
    assert {r.path for r, _ in receiver.requests} == {"/hook"}, "redirects are not followed"
    assert metric(farm, "retries_total") >= 6


def test_what_a_receiver_refuses_for_good_is_dropped_and_the_next_one_sent(receiver, hooked):
    receiver.answer = lambda request: 422 if request.event["payload"]["tag"]["name"] == "bad" else 200
    farm = hooked(receiver.start(["/workertags"]).config())
    for name in ("one", "bad", "two"):
        tag(farm, name)
    receiver.wait(is_tag("two"))
    assert tags_of(receiver.events()) == ["one", "two"]
    assert metric(farm, "refused_total") == 1
    farm.manager.wait_log("refuses event .* with status 422")


def test_retry_after_is_honoured(receiver, hooked):
    receiver.answer = lambda request: (503, {"Retry-After": "3600"}, b"")
    farm = hooked(receiver.start(["/workertags"]).config())
    tag(farm, "one")
    farm.manager.wait_log(r"attempt 1 failed: status 503; the next one in 3600000 ms")
    assert len(receiver.requests) == 1


def test_nothing_is_lost_when_the_manager_is_killed_in_the_middle(receiver, hooked):
    receiver.start(["/workertags"])
    seen = threading.Semaphore(0)

    def answer(_):
        seen.release()
        return 200

    receiver.answer = answer
    farm = hooked(receiver.config())
    names = []
    for round_ in range(4):
        for i in range(25):
            names.append(f"tag {round_}-{i}")
            tag(farm, names[-1])  # answered: so it is committed
            if i == 10:
                assert seen.acquire(timeout=60)
        if round_ == 1:  # a receiver that is deaf while the manager dies
            receiver.answer = 500
        farm.manager.kill()
        receiver.answer = answer
        farm.manager.start()
    names.append("the end")
    tag(farm, "the end")
    receiver.wait(is_tag("the end"))
    assert tags_of(receiver.events()) == names


def test_a_restart_in_place_goes_on_where_it_was(receiver, hooked):
    receiver.answer = 500
    farm = hooked(receiver.start(["/workertags"]).config())
    tag(farm, "before")
    receiver.wait_requests(1)
    farm.manager.restart_in_place()
    tag(farm, "after")
    receiver.answer = 200
    receiver.wait(is_tag("after"))
    assert tags_of(receiver.events()) == ["before", "after"]
    assert len({r.event["id"] for r, _ in receiver.requests}) == 2


def test_a_receiver_that_is_away_gets_everything_when_it_comes_back(receiver, hooked):
    receiver.start(["/workertags"])
    farm = hooked(receiver.config())
    tag(farm, "before")
    receiver.wait(is_tag("before"))
    receiver.stop()
    names = [f"away {i}" for i in range(50)]
    for name in names[:25]:
        tag(farm, name)
    wait_until(lambda: "webhook" in farm.api.get("//health/ready").text and "attempts failed" in farm.api.get("//health/ready").text,
               "the trouble is shown")
    assert farm.api.get("//health/ready").status_code == 200, "the manager is ready all the same"
    assert metric(farm, "waiting") == 25
    farm.manager.restart()
    for name in names[25:]:
        tag(farm, name)
    receiver.start(["/workertags"])
    receiver.wait(is_tag(names[-1]))
    assert tags_of(receiver.events()) == ["before"] + names
    wait_until(lambda: metric(farm, "waiting") == 0, "nothing waits")


def test_a_receiver_that_never_answers_holds_nobody_up(receiver, hooked):
    receiver.start(EVERYTHING)
    receiver.gate.clear()
    other = WebhookReceiver().start(EVERYTHING)
    farm = hooked(receiver.config("slow", timeout="5m", urls=[receiver.url("/slow"), other.url()]))
    worker = farm.worker()
    job = farm.submit(20)
    for _ in range(20):
        worker.complete(worker.get_task()["uuid"])
    assert farm.job(job["id"])["status"] == "completed"
    tag(farm, "the end")
    came = other.wait(is_tag("the end"))
    assert sum(e["kind"] == "task" for e in came) >= 40
    assert not receiver.deliveries()
    farm.manager.stop()  # nor does it hold up the end
    receiver.gate.set()
    other.stop()
    assert not other.problems


def test_a_time_limit_ends_a_request(receiver, hooked):
    receiver.start(["/workertags"])
    receiver.gate.clear()
    farm = hooked(receiver.config(timeout="100ms"))
    tag(farm, "one")
    farm.manager.wait_log("attempt 1 failed: Timeout was reached")
    receiver.gate.set()
    receiver.wait(is_tag("one"))


def test_the_backlog_is_bounded_and_the_newest_are_kept(receiver, hooked):
    receiver.start(["/workertags"])
    receiver.answer = 500
    farm = hooked(receiver.config(backlog="64KiB"))
    names = [f"{i:04} " + "x" * 900 for i in range(150)]
    for name in names:
        tag(farm, name)
    dropped = metric(farm, "dropped_total")
    assert dropped > 0
    wait_until(lambda: metric(farm, "waiting") == len(names) - dropped, "the rest waits")
    assert metric(farm, "journal_bytes") <= 65536
    assert sum(p.stat().st_size for p in (farm.manager.storage / ".webhook").rglob("*.log")) <= 65536
    receiver.answer = 200
    receiver.wait(is_tag(names[-1]))
    came = tags_of(receiver.events())
    # What was on its way when it was dropped may have come, or not.
    kept = names[int(dropped):]
    assert came[-len(kept):] == kept and len(came) <= len(kept) + 1
    numbers = [int(r.headers["X-Flamenco-Number"]) for r in receiver.deliveries()]
    assert numbers[-1] == 150 and numbers == sorted(numbers)


def test_a_reply_without_end_is_not_read_to_its_end(receiver, hooked):
    receiver.answer = (200, {}, b"x" * 10_000_000)
    farm = hooked(receiver.start(["/workertags"]).config())
    for name in ("one", "two"):
        tag(farm, name)
    receiver.wait(is_tag("two"))
    wait_until(lambda: metric(farm, "delivered_total") == 2, "both count as delivered")
    assert metric(farm, "retries_total") == 0


def test_old_events_are_dropped(receiver, hooked):
    receiver.answer = 500
    farm = hooked(receiver.start(["/workertags"]).config(max_age="1h"), manual_clock=True)
    tag(farm, "old")
    receiver.wait_requests(2)
    farm.advance("2h")
    receiver.answer = 200
    tag(farm, "new")
    receiver.wait(is_tag("new"))
    assert tags_of(receiver.events()) == ["new"]
    assert metric(farm, "dropped_total") == 1


def test_several_urls_each_have_their_own_queue(hooked):
    receivers = [WebhookReceiver().start(["/workertags"]) for _ in range(3)]
    receivers[1].answer = 500
    farm = hooked(receivers[0].config(urls=[r.url() for r in receivers]))
    for name in ("one", "two"):
        tag(farm, name)
    for receiver in (receivers[0], receivers[2]):
        receiver.wait(is_tag("two"))
    receivers[1].answer = 200
    receivers[1].wait(is_tag("two"))
    ids = [[e["id"] for e in r.events()] for r in receivers]
    assert ids[0] == ids[1] == ids[2] and len(ids[0]) == 2
    for receiver in receivers:
        receiver.stop()
        assert not receiver.problems


def test_receivers_hear_of_start_and_stop(receiver, hooked):
    farm = hooked(receiver.start(["/lifecycle"]).config())
    receiver.wait(lambda e: e["payload"] == {"type": "manager-startup"})
    farm.manager.stop()
    receiver.wait(lambda e: e["payload"] == {"type": "manager-shutdown"})


def test_secrets_are_neither_shown_nor_logged_nor_served(receiver, hooked):
    receiver.start(["/workertags"])
    receiver.answer = 500
    farm = hooked(receiver.config(urls=[receiver.url("/hidden-path")], authorization="Bearer hidden-token"))
    tag(farm, "one")
    (request, _), = receiver.wait_requests(1)[:1]
    assert request.headers["Authorization"] == "Bearer hidden-token" and request.path == "/hidden-path"
    farm.manager.wait_log("attempt 1 failed")
    shown = farm.api.get("/plugins").text + farm.api.get("//health/ready").text + farm.manager.log()
    for secret in ("hidden-path", "hidden-token", SECRET):
        assert secret not in shown
    assert f"http://127.0.0.1:{receiver.port}" in farm.manager.log()
    directory, = (farm.manager.storage / ".webhook").iterdir()
    file, = directory.glob("*.log")
    assert file.stat().st_mode & 0o77 == 0
    for path in (f".webhook/{directory.name}/{file.name}", f"%2ewebhook/{directory.name}/{file.name}", ".webhook", "job-x/../.webhook/"):
        assert farm.api.get(f"//job-files/{path}").status_code == 404


@pytest.mark.parametrize("settings, message", [
    ({"urls": []}, "1 to 16 URLs"),
    ({"urls": ["ftp://a/"]}, "http://HOST"),
    ({"urls": ["http://user:pw@a/"]}, "without user and password"),
    ({"urls": ["http://a/", "http://a/"]}, "twice"),
    ({"topics": ["jobs"]}, "a topic begins"),
    ({"authorization": "a\nb"}, "control characters"),
    ({"retry_first": "10m"}, "longer than retry_max"),
])
def test_wrong_settings_are_named(make_manager, settings, message):
    entry = {"name": "hook", "file": "events-webhook", "settings": {"urls": ["http://127.0.0.1:9/"], **settings}}
    manager = make_manager(yaml={"plugins": {"event_forwarder": [entry]}})
    done = manager.run("--check-config")
    assert done.returncode == 1 and message in done.stdout, done.stdout
    assert not (manager.storage / ".webhook").exists()


def test_https_is_verified(tmp_path, hooked):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    pem = tmp_path / "receiver.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-days", "2", "-keyout", pem, "-out", tmp_path / "cert.pem"],
                   check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
    receiver = WebhookReceiver().start(["/workertags"], certificate=pem)
    farm = hooked(receiver.config())
    tag(farm, "one")
    farm.manager.wait_log("attempt 1 failed: SSL peer certificate")
    assert not receiver.requests
    farm.manager.stop()
    farm.manager.manager_yaml["plugins"]["event_forwarder"] = [receiver.config(ca_file=str(tmp_path / "cert.pem"))]
    farm.manager.write_config()
    farm.manager.start()
    receiver.wait(is_tag("one"))
    receiver.stop()
    assert not receiver.problems

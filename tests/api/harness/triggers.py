# SPDX-License-Identifier: Apache-2.0
"""Drives every trigger of the contract's table of events (events 1.4), says what each of them must tell, and compares that with
what receivers were told: all of it, in order, with its content and its times.

To plug a receiver in, make it a class and give it to run():

    class Mine(Receiver):
        name = "mine"
        deaf_to = ("/tasklog/",)     topics that begin so are not for it
        outlives = True              it is there before the manager starts and after it has stopped (a broker, a web server);
                                     False: it connects to the running manager, and ends with it

        def start(self, topics):     be told of these topics from now on, too; returns when that is in force. Called once with
                                     the general ones, then with those of each job, before anything happens to it. Who is told
                                     of everything anyway does nothing at the later calls. self.farm is set, unless it outlives
                                     the manager.
        def read(self):              the next thing told, as (topic, event name, payload); None for what it cannot know. Waits,
                                     and raises when nothing comes in time.
        def close(self):             the end.

    run(lambda: start_farm(...), [Mine(), SocketIoReceiver(), SseReceiver()])

The function starts the manager with settings(), perhaps with more plugins laid over it, and gives the Farm. run() gives what
had to be told, as a list of (topic, name, payload)."""
import datetime
import json

from .check import parse_time
from .events import Events
from .images import plain
from .manager import merge
from .sse import Sse
from .websocket import SocketIo

GENERAL = ("/lifecycle", "/status", "/jobs", "/workers", "/workertags", "/last-rendered")
REFRESH = {"cancel-requested", "failed", "pause-requested", "requeueing", "queued"}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
SHUTDOWN, STARTUP = {"type": "manager-shutdown"}, {"type": "manager-startup"}


def settings(yaml=None, reference=None):
    """Arguments of start_farm."""
    return {"live": True, "manual_clock": True,
            "yaml": merge({"plugins": {"job_deleter": {"file": "job-deleter"}, "last_rendered": {"file": "last-rendered"}}}, yaml),
            "reference": merge({"worker_timeout": "1m", "task_timeout": "0s"}, reference)}


# ---- Receivers -------------------------------------------------------------------------------------------------------------

class Receiver:
    name = "?"
    deaf_to = ()
    outlives = False
    farm = None

    def start(self, topics):
        raise NotImplementedError

    def read(self):
        raise NotImplementedError

    def close(self):
        pass

    def events(self, is_over):
        """All that it is told, until is_over(payloads)."""
        told = []
        while not told or not is_over([payload for _, _, payload in told]):
            try:
                told.append(self.read())
            except Exception as trouble:
                raise AssertionError(f"{self.name} was told no more ({trouble!r}) after {told}") from trouble
        return told


class SocketIoReceiver(Receiver):
    def __init__(self, eio=3):
        self.name, self.eio, self.page, self.waiting = f"Socket.IO (EIO={eio})", eio, None, []

    def start(self, topics):
        if self.page is None:
            self.page = SocketIo(self.farm.port, self.eio, statuses=True)
        for topic in topics:
            _, room, *rest = topic.split("/")
            if room in ("lifecycle", "status"):
                continue # comes unasked
            if rest:
                self.page.subscribe({"jobs": "job", "tasklog": "tasklog"}[room], rest[0])
            else:
                self.page.subscribe({"jobs": "allJobs", "workers": "allWorkers", "workertags": "allWorkerTags",
                                     "last-rendered": "allLastRendered"}[room])
            self.waiting += self.page.kept

    def read(self):
        while True:
            text = self.waiting.pop(0) if self.waiting else self.page.read()
            if text == "2":
                self.page.send("3")
            if text.startswith("42"):
                name, payload = json.loads(text[2:])
                return None, name, payload

    def close(self):
        self.page.close()


class SseReceiver(Receiver):
    name = "server-sent events"

    def __init__(self):
        self.stream = None

    def start(self, topics):
        if self.stream is None:
            self.stream = Sse(self.farm.port)

    def read(self):
        event = self.stream.read()
        return event["topic"], event["event"], event["data"]

    def close(self):
        self.stream.close()


# ---- What must be told -----------------------------------------------------------------------------------------------------

class Moment:
    """Stands for a time within the step; `past`: or before it."""

    def __init__(self, past=False):
        self.past = past

    def __repr__(self):
        return "a time"


class Text:
    """Stands for a text that is the manager's choice; it may have to begin somehow."""

    def __init__(self, containing=""):
        self.containing = containing

    def __repr__(self):
        return f"a text with {self.containing!r}"


def fits(got, wanted, begun, ended):
    if isinstance(wanted, Moment):
        moment = parse_time(got)
        return moment <= ended and (wanted.past or moment >= begun)
    if isinstance(wanted, Text):
        return isinstance(got, str) and wanted.containing in got
    if isinstance(wanted, dict):
        return isinstance(got, dict) and list(got) == sorted(wanted) and all(fits(got[k], wanted[k], begun, ended) for k in wanted)
    return type(got) is type(wanted) and got == wanted


class Story:
    """One run: the manager, and what it had to tell so far. Names of fields are those of the payloads."""

    def __init__(self, farm, receivers):
        self.farm, self.receivers, self.told, self.names = farm, receivers, [], []
        self.log = Events.__new__(Events) # from the very beginning
        self.log.api, self.log.last = farm.api.clone(), 0

    def now(self):
        return EPOCH + datetime.timedelta(microseconds=self.farm.clock()["now_us"])

    def watch(self, topics):
        for receiver in self.receivers:
            receiver.start(topics)

    def step(self, name, call, wanted, in_order=True, past=False, again=None):
        """Does something, waits until as much was told as is wanted, and compares. The farm's status changes in its own time,
        and is looked at in the end. again: is called whenever nothing comes for a while; for periodic checks."""
        begun = EPOCH if past else self.now() - datetime.timedelta(milliseconds=1)
        result = call()
        got = []
        while True:
            # Without anything wanted, what comes before the next reply would be seen by the next step.
            new = self.log.wait_while(again or (lambda: None), lambda e: True) if sum(e["kind"] != "farm_status" for e in got) < len(wanted) else self.log.take()
            got += new
            if not new or sum(e["kind"] != "farm_status" for e in got) >= len(wanted):
                got += self.log.take()
                break
        ended = self.now() + datetime.timedelta(milliseconds=1)
        self.told += [(e["topic"], e["name"], e["payload"]) for e in got]
        self.names.append(name)
        events = [(e["topic"], e["name"], e["payload"]) for e in got if e["kind"] != "farm_status"]
        left = list(events)
        if not in_order:
            for topic, event, payload in wanted:
                found = [e for e in left if e[:2] == (topic, event) and fits(e[2], payload, begun, ended)]
                assert found, f"{name}: {payload} is not among {events}"
                left.remove(found[0])
            assert not left, f"{name}: {left} are too many"
            return result
        ok = len(events) == len(wanted) and all(g[:2] == w[:2] and fits(g[2], w[2], begun, ended) for g, w in zip(events, wanted))
        assert ok, f"{name}, between {begun} and {ended}:\ntold   {events}\nwanted {wanted}"
        return result

    # ---- Payloads ----

    def job(self, job, previous=None, **changes):
        job.update(changes)
        payload = {k: job[k] for k in ("id", "name", "priority", "status", "steps_completed", "steps_total", "type")}
        payload |= {"refresh_tasks": previous is not None and job["status"] in REFRESH, "updated": Moment()}
        payload |= {"previous_status": previous} if previous else {}
        payload |= {"delete_requested_at": job["delete_requested_at"]} if "delete_requested_at" in job else {}
        return "/jobs", "/jobs", payload

    def was_deleted(self, job):
        return "/jobs", "/jobs", {"id": job["id"], "priority": 0, "refresh_tasks": False, "status": "", "steps_completed": 0, "steps_total": 0,
                                  "type": "", "updated": "0001-01-01T00:00:00Z", "was_deleted": True}

    def task(self, task, previous=None, **changes):
        task.update(changes)
        payload = {k: task[k] for k in ("activity", "id", "job_id", "name", "status", "steps_completed", "steps_total")}
        payload |= {"updated": Moment()} | ({"worker": task["worker"]} if "worker" in task else {})
        payload |= {"previous_status": previous} if previous else {}
        return f"/jobs/{task['job_id']}", "/task", payload

    def task_log(self, task, text):
        return f"/tasklog/{task['id']}", "/tasklog", {"log": text, "task_id": task["id"]}

    def worker(self, worker, previous=None, unchanged=False, **changes):
        """unchanged: what is changed stands elsewhere, and leaves the worker's own time as it was."""
        worker.update(changes)
        payload = {k: worker[k] for k in ("can_restart", "id", "name", "status", "version")}
        payload |= {"last_seen": Moment(past=True)} if worker["seen"] else {}
        payload |= {"status_change": worker["change"]} if worker.get("change") else {}
        payload |= {"previous_status": previous} if previous else {}
        return "/workers", "/workers", payload | {"updated": Moment(past=unchanged)}

    def tag(self, **fields):
        return "/workertags", "/workertags", {"tag": fields}

    def last_rendered(self, job_id):
        payload = {"job_id": job_id, "thumbnail": {"base": f"/job-files/job-{job_id[:4]}/{job_id}", "suffixes": [
            "last-rendered.jpg", "last-rendered-small.jpg", "last-rendered-tiny.jpg"]}}
        return [(f"/jobs/{job_id}/last-rendered", "/last-rendered", payload), ("/last-rendered", "/last-rendered", payload)]

    # ---- Shorthands ----

    def post(self, path, body=None, status=204, method="POST"):
        return lambda: self.farm.api.ok(method, path, status, **({} if body is None else {"json": body}))

    def submit(self, tasks, name, **fields):
        """Gives the job and its tasks as payloads have them."""
        steps = sum(1 + sum(c["steps"] - 1 for c in t.get("commands", [])) for t in tasks)
        job = {"name": name, "priority": 50, "status": "queued", "steps_completed": 0, "steps_total": steps, "type": "graph"}
        job["status"] = fields.get("initial_status", "queued")
        wanted = self.job(job | {"id": Text()})
        job["id"] = self.step(f"{name} is submitted", lambda: self.farm.submit(tasks, name=name, **fields), [wanted])["id"]
        rows = [{"id": row["id"], "job_id": job["id"], "name": row["name"], "activity": "", "status": "queued", "steps_completed": 0,
                 "steps_total": row["steps_total"]} for row in self.farm.tasks(job["id"])]
        self.watch([f"/jobs/{job['id']}", f"/jobs/{job['id']}/last-rendered"] + [f"/tasklog/{row['id']}" for row in rows])
        return job, rows


def new_worker(story, name, types):
    """A registered worker, and what payloads say of it."""
    worker = story.step(f"{name} is registered", lambda: story.farm.register(name=name), [])
    w = {"id": worker.id, "name": name, "version": "3.9-test", "can_restart": True, "seen": True, "status": "starting"}
    story.step(f"{name} signs on", lambda: worker.sign_on(types, can_restart=True), [story.worker(w)])
    story.step(f"{name} is awake", lambda: worker.state_changed("awake"), [story.worker(w, "starting", status="awake")])
    return worker, w


def tell_of_tags(story, w):
    tag = story.step("a tag is made", story.post("/worker-mgt/tags", {"name": "gpu"}, 200), [story.tag(description="", id=Text(), name="gpu")])["id"]
    story.step("a tag is changed", story.post(f"/worker-mgt/tag/{tag}", {"name": "gpus", "description": "fast <&> ä"}, method="PUT"),
               [story.tag(description="fast <&> ä", id=tag, name="gpus")])
    story.step("a worker gets tags", story.post(f"/worker-mgt/workers/{w['id']}/settags", {"tag_ids": [tag]}), [story.worker(w, unchanged=True)])
    return tag


def tell_of_tasks(story, worker, w, tag):
    """The life of a job and its tasks. Gives the job."""
    job, (one, two, three) = story.submit([{"type": "story", "name": "one", "commands": [{"name": "echo", "steps": 3}]},
                                           {"type": "story", "name": "two"}, {"type": "story", "name": "three"}], "größer 😀 <&>\u2028")
    by = {"name": w["name"], "uuid": w["id"]}

    def assigned(task):
        return [story.task_log(task, Text("assigned")), story.task_log(task, Text("queued to active")),
                story.task(task, "queued", status="active", worker=by, activity=Text())]

    story.step("a task is handed out", worker.get_task, assigned(one) + [story.job(job, "queued", status="active"), story.worker(w, unchanged=True)])
    story.step("two steps are done", lambda: worker.update(one["id"], steps_completed=2, activity="sample"),
               [story.job(job, steps_completed=2), story.task(one, steps_completed=2, activity="sample")])
    story.step("more steps are done than there are", lambda: worker.update(one["id"], steps_completed=47),
               [story.job(job, steps_completed=3), story.task(one, steps_completed=3)])
    story.step("the same steps again", lambda: worker.update(one["id"], steps_completed=3), [])
    story.step("the activity alone changes", lambda: worker.update(one["id"], activity="alone"), [])
    one["activity"] = "alone"
    text = "line 1\nline 2 äöü 😀 <&>\u2028\n\"\\\t"
    story.step("a log is written", lambda: worker.update(one["id"], log=text), [story.task_log(one, text)])
    story.step("an empty log is written", lambda: worker.update(one["id"], log=""), [story.task_log(one, "")])
    story.step("questions", lambda: (worker.may_run(one["id"]), worker.api.get("/worker/state")), [])
    story.step("an image is rendered", lambda: worker.api.ok(
        "POST", f"/worker/task/{one['id']}/output-produced", 202, data=plain(64, 48), headers={"Content-Type": "image/png"}),
        story.last_rendered(job["id"]))
    story.step("the priority changes", story.post(f"/jobs/{job['id']}/setpriority", {"priority": 73}), [story.job(job, priority=73)])
    story.step("the job gets a tag", story.post(f"/jobs/{job['id']}/settag", {"id": tag}), [story.job(job)])
    story.step("the job's status is what it was", lambda: story.farm.set_job_status(job["id"], "active"), [])
    story.step("a task is done", lambda: worker.complete(one["id"]),
               [story.task_log(one, Text("active to completed")), story.task(one, "active", status="completed", activity="done")])
    story.step("the next task is handed out", worker.get_task, assigned(two) + [story.worker(w, unchanged=True)])
    story.step("steps and status in one", lambda: worker.update(two["id"], steps_completed=1, taskStatus="completed", activity="hm"),
               [story.job(job, steps_completed=4), story.task_log(two, Text("active to completed")),
                story.task(two, "active", steps_completed=1, status="completed", activity="hm")])
    story.step("the last task is handed out", worker.get_task, assigned(three) + [story.worker(w, unchanged=True)])
    return job, three


def tell_of_jobs(story, worker, w, job, task):
    """Changes that people make."""
    story.step("the job is paused", lambda: story.farm.set_job_status(job["id"], "pause-requested"),
               [story.job(job, "active", status="pause-requested")])
    signs_off = [story.task_log(task, Text()), story.task(task, "active", status="paused", activity=Text()),
                 story.job(job, "pause-requested", status="paused"), story.task_log(task, Text())]
    story.step("the worker signs off", worker.sign_off,
               signs_off + [story.worker(w, "awake", status="offline", change={"is_lazy": False, "status": "awake"})])
    story.step("the job is requeued", lambda: story.farm.set_job_status(job["id"], "requeueing"),
               [story.job(job, "paused", status="requeueing"), story.job(job, "requeueing", status="queued")])
    story.step("the job is canceled", lambda: story.farm.set_job_status(job["id"], "cancel-requested"),
               [story.job(job, "queued", status="cancel-requested"), story.job(job, "cancel-requested", status="canceled")])
    story.step("a task is set by hand", lambda: story.farm.set_task_status(task["id"], "failed", "by hand"),
               [story.task_log(task, Text("canceled to failed")), story.task(task, "canceled", status="failed", activity=Text("by hand")),
                story.job(job, "canceled", status="failed")])


def tell_of_workers(story, worker, w):
    change = f"/worker-mgt/workers/{w['id']}/setstatus"
    story.step("the worker comes back", lambda: worker.sign_on(["story"], can_restart=True),
               [story.worker(w, "offline", status="starting", change={"is_lazy": False, "status": "awake"})])
    story.step("it does as it was asked", lambda: worker.state_changed("awake"), [story.worker(w, "starting", status="awake", change=None)])
    story.step("the same status again", lambda: worker.state_changed("awake"), [story.worker(w, "awake")])
    story.step("it is asked to sleep", story.post(change, {"status": "asleep", "is_lazy": True}),
               [story.worker(w, change={"is_lazy": True, "status": "asleep"})])
    story.step("it is asked for what it does", story.post(change, {"status": "awake", "is_lazy": False}), [story.worker(w, change=None)])
    story.step("its schedule asks it to sleep", story.post(f"/worker-mgt/workers/{w['id']}/sleep-schedule", {
        "is_active": True, "days_of_week": "", "start_time": "00:00", "end_time": "24:00"}),
        [story.worker(w, change={"is_lazy": False, "status": "asleep"})])
    story.step("its schedule ends", story.post(f"/worker-mgt/workers/{w['id']}/sleep-schedule", {
        "is_active": False, "days_of_week": "", "start_time": "00:00", "end_time": "24:00"}),
        [story.worker(w, change={"is_lazy": False, "status": "awake"})])
    story.step("it is silent for too long", lambda: story.farm.advance("150s"),
               [story.worker(w, "awake", status="error", change=None)], again=lambda: story.farm.advance("61s"))
    story.step("it is deleted", story.post(f"/worker-mgt/workers/{w['id']}", method="DELETE"), [
        (topic, name, payload | {"deleted_at": Moment()}) for topic, name, payload in [story.worker(w, unchanged=True)]])


def tell_of_deletions(story, job):
    others = [story.submit([{"type": "nothing"}], f"doomed {i}", initial_status="paused")[0] for i in range(2)]
    job["delete_requested_at"] = Moment()
    story.step("a job is deleted", story.post(f"/jobs/{job['id']}", method="DELETE"), [story.job(job), story.was_deleted(job)])
    latest = max(parse_time(story.farm.job(other["id"])["updated"]) for other in others)
    wanted = [e for other in others for e in (story.job(other, delete_requested_at=Moment()), story.was_deleted(other))]
    story.step("many jobs are deleted", story.post("/jobs/mass-delete", {"last_updated_max": latest.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}, method="DELETE"), wanted,
               in_order=False)


def check_statuses(told):
    """Of the farm: never the same twice, and all that it went through."""
    words = [payload["status"] for topic, _, payload in told if topic == "/status"]
    assert all(a != b for a, b in zip(words, words[1:])), words
    assert {"idle", "active", "inoperative"} <= set(words), words


def compare(receiver, wanted):
    wanted = [w for w in wanted if not w[0].startswith(tuple(receiver.deaf_to))] if receiver.deaf_to else wanted
    startups = sum(payload == STARTUP for _, _, payload in wanted)
    got = receiver.events((lambda p: p.count(STARTUP) >= startups) if receiver.outlives else (lambda p: p[-1] == SHUTDOWN))
    for i, (g, w) in enumerate(zip(got, wanted)):
        same = g[0] in (None, w[0]) and g[1] in (None, w[1]) and g[2] == w[2]
        assert same, f"{receiver.name} was told {g} instead of {w}, number {i} of {len(wanted)}, behind {wanted[max(i - 3, 0):i]}"
    assert len(got) == len(wanted), f"{receiver.name} was told {len(got)} of {len(wanted)}: {got[len(wanted):] or wanted[len(got):]}"


def run(start, receivers):
    for receiver in receivers:
        if receiver.outlives:
            receiver.start(GENERAL)
    farm = start()
    story = Story(farm, receivers)
    story.step("the manager starts", lambda: None, [("/lifecycle", "/lifecycle", STARTUP)])
    story.log.wait(lambda e: e["kind"] == "farm_status") # so that it comes before everybody is there
    story.log.last -= 1
    begins = len(story.told) + 1
    story.told += [(e["topic"], e["name"], e["payload"]) for e in story.log.take()]
    for receiver in receivers:
        receiver.farm = farm
        if not receiver.outlives:
            receiver.start(GENERAL)
    worker, w = new_worker(story, "narrator", ["story"])
    tag = tell_of_tags(story, w)
    job, task = tell_of_tasks(story, worker, w, tag)
    tell_of_jobs(story, worker, w, job, task)
    tell_of_workers(story, worker, w)
    story.step("a tag is deleted", story.post(f"/worker-mgt/tag/{tag}", method="DELETE"),
               [("/workertags", "/workertags", {"tag": {"id": tag, "name": ""}, "was_deleted": True})])
    tell_of_deletions(story, job)
    stuck, _ = story.submit([{"type": "nothing"}], "stuck", initial_status="cancel-requested")
    check_statuses(story.told)
    farm.manager.stop()
    story.told.append(("/lifecycle", "/lifecycle", SHUTDOWN))
    for receiver in receivers:
        if not receiver.outlives:
            compare(receiver, story.told[begins:])
    farm.manager.start()
    story.log.last = 0
    story.step("the manager starts again", lambda: None, [
        story.job(stuck, "cancel-requested") , story.job(stuck, "cancel-requested", status="canceled"), ("/lifecycle", "/lifecycle", STARTUP)],
        past=True)
    for receiver in receivers:
        if receiver.outlives:
            compare(receiver, story.told)
        receiver.close()
    return story.told

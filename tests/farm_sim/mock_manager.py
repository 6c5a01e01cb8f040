# SPDX-License-Identifier: Apache-2.0
"""A small stand-in for the manager, to test farm-sim against: jobs, tasks and workers in memory, strict about what a
Worker sends, and with faults on request. It is no reference for anything: the contract is.

    with MockManager() as manager:
        manager.script("ask", (423, {"status_requested": "asleep"}))   # the next answer to a task request
        run farm-sim with manager.url, then look at manager.requests, manager.problems, manager.jobs
"""
import base64
import itertools
import json
import re
import socket
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FINAL = ("completed", "failed", "canceled")
DROP = "drop"  # a scripted answer: close the connection without one

ROUTES = [
    ("GET", r"/api/v3/version", "version"),
    ("GET", r"/api/v3/jobs/type/([^/]+)", "job_type"),
    ("POST", r"/api/v3/jobs", "submit"),
    ("GET", r"/api/v3/jobs/([0-9a-f-]{36})", "fetch_job"),
    ("GET", r"/api/v3/jobs/([0-9a-f-]{36})/tasks", "fetch_tasks"),
    ("POST", r"/api/v3/jobs/([0-9a-f-]{36})/setstatus", "set_job_status"),
    ("POST", r"/api/v3/jobs/([0-9a-f-]{36})/setpriority", "set_priority"),
    ("POST", r"/api/v3/tasks/([0-9a-f-]{36})/setstatus", "set_task_status"),
    ("GET", r"/api/v3/worker-mgt/workers", "workers"),
    ("POST", r"/api/v3/worker-mgt/workers/([0-9a-f-]{36})/setstatus", "set_worker_status"),
    ("POST", r"/api/v3/worker/register-worker", "register"),
    ("POST", r"/api/v3/worker/sign-on", "sign_on"),
    ("POST", r"/api/v3/worker/sign-off", "sign_off"),
    ("GET", r"/api/v3/worker/state", "state"),
    ("POST", r"/api/v3/worker/state-changed", "state_changed"),
    ("POST", r"/api/v3/worker/task", "ask"),
    ("POST", r"/api/v3/worker/task/([0-9a-f-]{36})", "update"),
    ("GET", r"/api/v3/worker/task/([0-9a-f-]{36})/may-i-run", "may_i_run"),
    ("POST", r"/api/v3/worker/task/([0-9a-f-]{36})/output-produced", "output"),
]
ROUTES = [(method, re.compile(path + r"\Z"), op) for method, path, op in ROUTES]
WORKER_OPS = {"sign_on", "sign_off", "state", "state_changed", "ask", "update", "may_i_run", "output"}


def parse_frames(text):
    frames = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        frames += range(int(first), int(last or first) + 1)
    return frames


def author_tasks(job_type, settings):
    """(name, type, commands, depends on all before) of each task."""
    if job_type == "echo-sleep-test":
        yield "echo", "misc", [{"name": "echo", "parameters": {"message": settings["message"]}, "total_step_count": 0}], False
        for _ in range(settings.get("sleep_repeats", 0)):
            command = {"name": "sleep", "parameters": {"duration_in_seconds": settings["sleep_duration_seconds"]}}
            yield "sleep", "misc", [dict(command, total_step_count=0)], True
        return
    frames, chunk = parse_frames(settings["frames"]), settings["chunk_size"]
    for at in range(0, len(frames), chunk):
        part = frames[at:at + chunk]
        span = f"{part[0]}..{part[-1]}" if len(part) > 1 else str(part[0])
        parameters = {"exe": "blender", "exeArgs": "-b -y", "argsBefore": [], "blendfile": settings["blendfile"],
                      "args": ["--render-output", settings["render_output_path"], "--render-frame", span]}
        command = {"name": "blender-render", "parameters": parameters, "total_step_count": len(part)}
        yield "render-" + span.replace("..", "-"), "blender", [command], False
    if settings.get("fps"):
        parameters = {"exe": "ffmpeg", "fps": settings["fps"], "inputGlob": "/r/*.png", "outputFile": "/r/o.mp4", "args": []}
        yield "preview-video", "ffmpeg", [{"name": "frames-to-video", "parameters": parameters, "total_step_count": 0}], True


def is_closed(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, *args):
        pass

    def handle_any(self):
        manager = self.server.manager
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if len(body) < int(self.headers.get("Content-Length", 0)):
            manager.cut_bodies += 1
            self.close_connection = True
            return
        answer = manager.handle(self, body)
        if answer == DROP:
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other end was faster
            return
        status, payload = answer
        self.send_response(status)
        text = b""
        if payload is not None:
            text = payload if isinstance(payload, bytes) else json.dumps(payload).encode() + b"\n"
            self.send_header("Content-Type", "text/plain" if isinstance(payload, bytes) else "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if text:
            self.wfile.write(text)

    do_GET = do_POST = do_DELETE = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def get_request(self):
        connection, address = super().get_request()
        self.manager.connections.add(connection)
        self.manager.connections_made += 1
        return connection, address

    def shutdown_request(self, request):
        self.manager.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        pass  # cut connections are what some tests are about


class MockManager:
    def __init__(self, hold=0.0):
        self.hold = hold  # seconds for which an ask without task is parked
        self.lock = threading.Condition()
        self.workers, self.jobs, self.tasks = {}, {}, {}
        self.scripts = {}  # op → list of answers to give instead of the real one
        self.requests = []  # (op, worker name, body, monotonic time)
        self.problems = []  # what a manager would refuse, or a real Worker would never send
        self.logs = {}  # task id → text
        self.cut_bodies = 0
        self.connections = set()
        self.connections_made = 0
        self.completions = 0
        self.asks_while_storing = 0  # a second job is stored only after so many more requests for a task
        self.lose = ()  # numbers of the completions to acknowledge and forget: the soak test has to notice
        self.server = None
        self.port = 0

    # -- life --

    def start(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.manager = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """As a killed process: the port is closed, all connections break; what was stored stays."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.server:
            self.stop()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # -- for the tests --

    def script(self, op, *answers):
        self.scripts.setdefault(op, []).extend(answers)

    def ops(self, worker=None):
        return [op for op, name, _, _ in self.requests if worker in (None, name)]

    def bodies(self, op):
        return [body for o, _, body, _ in self.requests if o == op]

    def job_tasks(self, job_id):
        return [t for t in self.tasks.values() if t["job"] == job_id]

    # -- requests --

    def authenticate(self, headers):
        scheme, _, encoded = headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        worker = self.workers.get(user)
        return worker if worker and worker["secret"] == password else None

    def handle(self, request, body):
        for method, path, op in ROUTES:
            match = path.match(request.path)
            if method == request.command and match:
                break
        else:
            self.problems.append(f"no route: {request.command} {request.path}")
            return 404, {"message": "no route"}
        json_body = None
        if op == "output":
            if not body or request.headers.get("Content-Type") not in ("image/png", "image/jpeg"):
                self.problems.append("bad output-produced")
        elif body:
            if request.headers.get("Content-Type") != "application/json":
                self.problems.append(f"{op}: content type {request.headers.get('Content-Type')}")
            json_body = json.loads(body)
        elif request.headers.get("Content-Type"):
            self.problems.append(f"{op}: content type without a body")
        if "Expect" in request.headers or "Flamenco/" not in request.headers.get("User-Agent", ""):
            self.problems.append(f"{op}: headers")
        with self.lock:
            worker = self.authenticate(request.headers) if op in WORKER_OPS else None
            if op == "register" and request.headers.get("Authorization") != "Basic Og==":
                self.problems.append("register: no empty credentials")
            self.requests.append((op, worker and worker["name"], json_body, time.monotonic()))
            self.lock.notify_all()
            if self.scripts.get(op):
                scripted = self.scripts[op].pop(0)
                if scripted is not None:
                    return scripted
            if op in WORKER_OPS and not worker:
                return 403, {"message": "who are you?"}
            args = [worker] if op in WORKER_OPS else []
            if op == "ask":
                args.append(request.connection)
            return getattr(self, "do_" + op)(*args, json_body, *match.groups())

    def do_version(self, _):
        return 200, {"version": "3.9-mock", "shortversion": "3.9", "name": "Mock Manager", "git": "none"}

    def do_job_type(self, _, name):
        if name not in ("simple-blender-render", "echo-sleep-test"):
            return 404, {"code": 404, "message": "no such job type"}
        return 200, {"name": name, "label": name, "settings": [], "etag": "etag-of-" + name}

    # -- jobs --

    def do_submit(self, body):
        if body.get("type_etag") not in (None, "etag-of-" + body["type"]):
            return 412, {"code": 412, "message": "wrong etag"}
        for key in ("name", "type", "submitter_platform"):
            if key not in body:
                return 400, {"message": key + " is missing"}
        if self.jobs and self.asks_while_storing:
            enough = self.ops().count("ask") + self.asks_while_storing
            while self.ops().count("ask") < enough:
                self.lock.wait(0.01)
        job = {"id": str(uuid.uuid4()), "name": body["name"], "status": "queued", "type": body["type"], "number": len(self.jobs)}
        before = []
        for index, (name, task_type, commands, last) in enumerate(author_tasks(body["type"], body["settings"])):
            steps = sum(c["total_step_count"] or 1 for c in commands)
            task = {"uuid": str(uuid.uuid4()), "job": job["id"], "name": name, "task_type": task_type, "commands": commands,
                    "status": "queued", "worker": None, "steps_completed": 0, "steps_total": steps, "index": index + 1,
                    "needs": list(before) if last else []}
            if not (last and body["type"] == "echo-sleep-test"):
                before.append(task["uuid"])
            self.tasks[task["uuid"]] = task
        self.jobs[job["id"]] = job
        self.lock.notify_all()
        return 200, self.describe(job)

    def describe(self, job):
        tasks = self.job_tasks(job["id"])
        return dict(job, steps_completed=sum(t["steps_completed"] for t in tasks),
                    steps_total=sum(t["steps_total"] for t in tasks))

    def do_fetch_job(self, _, job_id):
        return (200, self.describe(self.jobs[job_id])) if job_id in self.jobs else (404, {"code": 404, "message": "?"})

    def do_fetch_tasks(self, _, job_id):
        return 200, {"tasks": [dict(id=t["uuid"], name=t["name"], status=t["status"], index_in_job=t["index"],
                                    steps_completed=t["steps_completed"], steps_total=t["steps_total"])
                               for t in self.job_tasks(job_id)]}

    def do_set_job_status(self, body, job_id):
        job, tasks = self.jobs[job_id], self.job_tasks(job_id)
        if body["status"] == "cancel-requested":
            for task in tasks:
                if task["status"] in ("active", "queued", "soft-failed"):
                    task["status"] = "canceled"
            job["status"] = "canceled"
        elif body["status"] == "pause-requested":
            for task in tasks:
                if task["status"] in ("queued", "soft-failed"):
                    task["status"] = "paused"
            job["status"] = "pause-requested" if any(t["status"] == "active" for t in tasks) else "paused"
        elif body["status"] == "requeueing":
            everything = job["status"] == "completed"
            for task in tasks:
                if everything or task["status"] not in ("completed", "active"):
                    task["status"] = "queued"
                    task["steps_completed"] = 0
                    task.pop("failed_by", None)
            job["status"] = "completed" if all(t["status"] == "completed" for t in tasks) else "queued"
        else:
            self.problems.append(f"job status {body['status']}")
        self.lock.notify_all()
        return 204, None

    def do_set_priority(self, body, job_id):
        return 204, None

    def do_set_task_status(self, body, task_id):
        task = self.tasks[task_id]
        task["status"] = body["status"]
        if body["status"] == "queued":
            task["steps_completed"] = 0
            task.pop("failed_by", None)
        if body["status"] == "queued" and self.jobs[task["job"]]["status"] == "completed":
            self.jobs[task["job"]]["status"] = "queued"
        self.ripple(task)
        self.lock.notify_all()
        return 204, None

    def ripple(self, task):
        """What a task's new status does to its job."""
        job = self.jobs[task["job"]]
        statuses = [t["status"] for t in self.job_tasks(job["id"])]
        if all(s == "completed" for s in statuses):
            job["status"] = "completed"
        elif job["status"] == "pause-requested":
            if task["status"] == "soft-failed":
                task["status"] = "paused"
            if "active" not in statuses:
                job["status"] = "paused"
        elif task["status"] == "failed" and statuses.count("failed") * 10 >= len(statuses):
            job["status"] = "failed"
            for other in self.job_tasks(job["id"]):
                if other["status"] in ("active", "queued", "soft-failed"):
                    other["status"] = "canceled"
        elif task["status"] == "canceled" and not {"active", "queued", "soft-failed"} & set(statuses):
            job["status"] = "canceled"
        elif task["status"] in ("active", "completed", "failed") and job["status"] == "queued":
            job["status"] = "active"

    # -- workers --

    def do_workers(self, _):
        return 200, {"workers": [{"id": w["uuid"], "name": w["name"], "status": w["status"]} for w in self.workers.values()]}

    def do_set_worker_status(self, body, worker_id):
        self.workers[worker_id]["requested"] = body["status"]
        self.lock.notify_all()
        return 204, None

    def do_register(self, body):
        if set(body) != {"name", "platform", "secret", "supported_task_types"} or len(body["secret"]) != 64:
            self.problems.append(f"register: {body}")
        worker = {"uuid": str(uuid.uuid4()), "name": body["name"], "secret": body["secret"], "status": "", "requested": None}
        self.workers[worker["uuid"]] = worker
        return 200, {"uuid": worker["uuid"], "name": worker["name"]}

    def do_sign_on(self, worker, body):
        if set(body) != {"name", "software_version", "supported_task_types", "can_restart"}:
            self.problems.append(f"sign-on: {body}")
        worker["types"] = body["supported_task_types"]
        worker["status"] = "starting"
        return 200, {"status_requested": worker["requested"] or "awake"}

    def return_tasks(self, worker):
        for task in self.tasks.values():
            if task["status"] == "active" and task["worker"] == worker["uuid"]:
                stopped = self.jobs[task["job"]]["status"] in ("paused", "pause-requested")
                task["status"] = "paused" if stopped else "queued"
                task["steps_completed"] = 0
                self.ripple(task)
        self.lock.notify_all()

    def do_sign_off(self, worker, _):
        worker["status"] = "offline"
        worker["requested"] = None
        self.return_tasks(worker)
        return 204, None

    def do_state(self, worker, _):
        return (200, {"status_requested": worker["requested"]}) if worker["requested"] else (204, None)

    def do_state_changed(self, worker, body):
        if worker["status"] == "awake" and body["status"] != "awake":
            self.return_tasks(worker)
        worker["status"] = body["status"]
        if worker["requested"] == body["status"]:
            worker["requested"] = None
        return 204, None

    def find_task(self, worker):
        mine = [t for t in self.tasks.values() if t["worker"] == worker["uuid"] and t["status"] == "active"]
        if mine:
            return mine[0]
        for task in self.tasks.values():
            if (task["status"] in ("queued", "soft-failed") and self.jobs[task["job"]]["status"] in ("queued", "active")
                    and task["task_type"] in worker["types"] and worker["uuid"] not in task.get("failed_by", ())
                    and all(self.tasks[n]["status"] == "completed" for n in task["needs"])):
                return task
        return None

    def do_ask(self, worker, connection, _):
        deadline = time.monotonic() + self.hold
        while True:
            if worker["requested"]:
                return 423, {"status_requested": worker["requested"]}
            if worker["status"] != "awake":
                return 409, {"code": 409, "message": "not awake"}
            if is_closed(connection):
                return DROP  # as a manager should: a task for nobody would wait for its time-out
            task = self.find_task(worker)
            if task:
                break
            left = deadline - time.monotonic()
            if left <= 0 or not self.server:
                return 204, None
            self.lock.wait(min(left, 0.2))
        task["worker"] = worker["uuid"]
        task["status"] = "active"
        self.ripple(task)
        return 200, {key: task[key] for key in ("uuid", "job", "name", "status", "task_type", "commands", "steps_completed",
                                                "steps_total")} | {"priority": 50, "job_priority": 50, "job_type": "x"}

    def do_update(self, worker, body, task_id):
        task = self.tasks.get(task_id)
        if not task:
            return 404, {"code": 404, "message": "no such task"}
        if set(body) - {"activity", "log", "taskStatus", "steps_completed"}:
            self.problems.append(f"update: {body}")
        if task["worker"] != worker["uuid"]:
            return 409, {"code": 409, "message": "not yours"}
        if "log" in body:
            self.logs[task_id] = self.logs.get(task_id, "") + body["log"]
        if "steps_completed" in body:
            task["steps_completed"] = min(body["steps_completed"], task["steps_total"])
        status = body.get("taskStatus")
        if status == "completed":
            self.completions += 1
            if self.completions in self.lose:
                status = None
        if status == "failed":
            task.setdefault("failed_by", set()).add(worker["uuid"])
            capable = [w for w in self.workers.values() if w["uuid"] not in task["failed_by"]]
            status = "soft-failed" if len(task["failed_by"]) < 3 and capable else "failed"
        if status and status != task["status"]:
            task["status"] = status
            if status == "completed":
                task["steps_completed"] = task["steps_total"]
            self.ripple(task)
            self.lock.notify_all()
        return 204, None

    def do_may_i_run(self, worker, _, task_id):
        task = self.tasks.get(task_id)
        may = bool(task) and task["worker"] == worker["uuid"] and task["status"] == "active"
        requested = bool(worker["requested"])
        return 200, {"mayKeepRunning": may and not requested, "reason": "" if may else "no", "statusChangeRequested": requested}

    def do_output(self, worker, _, task_id):
        return 202, b""


if __name__ == "__main__":  # by hand: prints its address, on a free port
    manager = MockManager(hold=10)
    manager.start()
    print(manager.url)
    for _ in itertools.count():
        time.sleep(60)

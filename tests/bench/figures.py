# SPDX-License-Identifier: Apache-2.0
"""The measurements. Each takes the bench and adds values for rows of table.py. Called by run."""

import contextlib
import json
import pathlib
import resource
import socket
import subprocess
import sys
import threading
import time

from fill import fill
from live import page_memory, pages, pages_each, pages_paced, visitors
from manager import Manager, running
from shaman import file_lists, small_files, upload_memory, uploads
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "postgres"))
from cluster import ROLE, Cluster, find_programs # noqa: E402


def closed_loop(bench):
    """50 workers that never pause: empty, with 500,000 finished tasks, with 100,000 queued ones; RSS busy."""
    s = bench.sizes
    fill(bench, "finished", finished=s.finished)
    fill(bench, "queued", queued=s.queued)
    for _ in bench.each_run():
        cpu = {}
        for kind in ("empty", "finished", "queued"): # in turn, so that all see the same noise
            with running(bench, kind, fresh=kind == "empty") as manager:
                report = manager.farm("--workers", s.workers, "--tasks", s.loop_tasks)
            bench.expect_no_errors(report)
            cpu[kind] = report["server"]["cpu_us_per_task"]
            if kind == "empty":
                bench.add("loop.rate", report["tasks_per_s"])
                bench.add("loop.cpu", cpu[kind])
                bench.add("rss.busy", report["server"]["rss_kib"] / 1024)
            else:
                bench.add(f"loop.{kind}.cpu", cpu[kind])
                bench.add(f"loop.{kind}.ratio", cpu[kind] / max(cpu["empty"], 1))
            if kind == "finished":
                bench.add("loop.finished.rate", report["tasks_per_s"])


def storing(bench):
    """50 closed-loop workers while a job of 100,000 tasks is stored."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "storing") as manager:
            report = manager.farm("--workers", s.workers, "--tasks", s.storing_reserve, "--while-storing", s.huge_job)
        bench.add("storing.ask", report["operations"]["ask"]["p99_us"] / 1000)
        bench.add("storing.may_run", report["operations"]["may_i_run"]["p99_us"] / 1000)
        bench.add("storing.errors", report["errors"])
        bench.add("storing.time", report["stored_s"])


def paced(bench):
    """10,000 connected workers of the official pace: busy with tasks of 60 s, and parked."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "paced") as manager:
            report = manager.farm("--workers", s.crowd, "--paced", f"{s.paced_s}s", "--spread", f"{s.paced_s + 5}s",
                                  "--time-scale", s.paced_scale, "--duration", f"{(s.paced_s + 10) * s.paced_scale}s")
        bench.add("paced.ask", report["operations"]["ask"]["p99_us"] / 1000)
        bench.add("paced.cpu", report["server"]["cpu_us"] / 1e6 / report["seconds"])
        bench.add("paced.errors", report["errors"])
        bench.add("paced.rss", report["server"]["rss_kib"] / 1024)
        with running(bench, "crowd") as manager:
            bench.add("paced.parked_cpu", watch_parked(bench, manager))


def watch_parked(bench, manager):
    """Parks the crowd and returns the cores that it costs; then it gets a job."""
    s = bench.sizes
    command = manager.farm_command("--parked", "--workers", s.crowd, "--settle", f"{s.parked_watch_s + 5}s")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as farm:
        while manager.metric("parked_requests") < s.crowd:
            if farm.poll() is not None:
                manager.give_up(f"farm-sim --parked ended with {farm.returncode}")
            time.sleep(0.2)
        cpu, begun = manager.cpu_us(), time.monotonic()
        time.sleep(s.parked_watch_s)
        cores = (manager.cpu_us() - cpu) / 1e6 / (time.monotonic() - begun)
        out, _ = farm.communicate()
    if farm.returncode != 0:
        manager.give_up(f"farm-sim --parked ended with {farm.returncode}")
    bench.add("paced.parked_last", json.loads(out)["last_after_reply_us"] / 1000)
    return cores


def parked(bench):
    """From the reply to a submission until the last of 50 waiting workers has its task."""
    for _ in bench.each_run():
        with running(bench, "parked") as manager:
            report = manager.farm("--parked", "--workers", bench.sizes.workers)
        bench.add("parked.last", report["last_after_reply_us"] / 1000)


def single_jobs(bench):
    """Jobs of one task: one client, and 16."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "jobs") as manager:
            manager.farm("--submit-only", "--clients", 1, "--jobs", s.warm_up) # the helper is warm then
            one = manager.farm("--submit-only", "--clients", 1, "--jobs", s.single_jobs)
            many = manager.farm("--submit-only", "--clients", 16, "--jobs", s.many_jobs)
        bench.add("jobs.p50", one["operations"]["submit"]["p50_us"] / 1000)
        bench.add("jobs.rate", many["jobs_per_s"])
        bench.add("jobs.cpu", many["server"]["cpu_us"] / many["jobs"] / 1000)


def big_jobs(bench):
    """Jobs of 10,000 and 100,000 tasks: time, CPU and memory until they are accepted."""
    s = bench.sizes
    for _ in bench.each_run():
        for name, tasks in (("big10k", s.big_job), ("big100k", s.huge_job)):
            with running(bench, name) as manager:
                manager.farm("--submit-only", "--clients", 1, "--jobs", s.warm_up)
                everything, alone = manager.all_rss_mib(), manager.rss_mib()
                manager.forget_peak()
                report = manager.farm("--submit-tasks", tasks)
                bench.add(f"{name}.memory", manager.all_peak_mib() - everything)
                if name == "big100k":
                    bench.add("big100k.manager", manager.peak_mib() - alone)
            bench.add(f"{name}.time", report["accepted_s"])
            bench.add(f"{name}.cpu", report["server"]["cpu_us"] / tasks)


def task_lists(bench):
    """The tasks of a job of 10,000: one reader, and the memory that 64 readers need."""
    s = bench.sizes
    with running(bench, "lists") as manager:
        manager.farm("--submit-tasks", s.big_job)
        path = f"/api/v3/jobs/{manager.get('/api/v3/jobs')['jobs'][0]['id']}/tasks"
    for _ in bench.each_run():
        with running(bench, "lists", fresh=False) as manager:
            report = manager.farm("--get", path, "--clients", 1, "--requests", s.list_reads)
        bench.add("tasks.p50", report["operations"]["other"]["p50_us"] / 1000)
        bench.add("tasks.bytes", report["reply_bytes"] / 1e6)
        with running(bench, "lists", fresh=False) as manager: # anew, so that the peak is theirs
            manager.farm("--get", path, "--clients", s.list_readers, "--requests", 4 * s.list_readers)
            bench.add("tasks.peak", manager.peak_mib())


def long_lists(bench):
    """Lists of 10,000 jobs and of 100,000 tasks: whole and by pages of 100, and the memory that 16 readers at a time need."""
    s = bench.sizes
    with running(bench, "long") as manager:
        manager.farm("--submit-tasks", s.huge_job)
        tasks = f"/api/v3/jobs/{manager.get('/api/v3/jobs')['jobs'][0]['id']}/tasks"
        manager.farm("--submit-only", "--jobs", s.long_list, "--clients", 16)
    lists = (("jobs", "/api/v3/jobs", s.long_list), ("tasks", tasks, s.huge_job))
    for _ in bench.each_run():
        for name, path, rows in lists:
            page = f"{path}?limit=100&offset={rows // 2}"
            with running(bench, "long", fresh=False) as manager:
                report = manager.farm("--get", path, "--clients", 1, "--requests", s.long_reads)
                bench.add(f"long.{name}.p50", report["operations"]["other"]["p50_us"] / 1000)
                report = manager.farm("--get", page, "--clients", 1, "--requests", s.reads // 5)
                bench.add(f"long.{name}.page", report["server"]["cpu_us_per_request"])
            with running(bench, "long", fresh=False) as manager: # anew, so that the peak is theirs
                manager.farm("--get", path, "--clients", 16, "--requests", 16 * 2)
                bench.add(f"long.{name}.peak", manager.peak_mib())


def cpu_per_request(bench):
    """Server CPU of requests that read."""
    s = bench.sizes
    with running(bench, "reads") as manager:
        manager.farm("--workers", 10, "--tasks", s.listed_jobs * 2, "--jobs", s.listed_jobs)
        job = manager.get("/api/v3/jobs")["jobs"][0]["id"]
        worker = manager.get("/api/v3/worker-mgt/workers")["workers"][0]["id"]
    paths = (("version", "/api/v3/version"), ("job", f"/api/v3/jobs/{job}"),
             ("worker", f"/api/v3/worker-mgt/workers/{worker}"), ("types", "/api/v3/jobs/types"),
             ("jobs", "/api/v3/jobs"))
    for _ in bench.each_run():
        with running(bench, "reads", fresh=False) as manager:
            for name, path in paths:
                manager.farm("--get", path, "--requests", s.warm_up)
                requests = s.reads // 5 if name == "jobs" else s.reads
                report = manager.farm("--get", path, "--requests", requests)
                bench.add(f"get.{name}", report["server"]["cpu_us_per_request"])


def start(bench):
    """Start to the first answer: a new database, and 1,000,000 tasks."""
    s = bench.sizes
    fill(bench, "million", finished=s.million * 9 // 10, queued=s.million // 10)
    for _ in bench.each_run():
        for key, fresh in (("start.empty", True), ("start.full", False)):
            manager = Manager(bench, "started" if fresh else "million", fresh)
            bench.add(key, manager.start() * 1000)
            manager.stop()


class Knocker(threading.Thread):
    """Makes one new connection after the other, each with one question."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.refused, self.waits, self.going = port, 0, [], True

    def run(self):
        while self.going:
            begun = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                    connection.sendall(b"GET /api/v3/version HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                        self.refused += 1
            except OSError:
                self.refused += 1
            self.waits.append((begun, time.monotonic() - begun))
            time.sleep(0.001)

    def longest_since(self, begun):
        return max(wait for at, wait in self.waits if at >= begun)


def restart(bench):
    """Restarts in place beside workers: how long a new connection waits, who is refused, whose request fails."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "restart") as manager:
            knocker = Knocker(manager.port)
            knocker.start()
            command = manager.farm_command("--workers", s.workers, "--paced", "1s", "--time-scale", 0.1,
                                           "--duration", f"{3 + 2.5 * s.restarts}s")
            with subprocess.Popen(command, stdout=subprocess.PIPE) as farm:
                for _ in range(s.restarts):
                    time.sleep(2)
                    begun = time.monotonic()
                    bench.add("restart.time", manager.restart_in_place())
                    time.sleep(0.3)
                    bench.add("restart.wait", knocker.longest_since(begun) * 1000)
                out, _ = farm.communicate()
            knocker.going = False
            knocker.join()
        if farm.returncode != 0:
            manager.give_up(f"farm-sim ended with {farm.returncode}")
        bench.add("restart.refused", knocker.refused)
        bench.add("restart.errors", json.loads(out)["errors"])


def memory(bench):
    """RSS idle, with 2,000 idle connections, and of the helper. (That with busy workers: closed_loop.)"""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "idle") as manager:
            time.sleep(1)
            bench.add("rss.idle", manager.rss_mib())
            with contextlib.ExitStack() as open_ones:
                for _ in range(s.connections):
                    connection = open_ones.enter_context(socket.create_connection(("127.0.0.1", manager.port)))
                    connection.sendall(b"GET /api/v3/version HTTP/1.1\r\nHost: bench\r\n\r\n")
                    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                        manager.give_up("an idle connection was refused")
                bench.add("rss.connections", manager.rss_mib())
            manager.farm("--submit-only", "--clients", 1, "--jobs", 1)
            bench.add("rss.helper", manager.all_rss_mib() - manager.rss_mib())


@contextlib.contextmanager
def server(bench):
    """A PostgreSQL server whose commits reach the disk; None where PostgreSQL is not installed."""
    if find_programs() is None:
        yield None
        return
    bench.scratch.chmod(0o711) # it runs as somebody else
    cluster = Cluster({"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB", "autovacuum_naptime": "1min"},
                      bench.scratch)
    try:
        yield cluster
    finally:
        cluster.close()


def stores(bench):
    """persist-sqlite and persist-postgres side by side: the closed loop, and a job of 10,000 tasks."""
    s = bench.sizes
    with server(bench) as cluster:
        if cluster is None:
            bench.note("PostgreSQL is not installed")
        for run in bench.each_run():
            for kind in ("sqlite", "postgres") if cluster else ("sqlite",): # in turn, so that both see the same noise
                conninfo = None
                if kind == "postgres":
                    cluster.sql(f"CREATE DATABASE bench{run} OWNER {ROLE}", user="postgres", database="postgres")
                    conninfo = cluster.conninfo(database=f"bench{run}")
                with running(bench, f"store-{kind}", conninfo=conninfo) as manager:
                    big = manager.farm("--submit-tasks", s.big_job)
                    report = manager.farm("--workers", s.workers, "--tasks", s.loop_tasks)
                bench.expect_no_errors(report)
                bench.add(f"{kind}.rate", report["tasks_per_s"])
                bench.add(f"{kind}.cpu", report["server"]["cpu_us_per_task"])
                bench.add(f"{kind}.ask", report["operations"]["ask"]["p50_us"] / 1000)
                bench.add(f"{kind}.completed", report["operations"]["completed"]["p99_us"] / 1000)
                bench.add(f"{kind}.big", big["accepted_s"])


FIGURES = {f.__name__: f for f in (closed_loop, storing, paced, parked, single_jobs, big_jobs, task_lists, long_lists,
                                   cpu_per_request, stores, start, restart, memory, uploads, upload_memory,
                                   small_files, file_lists, pages, pages_each, pages_paced, page_memory,
                                   visitors)}


def raise_descriptor_limit():
    """Thousands of connections need as many descriptors here, in the manager and in farm-sim."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard

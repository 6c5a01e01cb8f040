# SPDX-License-Identifier: Apache-2.0
"""Measurements of open web pages: what hundreds of them cost the manager while the farm works, and those who come and go. Used
by figures.py.

The pages are on the same machine as the manager and compete with it, so most of them take what has come only ten times a second
and without looking at it, which costs next to nothing (what they took is noted); a few read at once, look at all of it, and say
how late events are and how long. A page in another machine costs the manager the same or less: over the loopback device, the
sender's processor does the receiver's TCP, too."""

import base64
import contextlib
import os
import select
import socket
import statistics
import threading
import time

from manager import running

EVENT = b'42["/jobs"'
READ_EVERY_S = 0.1
PROBES = 10


class Page:
    """One Socket.IO client by WebSocket, of the official web app's generation."""

    def __init__(self, manager, subscribe=True):
        self.manager = manager
        self.sock = socket.create_connection(("127.0.0.1", manager.port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        self.read_until(b"\x81\x0240") # the frame that lets it in
        if subscribe:
            self.say('420["/subscription",{"op":"subscribe","type":"allJobs"}]')
            self.read_until(b'430["ok"]')

    def read_until(self, mark):
        data = b""
        while mark not in data:
            piece = self.sock.recv(65536)
            if not piece:
                self.manager.give_up("a page was turned away")
            data += piece

    def say(self, text):
        """A masked frame, with a mask of zeros."""
        self.sock.sendall(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text.encode())

    def close(self):
        self.sock.close()


class Crowd:
    """Pages that are told of all jobs, all of the same, and two threads that read what they get."""

    def __init__(self, manager, size):
        self.pages = [Page(manager) for _ in range(size)]
        for page in self.pages:
            page.sock.setblocking(False)
        probes = min(PROBES, max(size // 2, 1))
        self.probes, self.others = self.pages[:probes], self.pages[probes:]
        self.probed, self.probed_bytes, self.other_bytes = 0, 0, 0 # events and bytes of the probes, bytes of the others
        self.lost, self.going, self.arrived, self.cpu_s = 0, True, {}, 0.0
        self.answered_p99 = 0.0 # of the requests that the last delays() made, in ms: what the disk and the queue before it took
        self.news = threading.Condition()
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self._read_at_once, self._read_now_and_then)]
        for thread in self.threads:
            thread.start()

    def delivered(self):
        """Events that all pages have got, as near as the probes' mean length of one tells."""
        return self.probed * (1 + self.other_bytes / max(self.probed_bytes, 1))

    def _read_at_once(self):
        poll = select.epoll()
        by_fd = {page.sock.fileno(): page for page in self.probes}
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        while self.going:
            for fd, _ in poll.poll(0.1):
                data, now = by_fd[fd].sock.recv(1 << 20), time.monotonic()
                if not data:
                    poll.unregister(fd)
                with self.news:
                    self.lost += not data
                    self.probed += data.count(EVENT)
                    self.probed_bytes += len(data)
                    for mark in self.arrived:
                        if mark in data:
                            self.arrived[mark].append(now)
                            self.news.notify()
        with self.news:
            self.cpu_s += time.thread_time()

    def _read_now_and_then(self):
        others, place = list(self.others), bytearray(1 << 20)
        while self.going:
            begun, ended, got = time.monotonic(), [], 0
            for page in others:
                try:
                    length = page.sock.recv_into(place, 0, socket.MSG_TRUNC) # for TCP: takes it without a copy
                except BlockingIOError:
                    continue
                got += length
                if length == 0:
                    ended.append(page)
            others = [page for page in others if page not in ended]
            with self.news:
                self.lost += len(ended)
                self.other_bytes += got
            time.sleep(max(0, READ_EVERY_S - (time.monotonic() - begun)))
        with self.news:
            self.cpu_s += time.thread_time()

    def delays(self, manager, stop, pause_s=0.05):
        """Changes a job's priority, which the probes look for, until stop(); from the request to each probe's receipt, in ms."""
        found, answered, number, name = [], [], 0, f"probe {os.getpid()}"
        job = manager.request("POST", "/api/v3/jobs", {"name": name, "type": "echo-sleep-test", "priority": 1, "submitter_platform": "linux",
                                                       "settings": {"message": "x", "sleep_duration_seconds": 0, "sleep_repeats": 1},
                                                       "initial_status": "paused"})
        while not stop() or number < 3:
            number += 1
            priority = 2 + number % 99 # another than before; the highest there is is 100
            mark = f'"name":"{name}","priority":{priority},'.encode()
            with self.news:
                self.arrived[mark], begun = [], time.monotonic()
            manager.request("POST", f"/api/v3/jobs/{job['id']}/setpriority", {"priority": priority})
            answered.append((time.monotonic() - begun) * 1000)
            with self.news:
                self.news.wait_for(lambda mark=mark: len(self.arrived[mark]) == len(self.probes), 10)
                if len(self.arrived[mark]) < len(self.probes):
                    manager.give_up("an event did not come within 10 s")
                found += [(at - begun) * 1000 for at in self.arrived.pop(mark)]
            time.sleep(pause_s)
        self.answered_p99 = sorted(answered)[len(answered) * 99 // 100]
        return sorted(found)

    def close(self):
        self.going = False
        for thread in self.threads:
            thread.join()
        for page in self.pages:
            page.close()


def load(manager, workers, tasks=None, seconds=None, during=None, more=()):
    """farm-sim at full load; gives its report and what `during` gave, which runs beside it and is told when the load is over."""
    reports, limit = [], ["--tasks", tasks] if tasks else ["--duration", f"{seconds}s"]
    farm = threading.Thread(target=lambda: reports.append(manager.farm("--workers", workers, *limit, *more)))
    farm.start()
    found = during(lambda: not farm.is_alive()) if during is not None else None
    farm.join()
    if not reports:
        manager.give_up("farm-sim failed")
    return reports[0], found


def pages(bench):
    """500 web pages that are told of all jobs while 50 closed-loop workers go on: cost for the farm, delays, memory."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "pages") as manager:
            load(manager, s.workers, s.loop_tasks // 10)
            alone, _ = load(manager, s.workers, s.loop_tasks)
            with contextlib.closing(Crowd(manager, s.pages)) as crowd:
                quiet = crowd.delays(manager, lambda: True)
                begun, delivered = time.monotonic(), crowd.delivered()
                busy, delays = load(manager, s.workers, s.loop_tasks, during=lambda stop: crowd.delays(manager, stop))
                took, delivered = time.monotonic() - begun, crowd.delivered() - delivered
            again, _ = load(manager, s.workers, s.loop_tasks) # a task becomes dearer with each one done: pages are between two without
            bench.expect_no_errors(busy)
            if crowd.lost:
                manager.give_up(f"{crowd.lost} pages were dropped, though they read")
        alone_cpu = max((alone["server"]["cpu_us_per_task"] + again["server"]["cpu_us_per_task"]) / 2, 1)
        alone_rate = (alone["tasks_per_s"] + again["tasks_per_s"]) / 2
        more = (busy["server"]["cpu_us_per_task"] - alone_cpu) * busy["tasks"]
        bench.add("pages.delivered", delivered / took)
        bench.add("pages.quiet_p50", statistics.median(quiet))
        bench.add("pages.p50", statistics.median(delays))
        bench.add("pages.p99", delays[len(delays) * 99 // 100])
        bench.add("pages.cpu", more / max(delivered, 1))
        bench.add("pages.task_cpu", busy["server"]["cpu_us_per_task"] / alone_cpu)
        bench.add("pages.rate", busy["tasks_per_s"] / alone_rate)
        bench.note(f"{alone['tasks_per_s']:.0f} and {again['tasks_per_s']:.0f} tasks/s without pages, {busy['tasks_per_s']:.0f} with them "
                   f"between; reading took {crowd.cpu_s / took:.2f} cores, the pages' share of the manager {more / 1e6 / took:.2f}")


PACED_TASK_S, PACED_PAUSE_S = 5, 5 # of a worker of the official pace, which pauses that long behind each task


def pages_paced(bench):
    """500 web pages that are told of all jobs while the farm does 5, and then 200 tasks a second: delays."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "pages_paced") as manager, contextlib.closing(Crowd(manager, s.pages)) as crowd:
            for name, rate, pause_s in (("slow", 5, 0.2), ("steady", 200, 0.05)):
                period_s = s.workers / rate # for each worker to do a task and pause
                scale = period_s / (PACED_TASK_S + PACED_PAUSE_S)
                seconds = max(s.pages_paced_s, period_s)

                def probe(stop, crowd=crowd, manager=manager, begun_s=period_s, pause_s=pause_s):
                    time.sleep(begun_s)
                    return crowd.delays(manager, stop, pause_s)
                report, delays = load(manager, s.workers, seconds=seconds, during=probe, more=(
                    "--paced", f"{PACED_TASK_S}s", "--time-scale", scale, "--spread", f"{PACED_TASK_S + PACED_PAUSE_S}s"))
                bench.expect_no_errors(report)
                bench.note(f"{name}: the requests themselves were answered within {crowd.answered_p99:.1f} ms at p99")
                bench.add(f"pages.{name}_rate", report["tasks_per_s"])
                bench.add(f"pages.{name}_p50", statistics.median(delays))
                bench.add(f"pages.{name}_p99", delays[len(delays) * 99 // 100])
            if crowd.lost:
                manager.give_up(f"{crowd.lost} pages were dropped, though they read")


def page_memory(bench):
    """Memory for each of 500 web pages that are told of all jobs: at first, and after a while of full load."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "page_memory") as manager:
            load(manager, s.workers, s.loop_tasks // 4)
            before = manager.rss_mib()
            with contextlib.closing(Crowd(manager, s.pages)):
                bench.add("pages.memory", (manager.rss_mib() - before) * 1024 / s.pages)
                load(manager, s.workers, s.loop_tasks // 4)
                bench.add("pages.busy_memory", (manager.rss_mib() - before) * 1024 / s.pages)


def visits(manager, seconds):
    """Lets 20 pages come, stay for a moment and come back; every third one leaves without a word. Gives one for each visit."""
    until, seen = time.monotonic() + seconds, []

    def come_and_go(number):
        while time.monotonic() < until:
            page = Page(manager)
            time.sleep(0.1)
            if number % 3:
                page.say("41")
            page.close()
            seen.append(number)

    crowd = [threading.Thread(target=come_and_go, args=(i,)) for i in range(20)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return seen


def visitors(bench):
    """20 web pages that stay for 0.1 s each and come back, beside 50 closed-loop workers; and 2,000 that do nothing."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, "visitors") as manager:
            alone, _ = load(manager, s.workers, seconds=s.visits_s)
            seen = []

            def visit(stop, seen=seen, manager=manager):
                seen += visits(manager, s.visits_s)
                while not stop():
                    time.sleep(0.05)
            busy, _ = load(manager, s.workers, seconds=s.visits_s, during=visit)
            bench.expect_no_errors(busy)
            bench.add("visitors.rate", busy["tasks_per_s"] / alone["tasks_per_s"])
            bench.add("visitors.task_cpu", busy["server"]["cpu_us_per_task"] / max(alone["server"]["cpu_us_per_task"], 1))
            bench.add("visitors.visits", len(seen) / s.visits_s)
            before = manager.rss_mib() # the farm's own memory grows under load: without it
            visits(manager, s.visits_s / 4)
            bench.add("visitors.memory", manager.rss_mib() - before)
        with running(bench, "idlers") as manager:
            load(manager, s.workers, s.warm_up)
            before = manager.rss_mib()
            with contextlib.ExitStack() as open_ones:
                for _ in range(s.connections):
                    open_ones.enter_context(contextlib.closing(Page(manager, subscribe=False)))
                bench.add("visitors.idle", (manager.rss_mib() - before) * 1024 / s.connections)
            manager.get("/api/v3/version")

# SPDX-License-Identifier: Apache-2.0
"""Measurements of open web pages: what hundreds of them cost the manager while the farm works, and those who come and go. Used
by figures.py.

The pages are on the same machine as the manager and compete with it, so most of them take what has come only ten times a second
and without looking at it, which costs next to nothing (what they took is noted); a few read at once, look at all of it, and say
how late events are and how long. A page in another machine costs the manager the same or less: over the loopback device, the
sender's processor does the receiver's TCP, too."""

import base64
import contextlib
import datetime
import os
import re
import select
import socket
import statistics
import threading
import time
import zlib

from manager import running

EVENT = b'42["/jobs"'
UPDATED = re.compile(rb'"updated":"([^"]+)"')
PROBE = f"probe {os.getpid()}" # the name of the job that is changed to see how long its events take
READ_EVERY_S = 0.1
PROBES, PACKED_PROBES = 10, 2 # unpacking takes time of the machine
SPEAK_EVERY_S = 20 # else the manager takes a page of Engine.IO 4 for gone


class Page:
    """One Socket.IO client by WebSocket: of the official web app's generation, or, packed, of today's, with compressed events as
    browsers offer them."""

    def __init__(self, manager, subscribe=True, packed=False):
        self.manager, self.packed, self.rest, self.unpacker = manager, packed, b"", zlib.decompressobj(-15)
        extension = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" if packed else ""
        self.sock = socket.create_connection(("127.0.0.1", manager.port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(f"GET /socket.io/?EIO={4 if packed else 3}&transport=websocket HTTP/1.1\r\nHost: bench\r\n"
                          f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          f"{extension}Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        if packed:
            self.read_until(b'0{"sid":')
            self.say("40")
        self.read_until(b'40{"sid":' if packed else b"\x81\x0240") # the frame that lets it in
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

    def texts(self, data):
        """What the messages in these bytes say. Plain ones need not be taken apart for what is looked for in them."""
        if not self.packed:
            return data
        data, at, found = self.rest + data, 0, []
        while len(data) - at >= 2:
            head, length = 2, data[at + 1]
            if length >= 126:
                head = 4 if length == 126 else 10
                length = int.from_bytes(data[at + 2:at + head], "big")
            if len(data) - at < head + length:
                break
            text = data[at + head:at + head + length]
            found.append(self.unpacker.decompress(text + b"\0\0\xff\xff") if data[at] & 0x40 else text)
            at += head + length
        self.rest = data[at:]
        return b"".join(found)

    def close(self):
        self.sock.close()


class Crowd:
    """Pages that are told of all jobs, all of the same, and two threads that read what they get."""

    def __init__(self, manager, size, packed=False):
        self.pages = [Page(manager, packed=packed) for _ in range(size)]
        for page in self.pages:
            page.sock.setblocking(False)
        probes = min(PACKED_PROBES if packed else PROBES, max(size // 2, 1))
        self.probes, self.others = self.pages[:probes], self.pages[probes:]
        self.probed, self.probed_bytes, self.other_bytes = 0, 0, 0 # events and bytes of the probes, bytes of the others
        self.lost, self.going, self.arrived, self.cpu_s = 0, True, {}, 0.0
        self.ages = [] # of what the first probe was told of other jobs, in ms since the change
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
                said = by_fd[fd].texts(data)
                if by_fd[fd] is self.probes[0]:
                    self._note_ages(said)
                with self.news:
                    self.lost += not data
                    self.probed += said.count(EVENT)
                    self.probed_bytes += len(data)
                    for mark in self.arrived:
                        if mark in said:
                            self.arrived[mark].append(now)
                            self.news.notify()
        with self.news:
            self.cpu_s += time.thread_time()

    def _note_ages(self, said):
        now = datetime.datetime.now(datetime.timezone.utc)
        for event in said.split(EVENT)[1:]:
            updated = UPDATED.search(event) # none: the rest of it comes with the next piece
            if updated and PROBE.encode() not in event:
                self.ages.append((now - datetime.datetime.fromisoformat(updated[1].decode())).total_seconds() * 1000)

    def _read_now_and_then(self):
        others, place = list(self.others), bytearray(1 << 20)
        spoke = time.monotonic()
        while self.going:
            if time.monotonic() - spoke > SPEAK_EVERY_S:
                spoke = time.monotonic()
                for page in self.pages:
                    page.say("3")
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
        found, answered, number = [], [], 0
        job = manager.request("POST", "/api/v3/jobs", {"name": PROBE, "type": "echo-sleep-test", "priority": 1, "submitter_platform": "linux",
                                                       "settings": {"message": "x", "sleep_duration_seconds": 0, "sleep_repeats": 1},
                                                       "initial_status": "paused"})
        while not stop() or number < 3:
            number += 1
            priority = 2 + number % 99 # another than before; the highest there is is 100
            mark = f'"name":"{PROBE}","priority":{priority},'.encode()
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
    for found in beside_full_load(bench, "pages"):
        for name, value in found.items():
            bench.add(f"pages.{name}", value)


def pages_each(bench):
    """The same with pages of today's Socket.IO, which are told each step count, compressed."""
    for found in beside_full_load(bench, "pages_each", packed=True, plugins={"#steps_interval: 100ms": "steps_interval: 0s"}):
        for name in ("delivered", "p50", "p99", "cpu", "rate"):
            bench.add(f"pages_each.{name}", found[name])


def beside_full_load(bench, folder, packed=False, plugins=None):
    """Gives what was found, for each run."""
    s = bench.sizes
    for _ in bench.each_run():
        with running(bench, folder, plugins=plugins) as manager:
            load(manager, s.workers, s.pages_tasks // 30)
            alone, _ = load(manager, s.workers, s.pages_tasks)
            with contextlib.closing(Crowd(manager, s.pages, packed)) as crowd:
                quiet = crowd.delays(manager, lambda: True)
                begun, delivered, crowd.ages = time.monotonic(), crowd.delivered(), []
                busy, delays = load(manager, s.workers, s.pages_tasks, during=lambda stop: crowd.delays(manager, stop))
                took, delivered, ages = time.monotonic() - begun, crowd.delivered() - delivered, sorted(crowd.ages)
            again, _ = load(manager, s.workers, s.pages_tasks) # a task becomes dearer with each one done: pages are between two without
            bench.expect_no_errors(busy)
            bench.note(f"the requests themselves were answered within {crowd.answered_p99:.1f} ms at p99")
            if crowd.lost:
                manager.give_up(f"{crowd.lost} pages were dropped, though they read")
        alone_cpu = max((alone["server"]["cpu_us_per_task"] + again["server"]["cpu_us_per_task"]) / 2, 1)
        alone_rate = (alone["tasks_per_s"] + again["tasks_per_s"]) / 2
        more = (busy["server"]["cpu_us_per_task"] - alone_cpu) * busy["tasks"]
        yield {
            "delivered": delivered / took, "quiet_p50": statistics.median(quiet),
            "p50": statistics.median(delays), "p99": delays[len(delays) * 99 // 100],
            "age_p50": statistics.median(ages), "age_p99": ages[len(ages) * 99 // 100],
            "cpu": more / max(delivered, 1), "task_cpu": busy["server"]["cpu_us_per_task"] / alone_cpu,
            "rate": busy["tasks_per_s"] / alone_rate,
        }
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

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what open web pages cost: many Socket.IO clients that are told of all jobs. The clients run on the same machine and
in one Python process, whose own time is in the delays.

delay    one change at a time: from the request to each client's receipt
cpu      the manager's CPU time for many changes, with the clients and without, per event delivered
memory   of the manager, per client
farm     tasks per second of farm-sim with the clients and without
"""
import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "api"))


class Crowd:
    """Sockets that are read by one thread; each frame of an event is one delivery."""

    def __init__(self, port, size):
        from harness.websocket import SocketIo
        self.clients = [SocketIo(port).subscribe("allJobs") for _ in range(size)]
        self.poll = select.epoll()
        self.by_fd = {}
        for client in self.clients:
            client.raw.sock.setblocking(False)
            self.by_fd[client.raw.sock.fileno()] = client.raw.sock
            self.poll.register(client.raw.sock.fileno(), select.EPOLLIN)
        self.delivered, self.times, self.lost, self.running = 0, [], 0, True
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while self.running:
            for fd, _ in self.poll.poll(0.1):
                try:
                    data = self.by_fd[fd].recv(1 << 18)
                except BlockingIOError:
                    continue
                if not data:
                    self.lost += 1
                    self.poll.unregister(fd)
                    continue
                n = data.count(b'42["/jobs"')
                self.delivered += n
                if n:
                    self.times.append(time.monotonic())

    def wait(self, delivered, timeout=60):
        end = time.monotonic() + timeout
        while self.delivered < delivered and time.monotonic() < end:
            time.sleep(0.0005)
        if self.delivered < delivered:
            sys.exit(f"live: {self.delivered} of {delivered} events came, {self.lost} clients were dropped")

    def close(self):
        self.running = False
        self.thread.join()
        for client in self.clients:
            client.close()


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def change(farm, job, n):
    for i in range(n):
        farm.api.ok("POST", f"/jobs/{job}/setpriority", 204, json={"priority": i % 100})


def tasks_per_second(options, url):
    done = subprocess.run([options.build / "tools" / "farm-sim" / "farm-sim", "load", "--url", url, "--tasks", str(options.tasks),
                           "--json"], stdout=subprocess.PIPE, check=True, text=True, cwd=tempfile.gettempdir())
    report = json.loads(done.stdout)
    return report["tasks_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=REPO / "build")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=5000, help="for farm-sim; 0: without")
    options = parser.parse_args()
    options.build = options.build.resolve()
    os.environ["FLAMENCO_BUILD"] = str(options.build)
    from harness.farm import GRAPH, Farm
    from harness.manager import Manager

    with tempfile.TemporaryDirectory(prefix="flamenco-live-") as scratch:
        manager = Manager(Path(scratch) / "m", live=True, recorder=False, scripts={"graph.js": GRAPH},
                          yaml={"plugins": {"event_forwarder": None, "http_routes": None}}).start()
        farm, pid = Farm(manager), manager.proc.pid
        job = farm.submit([], initial_status="paused")["id"]
        change(farm, job, 100)
        before = cpu_s(pid)
        change(farm, job, options.changes)
        alone = cpu_s(pid) - before
        rate_alone = tasks_per_second(options, manager.url) if options.tasks else 0
        empty = memory_kib(pid)
        crowd = Crowd(farm.port, options.clients)
        print(f"memory     {(memory_kib(pid) - empty) / options.clients:.1f} KiB a client")
        delays = []
        for i in range(100):
            crowd.times, begun = [], time.monotonic()
            change(farm, job, 1)
            crowd.wait((i + 1) * options.clients)
            delays += [t - begun for t in crowd.times]
            time.sleep(0.02)
        delays.sort()
        print(f"delay      p50 {delays[len(delays) // 2] * 1e3:.1f} ms, p99 {delays[len(delays) * 99 // 100] * 1e3:.1f} ms")
        before, begun, delivered = cpu_s(pid), time.monotonic(), crowd.delivered
        change(farm, job, options.changes)
        crowd.wait(delivered + options.changes * options.clients)
        spent, took = cpu_s(pid) - before, time.monotonic() - begun
        n = options.changes * options.clients
        print(f"cpu        {(spent - alone) / n * 1e6:.2f} µs for an event delivered; {n / took:.0f} delivered/s")
        if options.tasks:
            begun, delivered = time.monotonic(), crowd.delivered
            rate = tasks_per_second(options, manager.url)
            took = time.monotonic() - begun
            print(f"farm       {rate_alone:.0f} tasks/s alone, {rate:.0f} with {options.clients} clients, who got "
                  f"{(crowd.delivered - delivered) / took:.0f} events/s; {crowd.lost} dropped")
        crowd.close()
        manager.stop()


main()

# SPDX-License-Identifier: Apache-2.0
"""A manager in a directory of its own, and what its processes cost. Used by figures.py and fill.py."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
START_LIMIT_S = 600 # the check of a large database is part of some starts


def status_kib(pid, field):
    """A line of /proc/PID/status in KiB; 0 when the process is gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        return int(text.split(f"{field}:")[1].split()[0])
    return 0


def children_of(pid):
    """PIDs of a process's children."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            if int((entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.name))
    return found


class Manager:
    """Writes the configuration; start() and stop() may be called again and again on the same data."""

    def __init__(self, bench, name, fresh=True, conninfo=None, plugins=None):
        self.bench, self.process = bench, None
        self.folder = folder = bench.folder(name, fresh)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "flamenco-manager.yaml").write_text(
            f"_meta: {{version: 3}}\nlisten: 127.0.0.1:{self.port}\nshared_storage_path: {folder}/shared\n"
            f"local_manager_storage_path: {folder}/storage\nautodiscoverable: false\n", encoding="utf-8")
        if conninfo:
            plugins = {"    file: persist-sqlite\n    settings:\n":
                       f"    file: persist-postgres\n    settings:\n      conninfo: {json.dumps(conninfo)}\n"}
        if plugins:
            self.change_plugins(plugins)

    def change_plugins(self, changes):
        """etc/manager.yaml as shipped, but for these texts in it."""
        text = (ROOT / "etc" / "manager.yaml").read_text(encoding="utf-8")
        for shipped, wanted in changes.items():
            assert text.count(shipped) == 1, shipped
            text = text.replace(shipped, wanted)
        (self.folder / "etc").mkdir(exist_ok=True)
        (self.folder / "etc" / "manager.yaml").write_text(text, encoding="utf-8")

    def start(self):
        """Starts it; returns the seconds until the first answer."""
        with open(self.folder / "log.txt", "ab") as log:
            begun = time.monotonic()
            self.process = subprocess.Popen([self.bench.manager], cwd=self.folder, stdout=log, stderr=log)
        while True:
            try:
                self.get("/api/v3/version")
                return time.monotonic() - begun
            except OSError:
                if self.process.poll() is not None or time.monotonic() - begun > START_LIMIT_S:
                    self.process.kill()
                    self.give_up(f"the manager did not start (exit code {self.process.wait()})")
                time.sleep(0.001)

    def give_up(self, what):
        lines = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        sys.exit("\n".join([f"bench: {what}; the end of its log:", *lines[-20:]]))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if code != 0:
            self.give_up(f"the manager ended with {code}")

    def restart_in_place(self):
        """The same process anew; returns the seconds until it serves again, half a second of announcement among them."""
        def starts():
            return (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace").count(" manager: ready")
        before, begun = starts(), time.monotonic()
        self.process.send_signal(signal.SIGHUP)
        while starts() == before:
            if self.process.poll() is not None or time.monotonic() - begun > START_LIMIT_S:
                self.give_up("the manager did not restart")
            time.sleep(0.005)
        return time.monotonic() - begun

    def request(self, method, path, body=None):
        """Returns the reply's body as JSON (None when it is empty)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {} if body is None else {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            self.give_up(f"{method} {path} was answered with {response.status} {data[:200]!r}")
        return json.loads(data) if data and "json" in response.headers.get("Content-Type", "") else data

    def get(self, path):
        return self.request("GET", path)

    def metric(self, name):
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith(f"flamenco_{name} "):
                return float(line.split()[1])
        return self.give_up(f"/metrics has no {name}")

    # ---- what it costs ----

    def rss_mib(self):
        return status_kib(self.process.pid, "VmRSS") / 1024

    def all_rss_mib(self):
        """With its helpers."""
        return sum(status_kib(pid, "VmRSS") for pid in [self.process.pid, *children_of(self.process.pid)]) / 1024

    def forget_peak(self):
        for pid in [self.process.pid, *children_of(self.process.pid)]:
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    def peak_mib(self):
        return status_kib(self.process.pid, "VmHWM") / 1024

    def all_peak_mib(self):
        """The sum of the processes' peaks, which they need not have had at the same moment."""
        return sum(status_kib(pid, "VmHWM") for pid in [self.process.pid, *children_of(self.process.pid)]) / 1024

    def cpu_us(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1e6 / TICK

    # ---- load ----

    def farm_command(self, *arguments):
        return [self.bench.farm_sim, "load", "--url", self.url, "--json", "--server-pid", str(self.process.pid),
                *[str(a) for a in arguments]]

    def farm(self, *arguments):
        """Runs farm-sim load against it and returns its report."""
        done = subprocess.run(self.farm_command(*arguments), stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            self.give_up(f"farm-sim {' '.join(map(str, arguments))} ended with {done.returncode}")
        return json.loads(done.stdout)


@contextlib.contextmanager
def running(bench, name, fresh=True, conninfo=None, plugins=None):
    """A manager that runs during the block: with empty data, or with what the last one of that name left."""
    manager = Manager(bench, name, fresh, conninfo, plugins)
    manager.start()
    try:
        yield manager
    except BaseException:
        manager.process.kill()
        manager.process.wait()
        raise
    manager.stop()

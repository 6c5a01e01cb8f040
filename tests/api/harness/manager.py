# SPDX-License-Identifier: Apache-2.0
"""Runs the manager: a working directory with generated configuration, the process, its log and its end.

Environment: FLAMENCO_MANAGER is the program; else FLAMENCO_BUILD is the build directory; else `build` beside `tests`.
"""
import functools
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import yaml

from .store import make_store

REPO = Path(__file__).resolve().parents[3]
SANITIZER_MARKS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|: runtime error: ")
# Below the range from which systems take the ports of outgoing connections, so that nobody grabs one between our look and
# the manager's bind.
PORTS = range(12000, 32000)


def program():
    given = os.environ.get("FLAMENCO_MANAGER")
    if given:
        return Path(given)
    return Path(os.environ.get("FLAMENCO_BUILD", REPO / "build")) / "core" / "flamenco-manager"


@functools.lru_cache(maxsize=None)
def sanitizer():
    """Which sanitizer the program was built with: "asan", "tsan" or ""."""
    data = program().read_bytes()
    return "tsan" if b"__tsan_init" in data else "asan" if b"__asan_init" in data else ""


def scale():
    """How much longer than a plain build everything may take."""
    return float(os.environ.get("FLAMENCO_TEST_SCALE", {"asan": 4, "tsan": 10}.get(sanitizer(), 1)))


def free_port():
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLAMENCO_")}
    env["NO_COLOR"] = "1"
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):  # a first run opens a web browser
        env.pop(name, None)
    supp = REPO / "tests" / "sanitizers"

    def add(name, *options):
        env[name] = ":".join([o for o in (env.get(name),) if o] + list(options))

    add("ASAN_OPTIONS", "detect_leaks=1", "abort_on_error=0", "exitcode=99")
    add("UBSAN_OPTIONS", "print_stacktrace=1", "halt_on_error=0")
    add("TSAN_OPTIONS", "exitcode=99", "halt_on_error=0", *(
        [f"suppressions={supp / 'tsan.supp'}"] if (supp / "tsan.supp").exists() else []))
    if (supp / "lsan.supp").exists():
        add("LSAN_OPTIONS", f"suppressions={supp / 'lsan.supp'}", "print_suppressions=0")
    return env


class StartError(AssertionError):
    """The manager did not come up."""


def merge(base, extra):
    """Lays one map over another, map by map; None removes a key."""
    out = dict(base)
    for key, value in (extra or {}).items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


class Manager:
    """A manager in a directory of its own. `yaml` is laid over the generated manager.yaml, `reference` over the generated
    flamenco-manager.yaml. manual_clock and recorder switch the test plugins in; live: web pages are told by Socket.IO, and the
    recorder listens beside it; scripts are job types, {file: text}.
    config=None starts the program without --config, so that it finds its manager.yaml itself. store: where it keeps its data,
    when another manager's is wanted."""

    def __init__(self, directory, *, yaml=None, reference=None, recorder=True, manual_clock=False, live=False, scripts=None,
                 env=None,
                 config="manager.yaml", args=(), store=None):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.args = (["--config", config] if config else []) + list(args)
        self.env = dict(environment(), **(env or {}))
        self.proc = None
        self._lines, self._news, self._reader = [], threading.Condition(), None
        self.storage = self.dir / "storage"
        self.shared = self.dir / "shared"
        self.store = store or make_store(self)
        self.manager_yaml = merge(self._default_yaml(recorder, manual_clock, live), yaml)
        self.reference = merge(self._default_reference(), reference)
        self.write_config()
        for name, text in (scripts or {}).items():
            self.add_script(name, text)

    # ---- Files --------------------------------------------------------------------------------------------------------

    def _default_yaml(self, recorder, manual_clock, live):
        plugins = {
            "persist": self.store.yaml(),
            "task_scheduler": {"file": "scheduler-priority"},
            "job_compiler": {"file": "compiler-js"},
            "clock": {"file": "clock-manual" if manual_clock else "clock-system"},
            "state_machine": {"file": "state-machine"},
            "log_storage": {"file": "log-storage"},
            "local_storage": {"file": "local-storage"},
            "job_deleter": {"file": "job-deleter"},
            "sleep_scheduler": {"file": "sleep-scheduler"},
        }
        routes = []
        if live:
            plugins["broadcaster"] = {"file": "broadcaster-socketio"}
            plugins["farm_status"] = {"file": "farm-status"}
            plugins["event_forwarder"] = [{"name": "recorder", "file": "event-recorder"}]
            routes.append({"use": "recorder"})
        elif recorder:
            plugins["broadcaster"] = {"file": "event-recorder"}
            routes.append({"use": "broadcaster"})
        if manual_clock:
            routes.append({"use": "clock"})
        if routes:
            plugins["http_routes"] = routes
        return {"plugins": plugins, "limits": {"hold_empty_poll": "0s"}}

    def _default_reference(self):
        return {
            "_meta": {"version": 3},
            "manager_name": "Test Farm",
            "database": "farm.sqlite",
            "listen": f"127.0.0.1:{self.port}",
            "autodiscoverable": False,
            "local_manager_storage_path": str(self.storage),
            "shared_storage_path": str(self.shared),
            "shaman": {"enabled": False},
        }

    @property
    def database(self):
        return self.dir / "farm-c.sqlite"

    def write_config(self):
        (self.dir / "manager.yaml").write_text(yaml.safe_dump(self.manager_yaml, sort_keys=False))
        (self.dir / "flamenco-manager.yaml").write_text(yaml.safe_dump(self.reference, sort_keys=False))

    def add_script(self, name, text):
        scripts = self.dir / "scripts"
        scripts.mkdir(exist_ok=True)
        (scripts / name).write_text(text)

    # ---- Process ------------------------------------------------------------------------------------------------------

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def command(self, *args):
        return [str(program()), *self.args, *args]

    def run(self, *args, command=None, timeout=30):
        """Runs the program to its end, for flags that start nothing. Gives the CompletedProcess with text output."""
        done = subprocess.run(command or self.command(*args), cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout * scale())
        assert not SANITIZER_MARKS.search(done.stdout), done.stdout
        return done

    def spawn(self):
        """Starts the process and does not wait for it."""
        assert self.proc is None, "it runs already"
        self.proc = subprocess.Popen(self.command(), cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read_log, args=(self.proc.stdout,), daemon=True)
        self._reader.start()
        return self

    def start(self, timeout=20):
        self.spawn()
        try:
            self.wait_ready(timeout)
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        return self

    def wait_ready(self, timeout=20):
        """Waits until /health/ready says so; looks again whenever the manager has logged something."""
        deadline = time.monotonic() + timeout * scale()
        seen = 0
        while not self._is_ready():
            if self.proc.poll() is not None:
                raise StartError(f"the manager ended with {self.proc.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                raise StartError(f"the manager is not ready in time:\n{self.log()}")
            with self._news:
                self._news.wait_for(lambda n=seen: len(self._lines) > n, timeout=0.05)
                seen = len(self._lines)

    def _is_ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10 * scale()) as sock:
                sock.sendall(b"GET /health/ready HTTP/1.0\r\n\r\n")
                return b" 200 " in sock.recv(4096).split(b"\r\n", 1)[0]
        except OSError:
            return False

    def stop(self, expect=0, sig=signal.SIGTERM):
        """Asks it to end, and asserts that it ends well: exit code, no complaint of a sanitizer."""
        if self.proc is None:
            return
        code = self._end(sig)
        self.check_log()
        assert code == expect, f"exit code {code}, log:\n{self.log()}"

    def kill(self):
        """Ends it as a power cut would."""
        self._end(signal.SIGKILL)
        self.check_log()

    def wait_exit(self, timeout=40):
        """Waits for the end that the manager comes to by itself; gives the exit code."""
        code = self.proc.wait(timeout * scale())
        self._reader.join(10)
        self.proc.stdout.close()
        self.proc = None
        self.check_log()
        return code

    def restart(self):
        self.stop()
        return self.start()

    def restart_in_place(self, timeout=40):
        """SIGHUP: the same process anew."""
        position = self.log_position()
        self.proc.send_signal(signal.SIGHUP)
        self.wait_log("restarting", position, timeout)
        with self._news:
            position = next(i for i in range(position, len(self._lines)) if "restarting" in self._lines[i])
        self.wait_log("manager: ready", position, timeout)

    def _end(self, sig):
        proc = self.proc
        if proc.poll() is None:
            proc.send_signal(sig)
        try:
            proc.wait(40 * scale())
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()
            raise AssertionError(f"the manager does not end:\n{self.log()}") from None
        finally:
            self._reader.join(10)
            proc.stdout.close()
            self.proc = None
        return proc.returncode

    def is_running(self):
        return self.proc is not None and self.proc.poll() is None

    # ---- Log ----------------------------------------------------------------------------------------------------------

    def _read_log(self, stream):
        with open(self.dir / "manager.log", "ab") as copy:
            for line in stream:
                copy.write(line)
                copy.flush()
                with self._news:
                    self._lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._news.notify_all()

    def log(self):
        with self._news:
            return "\n".join(self._lines)

    def log_position(self):
        with self._news:
            return len(self._lines)

    def wait_log(self, pattern, after=0, timeout=20):
        """Waits for a line that the pattern is found in, from line number `after` on; gives the line."""
        regex = re.compile(pattern)

        def find():
            return next((line for line in self._lines[after:] if regex.search(line)), None)

        with self._news:
            if not self._news.wait_for(find, timeout * scale()):
                raise AssertionError(f"no line with {pattern!r} in the log:\n" + "\n".join(self._lines))
            return find()

    def check_log(self):
        found = [line for line in self.log().splitlines() if SANITIZER_MARKS.search(line)]
        assert not found, "a sanitizer complains:\n" + self.log()

# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own: made in a temporary folder, run as a user that is not root, on a free port, and removed
with everything in it. The system's own cluster is never touched. Used by tests/api, tests/faults and with-postgres."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

DATABASE = "farm"
ROLE = "farm"  # no superuser: the manager needs no rights but on its own database
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "shared_buffers": "32MB",
    "max_connections": "200",
    # A killed process loses nothing that the kernel has: only a power loss would tell the difference.
    "fsync": "off",
    "full_page_writes": "off",
    "log_min_messages": "warning",
    "deadlock_timeout": "200ms",
    "autovacuum_naptime": "5s",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that a killed server leaves nothing in /dev/shm
}


def find_programs():
    """The folder of initdb and postgres; None when PostgreSQL is not installed."""
    candidates = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: -int(path.split("/")[-2].split(".")[0]))
    for folder in candidates:
        if os.path.exists(os.path.join(folder, "initdb")) and os.path.exists(os.path.join(folder, "postgres")):
            return folder
    return None


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _reachable(folder):
    """Whether other users can get into this folder."""
    path = os.path.realpath(folder)
    while True:
        if not os.stat(path).st_mode & 0o001:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def _environment():
    """Ours, without pytest's name of the running test, which may be longer than the system takes."""
    return {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST" and not key.startswith("PG")}


class Cluster:
    """One server. start() and stop() as often as wanted; close() removes it. base: the folder that its own is made in. primary:
    the server that this one is a streaming standby of."""

    def __init__(self, settings=None, base=None, primary=None):
        self.bin = find_programs()
        if self.bin is None:
            raise RuntimeError("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin/initdb")
        base = base or next(d for d in (os.environ.get("TMPDIR"), "/dev/shm", "/tmp") if d and os.path.isdir(d) and
                    (os.geteuid() != 0 or _reachable(d)))
        self.dir = tempfile.mkdtemp(prefix="fl-pg-", dir=base)
        self.data = os.path.join(self.dir, "data")
        self.log = os.path.join(self.dir, "log")
        self.port = _free_port()
        self.process = None
        self.orphans = []
        self.primary = primary
        self.as_user = {}
        self.settings = dict(SETTINGS, **(settings or {}))
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                user = pwd.getpwnam("nobody")
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.dir, user.pw_uid, user.pw_gid)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _run(self, *args):
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.dir, timeout=180,
                              check=False, env=_environment(), **self.as_user)
        if done.returncode != 0:
            raise RuntimeError(f"{args[0]}: {done.stdout.decode(errors='replace')}")

    def _make(self):
        if self.primary is not None:
            self._make_standby()
            return
        self._run(f"{self.bin}/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                  "--no-sync", "--no-instructions")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as conf:
            for key, value in self.settings.items():
                conf.write(f"{key} = {value}\n")
            conf.write(f"port = {self.port}\nunix_socket_directories = '{self.dir}'\n")
        self.start()
        self.sql(f"CREATE ROLE {ROLE} LOGIN", user="postgres", database="postgres")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {ROLE}", user="postgres", database="postgres")

    def _make_standby(self):
        self._run(f"{self.bin}/pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d",
                  f"{self.primary.conninfo('postgres', 'postgres')} application_name={self.name}")
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a", encoding="utf-8") as conf:
            conf.write(f"port = {self.port}\nunix_socket_directories = '{self.dir}'\nsynchronous_standby_names = ''\n")
        self.start()

    @property
    def name(self):
        """What a primary knows this standby as."""
        return f"standby_{self.port}"

    def wait_for(self, sql, timeout=60):
        """Waits until a question is answered with yes."""
        until = time.monotonic() + timeout
        while self.sql(sql, "postgres", "postgres") != [["t"]]:
            if time.monotonic() > until:
                raise RuntimeError(f"not within {timeout} s: {sql}")
            time.sleep(0.02)

    def commit_with(self, standby):
        """From now on a commit is answered when that standby has it, too. Nobody: None."""
        name = standby.name if standby else ""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names='{name}'", "postgres", "postgres")
        self.sql("SELECT pg_reload_conf()", "postgres", "postgres")
        if standby:
            self.wait_for(f"SELECT count(*)=1 FROM pg_stat_replication WHERE application_name='{name}' AND sync_state='sync'")

    def promote(self):
        """Makes a standby a server of its own; returns when it may be written."""
        self.sql("SELECT pg_promote(true, 60)", "postgres", "postgres")

    def kill(self, everything=True):
        """As when its machine dies. everything=False: the main process alone; the others see it and end, but may answer until then."""
        self.process.send_signal(signal.SIGSTOP)  # it would start new ones
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            self.orphans = [int(pid) for pid in file.read().split()]
        with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as file:
            memory = file.read().splitlines()[6].split()[1]
        for pid in self.orphans if everything else []:
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.process = None
        # What a server finds and removes when it starts again; this one does not.
        subprocess.run(["ipcrm", "-m", memory], check=False, stderr=subprocess.DEVNULL)

    def follow(self, primary):
        """Begins anew as a standby, at the same address. After kill()."""
        until = time.monotonic() + 60
        while any(os.path.exists(f"/proc/{pid}") for pid in self.orphans):
            if time.monotonic() > until:
                raise RuntimeError(f"processes of a killed server do not end: {self.orphans}")
            time.sleep(0.02)
        shutil.rmtree(self.data)
        self.primary = primary
        self._make_standby()

    def conninfo(self, user=ROLE, database=DATABASE, tcp=False):
        host = "127.0.0.1" if tcp else self.dir
        return f"host={host} port={self.port} user={user} dbname={database}"

    def sql(self, text, user=ROLE, database=DATABASE):
        """Runs SQL; gives the rows as lists of texts."""
        done = subprocess.run([f"{self.bin}/psql", "-XAtq", "-F", "\x1f", "-R", "\x1e", "-v", "ON_ERROR_STOP=1", "-c", text,
                               self.conninfo(user, database)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              check=False, env=_environment())
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        out = done.stdout.decode().removesuffix("\n")
        return [row.split("\x1f") for row in out.split("\x1e")] if out else []

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([f"{self.bin}/postgres", "-D", self.data], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.dir, start_new_session=True,
                                            env=_environment(), **self.as_user)
        until = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                with open(self.log, encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"PostgreSQL does not start: {log.read()[-2000:]}")
            time.sleep(0.02)

    def answers(self):
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", self.dir, "-p", str(self.port)],
                              check=False, env=_environment()).returncode == 0

    def stop(self, mode="fast"):
        """mode: fast ends sessions and writes everything out; immediate is a crash of all processes."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def new_schema(self, name):
        """A schema that is empty at its first use."""
        self.sql(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
        return name

    def close(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)

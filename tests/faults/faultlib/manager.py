# SPDX-License-Identifier: Apache-2.0
"""The manager of the harness with a test-only job compiler, and with troubles that can be switched on while it runs."""
import functools
import os
import re
import subprocess
from pathlib import Path

from harness.farm import Farm
from harness.http import Api
from harness.manager import Manager, merge, program, sanitizer
from harness.store import SqliteStore

BUILD = Path(os.environ.get("FLAMENCO_BUILD") or program().parent.parent)
COMPILER = BUILD / "tests" / "faults" / "compiler-test.so"
IO_TROUBLE = BUILD / "tests" / "faults" / "io-trouble.so"


def missing_plugin():
    """Why the tests cannot run; None when they can."""
    for file in (COMPILER, IO_TROUBLE):
        if not file.exists():
            return f"{file} is missing: build with -Dtests=true"
    return None


@functools.lru_cache(maxsize=None)
def preload():
    """Variables that load io-trouble; a sanitizer's library insists on being first. It is named without its folder: a space ends a
    name in LD_PRELOAD, and the folder of a checkout may have one."""
    files = []
    if sanitizer():
        linked = subprocess.run(["ldd", str(program())], stdout=subprocess.PIPE, text=True, check=True).stdout
        files += re.findall(r"=> (\S*lib[at]san\S*)", linked)
    return {"LD_PRELOAD": " ".join(files + [IO_TROUBLE.name]), "LD_LIBRARY_PATH": str(IO_TROUBLE.parent)}


class Trouble:
    """Makes the file operations below one directory fail or hang (io_trouble.c)."""

    def __init__(self, switch):
        self.switch = Path(switch)

    def begin(self, what):
        """what: EROFS, EIO, ENOSPC, EDQUOT or hang; with " sync" behind it only making data durable fails."""
        new = self.switch.with_suffix(".new")
        new.write_text(what)
        new.rename(self.switch)

    def end(self):
        self.switch.unlink(missing_ok=True)


class FaultManager(Manager):
    """database: its file; storage: directory of task logs. trouble_at: the directory that `trouble` acts on. files: limit of
    open files. hold: how long a request for a task waits."""

    def __init__(self, directory, *, database=None, storage=None, trouble_at=None, files=None, hold="2s", request_timeout=None,
                 yaml=None, reference=None, plugins=None, **kw):
        kw.setdefault("recorder", False)
        limits = {"hold_empty_poll": hold}
        if request_timeout:
            limits["request_timeout"] = request_timeout
        base = {"plugins": {"job_compiler": {"file": str(COMPILER)}}, "limits": limits}
        if database:
            kw["store"] = kw.get("store") or SqliteStore(self)
            base["plugins"]["persist"] = {"settings": {"path": str(database)}}
        keys = {"blocklist_threshold": 100000, "task_fail_after_softfail_count": 100000}
        if storage:
            keys["local_manager_storage_path"] = str(storage)
        self._files = files
        self.trouble = Trouble(Path(directory) / "trouble")
        if trouble_at:
            kw["env"] = dict(kw.get("env") or {}, **preload(), FL_TROUBLE_DIR=str(trouble_at),
                             FL_TROUBLE_SWITCH=str(self.trouble.switch))
        super().__init__(directory, yaml=merge(base, yaml), reference=merge(keys, reference), **kw)
        self.storage = Path(storage) if storage else self.storage
        self._api = Api(self.url)

    def command(self, *args):
        command = super().command(*args)
        return ["prlimit", f"--nofile={self._files}:{self._files}", "--"] + command if self._files else command

    def farm(self):
        """A farm at the running manager, whose jobs are made by the test-only compiler."""
        return FaultFarm(self)

    def api(self):
        """Always the same one, so that asking again and again needs no new connections."""
        return self._api

    # ---- What the system knows of the process ---------------------------------------------------------------------------

    @property
    def pid(self):
        return self.proc.pid

    def memory_kib(self, what="VmRSS"):
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1])
        return 0

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def count_log(self, pattern, after=0):
        regex = re.compile(pattern)
        return sum(1 for line in self.log().splitlines()[after:] if regex.search(line))


class FaultFarm(Farm):
    """Jobs of the type "frames" with n tasks."""

    def submission(self, tasks=1, lane="misc", **fields):
        body = super().submission(1, type="frames", **fields)
        body["settings"] = {"frames": f"1-{tasks}", "task_type": lane}
        return body

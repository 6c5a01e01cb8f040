# SPDX-License-Identifier: Apache-2.0
"""Everything at once: a simulated farm with failures, vanishing Workers, broken connections, cancels, pauses, requeues and status
requests, and beside it people who delete finished jobs, save the configuration and restart the manager in place.

FLAMENCO_FAULTS_SOAK is how long, in seconds (20).
"""
import datetime
import json
import os
import subprocess
import threading

from faultlib.manager import BUILD
from faultlib.recount import recount
from harness.check import wait_until
from harness.manager import scale

SECONDS = int(os.environ.get("FLAMENCO_FAULTS_SOAK", "20"))
FINAL = ("completed", "failed", "canceled")
SETTLED = datetime.timedelta(seconds=5 * scale())  # farm-sim has checked a finished job by then, and forgotten it
QUEUED_AND_ACTIVE = (0, 1)


class People(threading.Thread):
    """They delete, save and restart until they are told to stop."""

    def __init__(self, manager, random):
        super().__init__(daemon=True)
        self.manager, self.random, self.done = manager, random, threading.Event()
        self.deleted, self.saved, self.restarts, self.trouble = [], 0, 0, None

    def run(self):
        try:
            while not self.done.wait(self.random.uniform(0.2, 0.8) * scale()):
                self.random.choices((self.delete, self.save, self.restart), (6, 3, 1))[0]()
        except Exception as trouble:  # pylint: disable=broad-except # told by stop()
            self.trouble = trouble

    def delete(self):
        api, now = self.manager.api(), datetime.datetime.now(datetime.timezone.utc)
        jobs = [job for job in api.ok("GET", "/jobs")["jobs"] if job["status"] in FINAL and "delete_requested_at" not in job
                and now - datetime.datetime.fromisoformat(job["updated"]) > SETTLED]
        for job in jobs[:2]:
            api.ok("DELETE", f"/jobs/{job['id']}", 204)
            self.deleted.append(job["id"])

    def save(self):
        config = self.manager.api().ok("GET", "/configuration/file")
        config["manager_name"] = f"Soaked {self.saved + 1} times"
        self.manager.api().ok("PUT", "/configuration/file", 204, json=config)
        self.saved += 1

    def restart(self):
        self.manager.restart_in_place()
        self.restarts += 1

    def stop(self):
        self.done.set()
        self.join(60 * scale())
        assert self.trouble is None, self.trouble
        assert not self.is_alive()


def test_everything_at_once(make_manager, seed, figure):
    manager = make_manager(hold="10m", yaml={"plugins": {
        "job_compiler": {"file": "compiler-js"}, "job_deleter": {"file": "job-deleter"}, "farm_status": {"file": "farm-status"},
        "last_rendered": {"file": "last-rendered"}}}).start()
    command = [str(BUILD / "tools" / "farm-sim" / "farm-sim"), "soak", "--url", manager.url, "--workers", "30", "--json",
               "--duration", f"{SECONDS}s", "--cut-rate", "0.02", "--disturb-rate", "4", "--timeout", f"{int(120 * scale())}s",
               "--seed", str(seed.randrange(1 << 31)), "--can-restart"]
    people = People(manager, seed)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sim:
        people.start()
        out, err = sim.communicate(timeout=(SECONDS + 200) * scale())
    people.stop()
    assert sim.returncode == 0, err
    wait_until(lambda: not {job["id"] for job in manager.api().ok("GET", "/jobs")["jobs"]} & set(people.deleted),
               "deleted jobs are gone")
    manager.stop()
    assert recount(manager.database, manager.storage, QUEUED_AND_ACTIVE) == []
    report = json.loads(out)
    figure(f"{SECONDS} s: {report['jobs_verified']} jobs, {report['completions_acknowledged']} completions, "
           f"{report['disturbances']} disturbances, {report['connections_cut']} connections cut, "
           f"{report['workers_vanished']} Workers vanished; {len(people.deleted)} jobs deleted, {people.saved} configurations "
           f"saved, {people.restarts} restarts; {report['violations']} violations")
    assert report["violations"] == 0 and people.saved > 0

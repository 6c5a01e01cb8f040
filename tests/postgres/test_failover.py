# SPDX-License-Identifier: Apache-2.0
"""Two PostgreSQL servers, a primary and its streaming standby, of which every commit waits for both. The primary dies under load
and the standby is promoted: the manager finds it by itself (conninfo names both), requests wait, nothing acknowledged is lost and
nothing is done twice."""
import subprocess
import time

import pytest
from cluster import Cluster
from faultlib.load import Load
from faultlib.manager import BUILD
from faultlib.recount import recount_store
from finish import QUEUED_AND_ACTIVE, finish
from harness.manager import scale
from harness.store import PostgresStore

TIMES = 2


class Pair(PostgresStore):
    """A store on two servers, one of which is the primary at a time."""

    def __init__(self):
        self.primary = Cluster()
        super().__init__(server=self.primary)
        try:
            self.standby = Cluster(primary=self.primary)
        except BaseException:
            self.primary.close()
            raise
        self.servers = [self.standby, self.primary]  # who takes the first that answers is wrong
        self.primary.commit_with(self.standby)

    def yaml(self):
        conninfo = (f"host={','.join(s.dir for s in self.servers)} port={','.join(str(s.port) for s in self.servers)}"
                    " user=farm dbname=farm target_session_attrs=read-write")
        return {"file": "persist-postgres", "settings": {"conninfo": conninfo, "schema": self.schema}}

    def fail_over(self, everything=True, pause=0.0):
        """Kills the primary, and promotes the standby after a while. The new primary waits for nobody then."""
        self.primary.kill(everything)
        time.sleep(pause)
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
        self.server = self.primary

    def mend(self):
        """The dead one comes back as the standby of the other."""
        self.standby.follow(self.primary)
        self.primary.commit_with(self.standby)

    def close(self):
        for server in self.servers:
            server.close()


@pytest.fixture
def pair():
    made = Pair()
    yield made
    made.close()


@pytest.mark.parametrize("everything", [True, False], ids=["machine", "postmaster"])
def test_nothing_acknowledged_is_lost_when_the_primary_dies(make_manager, pair, seed, figure, everything):
    manager = make_manager(store=pair).start()
    pid, down = manager.pid, 0
    load = Load(manager, seed.random(), may_refuse=True).start()
    try:
        for number in range(TIMES):
            if number > 0:
                pair.mend()
            load.wait_acks(2, each=True, timeout=60 * scale())
            time.sleep(seed.random() * scale())
            began = time.monotonic()
            pair.fail_over(everything, seed.random())
            down += time.monotonic() - began
            load.wait_acks(3, each=True, timeout=60 * scale())
        assert manager.pid == pid and manager.is_running()
        finish(load, pair, manager)
    finally:
        load.stop()
    assert load.breaks.total() == 0, f"a client's connection broke: {load.breaks}"
    figure(f"{TIMES} failovers, {down:.1f} s without a primary, {load.refused} requests of people refused; {load.summary()}")


def test_simulated_farm_goes_on_over_a_failover(make_manager, pair, seed, figure):
    manager = make_manager(store=pair, hold="10m", yaml={"plugins": {"job_compiler": {"file": "compiler-js"}}}).start()
    pid, duration = manager.pid, 6 * scale()
    command = [str(BUILD / "tools" / "farm-sim" / "farm-sim"), "soak", "--url", manager.url, "--workers", "12", "--duration",
               f"{duration}s", "--jobs", "2", "--tasks", "20", "--fail-rate", "0", "--vanish-rate", "0", "--cut-rate", "0",
               "--disturb-rate", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as farm:
        try:
            time.sleep(duration / 3)
            pair.fail_over(pause=seed.random())
            output, _ = farm.communicate(timeout=120 * scale())
        finally:
            farm.kill()
    assert farm.returncode == 0, output
    assert manager.pid == pid and manager.is_running()
    manager.stop()
    assert recount_store(pair, QUEUED_AND_ACTIVE) == []
    figure("farm-sim: " + " ".join(output.split())[-300:])


def test_requests_wait_while_the_standby_that_commits_need_is_away(make_manager, pair, seed, figure):
    """A commit hangs then, until the standby is back; the manager gives the connection up, and hears what became of it."""
    store = pair.yaml()
    store["settings"]["answer_timeout"] = "1s"
    manager = make_manager(store=pair, yaml={"plugins": {"persist": store}}).start()
    load = Load(manager, seed.random(), may_refuse=True).start()
    try:
        load.wait_acks(2, each=True, timeout=60 * scale())
        position = manager.log_position()
        pair.standby.stop("immediate")
        manager.wait_log("the connection to PostgreSQL is lost", position)
        pair.standby.start()
        load.wait_acks(3, each=True, timeout=60 * scale())
        finish(load, pair, manager)
    finally:
        load.stop()
    assert load.breaks.total() == 0, f"a client's connection broke: {load.breaks}"
    figure(f"{load.refused} requests of people refused; {load.summary()}")

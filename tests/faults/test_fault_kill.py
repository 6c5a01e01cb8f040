# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load: what was acknowledged is there afterwards, and everybody goes on by himself."""
import os
import subprocess
import time

import pytest
from faultlib.check import check
from faultlib.load import Load
from faultlib.manager import BUILD
from harness.manager import scale

KILLS = int(os.environ.get("FLAMENCO_FAULTS_KILLS", 10))


def kill_while_starting(manager, rng):
    """Starts it, and kills it on the way, or just after."""
    manager.spawn()
    time.sleep(rng.random() * 0.15 * scale())
    manager.kill()


def test_what_was_acknowledged_survives_kills(make_manager, seed, figure):
    manager = make_manager().start()
    load = Load(manager, seed.random()).start()
    load.wait_acks(1, each=True, timeout=30 * scale())
    slowest = 0
    kills = starts_killed = 0
    try:
        while kills < KILLS:
            time.sleep(seed.random() * scale())
            manager.kill()
            kills += 1
            load.close_gate()
            if seed.random() < 0.2:
                kill_while_starting(manager, seed)
                starts_killed += 1
            position = manager.log_position()
            began = time.monotonic()
            manager.start()
            slowest = max(slowest, time.monotonic() - began)
            manager.wait_log("the database is in order", after=position)
            check(load)
            load.open_gate()
            load.wait_acks(3, each=True, timeout=30 * scale())
        load.close_gate()
        check(load, everything=True)
    finally:
        load.stop()
    figure(f"{kills} kills, {starts_killed} more during the start, slowest start {slowest:.2f} s, {load.checked} states compared, "
           f"none wrong; {load.summary()}")


def test_farm_sim_goes_on_by_itself(make_manager, seed, figure):
    """Unmodified behaviour of Workers: nobody tells the simulated farm that the manager was killed."""
    farm_sim = BUILD / "tools" / "farm-sim" / "farm-sim"
    if not (BUILD / "plugins" / "compiler-js" / "compiler-js.so").exists() or not farm_sim.exists():
        pytest.skip("built without compiler-js or farm-sim")
    manager = make_manager(yaml={"plugins": {"job_compiler": {"file": "compiler-js"}}}, hold="10m").start()
    duration = 6 * scale()
    command = [str(farm_sim), "soak", "--url", manager.url, "--workers", "12", "--duration", f"{duration}s", "--jobs", "2",
               "--tasks", "20", "--fail-rate", "0", "--vanish-rate", "0", "--cut-rate", "0", "--disturb-rate", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as farm:
        try:
            kills = max(2, KILLS // 5)
            for _ in range(kills):
                time.sleep((0.3 + seed.random()) * duration / kills / 2)
                manager.kill()
                manager.start()
            output, _ = farm.communicate(timeout=120 * scale())
        finally:
            farm.kill()
    assert farm.returncode == 0, output
    figure(f"{kills} kills; farm-sim: " + " ".join(output.split())[-400:])

# SPDX-License-Identifier: Apache-2.0
"""The simulated farm against a manager on PostgreSQL: demo, load and soak."""
import json
import subprocess

import pytest
from faultlib.manager import BUILD
from faultlib.recount import recount_store
from harness.manager import scale

QUEUED_AND_ACTIVE = (0, 1)
MODES = {
    "demo": ["--frame-time", "50ms", "--time-scale", "0.05"],
    "load": ["--tasks", "3000", "--workers", "20"],
    "soak": ["--duration", "12s", "--disturb-rate", "4", "--cut-rate", "0.02", "--workers", "20"],
}


@pytest.mark.parametrize("mode", MODES)
def test_farm_sim(make_manager, store, figure, mode):
    manager = make_manager(store=store, hold="10m", yaml={"plugins": {
        "job_compiler": {"file": "compiler-js"}, "last_rendered": {"file": "last-rendered"},
        "farm_status": {"file": "farm-status"}}}).start()
    command = [str(BUILD / "tools" / "farm-sim" / "farm-sim"), mode, "--url", manager.url, *MODES[mode]]
    if mode != "demo":
        command.append("--json")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300 * scale(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    manager.stop()
    assert recount_store(store, QUEUED_AND_ACTIVE) == []
    if mode == "load":
        report = json.loads(done.stdout)
        assert report["errors"] == 0
        figure(f"{report['tasks_per_s']:.0f} tasks/s with 20 Workers")

# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the mock manager, and farm-sim itself: environment variable FARM_SIM, else the one in the build folder that
FLAMENCO_BUILD names, else in build/."""
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from mock_manager import MockManager  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FLAMENCO_BUILD", "build"))
BINARY = os.environ.get("FARM_SIM", str(ROOT / BUILD / "tools/farm-sim/farm-sim"))


@pytest.fixture(scope="session", autouse=True)
def binary():
    assert os.access(BINARY, os.X_OK), f"{BINARY} is not built"
    return BINARY


@pytest.fixture
def manager():
    with MockManager(hold=5) as mock:
        yield mock


@pytest.fixture
def sim(manager):
    """Runs farm-sim against the mock manager to its end."""
    def run(mode, *options, scale="0.01", url=None, timeout=60):
        command = [BINARY, mode, "--url", url or manager.url, "--time-scale", scale, *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    return run


@pytest.fixture
def start_sim(manager):
    """Starts it and leaves it running; killed after the test."""
    started = []

    def start(mode, *options, scale="0.01"):
        command = [BINARY, mode, "--url", manager.url, "--time-scale", scale, *options]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]
    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()

# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the fault tests. The harness is that of the black box tests, tests/api.

Environment, beside that of the harness: FLAMENCO_FAULTS_KILLS is how often the manager is killed (10; docs/reliability.md
tells of 50); FLAMENCO_FAULTS_SEED repeats the random decisions of a run.
"""
import importlib.util
import os
import random
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
API = HERE.parent / "api"
sys.path[:0] = [str(HERE), str(API)]

_spec = importlib.util.spec_from_file_location("flamenco_api_conftest", API / "conftest.py")
_api = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_api)
pytest_report_header = _api.pytest_report_header
pytest_runtest_makereport = _api.pytest_runtest_makereport
pytest_sessionstart = _api.pytest_sessionstart

from faultlib.manager import FaultManager, missing_plugin  # noqa: E402
from faultlib.mounts import Ext4, Tmpfs, why_no_mounts  # noqa: E402

_figures = []


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures how the manager does; test.sh runs nothing beside it")


def pytest_runtest_logreport(report):
    """Figures come with a test's report, so that they come from other processes, too."""
    if report.when == "teardown":
        _figures.extend(f"{report.nodeid.rpartition('::')[2]}: {text}" for name, text in report.user_properties if name == "figure")


def pytest_terminal_summary(terminalreporter):
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.write_line(line)


@pytest.fixture
def figure(request):
    """Takes a line of figures, shown at the end of the run whether the test passes or not."""
    def note(text):
        request.node.user_properties.append(("figure", text))
    return note


@pytest.fixture
def seed(figure):
    """A random generator; its seed is shown, and can be given again."""
    value = int(os.environ.get("FLAMENCO_FAULTS_SEED") or random.SystemRandom().randrange(1 << 31))
    figure(f"FLAMENCO_FAULTS_SEED={value}")
    return random.Random(value)


@pytest.fixture
def make_manager(tmp_path):
    """Makes managers that are not started yet; those that run at the end are stopped and checked."""
    if missing_plugin():
        pytest.fail(missing_plugin())
    made = []

    def make(**kw):
        made.append(FaultManager(tmp_path / f"manager-{len(made) + 1}", **kw))
        return made[-1]

    make.managers = made
    yield make
    problems = []
    for manager in made:
        manager.trouble.end()
        try:
            manager.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def tmpfs(tmp_path):
    """Mounts small file systems, unmounted after the test and after the managers that use them."""
    if why_no_mounts():
        pytest.skip(why_no_mounts())
    mounted = []

    def mount(size, name="disk"):
        mounted.append(Tmpfs(tmp_path / name, size))
        return mounted[-1]

    yield mount
    for disk in mounted:
        disk.unmount()


@pytest.fixture
def ext4(tmp_path):
    """A small file system of the kind that turns read-only."""
    if why_no_mounts():
        pytest.skip(why_no_mounts())
    disk = Ext4(tmp_path / "ext4", 24)
    if trouble := disk.try_mount():
        pytest.skip(f"no file system that can be made to fail: {trouble}")
    yield disk
    disk.unmount()

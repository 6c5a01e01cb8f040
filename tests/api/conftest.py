# SPDX-License-Identifier: Apache-2.0
"""Fixtures: `farm` is a manager that all cheap tests share, `make_farm` starts one for a single test."""
import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.check import wait_until  # noqa: E402
from harness.farm import GRAPH, Farm  # noqa: E402
from harness.manager import Manager, program, sanitizer, scale  # noqa: E402
from harness.parked import HOLD, parked  # noqa: E402
from harness.shaman import start_shared  # noqa: E402

_lanes = itertools.count(1)


def pytest_report_header(config):
    return f"manager: {program()} ({sanitizer() or 'no'} sanitizer, time limits × {scale():g})" if program().exists() else \
        f"manager: {program()} is missing"


def pytest_sessionstart(session):
    if not program().exists():
        pytest.exit(f"{program()} is missing: build it, or set FLAMENCO_MANAGER or FLAMENCO_BUILD", returncode=2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the log of the managers that a failed test used into its report."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and call.when == "call":
        for value in getattr(item, "funcargs", {}).values():
            managers = [value.manager] if isinstance(value, Farm) else getattr(value, "managers", [])
            for manager in managers:
                if any(manager.dir.name in title for title, _ in report.sections):
                    continue
                report.sections.append((f"log of {manager.dir.name}", "\n".join(manager.log().splitlines()[-30:])))


def start_farm(directory, scripts=None, **kw):
    return Farm(Manager(directory, scripts={"graph.js": GRAPH, **(scripts or {})}, **kw).start())


@pytest.fixture(scope="session")
def shared_farm(tmp_path_factory):
    # Its workers and tasks never time out: on a slow machine that would come between the events of some test.
    farm = start_farm(tmp_path_factory.mktemp("shared"), reference={"worker_timeout": "0s", "task_timeout": "0s"})
    farm.crashes = []
    yield farm
    farm.manager.stop()
    assert not farm.crashes, "the shared manager crashed:\n" + "\n".join(farm.crashes)


@pytest.fixture
def farm(shared_farm):
    """The shared manager. Tests leave no runnable task and no awake worker that another one could trip over."""
    manager = shared_farm.manager
    if not manager.is_running():
        # the test that killed it has failed; the others go on with what is stored
        shared_farm.crashes.append("\n".join(manager.log().splitlines()[-20:]))
        manager.wait_exit()
        manager.start()
    yield shared_farm


@pytest.fixture(scope="session")
def shared_parked_farm(tmp_path_factory):
    farm = start_farm(tmp_path_factory.mktemp("parked"), yaml=HOLD, manual_clock=True,
                      reference={"worker_timeout": "1m", "task_timeout": "0s"})
    yield farm
    farm.manager.stop()


@pytest.fixture
def parked_farm(shared_parked_farm):
    """A manager that holds questions back until there is an answer, with a clock set by hand. Nothing waits in it when a
    test begins."""
    yield shared_parked_farm
    wait_until(lambda: parked(shared_parked_farm) == 0, "the questions of the test are dropped")


@pytest.fixture(scope="session")
def shared_shaman(tmp_path_factory):
    shaman = start_shared(tmp_path_factory.mktemp("shaman"), Manager)
    yield shaman
    shaman.farm.manager.stop()


@pytest.fixture
def shaman(shared_shaman):
    """The Shaman of a manager that cheap tests share. Take content and names of your own: what others stored is there."""
    yield shared_shaman


@pytest.fixture
def api(farm):
    return farm.api


@pytest.fixture
def make_manager(tmp_path):
    """Makes managers that are not started yet; those that run at the end are stopped and checked."""
    made = []

    def make(**kw):
        directory = tmp_path / f"manager-{len(made) + 1}"
        made.append(Manager(directory, **kw))
        return made[-1]

    make.managers = made
    yield make
    problems = []
    for manager in made:
        try:
            manager.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


@pytest.fixture
def make_farm(make_manager):
    """Starts a manager of the test's own."""

    def make(scripts=None, **kw):
        return Farm(make_manager(scripts={"graph.js": GRAPH, **(scripts or {})}, **kw).start())

    make.managers = make_manager.managers
    make.make_manager = make_manager
    return make


@pytest.fixture
def own_farm(make_farm):
    """A manager of the test's own in the usual configuration."""
    return make_farm()


@pytest.fixture
def lane():
    """A task type of the test's own. Jobs and workers that use it alone do not meet those of other tests, so that all can
    live in the shared manager."""
    return f"lane-{next(_lanes)}"

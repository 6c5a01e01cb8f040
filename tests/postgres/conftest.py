# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that need a PostgreSQL server to do things to. Harness and fixtures are those of tests/faults."""
import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
FAULTS = HERE.parent / "faults"
sys.path[:0] = [str(HERE), str(FAULTS)]

_spec = importlib.util.spec_from_file_location("flamenco_faults_conftest", FAULTS / "conftest.py")
_faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_faults)
pytest_configure = _faults.pytest_configure
pytest_report_header = _faults.pytest_report_header
pytest_runtest_logreport = _faults.pytest_runtest_logreport
pytest_runtest_makereport = _faults.pytest_runtest_makereport
pytest_sessionstart = _faults.pytest_sessionstart
pytest_terminal_summary = _faults.pytest_terminal_summary
figure, seed, make_manager = _faults.figure, _faults.seed, _faults.make_manager

from cluster import Cluster  # noqa: E402
from harness.store import PostgresStore  # noqa: E402


@pytest.fixture(scope="session")
def shared_server():
    server = Cluster()
    yield server
    server.close()


@pytest.fixture
def server(shared_server):
    """A server that may be stopped; it runs again for the next test."""
    yield shared_server
    if not shared_server.answers():
        shared_server.restart("immediate")


@pytest.fixture
def store(server):
    """An empty schema."""
    return PostgresStore(server=server)

# SPDX-License-Identifier: Apache-2.0
"""Malformed HTTP: each request gets its refusal, none does harm, and nobody else notices."""
import pytest
from faultlib.link import Link
from faultlib.requests import CASES
from harness.http import Raw


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    from faultlib.manager import FaultManager
    manager = FaultManager(tmp_path_factory.mktemp("malformed")).start()
    yield manager
    manager.stop()


@pytest.fixture(scope="module")
def neighbour(manager):
    """A client whose connection lives through all of it."""
    link = Link(manager.port)
    yield link
    link.close()


def read_all(raw, expected):
    """The statuses that come back, "-" for an end of the connection where a reply was expected."""
    seen = []
    for _ in expected:
        try:
            seen.append(raw.read().status)
        except (ConnectionError, ValueError, IndexError):
            seen.append("-")
            break
    return seen


def is_open(raw):
    """Tells whether the connection still serves."""
    try:
        return raw.request("GET", "/api/v3/version").read().status == 200
    except OSError:
        return False


@pytest.mark.parametrize("name", CASES)
def test_malformed_request(manager, neighbour, name):
    data, expected, closed = CASES[name]
    with Raw(manager.port) as raw:
        try:
            raw.send(data if isinstance(data, bytes) else data.encode("latin-1"))
        except OSError:
            pass  # refused before it was through
        seen = read_all(raw, expected)
        assert all(s in e if isinstance(e, set) else s == e for s, e in zip(seen, expected)) and \
            len(seen) == len(expected), f"got {seen}"
        if closed is not None:
            assert is_open(raw) != closed
    assert neighbour.call("GET", "/version").status == 200
    assert manager.is_running()


def test_refusals_are_counted(manager, neighbour):
    before = manager.api().metric("flamenco_http_refused_total")
    for _ in range(5):
        with Raw(manager.port) as raw:
            raw.send(CASES["length twice, equal"][0])
            assert raw.read().status == 400
    assert manager.api().metric("flamenco_http_refused_total") >= before + 5
    assert neighbour.call("GET", "/version").status == 200

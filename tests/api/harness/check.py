# SPDX-License-Identifier: Apache-2.0
"""Assertions about replies."""
import datetime
import re
import time

from .manager import scale

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")
UNKNOWN = "11111111-2222-4333-8444-555555555555"
NEVER = "0001-01-01T00:00:00Z"


def assert_error(reply, status):
    """A full Error body: `code` equal to the status, and a text for people."""
    assert reply.status_code == status, f"{reply.status_code} {reply.text[:500]}"
    assert reply.headers["Content-Type"] == "application/json"
    body = reply.json()
    assert set(body) == {"code", "message"}, body
    assert body["code"] == status and type(body["code"]) is int
    assert isinstance(body["message"], str) and body["message"]
    return body["message"]


def assert_empty(reply, status=204):
    assert reply.status_code == status, f"{reply.status_code} {reply.text[:500]}"
    assert reply.content == b""
    assert "Content-Type" not in reply.headers


def assert_uuid(text, version=None):
    assert UUID.fullmatch(text), text
    if version:
        assert text[14] == str(version), text


def parse_time(text):
    """A timestamp of the API as aware datetime; asserts its form."""
    assert TIMESTAMP.fullmatch(text), text
    head, _, fraction = text[:-1].partition(".")
    moment = datetime.datetime.fromisoformat(head).replace(tzinfo=datetime.timezone.utc)
    return moment + datetime.timedelta(microseconds=int((fraction + "000000")[:6]))


def wait_until(condition, what, timeout=20):
    """Asks again and again, where nothing tells of the change; each question is a request of its own."""
    deadline = time.monotonic() + timeout * scale()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in time: {what}"

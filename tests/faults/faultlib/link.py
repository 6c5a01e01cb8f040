# SPDX-License-Identifier: Apache-2.0
"""One connection of a client that must know what became of each of its requests."""
import base64
import json

from harness.http import Raw


class NotSent(Exception):
    """No connection could be made: the request cannot have been acted upon."""


class NoReply(Exception):
    """The connection ended before the reply: nobody knows whether the request was acted upon."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:200]!r}"


class Link:
    """Keeps its connection between calls. Not for several threads at once."""

    def __init__(self, port, auth=None, timeout=60):
        self.port, self.timeout = port, timeout
        self.headers = []
        if auth:
            self.headers.append(("Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode()))
        self._raw = None

    def close(self):
        if self._raw:
            self._raw.close()
        self._raw = None

    def call(self, method, path, body=None):
        """path: below /api/v3, or below the root when it begins with "//". Raises NotSent or NoReply."""
        path = path[1:] if path.startswith("//") else "/api/v3" + path
        headers = self.headers + ([("Content-Type", "application/json")] if body is not None else [])
        data = json.dumps(body).encode() if body is not None else (b"" if method == "POST" else None)
        if self._raw is None:
            try:
                self._raw = Raw(self.port, self.timeout)
            except OSError as reason:
                raise NotSent(reason) from None
        try:
            reply = self._raw.request(method, path, headers, data).read(method)
        except (OSError, ValueError, IndexError) as reason:
            self.close()
            raise NoReply(reason) from None
        if (reply.header("Connection") or "").lower() == "close":
            self.close()
        return Answer(reply.status, reply.headers, reply.body)

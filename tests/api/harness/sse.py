# SPDX-License-Identifier: Apache-2.0
"""A client of server-sent events."""
import json

from .http import Raw


class Sse:
    def __init__(self, port, topics=None, last_id=None, timeout=20):
        self.raw = Raw(port, timeout)
        headers = [("Last-Event-ID", last_id)] if last_id else []
        self.raw.request("GET", "/api/v3/events" + (f"?topics={topics}" if topics else ""), headers)
        lines = self.raw._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        self.text, self.last_id = b"", last_id
        if self.status == 200:
            assert self._block().startswith(":")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.raw.close()

    def _block(self):
        while b"\n\n" not in self.text:
            size = int(self.raw._until(b"\r\n"), 16)
            self.text += self.raw._exactly(size)
            self.raw._exactly(2)
            if size == 0:
                raise ConnectionError("the stream has ended")
        block, self.text = self.text.split(b"\n\n", 1)
        return block.decode()

    def read(self):
        """The next event: {"id", "event", "topic", "data"}."""
        while True:
            fields = dict(line.split(": ", 1) for line in self._block().split("\n") if not line.startswith(":"))
            if fields:
                self.last_id = fields.get("id", self.last_id)
                fields["data"] = json.loads(fields["data"])
                return fields

    def wait(self, match):
        passed = []
        while not passed or not match(passed[-1]):
            passed.append(self.read())
        return passed

    def wait_end(self):
        try:
            while True:
                self.read()
        except (ConnectionError, OSError):
            return True

# SPDX-License-Identifier: Apache-2.0
"""HTTP for tests: Api for ordinary calls, Raw for what no decent client would send, Background for replies that take a
while."""
import concurrent.futures
import socket

import requests

from .manager import scale


class Api:
    """Calls below /api/v3. Not for several threads at once: use clone()."""

    def __init__(self, base, auth=None):
        self.base, self.auth = base, auth
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Accept-Encoding"] = "identity"

    def clone(self, auth=None):
        return Api(self.base, auth or self.auth)

    def call(self, method, path, **kw):
        """path: below /api/v3, unless it begins with "//": then below the root. `json` may be any value, None included."""
        url = self.base + (path[1:] if path.startswith("//") else "/api/v3" + path)
        kw.setdefault("timeout", 30 * scale())
        kw.setdefault("auth", self.auth)
        kw.setdefault("allow_redirects", False)
        return self.session.request(method, url, **kw)

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, json=None, **kw):
        return self.call("POST", path, json=json, **kw) if json is not None else self.call("POST", path, **kw)

    def put(self, path, json=None, **kw):
        return self.call("PUT", path, json=json, **kw)

    def delete(self, path, **kw):
        return self.call("DELETE", path, **kw)

    def ok(self, method, path, status=200, **kw):
        """Asserts the status; gives the JSON body, or None when there is none."""
        reply = self.call(method, path, **kw)
        assert reply.status_code == status, f"{method} {path}: {reply.status_code} {reply.text[:500]}"
        return reply.json() if reply.content else None

    def metric(self, name):
        """The value of a metric without labels; 0 when it is not there."""
        for line in self.get("//metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return 0.0


class Reply:
    """A reply read from a socket."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ", ".join(values) if values else None


class Raw:
    """One connection, on which bytes are sent as they are."""

    def __init__(self, port, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout * scale())
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)
        return self

    def request(self, method, path, headers=(), body=None, version="1.1"):
        head = [f"{method} {path} HTTP/{version}", "Host: localhost"] + [f"{k}: {v}" for k, v in headers]
        if body is not None:
            head.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(head).encode() + b"\r\n\r\n" + (body or b""))
        return self

    def _more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise ConnectionError(f"closed within a reply: {self.buffer[:200]!r}")
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def _exactly(self, n):
        while len(self.buffer) < n:
            if not self._more():
                raise ConnectionError("closed within a body")
        body, self.buffer = self.buffer[:n], self.buffer[n:]
        return body

    def read(self, method="GET"):
        """Reads one reply; interim ones (100) are passed over."""
        while True:
            lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(lines[0].split()[1])
            headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
            if status >= 200:
                break
        reply = Reply(status, headers, b"")
        if method == "HEAD" or status in (204, 304):
            return reply
        if (reply.header("Transfer-Encoding") or "").lower() == "chunked":
            reply.body = self._chunks()
        elif reply.header("Content-Length") is not None:
            reply.body = self._exactly(int(reply.header("Content-Length")))
        else:
            while self._more():
                pass
            reply.body, self.buffer = self.buffer, b""
        return reply

    def _chunks(self):
        body = b""
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            body += self._exactly(size)
            self._exactly(2)
            if size == 0:
                return body

    def is_closed_by_peer(self):
        """Waits for the peer's end of the connection; False when there are bytes instead."""
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


_pool = concurrent.futures.ThreadPoolExecutor(max_workers=64)


class Background:
    """A call that runs beside the test."""

    def __init__(self, function, *args, **kw):
        self._future = _pool.submit(function, *args, **kw)

    @property
    def done(self):
        return self._future.done()

    def result(self, timeout=20):
        return self._future.result(timeout * scale())

# SPDX-License-Identifier: Apache-2.0
"""Hostile clients, and a normal one beside them whose waiting times are measured."""
import random
import selectors
import socket
import threading
import time

from harness.manager import scale

from .link import Link, NoReply, NotSent


class Normal(threading.Thread):
    """Asks one thing after the other, over a kept connection, every tenth time over a new one. Notes how long each takes."""

    def __init__(self, port, worker, pause=0.003):
        super().__init__(daemon=True)
        self.port, self.pause, self.times, self.errors = port, pause, [], []
        self.worker = Link(port, (worker.id, worker.secret), timeout=20)
        self.link = Link(port, timeout=20)
        self.new_connections = True
        self._going = True

    def run(self):
        n = 0
        while self._going:
            n += 1
            link, method, path, body = [
                (self.link, "GET", "/version", None), (self.link, "GET", "/worker-mgt/workers", None),
                (self.worker, "GET", "/worker/state", None), (self.worker, "POST", "/worker/state-changed", {"status": "asleep"}),
            ][n % 4]
            if self.new_connections and n % 10 == 0:
                link.close()
            began = time.monotonic()
            try:
                answer = link.call(method, path, body)
                if answer.status not in (200, 204):
                    self.errors.append(f"{method} {path}: {answer!r}")
            except (NoReply, NotSent) as reason:
                self.errors.append(f"{method} {path}: {reason!r}")
            self.times.append(time.monotonic() - began)
            time.sleep(self.pause)

    def measure(self, seconds):
        """What it saw in that time: a text, p99 in seconds."""
        begin, latest = len(self.times), time.monotonic() + seconds + 30 * scale()
        time.sleep(seconds)
        while len(self.times) == begin and time.monotonic() < latest:  # a busy machine
            time.sleep(0.05)
        times = sorted(self.times[begin:])
        assert times, "the normal client was not answered once"
        p50, p99 = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
        return f"{len(times)} requests, p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms", p99

    def stop(self):
        self._going = False
        self.join(30)
        self.link.close()
        self.worker.close()


class Attack(threading.Thread):
    """Keeps `count` connections busy with what step() does to each, every `pace` seconds; lost ones are made anew."""

    def __init__(self, port, count, pace=0.1, again=True):
        super().__init__(daemon=True)
        self.port, self.count, self.pace, self.again = port, count, pace, again
        self.socks, self.lost, self.made, self._going = {}, 0, 0, True
        self.selector = selectors.DefaultSelector()

    def connect(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", self.port))
        self.made += 1
        self.socks[sock] = self.opening(sock)
        if self.reads():
            self.selector.register(sock, selectors.EVENT_READ)

    def opening(self, sock):
        """The state of a new connection."""
        return 0

    def step(self, sock, state):
        """Does the next harm; gives the new state."""
        raise NotImplementedError

    def reads(self):
        return True

    def drop(self, sock):
        if self.reads():
            self.selector.unregister(sock)
        sock.close()
        del self.socks[sock]
        self.lost += 1

    def run(self):
        while self._going:
            until = time.monotonic() + self.pace
            while len(self.socks) < self.count and (self.again or self.made < self.count):
                self.connect()
            for sock, state in list(self.socks.items()):
                try:
                    self.socks[sock] = self.step(sock, state)
                except (BlockingIOError, InterruptedError):
                    pass
                except OSError:
                    self.drop(sock)
            if self.reads():
                self.notice_ends(until)
            time.sleep(max(0, until - time.monotonic()))
        for sock in list(self.socks):
            sock.close()
        self.selector.close()

    def notice_ends(self, until):
        for key, _ in self.selector.select(max(0, until - time.monotonic())):
            try:
                if key.fileobj.recv(65536) == b"":
                    self.drop(key.fileobj)
            except BlockingIOError:
                pass
            except OSError:
                self.drop(key.fileobj)

    def stop(self):
        self._going = False
        self.join(30)


class SlowHeads(Attack):
    """A byte of a head now and then."""
    TEXT = b"GET /api/v3/version HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 10000

    def step(self, sock, state):
        sock.send(self.TEXT[state:state + 1])
        return state + 1


class SlowBodies(Attack):
    """A few bytes of a large body now and then."""
    HEAD = b"POST /api/v3/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n"

    def step(self, sock, state):
        sock.send(self.HEAD if state == 0 else b"x" * 10)
        return state + 1


class NeverRead(Attack):
    """Asks for large replies, many at once, and reads none of them."""

    def __init__(self, port, count, path, **kw):
        super().__init__(port, count, **kw)
        self.request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 20

    def reads(self):
        return False

    def step(self, sock, state):
        if state == 0:
            sock.send(self.request)
        elif sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectionResetError
        return 1


class Idle(Attack):
    """Says something once, then nothing."""
    WORDS = b"GET /api/v3/version HTTP/1.1\r\nHost: x\r\n\r\n"

    def step(self, sock, state):
        if state == 0:
            sock.send(self.WORDS)
        return 1


class Silent(Attack):
    """Connects, and says nothing."""

    def step(self, sock, state):
        return 1


class Churn(Attack):
    """Connects, says half of something, and is gone."""

    def opening(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
        return 0

    def step(self, sock, state):
        if state:
            raise ConnectionResetError
        sock.send(b"POST /api/v3/jobs HTTP/1.1\r\nHost: x\r\nContent-Le")
        return 1


class Noise(Attack):
    """Broken pieces of requests, put together at random."""
    PIECES = [b"GET ", b"POST ", b"/api/v3/version", b"/api/v3/jobs", b" HTTP/1.1\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b" ",
              b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Host: x\r\n", b"-1", b"10", b"0",
              b"Content-Type: application/json\r\n", b"{\"a\":", b"\xff", b"Connection: close\r\n", b"Upgrade: websocket\r\n", b"*",
              b"Authorization: Basic ", b"%00", b"../", b"?", b"a" * 3000]

    def __init__(self, port, count, seed, **kw):
        super().__init__(port, count, **kw)
        self.rng = random.Random(seed)

    def step(self, sock, state):
        sock.send(b"".join(self.rng.choices(self.PIECES, k=self.rng.randint(1, 12))))
        if state > 5:
            raise ConnectionResetError
        return state + 1

# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client that sends frames as a test wants them, and a Socket.IO client on top of it."""
import base64
import hashlib
import json
import os
import socket
import time
import zlib

from .http import Raw
from .manager import scale

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Closed(Exception):
    """The other end closed the connection; code is that of its close frame, 1006 without one."""

    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


class WebSocket:
    def __init__(self, port, path, headers=(), timeout=20):
        self.raw = Raw(port, timeout)
        self.key = base64.b64encode(os.urandom(16)).decode()
        self.reply_head = {}
        self.fragments = b""
        self.unpacker, self.packed = zlib.decompressobj(-15), 0 # packed: messages that came compressed
        head = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", self.key)]
        given = {k.lower() for k, _ in headers}
        self.raw.request("GET", path, [h for h in head if h[0].lower() not in given] + list(headers))
        lines = self.raw._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.reply_head = dict(line.split(": ", 1) for line in lines[1:])
        if self.status == 101:
            accept = base64.b64encode(hashlib.sha1(self.key.encode() + GUID).digest()).decode()
            assert {k.lower(): v for k, v in self.reply_head.items()}["sec-websocket-accept"] == accept

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.raw.close()

    def frame(self, payload, opcode=TEXT, fin=True, mask=True, packed=False):
        data = payload.encode() if isinstance(payload, str) else payload
        head = bytes([(0x80 if fin else 0) | (0x40 if packed else 0) | opcode])
        bit = 0x80 if mask else 0
        if len(data) < 126:
            head += bytes([bit | len(data)])
        elif len(data) < 65536:
            head += bytes([bit | 126]) + len(data).to_bytes(2, "big")
        else:
            head += bytes([bit | 127]) + len(data).to_bytes(8, "big")
        if not mask:
            return head + data
        key = os.urandom(4)
        return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(data))

    def send(self, payload, opcode=TEXT, **kw):
        self.raw.send(self.frame(payload, opcode, **kw))
        return self

    def read_frame(self):
        """The next frame as (opcode, payload)."""
        try:
            first, second = self.raw._exactly(2)
            length = second & 0x7F
            if length == 126:
                length = int.from_bytes(self.raw._exactly(2), "big")
            elif length == 127:
                length = int.from_bytes(self.raw._exactly(8), "big")
            payload = self.raw._exactly(length)
            if first & 0x40:
                self.packed += 1
                payload = self.unpacker.decompress(payload + b"\0\0\xff\xff") # RFC 7692, 7.2.2
            return first & 0x0F, payload
        except (ConnectionError, ConnectionResetError):
            raise Closed(1006) from None

    def read(self):
        """The next text."""
        while True:
            opcode, data = self.read_frame()
            if opcode == TEXT:
                return data.decode()
            if opcode == CLOSE:
                raise Closed(int.from_bytes(data[:2], "big") if data else 1005)

    def wait_closed(self):
        """Reads on until the connection is closed; gives the code."""
        try:
            while True:
                self.read()
        except Closed as closed:
            return closed.code

    def is_silent(self, seconds=0.3):
        """Nothing comes. For what must not be answered; the caller then asks for something that is."""
        if self.raw.buffer:
            return False
        self.raw.sock.settimeout(seconds)
        try:
            return self.raw.sock.recv(1) == b"never"
        except (socket.timeout, TimeoutError):
            return True
        finally:
            self.raw.sock.settimeout(20 * scale())


class SocketIo(WebSocket):
    """Socket.IO as the official web app's client speaks it; eio=4 for that of today."""

    def __init__(self, port, eio=3, query="", headers=(), statuses=False):
        self.statuses = statuses # the farm's status changes whenever it likes: only for who asks for it
        super().__init__(port, f"/socket.io/?EIO={eio}&transport=websocket{query}", headers)
        assert self.status == 101, self.status
        self.opening = json.loads(self.read()[1:])
        if eio == 4:
            self.send("40")
        self.hello = self.read()
        self.acks = 0

    def read(self):
        while True:
            text = super().read()
            if self.statuses or not text.startswith('42["/status"'):
                return text

    def say(self, payload, ack=True, name="/subscription"):
        """Sends an event; gives the text of its acknowledgement. Events that come before it are kept."""
        number = self.acks
        self.acks += 1
        body = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
        self.send(f'42{number if ack else ""}["{name}",{body}]')
        return self.acknowledged(number) if ack else None

    def acknowledged(self, number):
        passed = []
        while True:
            text = self.read()
            if text.startswith(f"43{number}["):
                self.kept = passed
                return json.loads(text[text.index("["):])[0]
            passed.append(text)

    def subscribe(self, kind, uuid=None, op="subscribe"):
        payload = {"op": op, "type": kind}
        if uuid is not None:
            payload["uuid"] = uuid
        answer = self.say(payload)
        assert answer == "ok", answer
        return self

    def sync(self):
        """Gives the events up to now: everything that was published before an acknowledgement comes before it."""
        self.say({"op": "unsubscribe", "type": "tasklog", "uuid": "11111111-2222-4333-8444-555555555555"})
        return [event(text) for text in self.kept if text.startswith("42")]

    def wait(self, match, timeout=20):
        deadline = time.monotonic() + timeout * scale()
        passed = []
        while time.monotonic() < deadline:
            text = self.read()
            if text == "2":
                self.send("3")
            if not text.startswith("42"):
                continue
            passed.append(event(text))
            if match(passed[-1]):
                return passed
        raise AssertionError(f"the event did not come; these did: {passed}")


def event(text):
    """(name, payload) of an event packet."""
    name, payload = json.loads(text[2:])
    return name, payload

# SPDX-License-Identifier: Apache-2.0
"""A searcher as Workers are one (events 4.4), and a listener for announcements."""
import socket
import struct
import time

from .manager import scale

GROUP, GROUP6, PORT = "239.255.255.250", "ff02::c", 1900
TYPE = "urn:flamenco:manager:0"
UUID = "aa80bc5f-d0af-46b8-8630-23bd7e80ec4d"
USN = f"uuid:{UUID}::{TYPE}"


def search_text(st=TYPE, group=GROUP):
    return (f"M-SEARCH * HTTP/1.1\r\nHOST: {group}:1900\r\nST: {st}\r\nMAN: \"ssdp:discover\"\r\nMX: 3\r\n\r\n").encode()


def parse(data):
    """(first line, headers) of a message; asserts its form."""
    head, end, rest = data.decode().partition("\r\n\r\n")
    assert end and not rest, data
    first, *lines = head.split("\r\n")
    return first, {name.upper(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


class Searcher:
    """A UDP socket on a random port. Make it in the namespace that it is to be in."""

    def __init__(self, interface, family=socket.AF_INET, source=None):
        self.family = family
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.index = socket.if_nametoindex(interface)
        if family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), self.index))
            self.group = (GROUP, PORT)
        else:
            self.group = (GROUP6, PORT, 0, self.index)
        if source:
            self.sock.bind((source, 0))

    def send(self, data, to=None):
        self.sock.sendto(data, to or self.group)

    def search(self, st=TYPE, wanted=1, to=None, timeout=20):
        """Searches once a second until `wanted` different locations have come; gives them in order of arrival."""
        deadline = time.monotonic() + timeout * scale()
        found = []
        while len(found) < wanted:
            assert time.monotonic() < deadline, f"only {found} answered"
            self.send(search_text(st), to)
            for first, headers in self.receive(1, wanted - len(found)):
                assert first == "HTTP/1.1 200 OK"
                assert "EXT" in headers and headers["CACHE-CONTROL"] == "max-age=3600" and headers["SERVER"] and headers["DATE"]
                self.last = headers
                if headers["LOCATION"] not in found:
                    found.append(headers["LOCATION"])
        return found

    def receive(self, seconds, wanted=None):
        """What comes within that time, or until so many have."""
        out, end = [], time.monotonic() + seconds
        while wanted is None or len(out) < wanted:
            left = end - time.monotonic()
            if left <= 0:
                break
            self.sock.settimeout(left)
            try:
                data, _ = self.sock.recvfrom(4096)
            except socket.timeout:
                break
            assert len(data) <= 2048
            out.append(parse(data))
        return out

    def close(self):
        self.sock.close()


class Listener:
    """Hears announcements on an interface. Make it in the namespace that it is to be in."""

    def __init__(self, interface, family=socket.AF_INET):
        index = socket.if_nametoindex(interface)
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET:
            self.sock.bind(("", PORT))
            self.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                 struct.pack("@4s4si", socket.inet_aton(GROUP), bytes(4), index))
        else:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.sock.bind(("::", PORT))
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                 struct.pack("@16sI", socket.inet_pton(family, GROUP6), index))

    def wait(self, nts, location=None, timeout=20):
        """The headers of the next such announcement; others are passed over, and kept in `passed`."""
        self.passed = []
        self.sock.settimeout(timeout * scale())
        while True:
            first, headers = parse(self.sock.recv(4096))
            if first != "NOTIFY * HTTP/1.1":
                continue
            assert headers["NT"] == TYPE and headers["USN"] == USN, headers
            if headers["NTS"] == nts and location in (None, headers.get("LOCATION")):
                return headers
            self.passed.append(headers)

    def close(self):
        self.sock.close()

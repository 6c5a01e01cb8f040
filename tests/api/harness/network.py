# SPDX-License-Identifier: Apache-2.0
"""Networks of a test's own: namespaces, and virtual cables between them. A socket or process belongs to the namespace in which
it was made, so `with network.inside("manager"): …` is all that a test needs. Wants root and iproute2."""
import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def ip(*args):
    done = subprocess.run(["ip", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(args)}: {done.stdout.strip()}")


def why_not():
    """Why this machine has no namespaces for us; empty when it has."""
    if os.geteuid() != 0:
        return "network namespaces want root"
    if not shutil.which("ip"):
        return "iproute2 is not installed"
    name = f"fl{os.getpid()}-try"
    try:
        ip("netns", "add", name)
        try:
            with _inside(name):
                pass
        finally:
            ip("netns", "del", name)
    except OSError as why:
        return f"network namespaces are forbidden here: {why}"
    return ""


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def _inside(name):
    """This thread, and what it starts, in another namespace."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(there)
        try:
            yield
        finally:
            _setns(before)
    finally:
        os.close(there)
        os.close(before)


class Network:
    """Namespaces by short names, made when they are first named. Remove them by close()."""

    def __init__(self):
        self.prefix = f"fl{os.getpid()}-{next(_numbers)}-"
        self.names = []

    def host(self, name):
        """The full name of a namespace; its loopback is up, and IPv6 addresses can be used at once."""
        full = self.prefix + name
        if name not in self.names:
            ip("netns", "add", full)
            self.names.append(name)
            ip("-n", full, "link", "set", "lo", "up")
            subprocess.run(["ip", "netns", "exec", full, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"],
                           check=False, stderr=subprocess.DEVNULL)
        return full

    def inside(self, name):
        return _inside(self.host(name))

    def cable(self, left, right, name, left_addresses, right_addresses):
        """A cable between two hosts; both ends are called `name`."""
        a, b = self.host(left), self.host(right)
        ip("-n", a, "link", "add", name, "type", "veth", "peer", "name", name, "netns", b)
        for host, addresses in ((b, right_addresses), (a, left_addresses)):
            for address in addresses:
                ip("-n", host, "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
            ip("-n", host, "link", "set", name, "up")

    def ip(self, host, *args):
        ip("-n", self.host(host), *args)

    def close(self):
        for name in self.names:
            ip("netns", "del", self.prefix + name)
        self.names = []

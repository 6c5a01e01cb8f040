# SPDX-License-Identifier: Apache-2.0
"""Measurements of Shaman: uploads, lists, checkouts. The client sends with sendfile from cached files, so that it costs little.
Used by figures.py."""

import concurrent.futures
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import threading
import time

from manager import running, status_kib

MIB = 1 << 20
# Waiting, memory, the network: calls that do not grow with the number of files.
NOT_FILES = {"total", "epoll_wait", "futex", "mprotect", "mmap", "munmap", "brk", "madvise", "read", "write", "writev", "epoll_ctl"}


class Client:
    """One connection."""

    def __init__(self, manager):
        self.manager = manager
        self.sock = socket.create_connection(("127.0.0.1", manager.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(65536)
            if not piece:
                self.manager.give_up("the connection was closed")
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        while len(body) < length:
            body += self.sock.recv(1 << 20)
        return int(head.split()[1]), body

    def expect(self, status):
        got, body = self.read()
        if got != status:
            self.manager.give_up(f"answered with {got} {body[:200]!r} instead of {status}")
        return body

    def head(self, digest, size):
        return (f"POST /api/v3/shaman/files/{digest}/{size} HTTP/1.1\r\nHost: bench\r\nContent-Length: {size}\r\n\r\n").encode()

    def send_file(self, path, digest, status=200):
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.sock.sendall(self.head(digest, size))
            self.sock.sendfile(file)
        self.expect(status)

    def send(self, data, digest):
        self.sock.sendall(self.head(digest, len(data)) + data)
        self.expect(200)

    def post(self, path, text):
        self.sock.sendall(f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(text)}\r\n\r\n".encode() + text)
        return json.loads(self.expect(200))


def make_files(bench, count, size):
    """Files of `size` bytes, each another, with their checksums; in the page cache."""
    folder = bench.folder("artist", True)
    base = os.urandom(MIB)
    made = []
    for i in range(count):
        digest = hashlib.sha256()
        with open(folder / f"{i}", "wb") as file:
            for k in range(size // MIB):
                piece = f"{i} {k}".encode().ljust(32) + base[32:]
                file.write(piece)
                digest.update(piece)
        made.append((folder / f"{i}", digest.hexdigest()))
    return made


def in_parallel(manager, work, connections):
    """Hands the items of `work` (functions of a client) to so many connections; returns the seconds."""
    todo, clients = iter(work), [Client(manager) for _ in range(connections)]
    lock = threading.Lock()

    def run(client):
        while True:
            with lock:
                item = next(todo, None)
            if item is None:
                return
            item(client)

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        for future in [pool.submit(run, client) for client in clients]:
            future.result()
    return time.monotonic() - begun


def uploads(bench):
    """Large files, synced before the answer, as a share of what one core hashes; server CPU."""
    s = bench.sizes
    files = make_files(bench, 4, s.large_file)
    total = 4 * s.large_file
    for _ in bench.each_run():
        begun = time.monotonic()
        for path, _digest in files:
            subprocess.run(["openssl", "dgst", "-sha256", str(path)], check=True, stdout=subprocess.DEVNULL)
        hashed = total / (time.monotonic() - begun)
        for connections in (1, 4):
            with running(bench, "uploads") as manager:
                cpu = manager.cpu_us()
                spent = in_parallel(manager, [lambda c, f=f: c.send_file(*f) for f in files], connections)
                bench.add(f"upload.{connections}", 100 * total / spent / hashed)
                bench.add(f"upload.cpu{connections}", (manager.cpu_us() - cpu) / 1e6 / (total / 2**30))
            shutil.rmtree(manager.folder / "shared")


def upload_memory(bench):
    """Anonymous memory, and the p99 of a small GET, while four huge files arrive at once."""
    s = bench.sizes
    piece = os.urandom(MIB)
    for _ in bench.each_run():
        with running(bench, "huge") as manager:
            client = Client(manager)
            client.send(piece, hashlib.sha256(piece).hexdigest())
            before, peak, times = status_kib(manager.process.pid, "RssAnon"), 0, []
            size = s.huge_file

            def send(number, manager=manager, size=size):
                c = Client(manager)
                c.sock.sendall(c.head(f"{number:064x}", size))
                for _ in range(size // MIB):
                    c.sock.sendall(piece)
                c.expect(417) # the checksum is wrong, so that nothing stays

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                senders = [pool.submit(send, i) for i in range(4)]
                getter = Client(manager)
                while not all(f.done() for f in senders):
                    begun = time.monotonic()
                    getter.sock.sendall(b"GET /api/v3/version HTTP/1.1\r\nHost: bench\r\n\r\n")
                    getter.expect(200)
                    times.append(time.monotonic() - begun)
                    peak = max(peak, status_kib(manager.process.pid, "RssAnon"))
                    time.sleep(0.002)
                for future in senders:
                    future.result()
        bench.add("upload.memory", max(0, peak - before) / 1024)
        if len(times) >= 10:
            bench.add("upload.get", 1000 * statistics.quantiles(times, n=100)[98])


def small_files(bench):
    """Files of 4 KiB, synced before the answer."""
    s = bench.sizes
    for _ in bench.each_run():
        for connections in (1, 8):
            datas = [os.urandom(4096) for _ in range(s.small_files * (1 if connections == 1 else 3))]
            work = [lambda c, d=d, h=hashlib.sha256(d).hexdigest(): c.send(d, h) for d in datas]
            with running(bench, "small") as manager:
                bench.add(f"small.{connections}", len(datas) / in_parallel(manager, work, connections))


def count_calls(manager, act):
    """System calls of the manager during act(), by name; None where that cannot be counted."""
    if shutil.which("strace") is None:
        return None
    out = manager.folder / "strace.txt"
    with subprocess.Popen(["strace", "-f", "-c", "-o", str(out), "-p", str(manager.process.pid)], stderr=subprocess.PIPE) as tracer:
        if not tracer.stderr.readline(): # "attached"
            return None
        act()
        tracer.terminate()
    calls = {}
    for line in out.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] not in NOT_FILES:
            calls[words[-1]] = int(words[3])
    return calls


def file_lists(bench):
    """Requirements for many files, all stored, and their checkout; system calls per file."""
    s = bench.sizes
    n = s.listed_files
    with running(bench, "lists-of-files") as manager:
        datas = [b"listed %d" % i for i in range(n)]
        files = [{"sha": hashlib.sha256(d).hexdigest(), "size": len(d), "path": f"scene {i % 50}/textures/t{i}.png"}
                 for i, d in enumerate(datas)]
        in_parallel(manager, [lambda c, d=d, f=f: c.send(d, f["sha"]) for d, f in zip(datas, files)], 8)
    wanted = json.dumps({"files": files}).encode()
    for number, _ in enumerate(bench.each_run()):
        checkouts = [json.dumps({"checkoutPath": name, "files": files}).encode() for name in (f"job {number}", "traced")]
        with running(bench, "lists-of-files", fresh=False) as manager:
            client = Client(manager)
            client.post("/api/v3/shaman/checkout/requirements", wanted) # marks all of them as needed
            begun = time.monotonic()
            reply = client.post("/api/v3/shaman/checkout/requirements", wanted)
            bench.add("lists.requirements", 1000 * (time.monotonic() - begun))
            if reply != {"files": []}:
                manager.give_up("files are missing")
            begun = time.monotonic()
            client.post("/api/v3/shaman/checkout/create", checkouts[0])
            bench.add("lists.checkout", 1000 * (time.monotonic() - begun))
            if number > 0:
                continue
            for key, path, body in (("requirements", "requirements", wanted), ("checkout", "create", checkouts[1])):
                calls = count_calls(manager, lambda p=path, b=body: client.post(f"/api/v3/shaman/checkout/{p}", b))
                if calls:
                    bench.add(f"lists.{key}.calls", sum(calls.values()) / n)

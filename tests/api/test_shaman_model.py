# SPDX-License-Identifier: Apache-2.0
"""Random sequences of uploads, checkouts, erasing, garbage collection and sudden ends, compared with a model: no file in use is
ever lost, no byte differs, and what was answered stays true. FLAMENCO_SHAMAN_ROUNDS makes it longer; a failure names its seed."""
import os
import random
import shutil
import subprocess
import time

import pytest
from harness.http import Background, Raw
from harness.shaman import OURS, sha, spec, start

pytestmark = pytest.mark.skipif(not OURS, reason="ages blobs and erases by hand in our layout")
ROUNDS = int(os.environ.get("FLAMENCO_SHAMAN_ROUNDS", "2"))
STEPS = 60
SEED = int(os.environ.get("FLAMENCO_SHAMAN_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
OLD = 800 * 3600


class Model:
    def __init__(self, shaman, rng):
        self.shaman, self.rng = shaman, rng
        self.contents = [rng.randbytes(rng.choice((0, 1, 11, 5000, 70000, 300000))) + bytes([i]) for i in range(12)]
        self.stored = set() # numbers of contents that were answered 200 or 208
        self.old = set() # that a collection may have taken
        self.checkouts = {} # name: {path: number}
        self.ended = [] # names that were erased

    def some(self):
        return self.rng.randrange(len(self.contents))

    # ---- Steps ----

    def upload(self):
        i = self.some()
        reply = self.shaman.upload(self.contents[i])
        assert reply.status_code == 200 or reply.status_code == 208 and (i in self.stored or i in self.old), reply.status_code
        self.old.discard(i)
        self.stored.add(i)
        # answered 208 without being needed since: make it so, as the add-on does
        self.require([i])

    def upload_in_parallel(self):
        numbers = [self.some() for _ in range(4)]
        clients = [Background(self.shaman.api.clone().post, self.shaman.path(self.contents[i]), data=self.contents[i])
                   for i in numbers]
        assert {client.result().status_code for client in clients} <= {200, 208}
        self.stored.update(numbers)
        self.require(numbers)

    def upload_wrong(self):
        data = self.contents[self.some()]
        assert self.shaman.upload(data + b"x", self.shaman.path(data)).status_code in (208, 417)

    def upload_in_part(self):
        data = self.contents[self.some()]
        raw = Raw(self.shaman.farm.port)
        raw.send(f"POST /api/v3{self.shaman.path(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n")
        raw.send(data[:len(data) // 2])
        if self.rng.random() < 0.5:
            raw.close()

    def require(self, numbers=None):
        if numbers is None:
            numbers = [self.some() for _ in range(5)]
        reply = self.shaman.requirements(*[spec(str(i), self.contents[i]) for i in numbers])
        missing = {int(f["path"]) for f in reply}
        assert not missing & self.stored, f"lost: {missing & self.stored}"
        found = set(numbers) - missing
        self.old -= set(numbers)
        self.stored |= found

    def check_out(self):
        numbers = [self.some() for _ in range(self.rng.randrange(1, 6))]
        files = {f"{'d/' * self.rng.randrange(3)}f{k}": i for k, i in enumerate(numbers)}
        wanted = self.rng.choice(("shot", "proj/shot", "proj/deep/shot"))
        reply = self.shaman.create(wanted, *[spec(path, self.contents[i]) for path, i in files.items()])
        if reply.status_code == 424:
            assert not set(numbers) <= self.stored, "a file is said to be missing that was stored"
            return
        assert reply.status_code == 200, reply.text
        name = reply.json()["checkoutPath"]
        assert name not in self.checkouts
        self.checkouts[name] = files
        self.stored.update(numbers)
        self.old -= set(numbers)

    def erase(self):
        """As the deletion of a job does; by hand here, since that is another part's matter."""
        if self.checkouts:
            name = self.rng.choice(sorted(self.checkouts))
            shutil.rmtree(self.shaman.jobs / name)
            del self.checkouts[name]
            self.ended.append(name)

    def age(self):
        for i in {self.some() for _ in range(4)} & self.stored:
            then = time.time() - OLD
            os.utime(self.shaman.blob(self.contents[i]), (then, then))
            if not any(i in files.values() for files in self.checkouts.values()):
                self.stored.discard(i)
                self.old.add(i)

    def collect(self):
        self.forget_unused()
        manager = self.shaman.farm.manager
        if self.rng.random() < 0.7:
            assert manager.run("-shaman-gc-delete").returncode == 0
        else:
            position = manager.log_position()
            self.shaman.farm.advance("24h1m")
            manager.wait_log("garbage:", position)

    def forget_unused(self):
        """Old ones whose last checkout has gone meanwhile are garbage now."""
        for i in sorted(self.stored):
            path = self.shaman.blob(self.contents[i])
            if time.time() - path.stat().st_mtime > OLD / 2 and not any(i in f.values() for f in self.checkouts.values()):
                self.stored.discard(i)
                self.old.add(i)

    def kill(self):
        """A sudden end with uploads, a checkout and a collection under way."""
        manager = self.shaman.farm.manager
        fresh = self.rng.randbytes(400000)
        clients = [Background(self.try_call, "POST", self.shaman.path(fresh), data=fresh),
                   Background(self.try_call, "POST", "/shaman/checkout/create", json={
                       "checkoutPath": "killed", "files": [spec(f"{k}", self.contents[i]) for k in range(300) for i in list(self.stored)[:1]]})]
        time.sleep(self.rng.random() * 0.05)
        manager.kill()
        for client in clients:
            client.result()
        manager.start()
        shutil.rmtree(self.shaman.jobs / "killed", ignore_errors=True)
        assert not self.shaman.temporary_files()

    def try_call(self, method, path, **kw):
        try:
            return self.shaman.api.clone().call(method, path, **kw).status_code
        except Exception:
            return 0

    # ---- What must hold ----

    def check(self):
        for i in self.stored:
            assert self.shaman.blob(self.contents[i]).read_bytes() == self.contents[i], f"content {i} differs"
        for name, files in self.checkouts.items():
            for path, i in files.items():
                assert (self.shaman.jobs / name / path).read_bytes() == self.contents[i], f"{name}/{path}"
        for blob in (self.shaman.shared / "file-store" / "stored").rglob("*.blob"):
            data = blob.read_bytes()
            assert self.shaman.blob(data) == blob, f"{blob} has other bytes than its name says"

    STEPS = (upload, upload, upload, upload_in_parallel, upload_wrong, upload_in_part, require, check_out, check_out, check_out, erase, age,
             age, collect, kill)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_random_sequences_agree_with_the_model(make_farm, number):
    seed = SEED + number
    print("seed", seed)
    shaman = start(make_farm, manual_clock=True)
    model = Model(shaman, random.Random(seed))
    for n in range(STEPS):
        step = model.rng.choice(Model.STEPS)
        try:
            step(model)
            model.check()
        except AssertionError as problem:
            raise AssertionError(f"seed {seed}, step {n}, {step.__name__}: {problem}") from problem


def fill_with_old_blobs(shaman, count):
    """Written as another manager would have; every second one is in a checkout. Gives both halves."""
    datas = [f"old {i}".encode() for i in range(count)]
    then = time.time() - OLD
    for data in datas:
        shaman.blob(data).parent.mkdir(parents=True)
        shaman.blob(data).write_bytes(data)
    used, unused = datas[::2], datas[1::2]
    shaman.checkout("used", *[spec(f"d{i % 7}/{i}", data) for i, data in enumerate(used)])
    for data in datas:
        os.utime(shaman.blob(data), (then, then))
    return used, unused


def assert_all_there(shaman, used):
    for i, data in enumerate(used):
        assert (shaman.jobs / "used" / f"d{i % 7}" / str(i)).read_bytes() == data


def test_collection_that_is_killed_leaves_a_consistent_store(make_farm):
    """kill -9 at any moment; the next run does the rest."""
    shaman = start(make_farm)
    used, unused = fill_with_old_blobs(shaman, 1000)
    manager, killed = shaman.farm.manager, 0
    for _ in range(12):
        with subprocess.Popen(manager.command("-shaman-gc-delete"), cwd=manager.dir, env=manager.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            for line in run.stdout: # the first file that goes
                if "deleted file-store" in line:
                    run.kill()
                    break
        killed += run.returncode < 0
        assert_all_there(shaman, used)
        assert {shaman.blob(data).read_bytes() for data in unused if shaman.blob(data).exists()} <= set(unused)
    assert killed > 0
    assert manager.run("-shaman-gc-delete").returncode == 0
    assert_all_there(shaman, used)
    left = [p for p in (shaman.shared / "file-store" / "stored").rglob("*") if p.is_file()]
    assert len(left) == len(used)
    # Nobody's checkout or upload is in the way of a store that a collection left.
    shaman.store(*unused[:20]).checkout("again", *[spec(str(i), data) for i, data in enumerate(unused[:20])])


def test_manager_that_stops_ends_its_collection_early(make_farm):
    shaman = start(make_farm, manual_clock=True)
    used, unused = fill_with_old_blobs(shaman, 600)
    manager = shaman.farm.manager
    shaman.farm.advance("31s")
    manager.stop() # in the middle of the run, or before or behind it
    assert_all_there(shaman, used)
    manager.start()
    position = manager.log_position()
    shaman.farm.advance("31s")
    manager.wait_log("garbage:", position)
    assert_all_there(shaman, used)
    assert not any(shaman.blob(data).exists() for data in unused)


def test_collection_beside_uploads_and_checkouts(make_farm):
    """Old blobs are needed again while collections run: whoever was told that a file is there finds it in the checkout."""
    shaman = start(make_farm)
    contents = [f"beside {i}".encode() for i in range(40)]
    shaman.store(*contents)
    stop = []

    def collect():
        while not stop:
            assert shaman.farm.manager.run("-shaman-gc-delete").returncode == 0

    collector = Background(collect)
    try:
        for n in range(25):
            then = time.time() - OLD
            for data in contents:
                if shaman.blob(data).exists():
                    try:
                        os.utime(shaman.blob(data), (then, then))
                    except FileNotFoundError:
                        pass
            specs = [spec(f"f{i}", data) for i, data in enumerate(contents)]
            missing = {f["sha"] for f in shaman.requirements(*specs)}
            shaman.store(*[data for data in contents if sha(data) in missing])
            name = shaman.checkout(f"c{n}", *specs)
            for i, data in enumerate(contents):
                assert (shaman.jobs / name / f"f{i}").read_bytes() == data
            shutil.rmtree(shaman.jobs / name)
    finally:
        stop.append(1)
        collector.result(120)

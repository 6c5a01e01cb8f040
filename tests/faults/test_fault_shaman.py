# SPDX-License-Identifier: Apache-2.0
"""The shared storage fails, cannot be synced, or hangs while the manager runs: Shaman says so, nothing is promised that is not
there, the rest of the manager goes on, and Shaman does so when it is over. FLAMENCO_FAULTS_POWER is how often the power is cut."""
import os
import random
import threading
import time

import pytest
from faultlib.mounts import Ext4, why_no_mounts
from harness.check import assert_error, wait_until
from harness.http import Background
from harness.shaman import Shaman, manager_options, spec

SMALL, LARGE = b"small", os.urandom(1 << 20) * 3 # without and with a temporary name
HUGE = LARGE * 3 + b"." # past the page cache, where that is done
FIRST = b"stored before"


@pytest.fixture
def shaman(make_manager, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    options = manager_options(reference={"shared_storage_path": str(shared)})
    manager = make_manager(trouble_at=shared, **options).start()
    shaman = Shaman(manager.farm())
    shaman.shared = shared
    return shaman.store(FIRST)


@pytest.fixture
def disk(tmp_path):
    if why_no_mounts():
        pytest.skip(why_no_mounts())
    disk = Ext4(tmp_path / "ext4", 512) # sparse; more than the artists can fill
    if trouble := disk.try_mount():
        pytest.skip(f"no file system whose power can be cut: {trouble}")
    yield disk
    disk.unmount()


def is_healthy(shaman):
    return shaman.api.get("//health/ready").json()["checks"]["shaman"]["ok"]


def blobs(shaman):
    return sorted(p.read_bytes() for p in (shaman.shared / "file-store" / "stored").rglob("*") if p.is_file())


@pytest.mark.parametrize("what, says", [("EIO", "Input/output error"), ("EROFS", "Read-only file system"), ("ENOSPC", "No space left"),
                                        ("EDQUOT", "Disk quota exceeded"), ("EIO sync", "Input/output error")])
def test_trouble_is_told_and_forgotten(shaman, what, says):
    trouble = shaman.farm.manager.trouble
    trouble.begin(what)
    for data in (SMALL, LARGE, HUGE):
        assert says in assert_error(shaman.upload(data), 500)
        assert shaman.status(data) == "unknown"
    assert says in assert_error(shaman.create("shot", spec("deep/er/a", FIRST)), 500)
    assert shaman.requirements(spec("a", FIRST), spec("b", SMALL)) == [dict(spec("b", SMALL), status="unknown")]
    assert blobs(shaman) == [FIRST]
    if what != "EIO sync": # what cannot be synced can be written, which is all that a look tells
        wait_until(lambda: not is_healthy(shaman), "health says so")
    assert shaman.farm.submit(1)["status"] == "queued" # not its business
    trouble.end()
    assert {shaman.upload(data).status_code for data in (SMALL, LARGE, HUGE)} == {200}
    assert shaman.checkout("shot", spec("deep/er/a", FIRST), spec("b", LARGE)) == "shot"
    assert blobs(shaman) == sorted([FIRST, SMALL, LARGE, HUGE])
    assert shaman.temporary_files() == []
    wait_until(lambda: is_healthy(shaman), "health says so, too")


def test_trouble_in_the_midst_of_a_large_file_leaves_nothing(shaman):
    """It comes when pieces of the file are written already."""
    uploading = shaman.shared / "file-store" / "uploading"

    def pieces():
        for i in range(0, len(HUGE), 1 << 20):
            if i == 6 << 20:
                wait_until(lambda: any(p.stat().st_size >= 2 << 20 for p in uploading.rglob("*.tmp")), "pieces are written")
                shaman.farm.manager.trouble.begin("ENOSPC")
            yield HUGE[i:i + (1 << 20)]

    assert "No space left" in assert_error(shaman.api.clone().post(shaman.path(HUGE), data=pieces()), 500)
    shaman.farm.manager.trouble.end()
    assert blobs(shaman) == [FIRST]
    assert shaman.upload(HUGE).status_code == 200
    assert blobs(shaman) == sorted([FIRST, HUGE])
    assert shaman.temporary_files() == []


def test_storage_that_hangs_holds_up_nobody_else(shaman):
    """More uploads and checkouts than there are threads for them."""
    farm, trouble = shaman.farm, shaman.farm.manager.trouble
    worker = farm.worker(types=["misc"])
    trouble.begin("hang")
    uploads = [Background(shaman.api.clone().post, shaman.path(data), data=data)
               for data in [b"hung %d" % i for i in range(25)] + [LARGE[:-1] + bytes([i]) for i in range(12)] +
               [HUGE[:-1] + bytes([i]) for i in range(2)]]
    checkouts = [Background(shaman.api.clone().post, "/shaman/checkout/create", json={"checkoutPath": "hung", "files": [spec("a", FIRST)]})
                 for _ in range(5)]
    for _ in range(20):
        job = farm.submit(1, lane="misc")
        task = worker.get_task()
        worker.update(task["uuid"], log="a line\n", activity="at it")
        worker.complete(task["uuid"])
        assert farm.job(job["id"])["status"] == "completed"
    assert shaman.api.get("//health/live").status_code == 200
    assert not is_healthy(shaman) # answers at all, and in time
    assert not any(call.done for call in uploads + checkouts)
    trouble.end()
    assert {call.result(60).status_code for call in uploads + checkouts} == {200}
    assert len({call.result(60).json()["checkoutPath"] for call in checkouts}) == 5
    assert len(blobs(shaman)) == 1 + len(uploads)
    assert shaman.temporary_files() == []
    wait_until(lambda: is_healthy(shaman), "health is well again")


def test_disk_that_fills_up_while_large_files_arrive(make_manager, tmp_path):
    """Each has room when it begins. What is stored is whole, of the rest nothing is left, and its room is free again."""
    if why_no_mounts():
        pytest.skip(why_no_mounts())
    disk = Ext4(tmp_path / "ext4", 64)
    if trouble := disk.try_mount():
        pytest.skip(f"no file system of its own: {trouble}")
    try:
        manager = make_manager(**manager_options(reference={"shared_storage_path": str(disk.path / "farm")})).start()
        shaman = Shaman(manager.farm())
        shaman.shared = disk.path / "farm"
        datas = [bytes([i]) * (30 << 20) for i in range(4)]
        uploads = [Background(shaman.api.clone().post, shaman.path(data), data=data) for data in datas]
        replies = [upload.result(60) for upload in uploads]
        for data, reply in zip(datas, replies):
            assert reply.status_code == 200 or "is full" in assert_error(reply, 500) or "No space left" in assert_error(reply, 500)
        stored = [data for data, reply in zip(datas, replies) if reply.status_code == 200]
        assert len(stored) < 4
        assert blobs(shaman) == sorted(stored)
        assert shaman.temporary_files() == []
        if not stored:
            assert shaman.upload(datas[0]).status_code == 200
        manager.stop()
    finally:
        disk.unmount()


class Artist(threading.Thread):
    """Stores files and checks them out again and again until it is refused; remembers what was promised."""

    def __init__(self, shaman, seed, number):
        super().__init__(daemon=True)
        self.shaman, self.api, self.rng, self.number = shaman, shaman.api.clone(), seed, number
        self.stored, self.checkouts, self.tried = [], {}, []

    def run(self):
        while True:
            data = self.rng.randbytes(self.rng.choice((0, 1, 4096, 4096, 4096, 30000, 100000, 1200000, 9000000)))
            self.tried.append(data)
            try:
                if self.api.post(self.shaman.path(data), data=data).status_code not in (200, 208):
                    return
                self.stored.append(data)
                if self.rng.random() < 0.3:
                    files = {f"d{i % 3}/f{i}": data for i, data in enumerate(self.stored[-8:])}
                    reply = self.api.post("/shaman/checkout/create", json={
                        "checkoutPath": f"a{self.number}/shot", "files": [spec(path, data) for path, data in files.items()]})
                    if reply.status_code != 200:
                        return
                    self.checkouts[reply.json()["checkoutPath"]] = files
            except Exception: # pylint: disable=broad-except
                return


@pytest.mark.parametrize("number", range(int(os.environ.get("FLAMENCO_FAULTS_POWER", "4"))))
def test_power_loss_takes_nothing_that_was_promised(disk, make_manager, seed, figure, number):
    """Nor is there a file whose bytes are not those of its name."""
    shared = disk.path / "farm"
    options = manager_options(reference={"shared_storage_path": str(shared)})
    manager = make_manager(**options).start()
    shaman = Shaman(manager.farm())
    shaman.shared = shared
    artists = [Artist(shaman, random.Random(seed.random()), i) for i in range(6)]
    for artist in artists:
        artist.start()
    wait_until(lambda: all(artist.tried for artist in artists), "everybody has begun")
    time.sleep(0.3 + seed.random())
    disk.cut_power()
    for artist in artists:
        artist.join(60)
        assert not artist.is_alive()
    manager.kill()
    disk.power_up()
    stored = [data for artist in artists for data in artist.stored]
    for data in stored:
        assert shaman.blob(data).read_bytes() == data, f"a file of {len(data)} bytes was promised"
    for artist in artists:
        for name, files in artist.checkouts.items():
            for path, data in files.items():
                assert (shaman.jobs / name / path).read_bytes() == data, f"{name}/{path}"
    found = [p for p in (shared / "file-store" / "stored").rglob("*") if p.is_file()]
    for path in found:
        data = path.read_bytes()
        assert path == shaman.blob(data), f"{path} has {len(data)} bytes that are not its own"
    figure(f"{len(stored)} files and {sum(len(a.checkouts) for a in artists)} checkouts were promised, {len(found)} files found")
    manager.start()
    assert shaman.temporary_files() == []
    assert all(shaman.upload(artist.tried[-1]).status_code in (200, 208) for artist in artists)

# SPDX-License-Identifier: Apache-2.0
"""The configuration file in trouble: replaced by garbage, on a full or broken disk, in a directory that cannot be written, and a
manager that is killed while it writes."""
import os
import threading
import time

import pytest
import yaml
from faultlib.link import Link, NoReply, NotSent
from faultlib.load import Load
from harness.check import assert_empty, assert_error, wait_until
from harness.http import Background
from harness.manager import scale

FILE = "/configuration/file"


def on_disk_of_its_own(manager, directory):
    """Moves the file there and links to it, so that only it has the trouble."""
    directory.mkdir(exist_ok=True)
    here, there = manager.dir / "flamenco-manager.yaml", directory / "flamenco-manager.yaml"
    there.write_bytes(here.read_bytes())
    here.unlink()
    here.symlink_to(there)
    return there


def names(directory):
    return sorted(p.name for p in directory.iterdir())


def assert_nothing_changes(manager, file, says):
    """A PUT and the setup assistant are refused; file, memory and process stay as they are."""
    api = manager.api()
    before, memory, beside = file.read_bytes(), api.ok("GET", FILE), names(file.parent)
    setup = {"storageLocation": "/srv/x", "blenderExecutable": {"input": "", "path": "", "source": "default", "is_usable": True,
                                                                "cause": ""}}
    for reply in (api.put(FILE, json=dict(memory, manager_name="new")), api.post("/configuration/setup-assistant", json=setup)):
        message = assert_error(reply, 500)
        assert says in message and "flamenco-manager.yaml" in message, message
    assert file.read_bytes() == before and api.ok("GET", FILE) == memory and names(file.parent) == beside
    assert api.ok("GET", "/configuration")["isFirstRun"] is False
    assert api.get("//health/ready").status_code == 200 and manager.is_running()
    assert "manager: restarting" not in manager.log()


def assert_saves_again(manager, file):
    api = manager.api()
    assert_empty(api.put(FILE, json=dict(api.ok("GET", FILE), manager_name="saved")))
    assert yaml.safe_load(file.read_text())["manager_name"] == "saved" == api.ok("GET", "/version")["name"]
    manager.stop()
    manager.start()
    assert manager.api().ok("GET", "/version")["name"] == "saved"


def test_full_disk(make_manager, tmpfs):
    disk = tmpfs("1m", "config")
    manager = make_manager()
    file = on_disk_of_its_own(manager, disk.path)
    manager.start()
    disk.fill()
    assert_nothing_changes(manager, file, "No space left on device")
    disk.free()
    assert_saves_again(manager, file)


@pytest.mark.parametrize("what, says", [("EROFS", "Read-only file system"), ("EIO", "Input/output error"),
                                        ("EDQUOT", "Disk quota exceeded"), ("EIO sync", "Input/output error")])
def test_broken_disk(make_manager, tmp_path, what, says):
    manager = make_manager(trouble_at=tmp_path / "config")
    file = on_disk_of_its_own(manager, tmp_path / "config")
    manager.start()
    manager.trouble.begin(what)
    assert_nothing_changes(manager, file, says)
    manager.trouble.end()
    assert_saves_again(manager, file)


def test_directory_that_cannot_be_written(make_manager, tmp_path):
    """For root it is one that is marked as unchangeable, or on a disk that is read-only; here a directory stands in the way of
    the temporary file, which no permission helps against."""
    manager = make_manager()
    file = on_disk_of_its_own(manager, tmp_path / "config")
    manager.start()
    blocker = tmp_path / "config" / "flamenco-manager.yaml~"
    blocker.mkdir()
    assert_nothing_changes(manager, file, "cannot write")
    blocker.rmdir()
    assert_saves_again(manager, file)


def test_disk_that_hangs_stops_nobody_else(make_manager, tmp_path):
    """Saving waits, and with it whoever asks for the file; Workers and lists do not."""
    manager = make_manager(trouble_at=tmp_path / "config")
    on_disk_of_its_own(manager, tmp_path / "config")
    farm = manager.start() and manager.farm()
    memory = manager.api().ok("GET", FILE)
    worker = farm.worker(types=["misc"])
    manager.trouble.begin("hang")
    saves = [Background(farm.api.clone().put, FILE, json=dict(memory, manager_name=f"name {i}")) for i in range(6)]
    pages = [Background(farm.api.clone().get, "/configuration") for _ in range(6)]
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        job = farm.submit(1)
        task = worker.get_task()["uuid"]
        worker.update(task, taskStatus="completed", log="x\n")
        assert farm.job(job["id"])["status"] == "completed"
        assert manager.api().ok("GET", FILE) == memory, "from memory"
    assert not any(save.done for save in saves)
    manager.trouble.end()
    assert [save.result().status_code for save in saves] == [204] * len(saves)
    assert [page.result().status_code for page in pages] == [200] * len(pages)
    assert manager.api().ok("GET", FILE)["manager_name"].startswith("name ")


def test_garbage_while_running(make_manager, seed, figure):
    """Under load: the last good configuration stays and is answered, nobody notices; the file is good again: it is taken."""
    manager = make_manager().start()
    file = manager.dir / "flamenco-manager.yaml"
    good, memory = file.read_bytes(), manager.api().ok("GET", FILE)
    load = Load(manager, seed.random(), workers=3, artists=1).start()
    rounds = 0
    try:
        for _ in range(30):
            cut = seed.randrange(len(good))
            garbage = seed.choice([seed.randbytes(seed.randrange(1, 5000)), good[:cut] + b"\0" + good[cut:], b"", good[:6],
                                   b"_meta: {version: 3}\nlisten: []\n", b"- " * 100000, b"\xff\xfe" + good])
            file.write_bytes(garbage)
            answer = manager.api().ok("GET", "/configuration")
            assert answer["isFirstRun"] is False
            assert manager.api().ok("GET", FILE) == memory, garbage[:200]
            check = manager.api().get("//health/ready").json()["checks"]["configuration"]
            assert not check["ok"] and "flamenco-manager.yaml" in check["message"], garbage[:200]
            file.write_bytes(good)
            manager.api().ok("GET", "/configuration")
            assert manager.api().get("//health/ready").json()["checks"]["configuration"]["ok"]
            rounds += 1
        load.wait_acks(5, each=True, timeout=30 * scale())
    finally:
        load.stop()
    assert not load.breaks, load.breaks
    figure(f"{rounds} times garbage; {load.summary()}")


class Saver(threading.Thread):
    """Saves one configuration after the other, small and large ones."""

    def __init__(self, manager, body):
        super().__init__(daemon=True)
        self.port, self.body, self.n, self.acknowledged, self.going = manager.port, body, 0, 0, True

    def run(self):
        link = Link(self.port)
        while self.going:
            variables = {f"v{i}": {"values": [{"platform": "linux", "value": f"/{self.n + 1}"}]} for i in range(self.n % 40 * 20)}
            self.n += 1
            try:
                reply = link.call("PUT", FILE, dict(self.body, manager_name=f"save {self.n}", variables=variables))
                assert reply.status == 204, reply
                self.acknowledged = self.n
            except (NoReply, NotSent):
                self.going = False
        link.close()


def test_kill_while_saving(make_manager, seed, figure):
    """The file is the old or the new one, whole; what was acknowledged is there."""
    manager = make_manager()
    file = manager.dir / "flamenco-manager.yaml"
    saved = 0
    for _ in range(int(os.environ.get("FLAMENCO_FAULTS_KILLS", 5))):
        manager.start()
        saver = Saver(manager, manager.api().ok("GET", FILE))
        saver.start()
        wait_until(lambda s=saver: s.acknowledged > 3, "it saves")
        time.sleep(seed.random() * 0.2)
        manager.kill()
        saver.join(30)
        text = yaml.safe_load(file.read_text())
        n = int(text["manager_name"].split()[1])
        assert n in (saver.acknowledged, saver.acknowledged + 1), "an acknowledged one is lost"
        assert all(v["values"][0]["value"] == f"/{n}" for v in text["variables"].values())
        assert names(manager.dir).count("flamenco-manager.yaml") == 1
        saved += saver.acknowledged
        manager.start()
        assert manager.api().ok("GET", "/version")["name"] == f"save {n}"
        manager.stop()
        manager.api().session.close()
    figure(f"{saved} configurations saved")

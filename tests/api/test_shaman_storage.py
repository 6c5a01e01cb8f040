# SPDX-License-Identifier: Apache-2.0
"""The storage of Shaman: layout on disk, garbage, trouble, and being switched off (contract: shaman 1, 2, 6, 7)."""
import os
import stat
import subprocess
import time

import pytest
from harness.check import assert_error, wait_until
from harness.http import Raw
from harness.shaman import A, B, E, OURS, sha, spec, start

pytestmark = pytest.mark.skipif(not OURS, reason="looks at our layout on disk")
HOUR = 3600


def age(path, hours):
    then = time.time() - hours * HOUR
    os.utime(path, (then, then), follow_symlinks=False)


def hours_old(path):
    return (time.time() - path.lstat().st_mtime) / HOUR


def health(farm):
    return farm.api.get("//health/ready").json()["checks"]["shaman"]


# ---- Layout ----

def test_layout_of_the_contract(make_farm):
    shaman = start(make_farm).store(A, B, E)
    assert sorted(p.name for p in shaman.shared.iterdir()) == ["file-store", "jobs"]
    digest = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    blob = shaman.shared / "file-store" / "stored" / "b9" / digest[2:] / "11.blob"
    assert blob.read_bytes() == A
    assert (shaman.shared / "file-store/stored/e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0.blob").stat().st_size == 0
    assert list((shaman.shared / "file-store" / "uploading").iterdir()) == []
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(blob.stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE(blob.parent.stat().st_mode) == 0o777 & ~umask


def test_store_that_another_manager_filled_is_used(make_manager, make_farm):
    manager = make_manager()
    for data in (A, B):
        blob = manager.shared / "file-store" / "stored" / sha(data)[:2] / sha(data)[2:] / f"{len(data)}.blob"
        blob.parent.mkdir(parents=True)
        blob.write_bytes(data)
    shaman = start(make_farm, reference={"shared_storage_path": str(manager.shared)})
    shaman.shared = manager.shared
    assert shaman.requirements(spec("a", A), spec("b", B), spec("c", E)) == [dict(spec("c", E), status="unknown")]
    shaman.checkout("x", spec("a", A))
    assert (shaman.jobs / "x" / "a").read_bytes() == A
    shaman.blob(B).unlink() # by hand: seen at once
    assert shaman.status(B) == "unknown"


def test_configuration_says_that_shaman_is_there(make_farm):
    shaman = start(make_farm)
    config = shaman.api.ok("GET", "/configuration")
    assert config["shamanEnabled"] is True and config["storageLocation"] == str(shaman.jobs)
    where = shaman.api.ok("GET", "/configuration/shared-storage/users/linux")
    assert where["shamanEnabled"] is True and where["location"] == str(shaman.jobs)
    variables = shaman.api.ok("GET", "/configuration/variables/workers/linux")
    assert variables["jobs"] == {"is_twoway": False, "value": str(shaman.jobs)}
    assert health(shaman.farm) == {"ok": True, "message": ""}


def test_remains_of_a_killed_manager_are_removed(make_farm):
    shaman = start(make_farm).store(A)
    leftover = shaman.shared / "file-store" / "uploading" / sha(B)[:2] / sha(B)[2:] / f"{len(B)}-081921342.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"blo")
    assert shaman.status(B) == "unknown"
    shaman.farm.manager.kill()
    shaman.farm.manager.start()
    assert not leftover.parent.parent.exists()
    assert shaman.status(A) == "stored"


# ---- Times ----

def test_requirements_and_checkout_touch_blobs_and_nothing_else_does(make_farm):
    shaman = start(make_farm).store(A, B)
    for data in (A, B):
        age(shaman.blob(data), 50)
    assert shaman.status(A) == "stored" and shaman.upload(A).status_code == 208
    assert hours_old(shaman.blob(A)) > 49
    shaman.requirements(spec("a", A))
    assert hours_old(shaman.blob(A)) < 1 and hours_old(shaman.blob(B)) > 49
    age(shaman.blob(A), 50)
    shaman.checkout("x", spec("a", A), spec("s/b", B), spec("s/c", A))
    assert hours_old(shaman.blob(A)) < 1 and hours_old(shaman.blob(B)) < 1


# ---- Garbage ----

def test_report_tells_what_would_go_and_why(make_farm):
    shaman = start(make_farm).store(A, B, E)
    shaman.checkout("job", spec("deep/a", A))
    for data in (A, B):
        age(shaman.blob(data), 800)
    report = shaman.api.ok("GET", "/shaman/gc")
    files = report.pop("files")
    assert report == {"old_files": 2, "links_checked": 1, "used_files": 1, "unused_files": 1, "stale_uploads": 0,
                      "freed_bytes": len(B)}
    assert [(f["path"], f["size"]) for f in files] == [(str(shaman.blob(B).relative_to(shaman.shared)), len(B))]
    assert files[0]["reason"] and files[0]["modified"].endswith("Z")
    assert shaman.status(B) == "stored"


def test_collection_runs_by_itself_and_spares_what_is_used_or_young(make_farm):
    shaman = start(make_farm, manual_clock=True, reference={"shaman": {"garbageCollect": {"maxAge": "0s"}}}).store(A, B, E)
    shaman.checkout("job", spec("a", A))
    age(shaman.blob(A), 100000)
    age(shaman.blob(B), 25)
    age(shaman.blob(E), 23)
    position = shaman.farm.manager.log_position()
    shaman.farm.advance("31s")
    line = shaman.farm.manager.wait_log("garbage:", position)
    assert "2 old files" in line and "1 deleted" in line
    assert shaman.blob(A).exists() and shaman.blob(E).exists()
    assert not shaman.blob(B).parent.parent.exists()
    shaman.store(B)
    age(shaman.blob(B), 25)
    position = shaman.farm.manager.log_position()
    wait_until(lambda: shaman.farm.advance("24h") and any("garbage:" in line for line in
               shaman.farm.manager.log().splitlines()[position:]), "the next run", 20)
    wait_until(lambda: not shaman.blob(B).exists(), "the next run removes it")


def test_collection_from_the_command_line(make_farm):
    shaman = start(make_farm).store(A, B)
    shaman.checkout("job", spec("a", A))
    for data in (A, B):
        age(shaman.blob(data), 800)
    manager = shaman.farm.manager
    done = manager.run("-shaman-gc-show")
    assert done.returncode == 0, done.stdout
    assert str(shaman.blob(B).relative_to(shaman.shared)) in done.stdout and "1 unused" in done.stdout
    assert shaman.blob(B).exists()
    done = manager.run("-shaman-gc-show", "-shaman-gc-delete")
    assert shaman.blob(B).exists()
    done = manager.run("--shaman-gc-delete")
    assert done.returncode == 0 and "1 deleted" in done.stdout, done.stdout
    assert not shaman.blob(B).exists() and shaman.blob(A).exists()
    manager.stop()
    assert manager.run("-shaman-gc-delete").returncode == 0


def test_command_line_spares_an_upload_of_a_running_manager(make_farm):
    shaman = start(make_farm)
    data = b"slow upload " * 20000
    with Raw(shaman.farm.port) as raw:
        raw.send(f"POST /api/v3{shaman.path(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n")
        raw.send(data[:100000])
        wait_until(lambda: shaman.status(data) == "uploading", "the upload is seen")
        assert shaman.farm.manager.run("-shaman-gc-delete").returncode == 0
        raw.send(data[100000:])
        assert raw.read("POST").status == 200
    assert shaman.status(data) == "stored"


def test_command_line_without_shaman_does_nothing(make_manager):
    done = make_manager().run("-shaman-gc-delete")
    assert done.returncode == 0
    assert not os.path.exists(make_manager().shared)


# ---- Trouble ----

def test_storage_that_vanishes_is_told_and_comes_back(make_farm):
    shaman = start(make_farm).store(A)
    away = shaman.shared.with_name("away")
    shaman.shared.rename(away)
    for reply in (shaman.api.get(shaman.path(A)), shaman.upload(B), shaman.create("x", spec("a", A)),
                  shaman.api.post("/shaman/checkout/requirements", json={"files": [spec("a", A)]}),
                  shaman.api.get("/shaman/gc")):
        message = assert_error(reply, 500)
        assert str(shaman.shared) in message
    assert not shaman.shared.exists()
    check = health(shaman.farm)
    assert check["ok"] is False and str(shaman.shared) in check["message"]
    assert shaman.api.ok("GET", "/configuration")["shamanEnabled"] is True
    away.rename(shaman.shared)
    assert shaman.status(A) == "stored"
    assert shaman.upload(B).status_code == 200
    assert health(shaman.farm)["ok"] is True


def test_directory_that_somebody_removed_is_made_again(make_farm):
    shaman = start(make_farm)
    (shaman.shared / "jobs").rmdir()
    shaman.store(A).checkout("x", spec("a", A))
    assert (shaman.jobs / "x" / "a").read_bytes() == A


def mounted(tmp_path, options):
    """A tmpfs; skips where that is not allowed."""
    place = tmp_path / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    return place


def test_full_storage_is_told_and_recovers(make_farm, tmp_path):
    place = mounted(tmp_path, "size=1m")
    try:
        shaman = start(make_farm, reference={"shared_storage_path": str(place / "farm")})
        shaman.shared = place / "farm"
        shaman.store(A)
        filler = place / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        message = assert_error(shaman.upload(b"y" * 300000), 500)
        assert "No space" in message or "full" in message
        assert health(shaman.farm)["ok"] is False
        assert shaman.status(A) == "stored"
        filler.unlink()
        assert shaman.upload(b"y" * 300000).status_code == 200
        assert health(shaman.farm)["ok"] is True
        assert list((shaman.shared / "file-store" / "uploading").iterdir()) == []
        message = assert_error(shaman.upload(b"z" * 3000000), 500) # refused early: there is no room for it
        assert "full" in message
    finally:
        for manager in make_farm.managers:
            manager.stop()
        subprocess.run(["umount", str(place)], check=True)


def test_read_only_and_unmounted_storage(make_farm, tmp_path):
    place = mounted(tmp_path, "size=4m")
    try:
        shaman = start(make_farm, reference={"shared_storage_path": str(place)})
        shaman.shared = place
        shaman.store(A)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        assert "Read-only" in assert_error(shaman.upload(B), 500)
        assert_error(shaman.create("x", spec("a", A)), 500)
        assert shaman.status(A) == "stored" and shaman.requirements(spec("a", A)) == []
        assert health(shaman.farm)["ok"] is False
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        assert shaman.upload(B).status_code == 200
        assert health(shaman.farm)["ok"] is True
        subprocess.run(["umount", str(place)], check=True)
        assert "not mounted" in assert_error(shaman.upload(b"other"), 500)
        assert "not mounted" in health(shaman.farm)["message"]
        assert list(place.iterdir()) == [] # nothing is made on the disk below
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], check=True)
    finally:
        for manager in make_farm.managers:
            manager.stop()
        subprocess.run(["umount", str(place)], check=False, capture_output=True)


# ---- Switched off ----

CALLS = (("POST", "/shaman/checkout/requirements", {"files": []}), ("POST", "/shaman/checkout/create", {"files": [], "checkoutPath": "x"}),
         ("GET", f"/shaman/files/{'a' * 64}/1", None), ("POST", f"/shaman/files/{'a' * 64}/1", None), ("GET", "/shaman/gc", None))


@pytest.mark.parametrize("options", (
    {"reference": {"shaman": {"enabled": False}}}, {"yaml": {"plugins": {"shaman": {"enabled": False}}}},
    {"yaml": {"plugins": {"shaman": None}}}, {"reference": {"shared_storage_path": ""}}, {"args": ["-setup-assistant"]}),
    ids=("setting", "member disabled", "member absent", "no storage", "setup assistant"))
def test_switched_off(make_farm, options):
    shaman = start(make_farm, **options)
    for method, path, body in CALLS:
        assert_error(shaman.api.call(method, path, json=body), 503)
    assert_error(shaman.upload(b"x" * 1000000), 503)
    assert_error(shaman.upload(b"x", headers={"X-Shaman-Original-Filename": "=?koi8-r?q?abc?="}), 503)
    assert shaman.api.post("/shaman/checkout/create", json={}).status_code == 400
    assert shaman.api.get("/shaman/files/abc/x").status_code == 400
    assert shaman.api.ok("GET", "/configuration")["shamanEnabled"] is False

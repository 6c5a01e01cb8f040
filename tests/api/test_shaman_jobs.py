# SPDX-License-Identifier: Apache-2.0
"""Jobs and their checkouts: deletion takes the checkout along (contract: shaman 7); simulated Workers read what the add-on packed."""
import json
import os
import subprocess

import pytest
from harness.check import assert_empty, wait_until
from harness.manager import program
from harness.shaman import OURS, A, B, spec, start
from test_shaman_addon import AddOn, folder  # noqa: F401: a fixture

FARM_SIM = program().parents[1] / "tools" / "farm-sim" / "farm-sim"


def submit(shaman, checkout):
    return shaman.farm.submit([{}], initial_status="paused", storage={"shaman_checkout_id": checkout})["id"]


def delete(shaman, job_id):
    assert_empty(shaman.api.delete(f"/jobs/{job_id}"))


def wait_gone(shaman, job_id):
    wait_until(lambda: shaman.api.get(f"/jobs/{job_id}").status_code == 404, "the job is deleted")


def would_delete(shaman, job_id):
    return shaman.api.ok("GET", f"/jobs/{job_id}/what-would-delete-do")["shaman_checkout"]


# ---- Deletion ----

@pytest.fixture
def filled(make_farm):
    shaman = start(make_farm, manual_clock=True).store(A, B)
    shaman.checkout("proj/scene/other", spec("x", A))
    return shaman


def test_deleted_job_takes_its_checkout_along_and_no_other(filled):
    one = filled.checkout("proj/scene/shot", spec("deep/er/a", A), spec("b", B))
    two = filled.checkout("proj/scene/shot", spec("a", A))
    job = submit(filled, one)
    assert would_delete(filled, job) is True
    delete(filled, job)
    wait_gone(filled, job)
    assert filled.tree() == ["proj", "proj/scene", "proj/scene/other", "proj/scene/other/x", two, f"{two}/a"]
    assert filled.status(A) == filled.status(B) == "stored" # collected later, when nobody needs them


@pytest.mark.skipif(not OURS, reason="another implementation may keep empty folders")
def test_last_checkout_takes_its_empty_folder_along_and_leaves_jobs(filled):
    for name in ("alone/in/here", "flat"):
        job = submit(filled, filled.checkout(name, spec("x", A)))
        delete(filled, job)
        wait_gone(filled, job)
    assert filled.tree("alone") == []
    job = submit(filled, "proj/scene/other")
    delete(filled, job)
    wait_gone(filled, job)
    assert filled.jobs.is_dir()


def test_checkout_that_is_gone_already_is_no_trouble(filled):
    job = submit(filled, "never/made")
    assert would_delete(filled, job) is True
    delete(filled, job)
    wait_gone(filled, job)


def test_job_without_a_checkout_touches_none(filled):
    job = filled.farm.submit([{}], initial_status="paused")["id"]
    before = filled.tree()
    assert would_delete(filled, job) is False
    delete(filled, job)
    wait_gone(filled, job)
    assert filled.tree() == before


@pytest.mark.parametrize("checkout", (".", "..", "../..", "../file-store", "/", "proj/..", "a:b", "./", "proj/scene/../.."))
def test_name_that_is_no_checkout_erases_nothing_and_the_job_stays(filled, checkout):
    job, before = submit(filled, checkout), filled.tree()
    position = filled.farm.manager.log_position()
    delete(filled, job)
    assert job in filled.farm.manager.wait_log("cannot be deleted yet", position)
    assert filled.farm.job(job)["delete_requested_at"]
    assert filled.tree() == before and filled.status(A) == "stored"


@pytest.mark.skipif(not OURS, reason="looks at our layout on disk")
def test_link_in_the_place_of_a_checkout_is_removed_and_not_followed(filled, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (filled.jobs / "planted").symlink_to(tmp_path / "precious")
    job = submit(filled, "planted")
    delete(filled, job)
    wait_gone(filled, job)
    assert (tmp_path / "precious" / "file").exists() and not os.path.lexists(filled.jobs / "planted")


@pytest.mark.skipif(not OURS, reason="another implementation may see no difference to a checkout that is gone")
def test_deletion_waits_for_a_storage_that_vanished(filled):
    filled.farm.clock(frozen=True)
    job = submit(filled, filled.checkout("shot", spec("x", A)))
    away = filled.shared.with_name("away")
    filled.shared.rename(away)
    position = filled.farm.manager.log_position()
    delete(filled, job)
    assert job in filled.farm.manager.wait_log("cannot be deleted yet", position)
    away.rename(filled.shared)
    assert (filled.jobs / "shot" / "x").exists()
    filled.farm.advance("2s")
    wait_gone(filled, job)
    assert not (filled.jobs / "shot").exists()


# ---- Workers ----

def digest(folder):
    """As farm-sim's --read-files counts: files, bytes, the sum of the FNV-1a hashes."""
    files, size, total = 0, 0, 0
    for path in folder.rglob("*"):
        if path.is_file():
            value = 0xCBF29CE484222325
            for byte in path.read_bytes():
                value = (value ^ byte) * 0x100000001B3 % 2 ** 64
            files, size, total = files + 1, size + path.stat().st_size, (total + value) % 2 ** 64
    return files, size, total


def render(shaman, blendfile):
    """Has two simulated Workers render the file; each task reads it and all that is beside it."""
    settings = {"blendfile": blendfile, "frames": "1-6", "chunk_size": 2, "fps": 24, "images_or_video": "images",
                "image_file_extension": ".png", "has_previews": False, "format": "PNG", "render_output_root": "/render/",
                "add_path_components": 0, "render_output_path": "/render/x/######"}
    return subprocess.run([FARM_SIM, "demo", "--url", shaman.farm.manager.url, "--workers", "2", "--time-scale", "0.02", "--timeout", "60s",
                           "--read-files", "--quit-workers", "--json", "--settings", json.dumps(settings)],
                          capture_output=True, text=True, timeout=90, check=False)


@pytest.mark.skipif(not FARM_SIM.exists(), reason="farm-sim is not built")
@pytest.mark.parametrize("generation", (1, 2))
def test_workers_read_what_the_addon_packed(make_farm, folder, generation): # noqa: F811
    (folder / "lib" / "empty.bin").unlink()
    shaman = start(make_farm, reference={"task_fail_after_softfail_count": 1})
    _, checkout = AddOn(shaman.farm, generation).submit(folder, "Ünï cödé/shot", "shot.blend")
    done = render(shaman, f"{{jobs}}/{checkout}/shot.blend")
    assert done.returncode == 0, done.stdout + done.stderr
    job = json.loads(done.stdout)["job"]
    files, size, total = digest(folder)
    lines = [line for task in shaman.farm.tasks(job)
             for line in shaman.farm.api.get(f"/tasks/{task['id']}/logtail").text.splitlines() if "> Read " in line]
    assert len(lines) == 3
    assert all(line.endswith(f"Read {files} files, {size} bytes, sum {total:016x}") for line in lines)

    next(p for p in (shaman.jobs / checkout).rglob("*") if p.name.endswith(".exr")).resolve().unlink()
    done = render(shaman, f"{{jobs}}/{checkout}/shot.blend")
    assert done.returncode == 1 and "failed" in done.stderr

# SPDX-License-Identifier: Apache-2.0
"""A client that packs a folder as the Blender add-on does (contract: shaman 9), both generations, and Workers that read the files
that it checked out."""
import email.header
import hashlib
import random

import pytest
from harness.http import Api, Background
from harness.shaman import start

HEADERS = {"User-Agent": "Flamenco/3.9 (Blender add-on)", "Accept": "application/json", "Accept-Encoding": "identity"}


class AddOn:
    """generation 1: background thread, files one by one; 2: all statuses first, no storage in the job."""

    def __init__(self, farm, generation, seed=0):
        self.api, self.generation, self.rng = Api(farm.manager.url), generation, random.Random(seed)
        self.uploaded, self.statuses = 0, []

    def pack(self, folder):
        separator = "/" if self.generation == 1 else "\\" # as generation 2 on Windows has it
        entries = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            data = path.read_bytes()
            entries.append({"sha": hashlib.sha256(data).hexdigest(), "size": len(data),
                            "path": separator.join(path.relative_to(folder).parts), "file": path})
        return entries

    @staticmethod
    def on_wire(entries):
        return [{key: entry[key] for key in ("sha", "size", "path")} for entry in entries]

    def upload(self, entry, can_defer):
        data = entry["file"].read_bytes()
        name = email.header.Header(entry["path"], "utf-8", maxlinelen=10 ** 6).encode()
        reply = self.api.post(f"/shaman/files/{entry['sha']}/{entry['size']}", data=data, headers=dict(
            HEADERS, **{"Content-Type": "application/octet-stream", "Content-Length": str(len(data)),
                        "X-Shaman-Can-Defer-Upload": str(can_defer), "X-Shaman-Original-Filename": name}))
        assert reply.status_code in (200, 204, 208), f"{reply.status_code} {reply.text}" # 425 would end the submission
        self.uploaded += reply.status_code == 200

    def send_files(self, entries):
        by_path = {entry["path"]: entry for entry in entries}
        missing = self.api.ok("POST", "/shaman/checkout/requirements", json={"files": self.on_wire(entries)}, headers=HEADERS)["files"]
        assert all(f["status"] in ("unknown", "uploading") for f in missing)
        unknown = [by_path[f["path"]] for f in missing if f["status"] == "unknown"] # KeyError: not the text that was sent
        uploading = [by_path[f["path"]] for f in missing if f["status"] == "uploading"]
        if self.generation == 1:
            unknown.reverse()
        else:
            self.rng.shuffle(unknown)
            self.rng.shuffle(uploading)
        todo = unknown + uploading
        if self.generation == 2:
            todo = [entry for entry in todo if self.status(entry) != "stored"]
        for number, entry in enumerate(todo):
            if self.generation == 1 and self.status(entry) == "stored":
                continue
            self.upload(entry, can_defer=number < len(todo) - 1)

    def status(self, entry):
        status = self.api.ok("GET", f"/shaman/files/{entry['sha']}/{entry['size']}", headers=HEADERS)["status"]
        self.statuses.append(status)
        return status

    def submit(self, folder, job_name, blend):
        where = self.api.ok("GET", "/configuration/shared-storage/users/linux", headers=HEADERS)
        assert where["shamanEnabled"] is True
        entries = self.pack(folder)
        self.send_files(entries)
        wanted = "/".join(part for part in job_name.split("/") if part not in ("", ".")) or "."
        checkout = self.api.ok("POST", "/shaman/checkout/create", headers=HEADERS,
                               json={"checkoutPath": wanted, "files": self.on_wire(entries)})["checkoutPath"]
        assert not checkout.startswith("/")
        job = {"name": job_name, "type": "graph", "submitter_platform": "linux", "priority": 50,
               "settings": {"tasks": [{"type": "shaman", "name": blend, "parameters": {}}], "blendfile": f"{{jobs}}/{checkout}/{blend}"}}
        if self.generation == 1:
            job["storage"] = {"shaman_checkout_id": checkout}
        return self.api.ok("POST", "/jobs", json=job), checkout


@pytest.fixture
def folder(tmp_path):
    pack = tmp_path / "pack"
    for path, data in {"shot.blend": b"BLENDER" * 50000, "tex/häus.png": b"png" * 1000, "tex/日本/ファイル.exr": b"exr" * 100,
                       "lib/empty.bin": b"", "lib/copy of shot.blend": b"BLENDER" * 50000, "pack-info.txt": b"info",
                       "lib/" + "long " * 40 + ".txt": b"long"}.items():
        (pack / path).parent.mkdir(parents=True, exist_ok=True)
        (pack / path).write_bytes(data)
    return pack


def assert_checked_out(shaman, folder, checkout):
    want = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    top = shaman.jobs / checkout
    assert {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_symlink()} == want


@pytest.mark.parametrize("generation", (1, 2))
@pytest.mark.parametrize("name", ("shot", "Ünï cödé/日本 🎬", ""))
def test_submission_and_resubmission(make_farm, folder, generation, name):
    shaman = start(make_farm)
    first = AddOn(shaman.farm, generation)
    job, checkout = first.submit(folder, name, "shot.blend")
    assert first.uploaded == 6 # one of the seven is a copy
    assert checkout == (name or "unnamed")
    assert_checked_out(shaman, folder, checkout)
    assert job.get("storage") == ({"shaman_checkout_id": checkout} if generation == 1 else None)

    (folder / "tex" / "häus.png").write_bytes(b"other png")
    second = AddOn(shaman.farm, generation)
    _, again = second.submit(folder, name, "shot.blend")
    assert second.uploaded == 1 and again.startswith(checkout + "-")
    assert_checked_out(shaman, folder, again)

    worker = shaman.farm.worker(types=["shaman"])
    for place in (checkout, again):
        task = worker.get_task()
        blend = next(str(v) for v in (shaman.jobs / place / task["name"],))
        with open(blend, "rb") as f:
            assert f.read() == b"BLENDER" * 50000
        worker.complete(task["uuid"])


@pytest.mark.parametrize("generation", (1, 2))
def test_two_clients_submit_the_same_at_once(make_farm, folder, generation):
    shaman = start(make_farm)
    for i in range(20):
        (folder / f"big{i}.bin").write_bytes(random.Random(i).randbytes(200000))
    clients = [AddOn(shaman.farm, generation, seed) for seed in range(3)]
    results = [Background(client.submit, folder, "same", "shot.blend") for client in clients]
    checkouts = [result.result(60)[1] for result in results]
    assert len(set(checkouts)) == 3
    for checkout in checkouts:
        assert_checked_out(shaman, folder, checkout)

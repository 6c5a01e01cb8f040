# SPDX-License-Identifier: Apache-2.0
"""Plays the client of Shaman: files known by their content, checkouts. FLAMENCO_TEST_SHAMAN names another plugin file, so that
the same tests try another implementation."""
import hashlib
import os
from pathlib import Path

from .farm import GRAPH, Farm
from .manager import merge

A, B, E = b"hello world", b"blob B", b""
PLUGIN = os.environ.get("FLAMENCO_TEST_SHAMAN", "shaman")
OURS = PLUGIN == "shaman"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def spec(path, data, **change):
    return dict({"sha": sha(data), "size": len(data), "path": path}, **change)


def manager_options(yaml=None, reference=None, **kw):
    return dict(yaml=merge({"plugins": {"shaman": {"file": PLUGIN}}}, yaml),
                reference=merge({"shaman": {"enabled": True}}, reference), **kw)


class Shaman:
    """The Shaman of a running manager."""

    def __init__(self, farm):
        self.farm, self.api = farm, farm.api
        self.shared = Path(farm.manager.shared)

    @property
    def jobs(self):
        return self.shared / "jobs"

    def blob(self, data):
        digest = sha(data)
        return self.shared / "file-store" / "stored" / digest[:2] / digest[2:] / f"{len(data)}.blob"

    def path(self, data):
        return f"/shaman/files/{sha(data)}/{len(data)}"

    def status(self, data):
        return self.api.ok("GET", self.path(data))["status"]

    def upload(self, data, path=None, headers=(), **kw):
        return self.api.post(path or self.path(data), data=data, headers=dict(headers), **kw)

    def store(self, *datas):
        for data in datas:
            reply = self.upload(data)
            assert reply.status_code in (200, 208), f"{reply.status_code} {reply.text}"
        return self

    def requirements(self, *specs):
        return self.api.ok("POST", "/shaman/checkout/requirements", json={"files": list(specs)})["files"]

    def create(self, wanted, *specs):
        return self.api.post("/shaman/checkout/create", json={"checkoutPath": wanted, "files": list(specs)})

    def checkout(self, wanted, *specs):
        reply = self.create(wanted, *specs)
        assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
        assert set(reply.json()) == {"checkoutPath"}
        return reply.json()["checkoutPath"]

    def temporary_files(self):
        """Of uploads under way; directories may come and go meanwhile."""
        return [name for _, _, names in os.walk(self.shared / "file-store" / "uploading") for name in names]

    def tree(self, below=None):
        """All that is below jobs, as sorted texts."""
        top = self.jobs if below is None else self.jobs / below
        return sorted(str(p.relative_to(top)) for p in top.rglob("*")) if top.exists() else []


def start(make_farm, **kw):
    return Shaman(make_farm(**manager_options(**kw)))


def start_shared(directory, manager_class):
    """Its workers and tasks never time out, as in the manager that other tests share."""
    options = manager_options(reference={"worker_timeout": "0s", "task_timeout": "0s"}, scripts={"graph.js": GRAPH})
    return Shaman(Farm(manager_class(directory, **options).start()))

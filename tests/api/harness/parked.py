# SPDX-License-Identifier: Apache-2.0
"""A Worker's question that the manager holds back until it knows an answer (architecture 2, Parked requests)."""
import base64
import json

from .check import wait_until
from .http import Raw

# Laid over the generated manager.yaml, in which holding is off.
HOLD = {"limits": {"hold_empty_poll": "10m", "hold_empty_poll_proxy": "50s"}}


def parked(farm):
    return int(farm.api.metric("flamenco_parked_requests"))


class Ask(Raw):
    """A Worker's question on a connection of its own, which the manager is known to have parked."""

    def __init__(self, worker, path="/api/v3/worker/task", method="POST", headers=(), wait=True):
        super().__init__(worker.farm.port)
        before = parked(worker.farm) if wait else 0
        auth = base64.b64encode(f"{worker.id}:{worker.secret}".encode()).decode()
        self.request(method, path, [("Authorization", f"Basic {auth}"), *headers], b"" if method == "POST" else None)
        if wait:
            wait_until(lambda: parked(worker.farm) == before + 1, "the request is parked")

    def task(self):
        reply = self.read()
        assert reply.status == 200, (reply.status, reply.body)
        return json.loads(reply.body)

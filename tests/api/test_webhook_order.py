# SPDX-License-Identifier: Apache-2.0
"""A webhook is told of every trigger, the same as everybody (test_event_order.py), over a restart of the manager."""
from conftest import start_farm
from harness import triggers
from harness.webhook import WebhookReceiver


class Hook(triggers.Receiver):
    name = "webhook"
    outlives = True

    def __init__(self):
        self.server = WebhookReceiver().start(["/**"])
        self.taken = 0

    def start(self, topics):
        pass  # all come anyway

    def read(self):
        event = self.server.wait_event(self.taken)
        self.taken += 1
        return event["topic"], event["name"], event["payload"]

    def close(self):
        self.server.stop()
        assert not self.server.problems, self.server.problems


def test_a_webhook_is_told_of_every_trigger(tmp_path):
    hook, farms = Hook(), []

    def start():
        settings = triggers.settings(yaml={"plugins": {"event_forwarder": [{"name": "recorder", "file": "event-recorder"}, hook.server.config()]}})
        farms.append(start_farm(tmp_path / "manager", env={"no_proxy": "*"}, **settings))
        return farms[0]

    try:
        triggers.run(start, [hook])
    finally:
        for farm in farms:
            farm.manager.stop()

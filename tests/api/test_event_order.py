# SPDX-License-Identifier: Apache-2.0
"""Everything that can happen is told to everybody, the same, in the same order, with the contract's content and times: to a web
page (Socket.IO of both generations), to a script (server-sent events), and to forwarders, of which the recorder is one, and MQTT.
Other receivers: harness/triggers.py."""
import queue
import threading

import pytest
import requests
from conftest import start_farm
from harness import mqtt, triggers
from harness.manager import scale


class Forwarded(triggers.Receiver):
    """What the recorder was told as a forwarder: asked for all the time, since it forgets with the manager."""
    name = "the recorder"
    outlives = True

    def __init__(self, farms):
        self.farms, self.told, self.going, self.there = farms, queue.Queue(), True, threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self):
        last, session, process = 0, requests.Session(), None
        session.trust_env = False
        self.there.wait()
        while self.going:
            if self.farms[0].manager.proc is not process: # the next one begins anew
                last, process = 0, self.farms[0].manager.proc
            try:
                events = session.get(f"{self.farms[0].manager.url}/test/events?after={last}&wait_ms=300", timeout=30 * scale()).json()
            except (requests.RequestException, ValueError):
                continue
            for event in events:
                last = event["seq"]
                self.told.put((event["topic"], event["name"], event["payload"]))

    def start(self, topics):
        if self.farms:
            self.there.set()
        elif not self.thread.is_alive():
            self.thread.start()

    def read(self):
        return self.told.get(timeout=20 * scale())

    def close(self):
        self.going = False
        self.there.set()
        self.thread.join()


@pytest.fixture
def broker(tmp_path):
    broker = mqtt.Broker(tmp_path / "broker").start()
    yield broker
    broker.stop()


@pytest.mark.skipif(bool(mqtt.MISSING), reason=mqtt.MISSING)
def test_everybody_is_told_of_every_trigger(tmp_path, broker):
    farms = []
    settings = triggers.settings(
        yaml={"plugins": {"event_forwarder": [{"name": "recorder", "file": "event-recorder"},
                                              {"name": "mqtt", "file": "events-mqtt"}]}},
        reference={"mqtt": {"client": {"enabled": True, "broker": broker.url}}})

    def start():
        farms.append(start_farm(tmp_path / "manager", **settings))
        return farms[0]

    try:
        triggers.run(start, [triggers.SocketIoReceiver(3), triggers.SocketIoReceiver(4), triggers.SseReceiver(), Forwarded(farms),
                             mqtt.EventReceiver(broker)])
    finally:
        for farm in farms:
            farm.manager.stop()

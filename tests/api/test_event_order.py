# SPDX-License-Identifier: Apache-2.0
"""Everything that can happen is told to everybody, the same, in the same order, with the contract's content and times: to a web
page (Socket.IO of both generations), to a script (server-sent events), and by MQTT. Other receivers: harness/triggers.py."""
import pytest
from conftest import start_farm
from harness import mqtt, triggers


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
        triggers.run(start, [triggers.SocketIoReceiver(3), triggers.SocketIoReceiver(4), triggers.SseReceiver(),
                             mqtt.EventReceiver(broker)])
    finally:
        for farm in farms:
            farm.manager.stop()

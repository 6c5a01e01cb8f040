# SPDX-License-Identifier: Apache-2.0
"""Everything that can happen is told to everybody, the same, in the same order, with the contract's content and times: to a web
page (Socket.IO of both generations), and to a script (server-sent events). Other receivers: harness/triggers.py."""
from conftest import start_farm
from harness import triggers


def test_everybody_is_told_of_every_trigger(tmp_path):
    farms = []

    def start():
        farms.append(start_farm(tmp_path / "manager", **triggers.settings()))
        return farms[0]

    try:
        triggers.run(start, [triggers.SocketIoReceiver(3), triggers.SocketIoReceiver(4), triggers.SseReceiver()])
    finally:
        for farm in farms:
            farm.manager.stop()

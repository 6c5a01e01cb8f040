# SPDX-License-Identifier: Apache-2.0
"""Workers find the manager by themselves (events 4.2 to 4.4): in networks of the test's own, where the machine allows them, else
over loopback."""
import contextlib
import socket
import threading

import pytest
from harness import network
from harness.check import wait_until
from harness.http import Api
from harness.ssdp import TYPE, UUID, USN, Listener, Searcher, search_text

WHY_NOT = network.why_not()
needs_namespaces = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "possible")
PLUGIN = {"plugins": {"discovery": [{"file": "discovery-ssdp"}]}}


@pytest.fixture
def net():
    made = network.Network()
    yield made
    made.close()


@pytest.fixture
def two_lans(net):
    """A manager's host with a cable to `left` (both families) and one to `right` (IPv4 alone)."""
    net.cable("manager", "left", "lan0", ["10.1.0.1/24", "fd01::1/64"], ["10.1.0.2/24", "fd01::2/64"])
    net.cable("manager", "right", "lan1", ["10.2.0.1/24"], ["10.2.0.2/24"])
    return net


@pytest.fixture
def start(make_manager):
    """Starts a manager in a namespace."""

    @contextlib.contextmanager
    def run(net, listen=":{port}", **reference):
        manager = make_manager(yaml=PLUGIN, reference={"autodiscoverable": True, **reference})
        manager.reference["listen"] = listen.format(port=manager.port)
        manager.write_config()
        with net.inside("manager"):
            manager.spawn()
            manager.wait_log("manager: ready")
        yield manager
        manager.stop()

    return run


def locations(manager, *hosts):
    return [f"http://{host}:{manager.port}/upnp/description.xml" for host in hosts]


def find_manager(net, host, found):
    """As a Worker does: the first location behind which a manager answers."""
    with net.inside(host):
        for location in found:
            reply = Api(location.removesuffix("/upnp/description.xml")).get("/version")
            if reply.status_code == 200 and "json" in reply.headers["Content-Type"]:
                return location
    return None


@needs_namespaces
def test_each_searcher_is_told_the_url_that_leads_there(two_lans, start):
    net = two_lans
    with start(net) as manager:
        with net.inside("left"):
            left, left6 = Searcher("lan0"), Searcher("lan0", socket.AF_INET6)
        with net.inside("right"):
            right = Searcher("lan1")
        assert left.search(wanted=2) == locations(manager, "10.1.0.1", "[fd01::1]")
        assert left.last["USN"] == USN and left.last["ST"] == TYPE
        assert left6.search(wanted=2) == locations(manager, "[fd01::1]", "10.1.0.1")
        found = right.search()
        assert found == locations(manager, "10.2.0.1")
        assert find_manager(net, "right", found) == found[0]
        assert find_manager(net, "left", locations(manager, "[fd01::1]"))
        with net.inside("left"):
            reply = Api(f"http://10.1.0.1:{manager.port}").get("//upnp/description.xml")
        assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/xml; charset=UTF-8"
        assert reply.content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<root xmlns="urn:schemas-upnp-org:device-1-0">')
        assert f"<UDN>uuid:{UUID}</UDN>" in reply.text


@needs_namespaces
def test_a_worker_on_the_same_host_finds_the_manager(two_lans, start):
    net = two_lans
    with start(net) as manager, net.inside("manager"):
        assert Searcher("lan0").search(wanted=4) == locations(manager, "10.1.0.1", "[fd01::1]", "127.0.0.1", "[::1]")
        assert Searcher("lo").search(to=("127.0.0.1", 1900), wanted=5) == locations(
            manager, "10.1.0.1", "10.2.0.1", "[fd01::1]", "127.0.0.1", "[::1]")


@needs_namespaces
def test_a_manager_with_one_address_tells_that_one_everywhere(two_lans, start):
    net = two_lans
    with start(net, listen="10.1.0.1:{port}") as manager:
        for host, interface in (("left", "lan0"), ("right", "lan1")):
            with net.inside(host):
                assert Searcher(interface).search() == locations(manager, "10.1.0.1")


@needs_namespaces
def test_targets_of_a_search(two_lans, start):
    net = two_lans
    with start(net) as manager:
        with net.inside("right"):
            searcher = Searcher("lan1")
        for st, usn in (("ssdp:all", USN), (UUID, USN), (f'"{TYPE}"', USN), (f"uuid:{UUID}", f"uuid:{UUID}"),
                        ("upnp:rootdevice", f"uuid:{UUID}::upnp:rootdevice")):
            assert searcher.search(st) == locations(manager, "10.2.0.1")
            assert searcher.last["USN"] == usn
        for st in ('"', '""', "urn:flamenco:manager:1", f"uuid:{UUID.upper()}"):
            searcher.send(search_text(st))
        # Answers come in order: none to those, and one to this.
        searcher.send(search_text(f"uuid:{UUID}"))
        (_, headers), = searcher.receive(60, 1)
        assert headers["ST"] == f"uuid:{UUID}"


@needs_namespaces
def test_announcements_and_good_bye(two_lans, start):
    net = two_lans
    with net.inside("left"):
        left, left6 = Listener("lan0"), Listener("lan0", socket.AF_INET6)
    with net.inside("right"):
        right = Listener("lan1")
    with start(net) as manager:
        for listener, hosts in ((left, ["10.1.0.1", "[fd01::1]"]), (left6, ["[fd01::1]", "10.1.0.1"]), (right, ["10.2.0.1"])):
            for location in locations(manager, *hosts):
                headers = listener.wait("ssdp:alive", location)
                assert headers["CACHE-CONTROL"] == "max-age=3600"
                assert headers["HOST"] == ("[ff02::c]:1900" if listener is left6 else "239.255.255.250:1900")
        assert all(h["LOCATION"] in locations(manager, "10.2.0.1") for h in right.passed), "nothing of the other network"
    for listener in (left, left6, right):
        listener.wait("ssdp:byebye")


@needs_namespaces
def test_an_interface_that_comes_is_announced_and_one_that_goes_is_forgotten(two_lans, start):
    net = two_lans
    with start(net) as manager:
        with net.inside("manager"):
            own = Searcher("lo")
            assert len(own.search(to=("127.0.0.1", 1900), wanted=5)) == 5
        position = manager.log_position()
        net.cable("manager", "late", "lan2", [], [])
        with net.inside("late"):
            listener = Listener("lan2")
            net.ip("late", "addr", "add", "10.3.0.2/24", "dev", "lan2")
            searcher = Searcher("lan2")
        net.ip("manager", "addr", "add", "10.3.0.1/24", "dev", "lan2")
        manager.wait_log("- http://10.3.0.1:", position)
        listener.wait("ssdp:alive", *locations(manager, "10.3.0.1"))
        found = searcher.search()
        assert found == locations(manager, "10.3.0.1") and find_manager(net, "late", found)
        position = manager.log_position()
        net.ip("manager", "link", "del", "lan2")
        manager.wait_log("addresses have changed", position)

        def forgotten():
            own.send(search_text(), ("127.0.0.1", 1900))
            said = [h["LOCATION"] for _, h in own.receive(5, 5)]
            return said == locations(manager, "10.1.0.1", "10.2.0.1", "[fd01::1]", "127.0.0.1", "[::1]")

        wait_until(forgotten, "the address that is gone is not told any more")


@needs_namespaces
def test_a_manager_that_starts_without_a_network_is_found_later(net, start):
    net.host("manager")
    with start(net) as manager:
        net.cable("manager", "left", "lan0", ["10.1.0.1/24"], ["10.1.0.2/24"])
        with net.inside("left"):
            assert Searcher("lan0").search() == locations(manager, "10.1.0.1")


@needs_namespaces
def test_not_autodiscoverable_means_silence(two_lans, start):
    net = two_lans
    with start(net, autodiscoverable=False) as manager, net.inside("manager"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", 1900))
            sock.settimeout(60)
            sock.send(search_text())
            with pytest.raises(ConnectionRefusedError):
                sock.recv(4096)
        assert Api(manager.url).get("//upnp/description.xml").status_code == 404


@needs_namespaces
def test_a_port_that_is_taken_keeps_nobody_from_rendering(two_lans, start):
    net = two_lans
    with net.inside("manager"):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("", 1900))
    with start(net) as manager, net.inside("manager"):
        manager.wait_log("cannot be announced: UDP port 1900: Address already in use")
        manager.wait_log("ERR.* - http://10.1.0.1:")
        api = Api(manager.url)
        assert api.get("//upnp/description.xml").status_code == 404
        assert api.get("/version").status_code == 200
        assert "UDP port 1900" in api.get("//health/ready").text
    other.close()


@needs_namespaces
def test_hostile_datagrams(two_lans, start):
    net = two_lans
    net.ip("left", "addr", "add", "203.0.113.9/32", "dev", "lan0")
    net.ip("manager", "route", "add", "203.0.113.9/32", "dev", "lan0")
    with start(net) as manager:
        with net.inside("left"):
            searcher, stranger = Searcher("lan0"), Searcher("lan0", source="203.0.113.9")
        with net.inside("manager"):
            api = Api(manager.url)
        metric = api_metric(net, api)
        assert searcher.search()
        bad = [b"", b"\0", b"x" * 2049, b"M-SEARCH * HTTP/1.1\r\n\r\n", search_text() + b"x" * 4000, b"M-SEARCH * HTTP/1.1\r\n:\r\n\r\n",
               search_text()[:-2], bytes(range(256))]
        for data in bad:
            searcher.send(data)
        wait_until(lambda: metric("ssdp_refused_total") >= len(bad), "all are refused")
        # From beyond the network: an answer could be meant for somebody else.
        stranger.send(search_text())
        wait_until(lambda: metric("ssdp_refused_total") >= len(bad) + 1, "the stranger is refused")
        assert stranger.receive(0) == []
        before = metric("ssdp_searches_total"), metric("ssdp_answers_total")
        for _ in range(200):
            searcher.send(search_text())
        wait_until(lambda: metric("ssdp_limited_total") > 0, "answers are bounded")
        assert metric("ssdp_answers_total") - before[1] < 2 * (metric("ssdp_searches_total") - before[0])
        with net.inside("right"):
            assert Searcher("lan1").search() == locations(manager, "10.2.0.1"), "others are served meanwhile"


def api_metric(net, api):
    def read(name):
        with net.inside("manager"):
            for line in api.get("//metrics").text.splitlines():
                if line.startswith(f"flamenco_{name}{{"):
                    return float(line.split()[-1])
        return 0.0
    return read


@needs_namespaces
def test_it_is_there_again_after_a_restart_in_place(two_lans, start):
    net = two_lans
    with net.inside("right"):
        listener = Listener("lan1")
        searcher = Searcher("lan1")
    with start(net) as manager:
        listener.wait("ssdp:alive")
        restart = threading.Thread(target=manager.restart_in_place)
        restart.start()
        listener.wait("ssdp:byebye")
        listener.wait("ssdp:alive", timeout=40)
        restart.join()
        assert searcher.search() == locations(manager, "10.2.0.1")


@pytest.mark.skipif(not WHY_NOT, reason="the tests in namespaces see more")
def test_over_loopback(make_manager):
    manager = make_manager(yaml=PLUGIN, reference={"autodiscoverable": True}).start()
    found = Searcher("lo").search(to=("127.0.0.1", 1900))
    assert found == locations(manager, "127.0.0.1")
    assert Api(manager.url).get("//upnp/description.xml").status_code == 200

# SPDX-License-Identifier: Apache-2.0
"""Events by MQTT (events 3; decisions: queued while the broker is away), with a real broker."""
import datetime
import json
import socket
import ssl
import subprocess
import threading

import pytest
from harness.check import wait_until
from harness.images import plain
from harness.manager import free_port, scale
from harness.mqtt import MISSING, Broker, MqttReceiver, tls_files

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

QUICK = {"retry_max": "200ms"}


def forwarder(name="mqtt", **settings):
    return {"name": name, "file": "events-mqtt", "settings": {**QUICK, **settings}}


def client(url, **keys):
    return {"mqtt": {"client": {"enabled": True, "broker": url, **keys}}}


def metric(farm, name, plugin="mqtt"):
    for line in farm.api.get("//metrics").text.splitlines():
        if line.startswith(f'flamenco_{name}{{plugin="{plugin}"}} '):
            return float(line.split()[-1])
    return None


def wait_metric(farm, name, value, plugin="mqtt"):
    wait_until(lambda: metric(farm, name, plugin) == value, f"{name} is {value}")


def health(farm, name="mqtt"):
    return farm.api.ok("GET", "//health/ready")["checks"][name]


def make_tag(farm, name):
    return farm.api.ok("POST", "/worker-mgt/tags", json={"name": name})["id"]


def is_tag(name):
    return lambda e: e["topic"] == "/workertags" and e["payload"]["tag"]["name"] == name


def tag_names(events):
    return [e["payload"]["tag"]["name"] for e in events if e["topic"] == "/workertags"]


@pytest.fixture
def make_broker(tmp_path):
    """Makes brokers that are not started yet; those that run at the end are stopped."""
    made = []

    def make(*config):
        made.append(Broker(tmp_path / f"broker-{len(made) + 1}", *([config] if config else [])))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def broker(make_broker):
    return make_broker().start()


@pytest.fixture
def receive():
    made = []

    def start(broker, topics=("#",), **kw):
        made.append(MqttReceiver(broker.port, **kw).start(topics))
        return made[-1]

    yield start
    for receiver in made:
        receiver.stop()


@pytest.fixture
def mqtt_farm(make_farm):
    """Starts a manager with the forwarder."""

    def start(url, keys=None, yaml=None, others=(), **settings):
        plugins = {"event_forwarder": [forwarder(**settings), *others], **(yaml or {})}
        return make_farm(yaml={"plugins": plugins}, reference={"task_timeout": "0s", "worker_timeout": "0s",
                                                               **client(url, **(keys or {}))})

    return start


# ---- What is sent ----------------------------------------------------------------------------------------------------------


def everything(farm):
    worker = farm.worker(types=["story"])
    job = farm.submit([{"type": "story", "commands": [{"name": "echo", "steps": 3}]}])
    task = worker.get_task()["uuid"]
    worker.update(task, steps_completed=2, activity="sample", log="a line äöü <&>\n")
    worker.api.ok("POST", f"/worker/task/{task}/output-produced", 202, data=plain(64, 48), headers={"Content-Type": "image/png"})
    worker.complete(task)
    farm.api.ok("DELETE", f"/jobs/{job['id']}", 204)
    tag = make_tag(farm, "gpu")
    farm.api.ok("DELETE", f"/worker-mgt/tag/{tag}", 204)
    return job["id"], task


def test_every_kind_of_event_arrives(mqtt_farm, broker, receive):
    receiver = receive(broker)
    farm = mqtt_farm(broker.url, yaml={"last_rendered": {"file": "last-rendered"}, "farm_status": {"file": "farm-status"}})
    receiver.wait(lambda e: e["payload"] == {"type": "manager-startup"})
    events = farm.events()
    # What happened before is in both: the recorder remembers from the start.
    events.last = 0
    job, task = everything(farm)
    recorded = events.wait(lambda e: e["kind"] == "job" and e["payload"].get("was_deleted"))
    if not any(e["topic"] == "/last-rendered" for e in recorded):
        recorded += events.wait(lambda e: e["topic"] == "/last-rendered")
    make_tag(farm, "the end")
    recorded += events.wait(lambda e: e["kind"] == "worker_tag" and e["payload"]["tag"]["name"] == "the end")
    got = receiver.wait(is_tag("the end"))
    wanted = [(e["topic"], e["payload"]) for e in recorded if e["kind"] != "task_log"]
    assert [(e["topic"], e["payload"]) for e in got] == wanted
    assert {(e["qos"], e["retain"]) for e in got} == {(1, False)}
    assert {e["topic"] for e in got} >= {"/lifecycle", "/status", "/jobs", f"/jobs/{job}", f"/jobs/{job}/last-rendered",
                                         "/last-rendered", "/workers", "/workertags"}
    assert any(e["kind"] == "task_log" for e in recorded) and not any("tasklog" in e["topic"] for e in got)
    wait_metric(farm, "sent_events_total", len(got))
    assert health(farm) == {"ok": True, "message": ""} and metric(farm, "dropped_events_total") == 0
    # The end is told once, and is no last will: the good-bye is in order.
    farm.manager.stop()
    got = receiver.wait(lambda e: e["payload"] == {"type": "manager-shutdown"})
    broker.wait_log("Received DISCONNECT from flamenco")
    assert [e["payload"]["type"] for e in receiver.events() if e["topic"] == "/lifecycle"] == ["manager-startup", "manager-shutdown"]


def test_payload_is_the_json_of_the_event(mqtt_farm, broker, receive):
    """No wrapper, no insignificant blanks, keys in order."""
    receiver = receive(broker)
    raw = []
    receiver._client.on_message = lambda c, ctx, message: (raw.append(message.payload), receiver._come.put(message))
    farm = mqtt_farm(broker.url)
    make_tag(farm, "plain")
    receiver.wait(is_tag("plain"))
    text = next(p for p in raw if b"plain" in p).decode()
    assert text == json.dumps(json.loads(text), separators=(",", ":"), sort_keys=True)


@pytest.mark.parametrize("prefix, topic", [("farm/a", "farm/a/workertags"), ("", "/workertags"), ("x", "x/workertags")])
def test_topic_prefix_is_used_as_it_is(mqtt_farm, broker, receive, prefix, topic):
    receiver = receive(broker, prefix="")
    receiver._client.subscribe("#", qos=2)
    receiver._ready.get(timeout=20 * scale())
    farm = mqtt_farm(broker.url, {"topic_prefix": prefix})
    make_tag(farm, "any")
    got = receiver.wait(lambda e: "workertags" in e["topic"])
    assert got[-1]["topic"] == topic


def test_client_id(mqtt_farm, broker):
    mqtt_farm(broker.url, {"clientID": "  studio-7 "}).manager.wait_log("mqtt: connected to 127.0.0.1")
    assert "as studio-7 (p5, c0, k30" in broker.log()


def test_off_by_default(make_farm, broker):
    farm = make_farm(yaml={"plugins": {"event_forwarder": [forwarder()]}},
                     reference={"mqtt": {"client": {"broker": broker.url}}})
    make_tag(farm, "unheard")
    assert health(farm)["ok"] and metric(farm, "sent_events_total") is None
    assert " mqtt: " not in farm.manager.log() and "as flamenco" not in broker.log()


# ---- Settings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys, key, text", [
    ({"broker": "  "}, "mqtt.client.broker", "no broker"),
    ({"broker": "mqtt://"}, "mqtt.client.broker", "no host"),
    ({"broker": "mqtt://broker"}, "mqtt.client.broker", "port"),
    ({"broker": "mqtt://broker:0"}, "mqtt.client.broker", "port"),
    ({"broker": "ws://broker:80/mqtt"}, "mqtt.client.broker", "WebSocket"),
    ({"broker": "wss://me:hunter2@broker:80"}, "mqtt.client.broker", "WebSocket"),
    ({"broker": "carrier-pigeon://roof:1"}, "mqtt.client.broker", "scheme"),
    ({"topic_prefix": "a/#"}, "mqtt.client.topic_prefix", "#"),
])
def test_what_is_wrong_is_named_and_the_farm_runs(mqtt_farm, keys, key, text):
    keys = {"broker": f"mqtt://127.0.0.1:{free_port()}", **keys}
    farm = mqtt_farm(keys.pop("broker"), keys)
    line = farm.manager.wait_log("no events are sent")
    assert key in line and text in line and "hunter2" not in line
    check = health(farm)
    assert not check["ok"] and key in check["message"] and "flamenco-manager.yaml:" in check["message"]
    assert farm.api.ok("GET", "//health/ready")["status"] == "ready"
    make_tag(farm, "all the same")
    assert farm.manager.log().count("no events are sent") == 1


@pytest.mark.parametrize("settings, text", [
    ({"cert_file": "a.pem"}, "cert_file: key_file is missing"),
    ({"key_file": "a.pem"}, "key_file: cert_file is missing"),
    ({"own_broker": "nonsense"}, "own_broker: a port must be given"),
    ({"own_broker": "mqtt://h:1", "own_topic_prefix": "+"}, "own_topic_prefix: "),
    ({"queue": 1}, "plugins.event_forwarder.settings.queue"),
    ({"retry_max": "0s"}, "plugins.event_forwarder.settings.retry_max"),
    ({"colour": "red"}, "colour"),
])
def test_settings_in_manager_yaml_are_checked(make_manager, settings, text):
    manager = make_manager(yaml={"plugins": {"event_forwarder": [forwarder(**settings)]}})
    done = manager.run("--check-config")
    assert done.returncode == 1 and text in done.stdout and "manager.yaml:" in done.stdout, done.stdout


def test_passwords_are_not_shown(mqtt_farm):
    farm = mqtt_farm(f"mqtt://127.0.0.1:{free_port()}", {"username": "me", "password": "hunter2"}, own_password="hunter3")
    farm.manager.wait_log("mqtt: no connection")
    text = farm.api.get("/plugins").text
    assert "hunter" not in text and "hunter" not in farm.manager.log() and '"me"' in text


# ---- Brokers that are not there --------------------------------------------------------------------------------------------


def test_broker_absent_at_start(mqtt_farm, make_broker, receive):
    broker = make_broker()
    farm = mqtt_farm(broker.url)
    line = farm.manager.wait_log("mqtt: no connection to 127.0.0.1, port")
    assert "refused" in line
    check = health(farm)
    assert not check["ok"] and "refused" in check["message"] and "events wait" in check["message"]
    make_tag(farm, "early")
    broker.start()
    # Our manager may be quicker than the subscriber: so a second one tells whether it came.
    farm.manager.wait_log("mqtt: connected to 127.0.0.1")
    wait_metric(farm, "queued_events", 0)
    assert metric(farm, "sent_events_total") >= 2 and metric(farm, "dropped_events_total") == 0
    receiver = receive(broker)
    make_tag(farm, "late")
    receiver.wait(is_tag("late"))
    assert "Received PUBLISH from flamenco (d0, q1, r0, m1, 'flamenco/lifecycle'" in broker.log()
    assert "'flamenco/workertags'" in broker.log()
    # One line for the whole absence.
    assert farm.manager.log().count("no connection to") == 1


def test_broker_killed_and_restarted(mqtt_farm, broker, receive):
    """Nothing is lost while it is away, the order is kept, and the farm does not notice."""
    farm = mqtt_farm(broker.url)
    first = receive(broker)
    make_tag(farm, "before")
    first.wait(is_tag("before"))
    broker.kill()
    farm.manager.wait_log("mqtt: no connection")
    names = [f"away {i}" for i in range(100)]
    for name in names:
        make_tag(farm, name)
    worker = farm.worker(types=["away"])
    farm.submit([{"type": "away"}])
    task = worker.get_task()["uuid"]
    worker.complete(task)
    wait_until(lambda: (metric(farm, "queued_events") or 0) > 100, "the events wait")
    assert metric(farm, "connected") == 0 and metric(farm, "dropped_events_total") == 0
    position = farm.manager.log_position()
    broker.start()
    farm.manager.wait_log("mqtt: connected to", position)
    wait_metric(farm, "queued_events", 0)
    sent = [line.split("'")[1] for line in broker.log().splitlines() if "Received PUBLISH from flamenco" in line]
    assert sent.count("flamenco/workertags") == 101
    second = receive(broker)
    make_tag(farm, "after")
    second.wait(is_tag("after"))
    assert metric(farm, "dropped_events_total") == 0 and metric(farm, "connected") == 1


class Relay:
    """Between manager and broker: a connection that can be cut, so that nobody subscribed at the broker notices."""

    def __init__(self, port):
        self.target, self.port, self.open, self.pairs = port, free_port(), True, []
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.open:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    @staticmethod
    def _copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.open = False
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def close(self):
        self.cut()
        self.listener.close()


@pytest.fixture
def relay(broker):
    relay = Relay(broker.port)
    yield relay
    relay.close()


def test_order_over_a_lost_connection(mqtt_farm, relay, broker, receive):
    receiver = receive(broker, ["workertags"])
    farm = mqtt_farm(relay.url)
    for name in ("a", "b"):
        make_tag(farm, name)
    receiver.wait(is_tag("b"))
    relay.cut()
    farm.manager.wait_log("mqtt: no connection")
    names = [f"away {i}" for i in range(200)]
    for name in names:
        make_tag(farm, name)
    relay.open = True
    make_tag(farm, "the end")
    got = tag_names(receiver.wait(is_tag("the end")))
    # What was under way when the connection broke may come twice, by QoS 1; then only at its place.
    assert [name for i, name in enumerate(got) if name not in got[:i]] == ["a", "b", *names, "the end"]
    assert got[-len(names) - 1:] == [*names, "the end"]


def test_oldest_are_dropped_and_counted(mqtt_farm, relay, broker, receive):
    receiver = receive(broker, ["workertags"])
    farm = mqtt_farm(relay.url, queue=20)
    make_tag(farm, "before")
    receiver.wait(is_tag("before"))
    wait_metric(farm, "queued_events", 0)
    relay.cut()
    farm.manager.wait_log("mqtt: no connection")
    for i in range(50):
        make_tag(farm, f"n{i:02}")
    wait_metric(farm, "dropped_events_total", 30)
    assert metric(farm, "queued_events") == 20
    assert "20 events wait, 30 were dropped" in health(farm)["message"]
    relay.open = True
    got = tag_names(receiver.wait(is_tag("n49")))
    assert got == ["before"] + [f"n{i}" for i in range(30, 50)]
    farm.manager.wait_log("the broker has all events again but 30, which were dropped")
    assert farm.manager.log().count("the oldest are dropped from now on") == 1
    wait_metric(farm, "queued_events", 0)
    assert health(farm)["ok"]


def test_broker_that_hangs_holds_up_nobody(mqtt_farm, broker, receive):
    """It keeps the connection, and takes nothing: the queue's bound holds, newest events stay."""
    farm = mqtt_farm(broker.url, queue=20)
    farm.manager.wait_log("mqtt: connected")
    wait_metric(farm, "queued_events", 0)
    broker.hold()
    for i in range(100):
        make_tag(farm, f"h{i:02}")
    wait_metric(farm, "dropped_events_total", 80)
    assert metric(farm, "queued_events") == 20
    broker.go_on()
    wait_metric(farm, "queued_events", 0)
    farm.manager.wait_log("has all events again but 80")
    broker.hold()
    make_tag(farm, "for nobody")
    # The stop waits for what is under way, for a bounded time.
    farm.manager.stop()
    assert "did not get" in farm.manager.log()
    broker.go_on()


def test_stop_without_a_broker_is_quick(mqtt_farm):
    farm = mqtt_farm(f"mqtt://127.0.0.1:{free_port()}")
    farm.manager.wait_log("mqtt: no connection")
    farm.manager.stop()
    assert "a forwarder did not send everything: the MQTT broker 127.0.0.1 did not get 2 events" in farm.manager.log()


def test_restart_in_place(mqtt_farm, broker, receive):
    receiver = receive(broker, ["lifecycle"])
    farm = mqtt_farm(broker.url)
    receiver.wait(lambda e: True)
    farm.manager.restart_in_place()
    receiver.wait(lambda e: len(receiver.events()) == 3)
    assert [e["payload"]["type"] for e in receiver.events()] == ["manager-startup", "manager-shutdown", "manager-startup"]


# ---- Last will -------------------------------------------------------------------------------------------------------------


def test_last_will(mqtt_farm, broker, receive):
    receiver = receive(broker)
    farm = mqtt_farm(broker.url, {"topic_prefix": "studio"})
    receiver = receive(broker, prefix="studio")
    make_tag(farm, "alive")
    receiver.wait(is_tag("alive"))
    farm.manager.kill()
    will = receiver.wait(lambda e: e["topic"] == "/lifecycle" and e["payload"]["type"] == "manager-shutdown")[-1]
    assert will == {"topic": "/lifecycle", "payload": {"type": "manager-shutdown"}, "qos": 1, "retain": False}


def test_no_last_will(mqtt_farm, broker, receive):
    receiver = receive(broker)
    farm = mqtt_farm(broker.url, last_will=False)
    make_tag(farm, "alive")
    receiver.wait(is_tag("alive"))
    farm.manager.kill()
    broker.wait_log("Client flamenco closed its connection")
    other = receive(broker, prefix="other")
    other._client.publish("flamenco/probe", "{}", qos=1)
    receiver.wait(lambda e: e["topic"] == "/probe")
    assert not any(e["payload"].get("type") == "manager-shutdown" for e in receiver.events())


# ---- Who may connect -------------------------------------------------------------------------------------------------------


@pytest.fixture
def closed_broker(make_broker, tmp_path):
    """Wants a user name and a password."""
    file = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(file), "farm", "s3cret"], check=True, capture_output=True)
    return make_broker("allow_anonymous false", f"password_file {file}").start()


def test_password(mqtt_farm, closed_broker, receive):
    receiver = receive(closed_broker, username="farm", password="s3cret")
    farm = mqtt_farm(closed_broker.url, {"username": "farm", "password": "s3cret"})
    make_tag(farm, "let in")
    receiver.wait(is_tag("let in"))


@pytest.mark.parametrize("keys", [{"username": "farm", "password": "wrong"}, {}])
def test_wrong_password(mqtt_farm, closed_broker, keys):
    farm = mqtt_farm(closed_broker.url, keys)
    line = farm.manager.wait_log("mqtt: no connection")
    assert "the broker refuses the connection: Not authorized" in line
    assert "Not authorized" in health(farm)["message"]
    make_tag(farm, "all the same")
    farm.manager.stop()


def test_refused_topics_are_counted(mqtt_farm, make_broker, tmp_path, receive):
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write flamenco/workertags\n")
    broker = make_broker("allow_anonymous true", f"acl_file {acl}").start()
    receiver = receive(broker)
    farm = mqtt_farm(broker.url)
    make_tag(farm, "wanted")
    receiver.wait(is_tag("wanted"))
    farm.manager.wait_log("an event is refused .* flamenco/lifecycle: Not authorized")
    farm.worker()
    wait_metric(farm, "refused_events_total", 3)
    assert farm.manager.log().count("an event is refused") == 1 and health(farm)["ok"]
    assert [e["topic"] for e in receiver.events()] == ["/workertags"]


# ---- TLS -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tls_files(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_broker(make_broker, files):
    def start(certificate="broker", *more):
        return make_broker("allow_anonymous true", f"cafile {files['ca.crt']}", f"certfile {files[certificate + '.crt']}",
                           f"keyfile {files[certificate + '.key']}", *more).start()

    return start


@pytest.mark.parametrize("scheme, host", [("mqtts", "127.0.0.1"), ("ssl", "localhost"), ("mqtt+ssl", "127.0.0.1")])
def test_tls(mqtt_farm, tls_broker, files, receive, scheme, host):
    broker = tls_broker()
    receiver = receive(broker, tls={"ca_certs": files["ca.crt"]})
    farm = mqtt_farm(f"{scheme}://{host}:{broker.port}", ca_file=files["ca.crt"])
    make_tag(farm, "sealed")
    receiver.wait(is_tag("sealed"))
    farm.manager.wait_log(f"connected to {host}, port {broker.port} .TLS.")
    big = "x" * 20000  # more than a TLS record
    farm.api.ok("PUT", f"/worker-mgt/tag/{make_tag(farm, 'big')}", 204, json={"name": "big", "description": big})
    receiver.wait(lambda e: e["topic"] == "/workertags" and e["payload"]["tag"].get("description") == big)
    farm.manager.stop()
    receiver.wait(lambda e: e["payload"] == {"type": "manager-shutdown"})


@pytest.mark.parametrize("certificate, ca, host, text", [
    ("broker", "foreign.crt", "127.0.0.1", "is not accepted: .*"),
    ("elsewhere", "ca.crt", "localhost", "hostname mismatch"),
    ("elsewhere", "ca.crt", "127.0.0.1", "IP address mismatch"),
    ("broker", None, "localhost", "is not accepted: .*"),
])
def test_tls_broker_that_proves_nothing(mqtt_farm, tls_broker, files, certificate, ca, host, text):
    broker = tls_broker(certificate)
    farm = mqtt_farm(f"mqtts://{host}:{broker.port}", {"username": "farm", "password": "s3cret"},
                     **({"ca_file": files[ca]} if ca else {}))
    farm.manager.wait_log(f"mqtt: no connection to {host}.*the certificate of the broker .*{text}")
    assert "certificate" in health(farm)["message"]
    assert "Received" not in broker.log() and "as flamenco" not in broker.log()


def test_tls_client_certificate(mqtt_farm, tls_broker, files):
    broker = tls_broker("broker", "require_certificate true", "use_identity_as_username true")
    url = f"mqtts://127.0.0.1:{broker.port}"
    farm = mqtt_farm(url, ca_file=files["ca.crt"], cert_file=files["client.crt"], key_file=files["client.key"])
    farm.manager.wait_log("mqtt: connected")
    assert "u'client'" in broker.log()
    stranger = mqtt_farm(url, {"clientID": "stranger"}, ca_file=files["ca.crt"])
    stranger.manager.wait_log("mqtt: no connection")
    assert "stranger" not in broker.log()


@pytest.mark.parametrize("settings, text", [
    ({"ca_file": "missing.pem"}, "ca_file .*missing.pem cannot be used"),
    ({"ca_file": "ca.crt", "cert_file": "ca.key", "key_file": "client.key"}, "cert_file .* cannot be used"),
    ({"ca_file": "ca.crt", "cert_file": "client.crt", "key_file": "broker.key"}, "key_file .* cannot be used"),
])
def test_tls_files_that_cannot_be_used_are_named(mqtt_farm, files, settings, text):
    folder = files["ca.crt"].rsplit("/", 1)[0]
    farm = mqtt_farm(f"mqtts://127.0.0.1:{free_port()}", **{k: f"{folder}/{v}" for k, v in settings.items()})
    farm.manager.wait_log(f"mqtt: no connection .*{text}")


def test_plain_broker_behind_a_tls_url(mqtt_farm, broker):
    farm = mqtt_farm(f"mqtts://127.0.0.1:{broker.port}")
    farm.manager.wait_log("mqtt: no connection .*TLS connection did not come about")


def test_tls_greeting_names_the_broker(mqtt_farm, files):
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["broker.crt"], files["broker.key"])
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            try:
                while True:
                    near, _ = listener.accept()
                    near.settimeout(5 * scale())
                    with context.wrap_socket(near, server_side=True) as tls:
                        tls.recv(1024)
            except OSError:
                pass
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        farm = mqtt_farm(f"mqtts://localhost:{listener.getsockname()[1]}", ca_file=files["ca.crt"])
        wait_until(lambda: names, "the greeting")
        assert names[0] == "localhost"
        farm.manager.stop()
        listener.shutdown(socket.SHUT_RDWR)


# ---- Several ---------------------------------------------------------------------------------------------------------------


def test_two_brokers(mqtt_farm, broker, make_broker, receive):
    second = make_broker().start()
    receivers = [receive(broker), receive(second, prefix="copy")]
    farm = mqtt_farm(broker.url, {"username": "first", "password": "p1"}, others=[
        forwarder("copy", own_broker=second.url, own_topic_prefix="copy", own_client_id="other")])
    make_tag(farm, "twice")
    got = [r.wait(is_tag("twice")) for r in receivers]
    assert got[0] == got[1]
    assert "as flamenco (" in broker.log() and "as other (" in second.log() and "first" not in second.log()
    second.kill()
    farm.manager.wait_log("copy: no connection")
    make_tag(farm, "once")
    receivers[0].wait(is_tag("once"))
    assert health(farm)["ok"] and not health(farm, "copy")["ok"]


def test_two_of_one_name_do_not_fight_without_end(mqtt_farm, broker):
    """Two managers of one client id throw each other out; both wait longer and longer."""
    farms = [mqtt_farm(broker.url, retry_max="1m") for _ in range(2)]
    for farm in farms:
        farm.manager.wait_log("mqtt: no connection.*lost")

    def times():
        lines = [line for line in farms[0].manager.log().splitlines() if "mqtt: connected" in line]
        return [datetime.datetime.fromisoformat(line.split("Z")[0]) for line in lines]

    wait_until(lambda: len(times()) >= 3, "it comes back")
    # After 1 s, then after 2 s; a slow machine can only make it longer, and whole seconds are what the log tells.
    assert (times()[2] - times()[0]).total_seconds() >= 2

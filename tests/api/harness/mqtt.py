# SPDX-License-Identifier: Apache-2.0
"""A real MQTT broker (mosquitto), and a client that receives (paho)."""
import json
import os
import queue
import signal
import socket
import subprocess
import time
from pathlib import Path

from .check import wait_until
from .manager import free_port, scale
from .triggers import Receiver

try:
    import paho.mqtt.client as paho
except ImportError:
    paho = None
PROGRAM = next((p for p in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if os.access(p, os.X_OK)), None)
MISSING = "python3-paho-mqtt is missing" if paho is None else "mosquitto is missing" if PROGRAM is None else ""


class Broker:
    """A mosquitto in a directory of its own, on one port for its whole life; `config` is lines of mosquitto.conf."""

    def __init__(self, directory, config=("allow_anonymous true",)):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.proc = None
        self.config = list(config)

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        # It would give up root's rights, and with them those to the test's files.
        lines = ["user root", f"listener {self.port} 127.0.0.1", "log_dest stderr", "log_type all", "persistence false",
                 *self.config]
        (self.dir / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        with open(self.dir / "mosquitto.log", "ab") as log:
            self.proc = subprocess.Popen([PROGRAM, "-c", str(self.dir / "mosquitto.conf")], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20 * scale()
        while True:
            assert self.proc.poll() is None, f"mosquitto ended with {self.proc.returncode}:\n{self.log()}"
            assert time.monotonic() < deadline, "mosquitto does not listen"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def hold(self):
        """It keeps its connections, and does nothing."""
        self.proc.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.proc.send_signal(signal.SIGCONT)

    def _end(self, sig):
        if self.proc is None:
            return
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
            self.proc.send_signal(signal.SIGCONT)
        self.proc.wait(20 * scale())
        self.proc = None

    def wait_log(self, text, timeout=20):
        wait_until(lambda: text in self.log(), f"{text!r} in the broker's log", timeout)

    def log(self):
        path = self.dir / "mosquitto.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""


class MqttReceiver:
    """Subscribes at a broker, and keeps what comes as {"topic", "payload", "qos", "retain"}, the topic without the prefix."""

    def __init__(self, port, prefix="flamenco", client_id="", tls=None, username=None, password=None):
        self.prefix, self.port = prefix, port
        self._come, self._ready = queue.Queue(), queue.Queue()
        self._kept = []
        self._client = paho.Client(client_id=client_id, protocol=paho.MQTTv5)
        if username is not None:
            self._client.username_pw_set(username, password)
        if tls:
            self._client.tls_set(**tls)
        self._client.on_message = lambda client, ctx, message: self._come.put(message)
        self._client.on_subscribe = lambda *args: self._ready.put(args)

    def start(self, topics=("#",)):
        """Connects and subscribes to these topics below the prefix; what is published when it returns comes in."""
        self._client.connect("127.0.0.1", self.port, keepalive=60)
        self._client.loop_start()
        for topic in topics:
            self._client.subscribe(f"{self.prefix}/{topic.lstrip('/')}", qos=2)
        for _ in topics:
            self._ready.get(timeout=20 * scale())
        return self

    def _take(self, timeout):
        message = self._come.get(timeout=timeout) if timeout else self._come.get_nowait()
        assert message.topic.startswith(self.prefix)
        self._kept.append({"topic": message.topic[len(self.prefix):], "payload": json.loads(message.payload),
                           "qos": message.qos, "retain": message.retain})
        return self._kept[-1]

    def events(self):
        """All that has come so far."""
        while not self._come.empty():
            self._take(0)
        return list(self._kept)

    def wait(self, match, timeout=20):
        """Waits for a message that match() accepts; gives all up to and including it, from the beginning."""
        for i, event in enumerate(self._kept):
            if match(event):
                return self._kept[:i + 1]
        deadline = time.monotonic() + timeout * scale()
        while True:
            left = deadline - time.monotonic()
            try:
                assert left > 0
                if match(self._take(left)):
                    return list(self._kept)
            except (AssertionError, queue.Empty):
                raise AssertionError(f"the message did not come; these did: {self._kept[-20:]}") from None

    def next(self, timeout=20):
        """The next one that comes in."""
        return self._take(timeout * scale())

    def stop(self):
        self._client.disconnect()
        self._client.loop_stop()


class EventReceiver(Receiver):
    """MQTT as one of those who are told of every trigger."""
    name = "MQTT"
    deaf_to = ("/tasklog/",)
    outlives = True

    def __init__(self, broker):
        self._broker, self._receiver = broker, None

    def start(self, topics):
        if self._receiver is None:
            self._receiver = MqttReceiver(self._broker.port).start()

    def read(self):
        event = self._receiver.next()
        return event["topic"], None, event["payload"]

    def close(self):
        self._receiver.stop()


def tls_files(directory):
    """A certificate authority, a broker's certificate for 127.0.0.1 and localhost, a client's, and a foreign authority, by
    openssl: paths by name."""
    directory.mkdir(parents=True, exist_ok=True)

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True, timeout=60 * scale())

    def authority(name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")

    def leaf(name, extension):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout",
                f"{name}.key", "-out", f"{name}.csr")
        (directory / f"{name}.ext").write_text(extension)
        openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                "-extfile", f"{name}.ext", "-out", f"{name}.crt")

    authority("ca")
    authority("foreign")
    leaf("broker", "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    leaf("elsewhere", "subjectAltName=DNS:elsewhere.example\n")
    leaf("client", "extendedKeyUsage=clientAuth\n")
    return {path.name: str(path) for path in directory.iterdir()}

# SPDX-License-Identifier: Apache-2.0
"""Receives what plugins/events-webhook sends, and checks it as its README says."""
import collections
import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import threading
import time

from .manager import scale

SECRET = "a secret of the test's own"
Request = collections.namedtuple("Request", "path headers body event")


def signature(secret, timestamp, body):
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class WebhookReceiver:
    """An HTTP server on a port of its own. `start(topics)` begins, `config()` is what manager.yaml says of it, `events()` gives
    what came: each event once, in order of arrival. `answer` says what is answered: a status, or a function of the request
    that gives one, or (status, headers, body), or None for no answer at all."""

    def __init__(self, secret=SECRET, answer=200):
        self.secret, self.answer = secret, answer
        self.topics = None
        self.requests = []  # every one, also those that were answered with an error
        self.problems = []  # what was wrong with them
        self._news = threading.Condition()
        self._server = self._thread = None
        self.port = 0
        self.gate = threading.Event()  # while it is not set, replies wait
        self.gate.set()

    # ---- Server ----

    def start(self, topics=("/**",), port=0, certificate=None):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver._take(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            def __init__(self, *args):
                self.connections = set()
                super().__init__(*args)

            def process_request(self, request, client_address):
                self.connections.add(request)
                super().process_request(request, client_address)

            def shutdown_request(self, request):
                self.connections.discard(request)
                super().shutdown_request(request)

            def handle_error(self, request, client_address):
                pass  # a connection that was cut

        self.topics = list(topics)
        self._server = Server(("127.0.0.1", port or self.port), Handler)
        self.scheme = "https" if certificate else "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def stop(self):
        if self._server:
            self.gate.set()
            self._server.shutdown()
            self._server.server_close()
            for connection in list(self._server.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._server = None

    def url(self, path="/hook"):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def settings(self, **more):
        """The plugin's settings for this receiver; waiting is short."""
        return {"urls": [self.url()], "secret": self.secret, "topics": self.topics, "retry_first": "20ms", "retry_max": "200ms", **more}

    def config(self, name="webhook", **more):
        """An entry of event_forwarder in manager.yaml."""
        return {"name": name, "file": "events-webhook", "settings": self.settings(**more)}

    # ---- Requests ----

    def _check(self, headers, body, event):
        timestamp = headers.get("X-Flamenco-Timestamp", "")
        if self.secret and headers.get("X-Flamenco-Signature") != signature(self.secret, timestamp, body):
            self.problems.append(f"wrong signature of {body[:200]}")
        if not timestamp.isdigit():
            self.problems.append(f"no time: {timestamp!r}")
        if headers.get("X-Flamenco-Event") != event["id"]:
            self.problems.append("the id in the head is another than that in the body")
        if headers.get("Content-Type") != "application/json":
            self.problems.append("no JSON")
        if set(event) != {"id", "time", "kind", "topic", "name", "payload"}:
            self.problems.append(f"keys {sorted(event)}")

    def _take(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        event = json.loads(body)
        request = Request(handler.path, handler.headers, body, event)
        self._check(handler.headers, body, event)
        answer = self.answer(request) if callable(self.answer) else self.answer
        self.gate.wait(120 * scale())
        with self._news:
            self.requests.append((request, answer if answer is None or isinstance(answer, int) else answer[0]))
            self._news.notify_all()
        if answer is None:
            handler.close_connection = True
            return
        status, headers, text = (answer, {}, b"") if isinstance(answer, int) else answer
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    # ---- What came ----

    def deliveries(self):
        """What was answered with success, doubles included."""
        with self._news:
            return [request for request, status in self.requests if status is not None and 200 <= status < 300]

    def events(self):
        """The events, each once, in the order in which they came first: {id, time, kind, topic, name, payload}."""
        seen = {}
        for request in self.deliveries():
            seen.setdefault(request.event["id"], request.event)
        return list(seen.values())

    def wait(self, match, timeout=30):
        """Waits until an event that match() accepts was delivered; gives all events up to and including it."""
        def find():
            events = self.events()
            return next((events[:i + 1] for i, event in enumerate(events) if match(event)), None)
        return self._wait(find, "the event", timeout)

    def wait_event(self, index, timeout=30):
        """The event of that number in events(), which may have to come first."""
        return self._wait(lambda: self.events()[index:index + 1], f"event {index}", timeout)[0]

    def wait_requests(self, count, timeout=30):
        """Waits for so many requests in all, whatever was answered."""
        return self._wait(lambda: len(self.requests) >= count and list(self.requests), f"{count} requests", timeout)

    def _wait(self, find, what, timeout):
        deadline = time.monotonic() + timeout * scale()
        while True:
            with self._news:
                before = len(self.requests)
            found = find()
            if found:
                return found
            with self._news:
                left = deadline - time.monotonic()
                assert left > 0, f"{what} did not come; these did: {[r.event for r, _ in self.requests][-20:]}"
                self._news.wait_for(lambda n=before: len(self.requests) > n, min(left, 1))

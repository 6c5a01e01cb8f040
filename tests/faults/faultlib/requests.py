# SPDX-License-Identifier: Apache-2.0
"""Requests that no decent client sends. For each: the bytes, the statuses that come back in order, and whether the connection
is closed behind them. A set means that any of these will do; "-" that the connection just ends."""
import os

HEAD = "GET /api/v3/version HTTP/1.1\r\nHost: x\r\n"
POST = "POST /api/v3/jobs/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
JSON = '{"name":"n","type":"none","priority":50,"submitter_platform":"linux"}'  # an unknown job type: 400
BAD = {400}
OK, CLOSED, OPEN = 200, True, False


def headers(n):
    return "".join(f"X-H{i}: v\r\n" for i in range(n))


def chunked(text):
    return POST + "Transfer-Encoding: chunked\r\n\r\n" + text


def sized(length, body=JSON):
    return POST + f"Content-Length: {length}\r\n\r\n" + body


def target(text, method="GET"):
    return f"{method} {text} HTTP/1.1\r\nHost: x\r\n\r\n"


CASES = {
    # ---- Folded headers
    "folded header": (HEAD + "X-Shaman-Original-Filename: a\r\n b\r\n\tc\r\n\r\n", [OK], OPEN),
    "folded first line": ("GET /api/v3/version HTTP/1.1\r\n x: y\r\n\r\n", [BAD], CLOSED),
    "folded length": (POST + "Content-Length: 6\r\n 9\r\n\r\n" + JSON, [BAD], CLOSED),
    "folded encoding": (POST + "Transfer-Encoding: chunked\r\n ,x\r\n\r\n0\r\n\r\n", [BAD], CLOSED),
    "folded host": ("GET /api/v3/version HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", [BAD], CLOSED),
    # ---- Where does the body end
    "length twice, equal": (POST + f"Content-Length: {len(JSON)}\r\nContent-Length: {len(JSON)}\r\n\r\n" + JSON, [BAD], CLOSED),
    "length twice, unequal": (POST + f"Content-Length: 0\r\nContent-Length: {len(JSON)}\r\n\r\n" + JSON, [BAD], CLOSED),
    "length and encoding": (POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [BAD], CLOSED),
    "encoding and length": (POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", [BAD], CLOSED),
    "encoding twice": (POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [BAD], CLOSED),
    "encoding unknown": (POST + "Transfer-Encoding: gzip\r\n\r\n", [{400, 501}], CLOSED),
    "encoding list": (POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [{400, 501}], CLOSED),
    "length negative": (sized("-1"), [BAD], CLOSED),
    "length with sign": (sized(f"+{len(JSON)}"), [BAD], CLOSED),
    "length as list": (sized(f"{len(JSON)}, {len(JSON)}"), [BAD], CLOSED),
    "length in hex": (sized("0x45"), [BAD], CLOSED),
    "length empty": (sized(""), [BAD], CLOSED),
    "length beyond 64 bits": (sized("99999999999999999999999"), [{400, 413}], CLOSED),
    "length of 1 TiB": (sized(1 << 40), [{413}], CLOSED),
    "length 2^64-1": (sized((1 << 64) - 1), [{400, 413}], CLOSED),
    "blank before the colon": (POST + f"Content-Length : {len(JSON)}\r\n\r\n" + JSON, [BAD], CLOSED),
    "chunks": (chunked(f"{len(JSON):x};a=b\r\n{JSON}\r\n0\r\nTrailer: x\r\n\r\n"), [BAD], OPEN),
    "chunk size no number": (chunked("zz\r\n"), [{400, "-"}], CLOSED),
    "chunk size negative": (chunked("-5\r\nhello\r\n0\r\n\r\n"), [{400, "-"}], CLOSED),
    "chunk size beyond 64 bits": (chunked("ffffffffffffffffff\r\n"), [{400, 413, "-"}], CLOSED),
    "chunk without its end": (chunked("5\r\nhelloworld\r\n0\r\n\r\n"), [{400, "-"}], CLOSED),
    # ---- Targets
    "absolute form": (target("http://x/api/v3/version"), [BAD], OPEN),
    "asterisk": (target("*", "OPTIONS"), [BAD], OPEN),
    "asterisk for GET": (target("*"), [BAD], OPEN),
    "authority form": (target("x:80", "CONNECT"), [BAD], OPEN),
    "escape broken": (target("/api/v3/jobs/%zz"), [BAD], OPEN),
    "escape cut": (target("/api/v3/jobs/%2"), [BAD], OPEN),
    "escape at the end": (target("/api/v3/jobs/%"), [BAD], OPEN),
    "escaped NUL": (target("/api/v3/jobs/%00"), [BAD], OPEN),
    "escaped NUL in files": (target("/job-files/job-aaaa/%00/x"), [{400, 404}], OPEN),
    "climbing out of files": (target("/job-files/../../../../etc/passwd"), [{400, 404}], OPEN),
    "climbing out, escaped": (target("/job-files/%2e%2e/%2e%2e/etc/passwd"), [{400, 404}], OPEN),
    "NUL in the path": (target("/api/v3/ver\0sion"), [BAD], CLOSED),
    "CR in the path": (target("/api/v3/ver\rsion"), [BAD], CLOSED),
    "blank in the path": (target("/api/v3/ver sion"), [BAD], CLOSED),
    "path of 300 KB": (target("/api/v3/" + "a" * 300000), [{400, 404, 414}], None),
    "no UTF-8": (b"GET /api/v3/jobs/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", [{400, 404}], None),
    # ---- Request lines
    "two blanks": (target(" /api/v3/version"), [BAD], CLOSED),
    "HTTP/0.9": ("GET /api/v3/version\r\n\r\n", [BAD], CLOSED),
    "HTTP/2.0": ("GET /api/v3/version HTTP/2.0\r\nHost: x\r\n\r\n", [{400, 505}], CLOSED),
    "HTTP/1.9": ("GET /api/v3/version HTTP/1.9\r\nHost: x\r\n\r\n", [{200, 400, 505}], None),
    "HTTP/2 preface": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [BAD], CLOSED),
    "method unknown": (target("/api/v3/version", "FOO"), [{400, 404, 405, 501}], None),
    "method in lower case": (target("/api/v3/version", "get"), [{400, 404, 405, 501}], None),
    "method of 64 KB": (target("/api/v3/version", "A" * 65536), [{400, 404, 405, 501}], None),
    "empty lines before": ("\r\n" + HEAD + "\r\n", [OK], OPEN),
    "LF only": (HEAD.replace("\r\n", "\n") + "\n", [OK], OPEN),
    "HTTP/1.0": ("GET /api/v3/version HTTP/1.0\r\n\r\n", [OK], CLOSED),
    "HTTP/1.0, kept alive": ("GET /api/v3/version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", [OK], OPEN),
    # ---- Headers
    "no Host": ("GET /api/v3/version HTTP/1.1\r\n\r\n", [{200, 400}], None),
    "Host twice": (HEAD + "Host: y\r\n\r\n", [BAD], CLOSED),
    "NUL in a value": (HEAD + "X: a\0b\r\n\r\n", [BAD], CLOSED),
    "NUL in a name": (HEAD + "X\0Y: a\r\n\r\n", [BAD], CLOSED),
    "lone CR in a value": (HEAD + "X: a\rb\r\n\r\n", [BAD], CLOSED),
    "name with a blank": (HEAD + "X Y: a\r\n\r\n", [BAD], CLOSED),
    "empty name": (HEAD + ": a\r\n\r\n", [BAD], CLOSED),
    "no colon": (HEAD + "nonsense\r\n\r\n", [BAD], CLOSED),
    "100 headers": (HEAD + headers(99) + "\r\n", [OK], OPEN),
    "101 headers": (HEAD + headers(100) + "\r\n", [BAD], CLOSED),
    "10,000 headers": (HEAD + headers(10000) + "\r\n", [BAD], CLOSED),
    "head of 600 KB": (HEAD + "X: " + "a" * 600000 + "\r\n\r\n", [{400, "-"}], CLOSED),
    "Authorization broken": (target("/api/v3/worker/state")[:-2] + "Authorization: Basic %%%\r\n\r\n", [{403}], OPEN),
    # ---- Expect and Upgrade
    "Expect without a body": (HEAD + "Expect: 100-continue\r\n\r\n", [{200, 417}], None),
    "Expect unknown": (POST + f"Expect: 200-ok\r\nContent-Length: {len(JSON)}\r\n\r\n" + JSON, [{417}], None),
    "Expect, then the body": (POST + f"Expect: 100-continue\r\nContent-Length: {len(JSON)}\r\n\r\n" + JSON, [BAD], OPEN),
    "Expect, encoding broken": (POST + "Expect: 100-continue\r\nTransfer-Encoding: x\r\n\r\n", [{400, 417, 501}], CLOSED),
    "h2c": (HEAD + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", [OK], None),
    "WebSocket where there is none": (HEAD + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", [{200, 400, 404, 426}], None),
    # ---- Pipelines
    "pipeline of 50": ((HEAD + "\r\n") * 50, [OK] * 50, OPEN),
    "pipelined garbage": (HEAD + "\r\n" + "garbage\r\n\r\n", [OK, BAD], CLOSED),
    "pipelined behind a body": (sized(len(JSON)) + HEAD + "\r\n", [BAD, OK], OPEN),
    "pipelined smuggling": (POST + f"Content-Length: {len(JSON)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEAD + "\r\n",
                            [BAD], CLOSED),
    # ---- No HTTP at all
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)) + b"\r\n\r\n", [{400, "-"}], CLOSED),
    "random bytes": (os.urandom(5000) + b"\r\n\r\n", [{400, "-"}], CLOSED),
    "zeros": (bytes(100000), [{400, "-"}], CLOSED),
    "another protocol": ("EHLO mail\r\n\r\n", [BAD], CLOSED),
}

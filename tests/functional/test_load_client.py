# SPDX-License-Identifier: GPL-3.0-or-later
"""The load client of ./dev bench haproxy: no failure goes unseen, and each is called what it was."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading

import pytest

TESTS = pathlib.Path(__file__).parents[1]
sys.path.append(str(TESTS / "demo"))
import procs  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("top_builddir", TESTS.parent / "build")) / "tests/bench/load_client"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OUTCOMES = ("ok", "refused", "reset", "stale", "timeout", "short", "non2xx", "other")


class Server:
    """Answers the requests of each connection with `answers`, the last one again and again. None ends the connection
    without an answer, b"" together with the answer before, RST resets it."""
    RST = object()

    def __init__(self, *answers):
        self.answers, self.seen = answers, []
        self.socket = socket.create_server(("127.0.0.1", procs.free_port()), backlog=100)
        threading.Thread(target=self.accept, daemon=True).start()

    port = property(lambda self: self.socket.getsockname()[1])

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with connection:
            for n in range(1000):
                request = connection.recv(4096)
                if not request:
                    return
                self.seen.append(request)
                answer = self.answers[min(n, len(self.answers) - 1)]
                if answer is self.RST:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if answer in (None, self.RST):
                    return
                last = n + 1 < len(self.answers) and self.answers[n + 1] == b""
                connection.sendall(answer, socket.MSG_MORE if last else 0)  # MSG_MORE: it leaves together with the end
                if last:
                    return

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()


def load(port, stream, requests=4, rate=10):
    """What the stream "s" came to, as it says itself."""
    done = subprocess.run([PROGRAM, "-n", str(requests), f"127.0.0.1:{port}", f"s,{rate}{stream}"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0
    got = json.loads(done.stdout)["s"]
    assert got["sent"] == requests == sum(got[outcome] for outcome in OUTCOMES)
    return got, done.stderr


@pytest.mark.parametrize("answers, stream, outcome, words", [
    ((GOOD,), "", "ok", None),
    ((GOOD,), ",close", "ok", None),
    ((None,), "", "reset", "the connection was closed"),
    ((Server.RST,), "", "reset", "Connection reset by peer"),
    ((GOOD[:-1], b""), "", "short", "the connection was closed"),
    ((GOOD[:20], b""), "", "short", "the connection was closed"),
    ((GOOD.replace(b"200 OK", b"503 No"),), "", "non2xx", "status 503"),
    ((GOOD + b"!",), "", "other", "more bytes than Content-Length promised"),
    ((b"hello\r\n\r\n",), "", "other", "no HTTP/1 answer with a Content-Length"),
])
def test_every_request_ends_as_what_it_was(answers, stream, outcome, words):
    with Server(*answers) as server:
        got, errors = load(server.port, stream)
    assert got[outcome] == 4
    lines = errors.splitlines()
    assert len(lines) == (4 if words else 0)
    assert all(f" s {outcome} after " in line and line.endswith(": " + words) for line in lines)


def test_nobody_listens():
    got, errors = load(procs.free_port(), "")
    assert got["refused"] == 4 and errors.count(": Connection refused\n") == 4


def test_a_kept_connection_that_ends_under_a_request_is_stale():
    with Server(GOOD, None) as server:
        got, _ = load(server.port, "")
    assert got["stale"] == got["reused"] > 0
    assert got["ok"] == 4 - got["stale"]


def test_a_connection_that_is_closed_while_idle_fails_nothing():
    with Server(GOOD, b"") as server:
        got, _ = load(server.port, "")
    assert got["ok"] == 4 and got["reused"] == 0 and got["closed_idle"] >= 1


def test_a_pause_keeps_a_connection_from_use():
    with Server(GOOD) as server:
        got, _ = load(server.port, ",pause=60000")
    assert got["ok"] == 4 and got["reused"] == 0


def test_a_browser_sends_its_cookie_back():
    with Server(GOOD.replace(b"\r\n", b"\r\nSet-Cookie: SRV=web1; path=/\r\n", 1)) as server:
        got, _ = load(server.port, ",sticky,close", requests=65, rate=200)  # the 65th is the first browser again
        assert got["ok"] == 65 and got["moved"] == 0
        # On a busy machine it may be heard before the last of the others.
        assert sorted(b"Cookie: SRV=web1\r\n" in request for request in server.seen) == [False] * 64 + [True]

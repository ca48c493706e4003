#!/usr/bin/python3
"""Answers that no service should give, and what is repeated: each one ends in time, with words of its own."""

import re
import socket
import threading
import time
from email.utils import formatdate

import pytest
from test_fleet import MARKER, OP, _cloud, _probe, without_ids  # noqa: F401
from simcloud_http import Server  # noqa: E402

LIST = "/servers/detail"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nOpenStack-API-Version: compute 2.73\r\n"
MIB = 1 << 20


class Odd:
    """A Compute service of raw bytes: the version document as Nova has it, the rest as `answer` sends it."""

    def __init__(self, answer):
        self.answer, self.asked, self.listener = answer, [], socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v2.1"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                threading.Thread(target=self.one, args=(self.listener.accept()[0],), daemon=True).start()
            except OSError:
                return

    def one(self, peer):
        with peer, peer.makefile("rb") as lines:
            try:
                head = list(iter(lines.readline, b"\r\n"))
                self.asked.append(head[0].decode())
                if b" /v2.1/ " in head[0]:
                    body = b'{"version": {"id": "v2.1", "version": "2.93", "min_version": "2.1"}}'
                    peer.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                else:
                    self.answer(peer)
            except OSError:
                pass  # the client had enough


@pytest.fixture(name="odd")
def _odd(probe):
    """Makes a probe whose Compute service is odd; gives what it says to `list`, and the service."""
    services = []

    def make(answer, **given):
        services.append(Odd(answer))
        one = probe(more=f"compute_endpoint_override: {services[-1].url}", **given)
        assert one.opened == "ok"
        begin = time.monotonic()
        said = one.ask("list")[0]
        return without_ids(said), services[-1], time.monotonic() - begin
    yield make
    for service in services:
        service.listener.close()


def large(length_told):
    def answer(peer):
        peer.sendall(HEAD + (b"Content-Length: %d\r\n\r\n" % (100 * MIB) if length_told else b"\r\n") + b'{"servers": [')
        for _ in range(100):
            peer.sendall(b" " * MIB)
    return answer


@pytest.mark.parametrize("length_told", [True, False])
def test_an_answer_of_100_mb_is_cut_off(odd, length_told):
    said, service, _ = odd(large(length_told))
    assert said.startswith("error LIMIT 0 ") and " the answer is larger than 64 MiB" in said
    assert len([line for line in service.asked if LIST in line]) == 1


def drip(peer):
    peer.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    while True:
        peer.sendall(b" ")
        time.sleep(0.05)


def drip_head(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.sendall(b"X-Drip: 1\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [drip, drip_head])
def test_a_drip_ends_at_the_deadline(odd, answer):
    said, _, seconds = odd(answer, deadline_ms=3000)
    assert said.startswith("error TIMEOUT 0 ") and " no whole answer within the time allowed" in said
    assert seconds < 4


def truncated(peer):
    peer.sendall(HEAD + b'Connection: close\r\nContent-Length: 14\r\n\r\n{"servers": [1')


def no_http(peer):
    peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)


def page(peer):
    peer.sendall(HEAD + b"Connection: close\r\nContent-Length: 22\r\n\r\n<html>Welcome</html>\r\n")


def head_without_end(peer):
    while True:
        peer.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * MIB)


@pytest.mark.parametrize("answer,code,says", [
    (truncated, "PROTOCOL", "is not JSON"), (page, "PROTOCOL", "is not JSON: unexpected character at byte 0"),
    (no_http, "PROTOCOL", "the answer is not HTTP, or its head is too long; is it the service's port?"),
    (head_without_end, "PROTOCOL", "the answer is not HTTP, or its head is too long; is it the service's port?")])
def test_what_is_no_answer_is_named(odd, answer, code, says):
    said, _, _ = odd(answer)
    assert said.startswith(f"error {code} 0 ") and says in said


def test_a_redirect_elsewhere_is_named_and_no_token_follows(cloud, probe):
    seen = []
    with Server(0, lambda request: seen.append(request)) as other:
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.2:{other.server_address[1]}/x"
        one = probe()
        for status in (301, 302, 307, 308):
            cloud.inject(path=LIST, status=status, headers={"Location": url})
            assert f"status {status}: a redirect to '{url}', which is not followed" in one.ask("list")[0]
        other.shutdown()
    assert not seen


# What is repeated

@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_get_that_fails_for_a_moment_is_repeated(cloud, probe, status):
    one = probe()
    cloud.inject(path=LIST, status=status, count=2)
    assert one.ask("list") == ["servers 0", "ok"]
    times = [r["time"] for r in cloud.requests("GET", LIST)]
    assert len(times) == 3
    assert 0.1 <= times[1] - times[0] and 0.2 <= times[2] - times[1] < 2
    cloud.inject(path=LIST, status=status, count=3)
    assert one.ask("list")[0].startswith(f"error REMOTE {status} ")


@pytest.mark.parametrize("status", [400, 404, 409, 501])
def test_a_get_that_is_answered_is_not(cloud, probe, status):
    one = probe()
    cloud.inject(path=LIST, status=status, count=9)
    assert one.ask("list")[0].startswith("error ")
    assert len(cloud.requests("GET", LIST)) == 1


def test_a_cloud_that_comes_up_is_found(cloud, probe):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    server = []

    def come_up():
        server.append(Server(port, cloud.server.application))
        server[0].serve_forever(0.02)
    timer = threading.Timer(0.15, come_up)
    timer.start()
    opened = probe(url=f"http://127.0.0.1:{port}/identity/v3").opened
    timer.join(0.1)
    assert opened == "ok"
    server[0].stop()


@pytest.mark.parametrize("method,command,path", [("GET", "list", LIST), ("POST", f"create web1 {OP}1", "/servers$"),
                                                 ("POST", None, "/auth/tokens")])
@pytest.mark.parametrize("status", [413, 429])
def test_who_is_told_to_wait_waits(cloud, probe, method, command, path, status):
    """A limiter stands before the service: nothing was carried out, so even a POST goes out again."""
    one = probe() if command else None
    cloud.inject(method=method, path=path, status=status, headers={"Retry-After": "1"})
    assert (one.ask(command)[-1] if one else probe().opened) == "ok"
    times = [r["time"] for r in cloud.requests(method, path)]
    assert len(times) == 2 and 1 <= times[1] - times[0] < 4
    assert len(cloud.servers) == (command is not None and "create" in command)


def test_retry_after_may_be_a_date(cloud, probe):
    one = probe()
    cloud.inject(path=LIST, status=503, headers={"Retry-After": formatdate(time.time() + 2, usegmt=True)})
    assert one.ask("list") == ["servers 0", "ok"]
    times = [r["time"] for r in cloud.requests("GET", LIST)]
    assert len(times) == 2 and 0.9 <= times[1] - times[0] < 5


@pytest.mark.parametrize("value", ["3600", formatdate(time.time() + 3605, usegmt=True)])
def test_a_wait_beyond_the_deadline_is_told_at_once(cloud, probe, value):
    one = probe()
    cloud.inject(path=LIST, status=429, count=9, headers={"Retry-After": value})
    begin = time.monotonic()
    answer = one.ask("list")[0]
    assert time.monotonic() - begin < 5
    assert answer.startswith("error QUOTA 429 ")
    assert re.search(r"Injected fault; it asks to come back after 3[56]\d\d s \(ours req-", answer)
    assert len(cloud.requests("GET", LIST)) == 1


@pytest.mark.parametrize("fault", [{"status": 503, "headers": {"Retry-After": "1"}}, {"status": 500}, {"status": 429},
                                   {"action": "drop"}, {"action": "lose"}])
def test_a_create_is_never_repeated_blindly(cloud, probe, fault):
    """A proxy says 503 also when it had passed the request on; a limit without a time is for the caller."""
    one = probe()
    cloud.inject(method="POST", path="/servers$", **fault)
    assert one.ask(f"create web1 {OP}1")[-1].startswith("error ")
    assert len(cloud.requests("POST", "/servers$")) == 1
    assert len(cloud.servers) == (fault.get("action") == "lose")

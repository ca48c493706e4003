# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts that the demo is judged by: what they say must be true before it may say "0 failed"."""
import json
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import pytest

DEMO = pathlib.Path(__file__).parents[1] / "demo"
sys.path.insert(0, str(DEMO))

import haproxy  # noqa: E402
import instance  # noqa: E402
import procs  # noqa: E402

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CLOSING_PAGE = PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
SHORT_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"
CAPACITY = 100


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"needs {program}, which is not installed")


class ScriptedServer:
    """A web server that does to every request what `behave(connection, nth request on it)` says;
    False closes.
    """

    def __init__(self, behave):
        self.behave, self.requests, self.connections = behave, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        nth = 0
        with sock:
            try:
                while self.read_request(sock):
                    nth, self.requests = nth + 1, self.requests + 1
                    if not self.behave(sock, nth):
                        return
            except OSError:
                pass

    @staticmethod
    def read_request(sock):
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            if not (chunk := sock.recv(4096)):
                return False
            data += chunk
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Load:
    """loadgen.py, steered as the demo steers it."""

    def __init__(self, port, *options):
        self.child = subprocess.Popen(
            [sys.executable, DEMO / "loadgen.py", "--target", f"127.0.0.1:{port}", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rate(self, rate, seconds=0):
        self.child.stdin.write(f"{rate} {seconds}\n")
        self.child.stdin.flush()

    def totals(self):
        return json.loads(self.child.stdout.readline())

    def finish(self):
        """The last totals and what was said about failures."""
        out, err = self.child.communicate(timeout=30)
        return json.loads(out.splitlines()[-1]), err.splitlines()


def run_load(port, requests=40, rate=200, **options):
    words = [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    load = Load(port, "--max-requests", str(requests), *words)
    load.rate(rate)
    load.child.wait(30)
    return load.finish()


def only(totals, outcome):
    """Every request ended as OUTCOME and no other outcome was counted."""
    counted = {
        name: totals[name]
        for name in ("ok", "refused", "reset", "timeout", "short", "non2xx", "other")
        if totals[name]
    }
    return counted == {outcome: totals["sent"]}


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def say(text, keep):
    def behave(sock, _):
        sock.sendall(text)
        return keep

    return behave


def wait_for_ever(sock, _):
    return sock.recv(1)


def short_then_reset(sock, _):
    sock.sendall(SHORT_PAGE)
    procs.wait_until(lambda: not outgoing(sock), 2, "the client takes the first bytes")
    return reset(sock)


def outgoing(sock):
    """Bytes that the peer's kernel has not acknowledged (SIOCOUTQ)."""
    import fcntl

    return struct.unpack("i", fcntl.ioctl(sock, 0x5411, b"\0" * 4))[0]


@pytest.mark.parametrize(
    "outcome, behave",
    [
        ("ok", say(PAGE, True)),
        ("reset", lambda sock, _: reset(sock)),
        ("reset", lambda sock, _: False),
        ("short", say(SHORT_PAGE, False)),
        ("short", say(b"HTTP/1.1 200 OK\r\nContent-Le", False)),
        ("short", short_then_reset),
        ("non2xx", say(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", True)),
        ("non2xx", say(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", True)),
        ("other", say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", True)),
        ("other", say(b"HTTP/1.1 200 OK\r\n\r\nhow long is this?", False)),
        ("other", say(PAGE + b"too much", True)),
        ("timeout", wait_for_ever),
    ],
    ids=[
        "ok",
        "reset",
        "closed-without-answer",
        "short-body",
        "short-head",
        "reset-in-body",
        "503",
        "302",
        "not-http",
        "no-length",
        "too-long",
        "no-answer",
    ],
)
def test_every_outcome_is_counted_as_itself(outcome, behave):
    with ScriptedServer(behave) as server:
        totals, said = run_load(server.port, timeout=0.3)
    assert only(totals, outcome), totals
    assert len(said) == (0 if outcome == "ok" else totals["sent"])
    assert server.requests == totals["sent"], "a request was repeated or never sent"


def test_refused_connections_are_counted():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can answer there
        totals, _ = run_load(held.getsockname()[1])
    assert only(totals, "refused"), totals


def test_requests_beyond_the_waiting_limit_are_failures_and_not_forgotten():
    with ScriptedServer(wait_for_ever) as server:
        totals, _ = run_load(server.port, requests=30, timeout=5, max_in_flight=10)
    # On a machine that is slow enough the first times out before the last is due.
    assert totals["timeout"] + totals["other"] == 30 and 10 <= totals["timeout"] < 20, totals


def test_half_of_the_requests_use_kept_connections_again():
    with ScriptedServer(say(PAGE, True)) as server:
        totals, _ = run_load(server.port, requests=200, connections=5)
    assert only(totals, "ok")
    assert 90 <= totals["reused"] <= 95
    assert server.connections == 200 - totals["reused"]


def test_a_connection_whose_close_was_announced_is_replaced():
    with ScriptedServer(say(CLOSING_PAGE, False)) as server:
        totals, _ = run_load(server.port, connections=2)
    assert only(totals, "ok")
    assert (totals["reused"], totals["closed_idle"]) == (0, 0)


def test_an_idle_connection_that_the_server_closed_is_replaced():
    with ScriptedServer(say(PAGE, False)) as server:
        totals, _ = run_load(server.port, connections=2, rate=50)
    assert only(totals, "ok")
    assert totals["closed_idle"] > 0


def test_a_connection_idle_too_long_is_not_used_again():
    with ScriptedServer(say(PAGE, True)) as server:
        totals, _ = run_load(server.port, connections=2, rate=50, idle_limit=0.001)
    assert only(totals, "ok")
    assert (totals["reused"], totals["closed_idle"]) == (0, 0)


def test_a_close_under_a_sent_request_is_a_failure_on_a_kept_connection_too():
    with ScriptedServer(
        lambda sock, nth: sock.sendall(PAGE) is None if nth == 1 else False
    ) as server:
        totals, said = run_load(server.port, connections=2)
    assert totals["reset"] == totals["reused"] > 0
    assert totals["ok"] + totals["reset"] == totals["sent"] == server.requests
    assert all("reset (keep-alive): connection closed in the head" in line for line in said)


def test_the_rate_is_kept_whatever_the_server_does():
    with ScriptedServer(wait_for_ever) as server:
        load = Load(server.port, "--timeout", "0.2")
        load.rate(100)
        first = load.totals()
        while (last := load.totals())["t"] < 3:
            pass
        load.finish()
    assert 90 <= (last["sent"] - first["sent"]) / (last["t"] - first["t"]) <= 110


@pytest.fixture
def run_dir():
    """A short path: the sockets of HAProxy must fit into sun_path."""
    path = tempfile.mkdtemp(prefix="cs-")
    yield pathlib.Path(path)
    shutil.rmtree(path)


@pytest.fixture
def machines(run_dir):
    """Starts demo instances: machines(last byte of the address)."""
    http_port, snmp_port, started = procs.free_port(), procs.free_port(socket.SOCK_DGRAM), []

    def start(number):
        machine = instance.Instance(
            run_dir / f"vm{number}", f"127.18.1.{number}", http_port, snmp_port, "secret", CAPACITY
        )
        started.append(machine)
        machine.start()
        procs.wait_until(machine.listening, 5, f"nginx on {machine.address}")
        return machine

    yield start
    for machine in started:
        machine.kill()


def counters(machine):
    """{arc: value} of the eight counters that make the total, by the agent."""
    arcs = (50, 51, 52, 53, 54, 56, 61, 64)
    host, port = machine.snmp.removeprefix("udp:").split(":")
    answer = subprocess.run(
        [
            "snmpget",
            "-v2c",
            "-c",
            "secret",
            "-Oqvn",
            "-t",
            "1",
            f"{host}:{port}",
            *(f".1.3.6.1.4.1.2021.11.{arc}.0" for arc in arcs),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"MIBS": "", "PATH": "/usr/bin:/bin"},
    )
    return dict(zip(arcs, map(int, answer.stdout.split())))


def busy_percent(before, after):
    ticks = {arc: after[arc] - before[arc] for arc in before}
    return 100 * (1 - (ticks[53] + ticks[54]) / sum(ticks.values())), sum(ticks.values())


def test_instance_reports_the_load_that_it_served(machines):
    need("nginx", "snmpd", "snmpget")
    machine = machines(1)
    procs.wait_until(lambda: sum(counters(machine).values()) > 6000, 5, "snmpd answers")
    for rate, expected in ((50, 50), (150, 100)):
        load = Load(machine.http_port, "--target", f"{machine.address}:{machine.http_port}")
        load.rate(rate)
        load.totals()
        before = counters(machine)
        while load.totals()["t"] < 4.5:
            pass
        after = counters(machine)
        totals, _ = load.finish()
        assert only(totals, "ok")
        percent, ticks = busy_percent(before, after)
        assert abs(percent - expected) <= 6, (rate, percent)
        assert 200 <= ticks <= 600, "one CPU has 100 ticks a second"


def test_idle_instance_reports_idle_and_walks(machines):
    need("nginx", "snmpd", "snmpget")
    machine = machines(1)
    before = procs.wait_until(lambda: counters(machine), 5, "snmpd answers")
    after = procs.wait_until(
        lambda: (now := counters(machine)) != before and now, 5, "the next refresh"
    )
    assert busy_percent(before, after)[0] == 0
    walk = subprocess.run(
        ["snmpwalk", "-v2c", "-c", "secret", "-Oqn", machine.snmp, ".1.3.6.1.4.1.2021.11"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    arcs = [int(line.split()[0].split(".")[-2]) for line in walk.splitlines()]
    assert arcs == [50, 51, 52, 53, 54, 55, 56, 61, 64, 65, 66, 67]


@pytest.fixture
def balancer(run_dir):
    need("nginx", "haproxy", "snmpd")
    proxy = haproxy.HAProxy(run_dir, "127.0.0.1", procs.free_port())
    proxy.write_template()
    proxy.start()
    yield proxy
    proxy.end()


def serve(proxy, machines):
    """Renders MACHINES into the configuration by hand, reloads and waits for the new worker."""
    lines = "".join(f"    server {m.dir.name} {m.address}:{m.http_port} check\n" for m in machines)
    proxy.config.write_text(proxy.template.read_text() + lines)
    old = {line.split()[0] for line in proxy.workers()}
    haproxy.ask(proxy.master, "reload")
    procs.wait_until(
        lambda: any(line.split()[0] not in old for line in proxy.workers()), 10, "reload"
    )
    procs.wait_until(
        lambda: set(proxy.servers()) == {m.dir.name for m in machines}, 5, "the new worker answers"
    )


def drain(proxy, machine):
    haproxy.ask(proxy.stats, f"set server {haproxy.BACKEND}/{machine.dir.name} state drain")
    procs.wait_until(
        lambda: proxy.servers()[machine.dir.name]["sessions"] == 0, 5, "no session left"
    )
    procs.wait_until(lambda: len(proxy.workers()) == 1, 15, "old workers leave")


def load_while(proxy, change):
    """The totals of a load under which CHANGE happens."""
    load = Load(proxy.port)
    load.rate(200)
    load.totals()
    change()
    load.totals()
    return load.finish()


def test_drained_server_leaves_without_a_failed_request(balancer, machines):
    first, second = machines(1), machines(2)
    serve(balancer, [first, second])

    def replace_first():
        serve(balancer, [first, second, third := machines(3)])
        drain(balancer, first)
        serve(balancer, [second, third])
        first.kill()

    totals, said = load_while(balancer, replace_first)
    assert only(totals, "ok"), said


def test_server_that_dies_in_service_is_noticed(balancer, machines):
    first, second = machines(1), machines(2)
    serve(balancer, [first, second])
    totals, said = load_while(balancer, first.kill)
    assert totals["short"] > 0, "answers were half sent when the server died"
    assert totals["ok"] + len(said) == totals["sent"]

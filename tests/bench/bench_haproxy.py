# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_sync on a real HAProxy under load, in turns with the naive way: what fails, and how long a pass takes.

The load is an open loop: on a machine that is too busy for it requests fail whatever anybody does. Rows say how many left
late, and the first one what failed while nothing was changed."""
import contextlib
import os
import re
import socket
import statistics
import subprocess
import time

import haproxy_bad_cases
import haproxy_lab
from haproxy_lab import QUIET, Lab, Load, answers, ask, procs

LATE_S = 20  # how much later than its server a port opens
MIXED = ("keep,1400", "close,1400,close", "slow,200,pause=1500")
RUNS = 50
COOKIE = "    cookie SRV insert indirect nocache\n"
STICKY = "maxconn 512 check cookie {name}"


def sticky(template):
    """The shipped template with a cookie that keeps a browser on its server."""
    return template.replace("    balance roundrobin\n", "    balance roundrobin\n" + COOKIE)


# No server gets a cookie at runtime below 3.0.
BY_FILE = {"options": STICKY, "template": sticky, "more": "min-reload-interval: 0"}


def run(bench):
    procs.adopt_orphans()
    bench.run_parts({
        "reloads and scale events": reloads_and_scale_events,
        "removal, 2 s requests": removal_of_long_requests,
        "removal, slow keep-alive clients": removal_of_slow_clients,
        "removal, sticky cookies": removal_of_sticky_clients,
        "late port, refuses": lambda bench: late_port(bench, "refuses", nobody),
        "late port, drops SYNs": lambda bench: late_port(bench, "drops SYNs", full_backlog),
        "speed, by file": speed_by_file,
        "speed, by the runtime API": speed_by_the_runtime_api,
        "speed, unchanged": speed_unchanged,
        "concurrent runs": concurrent_runs,
        "dead servers": dead_servers,
        "bad cases": bad_cases,
        "killed runs": killed_runs,
    })


class Tally:
    """What the loads of one side came to, and the raw rows about them."""

    def __init__(self, bench, what):
        self.bench, self.what, self.sent, self.failed, self.slow, self.late = bench, what, 0, 0, 0, 0

    @contextlib.contextmanager
    def load(self, port, *streams):
        with Load(self.bench.build, port, *streams) as load:
            yield
        self.sent, self.failed = self.sent + load.sent, self.failed + load.failed
        self.slow, self.late = self.slow + load.slow, self.late + load.late
        self.bench.record(what=self.what, command=load.argv, seconds=load.seconds, streams=load.streams,
                          complaints=load.complaints)


def tallies(bench, what):
    return Tally(bench, what), Tally(bench, what + ", naive")


def bar_failed(bench, lab, what, ours, naive, more=""):
    late = f"; {ours.late:,} left late" if ours.late else ""
    passes = f"; {len(lab.failures)} passes failed" if lab.failures else ""
    bench.record(what=what, failed_passes=lab.failures)
    bench.bar(f"{what}: failed of {ours.sent:,}", ours.failed, 0,
              peer=f"naive: {naive.failed:,} of {naive.sent:,}{more}{late}{passes}")


# 100 reloads and 100 scale events

def reloads_and_scale_events(bench):
    """A cycle is two reloads by hand and two scale events: a server comes, a server goes."""
    ours, naive = tallies(bench, "reloads and scale events")
    unchanged = Tally(bench, "no change at all")
    with Lab(bench.build) as lab:
        lab.add(4)
        lab.settle()
        for _ in range(1 if bench.short else 10):
            with ours.load(lab.port, *MIXED):
                in_step(lambda: our_cycle(lab), cycles=5, seconds=100_100 / 3000)
            servers = lab.servers()
            lab.naive.apply(servers)
            with naive.load(lab.naive.port, *MIXED):
                in_step(lambda: naive_cycle(lab, servers), cycles=1, seconds=20_000 / 3000)
            lab.naive.end()
            with unchanged.load(lab.port, *MIXED):
                time.sleep(3)
    n = 10 if bench.short else 100
    bar_failed(bench, lab, f"{n} reloads, {n} scale events", ours, naive,
               f"; no change: {unchanged.failed:,} of {unchanged.sent:,}")


def in_step(cycle, cycles, seconds):
    """The cycles, evenly over so many seconds; longer when they take longer."""
    start = time.monotonic()
    for n in range(1, cycles + 1):
        cycle()
        time.sleep(max(0, start + seconds * n / cycles - time.monotonic()))


def our_cycle(lab):
    lab.reload()
    server, = lab.add()
    lab.settle()
    lab.reload()
    leave(lab, server)


def leave(lab, server):
    """haproxy_sync says that it may go, and at once it is gone."""
    lab.drain(server)
    lab.kill(server)
    lab.forget(server)


def naive_cycle(lab, servers):
    lab.naive.apply(servers)
    server, = lab.add()
    lab.naive.apply([*servers, server])
    time.sleep(1)
    lab.naive.apply(servers)
    lab.kill(server)
    lab.forget(server)


# Removal, then SIGKILL of the server at once

def removal_of_long_requests(bench):
    removal(bench, "2 s requests", ("long,40,path=/2s",))


def removal_of_slow_clients(bench):
    removal(bench, "slow keep-alive clients", ("slow,200,pause=1500",))


def removal_of_sticky_clients(bench):
    removal(bench, "sticky cookies", ("sticky,200,sticky", "sticky-close,200,sticky,close"),
            options=STICKY, template=sticky)


def removal(bench, kind, streams, **settings):
    ours, naive = tallies(bench, f"removal, {kind}")
    with Lab(bench.build, **settings) as lab:
        lab.naive.cookie = COOKIE if settings else ""
        lab.add(3)
        lab.settle()
        for _ in range(2 if bench.short else 10):
            server, = lab.add()
            lab.settle()
            with ours.load(lab.port, *streams):
                time.sleep(3)
                lab.mark(server)
                lab.sync()
                lab.reload()  # of somebody who knows nothing of the drain
                leave(lab, server)
                time.sleep(3)
            others = lab.servers()
            server, = lab.add()
            lab.naive.apply([*others, server])
            with naive.load(lab.naive.port, *streams):
                time.sleep(3)
                lab.naive.apply([*others, server])
                lab.naive.apply(others)
                lab.kill(server)
                lab.forget(server)
                time.sleep(3)
            lab.naive.end()
    bar_failed(bench, lab, f"removal and SIGKILL, {kind}", ours, naive)


# A new server whose port opens late

@contextlib.contextmanager
def nobody(address, port):
    """Nothing listens."""
    yield


@contextlib.contextmanager
def full_backlog(address, port):
    """A listener that takes nobody in: once its queue is full, the kernel drops what comes."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(3):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((address, port))
        yield


def late_port(bench, how, closed):
    seconds = LATE_S / 4 if bench.short else LATE_S
    ours, naive = tallies(bench, f"a port that {how} for {seconds:g} s")
    streams = ("keep,100", "close,100,close")
    with Lab(bench.build) as lab:
        lab.add(3)
        lab.settle()
        before = lab.servers()
        server, = lab.add(serve=False)
        with ours.load(lab.port, *streams):
            with closed(server.address, lab.web_port):
                in_step(lab.sync, int(seconds), seconds)
            lab.serve(server.id, [server.address])
            lab.settle()
            time.sleep(2)
        lab.drain(server)
        lab.kill(server)
        lab.naive.apply(before)
        with naive.load(lab.naive.port, *streams):
            with closed(server.address, lab.web_port):
                lab.naive.apply([*before, server])
                time.sleep(seconds)
            lab.serve(server.id, [server.address])
            time.sleep(2)
    what = f"a new port {how} for {seconds:g} s"
    bar_failed(bench, lab, what, ours, naive)
    bench.bar(f"{what}: slower than 1 s", ours.slow, 0, peer=f"naive: {naive.slow:,}")


# How long a pass takes after the last byte of the cloud's list

def repeats(bench):
    return 5 if bench.short else 15


def speed_by_file(bench):
    with Lab(bench.build, **BY_FILE) as lab:
        fill(lab, 499)
        one_more(bench, lab, "by file", 200, lambda: (check(lab), lab.reload()))


def speed_by_the_runtime_api(bench):
    with Lab(bench.build) as lab:
        fill(lab, 499)
        one_more(bench, lab, "by the runtime API", 60, lambda: check(lab))


def speed_unchanged(bench):
    with Lab(bench.build) as lab:
        fill(lab, 5000)
        ours = statistics.median(one_pass(bench, lab, "unchanged run") for _ in range(repeats(bench)))
        bench.bar("5000 servers: unchanged run", ours, 250, "ms")


def fill(lab, count):
    """Servers that one nginx answers for, all of them in service."""
    lab.serve("all", ["*"])
    procs.wait_until(lambda: answers("127.18.0.1", lab.web_port), 10, "nginx starts")
    lab.add(count, serve=False)
    lab.settle()


def check(lab):
    subprocess.run(["haproxy", "-c", "-f", lab.proxy.config], check=True, **QUIET)


def one_more(bench, lab, how, limit_ms, without_us):
    """One server that comes; it goes again untimed. `without_us` is what HAProxy itself has to do for that."""
    ours, naive, its_own, before = [], [], [], lab.reloads()
    lab.naive.apply(lab.servers())
    for _ in range(repeats(bench)):
        server, = lab.add(serve=False)
        ours.append(one_pass(bench, lab, f"one more {how}"))
        naive.append(naive_change(bench, lab))
        lab.forget(server)
        one_pass(bench, lab, f"one fewer {how}")
    reloads = lab.reloads() - before
    for _ in range(repeats(bench)):
        start = time.monotonic()
        without_us()
        its_own.append(1000 * (time.monotonic() - start))
    bench.bar(f"500 servers: one more {how}", statistics.median(ours), limit_ms, "ms",
              peer=f"HAProxy's own work: {statistics.median(its_own):.0f} ms; naive: {statistics.median(naive):.0f} ms; "
                   f"{reloads} reloads")


def one_pass(bench, lab, what):
    """Milliseconds from the last byte of the cloud to the end of the program."""
    report, seconds = lab.sync()
    bench.record(what=what, command=list(map(str, lab.argv())), seconds=round(seconds, 6),
                 servers=len(lab.cloud.servers), serving=len(report["serving"]), reloads=lab.reloads())
    return seconds * 1000


def naive_change(bench, lab):
    start = time.monotonic()
    lab.naive.apply(lab.servers())
    seconds = time.monotonic() - start
    bench.record(what="one more, naive", command=list(map(str, lab.naive.argv())), seconds=round(seconds, 6))
    return seconds * 1000


# Many at once

def concurrent_runs(bench):
    at_once(bench, "by the runtime API")
    at_once(bench, "by file", **BY_FILE)


def at_once(bench, how, **settings):
    with Lab(bench.build, **settings) as lab:
        lab.add(4)
        lab.settle()
        wish, before = lab.add(3), lab.reloads()
        failed = together(bench, lab.argv(), expect=(0, 1))
        reloads, text = lab.reloads() - before, lab.proxy.config.read_text()
        running = lab.proxy.servers()
        lost = sum(server.name not in running or server.name not in text for server in wish)
        lab.settle()
        lab.naive.apply(lab.servers())
        naive_failed = together(bench, lab.naive.argv())
        left = len(lab.naive.processes())
        bench.bar(f"{RUNS} runs at once {how}: reloads", reloads, 2, peer=f"naive: {left} processes on one port")
        bench.bar(f"{RUNS} runs at once {how}: servers lost, runs failed, file changed",
                  lost + failed + (text != lab.proxy.config.read_text()), 0, peer=f"naive: {naive_failed} failed")


def together(bench, argv, expect=(0,)):
    """How many of RUNS processes that start together exit with something else."""
    children = [subprocess.Popen(argv, **QUIET) for _ in range(RUNS)]
    exits = [child.wait(120) for child in children]
    bench.record(what=f"{RUNS} at once", command=list(map(str, argv)), exits=exits)
    return sum(code not in expect for code in exits)


# Servers that do not answer any more

def dead_servers(bench):
    """del server of such a one kills HAProxy below 3.0, its master included."""
    rounds, per_round = 20, 5 if bench.short else 50
    streams = ("keep,50", "close,50,close")
    ours, naive = tallies(bench, "removals of dead servers")
    with Lab(bench.build) as lab:
        lab.add(2)
        dead = lab.add(rounds * per_round, serve=False)
        lab.serve("dead", [server.address for server in dead])
        procs.wait_until(lambda: answers(dead[-1].address, lab.web_port), 10, "nginx starts")
        lab.settle()
        lab.naive.apply(lab.servers())
        with ours.load(lab.port, *streams), naive.load(lab.naive.port, *streams):
            lab.webs.pop("dead").kill()
            deleted = naive_deletes(lab, dead)
            for n in range(rounds):
                lab.drain(*dead[n * per_round:(n + 1) * per_round])
            time.sleep(3)  # requests that waited for a server that is gone go on
        crashes, old = lab.crashes()
        bench.record(what="crashes", crashes=crashes, old_workers=old, failed_passes=lab.failures)
        bench.bar(f"{len(dead)} removals of dead servers: crashes", len(crashes), 0,
                  peer=f"naive, del server: {deleted}; {len(old)} old workers died in their exit")


def naive_deletes(lab, servers):
    """Removes servers as the manual of HAProxy says; how many until it died of it."""
    for n, server in enumerate(servers[:100]):
        try:
            for command in ("set server web/{} state maint", "del server web/{}"):
                ask(lab.naive.stats, command.format(server.name))
        except OSError:
            return f"dead after {n}"
        time.sleep(0.1)  # requests that waited for the server go on
    return f"alive after {n + 1}"


# What tests show as well

def bad_cases(bench):
    for what, failed, limit, holds in haproxy_bad_cases.rows():
        bench.bar(f"{what}: failed requests", failed, limit, peer="" if holds else "and not what it should say or do")
        bench.rows[-1] &= holds


def killed_runs(bench):
    """kill -9 at every call that leaves a trace; the test says how many there were."""
    test = haproxy_lab.TESTS / "integration/test_haproxy_killed.py"
    done = subprocess.run(["sh", haproxy_lab.TESTS / "run-pytest", test], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, env={**os.environ, "top_builddir": str(bench.build)})
    ends = re.findall(r"(\d+) calls, (\d+) kills", done.stdout)
    calls, kills = (sum(int(end[i]) for end in ends) for i in (0, 1))
    requests = sum(map(int, re.findall(r"(\d+) requests, 0 failed", done.stdout)))
    bench.record(what="kill -9", command=[str(test)], exit=done.returncode, calls=calls, kills=kills,
                 output=done.stdout.splitlines())
    bench.bar(f"kill -9 around {calls} calls, {kills} times: exit of its test", done.returncode, 0,
              peer=f"{requests:,} requests, 0 failed" if done.returncode == 0 else done.stdout[-200:])

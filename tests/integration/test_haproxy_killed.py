# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of haproxy_sync before and after every call that leaves a trace outside the process.

A real HAProxy under load. After each kill its file is one of the two valid texts, the next plain run comes to the same
end as an undisturbed one, nothing is left over, and no request fails. Several labs at a time, as most of it is waiting.
CS_POINT=N tries that point alone, CS_HALF=yes only one of the two in turns: between a call and the next one nothing happens
outside the process, so that every state that a kill can leave is seen as well.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "functional"))
from balancer import NOBODY, PROGRAM, UNPRIVILEGED, Balancer, Held, Load, ask, procs_wait, run  # noqa: E402

KILL_AT = PROGRAM.parents[1] / "tests" / "tools" / "kill_at"
KILLED, CANNOT_TRACE = 137, 99
LABS = 2
RATE = 50  # requests per second and lab, throughout
SLACK = 10  # calls by which one run of the same pass may have more than another: it polls
ONLY = int(os.environ.get("CS_POINT", 0))
HALF = os.environ.get("CS_HALF") == "yes"


def files(lb):
    """What haproxy_sync keeps: {path: bytes}. The lock's text names its last holder."""
    paths = [lb.config, *lb.dir.glob("sync/*"), *lb.dir.glob("server-state")]
    return {path: path.read_bytes() for path in paths if path.suffix != ".lock"}


def names(lb):
    return sorted(str(path.relative_to(lb.dir)) for path in lb.dir.rglob("*"))


class Scene:
    """One pass that is killed over and over: from the state at the time of `begin()` to where `sync` takes it."""

    def __init__(self, lb):
        self.lb = lb
        shutil.copy(KILL_AT, lb.dir / "kill_at")

    def begin(self, rewind):
        """`rewind` takes the running HAProxy back to what it is now, once the files are."""
        self.before, self.rewind = files(self.lb), rewind
        self.running_before = self.lb.status()

    def settle(self, code):
        """The end of an undisturbed run."""
        self.code = code
        self.result = self.outcome()
        assert self.result[0] == code, self.result
        self.names = names(self.lb)

    def outcome(self):
        """Of a plain run, or of the next ones while a new server waits for HAProxy's check."""
        end = time.monotonic() + 10
        while (done := self.lb.sync()).returncode == 1 != self.code and time.monotonic() < end:
            time.sleep(0.05)
        report = json.loads(done.stdout) if done.stdout else {}
        # the time, and how many sessions the load has where, differ from run to run
        report.pop("list_taken", None)
        report.pop("sessions", None)
        report["draining"] = [server["id"] for server in report.get("draining", [])]
        # below 3.0 a server that was removed by the socket stays in maintenance until the next reload
        running = {name: status for name, status in self.lb.status().items() if status != "MAINT"}
        return done.returncode, done.stderr, report, files(self.lb)[self.lb.config], self.record(), running

    def record(self):
        """But for the time of the last reload."""
        records = [json.loads(path.read_text()) for path in self.lb.dir.glob("sync/*.applied")]
        return [{key: value for key, value in record.items() if key in ("applied", "servers")} for record in records]

    def go_back(self):
        for path in set(files(self.lb)) - set(self.before):
            path.unlink()
        for path, content in self.before.items():
            path.write_bytes(content)
            if UNPRIVILEGED:
                os.chown(path, NOBODY, NOBODY)
        if self.lb.status() != self.running_before:
            self.rewind()
            self.old_workers_gone()
        assert self.lb.status() == self.running_before

    def kill(self, point, when):
        """Whether the run got so far."""
        lb = self.lb
        user = ["--user", str(NOBODY)] if UNPRIVILEGED else []
        done = run([lb.dir / "kill_at", "--list", lb.dir / "list", *user, "--point", str(point), "--when", when, "--",
                    lb.dir / "haproxy_sync", "-n", "web", "-f", lb.yaml], root=True)
        if done.returncode == CANNOT_TRACE:
            pytest.skip(f"needs ptrace: {done.stderr}")
        calls = (lb.dir / "list").read_text().splitlines()
        (lb.dir / "list").unlink()
        self.last = calls[-1].replace(str(lb.dir) + "/", "")[:100]
        assert done.returncode in (KILLED, self.code, 1), done.stderr
        return done.returncode == KILLED

    def check(self):
        lb = self.lb
        assert lb.config.read_bytes() in (self.before[lb.config], self.result[3]), "the file is neither the old nor the new"
        assert "200 OK" in lb.get()
        self.old_workers_gone()
        outcome = self.outcome()
        assert outcome == self.result, f"{outcome}\ninstead of\n{self.result}"
        assert names(lb) == self.names

    def old_workers_gone(self):
        """HAProxy 2.6 leaves one asleep now and then that has nothing to do any more, until somebody asks it something:
        once, and not at once, as each question to one that is just ending may cost the master a connection."""
        asked, patience = set(), time.monotonic() + 3

        def gone():
            old = self.lb.workers()[1]
            for pid in set(old) - asked if time.monotonic() > patience else ():
                asked.add(pid)
                with contextlib.suppress(OSError):
                    ask(self.lb.master, f"@!{pid} show info")
            return not old
        procs_wait(gone, "old workers end")

    def attempt(self, point):
        """How often it was killed there, and whether the run ended before."""
        whens = ("before", "after")
        for kills, when in enumerate(whens[point % 2:][:1] if HALF else whens):
            self.go_back()
            if not self.kill(point, when):
                return kills, True
            try:
                self.check()
            except AssertionError as wrong:
                raise AssertionError(f"killed {when} call {point}, {self.last}: {wrong}") from wrong
        return kills + 1, False


class Sweep:
    """Every point of a pass, dealt out to LABS scenes of it as they come free."""

    def __init__(self, capfd, prepare):
        self.capfd, self.prepare = capfd, prepare
        self.points, self.end = iter([ONLY] if ONLY else range(1, 10000)), 10000
        self.calls = self.kills = self.sent = 0
        self.lock = threading.Lock()

    def say(self, text):
        with self.capfd.disabled():
            print(f"  {text}", flush=True)

    def count(self, point, kills, ended, last):
        with self.lock:
            self.kills += kills
            if ended:
                self.end = min(self.end, point + SLACK)
                return
            self.calls = max(self.calls, point)
            if point % 20 == 0:
                self.say(f"{point} calls, the last one: {last}")

    def work(self):
        with Balancer(keep_alive="100ms") as lb:
            scene = Scene(lb)
            self.prepare(scene)
            with Load(lb.port, RATE, idle_limit_s=0.05) as load:
                for point in self.points:
                    if point > self.end:
                        break
                    self.count(point, *scene.attempt(point), scene.last)
            assert load.failures == []
            with self.lock:
                self.sent += load.totals["sent"]

    def run(self):
        labs = 1 if ONLY else LABS
        with concurrent.futures.ThreadPoolExecutor(labs) as pool:
            jobs = [pool.submit(self.work) for _ in range(labs)]
            try:
                for job in concurrent.futures.as_completed(jobs):
                    job.result()
            except BaseException:
                self.end = 0  # the others need not go on
                raise
        self.say(f"{self.calls} calls, {self.kills} kills")
        self.say(f"{self.sent} requests, 0 failed")
        # the last points are there in some runs only
        assert ONLY or (self.calls > 20 and self.kills >= (1 if HALF else 2) * self.calls - 3 * SLACK)


@pytest.fixture
def sweep(capfd):
    if not shutil.which("haproxy"):
        pytest.skip("needs haproxy, which is not installed")
    if b"__asan_init" in PROGRAM.read_bytes():
        pytest.skip("what AddressSanitizer puts into a program does not bear ptrace")
    return lambda prepare: Sweep(capfd, prepare).run()


def up(scene, n):
    servers = [scene.lb.add(f"web{i + 1}") for i in range(n)]
    scene.lb.start()
    assert scene.lb.sync().returncode == 0
    return servers


BY = pytest.mark.parametrize("by_reload", [False, True], ids=["by the socket", "by a reload"])


def change(lb, by_reload):
    """Something that HAProxy cannot be told by its socket."""
    if by_reload:
        lb.template.write_text(lb.template.read_text().replace("timeout connect 1s", "timeout connect 2s"))


@BY
def test_a_pass_that_adds_a_server(sweep, by_reload):
    def prepare(scene):
        lb = scene.lb
        up(scene, 2)
        scene.begin(lb.reload)
        worker = lb.workers()[0]
        lb.add("web3")
        change(lb, by_reload)
        scene.settle(0)
        assert scene.result[5] == {"web1": "UP", "web2": "UP", "web3": "UP"}
        assert (lb.workers()[0] != worker) == by_reload
    sweep(prepare)


def hold(lb, server, other):
    """A session on `server`, whatever else the load asks for."""
    ask(lb.stats, f"set server web/{other.name} state drain")
    held = Held(lb.port, [lb.webs[server.id]])
    ask(lb.stats, f"set server web/{other.name} state ready")
    return held


def end(lb, server, held):
    lb.webs[server.id].released.set()
    assert b"200 OK" in held.answer()
    lb.webs[server.id].released.clear()


def test_a_pass_that_begins_a_drain(sweep):
    def prepare(scene):
        lb = scene.lb
        one, two = up(scene, 2)
        held = [hold(lb, two, one)]

        def rewind():
            """With a young session on web2, as none lives for ever."""
            ask(lb.stats, "set server web/web2 state ready")
            end(lb, two, held.pop())
            held.append(hold(lb, two, one))
        scene.begin(rewind)
        lb.mark(two)
        scene.settle(1)
        assert scene.result[5] == {"web1": "UP", "web2": "DRAIN"}
    sweep(prepare)


@BY
def test_a_pass_that_removes_a_server(sweep, by_reload):
    def prepare(scene):
        lb = scene.lb
        one, two = up(scene, 2)
        held = hold(lb, two, one)
        lb.mark(two)
        assert lb.sync().returncode == 1
        end(lb, two, held)

        def rewind():
            lb.reload()
            ask(lb.stats, "set server web/web2 state drain")
            procs_wait(lambda: lb.sessions()["web2"] == 0, "what the load asked of web2 since the reload ends")
        scene.begin(rewind)
        change(lb, by_reload)
        scene.settle(0)
        assert scene.result[5] == {"web1": "UP"} and scene.result[2]["drained"] == [two.id]
    sweep(prepare)

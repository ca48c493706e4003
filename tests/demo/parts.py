# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo is put together from: its machines, its load, its killer and its lines."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import procs
from instance import Instance
from watch import clock

OUTCOMES = ("refused", "reset", "timeout", "short", "non2xx", "other")
BOOT_S = 0.7


class Failed(Exception):
    """Why the demo cannot be called a success."""


class Story:
    """Plain lines with the time since the start, on standard output and in a file.

    A live view, while there is one, hears them instead of standard output.
    """

    def __init__(self, path):
        self.start, self.lock = time.monotonic(), threading.Lock()
        self.file = open(path, "w", buffering=1)
        self.view = None

    def now(self):
        return time.monotonic() - self.start

    def say(self, text):
        self.plain(f"{clock(self.now()):>5}  {text}")

    def figures(self, text):
        """For plain readers only: a live view shows these all the time."""
        self.plain(f"{clock(self.now()):>5}  {text}", to_view=False)

    def plain(self, text="", to_view=True):
        with self.lock:
            self.file.write(text + "\n")
            if view := self.view:
                if to_view:
                    view.hear(text)
            else:
                print(text, flush=True)


class Fleet:
    """The machines behind the simulated cloud's servers; `settings` are Instance's."""

    def __init__(self, directory, **settings):
        self.dir, self.settings = directory, settings
        self.machines, self.lock, self.died = {}, threading.Lock(), []

    def spawn(self, server):
        """The cloud is about to call a server ACTIVE; its service answers when it has booted."""
        machine = Instance(self.dir / server["name"], server["address"], **self.settings)
        with self.lock:
            self.machines[server["id"]] = machine
        boot = threading.Timer(BOOT_S, self.boot, [server["id"]])
        boot.daemon = True
        boot.start()

    def boot(self, id):
        with self.lock:
            if id in self.machines:
                self.machines[id].start()

    def destroy(self, id):
        with self.lock:
            machine = self.machines.pop(id, None)
        if not machine:
            return
        if program := machine.ended():
            self.died.append(f"{program} on {machine.address} ended by itself, see {machine.dir}")
        machine.kill()

    def destroy_all(self):
        for id in list(self.machines):
            self.destroy(id)


class Load:
    """loadgen.py as a child, steered by lines and heard once a second."""

    def __init__(self, directory, target):
        self.totals, self.rate, self.done = {"t": 0, "sent": 0, "ok": 0}, 0, False
        self.seconds = []  # [seconds since its start, requests/s, failed so far]
        self.log = directory / "loadgen.failures"
        program = pathlib.Path(__file__).with_name("loadgen.py")
        with open(self.log, "wb") as failures:
            self.child = subprocess.Popen(
                [sys.executable, program, "--target", target], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=failures, text=True, bufsize=1,
                start_new_session=True)
        self.reader = threading.Thread(target=self.read, args=[directory / "loadgen.json"])
        self.reader.daemon = True
        self.reader.start()

    def read(self, path):
        with open(path, "w", buffering=1) as out:
            for line in self.child.stdout:
                out.write(line)
                now, before = json.loads(line), self.totals
                self.rate = (now["sent"] - before["sent"]) / max(now["t"] - before["t"], 0.001)
                self.totals = now
                if "end" not in now:  # the last line is about a part of a second
                    self.seconds.append([now["t"], round(self.rate, 1), self.failed()])

    def go(self, rate, seconds):
        self.child.stdin.write(f"{rate} {seconds}\n")

    def failed(self):
        return sum(self.totals.get(outcome, 0) for outcome in OUTCOMES)

    def finish(self):
        """Lets the last requests end; Failed unless every request is accounted for."""
        self.done = True
        self.child.stdin.close()
        self.child.wait(30)
        self.reader.join()
        accounted = self.totals["ok"] + self.failed() == self.totals["sent"]
        if self.totals.get("end") != "end of input" or not accounted:
            raise Failed(f"the load generator did not finish: {self.totals}")

    def kill(self):
        procs.kill_group(self.child)


class Killer:
    """kill -9 of the handler that works in the background, in the middle of its work.

    `direction`: "up", while a server is being built, "down", while one drains, or None.
    """

    def __init__(self, direction, story):
        self.direction, self.story, self.armed, self.victim = direction, story, False, None
        self.when = None  # the time of the kill
        self.moment = {"up": "asked", "down": "draining"}.get(direction)

    def hear(self, life, step):
        """A server took a step: is this the moment?"""
        if self.armed and not self.victim and step == self.moment:
            threading.Thread(target=self.kill, args=[life], daemon=True).start()

    def kill(self, life):
        handlers = [pid for pid, name in procs.descendants().items() if name == "nova_scale"]
        for pid in handlers:
            os.kill(pid, signal.SIGKILL)
        if handlers:
            self.victim, self.when = life, self.story.now()
            self.story.say(f"kill -9 of the handler (pid {' '.join(map(str, handlers))}) while "
                           f"{life.name} is {self.doing()}")

    def doing(self):
        return {"up": "being built", "down": "draining"}[self.direction]


def by_hand(demo):
    """What to try while everything is up, as lines of text; with nothing that the demo does not install."""
    cluster = f"-n web -f {demo.config}"
    target = f"{demo.proxy.address}:{demo.proxy.port}"
    loadgen = pathlib.Path(__file__).with_name("loadgen.py")
    check, scale, sync = (demo.programs[name]
                          for name in ("check_cluster_cpu", "nova_scale", "haproxy_sync"))
    yield ("\nEverything stays up until Ctrl-C or SIGTERM. To try in another terminal, as the same user\n"
           f"(from root: setpriv --reuid {os.geteuid()} --regid {os.getegid()} --clear-groups bash):")
    for command in (
        f"{check} {cluster}",
        f"{scale} {cluster} --status",
        f"{scale} {cluster} --explain",
        f"{scale} {cluster} --create 1",
        f"{sync} {cluster} --dry-run",
        f"{sync} {cluster} --status",
        f"{sys.executable} -c \"from urllib.request import urlopen; print(urlopen('http://{target}/').readline())\"",
        f"(echo 285 5; sleep 90) | {sys.executable} {loadgen} --target {target}",
        f"tail -f {demo.core.log_path}",
    ):
        yield "  " + command
    yield ""

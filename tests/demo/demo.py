#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job of clusterscale on real parts, in about three minutes.

A simulated cloud builds and deletes servers; each of them is a real nginx with a real snmpd on a loopback address of its
own. A real HAProxy spreads a load that rises and falls, check_cluster_cpu measures, nova_scale decides and acts, and
haproxy_sync keeps HAProxy in line. A small loop plays the monitoring core's part. What is claimed at the end is what
the cloud, the running HAProxy and the load generator say, not what the programs say of themselves.

Exit code 0: the cluster grew under load and shrank to its minimum, and not one request failed. 1: it did not; the
reason is the last line.
"""
import argparse
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "fakes"))

import procs
from core import Core
from haproxy import BACKEND, HAProxy
from instance import Instance
from simcloud import SimCloud
from watch import Watch, clock

CLUSTER = "web"
PROGRAMS = ("check_cluster_cpu", "nova_scale", "haproxy_sync")
COMMUNITY = "demo-community"
MIN, MAX = 2, 8
CHECK_INTERVAL_S = 3
CAPACITY = 75  # requests/s that keep one instance 100 % busy
# 60 requests/s: 40 % on two servers. 285: 190 % on two, so they are 100 % busy; 76 % on five, 63 % on six.
LOW, HIGH = 60, 285
ENOUGH_PEAK = 5
MIN_REQUESTS = 20_500
REQUESTS_BEFORE_LOW = 17_500  # the low load at the end adds the rest
LOW_S, STEADY_S, BOOT_S, PROGRESS_S = 8, 10, 0.7, 5
START_LIMIT_S, UP_LIMIT_S, DOWN_LIMIT_S, SETTLE_LIMIT_S = 45, 110, 100, 20
LONGEST_RUN_DIR = 60  # HAProxy's sockets lie in it, and a socket's path has at most 107 characters
OUTCOMES = ("refused", "reset", "timeout", "short", "non2xx", "other")

CLUSTERSCALE_YAML = """\
state-dir: {dir}/state
clouds-file: {dir}/clouds.yaml
clusters:
  {cluster}:
    mode: act
    cloud: demo
    servers:
      image: {image}
      flavor: m1.small
      networks: [{network}]
      name: "web-%H%M%S"
    size: {{min: {min}, max: {max}}}
    cpu:
      min-span: 3
      snmp: {{version: 2c, community-file: {dir}/web.community, port: {snmp_port}}}
    policy: {{scale-up-at: 70, scale-down-at: 30, step-up: 1, step-down: 1, cool-down-up: 4, cool-down-down: 6}}
    drain-timeout: 20
    haproxy:
      cloud: demo-reader
      template: {proxy.template}
      config: {proxy.config}
      backend: {backend}
      server: {{port: {http_port}, options: "maxconn 512 check"}}
      master-socket: {proxy.master}
      stats-socket: {proxy.stats}
    load-balancers:
      - {{name: lb1, sync: [{sync}, -n, {cluster}, -f, {dir}/clusterscale.yaml]}}
"""
CLOUD_YAML = """\
  {name}:
    auth:
      auth_url: {url}
      username: {user}
      password: {password}
      project_name: {project}
      user_domain_name: Default
      project_domain_name: Default
"""


class Failed(Exception):
    """Why the demo cannot be called a success."""


class Story:
    """Plain lines with the time since the start, on standard output and in a file."""

    def __init__(self, path):
        self.start, self.lock, self.file = time.monotonic(), threading.Lock(), open(path, "w", buffering=1)

    def now(self):
        return time.monotonic() - self.start

    def say(self, text):
        with self.lock:
            line = f"{clock(self.now()):>5}  {text}"
            print(line, flush=True)
            self.file.write(line + "\n")

    def plain(self, text=""):
        with self.lock:
            print(text, flush=True)
            self.file.write(text + "\n")


class Fleet:
    """The machines behind the simulated cloud's servers."""

    def __init__(self, directory, http_port, snmp_port):
        self.dir, self.http_port, self.snmp_port = directory, http_port, snmp_port
        self.machines, self.lock, self.died = {}, threading.Lock(), []

    def spawn(self, server):
        """The cloud is about to call a server ACTIVE; its service answers only when it has booted."""
        machine = Instance(self.dir / server["name"], server["address"], self.http_port, self.snmp_port, COMMUNITY,
                           CAPACITY)
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
        if machine:
            self.note_death(machine)
            machine.kill()

    def note_death(self, machine):
        if program := machine.ended():
            self.died.append(f"{program} on {machine.address} ended by itself, see {machine.dir}")

    def destroy_all(self):
        for id in list(self.machines):
            self.destroy(id)


class Load:
    """loadgen.py as a child, steered by lines and heard once a second."""

    def __init__(self, directory, proxy):
        self.done = False
        self.totals, self.rate, self.log = {"t": 0, "sent": 0, "ok": 0}, 0, directory / "loadgen.failures"
        with open(self.log, "wb") as failures:
            self.child = subprocess.Popen([sys.executable, pathlib.Path(__file__).with_name("loadgen.py"),
                                           "--target", f"{proxy.address}:{proxy.port}"],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=failures, text=True,
                                          bufsize=1, start_new_session=True)
        self.reader = threading.Thread(target=self.read, args=[directory / "loadgen.json"], daemon=True)
        self.reader.start()

    def read(self, path):
        with open(path, "w", buffering=1) as out:
            for line in self.child.stdout:
                out.write(line)
                now = json.loads(line)
                self.rate = (now["sent"] - self.totals["sent"]) / max(now["t"] - self.totals["t"], 0.001)
                self.totals = now

    def go(self, rate, seconds):
        self.child.stdin.write(f"{rate} {seconds}\n")

    def failed(self):
        return sum(self.totals.get(outcome, 0) for outcome in OUTCOMES)

    def finish(self):
        """Lets the last requests end; Failed when the generator did not account for every request."""
        self.done = True
        self.child.stdin.close()
        self.child.wait(30)
        self.reader.join()
        if self.totals.get("end") != "end of input" or self.totals["ok"] + self.failed() != self.totals["sent"]:
            raise Failed(f"the load generator did not finish: {self.totals}")

    def kill(self):
        procs.kill_group(self.child)


class Killer:
    """kill -9 of the handler that works in the background, in the middle of a scale-up or of a drain."""

    def __init__(self, direction, story):
        self.wanted, self.story, self.armed, self.killed = direction, story, False, None

    def hear(self, life, step):
        """A server took a step: is this the middle of what was asked for?"""
        if self.armed and not self.killed and step == {"up": "asked", "down": "draining"}.get(self.wanted):
            threading.Thread(target=self.kill, args=[life], daemon=True).start()

    def kill(self, life):
        handlers = [pid for pid, name in procs.descendants().items() if name == "nova_scale"]
        for pid in handlers:
            os.kill(pid, signal.SIGKILL)
        if handlers:
            self.killed = life
            self.story.say(f"kill -9 of the handler (pid {', '.join(map(str, handlers))}) while {life.name} is "
                           f"{'being built' if self.wanted == 'up' else 'draining'}")


class Demo:
    def __init__(self, programs, directory, kill_handler):
        self.dir, self.programs = directory, programs
        self.story = Story(directory / "timeline.txt")
        self.killer = Killer(kill_handler, self.story)
        self.http_port, self.snmp_port = procs.free_port(), procs.free_port(socket.SOCK_DGRAM)
        self.fleet = Fleet(directory / "instances", self.http_port, self.snmp_port)
        self.cloud = SimCloud(build_seconds=2.5, delete_seconds=0.5, on_spawn=self.fleet.spawn, on_destroy=self.destroy,
                              log_file=open(directory / "cloud.log", "w", buffering=1))
        self.proxy = HAProxy(directory / "haproxy", "127.0.0.1", procs.free_port())
        self.watch = Watch(self.cloud, self.proxy, self.story, self.on_step)
        self.config = directory / "clusterscale.yaml"
        self.core = Core([programs["check_cluster_cpu"], "-n", CLUSTER, "-f", self.config],
                         [programs["nova_scale"], "-n", CLUSTER, "-f", self.config],
                         CHECK_INTERVAL_S, directory / "core.log", self.on_check)
        self.load = None

    def destroy(self, server):
        if not self.watch.stopping.is_set():
            self.watch.is_deleted(server["name"], server["address"])
        self.fleet.destroy(server["id"])

    # What is told

    def on_step(self, life, step):
        texts = {"asked": "asked for", "active": "ACTIVE in the cloud", "serving": "UP in the running HAProxy",
                 "draining": "draining", "out": "out of the running HAProxy", "gone": "deleted"}
        sign = "+" if step in ("asked", "active", "serving") else "-"
        why = next((why for _, name, action, why in reversed(self.intents()) if name == life.name
                    and action == {"asked": "create", "draining": "delete"}.get(step)), "")
        self.story.say(f"{sign} {life.name}: {texts[step]}{why and ', for: '}{why}")
        self.killer.hear(life, step)

    def on_check(self, state, text, changed):
        if changed:
            self.story.say(f"check_cluster_cpu: {text}")

    def progress(self):
        load = self.core.load
        bar = "" if load is None else "#" * round(load / 5)
        figure = "   ?" if load is None else f"{load:3.0f}%"
        rate, sent, failed = (self.load.rate, self.load.totals["sent"], self.load.failed()) if self.load else (0, 0, 0)
        self.story.say(f"[{bar:<20}] {figure} CPU, {len(self.watch.up)} servers up, {rate:3.0f} requests/s, "
                       f"{sent} sent, {failed} failed")

    # What happens

    def write_files(self):
        for directory in ("state", "instances", "haproxy"):
            (self.dir / directory).mkdir(mode=0o750)
        self.proxy.write_template()
        write_secret(self.dir / "web.community", COMMUNITY + "\n")
        write_secret(self.dir / "clouds.yaml", "clouds:\n" + "".join(
            CLOUD_YAML.format(name=name, url=self.cloud.auth_url, user=user, password=password,
                              project=self.cloud.project.name)
            for name, user, password in (("demo", self.cloud.user.name, self.cloud.user.password),
                                         ("demo-reader", "reader", "readersecret"))))
        self.config.write_text(CLUSTERSCALE_YAML.format(
            dir=self.dir, cluster=CLUSTER, backend=BACKEND, min=MIN, max=MAX, image=self.cloud.image.name,
            network=self.cloud.network.name, snmp_port=self.snmp_port, http_port=self.http_port, proxy=self.proxy,
            sync=self.programs["haproxy_sync"]))
        self.config.chmod(0o640)

    def run(self):
        self.start_parts()
        self.until(lambda: self.watch.at_rest(MIN), START_LIMIT_S, f"{MIN} servers, the minimum, serve")
        self.load = Load(self.dir, self.proxy)
        self.raise_load()
        self.lower_load()
        self.core.stop()
        self.load.finish()
        self.until(lambda: not self.handlers(), SETTLE_LIMIT_S, "the last handler ends")

    def start_parts(self):
        self.write_files()
        self.cloud.start()
        self.story.say(f"a simulated cloud answers on {self.cloud.url}")
        self.proxy.start()
        self.story.say(f"HAProxy serves {self.proxy.address}:{self.proxy.port} and has no servers yet")
        self.watch.start()
        self.core.start()

    def raise_load(self):
        self.go(LOW, 1)
        self.until(lambda: self.load.totals["sent"] >= LOW * LOW_S, 2 * LOW_S, "the load generator gets going")
        self.killer.armed = True
        self.go(HIGH, 6)
        self.until(lambda: self.watch.peak >= ENOUGH_PEAK and self.core.state == "OK" and self.nothing_under_way(),
                   UP_LIMIT_S, f"the cluster grows to {ENOUGH_PEAK} servers or more", lasting_s=STEADY_S)
        self.until(lambda: self.load.totals["sent"] >= REQUESTS_BEFORE_LOW, UP_LIMIT_S, "enough requests under load")

    def lower_load(self):
        self.go(LOW, 4)
        self.until(lambda: self.watch.at_rest(MIN) and self.core.state == "OK", DOWN_LIMIT_S,
                   f"the cluster shrinks to its minimum of {MIN} servers", lasting_s=CHECK_INTERVAL_S + 1)
        self.until(lambda: self.load.totals["sent"] >= MIN_REQUESTS, UP_LIMIT_S, f"{MIN_REQUESTS} requests")

    def go(self, rate, seconds):
        self.story.say(f"load: to {rate} requests/s within {seconds} s")
        self.load.go(rate, seconds)

    def nothing_under_way(self):
        return self.watch.at_rest(len(self.watch.alive()))

    def until(self, condition, limit_s, what, lasting_s=0):
        """Shows the progress until CONDITION has held for LASTING_S; Failed when that takes longer than LIMIT_S."""
        begin = since = shown = self.story.now()
        while True:
            now = self.story.now()
            if not condition():
                since = now
            elif now - since >= lasting_s:
                return
            if now - begin > limit_s:
                raise Failed(f"{what}: not within {limit_s} s")
            if now - shown >= PROGRESS_S:
                self.progress()
                shown = now
            self.check_parts()
            time.sleep(0.1)

    def check_parts(self):
        for name, child in (("HAProxy", self.proxy.child), ("the load generator", self.load and self.load.child)):
            if child and child.poll() is not None and not (self.load and self.load.done):
                raise Failed(f"{name} ended by itself with status {child.returncode}")

    # What it comes to

    @staticmethod
    def handlers():
        """{pid: name} of the programs under test that still run."""
        return {pid: name for pid, name in procs.descendants().items() if name in (program[:15] for program in PROGRAMS)}

    def reasons(self):
        """Why this was no success; nothing when it was one."""
        yield from self.watch.violations + self.fleet.died + self.core.defects[:3]
        if self.load:
            yield from self.load_reasons()
            yield from self.size_reasons()

    def load_reasons(self):
        totals = self.load.totals
        if self.load.failed():
            kinds = ", ".join(f"{totals[outcome]} {outcome}" for outcome in OUTCOMES if totals[outcome])
            yield f"{self.load.failed()} of {totals['sent']} requests failed ({kinds}), see {self.load.log}"
        if totals["sent"] < MIN_REQUESTS:
            yield f"only {totals['sent']} requests were sent, {MIN_REQUESTS} are wanted"

    def size_reasons(self):
        watch = self.watch
        if watch.peak < ENOUGH_PEAK:
            yield f"at most {watch.peak} servers were UP in HAProxy, {ENOUGH_PEAK} were expected"
        if not watch.at_rest(MIN):
            yield (f"at the end the cloud has {len(watch.alive())} servers and {len(watch.up)} of them are UP in HAProxy, "
                   f"the minimum is {MIN}")
        if watch.strangers:
            yield f"HAProxy still has {', '.join(watch.strangers)}, which the cloud has not"
        if self.killer.wanted and not self.killer.killed:
            yield f"the handler was never caught in the middle of a scale-{self.killer.wanted}"

    def end(self):
        """Ends every part, whatever state it is in; the watch first, for what is cut short is no part of the verdict."""
        self.watch.stop()
        self.core.stop()
        for pid in self.handlers():
            kill(pid)
        if self.load:
            self.load.kill()
        self.proxy.end()
        self.cloud.stop()
        self.fleet.destroy_all()
        for pid in procs.descendants():
            kill(pid)
        procs.reap_orphans()

    def tell(self):
        """The timeline: what became of each server, and why the handler acted."""
        self.story.plain("\nEach server, as the cloud and the running HAProxy saw it (minutes:seconds):")
        for line in self.watch.table():
            self.story.plain("  " + line)
        self.story.plain("\nWhy, from the journal:")
        for when, name, action, why in self.intents():
            self.story.plain(f"  {clock(when):>5}  {action} {name}: {why}")
        if self.load and "p99_ms" in self.load.totals:
            totals = self.load.totals
            self.story.plain(f"\nRequests: {totals['sent']} sent, {totals['ok']} ok, {self.load.failed()} failed; "
                             f"{totals['reused']} on connections used before; median {totals['p50_ms']} ms, "
                             f"99 % within {totals['p99_ms']} ms, slowest {totals['max_ms']} ms")
        self.story.plain(f"\nKept: {self.dir}\n  timeline.txt  core.log (checks, handlers)  loadgen.json  cloud.log"
                         f"  haproxy/haproxy.log\n  journal: {self.dir / 'state' / CLUSTER / 'journal'}")

    def intents(self):
        """[(time, name, action, why)] of what the journal says was intended; only told, never judged by."""
        begin = time.time() - self.story.now()
        try:
            lines = (self.dir / "state" / CLUSTER / "journal").read_text().splitlines()
        except OSError:
            return []
        entries = (json.loads(line) for line in lines if line.endswith("}"))
        return [(entry["t"] / 1000 - begin, entry["name"], entry["action"], entry["why"])
                for entry in entries if entry.get("type") == "intent"]

    def verdict(self, trouble):
        reasons = [trouble] * bool(trouble) + list(self.reasons())
        if reasons:
            self.story.plain("\nFAIL: " + "; ".join(reasons))
            return 1
        killed = f", handler killed while {self.killer.killed.name} was under way" if self.killer.killed else ""
        self.story.plain(f"\nPASS: scaled {MIN} -> {self.watch.peak} -> {MIN}, {self.load.totals['sent']:,} requests, 0 failed"
                         f"{killed}, in {clock(self.story.now())}")
        return 0


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def write_secret(path, text):
    path.touch(mode=0o600)
    path.write_text(text)


def find_programs(root):
    """{name: path} of the programs in the tree that they were installed into."""
    found = {path.name: path for path in sorted(root.rglob("*")) if path.name in PROGRAMS and os.access(path, os.X_OK)
             and path.is_file()}
    if missing := [name for name in PROGRAMS if name not in found]:
        raise Failed(f"no {', '.join(missing)} below {root}: build and install first")
    return found


def interrupt(signum, _):
    raise Failed(f"interrupted by {signal.Signals(signum).name}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, type=pathlib.Path, metavar="DIR",
                        help="where `make install` put the programs, searched downwards")
    parser.add_argument("--run-dir", required=True, type=pathlib.Path, metavar="DIR",
                        help="a directory that does not exist or is empty; everything is kept there")
    parser.add_argument("--kill-handler", choices=("up", "down"),
                        help="kill -9 the handler in the middle of the first scale-up under load, or of the first drain")
    return parser.parse_args()


def prepare_run_dir(path):
    path = path.resolve()
    if len(str(path)) > LONGEST_RUN_DIR:
        raise Failed(f"{path}: sockets will lie there, so its path may have {LONGEST_RUN_DIR} characters at most")
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise Failed(f"{path} is not empty")
    return path


def main():
    options = parse_options()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, interrupt)
    procs.adopt_orphans()
    try:
        demo = Demo(find_programs(options.programs.resolve()), prepare_run_dir(options.run_dir), options.kill_handler)
    except (Failed, OSError) as error:
        print(f"FAIL: {error}")
        return 1
    trouble = None
    try:
        demo.run()
    except (Failed, TimeoutError, OSError) as error:
        trouble = str(error)
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        demo.end()
    demo.tell()
    return demo.verdict(trouble)


if __name__ == "__main__":
    sys.exit(main())

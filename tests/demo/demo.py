#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job of clusterscale on real parts, in about two minutes.

A simulated cloud builds and deletes servers (--lab: a real OpenStack does, see ./dev lab); each of them is a real
nginx with a real snmpd on a loopback address of its own. A real HAProxy spreads a load that rises and falls,
check_cluster_cpu measures, nova_scale decides and acts, and haproxy_sync keeps HAProxy in line. Debian's nagios4 is
the core that checks and fires, on the shipped commands and service (--no-core: a small loop plays
its part). What is claimed at the end is what the cloud, the running HAProxy, the load generator
and the core say, not what the programs say of themselves. On a terminal it is one live view,
elsewhere plain lines; a plot of the run stays behind.

Exit code 0: the cluster grew under load and shrank to its minimum, and not one request failed.
1: it did not; the reason is the last line, or with --keep the one before the commands to try.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))

import clouds
import live
import nagios
import plot
import procs
from core import Core
from haproxy import BACKEND, HAProxy
from parts import OUTCOMES, Failed, Killer, Load, Story, by_hand
from watch import Watch, clock

CLUSTER = "web"
PROGRAMS = ("check_cluster_cpu", "check_cluster_drift", "nova_scale", "haproxy_sync")
MIN, MAX = 2, 8
UP_AT, DOWN_AT = 70, 25
CHECK_INTERVAL_S, PROGRESS_S = 3, 5
CAPACITY = 75  # requests/s that keep one instance 100 % busy
# LOW is 28 % of two servers and less than UP_AT of one, as two stay only if one could do. HIGH is more than two or three can serve, 76 % of five, 63 % of six.
LOW, HIGH = 42, 285
LOW_S, STEADY_S = 8, 10
ENOUGH_PEAK, ENOUGH_REQUESTS = 5, 20_500
REQUESTS_BEFORE_LOW = 18_400  # the low load at the end adds the rest
START_LIMIT_S, UP_LIMIT_S, DOWN_LIMIT_S, SETTLE_LIMIT_S = 45, 110, 100, 20
LONGEST_RUN_DIR = 60  # sockets lie below it, and a socket's path has at most 107 characters
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CLUSTERSCALE_YAML = """\
state-dir: {dir}/state
clouds-file: {dir}/clouds.yaml
log-file: {dir}/clusterscale.log
clusters:
  {cluster}:
    mode: act
    cloud: demo
    servers:
      image: {image}
      flavor: {flavor}
      networks: [{network}]
      name: "web-%H%M%S"
    size: {{min: {min}, max: {max}}}
    cpu:
      min-span: 2
      snmp: {{version: 2c, community-file: {dir}/web.community, port: {snmp_port}}}
    policy:
      follow: step
      scale-up-at: {up_at}
      scale-down-at: {down_at}
      cool-down-up: 4
      cool-down-down: 6
    haproxy:
      cloud: demo-reader
      template: {proxy.template}
      config: {proxy.config}
      backend: {backend}
      server: {{port: {http_port}, options: "maxconn 512 check"}}
      master-socket: {proxy.master}
      stats-socket: {proxy.stats}
      state-file: {proxy.state_file}
      state-dir: {dir}/haproxy/state
      drain-timeout: 20
    load-balancers:
      - name: lb1
        sync: [{sync}, -n, {cluster}, -f, {dir}/clusterscale.yaml]
        status: [{sync}, -n, {cluster}, -f, {dir}/clusterscale.yaml, --status]
"""
# The service that notifies, which must disturb nothing.
DRIFT_SERVICE = """\
define service {{
	use                   cluster-drift
	host_name             {host}
	service_description   drift
	_CLUSTER              {cluster}
	_CONFIG               {config}
	check_interval        {interval_s}
	retry_interval        {interval_s}
}}
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
STEP_TEXTS = {"asked": "+ {}: asked for", "active": "+ {}: ACTIVE in the cloud",
              "serving": "+ {}: UP in the running HAProxy", "draining": "- {}: draining",
              "out": "- {}: out of the running HAProxy", "gone": "- {}: deleted"}


class Interrupted(Failed):
    """Somebody wants this to end."""


class Demo:
    def __init__(self, programs, directory, kill_handler, real_core, lab=None):
        self.dir, self.programs, self.load = directory, programs, None
        self.story, self.checks, self.load_began = Story(directory / "timeline.txt"), [], 0
        self.killer = Killer(kill_handler, self.story)
        self.cloud = (clouds.OpenStack(lab, directory, CAPACITY, self.on_delete) if lab else
                      clouds.Simulated(directory, CAPACITY, self.on_delete))
        self.proxy = HAProxy(directory / "haproxy", "127.0.0.1", procs.free_port())
        self.watch = Watch(self.cloud, self.proxy, self.story, self.on_step)
        self.config = directory / "clusterscale.yaml"
        self.core = self.real_core() if real_core else self.small_core()

    def real_core(self):
        """Debian's nagios4; its $USER1$ is the plugins' folder, laid out as installed."""
        plugins = self.programs["check_cluster_cpu"].parent
        if self.programs["nova_scale"] != plugins / "eventhandlers/nova_scale":
            raise Failed(f"no eventhandlers/nova_scale in {plugins}, where Nagios looks for it")
        return nagios.Nagios(self.dir / "nagios", plugins, self.on_check, cluster=CLUSTER,
                      config=self.config, interval_s=CHECK_INTERVAL_S,
                      more_objects=DRIFT_SERVICE.format(host=nagios.HOST, cluster=CLUSTER, config=self.config,
                                                        interval_s=CHECK_INTERVAL_S))

    def small_core(self):
        cluster = ["-n", CLUSTER, "-f", self.config]
        return Core([self.programs["check_cluster_cpu"], *cluster],
                    [self.programs["nova_scale"], *cluster],
                    CHECK_INTERVAL_S, self.dir / "core.log", self.on_check)

    def on_delete(self, name, address):
        """The cloud deletes a server; when the demo itself ends, that proves nothing."""
        if not self.watch.stopping.is_set():
            self.watch.is_deleted(name, address)

    # What is told

    def on_step(self, life, step):
        action = {"asked": "create", "draining": "delete"}.get(step)
        whys = [why for _, name, did, why in self.intents() if (name, did) == (life.name, action)]
        because = f", because {whys[-1]}" if whys else ""
        self.story.say(STEP_TEXTS[step].format(life.name) + because)
        self.killer.hear(life, step)

    def on_check(self, text, changed):
        self.checks.append([round(self.story.now(), 1), self.core.load])
        if changed:
            self.story.say(f"check_cluster_cpu: {text}")

    def progress(self):
        cpu, load = self.core.load, self.load
        bar, figure = ("#" * round(cpu / 5), f"{cpu:3.0f}%") if cpu is not None else ("", "  ? ")
        requests = (f", {load.rate:3.0f} requests/s, {load.totals['sent']} sent, "
                    f"{load.failed()} failed" if load else "")
        self.story.figures(f"[{bar:<20}] {figure} CPU, {len(self.watch.up)} servers up{requests}")

    def scene(self):
        """What the live view shows now."""
        now, load = self.story.now(), self.load
        scene = live.Scene(CLUSTER, clock(now), MIN, MAX, UP_AT, DOWN_AT, self.core.load,
                           self.core.state, [server_now(life, now) for life in self.watch.alive()])
        if load:
            scene.rates = [rate for _, rate, _ in load.seconds]
            scene.sent, scene.failed = load.totals["sent"], load.failed()
        return scene

    def write_plot(self):
        """The run as figures (run.json) and as a picture (run.svg)."""
        events = self.intents()
        if self.killer.victim:
            events.append((self.killer.when, self.killer.victim.name, "kill", ""))
        run = {"cluster": CLUSTER, "up_at": UP_AT, "down_at": DOWN_AT, "min": MIN, "max": MAX,
               "end": self.story.now(), "sent": self.load.totals["sent"] if self.load else 0,
               "checks": self.checks,
               "requests": [[self.load_began + t, *rest] for t, *rest in self.load.seconds]
               if self.load else [],
               "servers": [life_times(life) for life in self.watch.lives.values()],
               "events": [[t, action, name, why] for t, name, action, why in events]}
        (self.dir / "run.json").write_text(json.dumps(run, indent=1) + "\n")
        (self.dir / "run.svg").write_text(plot.draw(run))

    def intents(self):
        """[(time, name, action, why)] of the journal's intents; told, never judged by."""
        begin = time.time() - self.story.now()
        try:
            lines = (self.dir / "state" / CLUSTER / "journal").read_text().splitlines()
        except OSError:
            return []
        entries = (json.loads(line) for line in lines if line.endswith("}"))
        return [(entry["t"] / 1000 - begin, *(entry.get(key) for key in ("name", "action", "why")))
                for entry in entries if entry.get("type") == "intent"]

    # What happens

    def write_files(self):
        for directory in ("state", "instances", "haproxy", "haproxy/state"):
            (self.dir / directory).mkdir(mode=0o750)
        self.proxy.write_template()
        write_secret(self.dir / "web.community", self.cloud.community + "\n")
        write_secret(self.dir / "clouds.yaml", "clouds:\n" + "".join(
            CLOUD_YAML.format(name=name, url=self.cloud.auth_url, user=user, password=password,
                              project=self.cloud.project) for name, (user, password) in self.cloud.logins.items()))
        self.config.write_text(CLUSTERSCALE_YAML.format(
            dir=self.dir, cluster=CLUSTER, backend=BACKEND, min=MIN, max=MAX, proxy=self.proxy,
            image=self.cloud.image, network=self.cloud.network, flavor=self.cloud.flavor,
            up_at=UP_AT, down_at=DOWN_AT,
            snmp_port=self.cloud.snmp_port, http_port=self.cloud.http_port,
            sync=self.programs["haproxy_sync"]))
        self.config.chmod(0o640)

    def run(self):
        self.start_parts()
        self.until(lambda: self.watch.at_rest(MIN), START_LIMIT_S,
                   f"the cluster has its minimum of {MIN} servers")
        self.load_began = self.story.now()
        self.load = Load(self.dir, f"{self.proxy.address}:{self.proxy.port}")
        self.raise_load()
        self.lower_load()
        self.load.finish()

    def settle(self):
        self.core.stop()
        self.until(lambda: not self.handlers(), SETTLE_LIMIT_S, "the last handler ends")

    def keep(self):
        """The verdict; then everything stays up for whoever wants to try things, until a signal."""
        self.write_plot()
        self.tell()
        code = self.verdict(None)
        for line in by_hand(self):
            self.story.plain(line)
        try:
            while True:
                signal.pause()
        except Interrupted as error:
            self.story.say(f"{error}: ending everything")
        return code

    def start_parts(self):
        self.cloud.start()
        self.write_files()
        self.story.say(f"{self.cloud.title} answers on {self.cloud.url}")
        self.proxy.start()
        self.story.say(f"HAProxy serves {self.proxy.address}:{self.proxy.port}, without servers")
        self.watch.start()
        self.core.start()
        self.story.say(f"the core: {self.core.title}, a check every {CHECK_INTERVAL_S} s")

    def raise_load(self):
        self.go(LOW, 1)
        self.until(self.sent(LOW * LOW_S), 3 * LOW_S, "the load generator gets going")
        self.killer.armed = True
        self.go(HIGH, 6)
        self.until(self.is_large_and_calm, UP_LIMIT_S,
                   f"the cluster grows to {ENOUGH_PEAK} servers or more", lasting_s=STEADY_S)
        self.until(self.sent(REQUESTS_BEFORE_LOW), UP_LIMIT_S, "enough requests at a high load")

    def lower_load(self):
        self.go(LOW, 4)
        self.until(lambda: self.watch.at_rest(MIN) and self.core.state == "OK", DOWN_LIMIT_S,
                   f"the cluster shrinks to its minimum of {MIN}", lasting_s=CHECK_INTERVAL_S + 1)
        self.until(self.sent(ENOUGH_REQUESTS), UP_LIMIT_S, f"{ENOUGH_REQUESTS} requests are sent")
        self.until(self.agrees, SETTLE_LIMIT_S, "check_cluster_drift finds nothing")

    def agrees(self):
        done = subprocess.run([self.programs["check_cluster_drift"], "-n", CLUSTER, "-f", self.config],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            self.story.say(f"check_cluster_drift: {done.stdout.partition(' | ')[0]}")
        return done.returncode == 0

    def go(self, rate, seconds):
        self.story.say(f"load: to {rate} requests/s within {seconds} s")
        self.load.go(rate, seconds)

    def sent(self, n):
        return lambda: self.load.totals["sent"] >= n

    def is_large_and_calm(self):
        size = len(self.watch.alive())
        return size >= ENOUGH_PEAK and self.core.state == "OK" and self.watch.at_rest(size)

    def until(self, condition, limit_s, what, lasting_s=0):
        """Shows progress until CONDITION has held for LASTING_S; Failed after LIMIT_S, or longer where the cloud is slow."""
        limit_s *= self.cloud.SLOWNESS
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
        parts = [("HAProxy", self.proxy.child)]
        if self.load and not self.load.done:
            parts.append(("the load generator", self.load.child))
        for name, child in parts:
            if child.poll() is not None:
                raise Failed(f"{name} ended by itself with status {child.returncode}")
        core_lives = self.core.is_alive() or self.core.stopping.is_set()
        if not (self.watch.is_alive() and self.cloud.is_alive() and core_lives):
            raise Failed("a thread of the demo itself ended, see its traceback above")

    def end(self):
        """Ends every part; the watch first, for what is cut short is no part of the verdict."""
        self.watch.stop()
        self.core.stop()
        for pid in self.handlers():
            kill(pid)
        if self.load:
            self.load.kill()
        self.proxy.end()
        self.cloud.stop()
        for pid in procs.descendants():
            kill(pid)
        procs.reap_orphans()

    @staticmethod
    def handlers():
        """The programs under test that still run, by pid."""
        return [pid for pid, name in procs.descendants().items()
                if name in (program[:procs.NAME_LENGTH] for program in PROGRAMS)]

    # What it comes to

    def reasons(self):
        """Why this was no success; nothing when it was one."""
        yield from self.watch.violations + self.cloud.trouble() + self.core.defects[:3]
        if self.load:
            yield from self.load_reasons()
            yield from self.size_reasons()
            yield from self.core_reasons()

    def core_reasons(self):
        """The core itself has to say that it fired our handler for both directions."""
        for state in ("CRITICAL", "WARNING"):
            if state not in self.core.fired():
                yield f"the core never fired nova_scale for {state}, see {self.core.log_path}"

    def load_reasons(self):
        totals, failed = self.load.totals, self.load.failed()
        if failed:
            kinds = ", ".join(f"{totals[kind]} {kind}" for kind in OUTCOMES if totals[kind])
            yield f"{failed} of {totals['sent']} requests failed ({kinds}), see {self.load.log}"
        if totals["sent"] < ENOUGH_REQUESTS:
            yield f"only {totals['sent']} requests were sent, {ENOUGH_REQUESTS} are wanted"

    def size_reasons(self):
        watch = self.watch
        if watch.peak < ENOUGH_PEAK:
            yield f"at most {watch.peak} servers were UP in HAProxy, {ENOUGH_PEAK} were expected"
        if not watch.at_rest(MIN):
            yield (f"at the end the cloud has {len(watch.alive())} servers and {len(watch.up)} of "
                   f"them are UP in HAProxy, the minimum is {MIN}")
        if watch.strangers:
            yield f"HAProxy still has {', '.join(watch.strangers)}, which the cloud has not"
        if self.killer.direction and not self.killer.victim:
            yield f"no handler was caught in the middle of a scale-{self.killer.direction}"

    def tell(self):
        """The timeline: what became of each server, and why the handler acted."""
        say = self.story.plain
        say("\nEach server, as the cloud and the running HAProxy had it (minutes:seconds):")
        for line in self.watch.table():
            say("  " + line)
        say("\nWhy, from the journal:")
        for when, name, action, why in self.intents():
            say(f"  {clock(when):>5}  {action} {name}: {why}")
        if self.load and "p99_ms" in self.load.totals:
            say("\nRequests: {sent} sent, {ok} ok; {reused} of them on connections used before; "
                "median {p50_ms} ms, 99 % within {p99_ms} ms, slowest {max_ms} ms"
                .format(**self.load.totals))
        say(f"\nKept in {self.dir}:\n"
            f"  {'run.svg':<20} a plot of this run, drawn from run.json\n"
            f"  {'timeline.txt':<20} these lines\n"
            f"  {str(self.core.log_path.relative_to(self.dir)):<20} {self.core.log_holds}\n"
            f"  {'clusterscale.log':<20} what nova_scale logged\n"
            f"  {'state/' + CLUSTER + '/journal':<20} every intent and its result\n"
            f"  {'cloud.log':<20} requests to the cloud, or what a real one lists\n"
            f"  {'haproxy/':<20} haproxy.log, the template and what became of it\n"
            f"  {'loadgen.json':<20} totals of the load generator, second by second")

    def verdict(self, trouble):
        reasons = [str(trouble)] if trouble else []
        if not isinstance(trouble, Interrupted):
            reasons += self.reasons()
        if reasons:
            self.story.plain("\nFAIL: " + "; ".join(reasons))
            return 1
        victim = self.killer.victim
        killed = (f"handler killed while {victim.name} was {self.killer.doing()}, "
                  if victim else "")
        self.story.plain(
            f"\nPASS: scaled {MIN} -> {self.watch.peak} -> {MIN}, {killed}"
            f"{self.load.totals['sent']:,} requests, 0 failed, {clock(self.story.now())} minutes")
        return 0


def server_now(life, now):
    state, since = "being built", life.asked
    for step, name in (("active", "starting"), ("serving", "serving"), ("draining", "draining"),
                       ("out", "leaving")):
        if (begin := getattr(life, step)) is not None:
            state, since = name, begin
    return live.Server(life.name, life.address or "", state, now - since, life.sessions)


def life_times(life):
    return {"name": life.name} | {step: getattr(life, step)
                                  for step in ("asked", "serving", "draining", "gone")}


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
    found = {path.name: path for path in sorted(root.rglob("*"))
             if path.name in PROGRAMS and path.is_file() and os.access(path, os.X_OK)}
    if missing := [name for name in PROGRAMS if name not in found]:
        raise Failed(f"no {', '.join(missing)} below {root}: build and install first")
    return found


def prepare_run_dir(path):
    path = path.resolve()
    if len(str(path)) > LONGEST_RUN_DIR:
        raise Failed(f"{path} has more than {LONGEST_RUN_DIR} characters: too long for sockets")
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise Failed(f"{path} is not empty")
    return path


def interrupt(signum, _):
    raise Interrupted(f"interrupted by {signal.Signals(signum).name}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, type=pathlib.Path, metavar="DIR",
                        help="where `make install` put the programs, searched downwards")
    parser.add_argument("--run-dir", required=True, type=pathlib.Path, metavar="DIR",
                        help="an empty or new directory; everything is kept there")
    parser.add_argument("--no-core", action="store_true",
                        help="a small loop plays the core's part instead of nagios4")
    parser.add_argument("--keep", action="store_true",
                        help="leave everything up at the end, until Ctrl-C or SIGTERM, and print "
                             "commands to try by hand")
    parser.add_argument("--lab", type=pathlib.Path, metavar="DIR",
                        help="the real OpenStack of ./dev lab that is up in DIR instead of the simulated cloud")
    parser.add_argument("--kill-handler", choices=("up", "down"),
                        help="kill -9 the handler while the first server under load is built, or "
                             "while the first one drains")
    parser.add_argument("--plain", action="store_true",
                        help="lines instead of the live view, as where there is no terminal")
    return parser.parse_args()


def set_up(options):
    if os.geteuid() == 0:
        raise Failed("nothing here needs root, and haproxy_sync takes no -f from it: "
                     "run this as an ordinary user")
    if not options.no_core and not nagios.installed():
        raise Failed(f"needs {nagios.PROGRAM}, which is not installed (Debian: nagios4-core); "
                     "--no-core does without it")
    return Demo(find_programs(options.programs.resolve()), prepare_run_dir(options.run_dir),
                options.kill_handler, not options.no_core, options.lab)


def main():
    options = parse_options()
    try:
        demo = set_up(options)
    except (Failed, OSError) as error:
        print(f"FAIL: {error}")
        return 1
    procs.adopt_orphans()
    for signum in SIGNALS:
        signal.signal(signum, interrupt)
    trouble = code = None
    use_live = not options.plain and live.wanted(sys.stdout)
    try:
        with live.shown(demo.scene, demo.story) if use_live else contextlib.nullcontext():
            demo.run()
            if not options.keep:
                demo.settle()
        if options.keep:
            code = demo.keep()
    except (Failed, TimeoutError, OSError) as error:
        trouble = error
    finally:
        for signum in SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        demo.end()
    if code is not None:
        return code
    demo.write_plot()
    demo.tell()
    return demo.verdict(trouble)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""What nova_scale needs around it: the simulated cloud, a service port per server, load balancers as small
commands with their own view of the cloud, measurements, and the program as a core or a person starts it."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1] / "fakes"), str(HERE.parents[1] / "demo")]
import journal_lines  # noqa: E402
import procs  # noqa: E402
from simcloud import SimCloud  # noqa: E402

BUILD = pathlib.Path(os.environ.get("top_builddir", HERE.parents[2] / "build"))
PROGRAM = BUILD / "handlers/nova_scale"
SECRETS = ("labsecret", "readersecret")
# What a core gives its handler; no HOME, as in Nagios, Icinga and Zabbix.
POOR = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

CONFIG = """\
state-dir: {dir}/state
clouds-file: {dir}/clouds.yaml
log-file: {dir}/log
clusters:
  web:
    mode: {mode}
    cloud: sim
    servers:
      image: {image}
      flavor: m1.small
      networks: [private]
      name: "{name}"
      adopt-image: {adopt}
      build-timeout: {build_timeout}
      {servers}
    size: {{min: {min}, max: {max}}}
    cpu:
      min-span: {min_span}
      snmp: {{version: 2c, community-file: {dir}/community, port: {snmp_port}}}
    policy: {{follow: step, scale-up-at: 70, scale-down-at: 10, step-up: {step_up}, cool-down-up: {cool_up}, cool-down-down: {cool_down},
      creates-per-hour: {creates}, deletes-per-hour: {deletes}}}
    {rolling}
    haproxy:
      template: {dir}/haproxy.cfg.template
      config: {dir}/haproxy.cfg
      backend: web
      server: {{port: {port}}}
      master-socket: {dir}/master.sock
      stats-socket: {dir}/stats.sock
      drain-timeout: 300
    load-balancers: [{lbs}]
"""
CLOUDS = """\
clouds:
  sim:
    auth: {{auth_url: {url}, username: {user}, password: {password},
      user_domain_name: Default, project_name: {project}, project_domain_name: Default}}
"""
# A load balancer in a few lines: what is marked drains while FOLDER/hold exists, FOLDER/fail breaks it.
LOAD_BALANCER = """\
#!/usr/bin/python3
import json, os, sys, time, urllib.request
folder = {folder!r}
with open(folder + "/calls", "a") as calls:
    calls.write("x")
if os.path.exists(folder + "/fail"):
    sys.exit("this load balancer is broken")
taken = int(time.time() * 1000)
with urllib.request.urlopen({url!r} + "/servers") as reply:
    servers = [s for s in json.load(reply)["servers"] if s["status"] == "ACTIVE" and not s["task_state"]]
marked = [s["id"] for s in servers if "clusterscale.draining" in s["metadata"]]
held = os.path.exists(folder + "/hold")
try:
    with open(folder + "/sessions") as file:
        sessions = json.load(file)  # {{name of a server: its sessions}}
except FileNotFoundError:
    sessions = {{}}
print("what -v says")
print(json.dumps({{"lb": {name!r}, "list_taken": taken,
                  "serving": [s["id"] for s in servers if s["id"] not in marked],
                  "sessions": {{s["id"]: sessions[s["name"]] for s in servers
                               if s["id"] not in marked and s["name"] in sessions}},
                  "draining": [{{"id": id, "sessions": 3}} for id in marked if held],
                  "drained": [id for id in marked if not held]}}))
sys.exit(1 if held and marked else 0)
"""


def wait_until(condition, what, timeout=60):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)


class Ports:
    """The service port of each server, on its own address."""

    def __init__(self):
        self.port, self.sockets = procs.free_port(), {}

    def open(self, server):
        self.close(server)  # addresses are used again
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((server["address"], self.port))
        listener.listen(50)
        self.sockets[server["address"]] = listener

    def close(self, server):
        if server["address"] in self.sockets:
            self.sockets.pop(server["address"]).close()


class Lab:
    def __init__(self, folder, lbs=2, cidr="127.18.0.0/24", cloud=None, **given):
        self.dir, self.ports = folder, Ports()
        self.cloud = SimCloud(build_seconds=0.3, delete_seconds=0.2, cidr=cidr, on_spawn=self.ports.open,
                              on_destroy=self.ports.close, **(cloud or {})).start()
        self.state = folder / "state/web"
        self.state.mkdir(parents=True)
        self.lbs = [self.make_lb(f"lb{i + 1}") for i in range(lbs)]
        self.write_config(**given)
        self.write_clouds()
        self.fired = []

    def close(self):
        for pid in self.handlers():
            os.kill(pid, signal.SIGKILL)
        self.cloud.stop()
        for listener in self.ports.sockets.values():
            listener.close()

    def write_clouds(self, password="labsecret", project="cluster"):
        path = self.dir / "clouds.yaml"
        path.write_text(CLOUDS.format(url=self.cloud.auth_url, user="cluster", password=password, project=project))
        path.chmod(0o600)

    def write_config(self, **given):
        fields = {"mode": "act", "image": "rails-snapshot", "name": "web", "adopt": "false", "build_timeout": 600,
                  "min": 2, "max": 5, "step_up": 1, "cool_up": 0, "cool_down": 0, "creates": 20, "deletes": 20,
                  "min_span": 10, "snmp_port": 161, "rolling": "", "servers": "", **given}
        community = self.dir / "community"
        community.write_text("public\n")
        community.chmod(0o600)
        lbs = ", ".join(f"{{name: {lb.name}, sync: [{lb}/sync, -n, web]}}" for lb in self.lbs)
        (self.dir / "clusterscale.yaml").write_text(
            CONFIG.format(dir=self.dir, port=self.ports.port, lbs=lbs, **fields))

    def make_lb(self, name):
        folder = self.dir / name
        folder.mkdir()
        (folder / "sync").write_text(
            LOAD_BALANCER.format(folder=str(folder), url=self.cloud.control_url, name=name))
        (folder / "sync").chmod(0o755)
        return folder

    # The program

    def run(self, *arguments, program=PROGRAM, timeout=150):
        """(exit status, stdout, stderr) of a run by hand."""
        done = subprocess.run([program, "-n", "web", "-f", self.dir / "clusterscale.yaml", *arguments], env=POOR,
                              cwd="/", capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        for secret in SECRETS:
            assert secret not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def fire(self, state, program=PROGRAM):
        """As a core does it; the work goes on in the background."""
        return self.run("--state", state, "--state-type", "HARD", "--attempt", "1", program=program)

    def is_handler(self, pid):
        """Whether it is one of this lab's programs that is running; what has ended has no command line."""
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return words[0].endswith(b"nova_scale") and f"{self.dir}/".encode() in b" ".join(words)

    def handlers(self):
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and self.is_handler(name)]

    def settle(self, timeout=120):
        found = []

        def all_gone():
            nonlocal found  # to look through all of /proc costs more than what is waited for
            found = [pid for pid in found if self.is_handler(pid)] or self.handlers()
            return not found

        wait_until(all_gone, "the handlers end", timeout)

    # The world

    def servers(self):
        with self.cloud.lock:
            return [s.summary() for s in self.cloud.servers.values()]

    def ours(self):
        return [s for s in self.servers() if s["metadata"].get("clusterscale.cluster") == "web"]

    def add(self, count=1, name="old", published=True, age=3600, **fields):
        """Servers of the cluster that have been in service for long."""
        added = []
        for _ in range(count):
            server = self.cloud.add_server(name, age=age, metadata={"clusterscale.cluster": "web"},
                                           tags=["clusterscale:web"], **fields)
            self.ports.open(server.summary())
            if published:
                self.note(type="published", server_id=server.id)
            added.append(server.id)
        return added

    def replace_image(self):
        """Another snapshot by the same name; the id of the one before."""
        before = self.cloud.images.pop(self.cloud.image.id)
        self.cloud.image = self.cloud.add_image(before.name)
        return before.id

    def stamp(self, ago=0):
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return {"t": int((time.time() - ago) * 1000), "bt": int((time.clock_gettime(time.CLOCK_BOOTTIME) - ago) * 1000),
                "boot": boot}

    def note(self, ago=1000, **line):
        """A line of the journal, as if written long ago."""
        journal_lines.append(self.state / "journal", {**self.stamp(ago), "run": "test", **line})

    def measure(self, load, ago=0, servers=None, sampled=None):
        servers = len(self.ours()) if servers is None else servers
        with open(self.state / "history", "a") as history:
            history.write(json.dumps({**self.stamp(ago), "load_permille": load, "servers": servers, "missing": 0,
                                      "sampled": servers if sampled is None else sampled, "warming": 0}) + "\n")

    def sample(self, id, load, ago=0, cpus=2, span=60):
        """What check_cluster_cpu keeps of a server that was LOAD permille busy; None: its first sample."""
        def one(ago, user, idle):
            at = self.stamp(ago)
            return f" {at['t']} {at['bt']} {at['boot']} {at['bt'] // 10} {cpus} {user} 0 0 {idle} 0 0 0 0 0"

        ticks = 100 * cpus * span
        older = "" if load is None else one(ago + span, 1000, 1000)
        newer = one(ago, 1000 + ticks * (load or 0) // 1000, 1000 + ticks * (1000 - (load or 0)) // 1000)
        with open(self.state / "samples", "a") as samples:
            samples.write(id + newer + older + "\n")

    def journal(self, **wanted):
        """The lines of the journal with these members."""
        try:
            text = (self.state / "journal").read_text()
        except FileNotFoundError:
            return []
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]

    def open_ops(self):
        done = {line["op"] for line in self.journal(type="result")}
        return [line for line in self.journal(type="intent") if line["op"] not in done]

    def creates(self):
        return self.cloud.requests("POST", r"/servers$")

    def deletes(self):
        return self.cloud.requests("DELETE", r"/servers/[^/]*$")

    def log(self):
        return (self.dir / "log").read_text()

    def check_settled(self, count):
        """COUNT servers, all in service, nothing open, nothing marked."""
        assert self.open_ops() == []
        assert [s["status"] for s in self.ours()] == ["ACTIVE"] * count
        published = {line["server_id"] for line in self.journal(type="published")}
        for server in self.ours():
            assert server["id"] in published
            assert "clusterscale.draining" not in server["metadata"]
            assert server["tags"] == ["clusterscale:web"]

    def install(self, check):
        """The program as installed, with the text CHECK as the plugin beside the handlers' folder."""
        plugins = self.dir / "plugins"
        (plugins / "eventhandlers").mkdir(parents=True, exist_ok=True)
        shutil.copy(PROGRAM, plugins / "eventhandlers/nova_scale")
        (plugins / "check_cluster_cpu").write_text(check)
        (plugins / "check_cluster_cpu").chmod(0o755)
        return plugins / "eventhandlers/nova_scale"


@pytest.fixture
def make_lab(tmp_path):
    labs = []

    def make(**given):
        folder = tmp_path / str(len(labs))
        folder.mkdir()
        labs.append(Lab(folder, **given))
        return labs[-1]

    yield make
    for one in labs:
        one.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


HINT = "The next firing may undo this; to keep it: nova_scale -n web --pause\n"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def plain(text):
    """Text with what differs from run to run replaced: ids, addresses, ages, times."""
    text = re.sub(UUID, "ID", text)
    text = re.sub(r"127\.18\.\d+\.\d+", "ADDRESS", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    text = re.sub(r"\b\d+ (s|min|h) (ago|old)\b", r"N \1 \2", text)
    text = re.sub(r"\b\d+ s after its mark\b", "N s after its mark", text)
    return re.sub(r"\bafter \d+ s\b", "after N s", text)

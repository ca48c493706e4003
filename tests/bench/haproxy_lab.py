# SPDX-License-Identifier: GPL-3.0-or-later
"""What `./dev bench haproxy` measures on: a simulated cloud, real nginx on loopback addresses, a real HAProxy under the
shipped template with haproxy_sync, and beside it one that is changed the naive way. Nothing here needs rights: started by
root, HAProxy and haproxy_sync run as nobody."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "fakes"), str(TESTS / "demo")]

import procs  # noqa: E402
from haproxy import HAProxy, ask  # noqa: E402
from simcloud import SimCloud  # noqa: E402

NOBODY = 65534
UNPRIVILEGED = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/",
         **UNPRIVILEGED}
FAILURES = ("refused", "reset", "stale", "timeout", "short", "non2xx", "other")
PAUSE_S = 0.2  # between two runs of haproxy_sync that wait for a drain

CONFIG = """\
state-dir: {dir}/state
clouds-file: {dir}/clouds.yaml
clusters:
  web:
    cloud: reader
    servers: {{image: rails-snapshot, flavor: m1.small, networks: [private], name: web}}
    size: {{min: 1, max: 10000}}
    haproxy:
      template: {dir}/haproxy.cfg.template
      config: {dir}/haproxy.cfg
      backend: web
      server: {{port: {port}, options: "{options}"}}
      master-socket: {dir}/master.sock
      stats-socket: {dir}/admin.sock
      state-file: {dir}/server-state
      state-dir: {dir}/sync
      drain-timeout: 60
      {more}
"""
CLOUDS = """\
clouds:
  reader:
    auth: {{auth_url: {url}, username: reader, password: readersecret, project_name: cluster,
      user_domain_name: Default, project_domain_name: Default}}
"""
# A page of 3000 bytes; /2s takes two seconds, as each kilobyte begun takes one.
NGINX = """\
{user}
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 75s;
    keepalive_requests 1000000;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{
        {listen}
        root {dir}/www;
        location /2s {{ limit_rate 1k; sendfile_max_chunk 1k; }}
    }}
}}
"""
# What a how-to of ten years ago has: no option of the shipped template that is there for a measured reason.
NAIVE = """\
global
    maxconn 4000
    stats socket {stats} mode 600 level admin
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend www
    bind 127.0.0.1:{port}
    default_backend web
backend web
    balance roundrobin
{cookie}{servers}"""


class Web:
    """An nginx that answers on ADDRESSES ("*" for every address of this machine)."""

    def __init__(self, folder, addresses, port):
        self.dir = folder
        for part in ("www", "tmp"):
            (folder / part).mkdir(parents=True)
        for page, size in (("index.html", 3000), ("2s", 2000)):
            (folder / "www" / page).write_text("." * (size - 1) + "\n")
        listen = "\n".join(f"listen {address}:{port} backlog=1024;" for address in addresses)
        (folder / "nginx.conf").write_text(NGINX.format(
            dir=folder, listen=listen, user="user root;" if os.geteuid() == 0 else ""))
        self.child = procs.spawn(["nginx", "-e", folder / "nginx-error.log", "-c", folder / "nginx.conf"],
                                 folder / "nginx.log")

    def kill(self):
        """As when a cloud deletes the machine."""
        procs.kill_group(self.child)
        shutil.rmtree(self.dir)


class Lab:
    def __init__(self, build, options="maxconn 512 check", template=lambda text: text, more=""):
        """`template` changes the shipped one; `more` is a line for the cluster's haproxy section."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cs-bench-"))
        self.dir.chmod(0o755)
        shutil.copy(build / "handlers/haproxy_sync", self.dir)
        self.cloud = SimCloud(cidr="127.18.0.0/16", reader_password="readersecret").start()
        self.port, self.web_port, self.options = procs.free_port(), procs.free_port(), options
        self.webs, self.names, self.failures = {}, 0, []  # of haproxy_sync: what it said
        self.proxy = HAProxy(self.dir, "127.0.0.1", self.port)
        self.proxy.write_template()
        for path in (self.proxy.template, self.proxy.config):
            path.write_text(template(path.read_text()))
        self.write_config(more)
        self.naive = Naive(self)

    def write_config(self, more):
        self.yaml = self.dir / "clusterscale.yaml"
        self.yaml.write_text(CONFIG.format(dir=self.dir, port=self.web_port, options=self.options, more=more))
        clouds = self.dir / "clouds.yaml"
        clouds.touch(mode=0o600)
        clouds.write_text(CLOUDS.format(url=self.cloud.auth_url))
        (self.dir / "sync").mkdir(mode=0o750)
        if UNPRIVILEGED:
            for path in (self.dir, *self.dir.iterdir()):
                os.chown(path, NOBODY, NOBODY)

    def __enter__(self):
        self.proxy.start(**UNPRIVILEGED)
        return self

    def __exit__(self, *exc):
        self.naive.end()
        self.proxy.end()
        for web in self.webs.values():
            web.kill()
        self.cloud.stop()
        shutil.rmtree(self.dir)

    # Servers

    def add(self, count=1, serve=True, name="web"):
        """New servers, ACTIVE in the cloud; with `serve` each has an nginx of its own that answers."""
        added = []
        for _ in range(count):
            self.names += 1
            added.append(self.cloud.add_server(f"{name}{self.names}", age=100000 - self.names,
                                               metadata={"clusterscale.cluster": "web"}))
            if serve:
                self.serve(added[-1].id, [added[-1].address])
        if serve:
            for server in added:
                procs.wait_until(lambda: answers(server.address, self.web_port), 10, f"nginx on {server.address} starts")
        return added

    def serve(self, key, addresses):
        self.webs[key] = Web(self.dir / f"web-{key[:8]}-{self.names}", addresses, self.web_port)

    def servers(self):
        return list(self.cloud.servers.values())

    def kill(self, server):
        self.webs.pop(server.id).kill()

    def mark(self, server):
        self.cloud.change_server(server.id, metadata={
            **server.metadata, "clusterscale.draining": str(int(time.time() * 1000))})

    def forget(self, server):
        self.cloud.lifecycle.forget(server)

    # haproxy_sync

    def argv(self, *arguments):
        return [self.dir / "haproxy_sync", "-n", "web", "-f", self.yaml, *arguments]

    def sync(self):
        """(report or None, seconds from the last byte of the cloud to the end of the program)"""
        done = subprocess.run(self.argv(), stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
                              timeout=60, **UNPRIVILEGED)
        after = time.monotonic() - self.cloud.server.last_sent
        if done.returncode not in (0, 1):
            self.failures.append(done.stderr)
        return (json.loads(done.stdout.splitlines()[-1]) if done.stdout else None), after

    def await_report(self, condition, what, limit_s=120):
        """Runs haproxy_sync until its report is as wanted, as nova_scale does."""
        def reported():
            report, _ = self.sync()
            return report and condition(report)
        try:
            procs.wait_until(reported, limit_s, what, PAUSE_S)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; haproxy_sync: {self.failures[-1:]}") from None

    def settle(self):
        """Until every server that the cloud has is in service."""
        self.await_report(lambda report: len(report["serving"]) == len(self.cloud.servers),
                          "every server is in service")

    def drain(self, *servers):
        """Marks and waits until haproxy_sync says that they may go."""
        for server in servers:
            self.mark(server)
        ids = {server.id for server in servers}
        self.await_report(lambda report: ids <= set(report["drained"]), f"{len(ids)} servers are drained")

    # HAProxy

    def reload(self):
        """As an administrator does it, for a reason of their own."""
        before = self.reloads()
        ask(self.proxy.master, "reload")
        procs.wait_until(lambda: self.reloads() > before, 10, "HAProxy reloads", 0.02)

    def reloads(self):
        """How often the master has reloaded; -1 while it is away."""
        try:
            lines = ask(self.proxy.master, "show proc").splitlines()
        except OSError:
            return -1
        return next((int(re.split(r"\s+", line)[2]) for line in lines if " master " in line), -1)

    def crashes(self):
        """(what HAProxy died of, old workers that died). HAProxy 2.6 now and then crashes when an old
        worker has ended its last session and exits, after reloads by hand as well; no request is lost by that."""
        log = (self.dir / "haproxy.log").read_text(errors="replace")
        died = re.findall(r".*exited with code (?!0 |130|143)\d+.*", log)
        old = [line for line in died if "Former worker" in line]
        master = self.proxy.child.poll()
        return [line for line in died if line not in old] + ([f"master: {master}"] if master is not None else []), old


class Naive:
    """The article's way: write the file, cp, `haproxy -sf $(cat pid)`, and hope."""

    def __init__(self, lab):
        self.lab, self.port, self.cookie = lab, procs.free_port(), ""
        self.config, self.pid_file, self.stats = (lab.dir / f"naive.{end}" for end in ("cfg", "pid", "sock"))

    def write(self, servers):
        lines = "".join(f"    server {s.name} {s.address}:{self.lab.web_port} check{self.server_cookie(s)}\n"
                        for s in servers)
        new = self.lab.dir / "naive.cfg.new"
        new.write_text(NAIVE.format(stats=self.stats, port=self.port, cookie=self.cookie, servers=lines))
        shutil.copy(new, self.config)

    def server_cookie(self, server):
        return f" cookie {server.name}" if self.cookie else ""

    def argv(self):
        old = self.pid_file.read_text().split() if self.pid_file.exists() else []
        return ["haproxy", "-D", "-f", self.config, "-p", self.pid_file, *(["-sf", *old] if old else [])]

    def apply(self, servers):
        self.write(servers)
        subprocess.run(self.argv(), check=True, **QUIET)

    def processes(self):
        """pids of the HAProxies that run on this configuration, old ones included."""
        return [pid for pid, name in procs.descendants().items()
                if name == "haproxy" and str(self.config) in command_line(pid)]

    def end(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)


class Load:
    """load_client as a child; `streams` are its words."""

    def __init__(self, build, port, *streams):
        self.argv = [str(build / "tests/bench/load_client"), f"127.0.0.1:{port}", *streams]
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.child.terminate()
        out, complaints = self.child.communicate(timeout=60)
        self.streams, self.complaints = json.loads(out), complaints.splitlines()
        self.seconds = self.streams.pop("seconds")

    def total(self, *kinds):
        return sum(stream[kind] for stream in self.streams.values() for kind in kinds)

    sent = property(lambda self: self.total("sent"))
    failed = property(lambda self: self.total(*FAILURES))
    slow = property(lambda self: self.total("slow"))
    late = property(lambda self: self.total("late"))


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def answers(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False

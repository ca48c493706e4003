# SPDX-License-Identifier: GPL-3.0-or-later
"""A load balancer to try haproxy_sync on: a simulated cloud, web servers, and a real HAProxy in master-worker mode.

All of it runs without rights: started by root, HAProxy and haproxy_sync run as nobody.
"""
import csv
import http.server
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "fakes"), str(TESTS / "demo")]

import procs  # noqa: E402
from haproxy import ask  # noqa: E402
from simcloud import SimCloud  # noqa: E402
from simcloud_http import Threads  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("top_builddir", TESTS.parent / "build")) / "handlers" / "haproxy_sync"
NOBODY = 65534
UNPRIVILEGED = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}

TEMPLATE = """\
global
    stats socket {dir}/admin.sock mode 600 level admin expose-fd listeners
{state_file}\
defaults
    mode http
    load-server-state-from-file {state_from}
    option idle-close-on-response
    option redispatch 1
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive {keep_alive}
frontend www
    bind 127.0.0.1:{port}
    default_backend web
backend web
    balance roundrobin
    # clusterscale: servers web
"""
CONFIG = """\
state-dir: {dir}/state
clouds-file: {dir}/clouds.yaml
clusters:
  web:
    cloud: admin
    servers: {{image: rails-snapshot, flavor: m1.small, networks: [private], name: web}}
    size: {{min: 1, max: 20}}
    haproxy:
      cloud: reader
      template: {dir}/haproxy.cfg.template
      config: {dir}/haproxy.cfg
      backend: web
      server: {{port: {service_port}, options: "maxconn 512 check inter 100ms fall 5 rise 2"{probe}}}
      stats-socket: {dir}/admin.sock
      state-dir: {dir}/sync
      min-reload-interval: {interval}
      {more}
"""
CLOUDS = """\
clouds:
  reader:
    auth:
      auth_url: {url}
      username: reader
      password: {password}
      project_name: cluster
      user_domain_name: Default
      project_domain_name: Default
"""


class Web(Threads):
    """A web server that answers with its address; /hold waits for `released`."""

    def __init__(self, address, port):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.released, self.held, self.health = threading.Event(), threading.Semaphore(0), 200
        super().__init__((address, port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that resets its connection is no news."""

    def end(self):
        self.released.set()
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/hold":
            self.server.held.release()
            self.server.released.wait(30)
        body = self.server.server_address[0].encode()
        self.send_response(self.server.health if self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Held:
    """A request that HAProxy has handed on and that is not answered yet."""

    def __init__(self, port, webs):
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.sendall(b"GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        procs_wait(lambda: any(web.held.acquire(blocking=False) for web in webs), "the request arrives")

    def answer(self):
        """All that comes, b"" when the session was cut before an answer."""
        reply = b""
        with self.sock:
            while chunk := self.sock.recv(65536):
                reply += chunk
        return reply


def procs_wait(condition, what, limit_s=60):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.02)


def run(argv, root=False, **options):
    done = subprocess.run(argv, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, cwd="/",
                          **options, **({} if root else UNPRIVILEGED))
    assert "readersecret" not in done.stdout + done.stderr
    return done


class Load:
    """The load generator of the demo; every request that failed is a line in `failures`. On a machine that is too
    slow for `rate` fewer are sent."""

    def __init__(self, port, rate, idle_limit_s=0.3):
        """Connections that were idle for longer are given up, before HAProxy's keep-alive time-out is."""
        self.child = subprocess.Popen(
            ["/usr/bin/python3", TESTS / "demo" / "loadgen.py", "--target", f"127.0.0.1:{port}",
             "--timeout", "30", "--max-in-flight", "100", "--idle-limit", str(idle_limit_s)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.totals, self.failures = {}, []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.child.stdin.write(f"{rate} 0\n")
        self.child.stdin.flush()

    def read(self):
        """Line by line as they come: within minutes a pipe that nobody reads is full, and the load stands still."""
        for line in self.child.stdout:
            self.totals = json.loads(line)

    def wait_for(self, requests):
        """Until so many more have been answered."""
        goal = self.totals.get("ok", 0) + requests
        procs_wait(lambda: self.totals.get("ok", 0) >= goal, f"{requests} more requests are answered")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.child.stdin.close()
        errors = self.child.stderr.read()
        self.child.wait(60)
        self.reader.join(60)
        self.failures = [line for line in errors.splitlines() if not line.endswith(" requests wait already")]


class Balancer:
    def __init__(self, keep_alive="500ms", state_file=False, master=True, more=(), reload=None, interval=0, probe=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cs-sync-"))
        self.dir.chmod(0o755)
        shutil.copy(PROGRAM, self.dir / "haproxy_sync")
        self.port, self.service_port = procs.free_port(), procs.free_port()
        self.cloud = SimCloud(reader_password="readersecret")
        self.cloud.start()
        self.webs, self.haproxy, self.next_age = {}, None, 1000
        state_path = self.dir / "server-state"
        self.template.write_text(TEMPLATE.format(
            dir=self.dir, port=self.port, keep_alive=keep_alive,
            state_file=f"    server-state-file {state_path}\n" if state_file else "",
            state_from="global" if state_file else "none"))
        shutil.copy(self.template, self.config)
        more = [*more, *([f"master-socket: {self.master}"] if master else []),
                *([f"state-file: {state_path}"] if state_file else []), *([f"reload: {reload}"] if reload else [])]
        self.yaml = self.dir / "clusterscale.yaml"
        self.yaml.write_text(CONFIG.format(dir=self.dir, service_port=self.service_port, interval=interval,
                                           probe=f", probe: {probe}" if probe else "", more="\n      ".join(more)))
        clouds = self.dir / "clouds.yaml"
        clouds.write_text(CLOUDS.format(url=self.cloud.auth_url, password="readersecret"))
        clouds.chmod(0o640)
        (self.dir / "sync").mkdir(mode=0o750)
        if UNPRIVILEGED:
            for path in (self.dir, *self.dir.iterdir()):
                os.chown(path, NOBODY, NOBODY)

    template = property(lambda self: self.dir / "haproxy.cfg.template")
    config = property(lambda self: self.dir / "haproxy.cfg")
    master = property(lambda self: self.dir / "master.sock")
    stats = property(lambda self: self.dir / "admin.sock")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for web in self.webs.values():
            web.end()
        if self.haproxy:
            procs.end(self.haproxy)
        self.cloud.stop()
        shutil.rmtree(self.dir)

    def start(self, master_words=""):
        """HAProxy with what lies in its configuration."""
        self.haproxy = procs.spawn(["haproxy", "-W", "-S", f"{self.master},mode,600{master_words}", "-f", self.config],
                                   self.dir / "haproxy.log", **UNPRIVILEGED)
        procs_wait(lambda: self.workers()[0], "HAProxy starts")
        return self

    def stop(self):
        procs.end(self.haproxy)
        self.haproxy = None

    # --- the cloud and its servers

    def add(self, name="web", serve=True, **fields):
        """A member of the cluster, older ones first; its port answers when it serves."""
        self.next_age -= 1
        metadata = {"clusterscale.cluster": fields.pop("cluster", "web")}
        server = self.cloud.add_server(name, age=self.next_age, metadata=metadata, **fields)
        if serve:
            self.serve(server)
        return server

    def address(self, server):
        return server.ports[0].address

    def serve(self, server):
        self.webs[server.id] = Web(self.address(server), self.service_port)
        return self.webs[server.id]

    def die(self, server):
        self.webs.pop(server.id).end()

    def mark(self, server, seconds_ago=0.0):
        when = int((time.time() - seconds_ago) * 1000)
        self.cloud.change_server(server.id, metadata={**server.metadata, "clusterscale.draining": str(when)})

    def unmark(self, server):
        self.cloud.change_server(
            server.id, metadata={k: v for k, v in server.metadata.items() if k != "clusterscale.draining"})

    def remove(self, server):
        self.cloud.servers.pop(server.id)

    def hold(self, server):
        """A request that is open on `server` (requests to others are answered)."""
        others = [web for key, web in self.webs.items() if key != server.id]
        for other in others:
            other.released.set()
        for _ in range(len(self.webs) + 1):
            held = Held(self.port, list(self.webs.values()))
            if self.sessions().get(server.name):
                for other in others:
                    other.released.clear()
                return held
            held.answer()
        raise AssertionError(f"no request reached {server.name}")

    def get(self, path="/"):
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            reply = b""
            while chunk := sock.recv(65536):
                reply += chunk
        return reply.decode()

    # --- the running HAProxy

    def workers(self):
        """(current pid or None, old pids)"""
        try:
            lines = ask(self.master, "show proc").splitlines()
        except OSError:
            return None, []
        part, current, old = "", None, []
        for line in lines:
            if line.startswith("#"):
                part = line
            elif line and part == "# workers":
                current = int(line.split()[0])
            elif line and part == "# old workers":
                old.append(int(line.split()[0]))
        return current, old

    def rows(self):
        reply = ask(self.stats, "show stat").removeprefix("# ")
        return {row["svname"]: row for row in csv.DictReader(io.StringIO(reply)) if row["type"] == "2"}

    def status(self):
        """{name: status without its counters}"""
        return {name: row["status"].split()[0] for name, row in self.rows().items()}

    def sessions(self):
        return {name: int(row["scur"]) for name, row in self.rows().items()}

    def reload(self):
        """As an administrator would, behind haproxy_sync's back."""
        before = self.workers()[0]
        ask(self.master, "reload")
        procs_wait(lambda: self.workers()[0] not in (None, before), "HAProxy reloads")

    def old_workers_gone(self):
        procs_wait(lambda: not self.workers()[1], "old workers end")

    # --- haproxy_sync

    def sync(self, *args, cluster="web"):
        return run([self.dir / "haproxy_sync", "-n", cluster, "-f", self.yaml, *args])

    def settle(self, sync=None):
        """Runs it until nothing is open: a server that was added serves from HAProxy's own good check on."""
        done = []
        procs_wait(lambda: done.append((sync or self.sync)()) or done[-1].returncode != 1, "haproxy_sync converges")
        return done[-1]

    def line(self, server, name=None):
        return (f"    server {name or server.name} {self.address(server)}:{self.service_port} "
                "maxconn 512 check inter 100ms fall 5 rise 2\n")

    def lines(self, *servers):
        return self.template.read_text() + "".join(self.line(server) for server in servers)

    def report(self, serving=(), draining=(), drained=()):
        """The last line of stdout, for stdout_of()."""
        return {"lb": socket.gethostname(), "list_taken": 0, "serving": [s.id for s in serving],
                "draining": [{"id": s.id, "sessions": n} for s, n in draining],
                "drained": [s.id for s in drained]}


def expect(done, code, report=None, stderr="", stdout=""):
    """Exact output and status. The report is compared without its time, which must be a recent one."""
    assert done.stderr == stderr
    *lines, last = done.stdout.splitlines(keepends=True) or [""]
    if report is None:
        lines, last = [*lines, last], None
    assert "".join(lines) == stdout
    if report is not None:
        got = json.loads(last)
        assert set(got["sessions"]) == set(got["serving"])
        assert {**{k: v for k, v in got.items() if k != "sessions"}, "list_taken": 0} == report
        assert abs(got["list_taken"] / 1000 - time.time()) < 60
        assert last == json.dumps(got, separators=(",", ":")) + "\n"
    assert done.returncode == code


@pytest.fixture
def lb():
    if not shutil.which("haproxy"):
        pytest.skip("needs haproxy, which is not installed")
    with Balancer() as balancer:
        yield balancer

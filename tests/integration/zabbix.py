# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Zabbix as the core: one server with its PostgreSQL and its frontend for all, and for each cluster an
agent on the shipped lines and a host that the shipped script sets up. All of it is unprivileged and on loopback.

What Zabbix did is read from its database, as asking the frontend once a second would cost more than all the rest.
"""
import gzip
import http.cookiejar
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

import nagios
import procs

SHIPPED = nagios.shipped("contrib/zabbix")
FRONTEND, SCHEMA = pathlib.Path("/usr/share/zabbix"), pathlib.Path("/usr/share/zabbix-server-pgsql")
SERVER, AGENT = "/usr/sbin/zabbix_server", "/usr/sbin/zabbix_agentd"
POSTGRES = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
LOOK_EVERY_S = 1.0
# PostgreSQL and Zabbix' server refuse to run as root
UNPRIVILEGED = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []

# Tables of the shipped data; the others are 350 templates for other things, 98 % of all rows.
TABLES = ("role", "role_rule", "users", "usrgrp", "users_groups", "hstgrp", "config", "dbversion", "globalmacro",
          "graph_theme", "regexps", "expressions", "module")
# A database that nobody misses after a crash
IN_A_HURRY = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
              "max_wal_size=4GB", "listen_addresses=", "max_connections=80"]
SERVER_CONF = """\
ListenIP=127.0.0.1
ListenPort={port}
SocketDir={dir}
LogFile={dir}/server.log
PidFile={dir}/server.pid
DBHost={dir}
DBName=zabbix
DBUser=zabbix
CacheUpdateFrequency=1
HousekeepingFrequency=0
StartPollers=1
StartPingers=0
StartDiscoverers=0
StartHTTPPollers=0
StartODBCPollers=0
StartTrappers=2
StartDBSyncers=2
StartPreprocessors=2
StartLLDProcessors=1
"""
FRONTEND_CONF = """\
<?php
$DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '{dir}', 'PORT' => '5432', 'DATABASE' => 'zabbix', 'USER' => 'zabbix',
	'PASSWORD' => '', 'SCHEMA' => '', 'DOUBLE_IEEE754' => true];
$ZBX_SERVER = '127.0.0.1';
$ZBX_SERVER_PORT = '{port}';
"""
# Debian's frontend looks for its configuration in /etc alone.
FRONTEND_ELSEWHERE = """\
<?php
eval('?>'.str_replace('/etc/zabbix/zabbix.conf.php', '{dir}/zabbix.conf.php',
	file_get_contents('/usr/share/zabbix/include/classes/core/CConfigFile.php')));
"""
AGENT_CONF = """\
Server=127.0.0.1
ServerActive=127.0.0.1:{server_port}
Hostname={name}
ListenIP=127.0.0.1
ListenPort={port}
LogFile={dir}/agent.log
PidFile={dir}/agent.pid
StartAgents=2
BufferSend=1
AllowRoot=1
Include={dir}/clusterscale.conf
"""
# What a field of a dashboard refers to, by the number of its type
REFERENCES = {4: "item", 6: "graph", 7: "graphprototype"}
AS_JSON = "SELECT coalesce(json_agg(x), '[]') FROM (%s) x"
FIRED = """\
SELECT DISTINCT h.host, a.clock, a.esc_step, a.status, a.error, e.name FROM alerts a JOIN events e USING (eventid)
JOIN functions f ON f.triggerid = e.objectid JOIN items i USING (itemid) JOIN hosts h USING (hostid) ORDER BY a.clock
"""
CHECKED = """\
SELECT h.host, u.clock + u.ns / 1e9 AS at, u.value AS state, t.value AS text FROM history_uint u
JOIN items i ON i.itemid = u.itemid AND i.key_ = 'clusterscale.state' JOIN hosts h USING (hostid)
JOIN items j ON j.hostid = h.hostid AND j.key_ = 'clusterscale.summary'
JOIN history_text t ON t.itemid = j.itemid AND t.clock = u.clock AND t.ns = u.ns ORDER BY at
"""


def missing():
    """What of Debian's packages is not installed, as text."""
    needed = {"zabbix-server-pgsql": SERVER, "zabbix-agent": AGENT, "zabbix-frontend-php": FRONTEND / "api_jsonrpc.php",
              "php-cli": shutil.which("php") or "/usr/bin/php", "postgresql": (POSTGRES or ["/none"])[-1]}
    return " ".join(package for package, file in needed.items() if not os.path.exists(file))


def load_setup():
    loader = importlib.machinery.SourceFileLoader("zabbix_setup", str(SHIPPED / "setup"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("zabbix_setup", loader))
    loader.exec_module(module)
    return module


class Server:
    """Database, frontend and server; `token_file` is that of a super admin."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cs-zabbix."))
        self.port, self.web_port = procs.free_port(), procs.free_port()
        self.url = f"http://127.0.0.1:{self.web_port}/api_jsonrpc.php"
        self.token_file, self.setup = self.dir / "token", load_setup()
        self.children, self.server, self.hosts, self.lock = [], None, {}, threading.Lock()
        self.stopping, self.looking = threading.Event(), threading.Thread(target=self.look, daemon=True)
        self.fired, self.checked = [], []

    def start(self):
        if UNPRIVILEGED:
            shutil.chown(self.dir, "nobody", "nogroup")
        self.start_database()
        self.start_frontend()
        self.start_server()
        self.looking.start()

    def run(self, *words, **options):
        done = subprocess.run([*UNPRIVILEGED, *map(str, words)], capture_output=True, text=True, check=False, cwd="/",
                              **options)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def spawn(self, name, *words, **options):
        return procs.spawn([*UNPRIVILEGED, *words], self.dir / f"{name}.out", **options)

    def sql(self, text):
        return self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-U", "zabbix", "-d", "zabbix",
                        input=text)

    def rows(self, query):
        return json.loads(self.sql(AS_JSON % query + ";"))

    def start_database(self):
        programs = POSTGRES[-1].parent
        self.run(programs / "initdb", "-D", self.dir / "db", "-A", "trust", "-U", "zabbix", "--no-sync", "--locale=C",
                 "-E", "UTF8")
        options = [word for option in IN_A_HURRY for word in ("-c", option)]
        self.children.append(self.spawn("postgres", programs / "postgres", "-D", self.dir / "db", "-k", self.dir, *options))
        procs.wait_until(lambda: (self.dir / ".s.PGSQL.5432").exists(), 30, "PostgreSQL listens")
        procs.wait_until(lambda: subprocess.run([programs / "pg_isready", "-q", "-h", self.dir], check=False).returncode == 0,
                         30, "PostgreSQL takes connections")
        self.run(programs / "createdb", "-h", self.dir, "-U", "zabbix", "zabbix")
        kept = re.compile(rf"INSERT INTO ({'|'.join(TABLES)}) ")
        with gzip.open(SCHEMA / "data.sql.gz", "rt") as file:
            data = "".join(line for line in file if kept.match(line))
        with gzip.open(SCHEMA / "schema.sql.gz", "rt") as file:
            # what is kept refers to nothing that is not, but for a default
            self.sql(f"BEGIN;\n{file.read()}\nSET session_replication_role = replica;\n{data}\nCOMMIT;")

    def start_frontend(self):
        for name, text in (("zabbix.conf.php", FRONTEND_CONF), ("prepend.php", FRONTEND_ELSEWHERE)):
            (self.dir / name).write_text(text.format(dir=self.dir, port=self.port))
        # It complains on each page where this locale is missing, as it is on a minimal system.
        (self.dir / "en_US.utf8").symlink_to("/usr/lib/locale/C.utf8")
        settings = {"auto_prepend_file": self.dir / "prepend.php", "opcache.enable_cli": 1, "memory_limit": "512M",
                    "post_max_size": "64M", "max_execution_time": 300, "date.timezone": "UTC"}
        self.children.append(self.spawn(
            "php", "php", *(f"-d{name}={value}" for name, value in settings.items()), "-S", f"127.0.0.1:{self.web_port}",
            "-t", FRONTEND, env={**os.environ, "PHP_CLI_SERVER_WORKERS": "3", "LOCPATH": str(self.dir)}))
        procs.wait_until(lambda: listens(self.web_port), 30, "the frontend listens")
        api = self.setup.Zabbix(self.url, None)
        api.token = api.call("user.login", username="Admin", password="zabbix")
        [token] = api.call("token.create", name="test", userid="1")["tokenids"]
        api.token = api.call("token.generate", token)[0]["token"]
        self.token_file.write_text(api.token + "\n")
        self.token_file.chmod(0o600)
        self.api = api

    def start_server(self):
        (self.dir / "server.conf").write_text(SERVER_CONF.format(dir=self.dir, port=self.port))
        self.server = self.spawn("server", SERVER, "-f", "-c", self.dir / "server.conf")
        procs.wait_until(lambda: listens(self.port), 60, "Zabbix' server listens")

    def kill_server(self):
        procs.kill_group(self.server)

    def run_setup(self, *arguments):
        """The shipped script beside the shipped template, as they are installed."""
        shutil.copy(SHIPPED / "setup", self.dir)
        shutil.copy(SHIPPED / "template.yaml.in", self.dir / "template.yaml")
        return subprocess.run([sys.executable, self.dir / "setup", "--url", self.url, "--token-file", self.token_file,
                               *arguments], capture_output=True, text=True, check=False)

    def knows(self, name):
        """Whether the server gives NAME's agent something to measure."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as peer:
            body = json.dumps({"request": "active checks", "host": name}).encode()
            peer.sendall(b"ZBXD\1" + struct.pack("<II", len(body), 0) + body)
            answer = peer.makefile("rb").read()[13:]
        return bool(json.loads(answer).get("data"))

    def look(self):
        while not self.stopping.wait(LOOK_EVERY_S):
            [found] = self.rows(f"SELECT ({AS_JSON % FIRED}) AS fired, ({AS_JSON % CHECKED}) AS checked")
            self.fired, self.checked = found["fired"], found["checked"]
            for host in list(self.hosts.values()):
                host.hear()

    def stop(self):
        self.stopping.set()
        if self.looking.is_alive():
            self.looking.join()
        if self.server:
            self.kill_server()
        for child in reversed(self.children):
            child.send_signal(signal.SIGQUIT)  # PostgreSQL waits for nothing then
            procs.end(child)
        shutil.rmtree(self.dir, ignore_errors=True)


class Browser:
    """What a person who has logged in is shown."""

    def __init__(self, server):
        self.url = f"http://127.0.0.1:{server.web_port}/"
        self.open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())).open
        page = self.read("index.php", {}, urllib.parse.urlencode(
            {"name": "Admin", "password": "zabbix", "enter": "Sign in"}).encode())
        self.sid = re.search(rb'name="csrf-token" content="(\w+)"', page)[1].decode()

    def read(self, page, query, body=None, **headers):
        request = urllib.request.Request(f"{self.url}{page}?{urllib.parse.urlencode(query)}", body, headers)
        with self.open(request, timeout=60) as answer:
            return answer.read()

    def widget(self, widget, **given):
        """What the page fetches for a widget of a dashboard: (its HTML, the picture in it or None)."""
        fields = {}
        for field in widget["fields"]:
            if int(field["type"]) in REFERENCES:
                fields.setdefault(field["name"], []).append(field["value"])
            else:
                fields[field["name"]] = field["value"]
        body = json.dumps({"name": widget["name"], "fields": json.dumps(fields), "page": 1, **given}).encode()
        query = {"action": f"widget.{widget['type']}.view", "sid": self.sid}
        text = self.read("zabbix.php", query, body, **{"Content-Type": "application/json"})
        assert text.startswith(b"{") and b'"messages":' not in text, (widget, text[:2000])
        answer, picture = json.loads(text), None
        if "async_data" in answer:
            page, _, query = answer["async_data"]["time_control_data"]["src"].partition("?")
            picture = self.read(page, {**dict(urllib.parse.parse_qsl(query)), "from": "now-1h", "to": "now"})
        return answer.get("body", ""), picture


class Zabbix:
    """To a lab what nagios.Nagios is: the agent and the host of one cluster."""

    title = "Debian's zabbix"

    def __init__(self, directory, plugins, on_result, *, config, server, name, cluster="web", interval_s=5,
                 drift_interval_s=3600, agent_timeout=15):
        self.dir, self.plugins, self.on_result, self.config = directory, plugins, on_result, config
        self.server, self.name, self.cluster, self.timeout = server, name, cluster, agent_timeout
        self.macros = {"INTERVAL": f"{interval_s}s", "DRIFT.INTERVAL": f"{drift_interval_s}s", "FRESH": "30s",
                       "HANDLER": f"{plugins}/eventhandlers/nova_scale -f {config}"}
        self.port, self.child, self.heard = procs.free_port(), None, 0
        self.state, self.text = "PENDING", ""

    def start(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        with self.server.lock:  # the first one makes the group of all
            self.server.api.cluster(self.cluster, self.name, "127.0.0.1", str(self.port), **self.macros)
        self.server.hosts[self.name] = self
        procs.wait_until(lambda: self.server.knows(self.name), 60, "the server knows the host", 0.5)
        self.start_agent()

    def start_agent(self):
        # The shipped lines, on this lab's programs and its configuration
        lines = ((SHIPPED / "clusterscale.conf.in").read_text().replace("/usr/lib/nagios/plugins", str(self.plugins))
                 .replace(" -n ", f" -f {self.config} -n ").replace("Timeout=15", f"Timeout={self.timeout}"))
        (self.dir / "clusterscale.conf").write_text(lines)
        (self.dir / "agent.conf").write_text(AGENT_CONF.format(
            dir=self.dir, server_port=self.server.port, name=self.name, port=self.port))
        self.child = procs.spawn([AGENT, "-f", "-c", self.dir / "agent.conf"], self.dir / "agent.out")
        procs.wait_until(lambda: listens(self.port), 30, "the agent listens")

    def stop(self):
        self.server.hosts.pop(self.name, None)
        if self.child:
            procs.end(self.child, 10)

    def checks(self):
        """What the server has of our checks, oldest first: `at`, `state`, `text`."""
        return [row for row in self.server.checked if row["host"] == self.name]

    def hear(self):
        for row in self.checks()[self.heard:]:
            self.heard += 1
            self.state, self.text = nagios.STATES[row["state"]], row["text"]
            self.on_result(self.text, True)

    def firings(self):
        """[(when, what the trigger was about)] of the action's runs of our handler, oldest first."""
        rows = [row for row in self.server.fired if row["host"] == self.name]
        assert not [row for row in rows if row["error"]], rows
        return [(row["clock"], "CRITICAL" if "more servers" in row["name"] else "WARNING") for row in rows]

    def fired(self):
        return [state for _, state in self.firings()]

    story = nagios.Nagios.story

    def problems(self, tag):
        """What there is a problem of now, by the triggers with this value of our tag."""
        rows = self.server.rows(f"""SELECT DISTINCT p.name FROM problem p JOIN problem_tag g USING (eventid)
            JOIN functions f ON f.triggerid = p.objectid JOIN items i USING (itemid) JOIN hosts h USING (hostid)
            WHERE p.object = 0 AND p.r_eventid IS NULL AND h.host = '{self.name}' AND g.tag = 'clusterscale' AND g.value = '{tag}'""")
        return [row["name"] for row in rows]

    def item_error(self, key):
        """Why the item whose key begins with KEY has no value, "" if it has."""
        [row] = self.server.rows(f"""SELECT r.error FROM item_rtdata r JOIN items i USING (itemid) JOIN hosts h USING (hostid)
            WHERE h.host = '{self.name}' AND i.key_ LIKE '{key}%' AND i.flags = 0""")
        return row["error"]

    def ask(self, key):
        """(exit status, output) when the server asks the agent for KEY."""
        done = subprocess.run(["zabbix_get", "-s", "127.0.0.1", "-p", str(self.port), "-k", key], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0

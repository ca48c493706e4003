# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of the lab: each is started in a session of its own, written down with its pid and the moment of
its start (so that a number used again is never taken for it), and ended by that."""
import os
import signal
import socket
import subprocess
import sys
import time

PYTHON = "/usr/bin/python3"
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
# In the order of their start; the end goes backwards.
NAMES = ("mariadb", "epmd", "rabbitmq", "keystone", "glance", "placement", "neutron", "nova-conductor",
         "nova-scheduler", "nova-compute", "nova-api")
PORT_OF = {"rabbitmq": "rabbitmq", "epmd": "epmd", "keystone": "keystone", "glance": "glance",
           "placement": "placement", "neutron": "neutron", "nova-api": "nova"}
WORKERS = {"keystone": 1, "glance": 1, "placement": 1, "nova-api": 2}
PATIENCE_S = 15


class LabError(Exception):
    """What was tried, on what, and why it failed."""


class Services:
    def __init__(self, place):
        self.place = place

    def command(self, name):
        place = self.place
        if name == "mariadb":
            return ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={place.path('mariadb')}",
                    f"--socket={place.path('mariadb.sock')}", "--skip-networking", "--skip-name-resolve",
                    f"--pid-file={place.path('run', 'mariadbd.pid')}", "--max-connections=500",
                    # Nothing here outlives the machine
                    "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--skip-log-bin",
                    "--innodb-flush-method=nosync", "--performance-schema=OFF", "--innodb-buffer-pool-size=256M"]
        if name == "epmd":
            return ["/usr/bin/epmd", "-address", "127.0.0.1", "-port", str(place.ports["epmd"])]
        if name == "rabbitmq":
            return [RABBITMQ]
        if name in WORKERS:
            return ["/usr/bin/uwsgi-core", "--plugin", "python311", "--master", "--die-on-term", "--need-app",
                    "--http-socket", f"127.0.0.1:{place.ports[PORT_OF[name]]}", "--enable-threads",
                    "--processes", str(WORKERS[name]), "--buffer-size", "65535", "--listen", "100",
                    "--log-format", "%(host) %(method) %(uri) %(status) %(msecs) ms by %(uagent)",
                    # It resets connections that a client uses again
                    "--add-header", "Connection: close", "--thunder-lock",
                    "--wsgi-file", str(place.path("lib", "wsgi.py"))]
        return [PYTHON, "-B", place.path("lib", "entry.py"), name, "--config-file",
                place.path("etc", f"{name.partition('-')[0]}.conf")]

    def environment(self, name):
        place = self.place
        values = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place.dir),
                  "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "yes", "LAB_SERVICE": name, "LAB_DIR": place.dir,
                  "OS_NOVA_CONFIG_DIR": place.path("etc"), "OS_NOVA_CONFIG_FILES": "nova-paste.ini;nova.conf",
                  "OS_GLANCE_CONFIG_DIR": place.path("etc"), "OS_PLACEMENT_CONFIG_DIR": place.path("etc"),
                  "OS_KEYSTONE_CONFIG_DIR": place.path("etc")}
        if name in ("rabbitmq", "epmd"):
            values |= {
                "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": place.ports["epmd"],
                "RABBITMQ_NODENAME": "lab@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": place.ports["rabbitmq"], "RABBITMQ_DIST_PORT": place.ports["erlang"],
                "RABBITMQ_MNESIA_BASE": place.path("rabbitmq"), "RABBITMQ_LOG_BASE": place.path("log"),
                "RABBITMQ_CONFIG_FILE": place.path("etc", "rabbitmq.conf"),
                "RABBITMQ_CONF_ENV_FILE": place.path("etc", "rabbitmq-env.conf"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": place.path("etc", "rabbitmq.plugins"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                    "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"}
        return {key: str(value) for key, value in values.items()}

    def start(self, *names):
        for name in names:
            if self.pid(name):
                continue
            with open(self.place.path("log", f"{name}.out"), "ab") as out:
                child = subprocess.Popen([str(word) for word in self.command(name)], stdin=subprocess.DEVNULL,
                                         stdout=out, stderr=out, start_new_session=True, cwd="/",
                                         env=self.environment(name))
            self.path_of(name).write_text(f"{child.pid} {started(child.pid)}\n")

    def path_of(self, name):
        return self.place.path("run", f"{name}.pid")

    def pid(self, name):
        """The pid of the living service, or None."""
        try:
            pid, since = self.path_of(name).read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if started(int(pid)) == since else None

    def wait(self, *names, limit_s=120):
        for name in names:
            wait_until(lambda: self.ready(name), limit_s, f"{name} answers, see {self.place.path('log', name)}.out")

    def ready(self, name):
        if not self.pid(name):
            raise LabError(f"{name} ended by itself, see {self.place.path('log', name)}.out and .log")
        if name == "mariadb":
            return self.place.path("mariadb.sock").exists()
        return name not in PORT_OF or listens(self.place.ports[PORT_OF[name]])

    def stop(self, *names):
        """Ends services and all of their processes; returns when they are gone."""
        for name in names:
            signal_session(self.pid(name), signal.SIGTERM)
        for name in names:
            pid, end = self.pid(name), time.monotonic() + PATIENCE_S
            while pid and any(living(session_of(pid))) and time.monotonic() < end:
                time.sleep(0.05)
            signal_session(pid, signal.SIGKILL)
            self.path_of(name).unlink(missing_ok=True)

    def kill(self, name):
        """It ends as in an outage: at once."""
        pid = self.pid(name)
        signal_session(pid, signal.SIGKILL)
        wait_until(lambda: not any(living(session_of(pid))), PATIENCE_S, f"{name} is killed", interval_s=0.02)
        self.path_of(name).unlink(missing_ok=True)

    def status(self):
        for name in NAMES:
            pid = self.pid(name)
            port = self.place.ports.get(PORT_OF.get(name))
            where = f"127.0.0.1:{port}" if port else "a socket" if name == "mariadb" else "-"
            yield name, pid, where


def started(pid):
    """The moment of the start of a living process as the kernel counts it, or None."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def session_of(leader):
    """pids of the session that LEADER leads."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(pid)) == leader:
                yield int(pid)
        except OSError:
            pass


def living(pids):
    return (pid for pid in pids if started(pid))


def signal_session(leader, number):
    if not leader:
        return
    # A master ends its own workers when asked; a kill is for all.
    for pid in [leader] if number == signal.SIGTERM else list(session_of(leader)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
    if number == signal.SIGKILL:
        try:
            os.waitpid(leader, os.WNOHANG)
        except ChildProcessError:
            pass


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_until(condition, limit_s, what, interval_s=0.1):
    end = time.monotonic() + limit_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {limit_s:g} s")
        time.sleep(interval_s)
    return value


def run(argv, place, log, **environment):
    """A command to its end; LabError with the end of its output when it fails."""
    with open(place.path("log", log), "ab") as out:
        env = Services(place).environment("setup") | environment
        code = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                              cwd="/", env=env).returncode
    if code:
        tail = "\n".join(place.path("log", log).read_text(errors="replace").splitlines()[-8:])
        raise LabError(f"{' '.join(map(str, argv))}: exit status {code}:\n{tail}")


def sql(place, text, password=None):
    done = subprocess.run(["/usr/bin/mariadb", "--no-defaults", f"--socket={place.path('mariadb.sock')}", "-u", "root"],
                          input=text, text=True, capture_output=True,
                          env={"MYSQL_PWD": place.secret("mariadb") if password is None else password, "PATH": "/usr/bin"})
    if done.returncode:
        raise LabError(f"MariaDB refused a statement: {done.stderr.strip()}")
    return done.stdout


def say(text, begin=time.monotonic()):
    print(f"lab: {time.monotonic() - begin:5.1f} s  {text}", file=sys.stderr, flush=True)

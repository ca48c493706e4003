# SPDX-License-Identifier: GPL-3.0-or-later
"""A real core over scale_lab's world, and members whose CPU does what a test says."""
import os
import pathlib
import shutil
import signal
import socket
import struct
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
for folder in ("demo", "fakes", "functional"):
    sys.path.insert(0, str(TESTS / folder))
from scale_lab import BUILD, Lab, wait_until  # noqa: E402
from snmp_agent import END_OF_MIB_VIEW, NO_SUCH_OBJECT, cpu, decode_request, encode_response, rows_behind  # noqa: E402

PLUGIN = BUILD / "plugins/check_cluster_cpu"
TICKS_PER_SECOND, CPUS = 100, 2
IP_PKTINFO = 8  # ip(7); this Python does not name it
PKTINFO = struct.Struct("=i4s4s")  # interface, local address, destination


class Agents:
    """snmpd of every member: one socket for all addresses, answering from the one it was asked on.

    `load`: the share of its time that each member is busy from now on, 0 to 1.
    """

    def __init__(self):
        self.busy, self.idle, self.since = 0.0, 1000.0, time.monotonic()
        self.now_load, self.lock = 0.4, threading.Lock()
        self.socket = None
        self.start()

    def start(self, port=0):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.settimeout(0.05)
        self.socket.bind(("", port))
        self.port = self.socket.getsockname()[1]
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def stop(self):
        """As when snmpd is stopped everywhere: nothing listens."""
        self.stopping.set()
        self.thread.join()
        self.socket.close()

    def restart(self):
        self.start(self.port)

    @property
    def load(self):
        return self.now_load

    @load.setter
    def load(self, share):
        with self.lock:
            self.pass_time()
            self.now_load = share

    def pass_time(self):
        now = time.monotonic()
        ticks = (now - self.since) * TICKS_PER_SECOND * CPUS
        self.busy += ticks * self.now_load
        self.idle += ticks * (1 - self.now_load)
        self.since = now

    def objects(self):
        with self.lock:
            self.pass_time()
            return cpu(cpus=CPUS, user=int(self.busy), idle=int(self.idle))

    def serve(self):
        while not self.stopping.is_set():
            try:
                data, ancillary, _, client = self.socket.recvmsg(65536, 256)
            except socket.timeout:
                continue
            asked = PKTINFO.unpack(ancillary[0][2])[2]
            version, community, request_id, oids, rows = decode_request(data)
            objects = self.objects()
            if rows:
                oids = rows_behind(oids[0], objects, rows)
            reply = encode_response(version, community, request_id, oids, objects, 0,
                                    END_OF_MIB_VIEW if rows else NO_SUCH_OBJECT)
            source = PKTINFO.pack(0, asked, bytes(4))
            self.socket.sendmsg([reply], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, client)


class CoreLab(Lab):
    """Lab with agents, an installation of the programs in `plugins` and a core of the class `kind`."""

    def __init__(self, folder, kind, **given):
        self.kind, self.agents, self.core, self.seen = kind, Agents(), None, []
        super().__init__(folder, **{"min_span": 1, "snmp_port": self.agents.port, "creates": 1000,
                                    "deletes": 1000, **given})
        self.handler = self.install("")
        self.plugins = self.handler.parents[1]
        self.check = self.plugins / "check_cluster_cpu"
        shutil.copy(PLUGIN, self.check)

    def start_core(self, **options):
        self.core = self.kind(self.dir / "core", self.plugins, lambda text, _: self.seen.append(text),
                              config=self.dir / "clusterscale.yaml", **options)
        self.core.start()

    def close(self):
        if self.core:
            self.core.stop()
        for pid in self.checks_running():
            kill(pid)
        super().close()
        self.agents.stop()

    def replace(self, path, script, mode=0o755):
        """SCRIPT in place of a program."""
        path.unlink()
        path.write_text(script)
        path.chmod(mode)

    def checks_running(self):
        """pids of this lab's check_cluster_cpu, whatever stands there under that name."""
        return [pid for pid, words in commands() if str(self.check) in words]

    def wait_fired(self, count, timeout=120):
        """Until the handler was fired COUNT times more; the states it was fired for."""
        before = len(self.core.fired())
        wait_until(lambda: len(self.core.fired()) >= before + count, f"fired {count} times", timeout)
        return self.core.fired()[before:]

    def wait_checked(self, count, timeout=120):
        """Until the core has COUNT results more; what they say."""
        before = len(self.seen)
        wait_until(lambda: len(self.seen) >= before + count, f"{count} more checks", timeout)
        return self.seen[before:]

    def wait_state(self, state, timeout=120):
        wait_until(lambda: self.core.state == state, f"the service is {state}", timeout)

    def acted(self):
        """What was asked of the cloud that changes anything."""
        return [request["path"] for request in self.creates() + self.deletes()]

    def intents(self):
        return self.journal(type="intent")


def commands():
    """(pid, words of the command line) of every process."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                yield int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            pass


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass

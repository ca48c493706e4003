#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU of one demo instance, as a pass_persist program of its snmpd.

usage: cpu_counters.py STATUS_SOCKET CAPACITY

Serves the ssCpuRaw* counters of UCD-SNMP-MIB for a machine with one CPU that can answer CAPACITY
requests a second. STATUS_SOCKET is nginx's stub_status: each request that this nginx answered has
cost 1/CAPACITY seconds of CPU, an interval is never busier than 100 %, and the rest of the wall
time was idle. So the load that a poller sees is the load that this instance really served.

snmpd speaks the pass_persist protocol on stdin and stdout (snmpd.conf(5)).
"""
import socket
import sys
import time

BASE = ".1.3.6.1.4.1.2021.11"
TICKS_PER_SECOND = 100
# A real agent reads /proc/stat every 5 s; the demo squeezes a morning into two minutes, so its
# agent looks every second.
REFRESH_S = 1.0
# Where a web server's busy time goes; the remainder is softirq, which only agents from 2.6
# kernels on report.
USER_SHARE, SYSTEM_SHARE = 0.7, 0.2


def requests_served(status_socket):
    """Requests that nginx has answered since its start, from stub_status (our own question is one
    of them).
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1)
        sock.connect(status_socket)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        reply = b""
        while chunk := sock.recv(4096):
            reply += chunk
    # "server accepts handled requests" is followed by a line with three figures
    return int(reply.split(b"requests", 1)[1].split()[2])


class Cpu:
    """The tick counters; refreshed at most once a REFRESH_S, so that one GET of eight counters is
    one moment.
    """

    def __init__(self, status_socket, capacity):
        self.status_socket, self.capacity = status_socket, capacity
        self.polls = 0
        self.served = 0
        self.moment = time.monotonic()
        self.busy = 0.0
        # All-zero counters mean "agent just started": begin as a machine up for a minute
        self.total = 6000.0

    def refresh(self):
        now = time.monotonic()
        if self.polls and now - self.moment < REFRESH_S:
            return
        self.polls += 1
        served = requests_served(self.status_socket) - self.polls
        ticks = (now - self.moment) * TICKS_PER_SECOND
        self.busy += min((served - self.served) * TICKS_PER_SECOND / self.capacity, ticks)
        self.total += ticks
        self.served, self.moment = served, now

    def table(self):
        """The last arc of each OID -> (SNMP type, value)."""
        busy, user, system = (
            int(self.busy),
            int(self.busy * USER_SHARE),
            int(self.busy * SYSTEM_SHARE),
        )
        counters = {
            50: user,
            51: 0,
            52: system,
            53: int(self.total) - busy,
            54: 0,
            55: 0,
            56: 0,
            61: busy - user - system,
            64: 0,
            65: 0,
            66: 0,
        }
        return {arc: ("counter", value) for arc, value in counters.items()} | {67: ("integer", 1)}


def find(table, oid, after):
    """The OID that a get (or, with AFTER, a getnext) of OID means, or None."""
    oids = {f"{BASE}.{arc}.0": arc for arc in table}
    if not after:
        return (oid, oids[oid]) if oid in oids else None

    def key(text):
        return [int(arc) for arc in text.strip(".").split(".")]

    return next(((o, arc) for o, arc in oids.items() if key(o) > key(oid)), None)


def answer(cpu, command, oid):
    try:
        cpu.refresh()
    except (OSError, ValueError, IndexError):
        return "NONE"  # nginx is gone: no figure is better than an old one
    table = cpu.table()
    found = find(table, oid, command == "getnext")
    if not found:
        return "NONE"
    name, arc = found
    kind, value = table[arc]
    return f"{name}\n{kind}\n{value % 2**32}"


def main():
    cpu = Cpu(sys.argv[1], float(sys.argv[2]))
    while command := sys.stdin.readline().strip():
        if command == "PING":
            reply = "PONG"
        elif command == "set":
            sys.stdin.readline(), sys.stdin.readline()
            reply = "not-writable"
        else:
            reply = answer(cpu, command, sys.stdin.readline().strip())
        print(reply, flush=True)


if __name__ == "__main__":
    main()

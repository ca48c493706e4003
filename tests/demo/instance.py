# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance of the demo's cloud: a real nginx and a real snmpd on a loopback address of its own.

The instance can answer `capacity` requests a second; its snmpd reports the CPU time that the
requests it really served have cost (cpu_counters.py). Ports above 1024, no root, and it dies as a
deleted server does: at once.
"""
import os
import pathlib
import socket
import sys

import procs

PAGE_BYTES = 3000
# A page leaves in three pieces over about 25 ms, so at any moment some answers are half sent: a
# server that is cut off too early, or a reload that drops connections, cannot go unnoticed.
NGINX_CONF = """\
{user}
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{
        listen {address}:{http_port} backlog=512;
        root {dir}/www;
        limit_rate 80k;
        sendfile_max_chunk 1k;
    }}
    server {{ listen unix:{dir}/status; location / {{ stub_status; }} }}
}}
"""
SNMPD_CONF = """\
rocommunity {community} 127.0.0.0/8
dontLogTCPWrappersConnects yes
pass_persist .1.3.6.1.4.1.2021.11 {python} -S -E {counters} {dir}/status {capacity}
"""


class Instance:
    def __init__(self, directory, address, http_port, snmp_port, community, capacity):
        self.dir, self.address, self.http_port = pathlib.Path(directory), address, http_port
        self.snmp = f"udp:{address}:{snmp_port}"
        self.values = {
            "dir": self.dir, "address": address, "http_port": http_port,
            "community": community, "capacity": capacity, "python": sys.executable,
            "counters": pathlib.Path(__file__).with_name("cpu_counters.py"),
            # Started by root, nginx would give its worker's rights away and could not read `dir`
            "user": "user root;" if os.geteuid() == 0 else ""}
        self.children = []

    def start(self):
        for part in ("www", "tmp", "snmp"):
            (self.dir / part).mkdir(parents=True)
        (self.dir / "www" / "index.html").write_text(
            f"served by {self.address}\n".ljust(PAGE_BYTES - 1, ".") + "\n"
        )
        self._write("nginx.conf", NGINX_CONF)
        self._write("snmpd.conf", SNMPD_CONF)
        self.children = [
            procs.spawn(
                ["nginx", "-e", self.dir / "nginx-error.log", "-c", self.dir / "nginx.conf"],
                self.dir / "nginx.log",
            ),
            # -I -vmstat: without it the built-in counters of this machine win over ours
            procs.spawn(
                ["snmpd", "-f", "-C", "-c", self.dir / "snmpd.conf", "-I", "-vmstat,smux", "-Lo",
                 self.snmp],
                self.dir / "snmpd.log",
                env=os.environ | {"SNMP_PERSISTENT_DIR": str(self.dir / "snmp"), "MIBS": ""},
            ),
        ]

    def _write(self, name, text):
        path = self.dir / name
        path.touch(mode=0o600)
        path.write_text(text.format(**self.values))

    def listening(self):
        try:
            socket.create_connection((self.address, self.http_port), timeout=1).close()
            return True
        except OSError:
            return False

    def ended(self):
        """Which program has ended by itself, or None."""
        return next((child.args[0] for child in self.children if child.poll() is not None), None)

    def kill(self):
        """The machine is gone: no farewell to anybody, as when a cloud deletes a server."""
        for child in self.children:
            procs.kill_group(child)

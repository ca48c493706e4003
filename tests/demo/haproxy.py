# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's HAProxy: the shipped template, master-worker mode, and what it says of itself."""
import csv
import io
import pathlib
import socket

import procs

TEMPLATE = "contrib/haproxy/haproxy.cfg.template"
BACKEND = "web"
# Lines of the template that need root; everything else of it is what users get.
ROOT_ONLY = ("chroot ", "user ", "group ")


def shipped_template():
    """The template in this tree, or beside a copy of this directory."""
    places = [parent / TEMPLATE for parent in pathlib.Path(__file__).resolve().parents[1:3]]
    return next((path for path in places if path.exists()), places[0])


def ask(path, command, limit_s=3):
    """One command to a HAProxy socket; its reply. OSError when nobody answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(limit_s)
        sock.connect(str(path))
        sock.sendall(command.encode() + b"\n")
        sock.shutdown(socket.SHUT_WR)  # the master keeps the connection open otherwise
        reply = b""
        while chunk := sock.recv(65536):
            reply += chunk
    return reply.decode()


class HAProxy:
    def __init__(self, directory, address, port):
        self.dir, self.address, self.port = pathlib.Path(directory), address, port
        self.template, self.config = self.dir / "haproxy.cfg.template", self.dir / "haproxy.cfg"
        self.master, self.stats = self.dir / "master.sock", self.dir / "admin.sock"
        self.state_file = self.dir / "server-state"
        self.child = None

    def write_template(self):
        """The shipped template with our paths, which is the first configuration too."""
        lines = shipped_template().read_text().splitlines(keepends=True)
        text = "".join(line for line in lines if not line.strip().startswith(ROOT_ONLY))
        for shipped, ours in {
            "log /dev/log local0": "log stdout format raw local0",
            "/run/haproxy/admin.sock": str(self.stats),
            "/var/lib/haproxy/server-state": str(self.state_file),
            "bind :80": f"bind {self.address}:{self.port}",
        }.items():
            if text.count(shipped) != 1:
                raise ValueError(
                    f"{TEMPLATE}: '{shipped}' is there {text.count(shipped)} times, not once"
                )
            text = text.replace(shipped, ours)
        for path in (self.template, self.config):
            path.write_text(text)
        self.state_file.touch()

    def start(self, **options):
        """`options`: what procs.spawn() takes."""
        self.child = procs.spawn(
            ["haproxy", "-W", "-S", f"{self.master},mode,600", "-f", self.config],
            self.dir / "haproxy.log", **options,
        )
        procs.wait_until(self.workers, 5, "HAProxy starts")

    def workers(self):
        """The 'show proc' lines of the current and the old workers; [] while nobody answers."""
        try:
            lines = ask(self.master, "show proc").splitlines()
        except OSError:
            return []
        return [line for line in lines if len(line.split()) > 1 and line.split()[1] == "worker"]

    def servers(self):
        """{name: {"address", "status", "sessions"}} in the running worker, or OSError."""
        rows = csv.DictReader(io.StringIO(ask(self.stats, "show stat").removeprefix("# ")))
        servers = (row for row in rows if row["pxname"] == BACKEND and row["svname"] != "BACKEND")
        return {row["svname"]: {"address": row["addr"], "status": row["status"],
                                "sessions": int(row["scur"])} for row in servers}

    def end(self):
        if self.child:
            procs.end(self.child)

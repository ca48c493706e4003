# SPDX-License-Identifier: GPL-3.0-or-later
"""A real snmpd, on a free port of 127.0.0.1 unless told otherwise, unprivileged, for the length of a `with`."""
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

PATHS = "/usr/sbin:/usr/bin:/sbin:/bin"


class Snmpd:
    """`options`: more words for its command line, `lines`: more lines for its configuration, `name`: ADDRESS:PORT."""

    def __init__(self, folder, community="public", lines=(), options=(), name=None):
        self.program = shutil.which("snmpd", path=PATHS)
        if not self.program:
            pytest.skip("needs snmpd, which is not installed")
        self.folder = pathlib.Path(folder)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.name = name or "127.0.0.1:%d" % free.getsockname()[1]
        (self.folder / "snmpd.conf").write_text("\n".join(
            [f"rocommunity {community} 127.0.0.1", f"agentaddress udp:{self.name}", *lines, ""]))
        self.options = options

    def __enter__(self):
        self.process = subprocess.Popen(
            [self.program, "-f", "-C", "-c", self.folder / "snmpd.conf", "-Lf", self.folder / "snmpd.log",
             *self.options], env={"SNMP_PERSISTENT_DIR": str(self.folder / "persistent"), "PATH": PATHS},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_until_it_listens()
        return self

    def wait_until_it_listens(self):
        host, port = self.name.split(":")
        wanted = "%02X%02X%02X%02X:%04X" % (*reversed([int(part) for part in host.split(".")]), int(port))
        deadline = time.monotonic() + 10
        while wanted not in pathlib.Path("/proc/net/udp").read_text():
            assert self.process.poll() is None, (self.folder / "snmpd.log").read_text()
            assert time.monotonic() < deadline, "snmpd does not listen"
            time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

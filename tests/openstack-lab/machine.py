#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""machine.py start LAB-FOLDER ID ADDRESS | stop LAB-FOLDER ID: what runs on a server's address.

The same nginx and snmpd as in the demo (instance.py). They belong to nobody: the process that starts them ends, and
what ends them later knows them by what services.py writes of a process.
"""
import json
import os
import pathlib
import shutil
import signal
import sys

from instance import Instance
from services import started


def start(lab, id, address):
    folder = lab / "machines" / id
    stop(lab, id)
    instance = Instance(folder, address, **json.loads((lab / "etc" / "machine.json").read_text()))
    instance.start()
    (folder / "pids").write_text("".join(f"{child.pid} {started(child.pid)}\n" for child in instance.children))
    (folder / "address").write_text(address)


def stop(lab, id):
    """The machine is gone: no farewell to anybody."""
    folder = lab / "machines" / id
    try:
        lines = (folder / "pids").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    for pid, since in (line.split() for line in lines):
        if started(int(pid)) == since:
            os.killpg(int(pid), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def restart_all(lab):
    """After the lab was down: the machines of the servers that Nova still has."""
    for file in (lab / "machines").glob("*/address"):
        start(lab, file.parent.name, file.read_text())


def stop_all(lab):
    """The machines end, what is known of them stays, for restart_all()."""
    for file in (lab / "machines").glob("*/pids"):
        address = file.with_name("address").read_text()
        stop(lab, file.parent.name)
        file.parent.mkdir()
        file.with_name("address").write_text(address)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "start":
        start(folder, *sys.argv[3:])
    else:
        stop(folder, *sys.argv[3:])

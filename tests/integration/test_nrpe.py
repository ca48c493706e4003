#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's NRPE with the shipped commands: the check, and a handler that lives on when NRPE has answered."""
import contextlib
import grp
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core_lab import CoreLab, wait_until  # noqa: E402
from core_scenarios import BUSY, MIDDLE  # noqa: E402
import nagios  # noqa: E402  (a module of the demo)
import procs  # noqa: E402

NRPE, CHECK_NRPE = "/usr/sbin/nrpe", "/usr/lib/nagios/plugins/check_nrpe"
pytestmark = pytest.mark.skipif(not (shutil.which(NRPE) and shutil.which(CHECK_NRPE)),
                                reason="needs nagios-nrpe-server and nagios-nrpe-plugin")
HANDLER_LIMIT_S = 2


# NRPE runs as nobody else than an unprivileged user
USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
ACCOUNT = pwd.getpwnam(USER)


@pytest.fixture
def lab():
    with tempfile.TemporaryDirectory(prefix="cs-nrpe.") as folder:
        yield from start(pathlib.Path(folder))


def start(tmp_path):
    lab = CoreLab(tmp_path, None)
    lab.port = procs.free_port()
    shipped = nagios.shipped("contrib/nagios/nrpe.cfg.in").read_text()
    # The same commands, on this lab's programs and its configuration
    commands = (shipped.replace("/usr/lib/nagios/plugins", str(lab.plugins))
                .replace(" -n web", f" -n web -f {tmp_path}/clusterscale.yaml")
                .replace("command_timeout=60", f"command_timeout={HANDLER_LIMIT_S + 8}"))
    (tmp_path / "commands.cfg").write_text(commands)
    (tmp_path / "nrpe.cfg").write_text(
        f"server_address=127.0.0.1\nserver_port={lab.port}\nallowed_hosts=127.0.0.1\n"
        f"nrpe_user={USER}\nnrpe_group={grp.getgrgid(ACCOUNT.pw_gid).gr_name}\n"
        f"pid_file={tmp_path}/nrpe.pid\ninclude={tmp_path}/commands.cfg\n")
    child = procs.spawn([NRPE, "-n", "-f", "-c", tmp_path / "nrpe.cfg"], tmp_path / "nrpe.log")
    wait_until(lambda: listens(lab.port), "nrpe listens")
    yield lab
    procs.end(child)
    lab.close()


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def give_away(lab):
    """All that the programs read and write to the user whom they run as."""
    if os.geteuid() == 0:
        for path in (lab.dir, *lab.dir.rglob("*")):
            os.chown(path, ACCOUNT.pw_uid, ACCOUNT.pw_gid)


def call(lab, command, *arguments):
    """(exit status, output, seconds)"""
    give_away(lab)
    began = time.monotonic()
    done = subprocess.run([CHECK_NRPE, "-n", "-H", "127.0.0.1", "-p", str(lab.port), "-t", "30", "-c", command,
                           *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, time.monotonic() - began


def pipes(pid):
    """Numbers of its descriptors that are pipes; those that close meanwhile are none."""
    found = []
    for fd in pathlib.Path("/proc", str(pid), "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += [fd.name] if os.readlink(fd).startswith("pipe:") else []
    return found


def test_high_load_adds_a_server_at_every_firing(lab):
    lab.add(2)
    assert call(lab, "check_cluster_cpu_web")[0] == 0
    lab.agents.load = BUSY
    for made in (1, 2):
        time.sleep(1.2)  # each measurement counts once
        wait_until(lambda: "CLUSTER CPU CRITICAL - web" in call(lab, "check_cluster_cpu_web")[1], "the load is high")
        assert call(lab, "nova_scale_web")[0] == 0
        lab.settle()
        assert len(lab.creates()) == made
    lab.agents.load = MIDDLE
    lab.check_settled(4)


def test_a_handler_outlives_the_call(lab):
    lab.add(2)
    lab.measure(990)
    lab.cloud.plan_builds(1, seconds=4)
    status, text, seconds = call(lab, "nova_scale_web")
    assert status == 0 and text.count("\n") == 1, text
    assert seconds < HANDLER_LIMIT_S
    [pid] = lab.handlers()
    if os.geteuid() == 0:  # nobody else may look there
        # It has pipes of its own while it calls a load balancer; one of NRPE's would stay.
        wait_until(lambda: not pipes(pid), "the handler has no pipe of its caller's")
    lab.settle()
    assert len(lab.creates()) == 1
    lab.check_settled(3)


def test_a_broken_check_and_a_stale_history_do_nothing(lab):
    lab.add(3)
    lab.measure(990, ago=600)
    lab.check.unlink()
    assert call(lab, "check_cluster_cpu_web")[0] == 3
    assert call(lab, "nova_scale_web")[0] == 0
    lab.settle()
    assert lab.acted() == [] and "hold" in lab.log()


def test_arguments_reach_nothing(lab):
    lab.add(3)
    lab.measure(990)
    marker = lab.dir / "marker"
    for command, *arguments in (["nova_scale_web", "-a", f"; touch {marker}"], [f"nova_scale_web; touch {marker}"],
                                [f"$(touch {marker})"]):
        assert call(lab, command, *arguments)[0] == 3
    assert not marker.exists() and lab.acted() == [] and not lab.handlers()

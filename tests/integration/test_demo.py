# SPDX-License-Identifier: GPL-3.0-or-later
"""A demo that is interrupted ends everything that it started, the detached handlers included."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("top_builddir", TESTS.parent))
PROGRAMS = {"plugins/check_cluster_cpu": ".", "plugins/check_cluster_drift": ".", "handlers/nova_scale": "eventhandlers",
            "handlers/haproxy_sync": "eventhandlers"}

sys.path.insert(0, str(TESTS / "demo"))

import nagios  # noqa: E402
import procs  # noqa: E402


@pytest.fixture
def stage():
    """The demo and the programs where an ordinary user can read them; kept when the test fails."""
    for program in ("haproxy", "nginx", "snmpd", "setpriv"):
        if not shutil.which(program):
            pytest.skip(f"needs {program}, which is not installed")
    path = pathlib.Path(tempfile.mkdtemp(prefix="cs-demo-"))
    for name in ("tests/demo", "tests/fakes", "contrib"):
        shutil.copytree(TESTS.parent / name, path / pathlib.Path(name).name)
    (path / "programs/eventhandlers").mkdir(parents=True)
    for program, folder in PROGRAMS.items():
        shutil.copy(BUILD / program, path / "programs" / folder)
    (path / "run").mkdir()
    subprocess.run(["chmod", "-R", "a+rX,u+w", path], check=True)
    return path


def start(stage, *options):
    command = [sys.executable, "-B", stage / "demo" / "demo.py",
               "--programs", stage / "programs", "--run-dir", stage / "run", *options]
    if os.geteuid() == 0:
        shutil.chown(stage / "run", "nobody", "nogroup")
        command = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", *command]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def using(path):
    """Command lines of the processes that mention PATH."""
    lines = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            lines.append(pathlib.Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            pass
    return [line for line in lines if bytes(path) in line]


@pytest.mark.parametrize("moment", ["asked for", "UP in the running HAProxy"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("core", ["nagios4", "--no-core"])
def test_an_interrupted_demo_leaves_no_process(stage, core, signum, moment):
    if core == "nagios4" and not nagios.installed():
        pytest.skip("needs nagios4, which is not installed")
    demo = start(stage, *[core] if core.startswith("--") else [])
    said = []
    for line in demo.stdout:
        said.append(line)
        if moment in line:
            break
    assert using(stage / "run"), said
    demo.send_signal(signum)
    said.append(demo.communicate(timeout=60)[0])
    assert demo.returncode == 1, said
    assert said[-1].splitlines()[-1] == f"FAIL: interrupted by {signum.name}"
    procs.wait_until(lambda: not using(stage / "run"), 5, "every process has gone")
    shutil.rmtree(stage)

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's nagios4 on the shipped commands and service, and the wiring of the README."""
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core_scenarios import *  # noqa: E402, F401, F403
from core_lab import TESTS  # noqa: E402
import nagios  # noqa: E402  (a module of the demo)

pytestmark = pytest.mark.skipif(not nagios.installed(), reason="needs nagios4, which is not installed")
CORE = nagios.Nagios


def services(text):
    return re.findall(r"^define service \{\n(?:.*\n)*?\t?\}\n", text, re.MULTILINE)


def test_the_wiring_of_the_readme_is_what_ships_and_loads(tmp_path):
    """Its services verbatim: the same as beside the shipped templates, and what Debian's core makes of them."""
    readme = services((TESTS.parent / "README.md").read_text())
    comments = re.sub("^#\t?", "", nagios.shipped().read_text(), flags=re.MULTILINE)
    assert [text.split() for text in readme] == [text.split() for text in services(comments)[:2]]
    core = nagios.Nagios(tmp_path, "/usr/lib/nagios/plugins", config=tmp_path / "clusterscale.yaml")
    core.write_files()
    host = (tmp_path / "site.cfg").read_text().partition("define service")[0]
    (tmp_path / "site.cfg").write_text(host + "".join(readme))
    done = subprocess.run([nagios.PROGRAM, "-vp", core.config], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and re.search(r"^Total Errors: +0$", done.stdout, re.MULTILINE), done.stdout
    cpu, drift = [dict(line.split(None, 1) for line in text.splitlines()[1:-1]) for text in services(
        (tmp_path / "objects.precache").read_text())]
    wanted = {"check_command": "check_cluster_cpu", "event_handler": "nova_scale", "is_volatile": "1",
              "max_check_attempts": "1", "event_handler_enabled": "1", "notifications_enabled": "0", "_CLUSTER": "web",
              "_CONFIG": "/etc/clusterscale/clusterscale.yaml"}
    assert {key: cpu.get(key) for key in wanted} == wanted
    assert drift["check_command"] == "check_cluster_drift" and drift["notifications_enabled"] == "1"
    assert "event_handler" not in drift

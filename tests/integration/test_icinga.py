#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's icinga2 on the shipped commands and services."""
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core_scenarios import *  # noqa: E402, F401, F403
from core_lab import BUILD, TESTS, wait_until  # noqa: E402
import icinga  # noqa: E402
import nagios  # noqa: E402  (a module of the demo)

pytestmark = pytest.mark.skipif(not icinga.installed(), reason="needs icinga2, which is not installed")
CORE = icinga.Icinga


def test_the_host_of_the_readme_gets_both_services(tmp_path):
    [host] = re.findall(r"^object Host .*?^}\n", (TESTS.parent / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    core = icinga.Icinga(tmp_path, "/usr/lib/nagios/plugins", config=tmp_path / "clusterscale.yaml")
    core.write_files()
    text = core.config.read_text().partition("object Host")[0]
    core.config.write_text(text + 'template Host "generic-host" { check_command = "dummy" }\n' + host)
    done = subprocess.run(core.command("daemon", "-C", "-c", core.config), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Instantiated 2 Services." in done.stdout, done.stdout


@pytest.mark.parametrize("command, program", [("cluster_cpu", "plugins/check_cluster_cpu"),
                                              ("cluster_drift", "plugins/check_cluster_drift"),
                                              ("nova_scale", "handlers/nova_scale")])
def test_the_commands_name_options_that_are_there(command, program):
    text = nagios.shipped(icinga.SHIPPED + "/commands.conf").read_text()
    block = re.search(rf'Command "{command}" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL)[1]
    offered = subprocess.run([BUILD / program, "--help"], capture_output=True, text=True, check=False).stdout
    named = re.findall(r'^\t\t"(-[^"]+)" =', block, re.MULTILINE)
    assert len(named) >= 5
    for option in named:
        assert re.search(rf"(^|[ ,]){re.escape(option)}[, ]", offered, re.MULTILINE), option


def test_a_fresh_core_fires_with_ok_and_nothing_happens(lab):
    """Icinga runs the handler when the very first check is OK, which no other core does."""
    lab.add(3)
    lab.start_core(interval_s=6)
    wait_until(lambda: lab.core.fired() == ["OK"], "the handler is fired")
    lab.settle()
    assert lab.acted() == [] and lab.intents() == []

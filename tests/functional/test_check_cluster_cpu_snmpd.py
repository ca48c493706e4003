# SPDX-License-Identifier: GPL-3.0-or-later
"""check_cluster_cpu against a real snmpd: its own counters, and values of ours behind pass_persist."""
import pathlib
import sys

import pytest

FAKES = pathlib.Path(__file__).parents[1] / "fakes"
sys.path.insert(0, str(FAKES))
from cpu_plugin import PER_CPU, Plugin  # noqa: E402
from snmp_agent import COUNTERS  # noqa: E402
from snmpd import Snmpd  # noqa: E402


@pytest.fixture
def plugin(tmp_path):
    return Plugin(tmp_path)


def write_counters(folder, cpus=2, **ticks):
    lines = [f"{number} counter {ticks.get(name, 0)}" for name, number in COUNTERS.items()]
    (folder / "counters").write_text("\n".join(lines + [f"67 integer {cpus}", ""]))


def with_counters(folder, **more):
    """Without -I -vmstat the built-in counters of snmpd win."""
    program = f"/usr/bin/python3 {FAKES}/pass_counters.py {folder}/counters"
    return Snmpd(folder, lines=[f"pass_persist .1.3.6.1.4.1.2021.11 {program}"], options=["-I", "-vmstat"], **more)


@pytest.mark.parametrize("permille", [0, 123, 699, 700, 1000])
def test_known_counters_give_the_known_load(plugin, tmp_path, permille):
    busy = 2 * PER_CPU * permille // 1000
    write_counters(tmp_path, user=busy // 2, softirq=busy - busy // 2, idle=1 + 2 * PER_CPU - busy - 7, wait=7)
    if permille == 1000:
        write_counters(tmp_path, user=busy, idle=1)
    with with_counters(tmp_path) as agent:
        plugin.baseline(agent)
        done = plugin.check(agents=[agent])
    assert done.stdout == (
        f"CLUSTER CPU OK - load {permille / 10:.1f} % of 1 server (1 sampled) | "
        f"load={permille / 10:.1f}%;;;0;100 servers=1 sampled=1 missing=0 stale=0 warming=0\n"
        f"{agent.name}: {permille / 10:.1f} %, 2 CPUs, over 60 s\n")
    assert done.returncode == 0


def test_large_counters_arrive_unsigned(plugin, tmp_path):
    write_counters(tmp_path, user=4294967295, idle=6000)
    with with_counters(tmp_path) as agent:
        plugin.baseline(agent)
        text = plugin.samples.read_text().replace("0 0 0 1 0 0 0 0 0", "4294961295 0 0 0 0 0 0 0 0")
        plugin.samples.write_text(text)
        done = plugin.check(agents=[agent])
    assert done.stdout.startswith("CLUSTER CPU OK - load 50.0 % of 1 server (1 sampled) |")


def test_an_agent_whose_view_hides_the_counters_says_so(plugin, tmp_path):
    (tmp_path / "counters").write_text("")
    with with_counters(tmp_path) as agent:
        done = plugin.check("-t", "2", agents=[agent])
    assert done.stdout.splitlines()[1] == (
        f"{agent.name}: missing: the agent shows neither ssCpuRaw counters nor hrProcessorLoad (its view or access "
        "rule?)")


def test_the_wrong_community_is_silence(plugin, tmp_path):
    with Snmpd(tmp_path, community="other") as agent:
        done = plugin.check("-t", "2", agents=[agent])
    assert done.stdout.splitlines()[1] == (
        f"{agent.name}: missing: no answer (address, port, firewall or community?)")
    assert done.returncode == 3


def test_the_counters_of_this_machine_have_the_expected_shape(plugin, tmp_path):
    """Two polls of a real agent: seen once it has filled its counters, or zero right after its start."""
    with Snmpd(tmp_path) as agent:
        done = plugin.check("-t", "2", agents=[agent])
        text = done.stdout.splitlines()[1]
        assert text in (f"{agent.name}: warming: first sample",
                        f"{agent.name}: missing: all counters are 0: snmpd has just started")
        assert done.returncode == 3


PROCESSOR_LOAD = ".1.3.6.1.2.1.25.3.3.1.2"


def with_processors(folder, *percents):
    """A real snmpd that has hrProcessorLoad alone: its own is there only after 60 s."""
    lines = [f"{196608 + i} integer {percent}" for i, percent in enumerate(percents)]
    (folder / "processors").write_text("\n".join(lines + [""]))
    program = f"/usr/bin/python3 {FAKES}/pass_counters.py {folder}/processors {PROCESSOR_LOAD}"
    return Snmpd(folder, lines=[f"pass_persist {PROCESSOR_LOAD} {program}"],
                 options=["-I", "-vmstat,hr_proc,cpu,cpu_linux"])


@pytest.mark.parametrize("percents, figure", [([37], "37.0"), ([0, 50, 100, 61], "52.8"), ([25] * 34, "25.0")])
def test_the_processors_of_host_resources_are_walked(plugin, tmp_path, percents, figure):
    with with_processors(tmp_path, *percents) as agent:
        done = plugin.check(agents=[agent])
    cpus = f"{len(percents)} CPU{'s' if len(percents) > 1 else ''}"
    assert done.stdout == (
        f"CLUSTER CPU OK - load {figure} % of 1 server (1 sampled) | "
        f"load={figure}%;;;0;100 servers=1 sampled=1 missing=0 stale=0 warming=0\n"
        f"{agent.name}: {figure} %, {cpus}, over 60 s, by host-resources\n")
    assert done.returncode == 0

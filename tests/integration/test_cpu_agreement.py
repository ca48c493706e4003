# SPDX-License-Identifier: GPL-3.0-or-later
"""check_cluster_cpu against a real snmpd must find the load that /proc/stat shows by the same formula: idle, at
one and at two busy loops, and across the step from one to the other. Measured over the agent's own refreshes."""
import os
import pathlib
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "fakes"))
from cpu_plugin import Plugin  # noqa: E402
from snmpd import Snmpd  # noqa: E402

POINTS = 6
MIN_SPAN_S = 10.05  # the plugin measures nothing shorter than 10 s
REFRESH_S = 5


def kernel_ticks():
    """(busy, total) of /proc/stat; proc(5): user nice system idle iowait irq softirq steal."""
    fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


class Loops:
    """Busy loops, and nothing of them left behind."""

    def __init__(self):
        self.processes = []

    def set(self, count):
        while len(self.processes) > count:
            process = self.processes.pop()
            process.kill()
            process.wait()
        while len(self.processes) < count:
            self.processes.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.set(0)


def counters(agent):
    """The user ticks that snmpd shows, to see it refresh."""
    done = subprocess.run(["snmpget", "-v2c", "-cpublic", "-Oqv", agent.name, ".1.3.6.1.4.1.2021.11.50.0",
                           ".1.3.6.1.4.1.2021.11.53.0"], capture_output=True, text=True, check=False)
    return done.stdout


def wait_for_refresh(agent):
    """Returns right after snmpd has read /proc/stat anew, with what that file says then."""
    before, deadline = counters(agent), time.monotonic() + 2 * REFRESH_S
    while counters(agent) == before:
        assert time.monotonic() < deadline, "snmpd does not refresh its counters"
        time.sleep(0.02)
    return kernel_ticks()


def measured(plugin, agent):
    """Per cent that the plugin shows since its last run, or None."""
    done = plugin.check("-t", "2", agents=[agent])
    text = done.stdout.split(" % of 1 server (1 sampled)")
    return float(text[0].rsplit(" ", 1)[1]) if len(text) == 2 else None


def wanted(before, after):
    return 100 * (after[0] - before[0]) / (after[1] - before[1])


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two CPUs")
def test_the_plugin_agrees_with_proc_stat(tmp_path):
    plugin = Plugin(tmp_path)
    with Snmpd(tmp_path) as agent, Loops() as loops:
        while counters(agent).split() == ["0", "0"]:
            time.sleep(0.05)
        wait_for_refresh(agent)
        wait_for_refresh(agent)
        before = kernel_ticks()
        assert measured(plugin, agent) is None, "there was no baseline"
        last = time.monotonic()
        for name, first, second in (("idle", 0, 0), ("one loop", 1, 1), ("a step", 1, 2), ("two loops", 2, 2)):
            loops.set(first)
            wait_for_refresh(agent)
            loops.set(second)
            after = wait_for_refresh(agent)
            time.sleep(max(0, last + MIN_SPAN_S - time.monotonic()))
            load = measured(plugin, agent)
            last = time.monotonic()
            assert load is not None, name
            expected = wanted(before, after)
            print(f"{name}: plugin {load:.1f} %, /proc/stat {expected:.1f} %", flush=True)
            assert abs(load - expected) <= POINTS, f"{name}: plugin {load} %, /proc/stat {expected:.1f} %"
            before = after

# SPDX-License-Identifier: GPL-3.0-or-later
"""check_cluster_cpu under test: running it, and agents whose load it must find."""
import grp
import os
import pathlib
import re
import subprocess
import time

from snmp_agent import Agent, cpu

PROGRAM = pathlib.Path(os.environ.get("top_builddir", "build")) / "plugins" / "check_cluster_cpu"
GROUP = grp.getgrgid(os.getegid()).gr_name
SPAN_S = 60  # between the baselines that the tests write and now
PER_CPU = SPAN_S * 100  # ticks in that time


class Plugin:
    """Runs the program with a state folder of its own below `folder`."""

    def __init__(self, folder, state=None):
        self.folder = folder
        self.state = state or folder / str(os.geteuid()) / "check_cluster_cpu"
        self.environment = {"PATH": os.environ["PATH"], "MP_STATE_PATH": str(folder)}
        self.samples = self.state / "samples"

    def run(self, *arguments, **environment):
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60,
                              env=self.environment | environment)
        assert done.stderr == ""
        # A busy machine starts the program late.
        done.stdout = re.sub(rf"over {SPAN_S // 10}\d s", f"over {SPAN_S} s", done.stdout)
        return done

    def check(self, *arguments, agents=(), **environment):
        hosts = [word for agent in agents for word in ("-H", getattr(agent, "name", agent))]
        return self.run("-C", "public", *hosts, *arguments, **environment)

    def baseline(self, *agents, age_s=SPAN_S, cpus=2):
        """A sample of each agent or id from an earlier run: all 0 but idle, as all zero would be no data."""
        self.state.mkdir(parents=True, exist_ok=True)
        boottime = time.clock_gettime(time.CLOCK_BOOTTIME) - age_s
        boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        with self.samples.open("a") as file:
            for agent in agents:
                print(getattr(agent, "name", agent), int((time.time() - age_s) * 1000), int(boottime * 1000),
                      boot_id, int(boottime * 100), cpus, "0 0 0 1 0 0 0 0 0", file=file)


def busy(permille, cpus=2, **where):
    """An agent whose counters moved so since Plugin.baseline()."""
    total = PER_CPU * cpus
    user = total * permille // 1000
    return Agent(cpu(cpus=cpus, user=user, idle=1 + total - user), **where)

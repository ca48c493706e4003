#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Icinga 2 with two masters and a third node: the master in charge dies in the middle of a scale-up and of
a drain, together with its handler or while that works on the third node. The other one finishes what was begun.
"""
import os
import sys
import threading
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core_lab import CoreLab, commands, kill, wait_until  # noqa: E402
from core_scenarios import BUSY, LAZY, MIDDLE  # noqa: E402
import icinga  # noqa: E402
import icinga_zone  # noqa: E402
import procs  # noqa: E402

pytestmark = pytest.mark.skipif(not icinga.installed(), reason="needs icinga2, which is not installed")
MIN, MAX = 2, 4
HOST = """\
object Host "{name}" {{
	check_command = "dummy"
	zone = "master"
	vars.clusterscale["web"] = {{
		check_interval = 2
		clusterscale_config = "{config}"
		{endpoint}
	}}
}}
"""


class Cluster(CoreLab):
    """One cluster of the zone, with what is claimed of it watched all the time."""

    def __init__(self, folder, where, servers, load):
        folder.mkdir()
        super().__init__(folder, icinga.Icinga, min=MIN, max=MAX)
        self.name, self.where, self.most, self.fewest = icinga_zone.host_name(folder.name), where, 0, 99
        self.add(servers)
        self.agents.load = load
        first = self.dir / "clusterscale.yaml"
        self.configs = {"master1": first, "master2": first}
        if where == "masters":  # each has files of its own
            self.configs["master2"] = self.dir / "clusterscale-2.yaml"
            self.configs["master2"].write_text(first.read_text().replace(f"{self.dir}/state", f"{self.dir}/state2"))
            (self.dir / "state2").mkdir()
        self.watching = threading.Thread(target=self.watch, daemon=True)
        self.closing = threading.Event()
        self.watching.start()

    def watch(self):
        while not self.closing.wait(0.02):
            count = len(self.ours())
            self.most, self.fewest = max(self.most, count), min(self.fewest, count)

    def host(self, node):
        endpoint = 'endpoint = "lb1"' if self.where == "lb1" else ""
        return HOST.format(name=self.name, config=self.configs[node], endpoint=endpoint)

    def master1_dies(self):
        if self.where == "masters":
            for pid, words in commands():
                if str(self.configs["master1"]) in words:
                    kill(pid)

    def draining(self):
        return [s for s in self.ours() if "clusterscale.draining" in s["metadata"]]

    def hold_drains(self, held):
        for lb in self.lbs:
            (lb / "hold").touch() if held else (lb / "hold").unlink()

    def close(self):
        self.closing.set()
        self.watching.join()
        super().close()


@pytest.fixture
def zone(tmp_path):
    labs = {f"{what}-{where}": Cluster(tmp_path / f"{what}-{where}", where, servers, load)
            for what, servers, load in (("up", 2, MIDDLE), ("down", 4, MIDDLE)) for where in ("masters", "lb1")}
    icinga_zone.make_certificates(tmp_path / "nodes/certs")
    ports = {name: procs.free_port() for name in icinga_zone.NODES}
    plugins = next(iter(labs.values())).plugins
    nodes = {name: icinga_zone.Node(tmp_path / "nodes", name, plugins, ports,
                                    "" if name == "lb1" else "".join(lab.host(name) for lab in labs.values()))
             for name in icinga_zone.NODES}
    for node in nodes.values():
        node.begin()
    yield labs, nodes
    for node in nodes.values():
        node.die()
    for lab in labs.values():
        lab.close()
    procs.reap_orphans()


def test_a_fail_over_in_the_middle_of_work(zone, capfd):
    labs, nodes = zone
    up, down = ([lab for name, lab in labs.items() if name.startswith(what)] for what in ("up", "down"))
    began = time.monotonic()

    def tell(what):
        with capfd.disabled():
            print(f"  two masters: {time.monotonic() - began:4.0f} s: {what}", flush=True)

    def fired(name):
        return {host: nodes[name].fired_for(lab.name) for host, lab in labs.items()}

    wait_until(lambda: all(fired("master1").values()), "master1 checks every cluster", 120)
    tell(f"master1 fired {fired('master1')}")
    for lab in down:
        lab.hold_drains(True)
        lab.agents.load = LAZY
    for lab in up:
        lab.cloud.plan_builds(1, seconds=8)
        lab.agents.load = BUSY
    wait_until(lambda: all(lab.creates() for lab in up) and all(lab.draining() for lab in down),
               "everywhere something is begun", 120)
    assert not any(fired("master2").values()), fired("master2")
    nodes["master1"].die()
    for lab in labs.values():
        lab.master1_dies()
    tell(f"master1 dies; it had fired {fired('master1')}")

    wait_until(lambda: all(fired("master2").values()), "master2 takes over", 120)
    tell("master2 has fired for all")
    for lab in down:
        lab.hold_drains(False)
    wait_until(lambda: all(len(lab.ours()) == MAX for lab in up), "grown to max", 120)
    wait_until(lambda: all(len(lab.ours()) == MIN and not lab.draining() for lab in down), "shrunk to min", 120)
    tell(f"done; master2 fired {fired('master2')}")

    nodes["master1"].begin()  # with what it knew when it died
    before = fired("master1")
    wait_until(lambda: all(fired("master1")[host] > before[host] for host in labs if host.startswith("up")),
               "master1 is in charge again", 120)
    tell("master1 is back and has fired")
    for lab in labs.values():
        lab.agents.load = MIDDLE
    for lab in labs.values():
        lab.settle()
        assert MIN <= lab.fewest and lab.most <= MAX, (lab.name, lab.fewest, lab.most)
        assert not lab.draining() and all(s["status"] == "ACTIVE" for s in lab.ours())
        assert len(lab.servers()) == len(lab.ours()) == (MAX if lab in up else MIN), lab.name
    tell("nothing drains, nothing above max")

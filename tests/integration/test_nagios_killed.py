#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of Debian's nagios4, of the handler and of the plugin at random moments always converges.

A file of its own, as it takes long and runs beside the others. CS_SEEDS: how many seeds (50);
CS_SEED: the first one (1).
"""
import os
import random
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nagios_lab import kill, wait_until  # noqa: E402
from test_nagios import BUSY, LAZY, MIDDLE, make_lab, nagios, procs, pytestmark  # noqa: E402, F401

SEEDS, FIRST_SEED = int(os.environ.get("CS_SEEDS", 50)), int(os.environ.get("CS_SEED", 1))


def kill_core(lab):
    """kill -9 of the core and its workers; what they had started lives on."""
    workers = [pid for pid, name in procs.descendants(lab.core.child.pid).items() if name == nagios.PROGRAM]
    procs.kill_group(lab.core.child)
    for pid in workers:
        kill(pid)
    lab.core.stop()


def kill_when_there(pids, limit_s=2):
    """kill -9 as soon as there is something to kill; whether there was."""
    end = time.monotonic() + limit_s
    while not (found := pids()):
        if time.monotonic() > end:
            return False
    for pid in found:
        kill(pid)
    return True


def is_settled(lab):
    return (lab.core.state == "OK" and not lab.handlers() and not lab.open_ops()
            and all(s["status"] == "ACTIVE" and "clusterscale.draining" not in s["metadata"] for s in lab.ours())
            and {s["id"] for s in lab.ours()} <= {line["server_id"] for line in lab.journal(type="published")})


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_kill_9_at_random_moments_converges(make_lab, seed, capfd):
    dice = random.Random(seed)
    lab = make_lab(max=6)
    lab.cloud.plan_builds(99, seconds=dice.uniform(0.1, 2))
    lab.add(dice.randint(2, 4))
    lab.start_core(retain=dice.randint(0, 1))
    lab.wait_checked(2)
    lab.agents.load = dice.choice([BUSY, LAZY])
    struck = []
    for _ in range(4):
        time.sleep(dice.uniform(0, 1.5))
        target = dice.choice(["core", "handler", "handler", "plugin"])
        if target == "core":
            kill_core(lab)
            lab.start_core(retain=dice.randint(0, 1))
        elif not kill_when_there(lab.handlers if target == "handler" else lab.checks_running):
            continue
        struck.append(target)
    lab.agents.load = MIDDLE
    with capfd.disabled():
        print(f"  seed {seed}: killed {', '.join(struck)}", flush=True)
    wait_until(lambda: is_settled(lab), f"seed {seed} converges after {struck}", 120)
    assert len(lab.creates()) <= len([i for i in lab.intents() if i["action"] == "create"])
    assert 2 <= len(lab.ours()) <= 6 and len(lab.servers()) == len(lab.ours())
    lab.check_settled(len(lab.ours()))

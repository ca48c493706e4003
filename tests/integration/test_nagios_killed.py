#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of Debian's nagios4, of the handler and of the plugin at random moments always converges.

A file of its own, as it takes long and runs beside the others; several labs at a time, as most of it is waiting.
CS_SEEDS: how many seeds (50); CS_SEED: the first one (1).
"""
import concurrent.futures
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core_lab import CoreLab, kill, wait_until  # noqa: E402
from core_scenarios import BUSY, LAZY, MIDDLE, procs  # noqa: E402
from test_nagios import CORE, nagios, pytestmark  # noqa: E402, F401

FIRST_SEED = int(os.environ.get("CS_SEED", 1))
SEEDS = range(FIRST_SEED, FIRST_SEED + int(os.environ.get("CS_SEEDS", 50)))
LABS = 4
# A create killed between its intent and its request is disproved after CS_PLAN_GRACE_MS, by one of the next passes.
CONVERGES_S = 180 + 60


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


def strike(lab, seed):
    """A core and its load, struck four times; what was."""
    dice = random.Random(seed)
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
    return struck


def attempt(folder, seed):
    """(what was killed, what went wrong or "")."""
    folder.mkdir()
    lab, struck = CoreLab(folder, CORE, max=6), []
    try:
        struck = strike(lab, seed)
        wait_until(lambda: is_settled(lab), "it converges", CONVERGES_S)
        assert len(lab.creates()) <= len([i for i in lab.intents() if i["action"] == "create"])
        assert 2 <= len(lab.ours()) <= 6 and len(lab.servers()) == len(lab.ours())
        lab.check_settled(len(lab.ours()))
        return struck, ""
    except AssertionError as wrong:
        return struck, f"{wrong}\n{lab.log()}"
    finally:
        lab.close()


def test_kill_9_at_random_moments_converges(tmp_path, capfd):
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(LABS) as pool:
        jobs = {seed: pool.submit(attempt, tmp_path / str(seed), seed) for seed in SEEDS}
        for seed, job in jobs.items():
            struck, outcome = job.result()
            if outcome:
                wrong.append(f"seed {seed}, killed {', '.join(struck)}: {outcome}")
            with capfd.disabled():
                print(f"  seed {seed}: killed {', '.join(struck)}: {'WRONG' if outcome else 'converged'}", flush=True)
    procs.reap_orphans()
    assert not wrong, "\n".join(wrong)

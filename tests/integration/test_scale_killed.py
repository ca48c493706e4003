# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of nova_scale before and after every call that leaves a trace outside the process.

Simulated builds and deletes of 50 ms. After each kill one more firing comes to the same end as an undisturbed one: no server
lost, doubled or deleted in error, nothing open. Several labs at a time, as most of it is waiting. CS_POINT=N tries that
point alone.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "functional"))
import journal_lines  # noqa: E402
from scale_lab import BUILD, POOR, PROGRAM, Lab  # noqa: E402

KILL_AT = BUILD / "tests" / "tools" / "kill_at"
KILLED, CANNOT_TRACE = 137, 99
GRACE_MS = 181_000
LABS = 4
ONLY = int(os.environ.get("CS_POINT", 0))


class Scene:
    """One firing of a cluster of `before` servers that ends with `after`."""

    def __init__(self, folder, state, load, before, after):
        self.folder, self.state, self.load, self.before, self.after = folder, state, load, before, after

    def lab(self, name):
        folder = self.folder / name
        folder.mkdir()
        lab = Lab(folder, lbs=1)
        lab.cloud.lifecycle.build_seconds = lab.cloud.lifecycle.delete_seconds = 0.05
        lab.old = lab.add(self.before)
        lab.measure(self.load)
        return lab

    def fire(self, lab, *kill):
        """Until all of it has ended; (exit status of kill_at, the calls)."""
        done = subprocess.run([KILL_AT, "--list", lab.dir / "list", *kill, "--", PROGRAM, "-n", "web", "-f",
                               lab.dir / "clusterscale.yaml", "--state", self.state, "--state-type", "HARD",
                               "--attempt", "1"], env=POOR, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120)
        if done.returncode == CANNOT_TRACE:
            pytest.skip(f"needs ptrace: {done.stderr}")
        return done.returncode, (lab.dir / "list").read_text().splitlines()

    def check(self, lab):
        lab.check_settled(self.after)
        assert len(lab.servers()) == self.after
        left = {server["id"] for server in lab.ours()}
        if self.after > self.before:
            assert set(lab.old) <= left and len(lab.creates()) == self.after - self.before and lab.deletes() == []
        else:
            assert left <= set(lab.old) and lab.creates() == []

    def disprove(self, lab):
        """An intent whose request never left counts as a server for three minutes: let them pass, and measure again."""
        there = {server["metadata"].get("clusterscale.op") for server in lab.ours()}
        if all(op["action"] != "create" or op["op"] in there for op in lab.open_ops()):
            return
        journal_lines.rewrite(lab.state / "journal",
                              lambda line: {**line, "t": line["t"] - GRACE_MS, "bt": line["bt"] - GRACE_MS})
        lab.fire("OK")
        lab.settle()
        assert lab.open_ops() == []
        if len(lab.servers()) == self.before:  # else it had just left, and was found by its mark
            lab.measure(self.load)

    def attempt(self, point, when):
        """None when the run ended before it, else what went wrong ("" nothing)."""
        lab = self.lab(f"{point}-{when}")
        try:
            status, calls = self.fire(lab, "--point", str(point), "--when", when)
            if status != KILLED:
                return None
            try:
                self.disprove(lab)
                lab.fire(self.state)
                lab.settle(60)
                self.check(lab)
            except AssertionError as wrong:
                return f"killed {when} {calls[-1].replace(str(lab.dir), '')[:100]}: {wrong}\n{lab.log()}"
            return ""
        finally:
            lab.close()

    def enumerate(self, say):
        lab = self.lab("undisturbed")
        try:
            status, calls = self.fire(lab)
            assert status == 0
            self.check(lab)
        finally:
            lab.close()
        # the next look at a server that builds may come once more often
        points = [ONLY] if ONLY else range(1, len(calls) + 10)
        kills, wrong = 0, []
        with concurrent.futures.ThreadPoolExecutor(LABS) as pool:
            jobs = [(point, pool.submit(self.attempt, point, when)) for point in points for when in ("before", "after")]
            for point, job in jobs:
                outcome = job.result()
                kills += outcome is not None
                wrong += [outcome] if outcome else []
                if kills % 40 == 0 and outcome is not None:
                    say(f"{kills} kills, {len(wrong)} of them went wrong")
        say(f"{len(calls)} calls, {kills} kills")
        assert kills >= (1 if ONLY else 2 * len(calls) - 10)
        assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("state, load, before, after", [("CRITICAL", 800, 2, 3), ("WARNING", 20, 3, 2)],
                         ids=["scale-up", "scale-down"])
def test_killed_anywhere_it_converges(tmp_path, capfd, state, load, before, after):
    if b"__asan_init" in PROGRAM.read_bytes():
        pytest.skip("what AddressSanitizer puts into a program does not bear ptrace")

    def say(text):
        with capfd.disabled():
            print(f"  {text}", flush=True)
    Scene(tmp_path, state, load, before, after).enumerate(say)

# SPDX-License-Identifier: GPL-3.0-or-later
"""A firing of nova_scale to which something happens at one of its calls, and the undisturbed one after it.

Simulated builds and deletes of 50 ms; several labs at a time, as most of it is waiting. CS_POINT=N tries that point alone.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "functional"))
import journal_lines  # noqa: E402
from scale_lab import BUILD, POOR, PROGRAM, Lab  # noqa: E402

KILL_AT = BUILD / "tests" / "tools" / "kill_at"
CANNOT_TRACE = 99
GRACE_MS = 181_000
LABS = 4
ONLY = int(os.environ.get("CS_POINT", 0))

# state of the check, load, servers before, servers after
BOTH_WAYS = pytest.mark.parametrize("way", [("CRITICAL", 800, 2, 3), ("WARNING", 20, 3, 2)], ids=["scale-up", "scale-down"])


class Scene:
    """One firing of a cluster of `before` servers that ends with `after`."""

    def __init__(self, folder, capfd, way):
        if b"__asan_init" in PROGRAM.read_bytes():
            pytest.skip("what AddressSanitizer puts into a program does not bear ptrace")
        self.folder, self.capfd, (self.state, self.load, self.before, self.after) = folder, capfd, way

    def say(self, text):
        with self.capfd.disabled():
            print(f"  {text}", flush=True)

    def lab(self, name):
        folder = self.folder / name
        folder.mkdir()
        lab = Lab(folder, lbs=1)
        lab.cloud.lifecycle.build_seconds = lab.cloud.lifecycle.delete_seconds = 0.05
        lab.old = lab.add(self.before)
        lab.measure(self.load)
        return lab

    def fire(self, lab, *what):
        """Until all of it has ended, under kill_at with these options; (what it ended with, the calls)."""
        done = subprocess.run([KILL_AT, "--list", lab.dir / "list", *what, "--", PROGRAM, "-n", "web", "-f",
                               lab.dir / "clusterscale.yaml", "--state", self.state, "--state-type", "HARD",
                               "--attempt", "1"], env=POOR, cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120)
        if done.returncode == CANNOT_TRACE:
            pytest.skip(f"needs ptrace: {done.stderr}")
        return done, (lab.dir / "list").read_text().splitlines()

    def undisturbed(self, *options):
        """The calls of a run to which nothing happens."""
        lab = self.lab("undisturbed")
        try:
            done, calls = self.fire(lab, *options)
            assert done.returncode == 0, done.stderr
            self.check(lab)
            return calls
        finally:
            lab.close()

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

    def converges(self, lab):
        """The next firing comes to the end of an undisturbed one."""
        self.disprove(lab)
        status, out, err = lab.fire(self.state)
        lab.settle(60)
        try:
            self.check(lab)
        except AssertionError as wrong:
            told = f"the next firing ended with {status}: {out}{err}{wrong or 'it did not converge'}"
            raise AssertionError(told) from wrong

    def each(self, points, attempt):
        """attempt(point) is None when the run ended before it, else what went wrong ("": nothing). How many there were."""
        struck, wrong = 0, []
        with concurrent.futures.ThreadPoolExecutor(LABS) as pool:
            for outcome in pool.map(attempt, points):
                struck += outcome is not None
                wrong += [outcome] if outcome else []
                if struck % 40 == 0 and outcome is not None:
                    self.say(f"{struck} times, {len(wrong)} of them went wrong")
        assert not wrong, "\n".join(wrong)
        return struck

    @staticmethod
    def log(lab):
        return lab.log() if (lab.dir / "log").exists() else ""

    def told(self, lab, call, wrong):
        """What went wrong, for a person: the call, and the log."""
        return f"{call.replace(str(lab.dir), '')[:100]}: {wrong}\n{self.log(lab)}"

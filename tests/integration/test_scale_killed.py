# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of nova_scale before and after every call that leaves a trace outside the process.

After each kill one more firing comes to the same end as an undisturbed one: no server lost, doubled or deleted in error,
nothing open. CS_EVERY_CALL=N: at each N-th of all system calls instead, whatever they do (./dev test --every-call).
"""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
from scale_scene import BOTH_WAYS, ONLY, Scene  # noqa: E402

KILLED = 137
STRIDE = int(os.environ.get("CS_EVERY_CALL", 0))
EVERY = ["--every"] if STRIDE else []
SLACK = 10  # the next look at a server that builds may come once more often, or less


@BOTH_WAYS
def test_killed_anywhere_it_converges(tmp_path, capfd, way):
    scene = Scene(tmp_path, capfd, way)

    def attempt(point_and_when):
        point, when = point_and_when
        lab = scene.lab(f"{point}-{when}")
        try:
            done, calls = scene.fire(lab, *EVERY, "--point", str(point), "--when", when)
            if done.returncode != KILLED:
                return None
            try:
                scene.converges(lab)
            except AssertionError as wrong:
                return f"killed {when} {scene.told(lab, calls[-1], wrong)}"
            return ""
        finally:
            lab.close()

    calls = scene.undisturbed(*EVERY)
    points = [ONLY] if ONLY else range(1, len(calls) + SLACK, STRIDE or 1)
    kills = scene.each([(point, when) for point in points for when in ("before", "after")], attempt)
    scene.say(f"{len(calls)} calls, {kills} kills")
    # how many calls a run has depends on how fast the answers come; a point behind its end is no kill
    assert kills >= (1 if ONLY else 2 * len(points) * 0.8)

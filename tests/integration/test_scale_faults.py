# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk, one that can only be read, one that is broken, and lost answers, from each call of nova_scale on.

From that call on every one that touches the state fails, or that one answer is lost. Whatever was done then is in the
journal, no server is there that it does not know, and once all is well again the next firing comes to the same end as an
undisturbed one. CS_STRIDE=N tries every N-th point of each fault.
"""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from scale_scene import BOTH_WAYS, ONLY, Scene  # noqa: E402

STRIDE = int(os.environ.get("CS_STRIDE", 6))
STATE = "^(open|openat|mkdir|rename|unlink|ftruncate|fchmod|fchown|write|fsync|fdatasync) [^ ]*/state/"
ANSWER = "^recvfrom socket:"
FAULTS = {
    "full disk": (STATE, [], ["--fail", "ENOSPC"], "No space left on device"),
    "read-only": (STATE, [], ["--fail", "EROFS"], "Read-only file system"),
    "broken disk": (STATE, [], ["--fail", "EIO"], "Input/output error"),
    "lost answer": (ANSWER, ["--every"], ["--fail", "ECONNRESET", "--once"], None),
}


def check_left(scene, lab, done, words):
    """What a run leaves that could not go on."""
    assert done.stderr == "" or "died of signal" not in done.stderr, done.stderr
    assert len(lab.servers()) <= 5
    known = {line["op"] for line in lab.journal(type="intent")}
    assert {server["metadata"].get("clusterscale.op") for server in lab.ours()} - {None} <= known
    told = done.stdout + done.stderr + scene.log(lab)
    if words:  # it says what is wrong, unless it could do all of its work
        assert words in told or len(lab.servers()) == scene.after, told


@BOTH_WAYS
@pytest.mark.parametrize("fault", FAULTS)
def test_it_stops_and_goes_on_later(tmp_path, capfd, way, fault):
    scene = Scene(tmp_path, capfd, way)
    match, counted, options, words = FAULTS[fault]

    def attempt(point):
        lab = scene.lab(str(point))
        try:
            done, calls = scene.fire(lab, *counted, "--match", match, "--point", str(point), *options)
            if not any(" -> " in call for call in calls):
                return None
            try:
                check_left(scene, lab, done, words)
                scene.converges(lab)
            except AssertionError as wrong:
                first = next(call for call in calls if " -> " in call)
                return f"{fault} from {scene.told(lab, first, wrong)}"
            return ""
        finally:
            lab.close()

    calls = [call for call in scene.undisturbed(*counted) if re.search(match, call.split(" ", 1)[1])]
    first = 1 + list(FAULTS).index(fault) * STRIDE // len(FAULTS)  # each fault has other points
    points = [ONLY] if ONLY else range(first, len(calls) + 1, STRIDE)
    struck = scene.each(points, attempt)
    scene.say(f"{fault}: {len(calls)} calls, {struck} of them tried")
    # how many pieces an answer comes in depends on how fast they come
    assert struck >= (1 if ONLY else len(points) * 0.7)

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new snapshot: nova_scale replaces the servers of the older one, a few at a time."""

import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import lab, make_lab, plain, wait_until  # noqa: E402, F401

SURGE = "rolling: {max-surge: 1}"


def images(lab):
    return [s["image"] for s in lab.ours()]


def check_replaced(lab, count):
    lab.check_settled(count)
    assert images(lab) == [lab.cloud.image.id] * count


def actions(lab):
    """The story in words: "create", "delete" for each intent."""
    return [line["action"] for line in lab.journal(type="intent")]


def test_four_servers_are_replaced_one_after_the_other(make_lab):
    lab = make_lab(rolling=SURGE)
    lab.add(4)
    lab.replace_image()
    lab.measure(400)
    status, out, err = lab.run()
    assert (status, err) == (0, "")
    check_replaced(lab, 4)
    assert actions(lab) == ["create", "delete"] * 4
    lines = plain(out).splitlines()
    assert lines[0] == (
        "4 in service, 0 under way, 0 draining; 4 exist; min 2, max 5: load 40.0 % on 4 of 4 servers, measured N s ago; "
        "between scale-down-at 10.0 % and scale-up-at 70.0 %: hold; 4 of 4 servers are of an older image; "
        "replacing: 1 new (max-surge 1)")
    assert [line for line in lines if " goes: " in line][-1] == (
        "server 'old' (ID) goes: load 40.0 % on 4 of 4 servers, measured N s ago; "
        "measured before the last action had ended: hold; 1 of 5 servers are of an older image; "
        "replacing: 1 old fewer (max-unavailable 0); chosen: no other may go")
    assert lines[-1] == "Done"
    # never more than one too many, and never fewer than four in service
    exist, present = 4, []
    for line in lab.journal():
        exist += (line["type"] == "request") - (line["type"] == "result" and line["action"] == "delete")
        present.append(exist)
    assert set(present) == {4, 5}


def test_without_room_an_old_one_leaves_first(make_lab):
    lab = make_lab(max=3, rolling="rolling: {max-surge: 1, max-unavailable: 1}")
    lab.add(3)
    lab.replace_image()
    lab.measure(150)  # which one alone could bear
    assert lab.run()[0] == 0
    check_replaced(lab, 3)
    assert actions(lab) == ["delete", "create"] * 3


def test_without_room_and_leave_nothing_is_replaced(make_lab):
    lab = make_lab(max=3, rolling=SURGE)
    lab.add(3)
    lab.replace_image()
    lab.measure(300)
    status, out, _ = lab.run("--explain")
    assert status == 0
    lines = plain(out).splitlines()
    assert lines[lines.index("because: between scale-down-at 10.0 % and scale-up-at 70.0 %: hold") + 1:] == [
        "because: 3 of 3 servers are of an older image",
        "because: max 3 and 3 exist: room for 0 (4 -> 3 servers)",
        "because: nothing can be replaced now: hold",
        "decision: stay at 3 servers"]
    assert lab.run()[0] == 0
    assert lab.creates() + lab.deletes() == []


def test_explain_says_what_is_replaced(make_lab):
    lab = make_lab(rolling=SURGE)
    lab.add(3)
    before = lab.replace_image()
    lab.add(2)
    lab.write_config(rolling=SURGE, max=6)
    lab.measure(400)
    assert images(lab).count(before) == 3
    status, out, _ = lab.run("--explain")
    assert status == 0
    lines = plain(out).splitlines()
    assert lines[lines.index("because: between scale-down-at 10.0 % and scale-up-at 70.0 %: hold") + 1:] == [
        "because: 3 of 5 servers are of an older image",
        "because: replacing: 1 new (max-surge 1)",
        "decision: up to 6 servers",
        "would create a server"]
    assert lab.creates() == []


def test_what_boots_from_a_volume_is_kept_or_is_not_ours_stays(make_lab):
    lab = make_lab(rolling=SURGE, adopt="true", max=9)
    stay = lab.add(1, name="volume", image="") + lab.add(1, name="locked", locked=True)
    stay += lab.add(1, name="protected")
    lab.cloud.change_server(stay[2], tags=["clusterscale:web", "clusterscale.protected"])
    theirs = lab.cloud.add_server("theirs", metadata={})
    lab.add(1, name="old")
    lab.replace_image()
    unmarked = lab.cloud.add_server("theirs", metadata={})
    lab.ports.open(unmarked.summary())
    lab.measure(400, servers=5)
    assert lab.run()[0] == 0
    assert actions(lab) == ["create", "delete"]
    assert {s["id"] for s in lab.servers()} > {*stay, theirs.id, unmarked.id}
    assert "old" not in [s["name"] for s in lab.ours()]


def test_mode_observe_replaces_nothing(make_lab):
    lab = make_lab(rolling=SURGE, mode="observe")
    lab.add(3)
    lab.replace_image()
    lab.measure(400)
    status, out, _ = lab.run()
    assert status == 0
    assert "3 of 3 servers are of an older image" in out and "would create a server" in out
    assert lab.creates() + lab.deletes() == []


def test_cool_downs_and_budgets_hold(make_lab):
    lab = make_lab(rolling=SURGE, cool_up=60, creates=2)
    lab.add(4)
    lab.replace_image()
    lab.measure(400)
    assert lab.run()[0] == 0
    # the other half of a replacement waits for nothing, the next one does
    assert actions(lab) == ["create", "delete"]
    assert "cool-down-up 60 s after the last scale-up" in lab.log().splitlines()[-1]
    lab.write_config(rolling=SURGE, creates=2)
    lab.measure(400)
    assert lab.run()[0] == 0
    assert actions(lab) == ["create", "delete"] * 2
    assert "creates-per-hour 2: 0 left" in lab.log().splitlines()[-1]
    lab.check_settled(4)


def test_a_firing_that_all_is_well_replaces_nothing(make_lab):
    lab = make_lab(rolling=SURGE)
    lab.add(3)
    lab.replace_image()
    lab.measure(400)
    lab.fire("OK")
    lab.settle()
    assert lab.creates() + lab.deletes() == []


def test_load_comes_first_and_counts(make_lab):
    lab = make_lab(rolling=SURGE, max=8)
    lab.add(4)
    before = lab.replace_image()
    lab.measure(800)
    assert lab.run()[0] == 0
    # five for the load, of which the first new one is the additional one, and then the others
    check_replaced(lab, 5)
    assert actions(lab)[:3] == ["create", "create", "delete"]
    first, second = lab.journal(type="intent")[:2]
    assert "at or above scale-up-at" in first["why"] and "rolling_base" not in first["decision"]
    assert second["decision"]["rolling_base"] == 5
    assert before not in images(lab)


def test_fewer_for_the_load_takes_old_ones_first(make_lab):
    lab = make_lab(rolling=SURGE)
    lab.add(1)
    lab.replace_image()
    lab.add(2, name="newer", age=60)
    lab.measure(50)
    assert lab.run()[0] == 0
    check_replaced(lab, 2)
    assert actions(lab) == ["delete"]
    assert lab.journal(type="intent")[0]["why"].endswith("; chosen: of an older image")


@pytest.mark.parametrize("rolling", [SURGE, "rolling: {max-surge: 0, max-unavailable: 1}"])
def test_killed_in_the_middle_it_goes_on(make_lab, rolling):
    lab = make_lab(rolling=rolling)
    lab.add(3)
    lab.replace_image()
    for lines in range(2, 14, 3):  # killed after so many lines of the journal, each time anew
        lab.measure(150)
        begun = len(lab.journal())
        lab.fire("WARNING")
        # the kill before may have come between an intent and its request, which takes 180 s to be disproved
        wait_until(lambda: len(lab.journal()) >= begun + lines or not lab.handlers(), "the journal grows", 240)
        for pid in lab.handlers():
            os.kill(pid, signal.SIGKILL)
        lab.settle()
        assert 2 <= len([s for s in lab.ours() if "clusterscale.draining" not in s["metadata"]]) <= 4
    lab.measure(150)
    assert lab.run()[0] == 0
    check_replaced(lab, 3)


def test_an_image_that_fails_leaves_the_old_ones_serving(make_lab):
    lab = make_lab(rolling="rolling: {max-surge: 1, max-unavailable: 1}")
    old = set(lab.add(4))
    lab.replace_image()
    lab.cloud.plan_builds(3, outcome="error", message="Image is unacceptable.")
    for _ in range(5):
        lab.measure(400)
        assert lab.run()[0] in (0, 2)
    assert {s["id"] for s in lab.ours()} == old
    lab.check_settled(4)
    assert len(lab.creates()) == 3
    assert "3 creates in a row failed: creates are held" in lab.log()
    # a better one
    lab.replace_image()
    assert lab.run("--resume")[0] == 0
    lab.measure(400)
    assert lab.run()[0] == 0
    check_replaced(lab, 4)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

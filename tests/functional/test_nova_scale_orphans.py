#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody looks after: servers with our mark that the journal knows nothing of and that are not in service."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import HINT, lab, make_lab, plain  # noqa: E402, F401

HOUR = 3600


def leave(lab, name, age=2 * HOUR, **fields):
    """What another master left behind; nothing answers there."""
    server = lab.cloud.add_server(name, age=age, metadata={"clusterscale.cluster": "web"}, tags=["clusterscale:web"],
                                  **fields)
    lab.ports.close(server.summary())
    return server.id


def names(lab):
    return sorted(s["name"] for s in lab.servers())


def test_orphans_are_told_and_left(lab):
    lab.add(2)
    leave(lab, "broken", status="ERROR")
    lab.measure(400)
    status, out, err = lab.run()
    assert status == 0
    assert plain(err) == ("nova_scale: server 'broken' (ID) is an orphan: ERROR, and unknown to this journal; "
                          "nova_scale -n web --reap removes it\n")
    assert plain(lab.run("--status")[1]).count("broken  orphan (--reap removes it)\n") == 1
    assert lab.deletes() == [] and names(lab) == ["broken", "old", "old"]


def test_dry_run_lists_what_serves_nobody(make_lab):
    lab = make_lab(max=20)
    lab.add(2)
    leave(lab, "broken", status="ERROR")
    leave(lab, "off", status="SHUTOFF")
    leave(lab, "silent")
    for spared in ("healthy", "young", "kept", "locked", "known", "theirs"):
        leave(lab, spared, status="ACTIVE" if spared == "healthy" else "SHUTOFF", age=HOUR / 2 if spared == "young" else 2 * HOUR,
              locked=spared == "locked")
    servers = {s["name"]: s for s in lab.servers()}
    lab.ports.open(servers["healthy"])
    lab.cloud.change_server(servers["kept"]["id"], tags=["clusterscale:web", "clusterscale.protected"])
    lab.cloud.change_server(servers["theirs"]["id"], metadata={"clusterscale.cluster": "mail"})
    lab.note(type="known", server_id=servers["known"]["id"])
    tried = lab.run("--reap", "--dry-run")
    assert (tried[0], tried[2]) == (0, "")
    assert sorted(plain(tried[1]).splitlines()[1:]) == [
        "would drain and delete 'broken' (ID), chosen: an orphan",
        "would drain and delete 'healthy' (ID), chosen: an orphan, unless it answers",
        "would drain and delete 'off' (ID), chosen: an orphan",
        "would drain and delete 'silent' (ID), chosen: an orphan, unless it answers",
        "would probe and publish 'healthy' (ID)",
        "would probe and publish 'silent' (ID)"]
    assert lab.deletes() == []


def test_reap(lab):
    lab.add(2)
    leave(lab, "broken", status="ERROR")
    leave(lab, "off", status="SHUTOFF")
    leave(lab, "healthy")
    healthy, = [s for s in lab.servers() if s["name"] == "healthy"]
    lab.ports.open(healthy)
    status, out, err = lab.run("--reap")
    assert (status, err) == (0, "")
    assert "server 'healthy' (ID) is no orphan: it answers\n" in plain(out)
    assert "server 'off' (ID) goes: ordered by hand; 3 of 3 orphans of at least 3600 s; chosen: an orphan\n" in plain(out)
    assert out.endswith(HINT + "Done\n")
    assert names(lab) == ["healthy", "old", "old"]
    lab.check_settled(3)
    status, out, err = lab.run("--reap")
    assert (status, err) == (0, "") and "0 of 0 orphans of at least 3600 s" in out
    assert len(lab.deletes()) == 2


def test_what_neither_answers_nor_is_served_is_drained_and_removed(lab):
    lab.add(2)
    leave(lab, "silent")
    for one in lab.lbs:
        script = (one / "sync").read_text()
        (one / "sync").write_text(script.replace('not in marked],', 'not in marked and s["name"] != "silent"],'))
    status, out, err = lab.run("--reap")
    assert (status, err) == (0, "")
    assert "chosen: an orphan, unless it answers" in out
    assert names(lab) == ["old", "old"]
    assert len(lab.journal(type="drained")) == 1
    lab.check_settled(2)


def test_age_and_budget(make_lab):
    lab = make_lab(deletes=2, build_timeout=5)
    lab.add(2)
    for i in range(3):
        leave(lab, f"off{i}", status="SHUTOFF", age=300 - i)
    assert lab.run("--reap")[0] == 0
    assert lab.deletes() == []
    status, out, _ = lab.run("--reap", "--age", "4m")
    assert status == 0 and "2 of 3 orphans of at least 240 s" in out
    assert names(lab) == ["off2", "old", "old"]
    status, out, err = lab.run("--reap", "--age", "4m")
    assert (status, plain(err)) == (3, "nova_scale: cannot delete 1: deletes-per-hour 2: 0 left (1 -> 2 servers)\n")


def test_a_build_of_another_master_is_none_before_build_timeout(lab):
    lab.add(2)
    leave(lab, "building", status="BUILD", age=300)
    assert lab.run("--reap", "--age", "1m")[0] in (0, 1)
    assert "building" in names(lab) and lab.deletes() == []


def test_mode_observe_reaps_nothing(make_lab):
    lab = make_lab(mode="observe")
    leave(lab, "off", status="SHUTOFF")
    status, out, err = lab.run("--reap")
    assert status == 3 and "is in mode observe: nothing is changed" in err
    assert lab.deletes() == []


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale's creates and deletes are in flight together, each with its intent on disk before and its own error."""

import os
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import POOR, PROGRAM, lab, make_lab, plain, wait_until  # noqa: E402, F401

AT_ONCE = 8


def most_in_flight(requests):
    ends = [(r["time"], 1) for r in requests] + [(r["time"] + r["seconds"], -1) for r in requests]
    now = most = 0
    for _, step in sorted(ends):
        now += step
        most = max(most, now)
    return most


def slow(lab, method, path, count):
    lab.cloud.control.inject(method=method, path=path, action="delay", delay=1, count=count)


def test_creates_go_together_after_the_first(make_lab):
    lab = make_lab(max=20)
    slow(lab, "POST", r"/servers$", 12)
    assert lab.run("--create", "12")[0] == 0
    lab.check_settled(12)
    requests = sorted(lab.creates(), key=lambda r: r["time"])
    assert len(requests) == 12
    assert requests[1]["time"] >= requests[0]["time"] + requests[0]["seconds"]
    assert most_in_flight(requests) == AT_ONCE
    intents = {line["op"]: line["t"] / 1000 for line in lab.journal(type="intent")}
    for request in requests:
        op = next(op for op in intents if op in request["body"])
        assert intents.pop(op) <= request["time"]


def test_deletes_go_together(make_lab):
    lab = make_lab(max=20, min=1, lbs=0)
    lab.add(11)
    slow(lab, "DELETE", r"/servers/[^/]*$", 5)
    status, out, err = lab.run("--delete", "5")
    assert (status, err) == (0, "")
    assert len(lab.ours()) == 6
    assert most_in_flight(lab.deletes()) == 5


def test_each_create_has_its_own_error(make_lab):
    lab = make_lab(max=20)
    slow(lab, "POST", r"/servers$", 2)
    lab.cloud.control.inject(method="POST", path=r"/servers$", delay=0.2, status=409,
                             body={"conflictingRequest": {"code": 409, "message": "Port is in use"}})
    status, out, err = lab.run("--create", "4")
    assert status == 2
    assert out.count("New Server web") == 3
    assert "was not created: POST" in out + err and "Port is in use" in out + err
    assert sorted(line["outcome"] for line in lab.journal(type="result")) == ["done", "done", "done", "failed"]
    lab.check_settled(3)


def test_a_kill_with_creates_in_flight_makes_none_twice(make_lab):
    lab = make_lab(max=8, min=1)
    slow(lab, "POST", r"/servers$", 6)
    process = subprocess.Popen([PROGRAM, "-n", "web", "-f", lab.dir / "clusterscale.yaml", "--create", "6"],
                               env=POOR, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(lab.journal(type="request")) > 1, "answers")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: len(lab.ours()) == 6, "what was sent is carried out")
    lab.fire("OK")  # only finishes what is open
    lab.settle()
    made = {line["server_id"] for line in lab.journal(type="request")}
    assert made == {server["id"] for server in lab.ours()} and len(lab.creates()) == len(made)


def test_what_a_kill_kept_from_leaving_is_one_failure(lab):
    """Three in a row would hold creates for a quarter of an hour."""
    lab.add(2)
    for i in range(4):
        lab.note(type="intent", ago=181, op=f"00000000-0000-4000-8000-00000000000{i}", action="create", name=f"lost{i}")
    lab.fire("OK")
    lab.settle()
    assert lab.log().count("was never carried out") == 4
    outcomes = [line["outcome"] for line in lab.journal(type="result")]
    assert sorted(outcomes) == ["cancelled", "cancelled", "cancelled", "failed"]
    assert lab.run("--create", "2")[0] == 0
    lab.check_settled(4)


def test_a_lost_answer_among_others_doubles_nothing(make_lab):
    lab = make_lab(max=20)
    slow(lab, "POST", r"/servers$", 2)
    lab.cloud.control.inject(method="POST", path=r"/servers$", delay=0.2, action="lose")
    status, out, err = lab.run("--create", "5")
    assert status == 0
    assert "is the one whose answer was lost, by its mark" in out
    assert len(lab.creates()) == 5
    lab.check_settled(5)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

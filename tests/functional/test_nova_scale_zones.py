#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several availability zones: balanced, and the next one when a build fails in one."""

import json
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import make_lab, plain  # noqa: E402, F401

ZONES = {"cloud": {"zones": ("az1", "az2")}, "servers": "availability-zones: [az1, az2]"}


@pytest.fixture
def lab(make_lab):  # noqa: F811
    return make_lab(**ZONES)


def asked_for(lab):
    return [json.loads(request["body"])["server"]["availability_zone"] for request in lab.creates()]


def test_new_servers_go_where_the_fewest_are(lab):
    lab.add(1, zone="az1")
    status, out, _ = lab.run("--to", "4")
    assert status == 0 and "created (ID) in zone az2: " in plain(out)
    first, *others = asked_for(lab)
    assert first == "az2" and sorted(others) == ["az1", "az2"], "the others were in flight together"
    lab.check_settled(4)


def test_dry_run_and_explain_show_the_zone(lab):
    lab.add(2, zone="az1")
    assert lab.run("--dry-run", "--create", "1")[1].splitlines()[-1] == "would create a server in zone az2"


def test_no_valid_host_tries_the_next_zone_at_once(lab):
    lab.add(2, zone="az2")
    lab.cloud.plan_builds(1, outcome="error", message="No valid host was found. ")
    lab.measure(800)
    lab.fire("CRITICAL")
    lab.settle()
    assert asked_for(lab) == ["az1", "az2"]
    assert "failed and is removed: it is in ERROR: No valid host was found." in lab.log()
    assert "in zone az2: " in lab.log()
    assert [line.get("zone") for line in lab.journal(type="intent", action="create")] == ["az1", "az2"]
    lab.check_settled(3)
    assert "failed creates in a row in zone az1: 1\n" in lab.run("--status")[1]
    # from now on az1 is left alone for a while, though it has fewer
    assert lab.run("--create", "1")[0] == 0
    assert asked_for(lab)[-1] == "az2"
    assert lab.run("--resume")[0] == 0
    assert lab.run("--create", "1")[0] == 0
    assert asked_for(lab)[-1] == "az1"


def test_a_zone_that_the_cloud_does_not_have_is_passed_over(make_lab):  # noqa: F811
    lab = make_lab(cloud=ZONES["cloud"], servers="availability-zones: [gone, az2]")
    lab.add(2, zone="az2")
    lab.measure(800)
    lab.fire("CRITICAL")
    lab.settle()
    assert "was not created: " in lab.log() and "availability zone is not available" in lab.log()
    lab.check_settled(3)

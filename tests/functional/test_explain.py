# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale --explain: why it would do what it would do, now and in the past."""

import json

import pytest
from scale_lab import lab, make_lab, plain, wait_until  # noqa: F401


def test_each_member_with_its_sample_or_why_it_does_not_count(lab):
    for name, load, ago in [("web1", 850, 7), ("web2", 790, 7), ("web3", 0, 95), ("web4", None, 7)]:
        server, = lab.add(name=name)
        lab.sample(server, load, ago, cpus=1 if name == "web2" else 4)
    lab.add(name="web5")
    lab.cloud.add_server("web6", status="ERROR", metadata={"clusterscale.cluster": "web"}, age=100, address="")
    lab.measure(838, ago=7, servers=5, sampled=2)
    status, out, err = lab.run("--explain")
    members = [line for line in plain(out).splitlines() if line.startswith("web")]
    assert (status, err, sorted(members)) == (0, "", [
        "web1 (ADDRESS): 85.0 %, 4 CPUs, over 60 s, N s ago",
        "web2 (ADDRESS): 79.0 %, 1 CPU, over 60 s, N s ago",
        "web3 (ADDRESS): missing: silent in the last measurement, sampled N s ago",
        "web4 (ADDRESS): warming: first sample, sampled N s ago",
        "web5 (ADDRESS): missing: no sample within 180 s",
        "web6: not counted: error"])


def test_json_is_what_the_journal_keeps(lab):
    one, two = lab.add(2)
    lab.sample(one, 800, ago=7)
    lab.measure(800, ago=7, sampled=1)
    status, out, err = lab.run("--explain", "--output", "json")
    now = json.loads(out)
    assert (status, err, now.pop("cluster"), now.pop("steps")) == (0, "", "web", ["create a server"])
    members = now["members"]
    assert [member.pop("id") for member in members] == [two, one]  # what does not count comes first
    assert 6000 < members[1].pop("age_ms") < 60000
    assert [{**member, "address": ""} for member in members] == [
        {"name": "old", "address": "", "state": "missing", "reason": "no sample within 180 s"},
        {"name": "old", "address": "", "state": "sampled", "cpu": 80.0, "cpus": 2, "span_ms": 60000}]
    assert (now["direction"], now["wanted"], now["desired"], now["limiters"]) == ("up", 3, 3, [])
    assert lab.run()[0] == 0
    kept = lab.journal(type="intent")[0]["decision"]
    assert {key: kept[key] for key in kept if key not in ("members", "reasons")} == {
        key: now[key] for key in now if key not in ("members", "reasons")}
    assert [member["id"] for member in kept["members"]] == [two, one]

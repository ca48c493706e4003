# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale --explain: why it would do what it would do, now and in the past."""

import json
import re
import time

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
        "web3 (ADDRESS): stale: silent in the last measurement: 0.0 %, 4 CPUs, over 60 s, N s ago",
        "web4 (ADDRESS): warming: first sample, N s ago",
        "web5 (ADDRESS): missing: no sample within 180 s",
        "web6: not counted: error"])
    assert plain(lab.run("--dry-run", "--explain")[1]) == plain(out)


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
    assert 60000 <= members[1].pop("span_ms") < 70000
    assert [{**member, "address": ""} for member in members] == [
        {"name": "old", "address": "", "state": "missing", "reason": "no sample within 180 s"},
        {"name": "old", "address": "", "state": "sampled", "cpu": 80.0, "cpus": 2, "source": "ucd"}]
    assert (now["direction"], now["wanted"], now["desired"], now["limiters"]) == ("up", 3, 3, [])
    assert lab.run()[0] == 0
    kept = lab.journal(type="intent")[0]["decision"]
    assert {key: kept[key] for key in kept if key not in ("members", "reasons")} == {
        key: now[key] for key in now if key not in ("members", "reasons")}
    assert [member["id"] for member in kept["members"]] == [two, one]


def story(lab, which, *arguments):
    status, out, err = lab.run("--explain", "--at", which, *arguments)
    assert (status, err) == (0, "")
    return out


def test_the_story_of_a_scale_up(lab):
    one, two = lab.add(2)
    lab.sample(one, 900, ago=4)
    lab.sample(two, None, ago=4)
    lab.measure(900, ago=4, sampled=1)
    assert lab.run()[0] == 0
    intent, = lab.journal(type="intent")
    told = story(lab, intent["op"])
    assert plain(told) == (
        f"cluster web at TIME, run {intent['run']}\n"
        "old (ADDRESS): warming: first sample, N s ago\n"
        "old (ADDRESS): 90.0 %, 2 CPUs, over 60 s, N s ago\n"
        "because: 2 in service, 0 under way, 0 draining; 2 exist; min 2, max 5\n"
        "because: load 90.0 % on 1 of 2 servers, measured N s ago\n"
        "because: at or above scale-up-at 70.0 %: 1 more (step-up)\n"
        "decision: up to 3 servers\n"
        "after N s: 'web' is asked for\n"
        "after N s: 'web': the cloud agreed, its id is ID\n"
        "after N s: 'web' is in service: every load balancer serves it\n")
    new = lab.journal(type="request")[0]["server_id"]
    for which in ("web", new, time.strftime("%Y-%m-%d %H:%M", time.localtime(intent["t"] / 1000)),
                  time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(intent["t"] / 1000))):
        assert story(lab, which) == told
    document = json.loads(story(lab, new, "--output", "json"))
    assert document["decision"] == intent["decision"] and document["t"] == intent["t"]
    assert [line["type"] for line in document["events"]] == ["intent", "request", "published", "result"]


def test_the_story_of_a_scale_down_that_is_not_over(lab):
    ids = lab.add(3)
    (lab.lbs[0] / "hold").touch()
    lab.measure(50, ago=4)
    assert lab.fire("WARNING")[0] == 0
    wait_until(lambda: lab.journal(type="intent"), "the intent")
    intent, = lab.journal(type="intent")
    assert re.sub(r"(?m)^old .*\n", "", plain(story(lab, "old"))) == (
        f"cluster web at TIME, run {intent['run']}\n"
        "because: 3 in service, 0 under way, 0 draining; 3 exist; min 2, max 5\n"
        "because: load 5.0 % on 3 of 3 servers, measured N s ago\n"
        "because: at or below scale-down-at 10.0 %: 1 fewer (step-down)\n"
        "decision: down to 2 servers\n"
        "after N s: 'old' (ID) is to go\n"
        "'old': this is still open\n")
    (lab.lbs[0] / "hold").unlink()
    lab.settle()
    assert "is drained on 2 load balancers" in story(lab, intent["op"])
    assert story(lab, intent["op"]).endswith("s: 'old' is deleted\n")
    assert intent["server_id"] in ids


def test_what_the_journal_does_not_have(lab):
    lab.note(type="intent", op="00000000-0000-4000-8000-000000000001", action="create", name="web9", why="test", ago=100)
    for which in ("nothing", "1999-01-01 00:00"):
        status, out, err = lab.run("--explain", "--at", which)
        assert (status, out) == (3, "") and f"has no action '{which}': give the op" in err
    assert "because: test\nafter 0 s: 'web9' is asked for\n'web9': this is still open\n" in story(lab, "web9")

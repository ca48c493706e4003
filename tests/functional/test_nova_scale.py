#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale as people use it, against the simulated cloud and small load balancers."""

import base64
import json
import os
import re
import subprocess
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import HINT, POOR, PROGRAM, UUID, lab, make_lab, plain, wait_until  # noqa: E402, F401
from terminal import open_pty, read_to_end  # noqa: E402


# By hand


def test_create_shows_what_becomes_of_each_server(lab):
    lab.cloud.plan_builds(2, seconds=1.5)
    lab.add(1)
    status, out, err = lab.run("--create", "1")
    lines = plain(out).splitlines()
    assert (status, err) == (0, "")
    assert lines[0] == ("1 in service, 0 under way, 0 draining; 1 exist; min 2, max 5: ordered by hand")
    assert lines[1] == "New Server web created (ID): ordered by hand"
    assert [line for line in lines[2:-4] if not re.fullmatch(r"Server web status BUILD(, task \w+)?", line)] == []
    assert lines[-4:] == ["Server web status ACTIVE", "server 'web' (ID, ADDRESS) is in service after N s",
                          HINT.strip(), "Done"]
    lab.check_settled(2)
    request = lab.creates()[0]["body"]
    assert '"clusterscale.cluster"' in request and '"clusterscale.op"' in request


def test_names_that_are_taken_get_a_suffix(lab):
    lab.cloud.add_server("web", metadata={})
    assert lab.run("--create", "2")[0] == 0
    names = sorted(s["name"] for s in lab.ours())
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"web-[0-9a-f]{4}", name) for name in names)


def test_name_is_a_time_format(make_lab):
    lab = make_lab(name="rails%Y%m%d")
    assert lab.run("--create", "1")[0] == 0
    assert re.fullmatch(r"rails20\d{6}", lab.ours()[0]["name"])


@pytest.mark.parametrize("user_data", [b"#!/bin/sh\n", b"#!/bin/sh\n\xff", b"#!/bin/sh\n\0\xff", b"x" * 49149],
                         ids=["10 bytes", "11 bytes", "12 bytes", "the most that Nova takes"])
def test_a_create_asks_for_what_is_configured(lab, user_data):
    lab.cloud.groups["web"] = str(uuid.uuid4())
    lab.write_config(servers=f"""key-name: keypair
      security-groups: [default, web]
      availability-zones: [nova]
      user-data-file: {lab.dir}/user-data""")
    (lab.dir / "user-data").write_bytes(user_data)
    assert lab.run("--create", "1")[0] == 0
    asked = json.loads(lab.creates()[0]["body"])["server"]
    assert base64.b64decode(asked.pop("user_data"), validate=True) == user_data
    op, network = asked["metadata"].pop("clusterscale.op"), lab.cloud.network.id
    assert re.fullmatch(UUID, op) and op == lab.journal(type="intent")[0]["op"]
    assert asked == {
        "name": "web", "imageRef": lab.cloud.image.id, "flavorRef": asked["flavorRef"], "networks": [{"uuid": network}],
        "key_name": "keypair", "availability_zone": "nova", "security_groups": [{"name": "default"}, {"name": "web"}],
        "metadata": {"clusterscale.cluster": "web"}, "tags": ["clusterscale:web"]}
    assert lab.cloud.flavors[asked["flavorRef"]].name == "m1.small"


def test_what_creates_need_to_know_is_asked_for_once_and_together(lab):
    needed = r"/(images|flavors/detail|networks|limits)(\?|$)"
    lab.cloud.inject(method="GET", path=needed, action="delay", count=100, delay=1)
    assert lab.run("--create", "2")[0] == 0
    asked = lab.cloud.requests("GET", r"/(images|flavors|networks|limits)")
    assert len(asked) == 4 and all(re.search(needed, r["path"]) for r in asked), [r["path"] for r in asked]
    assert max(r["time"] for r in asked) < min(r["time"] + r["seconds"] for r in asked)


@pytest.mark.parametrize("size, why", [
    (None, "cannot read {}: No such file or directory"),
    (49150, "{} is larger than the limit of 49149 bytes; Nova takes no more: let it fetch the rest")])
def test_user_data_that_cannot_be_sent_is_a_refusal(lab, size, why):
    lab.write_config(servers=f"user-data-file: {lab.dir}/user-data")
    if size:
        (lab.dir / "user-data").write_bytes(b"x" * size)
    status, _, err = lab.run("--create", "1")
    why = why.format(lab.dir / "user-data")
    assert (status, err) == (3, f"nova_scale: creating 'web': servers.user-data-file: {why}\n")
    assert lab.creates() == [] and lab.journal(type="intent") == []


def test_delete_drains_first(lab):
    lab.add(2)
    youngest = lab.add(1, name="new", age=60)[0]
    status, out, err = lab.run("--delete", "1")
    assert (status, err) == (0, "")
    # whether a list falls between the DELETE and its end is up to the cloud
    assert plain(out).replace("Server new status ACTIVE, task deleting\n", "") == (
        "3 in service, 0 under way, 0 draining; 3 exist; min 2, max 5: ordered by hand\n"
        "server 'new' (ID) goes: ordered by hand; chosen: the youngest\n"
        "Server new status ACTIVE, draining\n"
        "server 'new' (ID) is drained on 2 load balancers, N s after its mark, at most 0 sessions at once: deleting it\n"
        "server 'new' (ID) is deleted, after N s\n" + HINT + "Done\n")
    assert [r["path"].rsplit("/", 1)[1] for r in lab.deletes()] == [youngest]
    lab.check_settled(2)


def test_delete_by_name_and_by_id(lab):
    by_name, by_id = lab.add(1, name="this")[0], lab.add(1, name="that")[0]
    lab.add(2)
    assert lab.run("--delete", "this")[0] == 0
    assert lab.run("--delete", by_id)[0] == 0
    assert [r["path"].rsplit("/", 1)[1] for r in lab.deletes()] == [by_name, by_id]
    lab.check_settled(2)


def test_to_goes_both_ways(lab):
    lab.add(2)
    assert lab.run("--to", "4")[0] == 0
    lab.check_settled(4)
    assert lab.run("--to", "3")[0] == 0
    lab.check_settled(3)
    status, out, _ = lab.run("--to", "3")
    assert status == 0 and out.endswith("Done\n")
    lab.check_settled(3)


def test_max_is_named_before_the_budgets(make_lab):
    lab = make_lab(creates=1)
    lab.add(3)
    assert lab.run("--to", "9")[::2] == (3, "nova_scale: cannot create 6: max 5 and 3 exist: room for 2 (9 -> 5 servers)\n")
    assert lab.run("--to", "5")[2].startswith("nova_scale: cannot create 2: creates-per-")


@pytest.mark.parametrize("arguments, message", [
    (["--create", "4"], "cannot create 4: max 5 and 3 exist: room for 2 (7 -> 5 servers)"),
    (["--to", "6"], "cannot create 3: max 5 and 3 exist: room for 2 (6 -> 5 servers)"),
    (["--to", "6", "--force"], "cannot create 3: max 5 and 3 exist: room for 2 (6 -> 5 servers)"),
    (["--delete", "2"], "cannot delete 2: 1 would be left and min is 2 (--force overrides this)"),
    (["--delete", "9"], "cannot delete 9: only 3 servers carry our mark, are not locked or protected, and are not being deleted"),
    (["--delete", "3", "--force"], "cannot delete 3: no server would be left"),
    (["--delete", "nobody"], "no server of the cluster has the name or id 'nobody'; --status shows them"),
    (["--delete", "foreign"], "no server of the cluster has the name or id 'foreign'; --status shows them"),
])
def test_refusals_change_nothing(lab, arguments, message):
    lab.add(3)
    lab.cloud.add_server("foreign", metadata={})
    before = (lab.state / "journal").read_text()
    status, out, err = lab.run(*arguments)
    assert (status, out, err) == (3, "", f"nova_scale: {message}\n")
    assert lab.creates() + lab.deletes() == []
    after = (lab.state / "journal").read_text()
    assert [line for line in after[len(before):].splitlines() if '"bind"' not in line] == []


def test_names_that_match_twice_are_not_guessed(lab):
    ids = lab.add(3)
    status, out, err = lab.run("--delete", "old")
    assert status == 3 and out == ""
    assert err.startswith("nova_scale: 3 servers have the name 'old'; say which id:")
    assert all(id in err for id in ids)


def test_locked_servers_stay(lab):
    lab.add(2)
    locked = lab.add(1, name="kept", locked=True, age=1)[0]
    status, out, err = lab.run("--delete", "kept")
    assert (status, out, err) == (3, "", f"nova_scale: server 'kept' ({locked}) is not deleted: it is locked "
                              "(openstack server unlock unlocks it)\n")
    assert lab.run("--delete", "1")[0] == 0
    assert locked in [s["id"] for s in lab.ours()]


def test_the_server_with_the_fewest_sessions_goes(lab):
    quiet = lab.add(1, name="quiet")[0]
    lab.add(1, name="busy")
    lab.add(1, name="young", age=60)
    for one, sessions in zip(lab.lbs, ({"quiet": 1, "busy": 2, "young": 9}, {"quiet": 1, "busy": 3, "young": 0})):
        (one / "sessions").write_text(json.dumps(sessions))
    lab.measure(0)
    assert lab.run()[0] == 0
    assert [r["path"].rsplit("/", 1)[1] for r in lab.deletes()] == [quiet]
    intent, = lab.journal(type="intent")
    assert intent["why"].endswith("; chosen: fewest sessions (2)")
    assert "server 'quiet' (" + quiet + ") goes: load 0.0 % on 3 of 3 servers" in lab.log()


def test_sessions_that_one_load_balancer_does_not_tell_do_not_count(lab):
    lab.add(1, name="quiet")
    lab.add(1, name="old")
    youngest = lab.add(1, name="young", age=60)[0]
    (lab.lbs[0] / "sessions").write_text(json.dumps({"quiet": 1, "old": 3, "young": 9}))
    lab.measure(0)
    assert lab.run()[0] == 0
    assert [r["path"].rsplit("/", 1)[1] for r in lab.deletes()] == [youngest]
    assert lab.journal(type="intent")[0]["why"].endswith("; chosen: the youngest")


def test_the_server_of_an_older_image_goes(lab):
    old = lab.add(1, name="old")[0]
    lab.replace_image()
    lab.add(2, name="young", age=60)
    lab.measure(0)
    assert lab.run()[0] == 0
    assert [r["path"].rsplit("/", 1)[1] for r in lab.deletes()] == [old]
    assert lab.journal(type="intent")[0]["why"].endswith("; chosen: of an older image")


def samples(lab, server, idle_per_s):
    """Two samples a minute apart, the newer one just taken, of a server with one CPU."""
    def sample(ago, ticks):
        at = lab.stamp(ago)
        counters = [100 * ticks - ticks * idle_per_s, 0, 0, ticks * idle_per_s, 0, 0, 0, 0, 0]
        return " ".join(map(str, [at["t"], at["bt"], at["boot"], 360000 + 100 * ticks, 1, *counters]))
    with open(lab.state / "samples", "a") as file:
        file.write(f"{server} {sample(0, 120)} {sample(60, 60)}\n")


def test_the_server_with_the_lowest_load_goes(lab):
    idle, busy, unknown = (lab.add(1, name=name, age=age)[0] for name, age in (("idle", 900), ("busy", 800), ("new", 60)))
    samples(lab, idle, 97)
    samples(lab, busy, 90)
    lab.measure(0)
    assert lab.run()[0] == 0
    assert [r["path"].rsplit("/", 1)[1] for r in lab.deletes()] == [idle]
    assert lab.journal(type="intent")[0]["why"].endswith("; chosen: lowest CPU (3.0 %)")


@pytest.mark.parametrize("how", [{"tags": ["clusterscale:web", "clusterscale.protected"]},
                                 {"metadata": {"clusterscale.cluster": "web", "clusterscale.protected": "by jane"}}])
def test_protected_servers_stay(lab, how):
    lab.add(2)
    kept = lab.add(1, name="kept", age=1)[0]
    lab.cloud.change_server(kept, **how)
    status, out, err = lab.run("--delete", "kept")
    assert (status, out, err) == (
        3, "", f"nova_scale: server 'kept' ({kept}) is not deleted: it is protected (a person's tag or metadata "
        "clusterscale.protected says so; without it, it may go)\n")
    assert plain(lab.run("--status")[1]).count("kept  protected\n") == 1
    assert lab.run("--delete", "1")[0] == 0
    assert kept in [s["id"] for s in lab.ours()]


def test_server_that_is_protected_while_it_drains_serves_again(lab):
    lab.add(2)
    (lab.lbs[0] / "hold").touch()
    kept = lab.add(1, name="kept", age=1)[0]
    lab.measure(0)
    lab.fire("WARNING")
    wait_until(lambda: "clusterscale.draining" in lab.cloud.servers[kept].metadata, "the drain is under way")
    lab.cloud.change_server(kept, tags=["clusterscale:web", "clusterscale.protected"])
    lab.settle()
    assert "the delete of 'kept'" in lab.log() and "is given up: it is protected" in lab.log()
    assert "clusterscale.draining" not in lab.cloud.servers[kept].metadata
    assert lab.deletes() == [] and lab.open_ops() == []


def test_force_goes_below_min(lab):
    lab.add(2)
    assert lab.run("--delete", "1", "--force")[0] == 0
    lab.check_settled(1)


def test_unmarked_server_of_the_image_is_balanced_but_never_deleted_before_adopt(make_lab):
    lab = make_lab(adopt="true")
    lab.add(2)
    lab.ports.open(lab.cloud.add_server("theirs", age=60, metadata={}).summary())
    status, out, err = lab.run("--delete", "theirs")
    assert status == 3
    assert plain(err) == "nova_scale: server 'theirs' (ID) is not deleted: it does not carry our mark (--adopt marks it)\n"
    lab.measure(400, servers=3)
    assert lab.run()[0] == 0
    assert len(lab.journal(type="published")) == 3
    lab.measure(0, servers=3)
    assert lab.run()[0] == 0  # one of ours goes, though theirs is younger
    assert len(lab.ours()) == 1 and "theirs" in [s["name"] for s in lab.servers()]


def test_adopt_shows_and_marks(lab):
    lab.add(1)
    server = lab.cloud.add_server("theirs", metadata={"role": "web"})
    lab.ports.open(server.summary())
    status, out, err = lab.run("--adopt", "theirs")
    assert (status, err) == (0, "")
    image = lab.cloud.image.id
    assert plain(out.replace(image, "IMAGE")) == (
        "server 'theirs' (ID): ACTIVE, image IMAGE, flavor m1.small, created TIME, addresses private=ADDRESS\n"
        "server 'theirs' (ID) now belongs to the cluster 'web': it is balanced, counted, and may be deleted by a "
        "scale-down\n")
    adopted = [s for s in lab.servers() if s["name"] == "theirs"][0]
    assert adopted["metadata"] == {"role": "web", "clusterscale.cluster": "web"}
    assert adopted["tags"] == ["clusterscale:web"]
    lab.measure(400)
    assert lab.run()[0] == 0
    lab.check_settled(2)


def test_adopt_refuses(lab):
    lab.cloud.add_server("theirs", metadata={"clusterscale.cluster": "mail"})
    lab.cloud.add_server("broken", status="ERROR", metadata={})
    lab.cloud.add_server("twin", metadata={})
    lab.cloud.add_server("twin", metadata={})
    assert plain(lab.run("--adopt", "theirs")[2]).endswith("server 'theirs' (ID) belongs to the cluster 'mail'\n")
    lab.add(1, name="kept", locked=True)
    assert plain(lab.run("--adopt", "kept")[2]).endswith(
        "server 'kept' (ID) is locked; first type: openstack server unlock ID\n")
    assert plain(lab.run("--adopt", "broken")[2]).endswith(
        "server 'broken' (ID) is ERROR: only an ACTIVE server is adopted\n")
    status, _, err = lab.run("--adopt", "twin")
    assert (status, plain(err)) == (3, "nova_scale: 2 servers have the name 'twin'; say which id: ID ID\n")
    assert lab.run("--adopt", "nobody") == (
        3, "", "nova_scale: no server of the project has the name or id 'nobody'; openstack server list shows them\n")
    assert [s["name"] for s in lab.ours()] == ["kept"]


def test_another_run_holds_the_lock(lab):
    lab.add(2)
    (lab.lbs[0] / "hold").touch()
    lab.measure(400)
    lab.add(1)
    lab.measure(0)
    lab.fire("WARNING")
    wait_until(lambda: lab.open_ops(), "the drain is under way")
    status, out, err = lab.run("--create", "1")
    assert (status, out) == (3, "")
    assert re.fullmatch(r"nova_scale: another run \(nova_scale, pid \d+, since \d+ s\) holds the lock \S+/lock; "
                        r"--status shows what it does; try again when it has ended\n", err)
    # without an order there is nothing that the other run does not do
    status, out, err = lab.run()
    assert (status, err) == (1, "")
    assert re.fullmatch(r"another run \(nova_scale, pid \d+, since \d+ s\) holds the lock \S+/lock: nothing is done here\n", out)
    # looking needs no lock
    status, out, _ = lab.run("--status")
    assert status == 1 and "lock: another run (nova_scale, pid" in out and "open: delete of 'old' for" in out
    assert lab.run("--explain")[0] == 0
    assert lab.run("--dry-run")[0] == 0
    assert lab.run("--pause")[0] == 0
    (lab.lbs[0] / "hold").unlink()
    lab.settle()
    lab.check_settled(2)


def test_progress_on_a_terminal(lab):
    lab.add(1)
    lab.cloud.plan_builds(1, seconds=3)
    terminal, inside = open_pty()
    child = subprocess.Popen([PROGRAM, "-n", "web", "-f", lab.dir / "clusterscale.yaml", "--create", "1"],
                             stdin=subprocess.DEVNULL, stdout=inside, stderr=inside, env=POOR)
    os.close(inside)
    text = read_to_end(terminal)
    assert child.wait() == 0
    shown = text.split("\r\x1b[K")
    ages = [int(age) for age in re.findall(r"Server web status BUILD(?:, task \w+)?, (\d+) s", "\n".join(shown))]
    assert ages and ages == sorted(ages) and ages[-1] >= 1  # rewritten in place, once a second
    assert shown[-1].replace("\r", "") == HINT + "Done\n"


# Looking


def test_status(lab):
    lab.add(1)
    lab.add(1, name="newcomer", published=False, age=7200)
    lab.add(1, name="kept", locked=True, age=86400 * 3)
    lab.cloud.add_server("broken", status="ERROR", age=130, metadata={"clusterscale.cluster": "web"}, address="")
    lab.measure(123, ago=5, servers=3)
    created, failed = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2))
    lab.note(type="result", ago=110, op=created, action="create", outcome="done")
    lab.note(type="intent", ago=105, op=failed, action="create", flavor="m1.small")
    lab.note(type="result", ago=100, op=failed, action="create", outcome="failed")
    lab.note(type="pause")
    status, out, err = lab.run("--status")
    assert (status, err) == (1, "")  # one was never published
    lines = [re.sub(r" +", " ", line) for line in plain(out).splitlines()]
    assert lines[:7] == [
        "cluster web: mode act, cloud sim, 2 to 5 servers, 4 now, paused",
        " active 3 d ADDRESS ID kept locked",
        " active 2 h ADDRESS ID newcomer never published",
        " active 60 min ADDRESS ID old in service",
        " error 2 min - ID broken in service" if "broken in" in out else " error 2 min - ID broken never published",
        "measurement: load 12.3 % on 3 of 3 servers, N s ago",
        "last scale-up: ended TIME, N s ago",
    ]
    assert lines[7:] == ["last scale-down: none in the journal", "this hour: 1 of 20 creates, 0 of 20 deletes",
                         "failed creates in a row: 1"]
    lab.measure(-1, servers=3, sampled=1)
    assert "\nmeasurement: no load figure, 1 of 3 servers, N s ago\n" in plain(lab.run("--status")[1])
    assert lab.creates() + lab.deletes() == []


def test_explain_gives_every_reason(lab):
    for server in lab.add(2):
        lab.sample(server, 800, ago=7)
    lab.measure(800, ago=7)
    status, out, err = lab.run("--explain")
    assert (status, plain(out), err) == (0, (
        "old (ADDRESS): 80.0 %, 2 CPUs, over 60 s, N s ago\n"
        "old (ADDRESS): 80.0 %, 2 CPUs, over 60 s, N s ago\n"
        "because: 2 in service, 0 under way, 0 draining; 2 exist; min 2, max 5\n"
        "because: load 80.0 % on 2 of 2 servers, measured N s ago\n"
        "because: at or above scale-up-at 70.0 %: 1 more (step-up)\n"
        "decision: up to 3 servers\n"
        "would create a server\n"), "")
    assert lab.creates() == []


def follow_target(lab):
    config = lab.dir / "clusterscale.yaml"
    config.write_text(config.read_text().replace("follow: step, ", "follow: target, "))


def test_explain_with_a_target(lab):
    follow_target(lab)
    lab.add(3)
    for ago in range(20, 0, -1):
        lab.measure(400 if ago > 2 else 650, ago=60 * ago)
    lab.measure(690, ago=7)
    status, out, err = lab.run("--explain")
    assert (status, re.sub(r"^old .*\n", "", out, flags=re.M), err) == (0, (
        "because: 3 in service, 0 under way, 0 draining; 3 exist; min 2, max 5\n"
        "because: load 69.0 % on 3 of 3 servers, measured 7 s ago\n"
        "because: demand of 2.0 busy servers at target 70.0 %: 3 servers\n"
        "because: headroom 70.0 % of the rise by 0.8 within 300 s, 7 s ago (3 -> 4 servers)\n"
        "decision: up to 4 servers\n"
        "would create a server\n"), "")


def test_with_a_target_fewer_need_the_past(lab):
    follow_target(lab)
    lab.add(3)
    lab.measure(100, ago=7)
    status, out, err = lab.run("--explain")
    assert (status, err) == (0, "") and out.endswith(
        "because: window 300 s, of which 7 s are known: no scale-down (1 -> 3 servers)\n"
        "because: 3 are as many as wanted: hold\n"
        "decision: stay at 3 servers\n")
    (lab.state / "history").unlink()
    for ago in range(6, 0, -1):
        lab.measure(100, ago=60 * ago)
    status, out, err = lab.run("--explain")
    assert (status, err) == (0, "") and "decision: down to 2 servers\nwould drain and delete 'old' (" in out


def test_dry_run_changes_nothing(lab):
    ids = lab.add(3)
    lab.measure(50)
    before = (lab.state / "journal").read_text()
    status, out, err = lab.run("--dry-run")
    assert (status, err) == (0, "")
    assert plain(out) == "decision: down to 2 servers\nwould drain and delete 'old' (ID), chosen: the youngest\n"
    assert lab.run("--dry-run", "--to", "5")[1] == "decision: up to 5 servers\n" + 2 * "would create a server\n"
    status, out, err = lab.run("--dry-run", "--delete", ids[0])
    assert (status, out) == (0, f"decision: down to 2 servers\nwould drain and delete 'old' ({ids[0]})\n")
    assert lab.run("--dry-run", "--create", "9")[0] == 3
    assert (lab.state / "journal").read_text() == before
    changing = [r for r in lab.cloud.requests("POST|PUT|DELETE|PATCH") if "/identity/" not in r["path"]]
    assert changing == []


# The command line


@pytest.mark.parametrize("arguments, message", [
    (["--create", "0"], "option --create: '0' is not a whole number from 1 to 10000"),
    (["--create", "x"], "option --create: 'x' is not a whole number from 1 to 10000"),
    (["--to", "-1"], "option --to: '-1' is not a whole number from 1 to 10000"), (["--nonsense"], None),
    (["--create", "1", "--delete", "1"], "--create and --delete do not go together: give one of them"),
    (["--pause", "--resume"], "--pause and --resume do not go together: give one of them"),
    (["--status", "--dry-run"], "--status and --dry-run do not go together: give one of them"),
    (["--state", "OK", "--create", "1"], "--state says that a core fired this: it goes with no order"),
    (["--at", "now"], "--at goes with --explain"),
    (["--output", "json"], "--output goes with --explain and is text or json"),
    (["--explain", "--output", "xml"], "--output goes with --explain and is text or json"),
    (["--force"], "--force only goes with --delete, --to and --reap"),
    (["--age", "2h"], "--age only goes with --reap"),
    (["--reap", "--create", "1"], "--create and --reap do not go together: give one of them"),
    (["--reap", "--age", "0"], "option --age: '0' is not a number of seconds from 1 to 86400000"),
    (["--create", "1", "--force"], "--force only goes with --delete, --to and --reap"),
    (["stray"], None),
])
def test_usage_errors(lab, arguments, message):
    status, out, err = lab.run(*arguments)
    assert (status, out) == (3, "")
    assert len(err.splitlines()) == 1 and err.startswith("nova_scale: ")
    if message:
        assert err == f"nova_scale: {message}\n"


def test_help_and_version(lab):
    status, out, err = lab.run("--help")
    assert (status, err) == (0, "")
    assert out.startswith("usage: nova_scale -n NAME [-f FILE] [ORDER]\n")
    assert max(len(line) for line in out.splitlines()) <= 80
    status, out, err = lab.run("-V")
    assert status == 0 and re.fullmatch(r"nova_scale \(?clusterscale\)? ?\S+\n", out)


def test_check_config(lab):
    assert lab.run("--check-config") == (0, f"{lab.dir}/clusterscale.yaml: good\n", "")
    text = (lab.dir / "clusterscale.yaml").read_text()
    (lab.dir / "clusterscale.yaml").write_text(text.replace("cloud: sim", "cloud: sim\n    clowd: sim"))
    status, out, err = lab.run("--check-config")
    assert (status, out) == (3, "") and "clusterscale.yaml:8" in err and "clowd" in err
    # a core's firing says the same
    status, out, err = lab.fire("CRITICAL")
    assert (status, out) == (3, "") and "clowd" in err


def test_unknown_cluster_and_missing_file(lab):
    status, out, err = lab.run("-n", "mail")
    assert (status, out) == (3, "") and "web" in err
    status, out, err = lab.run("-f", "/nonexistent/clusterscale.yaml")
    assert (status, out) == (3, "") and "/nonexistent/clusterscale.yaml" in err


def test_wrong_password_is_said_without_it(lab):
    lab.add(2)
    lab.write_clouds(password="wrong-labsecret")
    lab.measure(1000)
    status, out, err = lab.run()
    assert status == 2 and err.startswith("nova_scale: ")
    assert "labsecret" not in lab.log()



# --- the journal

def test_the_audit_tells_the_story_and_finds_what_was_changed(lab):
    assert lab.run("--audit") == (0, "0 lines, all of them fit; none is sealed\n", "")
    lab.add(2, published=False)
    assert lab.run("--create", "1")[0] == 0
    status, out, err = lab.run("--audit")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(rf"\S+Z            {lab.state}/journal begins", lines[0])
    op = lab.journal(type="intent")[-1]["op"]
    story = [line.split(op[:8], 1)[1].strip() for line in lines if f"  {op[:8]}  " in line]
    name = next(s["name"] for s in lab.ours() if s["metadata"].get("clusterscale.op") == op)
    assert story[0].startswith(f"create '{name}': ") and story[1].startswith("accepted as server ")
    assert story[2] == "create done: published"
    count = len(lines) - 1
    assert re.fullmatch(rf"{count} lines, all of them fit; chain value [0-9a-f]{{32}}", lines[-1])

    path = lab.state / "journal"
    whole = path.read_text()
    path.write_text(whole.replace(f'"name":"{name}"', '"name":"mine"', 1))
    status, out, err = lab.run("--audit")
    why = "its chain value does not fit: it, or a line before it, was changed, taken out or put in"
    number = next(i for i, line in enumerate(whole.splitlines(), 1) if f'"name":"{name}"' in line)
    assert status == 2 and f"{path}: line {number}: {why}\n" in out
    assert out.endswith(f"1 of {count} lines do not fit: somebody changed the journal in {lab.state}, or the disk did\n")
    requests = len(lab.creates())
    status, out, err = lab.run("--create", "1")
    assert status == 2 and f"the journal {path} is damaged in line {number}: {why}; nothing is scaled until" in err
    assert len(lab.creates()) == requests


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

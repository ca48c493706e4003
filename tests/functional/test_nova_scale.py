#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale as people and cores see it, against the simulated cloud and small load balancers."""

import os
import re
import signal
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import Lab, plain, wait_until  # noqa: E402


@pytest.fixture
def make_lab(tmp_path):
    labs = []

    def make(**given):
        folder = tmp_path / str(len(labs))
        folder.mkdir()
        labs.append(Lab(folder, **given))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


MARK = re.compile(r"-[0-9a-f]{4}\b")
HINT = "The next firing may undo this; to keep it: nova_scale -n web --pause\n"


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


def test_delete_drains_first(lab):
    lab.add(2)
    youngest = lab.add(1, name="new", age=60)[0]
    status, out, err = lab.run("--delete", "1")
    assert (status, err) == (0, "")
    assert plain(out) == (
        "3 in service, 0 under way, 0 draining; 3 exist; min 2, max 5: ordered by hand\n"
        "server 'new' (ID) goes: ordered by hand\n"
        "Server new status ACTIVE, draining\n"
        "server 'new' (ID) is drained on 2 load balancers: deleting it\n"
        "Server new status ACTIVE, task deleting\n"
        "server 'new' (ID) is deleted, after N s\n" + HINT + "Done\n").replace(
            "Server new status ACTIVE, task deleting\n", "" if "deleting\n" not in out else
            "Server new status ACTIVE, task deleting\n")
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


@pytest.mark.parametrize("arguments, message", [
    (["--create", "4"], "cannot create 4: max 5 and 3 exist: room for 2"),
    (["--to", "6"], "cannot create 3: max 5 and 3 exist: room for 2"),
    (["--to", "6", "--force"], "cannot create 3: max 5 and 3 exist: room for 2"),
    (["--delete", "2"], "cannot delete 2: 1 would be left and min is 2 (--force overrides this)"),
    (["--delete", "9"], "cannot delete 9: only 3 servers carry our mark, are not locked and have no open work"),
    (["--delete", "3", "--force"], "cannot delete 3: no server would be left"),
    (["--delete", "nobody"], "no server of the cluster has the name or id 'nobody'"),
    (["--delete", "foreign"], "no server of the cluster has the name or id 'foreign'"),
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
    assert (status, out, err) == (3, "", f"nova_scale: server 'kept' ({locked}) is not deleted: it is locked\n")
    assert lab.run("--delete", "1")[0] == 0
    assert locked in [s["id"] for s in lab.ours()]


def test_force_goes_below_min(lab):
    lab.add(2)
    assert lab.run("--delete", "1", "--force")[0] == 0
    lab.check_settled(1)


def test_unmarked_server_of_the_image_is_balanced_but_never_deleted_before_adopt(make_lab):
    lab = make_lab(adopt="true", min=1)
    lab.add(1)
    lab.ports.open(lab.cloud.add_server("theirs", age=60, metadata={}).summary())
    status, out, err = lab.run("--delete", "theirs")
    assert status == 3
    assert plain(err) == "nova_scale: server 'theirs' (ID) is not deleted: it does not carry our mark (--adopt marks it)\n"
    lab.measure(400, servers=2)
    assert lab.run()[0] == 0
    assert len(lab.journal(type="published")) == 2
    lab.measure(0, servers=2)
    assert lab.run()[0] == 0  # one of ours goes, which is the older one
    assert [s["name"] for s in lab.servers()] == ["theirs"]


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
    assert plain(lab.run("--adopt", "broken")[2]).endswith(
        "server 'broken' (ID) is ERROR: only an ACTIVE server is adopted\n")
    status, _, err = lab.run("--adopt", "twin")
    assert (status, plain(err)) == (3, "nova_scale: 2 servers have the name 'twin'; say which id: ID ID\n")
    assert lab.run("--adopt", "nobody") == (
        3, "", "nova_scale: no server of the project has the name or id 'nobody'\n")
    assert lab.ours() == []


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
    assert re.fullmatch(r"nova_scale: another run \(nova_scale, pid \d+, since \d+ s\) holds the lock \S+/lock\n", err)
    # looking needs no lock
    status, out, _ = lab.run("--status")
    assert status == 1 and "lock: another run (nova_scale, pid" in out and "open: delete of 'old' for" in out
    assert lab.run("--explain")[0] == 0
    assert lab.run("--dry-run")[0] == 0
    assert lab.run("--pause")[0] == 0
    (lab.lbs[0] / "hold").unlink()
    lab.settle()
    lab.check_settled(2)


# Looking


def test_status(lab):
    lab.add(1)
    lab.add(1, name="newcomer", published=False, age=7200)
    lab.add(1, name="kept", locked=True, age=86400 * 3)
    lab.cloud.add_server("broken", status="ERROR", age=130, metadata={"clusterscale.cluster": "web"}, address="")
    lab.measure(123, ago=5, servers=3)
    lab.note(type="result", ago=100, op="00000000-0000-4000-8000-000000000001", action="create", outcome="failed")
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
    assert lines[7:] == ["last scale-down: none in the journal", "this hour: 0 of 20 creates, 0 of 20 deletes",
                         "failed creates in a row: 1"]
    assert lab.creates() + lab.deletes() == []


def test_explain_gives_every_reason(lab):
    lab.add(2)
    lab.measure(800, ago=7)
    assert lab.run("--explain") == (0, (
        "because: 2 in service, 0 under way, 0 draining; 2 exist; min 2, max 5\n"
        "because: load 80.0 % on 2 of 2 servers, measured 7 s ago\n"
        "because: at or above scale-up-at 70.0 %: 1 more (step-up)\n"
        "decision: up to 3 servers\n"
        "would create a server\n"), "")
    assert lab.creates() == []


def test_dry_run_changes_nothing(lab):
    ids = lab.add(3)
    lab.measure(50)
    before = (lab.state / "journal").read_text()
    status, out, err = lab.run("--dry-run")
    assert (status, err) == (0, "")
    assert plain(out) == "decision: down to 2 servers\nwould drain and delete 'old' (ID)\n"
    assert lab.run("--dry-run", "--to", "5")[1] == "decision: up to 5 servers\n" + 2 * "would create a server\n"
    status, out, err = lab.run("--dry-run", "--delete", ids[0])
    assert (status, out) == (0, f"decision: down to 2 servers\nwould drain and delete 'old' ({ids[0]})\n")
    assert lab.run("--dry-run", "--create", "9")[0] == 3
    assert (lab.state / "journal").read_text() == before
    changing = [r for r in lab.cloud.requests("POST|PUT|DELETE|PATCH") if "/identity/" not in r["path"]]
    assert changing == []


# Fired


def test_firing_returns_at_once_and_works_in_the_background(lab):
    lab.add(2)
    lab.measure(800)
    status, out, err = lab.fire("CRITICAL")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"cluster 'web': state 'CRITICAL', run [0-9a-f]{8} works in the background\n", out)
    lab.settle()
    lab.check_settled(3)
    run = out.split("run ")[1][:8]
    assert f"run={run}: fired: state 'CRITICAL', type 'HARD', attempt '1'" in lab.log()
    assert f"run={run}: ended with exit status 0" in lab.log()


def test_firing_keeps_no_descriptor_of_the_core(lab):
    lab.add(2)
    (lab.lbs[0] / "fail").touch()
    lab.measure(800)
    lab.fire("CRITICAL")  # returns only when its pipes are closed, see Lab.fire()
    (pid,) = lab.handlers()
    open_fds = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert {fd: target for fd, target in open_fds.items() if int(fd) <= 2} == dict.fromkeys("012", "/dev/null")
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) != os.getsid(0)


@pytest.mark.parametrize("state", ["OK", "UNKNOWN", "", "critical", "$SERVICESTATE$"])
def test_other_states_only_finish_open_work(lab, state):
    lab.add(1)  # below min, and busy
    lab.measure(1000)
    lab.fire(state)
    lab.settle()
    assert lab.creates() == []
    lab.check_settled(1)


def test_two_firings_at_once_do_one_thing(lab):
    lab.add(2)
    lab.measure(1000)
    for _ in range(3):
        lab.fire("CRITICAL")
    lab.settle()
    assert len(lab.creates()) == 1
    lab.check_settled(3)


def test_firing_that_finds_the_lock_held_says_who_holds_it(lab):
    lab.add(2)
    (lab.lbs[0] / "fail").touch()
    lab.measure(1000)
    lab.fire("CRITICAL")
    wait_until(lab.creates, "the create")
    status, out, err = lab.fire("CRITICAL")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"cluster 'web': another run \(nova_scale, pid \d+, since \d+ s\) holds the lock \S+; "
                        r"nothing to do\n", out)


def test_one_measurement_justifies_one_action(lab):
    lab.add(2)
    lab.measure(1000)
    lab.fire("CRITICAL")
    lab.settle()
    lab.fire("CRITICAL")
    lab.settle()
    lab.check_settled(3)
    assert "this measurement has justified an action already: hold" in lab.log()
    lab.measure(1000)
    lab.fire("CRITICAL")
    lab.settle()
    lab.check_settled(4)


def test_scale_down_and_up_again(lab):
    lab.add(4)
    lab.measure(0)
    lab.fire("WARNING")
    lab.settle()
    lab.check_settled(3)
    lab.measure(1000)
    lab.fire("CRITICAL")
    lab.settle()
    lab.check_settled(4)


def test_filling_to_min_needs_no_measurement(lab):
    lab.fire("CRITICAL")
    lab.settle()
    lab.check_settled(2)


def test_load_that_comes_back_cancels_the_drain(lab):
    lab.add(3)
    (lab.lbs[1] / "hold").touch()
    lab.measure(0)
    lab.fire("WARNING")
    wait_until(lambda: (lab.lbs[1] / "calls").exists(), "the drain")
    lab.measure(1000, servers=2)
    lab.settle()
    lab.check_settled(3)
    assert lab.creates() + lab.deletes() == []
    assert "comes back from draining" in lab.log()


# Measurements


def test_stale_measurement_does_nothing(lab):
    handler = lab.install("#!/bin/sh\necho 'CLUSTER CPU UNKNOWN - no answer | x=1'; exit 3\n")
    lab.add(2)
    lab.measure(1000, ago=91)
    status, out, err = lab.run(program=handler)
    assert status == 3
    assert plain(out) == (
        f"no fresh measurement: running {lab.dir}/plugins/check_cluster_cpu\n"
        "CLUSTER CPU UNKNOWN - no answer \n"
        "2 in service, 0 under way, 0 draining; 2 exist; min 2, max 5: "
        "the last measurement is 91 s old, max-age is 90 s: hold\n")
    assert plain(err) == ("nova_scale: refused to scale: the last measurement is 91 s old, max-age is 90 s: hold\n")
    assert lab.creates() == []


def test_handler_measures_itself_once(lab):
    lab.add(2)
    lab.measure(1000)
    lines = (lab.state / "history").read_text()
    (lab.state / "history").unlink()
    handler = lab.install("#!/bin/sh\nprintf '%s\\n' \"$*\" >> " + f"{lab.dir}/asked\n"
                          f"echo '{lines.strip()}' >> {lab.state}/history\necho 'CLUSTER CPU CRITICAL - 100 %'; exit 2\n")
    lab.fire("CRITICAL", program=handler)
    lab.settle()
    lab.check_settled(3)
    assert (lab.dir / "asked").read_text() == f"-n web -f {lab.dir}/clusterscale.yaml\n"


# Modes


def test_observe_decides_and_does_nothing(make_lab):
    lab = make_lab(mode="observe")
    lab.add(2)
    lab.measure(1000)
    status, out, err = lab.run()
    assert (status, err) == (0, "")
    assert out.splitlines()[-3:] == ["decision: up to 3 servers", "would create a server",
                                     "mode is observe: nothing is done"]
    before = (lab.state / "journal").read_text()
    lab.fire("CRITICAL")
    lab.settle()
    assert "would create a server" in lab.log()
    for order in (["--create", "1"], ["--delete", "1"], ["--to", "1", "--force"], ["--adopt", "old"], ["--rebind"]):
        status, out, err = lab.run(*order)
        assert (status, out) == (3, "")
        assert err == (f"nova_scale: cluster 'web' is in mode observe: nothing is changed; set mode: act in "
                       f"{lab.dir}/clusterscale.yaml\n")
    assert (lab.state / "journal").read_text() == before
    assert lab.creates() + lab.deletes() == []


def test_pause_and_resume(lab):
    lab.add(2)
    assert lab.run("--pause") == (0, "cluster 'web' is paused: until --resume, firings only finish what is open\n", "")
    lab.measure(1000)
    lab.fire("CRITICAL")
    lab.settle()
    assert lab.creates() == []
    status, out, _ = lab.run("--create", "1")  # a person may, and needs no reminder
    assert status == 0 and HINT not in out
    assert lab.run("--resume") == (0, "cluster 'web' is not paused any more; creates are tried again\n", "")
    lab.measure(1000)
    lab.fire("CRITICAL")
    lab.settle()
    lab.check_settled(4)


def test_journal_is_bound_to_its_project(lab):
    lab.add(2)
    lab.measure(400)
    assert lab.run()[0] == 0
    lab.cloud.keystone.add_project("elsewhere")
    user = lab.cloud.keystone.add_user("mover", "labsecret", {"elsewhere": ["member"]})
    path = lab.dir / "clouds.yaml"
    path.write_text(path.read_text().replace("username: cluster", f"username: {user.name}").replace(
        "project_name: cluster", "project_name: elsewhere"))
    lab.measure(400)
    for arguments in ([], ["--create", "1"], ["--status"], ["--dry-run"]):
        status, out, err = lab.run(*arguments)
        assert (status, out) == (3, "")
        assert re.fullmatch(r"nova_scale: the journal in \S+ belongs to \S+, project \w+, region '', but cloud 'sim' is "
                            r"\S+, project \w+, region ''; correct clouds.yaml, or accept the move with --rebind\n", err)
    lab.fire("CRITICAL")
    lab.settle()
    assert "accept the move with --rebind" in lab.log()
    assert lab.creates() + lab.deletes() == [] and lab.journal(type="gone") == []
    status, out, err = lab.run("--rebind")
    assert (status, err) == (0, "") and "the journal of cluster 'web' now belongs to" in out
    assert lab.run("--create", "2")[0] == 0


# What goes wrong


def test_lost_answer_of_a_create_gives_exactly_one_server(lab):
    lab.add(1)
    lab.cloud.inject(method="POST", path=r"/servers$", action="lose")
    status, out, err = lab.run("--create", "1")
    assert status == 0
    assert "is the one whose answer was lost, by its mark" in out
    assert "whether it exists will be seen by its mark" in err
    assert len(lab.creates()) == 1
    lab.check_settled(2)


def test_build_that_fails_is_removed_and_explained(lab):
    lab.add(2)
    lab.cloud.plan_builds(1, outcome="error", message="No valid host was found. ")
    status, out, err = lab.run("--create", "1")
    assert status == 2
    assert plain(err) == "nova_scale: server 'web' (ID) failed: it is in ERROR: No valid host was found. ; it is removed\n"
    assert "Done" not in out
    assert len(lab.creates()) == 1 and len(lab.deletes()) == 1
    lab.check_settled(2)


def test_fault_is_asked_for_when_the_list_lacks_it(lab):
    lab.add(2)
    lab.cloud.plan_builds(1, outcome="error", message="Exceeded maximum number of retries.", fault_in_list=False)
    assert "Exceeded maximum number of retries." in lab.run("--create", "1")[2]


def test_build_that_hangs_is_removed(make_lab):
    lab = make_lab(build_timeout=2)
    lab.add(2)
    lab.cloud.plan_builds(1, outcome="hang")
    status, _, err = lab.run("--create", "1")
    assert status == 2
    assert plain(err) == "nova_scale: server 'web' (ID) failed: not in service within build-timeout; it is removed\n"
    lab.check_settled(2)


def test_service_port_that_never_answers(make_lab):
    lab = make_lab(build_timeout=3)
    lab.add(2)
    lab.cloud.lifecycle.on_spawn = None
    status, out, err = lab.run("--create", "1")
    assert status == 2
    assert re.search(r"server 'web' is ACTIVE, not answering yet: 127\.\S+ port \d+: Connection refused", out)
    assert "failed: not in service within build-timeout; it is removed" in err
    lab.check_settled(2)


def test_quota(lab):
    lab.add(2)
    lab.cloud.quota["instances"] = 2
    status, out, err = lab.run("--create", "2")
    assert status == 2
    assert "was not created" in err and "Quota exceeded" in err
    assert len(lab.creates()) == 1  # the second would fail as well
    lab.check_settled(2)


def test_three_failures_hold_creates_until_resume(lab):
    lab.add(1)
    lab.cloud.quota["instances"] = 1
    for _ in range(3):
        lab.fire("CRITICAL")
        lab.settle()
    lab.cloud.quota["instances"] = -1
    lab.fire("CRITICAL")
    lab.settle()
    assert len(lab.creates()) == 3
    assert "3 creates in a row failed: creates are held for" in lab.log()
    assert "until --resume" in lab.run("--create", "1")[2]
    assert lab.run("--resume")[0] == 0
    lab.fire("CRITICAL")
    lab.settle()
    lab.check_settled(2)


def test_partial_list_changes_nothing(lab):
    lab.add(3)
    lab.measure(1000)
    lab.cloud.inject(method="GET", path="/servers/detail", action="empty", count=100)
    status, out, err = lab.run()
    assert status == 2
    assert plain(err).count("Nova's list lacks the server ID, which exists: the list is partial, nothing is done") >= 1
    assert lab.creates() + lab.deletes() == [] and lab.journal(type="gone") == []


def test_image_of_two_is_an_error_before_anything_is_asked(lab):
    lab.cloud.add_image("rails-snapshot")
    status, out, err = lab.run("--create", "1")
    assert status == 2
    assert "servers.image" in err
    assert lab.creates() == [] and lab.journal(type="intent") == []


def test_cloud_that_is_down(lab):
    lab.add(2)
    lab.measure(1000)
    lab.cloud.inject(path="/identity", action="status", status=503, count=100)
    started = time.monotonic()
    status, out, err = lab.run()
    assert status == 2 and err.startswith("nova_scale: ")
    assert time.monotonic() - started < 30
    assert lab.creates() == []


def test_token_that_expires_on_the_way(lab):
    lab.add(2)
    lab.cloud.plan_builds(1, seconds=1.5)
    lab.measure(1000)
    lab.fire("CRITICAL")
    wait_until(lab.creates, "the create")
    lab.cloud.keystone.expire_tokens()
    lab.settle()
    lab.check_settled(3)


def test_server_deleted_by_somebody_else(lab):
    ids = lab.add(3)
    lab.cloud.lifecycle.forget(lab.cloud.servers[ids[1]])
    lab.measure(400)
    status, out, err = lab.run()
    assert status == 0
    assert plain(err) == "nova_scale: server 'ID' (ID) was deleted by somebody else\n"
    assert [line["server_id"] for line in lab.journal(type="gone")] == [ids[1]]
    lab.check_settled_ids = ids
    assert lab.open_ops() == []


def test_broken_load_balancer_leaves_work_open_and_says_why(make_lab):
    lab = make_lab(build_timeout=600)
    lab.add(3)
    (lab.lbs[1] / "fail").touch()
    lab.measure(0)
    lab.fire("WARNING")
    wait_until(lambda: "load balancer 'lb2': its sync ended with 1: this load balancer is broken" in lab.log() or
               "load balancer 'lb2'" in lab.log(), "the warning")
    assert lab.deletes() == []
    (lab.lbs[1] / "fail").unlink()
    lab.settle(60)
    lab.check_settled(2)


def test_journal_that_is_damaged_holds_everything(lab):
    lab.add(2)
    (lab.state / "journal").write_text("rubbish\n" + (lab.state / "journal").read_text())
    status, out, err = lab.run("--create", "1")
    assert status == 2
    assert "the journal" in err and "is damaged in line 1" in err
    assert lab.creates() == []


# kill -9


def kill(lab):
    (pid,) = lab.handlers()
    os.kill(pid, signal.SIGKILL)
    lab.settle()


@pytest.mark.parametrize("state", ["OK", "WARNING", "CRITICAL"])
def test_kill_in_the_middle_of_a_create(lab, state):
    lab.add(2)
    lab.cloud.plan_builds(1, seconds=1)
    lab.measure(1000)
    lab.fire("CRITICAL")
    wait_until(lab.creates, "the create")
    kill(lab)
    assert len(lab.open_ops()) == 1
    lab.fire(state)
    lab.settle()
    assert len(lab.creates()) == 1
    lab.check_settled(3)


@pytest.mark.parametrize("state", ["OK", "WARNING"])
def test_kill_in_the_middle_of_a_drain(lab, state):
    lab.add(3)
    (lab.lbs[0] / "hold").touch()
    lab.measure(0)
    lab.fire("WARNING")
    wait_until(lambda: (lab.lbs[0] / "calls").exists(), "the drain")
    kill(lab)
    assert len(lab.open_ops()) == 1 and lab.deletes() == []
    (lab.lbs[0] / "hold").unlink()
    lab.fire(state)
    lab.settle()
    assert len(lab.deletes()) == 1
    lab.check_settled(2)


def test_kill_before_the_request_left(lab):
    """An intent alone counts as a server until the grace period is over, and is then disproved."""
    lab.add(2)
    lab.note(type="intent", ago=10, op="00000000-0000-4000-8000-000000000009", action="create", name="web9")
    status, out, _ = lab.run("--status")
    assert status == 1 and "open: create of 'web9' for 10 s" in out
    assert "3 exist" in lab.run("--explain")[1]
    path = lab.state / "journal"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "web9" not in line))
    lab.note(type="intent", ago=61, op="00000000-0000-4000-8000-000000000009", action="create", name="web9")
    lab.fire("OK")
    lab.settle()
    assert lab.creates() == []
    assert "the create of 'web9' was never carried out: no server with its mark after 61 s" in lab.log()
    lab.check_settled(2)


# The command line


@pytest.mark.parametrize("arguments, message", [
    (["--create", "0"], None), (["--create", "x"], None), (["--to", "-1"], None), (["--nonsense"], None),
    (["--create", "1", "--delete", "1"], "one thing at a time, see --help"),
    (["--status", "--dry-run"], "one thing at a time, see --help"),
    (["--state", "OK", "--create", "1"], "--state says that a core fired this: it goes with no order"),
    (["--force"], "--force only goes with --delete and --to"),
    (["--create", "1", "--force"], "--force only goes with --delete and --to"),
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


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

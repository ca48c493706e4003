#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale as a core fires it, and what can go wrong, against the simulated cloud and small load balancers."""

import fcntl
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import HINT, POOR, PROGRAM, lab, make_lab, plain, wait_until  # noqa: E402, F401


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


def the_handler(lab):
    """Between its fork and its exec of another program there are two: the one that started first."""
    def started(pid):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return min(lab.handlers(), key=lambda pid: (started(pid), pid))


def test_firing_keeps_no_descriptor_of_the_core(lab):
    lab.add(2)
    (lab.lbs[0] / "fail").touch()
    lab.measure(800)
    ours, cores = zip(*(socket.socketpair() for _ in range(4)))  # stdin, stdout, stderr, and one that the core forgot
    child = subprocess.Popen([PROGRAM, "-n", "web", "-f", lab.dir / "clusterscale.yaml", "--state", "CRITICAL"], env=POOR,
                             stdin=cores[0], stdout=cores[1], stderr=cores[2], pass_fds=[cores[3].fileno()])
    for end in cores:
        end.close()
    for end in ours:
        end.settimeout(60)
    said = [end.makefile("rb").read() for end in ours]  # to their end, which is there when nobody has the other side
    pid = the_handler(lab)
    assert child.wait() == 0 and pid != child.pid
    assert said[0] + said[2] + said[3] == b"" and said[1].endswith(b" works in the background\n")
    assert os.getsid(pid) != os.getsid(0)
    if os.geteuid() == 0:  # nobody else may look there, as the program holds secrets
        assert [os.readlink(f"/proc/{pid}/{at}") for at in ("cwd", "fd/0", "fd/1", "fd/2")] == ["/"] + 3 * ["/dev/null"]
    for end in ours:
        end.close()


@pytest.mark.parametrize("state", ["OK", "UNKNOWN", "", "critical", "$SERVICESTATE$"])
def test_other_states_only_finish_open_work(lab, state):
    lab.add(1)  # below min, and busy
    lab.measure(1000)
    lab.fire(state)
    lab.settle()
    assert lab.creates() == []
    lab.check_settled(1)
    warned = f"state '{state}' is none of OK, WARNING, CRITICAL and UNKNOWN, so that nothing is scaled; is the core's macro"
    assert (warned in lab.log()) == (state not in ("OK", "UNKNOWN"))


def test_what_the_core_passes_is_only_text(lab):
    lab.add(2)
    status, out, err = lab.fire("$(touch x);\n\x1b[31m")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"cluster 'web': state '\$\(touch x\);\?\?\[31m', run [0-9a-f]{8} works in the background\n", out)
    lab.settle()
    assert "fired: state '$(touch x);??[31m'" in lab.log()


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
    wait_until(lambda: any("clusterscale.draining" in s["metadata"] for s in lab.ours()), "the drain")
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
        "CLUSTER CPU UNKNOWN - no answer\n"
        "2 in service, 0 under way, 0 draining; 2 exist; min 2, max 5: "
        "the last measurement is N s old, max-age is 90 s: hold\n")
    assert plain(err) == ("nova_scale: refused to scale: the last measurement is N s old, max-age is 90 s: hold; "
                          "check_cluster_cpu -n web measures, and says what is missing\n")
    assert lab.creates() == []


def test_handler_measures_itself_once(lab):
    lab.add(2)
    lab.measure(1000)
    lines = (lab.state / "history").read_text()
    (lab.state / "history").unlink()
    handler = lab.install("#!/bin/sh\nprintf '%s\\n' \"$*\" >> " + f"{lab.dir}/asked\n"
                          f"echo '{lines.strip()}' >> {lab.state}/history\necho 'CLUSTER CPU CRITICAL - 100 % | load=100%'; exit 2\n")
    lab.fire("CRITICAL", program=handler)
    lab.settle()
    lab.check_settled(3)
    assert (lab.dir / "asked").read_text() == f"-n web -f {lab.dir}/clusterscale.yaml\n"
    assert ": CLUSTER CPU CRITICAL - 100 %\n" in lab.log()


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
    assert plain(err) == "nova_scale: server 'web' (ID) failed and is removed: it is in ERROR: No valid host was found. \n"
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
    assert plain(err) == "nova_scale: server 'web' (ID) failed and is removed: not in service within build-timeout\n"
    lab.check_settled(2)


def test_service_port_that_never_answers(make_lab):
    lab = make_lab(build_timeout=5)
    lab.add(2)
    lab.cloud.lifecycle.on_spawn = None
    status, out, err = lab.run("--create", "1")
    assert status == 2
    assert re.search(r"server 'web' is ACTIVE, not answering yet: 127\.\S+ port \d+: Connection refused", out)
    assert re.search(r"failed and is removed: not in service within build-timeout: 127\.\S+ port \d+: Connection refused; "
                     r"does its service start at boot, and may this host reach the port \(security groups\)\?\n", err)
    lab.check_settled(2)


def test_service_port_that_accepts_but_does_not_answer(make_lab):
    lab = make_lab(build_timeout=4)
    config = lab.dir / "clusterscale.yaml"
    config.write_text(config.read_text().replace(
        f"{{port: {lab.ports.port}}}", f"{{port: {lab.ports.port}, probe: {{path: /health}}}}"))
    lab.add(2)
    status, out, err = lab.run("--create", "1")
    assert status == 2
    assert re.search(r"server 'web' is ACTIVE, not answering yet: 127\.\S+ port \d+: GET /health: no answer within 1000 ms\n",
                     out)
    assert "failed and is removed: not in service within build-timeout" in err
    lab.check_settled(2)


def test_quota_is_seen_before_anything_is_begun(lab):
    lab.add(2)
    lab.cloud.quota["instances"] = 3
    status, out, err = lab.run("--create", "2")
    assert status == 2
    assert ("creating 'web': the project's quota has no room: 2 of 3 servers are in use, 2 more would be needed; "
            "have the project's quota raised, or lower size.max\n") in err
    assert len(lab.creates()) == len(lab.journal(type="intent")) == 1
    lab.check_settled(3)


def refuse_creates(lab, count):
    """As Nova does when somebody else took the last of the quota in between."""
    lab.cloud.inject(method="POST", path="/servers$", status=403, count=count, body={"forbidden": {
        "code": 403, "message": "Quota exceeded for instances: Requested 1, but already used 2 of 2 instances"}})


def test_quota(lab):
    lab.add(2)
    refuse_creates(lab, 9)
    status, out, err = lab.run("--create", "2")
    assert status == 2
    assert "was not created" in err and "Quota exceeded" in err
    assert err.endswith("; have the project's quota raised, or lower size.max\n")
    assert len(lab.creates()) == 1  # the second would fail as well
    lab.check_settled(2)


def test_limits_that_are_not_told_do_not_matter(lab):
    lab.add(2)
    lab.cloud.inject(path="/limits$", status=404, count=9)
    assert lab.run("--create", "1")[0] == 0
    lab.check_settled(3)


def test_three_failures_hold_creates_until_resume(lab):
    lab.add(1)
    refuse_creates(lab, 3)
    for _ in range(3):
        lab.fire("CRITICAL")
        lab.settle()
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
    assert status == 3
    assert "servers.image" in err
    assert lab.creates() == [] and lab.journal(type="intent") == []


def test_cloud_that_is_down(lab):
    lab.add(2)
    lab.measure(1000)
    lab.cloud.inject(path="/identity", action="status", status=503, count=100)
    status, out, err = lab.run()
    assert status == 2 and err.startswith("nova_scale: ")
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
    lab.settle()
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
    os.kill(the_handler(lab), signal.SIGKILL)
    lab.settle()
    with open(lab.state / "lock", "r+") as lock:  # which the other one has until its exec
        fcntl.fcntl(lock, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


@pytest.mark.parametrize("state", ["OK", "WARNING", "CRITICAL"])
def test_kill_in_the_middle_of_a_create(lab, state):
    lab.add(2)
    lab.cloud.plan_builds(1, seconds=3)
    lab.measure(1000)
    lab.fire("CRITICAL")
    wait_until(lab.creates, "the create")
    kill(lab)
    assert len(lab.open_ops()) == 1
    lab.fire(state)
    lab.settle()
    assert len(lab.creates()) == 1
    lab.check_settled(3)


@pytest.mark.parametrize("order", [["--to", "2"], ["--delete", "1"], ["--delete", "web"]])
def test_what_is_being_created_goes_before_what_serves(lab, order):
    serving = lab.add(2)
    lab.cloud.plan_builds(1, seconds=60)
    lab.measure(1000)
    lab.fire("CRITICAL")
    wait_until(lab.creates, "the create")
    kill(lab)
    status, out, err = lab.run(*order)
    assert status == 0, err
    assert [server["id"] for server in lab.ours()] == serving
    assert [line["outcome"] for line in lab.journal(type="result", action="create")] == ["cancelled"]
    lab.check_settled(2)


@pytest.mark.parametrize("state", ["OK", "WARNING"])
def test_kill_in_the_middle_of_a_drain(lab, state):
    lab.add(3)
    (lab.lbs[0] / "hold").touch()
    lab.measure(0)
    lab.fire("WARNING")
    wait_until(lambda: any("clusterscale.draining" in s["metadata"] for s in lab.ours()), "the drain")
    kill(lab)
    assert len(lab.open_ops()) == 1 and lab.deletes() == []
    (lab.lbs[0] / "hold").unlink()
    lab.fire(state)
    lab.settle()
    assert len(lab.deletes()) == 1
    lab.check_settled(2)


def test_a_drain_is_told_in_the_journal(lab):
    lab.add(3)
    for lb in lab.lbs:
        (lb / "hold").touch()
    lab.measure(0)
    lab.fire("WARNING")
    wait_until(lambda: "load balancer 'lb2' drains" in lab.log(), "the drain is seen")
    for lb in lab.lbs:
        (lb / "hold").unlink()
    lab.settle()
    drained, = lab.journal(type="drained")
    assert lab.deletes()[0]["path"].endswith(drained["server_id"])
    assert re.fullmatch(r"on 2 load balancers, \d+ s after its mark, at most 6 sessions at once", drained["detail"])
    lab.check_settled(2)


def test_kill_before_the_request_left(lab):
    """An intent alone counts as a server until the grace period is over, and is then disproved."""
    lab.add(2)
    lab.note(type="intent", ago=10, op="00000000-0000-4000-8000-000000000009", action="create", name="web9")
    status, out, _ = lab.run("--status")
    assert status == 1 and re.search(r"open: create of 'web9' for \d\d s", out)
    assert "3 exist" in lab.run("--explain")[1]
    path = lab.state / "journal"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "web9" not in line))
    lab.note(type="intent", ago=181, op="00000000-0000-4000-8000-000000000009", action="create", name="web9")
    lab.fire("OK")
    lab.settle()
    assert lab.creates() == []
    assert re.search(r"the create of 'web9' was never carried out: no server with its mark after \d{3} s", lab.log())
    lab.check_settled(2)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

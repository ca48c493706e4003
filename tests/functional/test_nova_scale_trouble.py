#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nova_scale says when something is set up wrongly: what was tried, on what, why it failed, what to do."""

import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import HINT, lab, make_lab, plain, wait_until  # noqa: E402, F401

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def edit(lab, old, new):
    path = lab.dir / "clusterscale.yaml"
    text = path.read_text()
    assert text.count(str(old)) == 1
    path.write_text(text.replace(str(old), str(new)))


def say(lab, folder, text, status):
    """The load balancer's command says TEXT on stderr and ends with STATUS, as sudo and ssh do."""
    (folder / "sync").write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {status}\n")


# Load balancers that cannot be brought in line


@pytest.fixture(params=["missing", "folder", "not executable", "bare name", "relative"])
def bad_command(lab, request):
    """(lab, what is said about lb1's command)"""
    sync, uid = lab.lbs[0] / "sync", os.geteuid()
    todo = "correct the path, install the program, or let this user execute it"
    if request.param == "missing":
        sync.unlink()
        return lab, f"uid {uid} cannot run {sync}: No such file or directory; {todo}"
    if request.param == "folder":
        sync.unlink()
        sync.mkdir()
        return lab, f"uid {uid} cannot run {sync}: Permission denied; {todo}"
    if request.param == "not executable":
        sync.chmod(0o644)
        return lab, f"uid {uid} cannot run {sync}: Permission denied; {todo}"
    if request.param == "bare name":
        edit(lab, sync, "no-such-program")
        return lab, f"no program 'no-such-program' in {SEARCHED}; install it, or give its absolute path"
    edit(lab, sync, "./sync")
    return lab, "'./sync' is no absolute path, and the handler starts in /; give the absolute path"


def test_command_that_cannot_start_is_refused_before_anything_is_created(bad_command):
    lab, why = bad_command
    lab.add(2)
    complaint = f"{lab.dir}/clusterscale.yaml: load-balancers.lb1.sync: {why}\n"
    assert lab.run("--check-config") == (3, "", f"nova_scale: {complaint}")
    status, out, err = lab.run("--create", "1")
    assert (status, err) == (3, f"nova_scale: creating 'web': {complaint}")
    assert out == "2 in service, 0 under way, 0 draining; 2 exist; min 2, max 5: ordered by hand\n"
    assert lab.run("--dry-run", "--create", "1") == (
        3, "decision: up to 3 servers\nwould create a server\n", f"nova_scale: that create would be refused: {complaint}")
    lab.measure(1000)
    assert lab.fire("CRITICAL")[0] == 0
    lab.settle()
    assert complaint in lab.log() and "ended with exit status 3" in lab.log()
    assert lab.creates() == [] and lab.journal(type="intent") == []


def test_bare_name_is_found_whatever_path_says(lab):
    edit(lab, lab.lbs[0] / "sync", "env, " + str(lab.lbs[0] / "sync"))
    assert lab.run("--check-config") == (0, f"{lab.dir}/clusterscale.yaml: good\n", "")
    lab.add(1)
    assert lab.run("--create", "1")[0] == 0
    lab.check_settled(2)


@pytest.mark.parametrize("text, ended", [
    ("sudo: a password is required", 1), ("ssh: connect to host lb1 port 22: No route to host", 255),
    ("haproxy_sync: the configuration is not valid", 2)])
def test_create_is_held_while_no_load_balancer_works(make_lab, text, ended):
    lab = make_lab(lbs=1)
    lab.add(2)
    (broken,) = lab.add(1, name="broken", status="ERROR", published=False)
    lab.note(type="known", server_id=broken, name="broken")
    say(lab, lab.lbs[0], text, ended)
    status, out, err = lab.run("--create", "1")
    assert status == 2
    assert "load balancer 'lb1': its sync ended with %d: %s; to try it: %s/sync -n web\n" % (
        ended, text, lab.lbs[0]) in err
    assert err.endswith("nova_scale: creating 'web': held: no load balancer can be brought in line, so nobody would "
                        "serve a new server; mend it first\n")
    assert lab.creates() == []
    assert len(lab.deletes()) == 1  # open work goes on


def test_one_of_two_load_balancers_is_enough_for_a_create(lab):
    lab.add(2)
    say(lab, lab.lbs[1], "ssh: no route to host", 255)
    lab.measure(1000)
    lab.fire("CRITICAL")
    wait_until(lambda: "Server web status ACTIVE" in lab.log(), "the server")
    assert "load balancer 'lb2': its sync ended with 255: ssh: no route to host" in lab.log()


def test_command_without_a_report(make_lab):
    lab = make_lab(lbs=1)
    lab.add(2)
    say(lab, lab.lbs[0], "", 0)
    (lab.lbs[0] / "sync").write_text("#!/bin/sh\nexit 0\n")
    assert "load balancer 'lb1': its sync ended with 0: " in lab.run("--create", "1")[2]


def test_end_of_patience_says_what_is_open_and_why(make_lab):
    lab = make_lab(lbs=1)
    lab.add(2)
    lab.add(1, name="new")
    say(lab, lab.lbs[0], "sudo: a password is required", 1)
    status, out, err = lab.run("--delete", "new")
    assert status == 1
    assert re.search(r"still waiting: server 'new' for \d+ s: load balancer 'lb1': its sync ended with 1", out)
    assert re.search(r"work is still open after \d+ s: server 'new' for \d+ s: load balancer 'lb1': its sync ended with "
                     r"1: sudo: a password is required; to try it: \S+ -n web; the next run goes on with it\n$", err)
    assert out.endswith(HINT)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

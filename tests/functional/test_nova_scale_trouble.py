#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nova_scale says when something is set up wrongly: what was tried, on what, why it failed, what to do."""

import getpass
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scale_lab import HINT, POOR, PROGRAM, lab, make_lab, procs, wait_until  # noqa: E402, F401
from terminal import open_pty, read_to_end  # noqa: E402

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
    sync, user = lab.lbs[0] / "sync", getpass.getuser()
    todo = "correct the path, install the program, or let this user execute it"
    if request.param == "missing":
        sync.unlink()
        return lab, f"user {user} cannot run {sync}: No such file or directory; {todo}"
    if request.param == "folder":
        sync.unlink()
        sync.mkdir()
        return lab, f"user {user} cannot run {sync}: Permission denied; {todo}"
    if request.param == "not executable":
        sync.chmod(0o644)
        return lab, f"user {user} cannot run {sync}: Permission denied; {todo}"
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


TRY, SUDOERS = r"to try it: \S+/sync -n web", (
    r"install -m 440 /\S+/sudoers.d/clusterscale /etc/sudoers.d/clusterscale, with this user, cluster and path in it")


@pytest.mark.parametrize("text, ended, todo", [
    ("sudo: a password is required", 1, SUDOERS), ("ssh: connect to host lb1 port 22: No route to host", 255, TRY),
    ("sudo: unable to resolve host vm\nhaproxy_sync: the configuration is not valid", 2, TRY)])
def test_create_is_held_while_no_load_balancer_works(make_lab, text, ended, todo):
    lab = make_lab(lbs=1)
    lab.add(2)
    (broken,) = lab.add(1, name="broken", status="ERROR", published=False)
    lab.note(type="known", server_id=broken, name="broken")
    say(lab, lab.lbs[0], text, ended)
    status, out, err = lab.run("--create", "1")
    assert status == 2
    last_line = text.split("\n")[-1]
    assert re.search(rf"load balancer 'lb1': its sync ended with {ended}: {last_line}; {todo}\n", err)
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
                     rf"1: sudo: a password is required; {SUDOERS}; the next run goes on with it\n$", err)
    assert out.endswith(HINT)


def test_server_that_no_load_balancer_serves_is_kept_and_is_the_last(make_lab):
    lab = make_lab(lbs=1, build_timeout=2, max=9)
    lab.add(5)
    lab.cloud.plan_builds(1, seconds=1)
    lab.measure(1000)
    lab.fire("CRITICAL")
    wait_until(lab.creates, "the create")
    (lab.lbs[0] / "fail").touch()
    wait_until(lambda: "it is kept and counts as under way, and no other is created" in lab.log(), "the warning", 60)
    lab.measure(1000)  # what is under way does not suffice
    wait_until(lambda: "creating 'web': held: no load balancer serves 'web', which answers" in lab.log(), "the hold", 60)
    (lab.lbs[0] / "fail").unlink()
    lab.settle(60)
    assert len(lab.creates()) == 1 and lab.deletes() == []
    lab.check_settled(6)


# Files and folders


def complaint(lab, *arguments):
    """What one run by hand says, which is exactly one line."""
    status, out, err = lab.run(*arguments)
    assert (status, out) == (3, "")
    assert err.startswith("nova_scale: ") and err.endswith("\n") and err.count("\n") == 1
    return err[len("nova_scale: "):-1]


def test_missing_files_name_the_example(lab):
    (lab.dir / "clouds.yaml").unlink()
    assert re.fullmatch(
        rf"cannot read {lab.dir}/clouds.yaml: No such file or directory; correct clouds-file, or begin with the example: "
        rf"install -g \S+ -m 640 /\S+/clouds.yaml {lab.dir}/clouds.yaml", complaint(lab, "--status"))
    (lab.dir / "clusterscale.yaml").unlink()
    assert re.fullmatch(
        rf"configuration: cannot read {lab.dir}/clusterscale.yaml: No such file or directory; name another file with -f, "
        rf"or begin with the example: cp /\S+/clusterscale.yaml {lab.dir}/clusterscale.yaml", complaint(lab, "--status"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_this_user_may_not_do_names_who_may(lab):
    (lab.dir / "clouds.yaml").chmod(0)
    advice = f"run this as a user who may read it (sudo -u USER ...), or give user {getpass.getuser()} the right to"
    assert complaint(lab, "--status") == (
        f"cannot read {lab.dir}/clouds.yaml: Permission denied; {advice} (chgrp, chmod g+r)")
    edit(lab, f"state-dir: {lab.dir}/state", "state-dir: /var/no-such-folder")
    assert re.fullmatch(
        rf"cannot make the folder /var/no-such-folder: Permission denied; as root type: install -d -o \S+ -m 750 "
        rf"/var/no-such-folder; state-dir is set in {lab.dir}/clusterscale.yaml", complaint(lab, "--status"))


def test_check_config_reads_the_credentials(lab):
    lab.write_clouds()
    text = (lab.dir / "clouds.yaml").read_text()
    (lab.dir / "clouds.yaml").write_text(text.replace("password:", "passwort:"))
    assert complaint(lab, "--check-config") == f"cloud 'sim' of {lab.dir}/clouds.yaml: 'password' is missing"


def test_state_and_log_that_cannot_be_made(lab):
    edit(lab, f"log-file: {lab.dir}/log", f"log-file: {lab.dir}/none/log")
    assert complaint(lab, "--status") == (
        f"log file {lab.dir}/none/log: cannot open it: No such file or directory; correct log-file, or make a folder for "
        "it that this user may write")
    edit(lab, f"state-dir: {lab.dir}/state", f"state-dir: {lab.dir}/community")
    assert complaint(lab, "--status") == (
        f"cannot make the folder {lab.dir}/community/web: Not a directory; state-dir is set in "
        f"{lab.dir}/clusterscale.yaml")


@pytest.mark.parametrize("name, line", [("clusterscale.yaml", 6), ("clouds.yaml", 3)])
def test_tab_is_called_a_tab(lab, name, line):
    lines = (lab.dir / name).read_text().split("\n")
    lines[line - 1] = "\t" + lines[line - 1].lstrip()
    (lab.dir / name).write_text("\n".join(lines))
    assert complaint(lab, "--status") == (f"{lab.dir}/{name}:{line}: not valid YAML: found character that cannot start "
                                          "any token (a tab: indent with spaces)")


# The cloud


@pytest.mark.parametrize("host, why", [("127.0.0.1", "Connection refused"), ("no.invalid", "Could not resolve host: no.invalid")])
def test_cloud_that_is_not_reached(lab, host, why):
    lab.add(2)
    url = f"http://{host}:{procs.free_port()}/identity"
    clouds = lab.dir / "clouds.yaml"
    clouds.write_text(clouds.read_text().replace(lab.cloud.auth_url, url))
    status, out, err = lab.run("--create", "1")
    assert (status, out) == (2, "")
    assert err == (f"nova_scale: cloud 'sim' of {clouds}: POST {url}/v3/auth/tokens: no connection: {why}; is the URL "
                   "right, and the cloud up?\n")


def test_quota_says_what_can_be_done_and_leaves_nothing_to_undo(lab):
    lab.add(2)
    lab.cloud.quota["instances"] = 2
    status, out, err = lab.run("--create", "1")
    assert status == 2 and HINT not in out
    assert err.endswith("; have the project's quota raised, or lower size.max\n")


def test_failure_on_a_terminal_has_a_line_of_its_own(lab):
    lab.add(1)
    lab.cloud.plan_builds(1, outcome="error", seconds=1)
    terminal, inside = open_pty()
    child = subprocess.Popen([PROGRAM, "-n", "web", "-f", lab.dir / "clusterscale.yaml", "--create", "1"],
                             stdin=subprocess.DEVNULL, stdout=inside, stderr=inside, env=POOR)
    os.close(inside)
    text = read_to_end(terminal)
    assert child.wait() == 2
    assert len(re.findall(r"nova_scale: server 'web' \(\S+\) failed and is removed", text)) == 1
    assert len(re.findall(r"\x1b\[Knova_scale: server 'web'", text)) == 1


@pytest.mark.parametrize("old, new, message", [
    ("image: rails-snapshot", "image: none",
     "servers.image: the cloud has no image with name or id 'none' for this project; it has 'rails-snapshot'"),
    ("flavor: m1.small", "flavor: none", "servers.flavor: the cloud has no flavor with name or id 'none' for this project; "
     "it has 'm1.tiny', 'm1.large', 'm1.medium', 'm1.small'"),
    ("networks: [private]", "networks: [private, none]",
     "servers.networks: the cloud has no network with name or id 'none' for this project; it has 'private'")])
def test_names_that_the_cloud_does_not_have(lab, old, new, message):
    lab.add(2)
    edit(lab, old, new)
    status, _, err = lab.run("--create", "1")
    assert (status, err) == (3, f"nova_scale: creating 'web': {message}\n")
    assert lab.creates() == [] and lab.journal(type="intent") == []


def test_network_that_no_member_is_on_is_a_configuration_error(lab):
    lab.add(2)
    edit(lab, "networks: [private]", "networks: [none]")
    message = "servers.networks: no member has an address on network 'none'; there are some on 'private'"
    assert complaint(lab, "--create", "1") == complaint(lab, "--status") == message


# A cell that is down


def hide(lab, *ids):
    for id in ids:
        lab.cloud.change_server(id, unreachable=True)


def test_servers_of_a_cell_that_is_down_count_against_max_and_stay(make_lab):
    lab = make_lab(min=1, max=4)
    kept, gone = lab.add(2)
    foreign = lab.cloud.add_server("foreign").id
    hide(lab, gone, foreign)
    status, out, err = lab.run("--create", "2")
    assert status == 3 and "max 4 and 3 exist, 2 of them UNKNOWN: room for 1" in out + err
    assert "2 of those that exist are UNKNOWN: their cell is down" in lab.run("--explain")[1]
    assert lab.run("--create", "1")[0] == 0
    assert len(lab.creates()) == 1
    assert lab.run("--delete", gone)[0] == 3
    assert lab.run("--delete", "1")[0] == 0
    assert {r["path"].rsplit("/")[-1] for r in lab.deletes()}.isdisjoint({gone, foreign})
    assert {gone, foreign} <= {server["id"] for server in lab.servers()}
    assert lab.journal(type="gone") == []


def test_a_lost_create_may_be_in_a_cell_that_is_down(make_lab):
    lab = make_lab(min=1, max=4)
    lab.add(1)
    op = "11111111-2222-4333-8444-555555555555"
    lab.note(ago=600, type="intent", op=op, action="create", name="lost", why="test", flavor="m1.small")
    lost = lab.cloud.add_server("lost", metadata={"clusterscale.cluster": "web", "clusterscale.op": op}).id
    hide(lab, lost)
    lab.fire("OK")
    wait_until(lambda: len(lab.cloud.requests("GET", "/servers/detail")) > 2, "several lists")
    assert lab.journal(type="result") == []
    lab.ports.open(lab.cloud.servers[lost].summary())
    lab.cloud.change_server(lost, unreachable=False)
    lab.settle()
    assert [line["server_id"] for line in lab.journal(type="request", op=op)] == [lost]
    assert [line["outcome"] for line in lab.journal(type="result", op=op)] == ["done"]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_sync against a simulated cloud and a real HAProxy: exact output, exit status, and what HAProxy then does."""
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess

import pytest

pytest.register_assert_rewrite("balancer")
import balancer  # noqa: E402
from balancer import expect, lb  # noqa: E402, F401 (a fixture)
from terminal import open_pty, read_to_end  # noqa: E402


def found(lb, *servers):
    return "".join(f"Found matched server {s.name} {lb.address(s)}, add to haproxy\n" for s in servers)


def stamps(lb, *kinds):
    return {path.name: path.stat().st_mtime_ns for kind in kinds or ("applied", "backup")
            for path in (lb.config, *lb.dir.glob(f"sync/*{kind}"))}


def test_servers_come_up_and_an_unchanged_run_touches_nothing(lb):
    one, two = lb.add("web1"), lb.add("web2")
    lb.start()
    expect(lb.sync("-v"), 0, lb.report([one, two]), stdout=found(lb, one, two) + "Reload haproxy: nothing was applied yet\n"
           f"server 'web1' {lb.address(one)}:{lb.service_port} added to backend 'web'\n"
           f"server 'web2' {lb.address(two)}:{lb.service_port} added to backend 'web'\n")
    assert lb.config.read_text() == lb.lines(one, two)
    assert lb.status() == {"web1": "UP", "web2": "UP"}
    assert lb.get().endswith(lb.address(one)) and lb.get().endswith(lb.address(two))
    before, worker = stamps(lb), lb.workers()[0]
    expect(lb.sync("-v"), 0, lb.report([one, two]), stdout=found(lb, one, two))
    assert (stamps(lb), lb.workers()[0]) == (before, worker)
    three = lb.add("web3")
    expect(lb.settle(), 0, lb.report([one, two, three]))
    assert lb.config.read_text() == lb.lines(one, two, three)


def up(lb, n=2, **fields):
    """A running HAProxy with n published servers."""
    servers = [lb.add(f"web{i + 1}", **fields) for i in range(n)]
    lb.start()
    expect(lb.sync(), 0, lb.report(servers))
    return servers


def needs_reload(lb):
    """A change that HAProxy's socket cannot make."""
    lb.template.write_text(lb.template.read_text().replace("balance roundrobin", "balance leastconn"))


def changed_nothing(lb):
    """What must be the same when a run refuses or fails; the backup is made while HAProxy checks."""
    return stamps(lb, "applied"), lb.config.read_text(), lb.workers()[0], lb.status()


# --- reloads are rare

def test_a_second_reload_waits_for_its_time(make):
    lb = make(interval=3600)
    one, two = up(lb)
    text, worker = lb.config.read_text(), lb.workers()[0]
    needs_reload(lb)
    done = lb.sync()
    expect(done, 1, lb.report([one, two]), stderr=done.stderr)
    assert re.fullmatch(r"haproxy_sync: a reload is needed \(more changes than servers of ours\) and can be made in "
                        r"\d+ s: the last one was \d+ s ago, min-reload-interval is 3600 s\n", done.stderr)
    assert (lb.config.read_text(), lb.workers()[0]) == (text, worker)
    lb.yaml.write_text(lb.yaml.read_text().replace("min-reload-interval: 3600", "min-reload-interval: 0"))
    expect(lb.sync(), 0, lb.report([one, two]))
    assert "balance leastconn" in lb.config.read_text() and lb.workers()[0] != worker


def test_the_old_file_goes_back_at_any_time(make):
    lb = make(interval=3600)
    one, two = up(lb)
    record = next(lb.dir.glob("sync/*.applied"))
    record.write_text(re.sub('"reloaded":{[^}]*},', "", record.read_text()))
    needs_reload(lb)
    lb.template.write_text(lb.template.read_text().replace("global\n", f"global\n    pidfile {lb.dir}/nowhere/pid\n"))
    done = lb.sync()
    assert done.returncode == 2 and done.stderr.endswith("; the old configuration is back and loaded\n")
    done = lb.sync()
    assert done.returncode == 1 and "can be made in" in done.stderr
    assert lb.status() == {"web1": "UP", "web2": "UP"}


# --- draining

def test_an_idle_server_leaves_in_one_pass(lb):
    one, two = up(lb)
    lb.mark(two)
    expect(lb.sync("-v"), 0, lb.report([one], drained=[two]), stdout="Drain server web2\n" + found(lb, one) +
           f"server 'web2' {lb.address(two)}:{lb.service_port} removed from backend 'web'\n")
    assert lb.config.read_text() == lb.lines(one)
    assert lb.status() == {"web1": "UP", "web2": "MAINT"}  # until the next reload
    before, worker = stamps(lb), lb.workers()[0]
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    assert (stamps(lb), lb.workers()[0]) == (before, worker)
    lb.remove(two)
    expect(lb.sync(), 0, lb.report([one]))


def test_a_drain_waits_for_a_held_session(lb):
    one, two = up(lb)
    held = lb.hold(two)
    lb.mark(two)
    expect(lb.sync("-v"), 1, lb.report([one], [(two, 1)]),
           stdout="Drain server web2\n" + found(lb, one, two) + "Server web2 drains, sessions: 1\n")
    assert lb.status() == {"web1": "UP", "web2": "DRAIN"}
    assert lb.config.read_text() == lb.lines(one, two)
    assert all(lb.get().endswith(lb.address(one)) for _ in range(4))
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.webs[two.id].released.set()
    assert held.answer().endswith(lb.address(two).encode())
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    assert lb.config.read_text() == lb.lines(one)


def test_a_worker_older_than_the_drain_is_waited_for(lb):
    one, two = up(lb)
    held = lb.hold(two)
    lb.reload()
    lb.mark(two)
    older = "; a worker older than its drain still runs\n"
    expect(lb.sync("-v"), 1, lb.report([one], [(two, 1)]),
           stdout="Drain server web2\n" + found(lb, one, two) + "Server web2 drains, sessions: 1" + older)
    assert lb.sessions()["web2"] == 0
    lb.webs[two.id].released.set()
    held.answer()
    lb.old_workers_gone()
    expect(lb.sync(), 0, lb.report([one], drained=[two]))


def test_an_idle_client_of_an_older_worker_is_waited_for(lb):
    """Its next request may go to the server although nobody has a session there now."""
    one, two = up(lb)
    held = lb.hold(one)
    lb.reload()
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], [(two, 0)]))
    lb.webs[one.id].released.set()
    held.answer()
    lb.old_workers_gone()
    expect(lb.sync(), 0, lb.report([one], drained=[two]))


def test_a_reload_in_between_does_not_end_a_drain(lb):
    one, two = up(lb)
    held = lb.hold(two)
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.reload()
    assert lb.status()["web2"] == "UP"
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    assert lb.status()["web2"] == "DRAIN"
    lb.webs[two.id].released.set()
    held.answer()
    lb.old_workers_gone()
    expect(lb.sync(), 0, lb.report([one], drained=[two]))


def test_our_own_reload_keeps_a_drain(lb):
    one, two = up(lb)
    lb.hold(two)
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    three = lb.add("web3")
    needs_reload(lb)
    before = lb.workers()[0]
    expect(lb.sync(), 1, lb.report([one, three], [(two, 1)]))
    assert lb.workers()[0] != before
    assert lb.status() == {"web1": "UP", "web2": "DRAIN", "web3": "UP"}


def test_a_cancelled_drain_goes_back_to_service(lb):
    one, two = up(lb)
    lb.hold(two)
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.unmark(two)
    expect(lb.sync("-v"), 0, lb.report([one, two]),
           stdout="server 'web2' is not to be drained any more: set back to ready\n" + found(lb, one, two))
    assert lb.status() == {"web1": "UP", "web2": "UP"}


def test_a_server_of_a_cell_that_is_down_keeps_its_line(lb):
    """Nobody knows what it is; its line stays, and one that had none gets none."""
    one, two = up(lb)
    three = lb.add("web3")
    for server in two, three:
        lb.cloud.change_server(server.id, unreachable=True)
    before = lb.config.read_text()
    done = lb.sync()
    assert lb.config.read_text() == before
    assert lb.status() == {"web1": "UP", "web2": "UP"}
    assert three.id not in done.stdout
    for server in two, three:
        lb.cloud.change_server(server.id, unreachable=False)
    expect(lb.settle(), 0, lb.report([one, two, three]))


def test_a_drain_by_hand_is_left_alone(lb):
    one, two = up(lb)
    balancer.ask(lb.stats, "set server web/web2 state maint")
    expect(lb.sync(), 1, lb.report([one]))
    assert lb.status() == {"web1": "UP", "web2": "MAINT"}


def test_maintenance_by_hand_outlives_a_drain_of_ours(lb):
    one, two = up(lb)
    held = lb.hold(two)
    balancer.ask(lb.stats, "set server web/web2 state maint")
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.unmark(two)
    expect(lb.sync(), 1, lb.report([one]))
    lb.webs[two.id].released.set()
    held.answer()
    expect(lb.sync(), 1, lb.report([one]))
    assert lb.status() == {"web1": "UP", "web2": "MAINT"}


def test_a_drained_server_that_stays_comes_back(lb):
    one, two = up(lb)
    lb.mark(two)
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    lb.unmark(two)
    expect(lb.sync(), 0, lb.report([one, two]))
    assert lb.status() == {"web1": "UP", "web2": "UP"}


def test_a_dead_server_drains_too(lb):
    one, two = up(lb)
    lb.die(two)
    balancer.procs_wait(lambda: lb.status()["web2"] == "DOWN", "HAProxy finds it dead")
    expect(lb.sync(), 1, lb.report([one]))
    lb.mark(two)
    expect(lb.sync(), 0, lb.report([one], drained=[two]))


# --- without a reload

def test_a_server_is_added_without_a_reload(lb):
    one, two = up(lb)
    worker = lb.workers()[0]
    three = lb.add("web3")
    expect(lb.sync("-v"), 1, lb.report([one, two]), stdout=found(lb, one, two, three) +
           f"server 'web3' {lb.address(three)}:{lb.service_port} added to backend 'web'\n")
    assert lb.config.read_text() == lb.lines(one, two, three)
    expect(lb.settle(), 0, lb.report([one, two, three]))
    assert (lb.workers(), lb.status()["web3"], lb.rows()["web3"]["weight"]) == ((worker, []), "UP", "1")
    before = stamps(lb)
    expect(lb.sync("-v"), 0, lb.report([one, two, three]), stdout=found(lb, one, two, three))
    assert stamps(lb) == before
    lb.reload()
    expect(lb.sync(), 0, lb.report([one, two, three]))


def with_template(lb, *change):
    """What runs before the first sync has the change already."""
    lb.template.write_text(lb.template.read_text().replace(*change))
    lb.config.write_text(lb.template.read_text())


def test_a_server_whose_check_fails_gets_no_request(lb):
    """Its port answers, the application behind it does not."""
    with_template(lb, "    balance", "    option httpchk GET /\n    balance")
    one, two = up(lb)
    three = lb.add("web3", serve=False)
    with balancer.Load(lb.port, rate=150) as load, socket.create_server((lb.address(three), lb.service_port)):
        load.wait_for(20)
        expect(lb.sync(), 1, lb.report([one, two]))
        load.wait_for(150)
    assert load.failures == []
    assert (lb.rows()["web3"]["stot"], lb.status()["web3"]) == ("0", "DOWN")


def test_a_server_leaves_without_a_reload_and_a_reload_forgets_it(lb):
    one, two = up(lb)
    worker = lb.workers()[0]
    lb.mark(two)
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    assert (lb.workers(), lb.status()) == ((worker, []), {"web1": "UP", "web2": "MAINT"})
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    lb.remove(two)
    expect(lb.sync(), 0, lb.report([one]))
    lb.reload()
    assert lb.status() == {"web1": "UP"}
    expect(lb.sync(), 0, lb.report([one]))


def test_a_name_left_in_maintenance_is_wanted_again(lb):
    one, two = up(lb)
    lb.mark(two)
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    lb.die(two)
    lb.remove(two)
    expect(lb.sync(), 0, lb.report([one]))
    again = lb.add("web2")
    worker = lb.workers()[0]
    expect(lb.sync("-v"), 0, lb.report([one, again]), stdout=found(lb, one, again) +
           "Reload haproxy: the running HAProxy still has a server 'web2'\n"
           f"server 'web2' {lb.address(again)}:{lb.service_port} added to backend 'web'\n")
    assert lb.workers()[0] != worker
    assert lb.status() == {"web1": "UP", "web2": "UP"}


@pytest.mark.parametrize("old, new, why", [
    ("balance roundrobin", "balance source", "backend 'web' has balance source, not consistent"),
    ("    balance", "    default-server no-ssl\n    balance", "option 'no-ssl' is not one to add a server with"),
    ("\nbackend web\n", "\ndefaults mine\n    mode http\nbackend web from mine\n",
     "backend 'web' takes its defaults by name")])
def test_what_haproxy_cannot_be_given_by_its_socket(lb, old, new, why):
    with_template(lb, old, new)
    one, = up(lb, 1)
    worker = lb.workers()[0]
    two = lb.add("web2")
    expect(lb.sync("-v"), 0, lb.report([one, two]), stdout=found(lb, one, two) + f"Reload haproxy: {why}\n"
           f"server 'web2' {lb.address(two)}:{lb.service_port} added to backend 'web'\n")
    assert lb.workers()[0] != worker


def test_what_default_server_says_holds_for_added_servers(lb):
    with_template(lb, "    balance", "    default-server weight 7 maxconn 9\n    balance")
    one, = up(lb, 1)
    worker = lb.workers()[0]
    two = lb.add("web2")
    expect(lb.settle(), 0, lb.report([one, two]))
    assert lb.workers()[0] == worker
    assert [(row["weight"], row["slim"]) for row in lb.rows().values()] == [("7", "512")] * 2


def test_a_refusal_of_haproxy_is_a_reload(lb):
    with_template(lb, "level admin", "level operator")
    one, = up(lb, 1)
    two = lb.add("web2")
    expect(lb.sync(), 0, lb.report([one, two]), stderr="haproxy_sync: HAProxy does not add a server to what runs: "
           "'Permission denied'; its stats socket needs 'level admin'; reloading instead\n")
    assert lb.status() == {"web1": "UP", "web2": "UP"}


# --- what is not published, and what is not believed

def test_a_port_that_does_not_answer_is_left_out(lb):
    one, two = up(lb)
    three = lb.add("web3", serve=False)
    before = changed_nothing(lb)
    message = (f"haproxy_sync: server 'web3' is left out for now: {lb.address(three)}:{lb.service_port} does not "
               "answer (Connection refused)\n")
    expect(lb.sync(), 1, lb.report([one, two]), stderr=message)
    assert {**before[0], **changed_nothing(lb)[0]} == changed_nothing(lb)[0]
    assert changed_nothing(lb)[1:] == before[1:]
    lb.serve(three)
    expect(lb.settle(), 0, lb.report([one, two, three]))


def test_a_server_that_builds_is_nobody_yet(lb):
    one, two = up(lb)
    lb.add("web3", serve=False, status="BUILD")
    expect(lb.sync(), 0, lb.report([one, two]))


def test_a_server_in_an_odd_state_stays_while_it_is_up(lb):
    one, two = up(lb)
    lb.cloud.change_server(two.id, status="RESCUE")
    expect(lb.sync(), 0, lb.report([one, two]))
    lb.die(two)
    balancer.procs_wait(lambda: lb.status()["web2"] == "DOWN", "HAProxy finds it dead")
    expect(lb.sync(), 0, lb.report([one]))
    assert lb.config.read_text() == lb.lines(one)


def refused(lb, code, message, but_the_record=False):
    before = changed_nothing(lb)
    expect(lb.sync(), code, stderr=f"haproxy_sync: {message}\n")
    assert changed_nothing(lb)[but_the_record:] == before[but_the_record:]


def test_an_empty_list_changes_nothing(lb):
    up(lb)
    lb.cloud.inject(path="/servers/detail", action="empty", count=9)
    refused(lb, 2, "cluster 'web': the cloud lists none of its servers; nothing is changed on the word of an empty list "
            "(which is to be expected before the first one: nova_scale -n web --create 1)")


def test_a_partial_list_changes_nothing(lb):
    up(lb)
    lb.cloud.inject(path="/servers/detail", action="truncate", count=9)
    before = changed_nothing(lb)
    done = lb.sync()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("haproxy_sync: cluster 'web': ")
    assert changed_nothing(lb) == before


NOT_EMPTIED = ("cluster 'web': none of its servers can serve now; backend 'web' is not emptied (to do so on purpose: "
               "--allow-empty)")


def too_many(leaving, of, most):
    return (f"cluster 'web': {leaving} of {of} servers would leave backend 'web' without a drain although HAProxy finds them "
            f"UP, at most {most} may (max-shrink); such a list is not believed (to take servers out: nova_scale --delete)")


def vanish(lb, *servers):
    for server in servers:
        lb.remove(server)


def found_down(lb, *servers):
    for server in servers:
        lb.die(server)
    balancer.procs_wait(lambda: all(lb.status()[server.name] == "DOWN" for server in servers), "HAProxy finds them dead")


def test_a_backend_is_not_emptied(lb):
    one, two = up(lb)
    lb.mark(one)
    lb.mark(two)
    refused(lb, 3, NOT_EMPTIED)
    expect(lb.sync("--allow-empty"), 0, lb.report(drained=[one, two]))
    assert lb.config.read_text() == lb.lines()
    assert set(lb.status().values()) == {"MAINT"}


def test_an_empty_list_is_believed_when_a_person_says_so(lb):
    one, two = up(lb)
    vanish(lb, one, two)
    expect(lb.sync("--allow-empty", "--dry-run"), 1, lb.report(), stdout=(
        f"--- {lb.config}\n+++ rendered\n@@ -15,5 +15,3 @@\n backend web\n     balance roundrobin\n"
        f"     # clusterscale: servers web\n-{lb.line(one)}-{lb.line(two)}"))
    expect(lb.sync("--allow-empty"), 0, lb.report())
    assert lb.config.read_text() == lb.lines()


def test_a_single_server_never_goes_by_itself(lb):
    one, = up(lb, 1)
    lb.add("web2", serve=False)
    vanish(lb, one)
    not_ready = (f"server 'web2' is left out for now: {lb.address(list(lb.cloud.servers.values())[-1])}:{lb.service_port} "
                 "does not answer (Connection refused)\nhaproxy_sync: ")
    refused(lb, 3, not_ready + NOT_EMPTIED)
    found_down(lb, one)
    refused(lb, 3, not_ready + NOT_EMPTIED)


def test_one_of_two_may_vanish(lb):
    one, two = up(lb)
    vanish(lb, two)
    expect(lb.sync(), 0, lb.report([one]))
    assert lb.status() == {"web1": "UP", "web2": "MAINT"}


def test_one_of_three_may_vanish_but_not_two(lb):
    one, two, three = up(lb, 3)
    vanish(lb, two, three)
    refused(lb, 3, too_many(2, 3, 1))
    found_down(lb, two)
    expect(lb.sync(), 0, lb.report([one]))
    assert lb.config.read_text() == lb.lines(one)


def test_two_of_four_may_vanish_but_not_three(lb):
    one, two, three, four = up(lb, 4)
    lb.cloud.change_server(two.id, status="ERROR")
    lb.cloud.change_server(three.id, task_state="deleting")
    vanish(lb, four)
    refused(lb, 3, too_many(3, 4, 2))
    lb.cloud.change_server(three.id, task_state=None)
    expect(lb.sync(), 0, lb.report([one, three]))
    assert lb.config.read_text() == lb.lines(one, three)


def test_any_number_may_be_drained(lb):
    one, *others = up(lb, 4)
    for server in others:
        lb.mark(server)
    expect(lb.sync(), 0, lb.report([one], drained=others))
    assert lb.config.read_text() == lb.lines(one)


def test_a_lost_record_does_not_lower_the_guard(lb):
    one, two, three = up(lb, 3)
    next(lb.dir.glob("sync/*.applied")).unlink()
    vanish(lb, two, three)
    refused(lb, 3, too_many(2, 3, 1))


def test_lines_by_hand_are_not_swept_away_by_the_first_run(lb):
    config = lb.template.read_text() + "".join(f"    server old{i} 127.0.0.1:9\n" for i in range(3))
    lb.config.write_text(config)
    lb.add("web1")
    lb.start()
    expect(lb.sync(), 3, stderr=f"haproxy_sync: {too_many(3, 3, 1)}\n")
    assert lb.config.read_text() == config


def test_names_are_made_safe_and_stay_unique(lb):
    one = lb.add("web")
    two = lb.add("web")
    three = lb.add("w\u00e9b #1")
    lb.start()
    expect(lb.sync(), 0, lb.report([one, two, three]))
    second = f"web-{two.id[:8]}"
    assert lb.config.read_text() == (lb.template.read_text() + lb.line(one) + lb.line(two, second) +
                                     lb.line(three, "w__b__1"))
    lb.mark(one)
    expect(lb.sync(), 0, lb.report([two, three], drained=[one]))
    lb.remove(one)
    four = lb.add("web")
    expect(lb.settle(), 0, lb.report([two, three, four]))
    assert lb.line(two, second) in lb.config.read_text()


def test_the_name_of_a_line_in_the_template_is_taken(lb):
    with lb.template.open("a") as file:
        file.write("    server web1 127.0.0.1:9 backup\n")
    one = lb.add("web1")
    lb.start()
    expect(lb.sync(), 0, lb.report([one]))
    assert f"server web1-{one.id[:8]} {lb.address(one)}:" in lb.config.read_text()


# --- files, reloads, failures

def test_haproxy_down_is_a_failure(lb):
    lb.add("web1")
    text = lb.config.read_text()
    expect(lb.sync(), 2, stderr=f"haproxy_sync: cannot connect to HAProxy's socket {lb.stats}: No such file or directory; "
           "is HAProxy running, and is this the path in its configuration ('stats socket', or -S for the master)?\n")
    assert lb.config.read_text() == text


def test_a_template_that_haproxy_refuses_is_not_installed(lb):
    one, two = up(lb)
    lb.template.write_text(lb.template.read_text().replace("balance roundrobin", "balance round-robin"))
    candidate = lb.dir / "haproxy.cfg.clusterscale-candidate"
    before = changed_nothing(lb)
    done = lb.sync()
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(
        f"haproxy_sync: HAProxy does not accept the configuration (haproxy -c -f {candidate}: exit status 1): "
        f"config : parsing [{candidate}:16] : balance only supports ")
    assert changed_nothing(lb) == before
    assert lb.line(one) in candidate.read_text()
    assert next(lb.dir.glob("sync/*backup")).read_text() == lb.config.read_text()
    all_stamps = stamps(lb)
    assert lb.sync().returncode == 3
    assert stamps(lb) == all_stamps


def test_our_own_checks_of_the_template(lb):
    up(lb)
    good = lb.template.read_text()
    lb.template.write_text(good.replace("global\n", "global\n    chroot /nonexistent\n"))
    refused(lb, 3, "the configuration has 'chroot /nonexistent', which is no folder here; HAProxy would accept the file "
            "and die of it")
    lb.template.write_text(good.replace("servers web", "servers wbe"))
    refused(lb, 3, f"{lb.template}:17: the marker names cluster 'wbe', but 1 cluster renders into this file")
    lb.template.unlink()
    before = changed_nothing(lb)
    done = lb.sync()
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch(rf"haproxy_sync: cannot read {lb.template}: No such file or directory; correct haproxy: template, or begin "
                        rf"with the example: cp /\S+/haproxy.cfg.template {lb.template}\n", done.stderr)
    assert changed_nothing(lb) == before


def test_a_reload_that_fails_is_rolled_back(lb):
    one, two = up(lb)
    text = lb.config.read_text()
    lb.add("web3")
    pidfile = f"    pidfile {lb.dir}/nowhere/pid\n"
    lb.template.write_text(lb.template.read_text().replace("global\n", "global\n" + pidfile))
    kept = lb.dir / "haproxy.cfg.failed"
    failed = ("the reload failed, the old worker still serves; HAProxy's log tells why (an address in use, a missing "
              f"file?) (the file that failed is kept as {kept})")
    expect(lb.sync(), 2, stderr=f"haproxy_sync: putting the old configuration back: {failed}\n"
           f"haproxy_sync: {failed}; the old configuration is back and loaded\n")
    assert lb.config.read_text() == text
    assert pidfile in kept.read_text() and kept.stat().st_mode & 0o777 == 0o600
    assert lb.status() == {"web1": "UP", "web2": "UP"}
    assert lb.workers()[0]
    assert "200 OK" in lb.get()


def test_a_file_that_failed_is_not_tried_again_at_once(lb):
    one, two = up(lb)
    text = lb.config.read_text()
    pidfile = f"    pidfile {lb.dir}/nowhere/pid\n"
    good = lb.template.read_text()
    lb.template.write_text(good.replace("global\n", "global\n" + pidfile))
    assert lb.sync().returncode == 2
    worker = lb.workers()[0]
    done = lb.sync()
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"haproxy_sync: this configuration was tried \d s ago and taken back \(it is kept as {lb.config}.failed\); "
                        r"it is tried again in 2\d\d s \(to try at once, when the cause is mended: remove that file\)\n", done.stderr)
    assert lb.config.read_text() == text and lb.workers()[0] == worker
    (lb.dir / "nowhere").mkdir()
    (lb.dir / "nowhere").chmod(0o777)
    (lb.dir / "haproxy.cfg.failed").unlink()
    expect(lb.sync(), 0, lb.report([one, two]))


def test_a_hand_edit_after_a_rollback_is_kept(lb):
    one, two = up(lb)
    good = lb.template.read_text()
    lb.template.write_text(good.replace("global\n", f"global\n    pidfile {lb.dir}/nowhere/pid\n"))
    assert lb.sync().returncode == 2
    lb.template.write_text(good)
    changed = lb.config.read_text() + "    server mine 127.0.0.1:9\n"
    lb.config.write_text(changed)
    backup = next(lb.dir.glob("sync/*.backup"))
    expect(lb.sync(), 0, lb.report([one, two]),
           stderr=f"haproxy_sync: {lb.config} is not what was applied last; it is rendered from {lb.template} again "
                  f"(what it was is kept as {backup})\n")
    assert backup.read_text() == changed


@pytest.mark.skipif(not balancer.UNPRIVILEGED, reason="where HAProxy may chroot it does not die of it")
def test_a_file_that_kills_haproxy_is_taken_back(lb):
    """chroot(2) without the right to: -c finds nothing, the new worker dies and takes the old one and the master along."""
    one, two = up(lb)
    text = lb.config.read_text()
    good = lb.template.read_text()
    lb.template.write_text(good.replace("global\n", f"global\n    chroot {lb.dir}\n"))
    done = lb.sync()
    assert (done.returncode, done.stdout) == (2, "")
    assert "; the old configuration is back in the file but HAProxy has not loaded it again (cannot connect to" in done.stderr
    assert lb.config.read_text() == text
    lb.template.write_text(good)
    lb.stop()
    lb.start()  # as its service manager does
    expect(lb.sync(), 0, lb.report([one, two]))


def test_a_stats_socket_without_rights_says_so(lb):
    one, two = up(lb)
    lb.template.write_text(lb.template.read_text().replace("level admin", "level operator"))
    expect(lb.sync(), 0, lb.report([one, two]))
    lb.mark(two)
    refused(lb, 2, "HAProxy answered 'set server web/web2 state drain' with 'Permission denied'; its stats socket needs "
            "'level admin'", but_the_record=True)


def test_the_master_socket_needs_level_operator_only(lb):
    """For reloads, and to count what old workers have."""
    one, two = lb.add("web1"), lb.add("web2")
    lb.start(",level,operator")
    expect(lb.sync(), 0, lb.report([one, two]))
    held = lb.hold(two)
    needs_reload(lb)
    worker = lb.workers()[0]
    expect(lb.sync(), 0, lb.report([one, two]))
    assert lb.workers() != worker and lb.workers()[1] == [worker]
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.webs[two.id].released.set()
    assert b"200 OK" in held.answer()


def test_a_backend_of_another_name_is_noticed_before_anything_happens(lb):
    lb.add("web1")
    lb.template.write_text(lb.template.read_text().replace("backend web\n", "backend www2\n").replace(
        "default_backend web", "default_backend www2"))
    lb.start()
    refused(lb, 3, f"{lb.template}:17: the servers of cluster 'web' belong into backend 'web' but would stand in backend "
            "'www2'; put the line '# clusterscale: servers web' into their backend")


def test_a_file_changed_by_hand_is_put_right(lb):
    one, two = up(lb)
    changed = lb.config.read_text() + "    server mine 127.0.0.1:9\n"
    lb.config.write_text(changed)
    backup = next(lb.dir.glob("sync/*.backup"))
    expect(lb.sync(), 0, lb.report([one, two]),
           stderr=f"haproxy_sync: {lb.config} is not what was applied last; it is rendered from {lb.template} again "
                  f"(what it was is kept as {backup})\n")
    assert lb.config.read_text() == lb.lines(one, two)
    assert backup.read_text() == changed


def test_a_file_written_but_never_loaded_is_not_taken_for_done(lb):
    one, two = up(lb)
    three = lb.add("web3")
    lb.config.write_text(lb.lines(one, two, three))
    assert "web3" not in lb.status()
    expect(lb.sync(), 0, lb.report([one, two, three]))
    assert lb.status() == {"web1": "UP", "web2": "UP", "web3": "UP"}


def test_a_server_that_vanished_from_the_running_haproxy_comes_back(lb):
    one, two = up(lb)
    text = lb.config.read_text()
    lb.config.write_text(lb.lines(one))
    lb.reload()
    lb.config.write_text(text)
    expect(lb.sync(), 0, lb.report([one, two]),
           stderr=f"haproxy_sync: the running HAProxy has no server 'web2' at '{lb.address(two)}:{lb.service_port}' in "
                  "backend 'web'; reloading\n")
    assert lb.status() == {"web1": "UP", "web2": "UP"}


def test_owner_mode_and_link_of_the_file_stay(lb):
    real = lb.dir / "real.cfg"
    lb.config.rename(real)
    lb.config.symlink_to(real.name)
    real.chmod(0o604)
    one, two = up(lb)
    assert lb.config.is_symlink()
    assert real.stat().st_mode & 0o7777 == 0o604
    assert lb.line(one) in real.read_text()


def test_a_dry_run_shows_the_difference_and_changes_nothing(lb):
    one, two = up(lb)
    three = lb.add("web3")
    before = changed_nothing(lb)
    expect(lb.sync("--dry-run"), 1, lb.report([one, two]), stdout=(
        f"--- {lb.config}\n+++ rendered\n@@ -17,3 +17,4 @@\n"
        f"     # clusterscale: servers web\n {lb.line(one)} {lb.line(two)}+{lb.line(three)}"))
    assert changed_nothing(lb) == before
    lb.mark(two)
    lb.remove(three)
    expect(lb.sync("--dry-run"), 1, lb.report([one], [(two, 0)]))
    assert changed_nothing(lb) == before
    lb.unmark(two)
    expect(lb.sync("--dry-run"), 0, lb.report([one, two]))


def test_fifty_runs_at_once_reload_once(lb):
    """They wait for each other, 30 s at most, and each lists anew when it is its turn."""
    one, two = up(lb)
    lb.add("web3")
    needs_reload(lb)
    before = lb.workers()[0]
    argv = [lb.dir / "haproxy_sync", "-n", "web", "-f", lb.yaml]
    slow = b"__asan_init" in argv[0].read_bytes()
    runs = [subprocess.Popen(argv, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             **balancer.UNPRIVILEGED) for _ in range(15 if slow else 50)]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert {run.returncode for run in runs} == {0}
    assert {errors for _, errors in outputs} == {""}
    assert {tuple(json.loads(out)["serving"]) for out, _ in outputs} == {tuple(s.id for s in lb.cloud.servers.values())}
    reloads = int(balancer.ask(lb.master, "show proc").split("master")[1].split()[0])
    assert (reloads, lb.workers()[0] != before) == (2, True)  # the first one of all, and this one


def test_a_lock_that_is_held_is_work_still_open(lb):
    up(lb)
    with next(lb.dir.glob("sync/*.lock")).open("r+") as file:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
        before = changed_nothing(lb)
        done = lb.sync()
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("haproxy_sync: ") and "sync" in done.stderr
        assert changed_nothing(lb) == before


def test_sessions_are_shut_after_the_drain_timeout(lb):
    one, two = up(lb)
    held = lb.hold(two)
    lb.mark(two, seconds_ago=150)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.mark(two, seconds_ago=301)
    expect(lb.sync(), 0, lb.report([one], drained=[two]), stderr=(
        "haproxy_sync: server 'web2': drain-timeout of 300 s has passed; sessions shut: 1\n"))
    assert held.answer().startswith((b"HTTP/1.1 502", b"")) and lb.status() == {"web1": "UP", "web2": "MAINT"}


def test_the_drain_timeout_ends_the_wait_for_old_workers_too(lb):
    one, two = up(lb)
    lb.hold(two)
    lb.reload()
    lb.mark(two, seconds_ago=301)
    expect(lb.sync(), 0, lb.report([one], drained=[two]), stderr=(
        "haproxy_sync: server 'web2': drain-timeout has passed; sessions in old workers that will end with it: 1\n"))


def test_an_old_worker_that_hangs_does_not_make_the_master_deaf(lb):
    """Its master serves ten connections at once, and a question without an answer keeps one of them."""
    one, two = up(lb)
    held = lb.hold(two)
    lb.reload()
    hung, = lb.workers()[1]
    lb.mark(two)
    os.kill(hung, signal.SIGSTOP)
    try:
        for n in range(3):
            done = lb.sync()
            assert (done.returncode, json.loads(done.stdout)["draining"]) == (1, [{"id": two.id, "sessions": 0}])
            assert set(done.stderr.splitlines()) == {
                f"haproxy_sync: HAProxy's old worker {hung} does not answer; no server counts as drained until it has "
                "ended, or drain-timeout has passed"}
            assert json.loads(next(lb.dir.glob("sync/*.applied")).read_text())["unanswered"]["pids"] == [hung, hung]
            assert lb.workers()[1] == [hung]
    finally:
        os.kill(hung, signal.SIGCONT)
    lb.webs[two.id].released.set()
    assert b"200 OK" in held.answer()
    held.sock.close()
    lb.old_workers_gone()
    expect(lb.settle(), 0, lb.report([one], drained=[two]))


def test_ipv6_addresses_stand_in_brackets(lb):
    one = lb.add("web1", serve=False, addresses={"private": ["::1"]})
    lb.webs[one.id] = balancer.Web("::1", lb.service_port)
    lb.start()
    expect(lb.sync(), 0, lb.report([one]))
    assert f"    server web1 [::1]:{lb.service_port} maxconn" in lb.config.read_text()
    assert "200 OK" in lb.get()


def test_a_refused_login_changes_nothing(lb):
    up(lb)
    clouds = lb.dir / "clouds.yaml"
    clouds.write_text(clouds.read_text().replace("readersecret", "wrongsecret"))
    before = changed_nothing(lb)
    done = lb.sync()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("haproxy_sync: cluster 'web': ") and "wrongsecret" not in done.stderr
    assert changed_nothing(lb) == before


# --- other ways to set it up

@pytest.fixture
def make(lb):  # noqa: F811
    """Balancers with other settings; `lb` skips when there is no HAProxy."""
    made = []

    def one(**settings):
        made.append(balancer.Balancer(**settings))
        return made[-1]
    yield one
    for each in made:
        each.__exit__()


def test_a_state_file_carries_drains_and_health_over_the_reload(make):
    lb = make(state_file=True)  # noqa: F811
    one, two = up(lb)
    three = lb.add("web3")
    expect(lb.settle(), 0, lb.report([one, two, three]))
    lb.hold(two)
    lb.mark(two)
    lb.die(three)
    balancer.procs_wait(lambda: lb.status()["web3"] == "DOWN", "HAProxy finds it dead")
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    four = lb.add("web4")
    needs_reload(lb)
    done = lb.sync()
    # It starts DOWN; HAProxy's first check of it may come before the report.
    expect(done, 1, lb.report([one, four] if four.id in done.stdout else [one], [(two, 1)]))
    balancer.procs_wait(lambda: lb.status()["web4"] == "UP", "HAProxy finds it")
    assert lb.status() == {"web1": "UP", "web2": "DRAIN", "web3": "DOWN", "web4": "UP"}
    # What was true then is nothing for a later reload of somebody else.
    assert (lb.dir / "server-state").read_text() == "1\n"


def test_max_shrink_says_how_many_may_vanish(make):
    lb = make(more=["max-shrink: 0"])  # noqa: F811
    one, two, three, four = up(lb, 4)
    vanish(lb, four)
    refused(lb, 3, too_many(1, 4, 0))
    lb.yaml.write_text(lb.yaml.read_text().replace("max-shrink: 0", "max-shrink: 75"))
    vanish(lb, two, three)
    expect(lb.sync(), 0, lb.report([one]))


def test_a_service_that_is_not_healthy_is_left_out(make):
    lb = make(probe="{path: /health, status: 200, host: www.example}")  # noqa: F811
    one, two = up(lb)
    three, four = lb.add("web3"), lb.add("web4", serve=False)
    lb.webs[three.id].health = 503
    at = [f"{lb.address(server)}:{lb.service_port}" for server in (three, four)]
    expect(lb.sync(), 1, lb.report([one, two]), stderr=(
        f"haproxy_sync: server 'web3' is left out for now: {at[0]} does not answer (GET /health: status 503, expected "
        f"200)\nhaproxy_sync: server 'web4' is left out for now: {at[1]} does not answer (Connection refused)\n"))
    lb.webs[three.id].health = 200
    lb.serve(four)
    expect(lb.settle(), 0, lb.report([one, two, three, four]))


RELOADER = """\
#!/usr/bin/python3
import socket
sock = socket.socket(socket.AF_UNIX)
sock.connect("{master}")
sock.sendall(b"reload\\n")
sock.shutdown(socket.SHUT_WR)
sock.recv(1)
"""


def test_a_reload_command_is_verified_as_well(make):
    lb = make(master=False, reload="[/usr/bin/python3, RELOADER]")  # noqa: F811
    script = lb.dir / "reloader"
    script.write_text(RELOADER.format(master=lb.master))
    lb.yaml.write_text(lb.yaml.read_text().replace("RELOADER", str(script)))
    one, two = up(lb)
    lb.mark(two)
    # Without a master socket old workers cannot be seen.
    expect(lb.sync(), 1, lb.report([one], [(two, 0)]))
    lb.mark(two, seconds_ago=301)
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    script.write_text("raise SystemExit('not today')")
    three = lb.add("web3")
    before = lb.config.read_text()
    needs_reload(lb)
    failed = "the reload command /usr/bin/python3 failed with exit status 1: not today?"
    kept = f" (the file that failed is kept as {lb.config}.failed)"
    expect(lb.sync(), 2, stderr=f"haproxy_sync: putting the old configuration back: {failed}{kept}\n"
           f"haproxy_sync: {failed}{kept}; the old configuration is back in the file but HAProxy has not loaded it again "
           f"({failed})\n")
    assert lb.config.read_text() == before
    script.write_text("")  # says that it did
    lb.remove(three)


TWO_CLUSTERS = """
  api:
    cloud: admin
    servers: {image: rails-snapshot, flavor: m1.small, networks: [private], name: api}
    size: {min: 1, max: 20}
    haproxy:
      cloud: other
"""


def test_two_clusters_share_one_file(lb):
    web, api = lb.add("web1"), lb.add("api1", cluster="api")
    lb.template.write_text(lb.template.read_text() + "backend api\n    # clusterscale: servers api\n")
    both = lb.yaml.read_text() + TWO_CLUSTERS + "".join(
        f"{line}\n" for line in lb.yaml.read_text().split("cloud: reader\n")[1].replace(
            "backend: web", "backend: api").splitlines() if line.strip())
    lb.yaml.write_text(both)
    clouds = lb.dir / "clouds.yaml"
    clouds.write_text(clouds.read_text() + clouds.read_text().removeprefix("clouds:\n").replace("reader:", "other:", 1))
    lb.config.write_text(lb.template.read_text())
    lb.start()
    expect(lb.sync(), 0, lb.report([web]))
    assert lb.status() == {"web1": "UP", "api1": "UP"}
    expect(lb.sync(cluster="api"), 0, lb.report([api]))
    # The cloud of one cannot be asked: its servers stay, the other one goes on.
    clouds.write_text(clouds.read_text().replace("other:", "gone:"))
    second = lb.add("web2")
    done = lb.settle()
    assert done.stderr.startswith("haproxy_sync: cluster 'api': ")
    assert done.stderr.endswith("; its servers stay as they are\n")
    expect(done, 0, lb.report([web, second]), stderr=done.stderr)
    assert lb.status() == {"web1": "UP", "web2": "UP", "api1": "UP"}
    assert lb.sync(cluster="api").returncode == 3
    # All of one are marked: that is refused there, and does not drain them on the way.
    clouds.write_text(clouds.read_text().replace("gone:", "other:"))
    lb.mark(api)
    refusal = NOT_EMPTIED.replace("'web'", "'api'")
    expect(lb.sync(), 0, lb.report([web, second]), stderr=f"haproxy_sync: {refusal}; its servers stay as they are\n")
    expect(lb.sync(cluster="api"), 3, stderr=f"haproxy_sync: {refusal}\n")
    assert lb.status() == {"web1": "UP", "web2": "UP", "api1": "UP"}
    # Whatever else the cloud says of it: its line stays as it is.
    text = lb.config.read_text()
    api.change(ports=[api.ports[0]._replace(address="127.0.0.99")])
    expect(lb.sync(), 0, lb.report([web, second]), stderr=f"haproxy_sync: {refusal}; its servers stay as they are\n")
    assert lb.config.read_text() == text
    lb.yaml.write_text(both.replace(f"stats-socket: {lb.stats}", "stats-socket: /elsewhere", 1))
    expect(lb.sync(), 3, stderr=f"haproxy_sync: {lb.yaml}: clusters 'web' and 'api' render into the same file {lb.config} "
           "but differ in haproxy: stats-socket\n")


# --- the command line

def test_on_a_terminal_it_says_what_it_does(lb):
    one = lb.add("web1")
    lb.start()
    outside, inside = open_pty()
    child = subprocess.Popen([lb.dir / "haproxy_sync", "-n", "web", "-f", lb.yaml], stdin=subprocess.DEVNULL, stdout=inside,
                             stderr=inside, cwd="/", **balancer.UNPRIVILEGED)
    os.close(inside)
    lines = read_to_end(outside).splitlines()
    assert (child.wait(), lines[0]) == (0, f"Found matched server web1 {lb.address(one)}, add to haproxy")
    assert lines[1].startswith("Reload haproxy: ") and json.loads(lines[-1])["serving"] == [one.id]


def test_usage_errors_and_help(lb):
    program = lb.dir / "haproxy_sync"

    def run(*args, **more):
        return balancer.run([program, *args], **more)
    expect(run(), 3, stderr="haproxy_sync: a cluster's name is needed (-n NAME); see --help\n")
    expect(run("-n"), 3, stderr="haproxy_sync: option --cluster needs an argument (NAME); see --help\n")
    expect(run("--bogus"), 3, stderr="haproxy_sync: unknown or ambiguous option '--bogus'; see --help\n")
    assert run("--help").stdout.startswith("usage: haproxy_sync -n NAME [--dry-run] [-v]\n")
    assert run("-V").stdout.startswith("haproxy_sync (clusterscale) ")
    expect(run("-f", lb.yaml, "--check-config"), 0, stdout=f"{lb.yaml}: good\n")
    expect(run("-f", lb.yaml, "-n", "wbe", "--check-config"), 3,
           stderr=run("-f", lb.yaml, "-n", "wbe").stderr)
    template = lb.template.read_text()
    lb.template.write_text(template.replace("# clusterscale: servers web", "# clusterscale: server web"))
    expect(run("-f", lb.yaml, "--check-config"), 0, stdout=f"{lb.yaml}: good\n")
    done = lb.sync("--check-config")
    assert (done.returncode, done.stdout) == (3, "") and done.stderr.startswith(f"haproxy_sync: {lb.template}:17: ")
    lb.template.unlink()
    done = lb.sync("--check-config")
    assert done.returncode == 3 and re.fullmatch(
        rf"haproxy_sync: cannot read {lb.template}: No such file or directory; correct haproxy: template, or begin with the "
        rf"example: cp /\S+/haproxy.cfg.template {lb.template}\n", done.stderr)
    lb.template.write_text(template)
    expect(lb.sync("--check-config"), 0, stdout=f"{lb.yaml}: good\n")
    done = run("-f", "/nonexistent.yaml", "--check-config")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(
        "haproxy_sync: configuration: cannot read /nonexistent.yaml: No such file or directory; name another file with -f")


def test_the_log_file_is_left_to_the_monitoring_host(lb):
    """Its folder may not exist here; and a file that root made would be closed to the monitoring user."""
    one, two = up(lb)
    text = lb.yaml.read_text()
    lb.yaml.write_text(f"log-file: {lb.dir}/missing/log\n" + text)
    expect(lb.sync("--check-config"), 0, stdout=f"{lb.yaml}: good\n")
    expect(lb.sync(), 0, lb.report([one, two]))
    lb.yaml.write_text(f"log-file: {lb.dir}/log\n" + text)
    expect(lb.sync(), 0, lb.report([one, two]))
    assert not (lb.dir / "log").exists()


# --- under load

def test_no_request_fails_while_servers_come_and_go(make):
    lb = make(keep_alive="10s")  # noqa: F811 (far above the idle limit of the load, which is 2 s)
    one, two = up(lb)
    with balancer.Load(lb.port, rate=150) as load:
        for turn in range(3):
            three = lb.add(f"extra{turn}")
            expect(lb.settle(), 0, lb.report([one, two, three]))
            load.wait_for(60)
            lb.mark(three)
            balancer.procs_wait(lambda: lb.sync().returncode == 0, "it drains")
            expect(lb.sync(), 0, lb.report([one, two], drained=[three]))
            lb.die(three)
            lb.remove(three)
            load.wait_for(60)
    assert load.failures[:5] == [] and load.totals["ok"] > 300

# SPDX-License-Identifier: GPL-3.0-or-later
"""check_cluster_cpu by hand (-H, --hosts): exact output, stderr and exit code, against scripted agents."""
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "fakes"))
import snmp_agent  # noqa: E402
from cpu_plugin import GROUP, PER_CPU, PROGRAM, Plugin, busy  # noqa: E402
from snmp_agent import Agent, cpu  # noqa: E402


@pytest.fixture
def plugin(tmp_path):
    return Plugin(tmp_path)


@contextlib.contextmanager
def agents_of(*loads):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(busy(load)) for load in loads]


def test_one_figure_for_all_servers(plugin):
    with agents_of(200, 400) as (one, two):
        plugin.baseline(one, two)
        done = plugin.check(agents=[one, two])
    assert done.stdout == (
        "CLUSTER CPU OK - load 30.0 % of 2 servers (2 sampled) | load=30.0%;;;0;100 servers=2 sampled=2 missing=0 stale=0 warming=0\n"
        f"{one.name}: 20.0 %, 2 CPUs, over 60 s\n"
        f"{two.name}: 40.0 %, 2 CPUs, over 60 s\n")
    assert done.returncode == 0


def test_the_aggregate_is_weighted_by_cpus(plugin):
    with busy(900, cpus=1) as small, busy(100, cpus=7) as large:
        plugin.baseline(small, large)
        done = plugin.check(agents=[small, large])
    assert done.stdout.startswith("CLUSTER CPU OK - load 20.0 % of 2 servers (2 sampled) |")
    assert f"{small.name}: 90.0 %, 1 CPU, over 60 s\n" in done.stdout


def test_every_class_of_ticks_counts_as_documented(plugin):
    ticks = {"user": 1200, "nice": 1200, "system": 1200, "idle": 1201, "wait": 2400, "kernel": 0,
             "interrupt": 1200, "softirq": 2400, "steal": 1200}
    with Agent(cpu(**ticks)) as agent:
        plugin.baseline(agent)
        done = plugin.check("-v", agents=[agent])
    assert done.stdout.splitlines()[1:-1] == [
        f"{agent.name}: 70.0 %, 2 CPUs, over 60 s",
        "    user 10.0 nice 10.0 system 10.0 idle 10.0 wait 20.0 kernel 0.0 interrupt 10.0 softirq 20.0 "
        "steal 10.0 % of 12000 ticks"]


@pytest.mark.parametrize("warn, crit, load, state, why, perfdata", [
    ("70", "90", 700, 0, "", "70;90"),
    ("70", "90", 701, 1, ", warning by -w 70", "70;90"),
    ("70", "90", 901, 2, ", critical by -c 90", "70;90"),
    ("30:", "~:70", 299, 1, ", warning by -w 30:", ";70"),
    ("30:", "~:70", 300, 0, "", ";70"),
    ("30:", "~:70", 701, 2, ", critical by -c ~:70", ";70"),
    ("@10:20", "@90:", 900, 2, ", critical by -c @90:", ";"),
    ("@10:20", "@90:", 100, 1, ", warning by -w @10:20", ";"),
    ("50.5", "60.5", 505, 0, "", "50.5;60.5"),
])
def test_ranges_decide_on_the_printed_figure(plugin, warn, crit, load, state, why, perfdata):
    with agents_of(load) as (agent,):
        plugin.baseline(agent)
        done = plugin.check("-w", warn, "-c", crit, agents=[agent])
    figure = f"{load // 10}.{load % 10}"
    word = ["OK", "WARNING", "CRITICAL"][state]
    assert done.stdout.splitlines()[0] == (
        f"CLUSTER CPU {word} - load {figure} % of 1 server (1 sampled){why} | "
        f"load={figure}%;{perfdata};0;100 servers=1 sampled=1 missing=0 stale=0 warming=0")
    assert done.returncode == state


def test_silent_servers_are_missing_and_named(plugin):
    with agents_of(200, 400, 600) as agents:
        plugin.baseline(*agents)
        agents[1].behave = lambda n, reply: []
        agents[2].community = b"other"
        done = plugin.check("-t", "3", agents=agents)  # it ends by itself, before the watchdog says something else
    name = [agent.name for agent in agents]
    assert done.stdout == (
        f"CLUSTER CPU UNKNOWN - no load figure for 3 servers (1 sampled, 2 missing: {name[1]}, {name[2]}), "
        "under the quorum of 50 % | servers=3 sampled=1 missing=2 stale=0 warming=0\n"
        f"{name[0]}: 20.0 %, 2 CPUs, over 60 s\n"
        f"{name[1]}: missing: no answer (address, port, firewall or community?)\n"
        f"{name[2]}: missing: no answer (address, port, firewall or community?)\n")
    assert done.returncode == 3


def test_half_of_the_servers_is_a_quorum(plugin):
    with agents_of(200, 400) as (one, two):
        plugin.baseline(one, two)
        two.error_status = 16
        done = plugin.check(agents=[one, two])
    assert done.stdout == (
        f"CLUSTER CPU OK - load 20.0 % of 2 servers (1 sampled, 1 missing: {two.name}) | "
        "load=20.0%;;;0;100 servers=2 sampled=1 missing=1 stale=0 warming=0\n"
        f"{one.name}: 20.0 %, 2 CPUs, over 60 s\n"
        f"{two.name}: missing: the agent refused: authorizationError (access denied to that object)\n")


def test_three_missing_servers_are_named_and_the_rest_counted(plugin):
    with agents_of(200) as (agent,), closed_ports(5) as ports:
        plugin.baseline(agent)
        hosts = [f"127.0.0.1:{port}" for port in ports]
        done = plugin.check(agents=[*hosts, agent])
    assert done.stdout.splitlines()[0] == (
        "CLUSTER CPU UNKNOWN - no load figure for 6 servers "
        f"(1 sampled, 5 missing: {', '.join(hosts[:3])} and 2 more), under the quorum of 50 % | "
        "servers=6 sampled=1 missing=5 stale=0 warming=0")


@contextlib.contextmanager
def closed_ports(count):
    """Ports that nobody listens on and that nobody else is given meanwhile: connected, so they answer us nothing."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
        each.connect(("127.0.0.1", 9))
    yield [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()


def test_closed_ports_are_known_at_once(plugin):
    with closed_ports(3) as ports:
        hosts = [f"127.0.0.1:{port}" for port in ports]
        done = plugin.check("-t", "3600", agents=hosts)
    assert done.stdout.splitlines()[1:] == [
        f"{host}: missing: Connection refused (is snmpd running?)" for host in hosts]
    assert done.returncode == 3


def test_a_lost_request_is_sent_again(plugin):
    with agents_of(*[300] * 20) as agents:
        plugin.baseline(*agents)
        for agent in agents[:4]:
            agent.behave = lambda n, reply: [reply] if n > 1 else []
        done = plugin.check(agents=agents)
    assert done.stdout.startswith("CLUSTER CPU OK - load 30.0 % of 20 servers (20 sampled) |")
    assert all(len(agent.requests) >= 3 for agent in agents[:4])


@pytest.mark.parametrize("retries", [0, 2])
def test_a_silent_host_is_asked_again_as_often_as_it_is_told(plugin, retries):
    with agents_of(300) as (agent,):
        agent.behave = lambda n, reply: []
        done = plugin.check("--retries", str(retries), "-t", "2", agents=[agent])
        assert len(agent.requests) == 1 + retries
    assert f"{agent.name}: missing: no answer" in done.stdout


def test_a_slow_agent_is_waited_for(plugin):
    with agents_of(200, 400) as (fast, slow):
        plugin.baseline(fast, slow)
        slow.delay = 0.8
        done = plugin.check(agents=[fast, slow])
    assert done.stdout.startswith("CLUSTER CPU OK - load 30.0 % of 2 servers (2 sampled) |")


NEITHER = "the agent shows neither ssCpuRaw counters nor hrProcessorLoad (its view or access rule?)"


def replace(agent, old, new):
    agent.behave = lambda n, reply: [reply.replace(old, new, 1)]


def answer(agent, tag, number):
    agent.objects[snmp_agent.UCD_CPU + ".53.0"] = (tag, number)  # ssCpuRawIdle


@pytest.mark.parametrize("trouble, reason", [
    (lambda agent: setattr(agent, "foreign", True), "answered from another address, not taken"),
    (lambda agent: setattr(agent, "wrong_id", 1 << 24), "answered with another request id, not taken"),
    (lambda agent: replace(agent, b"\x02\x01\x01\x04\x06public", b"\x02\x01\x00\x04\x06public"),
     "answered in another SNMP version, not taken"),
    (lambda agent: replace(agent, b"\x04\x06public", b"\x04\x06puppet"), "answered with another community, not taken"),
    (lambda agent: setattr(agent, "behave", lambda n, reply: [reply + bytes(1500)]), "malformed answer"),
    (lambda agent: setattr(agent, "behave", lambda n, reply: [reply[:-5]] * 3000), "malformed answer"),
    (lambda agent: setattr(agent, "delay", 1.8), "no answer (address, port, firewall or community?)"),
    (lambda agent: answer(agent, 0x82, None), NEITHER),  # endOfMibView
    (lambda agent: answer(agent, 0x05, None), NEITHER),
    (lambda agent: answer(agent, 0x04, 77), NEITHER),  # OCTET STRING
    (lambda agent: answer(agent, 0x46, 77), NEITHER),  # Counter64
    (lambda agent: answer(agent, 0x02, -77), NEITHER),
    (lambda agent: answer(agent, 0x41, 1 << 70), "malformed answer"),
    (lambda agent: setattr(agent, "behave", lambda n, reply: [reply[:-5]]), "malformed answer"),
    (lambda agent: setattr(agent, "behave", lambda n, reply: [b"", b"\x30", b"x" * 1400]), "malformed answer"),
    (lambda agent: setattr(agent, "edit_oids", lambda oids: oids[:-1]), "malformed answer"),
    (lambda agent: setattr(agent, "edit_oids", lambda oids: oids + oids[:1]), "malformed answer"),
    (lambda agent: setattr(agent, "edit_oids", lambda oids: oids[::-1]), "malformed answer"),
    (lambda agent: setattr(agent, "error_status", 16), "the agent refused: authorizationError (access denied to "
                                                        "that object)"),
    (lambda agent: setattr(agent, "objects", {}), NEITHER),
    (lambda agent: setattr(agent, "objects", cpu()), "all counters are 0: snmpd has just started"),
    (lambda agent: setattr(agent, "objects", cpu(idle=1)), "no new data from the agent"),
    (lambda agent: setattr(agent, "objects", cpu(idle=1 + PER_CPU // 10)), "implausible counters"),
    (lambda agent: setattr(agent, "objects", cpu(idle=100 * PER_CPU)), "implausible counters"),
], ids=["another source", "wrong id", "wrong version", "wrong community", "oversized", "storm", "late", "end of view",
        "no value", "string", "Counter64", "negative", "huge", "truncated", "garbage", "object missing", "object twice", "other order",
        "refused", "no counters", "all zero", "no new ticks", "too few ticks", "too many ticks"])
def test_what_cannot_be_used_is_missing_with_its_reason(plugin, trouble, reason):
    with agents_of(200, 400) as (good, bad):
        plugin.baseline(good, bad)
        trouble(bad)
        done = plugin.check("-t", "2", agents=[bad, good])
    assert done.stdout == (
        f"CLUSTER CPU OK - load 20.0 % of 2 servers (1 sampled, 1 missing: {bad.name}) | "
        "load=20.0%;;;0;100 servers=2 sampled=1 missing=1 stale=0 warming=0\n"
        f"{bad.name}: missing: {reason}\n"
        f"{good.name}: 20.0 %, 2 CPUs, over 60 s\n")


def test_duplicates_and_strays_are_counted(plugin):
    with agents_of(200) as (agent,):
        plugin.baseline(agent)
        agent.behave = lambda n, reply: [reply[:-5], reply.replace(b"public", b"puppet"), b"junk", reply, reply, reply]
        plain = plugin.check(agents=[agent])
        told = plugin.check("-v", agents=[agent])
        document = json.loads(plugin.check("--output", "json", agents=[agent]).stdout)
    assert "load 20.0 % of 1 server (1 sampled)" in plain.stdout
    assert "datagrams" not in plain.stdout
    assert re.search(r"^datagrams: [12] sent, [0-2] duplicates and 3 others dropped, 0 without room in the "
                     "receive buffer$", told.stdout, re.M)
    assert document["datagrams"].keys() == {"sent", "duplicates", "dropped", "overflowed"}
    assert document["datagrams"]["dropped"] == 3


@pytest.mark.parametrize("last", [True, False], ids=["a column follows", "the view ends"])
def test_the_processors_of_a_v1_agent_are_walked_row_by_row(plugin, last):
    objects = snmp_agent.processors(10, 20, 60)
    if not last:
        del objects["1.3.6.1.2.1.25.3.4.1.1.1"]
    with Agent(objects) as agent:
        done = plugin.check("-P", "1", "--source", "host-resources", agents=[agent])
    assert f"{agent.name}: 30.0 %, 3 CPUs, over 60 s, by host-resources\n" in done.stdout


def test_trouble_before_a_good_answer_does_no_harm(plugin):
    with agents_of(200) as (agent,):
        plugin.baseline(agent)
        agent.behave = lambda n, reply: [b"junk", reply[:9], reply, reply]
        done = plugin.check(agents=[agent])
    assert done.stdout.startswith("CLUSTER CPU OK - load 20.0 % of 1 server (1 sampled) |")


def test_objects_that_only_some_agents_have_may_be_missing(plugin):
    """No steal, softirq, CPU count and uptime: an old agent. The CPUs are estimated from the ticks."""
    with busy(500, cpus=3) as old:
        for oid in (".64.0", ".61.0", ".67.0"):
            del old.objects[snmp_agent.UCD_CPU + oid]
        del old.objects[snmp_agent.UPTIME]
        plugin.baseline(old)
        done = plugin.check(agents=[old])
    assert f"{old.name}: 50.0 %, 3 CPUs, over 60 s\n" in done.stdout


def test_a_new_server_is_warming_and_not_counted(plugin):
    with agents_of(200, 900) as (known, new):
        plugin.baseline(known)
        done = plugin.check(agents=[known, new])
    assert done.stdout == (
        f"CLUSTER CPU OK - load 20.0 % of 2 servers (1 sampled, 1 warming: {new.name}) | "
        "load=20.0%;;;0;100 servers=2 sampled=1 missing=0 stale=0 warming=1\n"
        f"{known.name}: 20.0 %, 2 CPUs, over 60 s\n"
        f"{new.name}: warming: first sample\n")
    assert new.name in plugin.samples.read_text()


def test_a_rebooted_server_is_warming(plugin):
    with agents_of(200, 900) as (known, rebooted):
        plugin.baseline(known, rebooted)
        rebooted.objects[snmp_agent.UPTIME] = (snmp_agent.TIMETICKS, 1000)
        done = plugin.check(agents=[known, rebooted])
    assert f"{rebooted.name}: warming: rebooted since the last sample\n" in done.stdout


def test_counters_may_wrap(plugin):
    with Agent(cpu(user=3000, idle=9001)) as agent:
        plugin.baseline(agent)
        text = plugin.samples.read_text().replace("0 0 0 1 0 0 0 0 0", "4294966296 0 0 4294964297 0 0 0 0 0")
        plugin.samples.write_text(text)
        agent.objects = cpu(user=2000, idle=6001)
        done = plugin.check(agents=[agent])
    assert done.stdout.startswith("CLUSTER CPU OK - load 25.0 % of 1 server (1 sampled) |")


def test_guest_time_is_not_asked_for(plugin):
    """It is in user and nice already, so it would count twice."""
    with busy(300) as agent:
        agent.objects |= {f"{snmp_agent.UCD_CPU}.{number}.0": (snmp_agent.COUNTER32, 5000) for number in (65, 66)}
        plugin.baseline(agent)
        done = plugin.check(agents=[agent])
    assert f"{agent.name}: 30.0 %, 2 CPUs, over 60 s\n" in done.stdout
    assert not [oid for oid in agent.requests[0][2] if oid.endswith((".65.0", ".66.0"))]


def test_a_restarted_agent_costs_a_run_and_no_baseline(plugin):
    """On Linux its counters are the kernel's: zero for some seconds, and then as if nothing had been."""
    with busy(300) as agent:
        plugin.baseline(agent)
        counters, agent.objects = agent.objects, cpu()
        first = plugin.check(agents=[agent])
        agent.objects = counters
        second = plugin.check(agents=[agent])
    assert f"{agent.name}: missing: all counters are 0: snmpd has just started\n" in first.stdout
    assert f"{agent.name}: 30.0 %, 2 CPUs, over 60 s\n" in second.stdout


def test_a_kernel_counter_stands_for_system(plugin):
    """BSD and Solaris count kernel within system, Linux leaves it 0."""
    with Agent(cpu(user=3000, system=5000, kernel=3000, idle=6001)) as agent:
        plugin.baseline(agent)
        done = plugin.check(agents=[agent])
    assert f"{agent.name}: 50.0 %, 2 CPUs, over 60 s\n" in done.stdout


def test_an_iowait_that_steps_back_is_nothing(plugin):
    with Agent(cpu(user=6000, idle=6001, wait=90)) as agent:
        plugin.baseline(agent)
        plugin.samples.write_text(plugin.samples.read_text().replace("0 0 0 1 0 0 0 0 0", "0 0 0 1 95 0 0 0 0"))
        done = plugin.check(agents=[agent])
    assert f"{agent.name}: 50.0 %, 2 CPUs, over 60 s\n" in done.stdout


def test_added_cpus_count_at_once(plugin):
    with busy(500, cpus=2) as grown:
        plugin.baseline(grown)
        grown.objects[snmp_agent.CPUS] = (0x02, 16)
        done = plugin.check(agents=[grown])
    assert f"{grown.name}: 50.0 %, 16 CPUs, over 60 s\n" in done.stdout


@pytest.mark.parametrize("percents, first, figure, cpus", [
    ([40], 3, "40.0", 1),
    ([40, 60, 81], 196608, "60.3", 3),
    ([100] * 16, 1, "100.0", 16),
    ([0] * 16 + [100] * 16, 196608, "50.0", 32),
    ([20] * 40, 196608, "20.0", 40),
], ids=["one", "three", "as many as come at once", "two rounds", "three rounds"])
def test_an_agent_without_counters_is_asked_for_its_processors(plugin, percents, first, figure, cpus):
    with Agent(snmp_agent.processors(*percents, first=first)) as agent:
        done = plugin.check(agents=[agent])
    assert done.stdout == (
        f"CLUSTER CPU OK - load {figure} % of 1 server (1 sampled) | "
        f"load={figure}%;;;0;100 servers=1 sampled=1 missing=0 stale=0 warming=0\n"
        f"{agent.name}: {figure} %, {cpus} CPU{'s' if cpus > 1 else ''}, over 60 s, by host-resources\n")


def test_agents_of_both_kinds_weigh_by_their_cpus(plugin):
    """Rows of different lengths and indexes, so that not all go on together."""
    windows = [snmp_agent.processors(*[90] * n, first=first) for n, first in ((2, 3), (20, 5), (36, 196608), (36, 5))]
    with contextlib.ExitStack() as stack:
        linux = stack.enter_context(busy(0, cpus=94))
        agents = [stack.enter_context(Agent(objects)) for objects in windows]
        plugin.baseline(linux, cpus=94)
        done = plugin.check(agents=[linux, *agents])
    assert done.stdout.startswith("CLUSTER CPU OK - load 45.0 % of 5 servers (5 sampled) |")
    assert [line.split(" CPUs")[0].split()[-1] for line in done.stdout.splitlines()[1:]] == ["94", "2", "20", "36", "36"]


def test_which_source_an_agent_has_is_remembered(plugin):
    with Agent(snmp_agent.processors(40, 60)) as agent:
        plugin.check(agents=[agent])
        first, agent.requests[:] = len(agent.requests), []
        plugin.check(agents=[agent])
        again, agent.requests[:] = len(agent.requests), []
        assert re.match(r"# told 0000000001\n\S+ host-resources ", plugin.samples.read_text())
        agent.objects = cpu(idle=1)
        done = plugin.check("-t", "2", agents=[agent])
        assert f"{agent.name}: warming: first sample\n" in done.stdout
        assert " host-resources " not in plugin.samples.read_text()
    assert (first, again, len(agent.requests)) == (2, 1, 2)


@pytest.mark.parametrize("source, objects, reason", [
    ("ucd", snmp_agent.processors(40), "the agent shows no ssCpuRaw counters (its view or access rule?)"),
    ("host-resources", cpu(idle=1), "the agent shows no hrProcessorLoad (its view, or snmpd not up for 60 s yet?)"),
    ("auto", {}, "the agent shows neither ssCpuRaw counters nor hrProcessorLoad (its view or access rule?)"),
    ("auto", snmp_agent.processors(40, 101), "hrProcessorLoad is no percentage"),
    ("auto", snmp_agent.processors(40, -1), "hrProcessorLoad is no percentage"),
])
def test_a_source_that_an_agent_lacks_is_named(plugin, source, objects, reason):
    with Agent(objects) as agent:
        done = plugin.check("-t", "2", "--source", source, agents=[agent])
    assert done.stdout.splitlines()[1:] == [f"{agent.name}: missing: {reason}"]
    assert done.returncode == 3


def test_rows_that_never_ascend_end_at_once(plugin):
    """An agent that gives the same row again and again."""
    with Agent(snmp_agent.processors(40)) as agent:
        agent.edit_oids = lambda oids: oids[:1] * 16 if len(oids) < 9 else oids
        done = plugin.check("-t", "2", "--source", "host-resources", agents=[agent])
    assert done.stdout.splitlines()[1:] == [f"{agent.name}: missing: malformed answer"]


@pytest.mark.parametrize("way, figure", [("mean", "31.0"), ("max", "90.0"), ("median", "20.0"), ("p90", "90.0"),
                                         ("p95", "90.0")])
def test_the_figure_can_be_another_than_the_mean(plugin, way, figure):
    with agents_of(100, 150, 200, 200, 900) as agents:
        plugin.baseline(*agents)
        done = plugin.check("--aggregate", way, agents=agents)
        document = json.loads(plugin.check("--aggregate", way, "--output", "json", agents=agents).stdout)
    word = "" if way == "mean" else way + " "
    assert done.stdout.startswith(f"CLUSTER CPU OK - {word}load {figure} % of 5 servers (5 sampled) | load={figure}%;")
    assert (document["aggregate"], document["load"], document["mean"]) == (way, float(figure), 31.0)


@pytest.mark.parametrize("option, word, choices", [
    ("--source", "snmp", "ucd, host-resources, auto"), ("--aggregate", "p99", "mean, max, median, p90, p95")])
def test_other_sources_and_aggregates_are_refused(plugin, option, word, choices):
    done = plugin.check(option, word, "-H", "127.0.0.1:9")
    assert done.stdout == f"CLUSTER CPU UNKNOWN - option {option}: expected one of {choices}\n"
    assert done.returncode == 3


def test_the_last_load_stands_for_a_silent_server_for_a_while(plugin):
    with agents_of(200, 800) as (one, two):
        plugin.baseline(one, two)
        plugin.check(agents=[one, two])
        two.error_status = 16
        done = plugin.check("--perfdata-per-instance", agents=[one, two])
        document = json.loads(plugin.check("--output", "json", agents=[one, two]).stdout)
    first, _, last = done.stdout.splitlines()
    assert first == (
        f"CLUSTER CPU OK - load 50.0 % of 2 servers (1 sampled, 1 stale: {two.name}) | load=50.0%;;;0;100 servers=2 "
        f"sampled=1 missing=0 stale=1 warming=0 '{one.name}'=20.0%;;;0;100"), "no line drawn on through what is not known"
    assert re.sub(r"\d+ s ago$", "N s ago", last) == (
        f"{two.name}: stale: the agent refused: authorizationError (access denied to that object): 80.0 %, 2 CPUs, "
        "over 60 s, N s ago")
    assert (document["stale"], document["members"][1]["state"], document["members"][1]["cpu"]) == (1, "stale", 80.0)
    assert 0 <= document["members"][1]["age_ms"] < 60000


def test_old_loads_stand_for_nobody(plugin):
    with agents_of(200, 800) as (one, two):
        plugin.baseline(one, two)
        plugin.check(agents=[one, two])
        two.error_status = 16
        lines = plugin.samples.read_text().splitlines()
        moved = [re.sub(r" (\d{13}) (\d+) ", lambda m: f" {int(m[1]) - 91000} {int(m[2]) - 91000} ", line)
                 if line.startswith(two.name) else line for line in lines]
        plugin.samples.write_text("\n".join(moved) + "\n")
        done = plugin.check(agents=[one, two])
    assert f"(1 sampled, 1 missing: {two.name}) |" in done.stdout


def test_stale_loads_alone_are_no_figure(plugin):
    with agents_of(200, 400, 600) as agents:
        plugin.baseline(*agents)
        plugin.check(agents=agents)
        for agent in agents[1:]:
            agent.error_status = 16
        done = plugin.check(agents=agents)
    assert "no load figure for 3 servers (1 sampled, 2 stale: " in done.stdout
    assert done.returncode == 3


def test_a_run_in_between_does_not_move_the_baseline(plugin):
    with agents_of(200) as (agent,):
        plugin.baseline(agent)
        plugin.check(agents=[agent])
        first = plugin.samples.read_text()
        done = plugin.check(agents=[agent])
        assert plugin.samples.read_text() == first
    assert done.stdout.startswith("CLUSTER CPU OK - load 20.0 % of 1 server (1 sampled) |")


@pytest.mark.parametrize("age_s", [2, 200])
def test_a_baseline_too_young_or_too_old_is_none(plugin, age_s):
    with agents_of(200) as (agent,):
        plugin.baseline(agent, age_s=age_s)
        done = plugin.check("-t", "2", agents=[agent])
    assert done.stdout == (
        f"CLUSTER CPU UNKNOWN - no load figure for 1 server (0 sampled, 1 warming: {agent.name}), first samples "
        "taken but no time for second ones (-t): run again in 10 s | servers=1 sampled=0 missing=0 stale=0 warming=1\n"
        f"{agent.name}: warming: first sample\n")
    assert done.returncode == 3


def moving(permille, cpus=2):
    """An agent whose counters move with the time, as those of a real one."""
    start = time.monotonic()

    def objects():
        total = int((time.monotonic() - start) * 100 * cpus)
        return cpu(cpus=cpus, user=1000 + total * permille // 1000, idle=1000 + total - total * permille // 1000)

    return Agent(objects)


def test_a_first_run_takes_two_polls_and_says_so(plugin):
    with moving(250) as agent:
        start = time.monotonic()
        done = plugin.check("-c", "90", agents=[agent])
        took = time.monotonic() - start
        again = plugin.check("-t", "2", agents=[agent])
    first, *details = done.stdout.splitlines()
    assert first.startswith("CLUSTER CPU OK - load 25.") or first.startswith("CLUSTER CPU OK - load 24.")
    assert " % of 1 server (1 sampled by two polls just now) | load=2" in first
    assert re.search(r" %, 2 CPUs, over ([5-9]|\d\d) s$", details[0])
    assert done.returncode == 0
    assert took > 5.4
    assert "no time for second ones" in again.stdout, "the first sample was kept, and is too young"


def test_without_a_state_folder_it_takes_two_polls_and_says_why(plugin, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with moving(250) as agent:
        done = plugin.check(agents=[agent], MP_STATE_PATH=str(blocked))
    assert "(1 sampled by two polls just now) |" in done.stdout
    assert done.stdout.splitlines()[2] == (
        "no samples kept for the next run: cannot make the folder "
        f"{blocked}/{os.geteuid()}: Not a directory")
    assert done.returncode == 0


def test_state_folder_of_the_environment(plugin, tmp_path):
    with agents_of(200) as (agent,):
        plugin.baseline(agent)
        done = plugin.check(agents=[agent], MP_STATE_PATH="", NAGIOS_PLUGIN_STATE_DIRECTORY=str(plugin.folder))
    assert "(1 sampled) |" in done.stdout


@pytest.mark.parametrize("garbage", ["\0\0\0\n", "x" * 100000, "a b c\n"])
def test_garbage_in_the_samples_costs_a_baseline_only(plugin, garbage):
    with agents_of(200, 400) as (one, two):
        plugin.baseline(one)
        with plugin.samples.open("a") as file:
            file.write(garbage)
        done = plugin.check(agents=[one, two])
    assert f"load 20.0 % of 2 servers (1 sampled, 1 warming: {two.name})" in done.stdout
    assert done.returncode == 0


def test_runs_at_the_same_time_keep_each_others_samples(plugin):
    with agents_of(*[200] * 8) as agents:
        plugin.baseline(*agents)
        runs = [subprocess.Popen([PROGRAM, "-C", "public", "-H", agent.name], env=plugin.environment,
                                 stdout=subprocess.PIPE, text=True) for agent in agents]
        outputs = [run.communicate(timeout=60)[0] for run in runs]
    assert all("load 20.0 % of 1 server (1 sampled)" in output for output in outputs)
    head, *lines = plugin.samples.read_text().splitlines()
    assert head == "# told 0000000000"
    assert sorted(line.split()[0] for line in lines) == sorted(agent.name for agent in agents)
    assert all(len(line.split()) == 29 for line in lines), "every run kept its new sample beside the old one"


def test_json_is_one_document_for_zabbix(plugin):
    with agents_of(200, 400) as (one, two), closed_ports(1) as (port,):
        plugin.baseline(one, two)
        done = plugin.check("--output", "json", "-c", "30", "-H", f"127.0.0.1:{port}", agents=[one, two])
    assert done.returncode == 0
    document = json.loads(done.stdout)
    span = document["members"][0]["span_ms"]
    assert document.pop("datagrams")["sent"] >= 3
    assert 59000 < span < 90000
    assert document == {
        "state": "OK", "exit": 0, "aggregate": "mean", "load": 30.0, "mean": 30.0, "servers": 3,
        "sampled": 2, "missing": 1, "stale": 0, "warming": 0,
        "summary": f"load 30.0 % of 3 servers (2 sampled, 1 missing: 127.0.0.1:{port})",
        "members": [
            {"id": one.name, "name": one.name, "state": "sampled", "cpu": 20.0, "cpus": 2, "span_ms": span,
             "source": "ucd"},
            {"id": two.name, "name": two.name, "state": "sampled", "cpu": 40.0, "cpus": 2,
             "span_ms": document["members"][1]["span_ms"], "source": "ucd"},
            {"id": f"127.0.0.1:{port}", "name": f"127.0.0.1:{port}", "state": "missing",
             "reason": "Connection refused (is snmpd running?)"}]}
    assert '"cpu":20.0' in done.stdout, "one decimal, as everywhere"


def test_json_of_a_failure_is_a_document_too(plugin):
    done = plugin.run("--output=json", "-C", "public")
    assert done.stdout == (
        '{"state":"UNKNOWN","exit":3,"summary":"nothing to measure: give -n CLUSTER, -H HOST or --hosts FILE; see --help"}\n')
    assert done.returncode == 3


def test_perfdata_per_instance_on_request(plugin):
    with agents_of(200, 400) as (one, two), closed_ports(1) as (port,):
        plugin.baseline(one, two)
        done = plugin.check("--perfdata-per-instance", "-H", f"127.0.0.1:{port}", agents=[one, two])
    assert done.stdout.splitlines()[0].split(" | ")[1] == (
        "load=30.0%;;;0;100 servers=3 sampled=2 missing=1 stale=0 warming=0 "
        f"'{one.name}'=20.0%;;;0;100 '{two.name}'=40.0%;;;0;100")
    assert done.stdout.count("|") == 1


def test_hosts_come_from_a_file(plugin, tmp_path):
    with agents_of(200, 400) as (one, two):
        plugin.baseline(one, two)
        file = tmp_path / "hosts"
        file.write_text(f"# the web servers\n\n  {one.name}  \n{two.name} # second\r\n")
        done = plugin.check("--hosts", str(file))
    assert done.stdout.startswith("CLUSTER CPU OK - load 30.0 % of 2 servers (2 sampled) |")


def test_ipv6_and_ipv4_at_once(plugin):
    with contextlib.ExitStack() as stack:
        try:
            six = stack.enter_context(Agent(cpu(user=PER_CPU, idle=1 + PER_CPU), host="::1"))
        except OSError:
            pytest.skip("this machine has no IPv6 on loopback")
        four = stack.enter_context(busy(300))
        plugin.baseline(six, four)
        done = plugin.check(agents=[six, four])
    assert done.stdout.startswith("CLUSTER CPU OK - load 40.0 % of 2 servers (2 sampled) |")


def test_a_name_without_address_is_a_missing_server(plugin):
    with agents_of(200) as (agent,):
        plugin.baseline(agent)
        done = plugin.check(agents=[agent, "nonexistent.invalid"])
    assert "(1 sampled, 1 missing: nonexistent.invalid)" in done.stdout
    assert "nonexistent.invalid: missing: cannot resolve 'nonexistent.invalid': " in done.stdout


def test_large_output_arrives_whole_in_a_slow_reader(plugin):
    """Nagios reads one more chunk after the plugin has ended; so it must not end before."""
    with contextlib.ExitStack() as stack:
        hosts = [f"127.0.0.1:{port}" for port in stack.enter_context(closed_ports(400))]
        read_end, write_end = os.pipe()
        words = [word for host in hosts for word in ("-H", host)]
        run = subprocess.Popen([PROGRAM, "-C", "public", *words], stdout=write_end, env=plugin.environment)
        os.close(write_end)
        deadline = time.monotonic() + 60
        chunks = []
        while run.poll() is None and time.monotonic() < deadline:
            chunks.append(os.read(read_end, 4096))
            time.sleep(0.005)  # what a slow reader is
        chunks.append(os.read(read_end, 4096))  # the one that Nagios still reads
        os.close(read_end)
    text = b"".join(chunks).decode()
    assert text.count("Connection refused") == 400
    assert text.endswith("\n")


def test_the_time_out_ends_it_with_a_line(plugin):
    """Whatever holds it: a name server that never answers, here a pipe that nobody writes."""
    fifo = plugin.folder / "fifo"
    os.mkfifo(fifo)
    start = time.monotonic()
    done = plugin.run("-t", "1", "-C", "public", "--hosts", str(fifo))
    took = time.monotonic() - start
    assert done.stdout == "CLUSTER CPU UNKNOWN - no result within 1 s (-t)\n"
    assert done.returncode == 3
    assert took > 0.9
    done = plugin.run("-t", "0.5", "--output", "json", "-C", "public", "--hosts", str(fifo))
    assert done.stdout == '{"state":"UNKNOWN","exit":3,"summary":"no result within 0.5 s (-t)"}\n'


@pytest.mark.parametrize("arguments, message", [
    ([], "nothing to measure: give -n CLUSTER, -H HOST or --hosts FILE; see --help"),
    (["-H", "a"], "no community: give --community-file FILE or -C COMMUNITY; see --help"),
    (["--hosts", "/dev/null", "-C", "public"], "/dev/null holds no hosts"),
    (["-n", "web", "-H", "a"], "--cluster takes hosts and community from the configuration; see --help"),
    (["-C", "public", "-H", "a:b"], "'a:b' is not a host: host, host:port, or [IPv6 address]:port"),
    (["-C", "public", "-H", "a", "-H", "b", "-H", "a"], "host 'a' is given twice"),
    (["-H", "a", "-C", "x", "--community-file", "y"],
     "give either --community or --community-file; see --help"),
    (["-H", "a", "-C", "x", "-w", "10%"],
     "option --warning: '10%' is not a range: [@][start:]end or [@]start:, for example 70, ~:70, 30: or @10:20"),
    (["-H", "a", "-C", "x", "-c", "20:10"],
     "option --critical: '20:10' is not a range: its start is above its end"),
    (["-H", "a", "-C", "x", "-t", "0"], "option --timeout: '0' is not a number of seconds from 0.5 to 3600"),
    (["-H", "a", "-C", "x", "--output", "xml"], "option --output: give text or json"),
    (["-H", "a", "-C", "x", "--bogus"], "unknown or ambiguous option '--bogus'; see --help"),
    (["-H", "a", "-C", "x", "positional"], "unexpected argument 'positional'; see --help"),
    (["-C", "x", "--hosts", "/nonexistent"], "cannot read /nonexistent: No such file or directory"),
    (["-H", "a", "--community-file", "/nonexistent"], "cannot read /nonexistent: No such file or directory; write the "
     "read community of snmpd into it (mode 0640, group " + GROUP + "), or correct community-file"),
    (["-H", "a", "-C", "x" * 256], "the SNMP community has 256 bytes, at most 255 are possible"),
])
def test_usage_errors_are_unknown_and_say_what_to_do(plugin, arguments, message):
    done = plugin.run(*arguments)
    assert done.stdout == f"CLUSTER CPU UNKNOWN - {message}\n"
    assert done.returncode == 3


@pytest.mark.parametrize("option", ["-h", "--help", "-V", "--version"])
def test_help_and_version_exit_3(plugin, option):
    done = plugin.run("--bogus", option)
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert lines[0].startswith("usage: check_cluster_cpu " if "h" in option.strip("-")[0] else "check_cluster_cpu (")
    assert len(lines) <= 34
    assert all(len(line) <= 80 for line in lines)


def test_a_pipe_in_a_name_does_not_begin_perfdata(plugin):
    done = plugin.check("-H", "a|b", "-t", "5")
    assert done.stdout.count("|") == 1
    assert "a/b: missing: cannot resolve 'a/b'" in done.stdout


def test_output_does_not_follow_the_locale(plugin):
    with agents_of(123) as (agent,):
        plugin.baseline(agent)
        done = plugin.check(agents=[agent], LC_ALL="de_DE.UTF-8", LANG="de_DE.UTF-8")
    assert "load=12.3%" in done.stdout


def test_a_closed_stdout_is_no_crash(plugin):
    with agents_of(200) as (agent,):
        plugin.baseline(agent)
        done = subprocess.run(["sh", "-c", '"$0" "$@" >&-', PROGRAM, "-C", "public", "-H", agent.name],
                              env=plugin.environment, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


SECRET = "Marker-5ecret"


def test_the_community_appears_nowhere(plugin, tmp_path):
    file = tmp_path / "community"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    with agents_of(200, 400) as (good, wrong):
        good.community = SECRET.encode()
        plugin.baseline(good, wrong)
        outputs = []
        for source in (["-C", SECRET], ["--community-file", str(file)]):
            for form in ([], ["-vvv"], ["--output", "json"]):
                done = plugin.run(*source, *form, "-t", "2", "-H", good.name, "-H", wrong.name)
                assert done.returncode == 0
                outputs.append(done.stdout)
        outputs.append(plugin.run("-C", SECRET, "--bogus").stdout)
        outputs.append(plugin.samples.read_text())
    assert not [output for output in outputs if SECRET in output]


def test_the_community_is_blanked_in_the_process_list(plugin):
    with moving(200) as agent:
        for words in (["-C", SECRET], [f"-C{SECRET}"], [f"--community={SECRET}"], ["-C", SECRET, "-C", SECRET]):
            agent.requests.clear()
            agent.community = b"other"
            run = subprocess.Popen([PROGRAM, *words, "-H", agent.name], env=plugin.environment,
                                   stdout=subprocess.DEVNULL)
            while not agent.requests:
                assert run.poll() is None
                time.sleep(0.01)
            listed = pathlib.Path(f"/proc/{run.pid}/cmdline").read_bytes()
            run.kill()
            run.wait()
            assert agent.requests[0][0] == SECRET.encode()
            assert agent.name.encode() in listed
            assert SECRET.encode() not in listed


def test_a_community_file_that_others_read_is_refused(plugin, tmp_path):
    file = tmp_path / "community"
    file.write_text("public\n")
    file.chmod(0o644)
    done = plugin.run("-H", "127.0.0.1:9", "--community-file", str(file))
    assert done.stdout == (f"CLUSTER CPU UNKNOWN - {file} holds a secret and others can read or write it "
                           f"(mode 0644); type: chmod o= {file}\n")
    assert done.returncode == 3

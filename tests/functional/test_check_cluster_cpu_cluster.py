# SPDX-License-Identifier: GPL-3.0-or-later
"""check_cluster_cpu -n: members from a simulated cloud, loads from scripted agents, state and history in files."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "fakes"), str(TESTS / "demo")]
import procs  # noqa: E402
from cpu_plugin import GROUP, PER_CPU, PROGRAM, Plugin, busy  # noqa: E402
from simcloud import SimCloud  # noqa: E402
from snmp_agent import COUNTERS, cpu  # noqa: E402
from snmpd import Snmpd  # noqa: E402

COMMUNITY = "Marker-community"
PASSWORD = "Marker-password"
CLOUDS = """
clouds:
  sim:
    auth: {{auth_url: "{auth_url}", username: cluster, password: {password}, project_name: cluster,
           user_domain_name: Default, project_domain_name: Default}}
"""
CONFIG = """
state-dir: {folder}/state
clouds-file: {folder}/clouds.yaml
clusters:
  web:
    mode: act
    cloud: sim
    servers: {{image: rails-snapshot, flavor: m1.small, networks: [private], name: "web%H%M"}}
    size: {{min: 2, max: 4}}
    cpu:
      snmp: {{version: 2c, community-file: {folder}/community, port: {port}}}
      timeout: 5
    policy: {{follow: step, scale-up-at: 70, scale-down-at: 10}}
"""
LOAD_BALANCERS = """
    load-balancers:
      - {name: lb1, sync: ["true"]}
"""


class Cluster(Plugin):
    """A cloud whose members have scripted agents on their addresses, all on one port."""

    def __init__(self, folder, cloud):
        super().__init__(folder, folder / "state" / "web")
        self.cloud, self.agents = cloud, []
        self.port = procs.free_port(socket.SOCK_DGRAM)
        self.write("clouds.yaml", CLOUDS.format(auth_url=cloud.auth_url, password=PASSWORD), 0o600)
        self.write("community", COMMUNITY + "\n", 0o600)
        self.configure()

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)

    def configure(self, more="", change=("", "")):
        text = CONFIG.format(folder=self.folder, port=self.port) + more
        self.write("clusterscale.yaml", text.replace(*change))

    def add(self, *permilles, baseline=True, **fields):
        """Members with these loads; None: nothing listens there."""
        for permille in permilles:
            metadata = {"clusterscale.cluster": "web"} | fields.get("metadata", {})
            n = len(self.cloud.servers) + 1
            server = self.cloud.add_server(f"web{n}", age=1000 - n, **(fields | {"metadata": metadata}))
            if permille is not None:
                agent = busy(permille, host=server.address, port=self.port)
                agent.community = COMMUNITY.encode()
                self.agents.append(agent.__enter__())
            if baseline:
                self.baseline(server.id)
        return server

    def close(self):
        for agent in self.agents:
            agent.__exit__()

    def check_cluster(self, *arguments):
        return self.run("-n", "web", "-f", str(self.folder / "clusterscale.yaml"), *arguments)

    def journal(self, **line):
        self.state.mkdir(parents=True, exist_ok=True)
        stamp = {"t": int(time.time() * 1000), "bt": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000),
                 "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "run": "0"}
        with (self.state / "journal").open("a") as file:
            print(json.dumps(stamp | line), file=file)

    def history(self):
        return [json.loads(line) for line in (self.state / "history").read_text().splitlines()]


@pytest.fixture
def cluster(tmp_path):
    with SimCloud(password=PASSWORD, cidr="127.18.0.0/24") as cloud:
        cluster = Cluster(tmp_path, cloud)
        yield cluster
        cluster.close()


def first_line(done):
    return done.stdout.splitlines()[0]


@pytest.mark.parametrize("loads, state, text, load", [
    ([300, 400], "OK", "web: load 35.0 % of 2 servers (2 sampled)", "load=35.0%;;70;0;100"),
    ([700, 700], "CRITICAL", "web: load 70.0 % of 2 servers (2 sampled), 3 wanted: scale up",
     "load=70.0%;;70;0;100"),
    ([699, 699], "OK", "web: load 69.9 % of 2 servers (2 sampled)", "load=69.9%;;70;0;100"),
    ([800] * 4, "CRITICAL", "web: load 80.0 % of 4 servers (4 sampled), 5 wanted: but max is reached",
     "load=80.0%;;70;0;100"),
    ([100] * 3, "WARNING", "web: load 10.0 % of 3 servers (3 sampled), 2 wanted: scale down",
     "load=10.0%;;70;0;100"),
    ([101] * 3, "OK", "web: load 10.1 % of 3 servers (3 sampled)", "load=10.1%;;70;0;100"),
    ([20, 0], "OK", "web: load 1.0 % of 2 servers (2 sampled)", "load=1.0%;;70;0;100"),
    ([500], "CRITICAL", "web: load 50.0 % of 1 server (1 sampled), fewer than min 2: scale up",
     "load=50.0%;;70;0;100"),
    ([500] * 5, "WARNING", "web: load 50.0 % of 5 servers (5 sampled), more than max 4, 4 wanted: scale down", "load=50.0%;;70;0;100"),
    ([50] * 5, "WARNING", "web: load 5.0 % of 5 servers (5 sampled), more than max 4, 4 wanted: scale down",
     "load=5.0%;;70;0;100"),
])
def test_the_state_says_what_the_cluster_needs(cluster, loads, state, text, load):
    cluster.add(*loads)
    done = cluster.check_cluster()
    n = len(loads)
    assert first_line(done) == (
        f"CLUSTER CPU {state} - {text} | {load} servers={n} sampled={n} missing=0 stale=0 warming=0 min=2 max=4")
    assert done.returncode == ["OK", "WARNING", "CRITICAL"].index(state)


@pytest.mark.parametrize("loads, state, text", [
    ([500, 600], "OK", "web: load 55.0 % of 2 servers (2 sampled)"),
    ([700, 710], "CRITICAL", "web: load 70.5 % of 2 servers (2 sampled), 3 wanted: scale up"),
    ([990, 990], "CRITICAL", "web: load 99.0 % of 2 servers (2 sampled), 5 wanted: scale up"),
    ([800] * 4, "CRITICAL", "web: load 80.0 % of 4 servers (4 sampled), 5 wanted: but max is reached"),
    ([100] * 3, "WARNING", "web: load 10.0 % of 3 servers (3 sampled), 2 wanted: scale down"),
    ([450] * 3, "OK", "web: load 45.0 % of 3 servers (3 sampled)"),  # two of which one is lost would be full
    ([20, 0], "OK", "web: load 1.0 % of 2 servers (2 sampled)"),
    ([300] * 5, "WARNING", "web: load 30.0 % of 5 servers (5 sampled), more than max 4, 4 wanted: scale down"),
])
def test_with_a_target_the_state_is_what_nova_scale_would_want(cluster, loads, state, text):
    cluster.configure(change=("follow: step, ", "follow: target, "))
    cluster.add(*loads)
    cluster.state.mkdir(parents=True, exist_ok=True)
    mean = sum(loads) // len(loads)
    with (cluster.state / "history").open("w") as file:
        for ago in range(20 * 60, 0, -60):
            print(json.dumps({"t": int(time.time() * 1000) - ago * 1000, "bt": 0, "boot": "", "load_permille": mean,
                              "servers": len(loads), "sampled": len(loads), "missing": 0, "warming": 0}), file=file)
    done = cluster.check_cluster()
    n = len(loads)
    load = text.split()[2]
    assert first_line(done) == (f"CLUSTER CPU {state} - {text} | load={load}%;;;0;100 servers={n} sampled={n} missing=0 stale=0 warming=0 "
                                "min=2 max=4")


def test_with_a_target_nothing_is_too_much_before_the_window_is_known(cluster):
    cluster.configure(change=("follow: step, ", "follow: target, "))
    cluster.add(100, 100, 100)
    assert first_line(cluster.check_cluster()).startswith("CLUSTER CPU OK - web: load 10.0 % of 3 servers (3 sampled) |")


def test_each_member_is_shown_with_its_address(cluster):
    one, two = cluster.add(300), cluster.add(400)
    done = cluster.check_cluster()
    assert done.stdout.splitlines()[1:] == [
        f"web1 ({one.address}): 30.0 %, 2 CPUs, over 60 s",
        f"web2 ({two.address}): 40.0 %, 2 CPUs, over 60 s",
        "because: 2 in service, 0 under way, 0 draining; 2 exist; min 2, max 4",
        "because: load 35.0 % on 2 of 2 servers, measured 0 s ago",
        "because: between scale-down-at 10.0 % and scale-up-at 70.0 %: hold",
        "decision: stay at 2 servers"]


def test_no_server_at_all_is_fewer_than_min(cluster):
    done = cluster.check_cluster()
    assert done.stdout == (
        "CLUSTER CPU CRITICAL - web: no servers, fewer than min 2: scale up | "
        "servers=0 sampled=0 missing=0 stale=0 warming=0 min=2 max=4\n"
        "because: 0 in service, 0 under way, 0 draining; 0 exist; min 2, max 4\n"
        "because: fewer than min: 2 more\n"
        "decision: up to 2 servers\n")
    assert done.returncode == 2
    assert cluster.history()[-1]["load_permille"] == -1


def test_too_few_servers_is_critical_without_a_figure_too(cluster):
    cluster.add(None)
    done = cluster.check_cluster()
    assert first_line(done) == (
        "CLUSTER CPU CRITICAL - web: no load figure for 1 server (0 sampled, 1 missing: web1), "
        "fewer than min 2: scale up | servers=1 sampled=0 missing=1 stale=0 warming=0 min=2 max=4")


def test_under_the_quorum_is_unknown_and_recorded_as_such(cluster):
    cluster.add(900, None, None)
    done = cluster.check_cluster()
    assert first_line(done) == (
        "CLUSTER CPU UNKNOWN - web: no load figure for 3 servers (1 sampled, 2 missing: web2, web3), "
        "under the quorum of 50 % | servers=3 sampled=1 missing=2 stale=0 warming=0 min=2 max=4")
    assert done.returncode == 3
    last = cluster.history()[-1]
    assert (last["load_permille"], last["servers"], last["sampled"], last["missing"]) == (-1, 3, 1, 2)


def test_warming_servers_do_not_count_against_the_quorum(cluster):
    cluster.add(300)
    cluster.add(900, 900, baseline=False)
    done = cluster.check_cluster()
    assert first_line(done).startswith(
        "CLUSTER CPU OK - web: load 30.0 % of 3 servers (1 sampled, 2 warming: web2, web3) | ")


def test_the_very_first_figure_is_shown_and_recorded_as_a_beginning(cluster):
    cluster.add(900, 900, baseline=False)
    begin = time.monotonic()

    def moving():
        ticks = (time.monotonic() - begin) * 200
        return cpu(user=int(ticks * 0.9), idle=int(1 + ticks * 0.1))

    for agent in cluster.agents:
        agent.objects = moving
    for expected in (0, 2):
        done = cluster.check_cluster()
        assert re.match(r"CLUSTER CPU CRITICAL - web: load (89|90)\.\d % of 2 servers \(2 sampled by "
                        r"two polls just now\), 3 wanted: scale up", first_line(done))
        last = cluster.history()[-1]
        assert (last["sampled"], last["warming"]) == (expected, 2 - expected)
        assert (last["load_permille"] > 0) == (expected == 2)
        cluster.samples.unlink()


def test_young_members_are_shown_and_do_not_count(cluster):
    cluster.configure(change=("timeout: 5", "warm-up: 120"))
    cluster.add(300)
    young = cluster.add(900)
    cluster.cloud.change_server(young.id, created=time.time() - 20)
    rebooted = cluster.add(800)
    cluster.agents[-1].objects["1.3.6.1.2.1.25.1.1.0"] = (0x43, 9000)
    text = cluster.samples.read_text().splitlines()
    words = text[2].split()
    words[4] = "3000"  # its uptime a minute ago
    cluster.samples.write_text("\n".join([*text[:2], " ".join(words)]) + "\n")
    done = cluster.check_cluster("--perfdata-per-instance")
    assert first_line(done).startswith(
        "CLUSTER CPU OK - web: load 30.0 % of 3 servers (1 sampled, 2 warming: web3, web2) | load=30.0%;;70;0;100 "
        "servers=3 sampled=1 missing=0 stale=0 warming=2 min=2 max=4 ")
    assert f"{young.id}=90.0%;;;0;100" in first_line(done), "it is a load of now"
    lines = done.stdout.splitlines()
    assert lines[2] == "web3 (127.18.0.3): warming: up for 90 s, warm-up 120 s: 80.0 %, 2 CPUs, over 60 s"
    assert re.match(r"web2 \(127.18.0.2\): warming: up for 2\d s, warm-up 120 s: 90.0 %, 2 CPUs, over 60 s$", lines[3])
    assert cluster.history()[-1]["warming"] == 2
    assert rebooted.id in cluster.samples.read_text()


def test_the_figure_of_the_decision_is_that_of_the_configuration(cluster):
    cluster.configure(change=("timeout: 5", "aggregate: max"))
    cluster.add(300, 500, 800)
    done = cluster.check_cluster()
    assert first_line(done).startswith(
        "CLUSTER CPU CRITICAL - web: max load 80.0 % of 3 servers (3 sampled), 4 wanted: scale up | load=80.0%;")
    last = cluster.history()[-1]
    assert (last["load_permille"], last["above_mean_permille"]) == (800, 267)


def test_a_cluster_has_its_source_from_the_configuration(cluster):
    cluster.add(300, 400)
    done = cluster.check_cluster("--aggregate", "max")
    assert done.stdout == (
        "CLUSTER CPU UNKNOWN - --cluster takes source and aggregate from the configuration (cpu), because nova_scale "
        "decides from the figure; see --help\n")
    cluster.configure(change=("timeout: 5", "source: host-resources"))
    done = cluster.check_cluster()
    assert "web1 (127.18.0.1): missing: the agent shows no hrProcessorLoad (its view, or snmpd not up for 60 s " \
        "yet?)" in done.stdout


def test_a_member_that_missed_one_run_is_stale_and_proves_nothing_of_fewer(cluster):
    cluster.add(50, 50, 50)
    cluster.check_cluster()
    cluster.agents[2].error_status = 16
    done = cluster.check_cluster()
    assert first_line(done).startswith(
        "CLUSTER CPU OK - web: load 5.0 % of 3 servers (2 sampled, 1 stale: web3) | ")
    assert "because: at or below scale-down-at 10.0 %, but at 36.6 % if those without a figure were full: hold" in \
        done.stdout
    assert (cluster.history()[-1]["sampled"], cluster.history()[-1]["stale"]) == (2, 1)


def test_the_history_gets_a_line_per_run(cluster):
    cluster.add(300, 400)
    before = time.time() * 1000
    for _ in range(2):
        assert cluster.check_cluster().returncode == 0
    lines = cluster.history()
    assert len(lines) == 2
    stamp = {name: lines[1].pop(name) for name in ("t", "bt", "boot")}
    assert lines[1] == {"load_permille": 350, "servers": 2, "sampled": 2, "missing": 0, "warming": 0,
                        "stale": 0, "above_mean_permille": 0, "low_permille": 350, "high_permille": 350}
    assert before - 1000 < stamp["t"] < time.time() * 1000
    assert stamp["boot"] == pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_runs_at_the_same_time_record_all_of_them(cluster):
    cluster.add(300, 400)
    command = [PROGRAM, "-n", "web", "-f", str(cluster.folder / "clusterscale.yaml")]
    for round in range(1, 3):
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        for done in running:
            out, _ = done.communicate(timeout=60)
            assert out.startswith("CLUSTER CPU OK - web: load 35.0 % of 2 servers (2 sampled) |"), out
        lines = cluster.history()
        assert len(lines) == 4 * round and {line["load_permille"] for line in lines} == {350}
    assert len(cluster.samples.read_text().splitlines()) == 1 + 2


def test_only_active_members_count_and_the_others_explain_themselves(cluster):
    cluster.add(300, 400)
    cluster.cloud.add_server("stranger")
    cluster.cloud.add_server("other", metadata={"clusterscale.cluster": "api"})
    cluster.cloud.add_server("broken", status="ERROR", metadata={"clusterscale.cluster": "web"})
    cluster.cloud.add_server("off", status="SHUTOFF", metadata={"clusterscale.cluster": "web"})
    done = cluster.check_cluster()
    assert first_line(done).startswith("CLUSTER CPU OK - web: load 35.0 % of 2 servers (2 sampled) | ")
    assert sorted(line for line in done.stdout.splitlines() if "not counted" in line) == ["broken: not counted: error", "off: not counted: other"]


def test_an_unmarked_server_of_the_image_counts_when_adopted(cluster):
    cluster.add(300)
    cluster.add(500, metadata={"clusterscale.cluster": None})
    cluster.cloud.change_server(list(cluster.cloud.servers)[1], metadata={})
    assert "of 1 server " in first_line(cluster.check_cluster())
    cluster.configure(change=('name: "web%H%M"', 'name: "web%H%M", adopt-image: true'))
    assert "load 40.0 % of 2 servers (2 sampled)" in first_line(cluster.check_cluster())


WORK = ", work is open: {} without result, {} draining, {} not published"


TIMEOUT = "      timeout: 5\n"


def test_members_of_a_group_and_single_ones_are_asked_in_their_own_way(cluster):
    other_port, own_port = procs.free_port(socket.SOCK_DGRAM), procs.free_port(socket.SOCK_DGRAM)
    cluster.write("other", "Other-community\n", 0o600)
    cluster.configure(change=(TIMEOUT, TIMEOUT + f"""      groups:
        - {{names: "win-*", snmp: {{version: 1, community-file: {cluster.folder}/other, port: {other_port}}}}}
"""))
    cluster.add(200)
    for name, port, community, metadata in (
            ("win-1", other_port, "Other-community", {}),
            ("win-2", own_port, "Other-community", {"clusterscale.snmp-port": str(own_port)}),
            ("linux-win-1", own_port, COMMUNITY, {"clusterscale.snmp-port": str(own_port)})):
        server = cluster.cloud.add_server(name, metadata={"clusterscale.cluster": "web"} | metadata)
        cluster.baseline(server.id)
        agent = busy(600, host=server.address, port=port)
        agent.community = community.encode()
        cluster.agents.append(agent.__enter__())
    bad = cluster.cloud.add_server("web9", metadata={"clusterscale.cluster": "web", "clusterscale.snmp-port": "snmp"})
    done = cluster.check_cluster()
    assert "load 50.0 % of 5 servers (4 sampled, 1 missing: web9)" in first_line(done)
    assert (f"web9 ({bad.address}): missing: its metadata clusterscale.snmp-port is 'snmp', which is no port\n"
            in done.stdout)


def test_a_group_without_credentials_is_named(cluster):
    cluster.configure(change=(TIMEOUT, TIMEOUT + "      groups: [{names: 'win-*', snmp: {port: 1161}}]\n"))
    done = cluster.check_cluster("--check-config")
    assert first_line(done) == ("CLUSTER CPU UNKNOWN - cluster 'web': cpu: snmp: group 'win-*': no read community of snmpd: "
                                "the key community-file is missing")


def test_members_are_asked_by_snmp_v3(cluster):
    """Of a real agent, whose counters are scripted."""
    server = cluster.add(None)
    busy_ticks = {"user": 3 * PER_CPU // 5, "idle": 1 + 2 * PER_CPU - 3 * PER_CPU // 5}
    counters = "".join(f"{n} counter {busy_ticks.get(name, 0)}\n" for name, n in COUNTERS.items()) + "67 integer 2\n"
    cluster.write("counters", counters)
    for name in ("auth", "priv"):
        cluster.write(name, f"Marker-{name}-password\n", 0o600)
    cluster.configure(change=("version: 2c, community-file", f"""version: 3, user: monitor, level: authPriv,
        auth-protocol: SHA-256, auth-password-file: {cluster.folder}/auth,
        priv-protocol: AES-256, priv-password-file: {cluster.folder}/priv, community-file"""))
    lines = [f"pass_persist .1.3.6.1.4.1.2021.11 /usr/bin/python3 {TESTS}/fakes/pass_counters.py {cluster.folder}/counters",
             "createUser monitor SHA-256 Marker-auth-password AES-256 Marker-priv-password", "rouser monitor authpriv"]
    with Snmpd(cluster.folder, lines=lines, options=["-I", "-vmstat"], name=f"{server.address}:{cluster.port}"):
        done = cluster.check_cluster()
    assert "load 30.0 % of 1 server (1 sampled)" in first_line(done)
    assert server.address in (cluster.state / "engines").read_text()
    assert "Marker" not in done.stdout


def test_retries_are_configured(cluster):
    cluster.configure(change=(TIMEOUT, "      timeout: 0.5\n      retries: 1\n"))
    cluster.add(300)
    cluster.agents[0].behave = lambda n, reply: []
    cluster.check_cluster()
    assert len(cluster.agents[0].requests) == 2


def test_a_request_without_result_is_open_work(cluster):
    cluster.add(300, 400)
    cluster.journal(type="intent", op="0b8cdfd6-6a0e-4bd7-b1a1-4ac3b2f0a1ce", action="create", name="web3", why="test")
    done = cluster.check_cluster()
    assert first_line(done).startswith(
        "CLUSTER CPU WARNING - web: load 35.0 % of 2 servers (2 sampled)" + WORK.format("1 request", 0, 0))
    assert done.returncode == 1


def test_a_draining_mark_is_open_work(cluster):
    cluster.add(300, 400)
    cluster.add(0, metadata={"clusterscale.draining": str(int(time.time() * 1000))})
    done = cluster.check_cluster()
    assert first_line(done).startswith(
        "CLUSTER CPU WARNING - web: load 35.0 % of 2 servers (2 sampled)" + WORK.format("0 requests", 1, 0))
    assert done.stdout.splitlines()[3] == "web3: not counted: draining"


def test_a_member_that_no_load_balancer_serves_is_open_work(cluster):
    one = cluster.add(300)
    cluster.add(400)
    assert first_line(cluster.check_cluster()).startswith("CLUSTER CPU OK"), "nothing to publish to"
    cluster.configure(LOAD_BALANCERS)
    cluster.cloud.add_server("off", status="SHUTOFF", metadata={"clusterscale.cluster": "web"})
    cluster.journal(type="published", server_id=one.id)
    done = cluster.check_cluster()
    assert WORK.format("0 requests", 0, 1) + " | " in first_line(done)
    assert done.returncode == 1
    cluster.configure(LOAD_BALANCERS, change=("mode: act", "mode: observe"))
    assert first_line(cluster.check_cluster()).startswith("CLUSTER CPU OK"), "nobody would publish it"


def test_open_work_does_not_hide_a_high_load(cluster):
    cluster.add(800, 900)
    cluster.journal(type="intent", op="0b8cdfd6-6a0e-4bd7-b1a1-4ac3b2f0a1ce", action="create", name="web3", why="test")
    assert cluster.check_cluster().returncode == 2


def test_cool_down_delays_the_action_and_not_the_state(cluster):
    cluster.add(800, 900)
    cluster.journal(type="result", op="0b8cdfd6-6a0e-4bd7-b1a1-4ac3b2f0a1ce", action="create", outcome="done")
    done = cluster.check_cluster()
    assert first_line(done).startswith("CLUSTER CPU CRITICAL - web: load 85.0 % of 2 servers (2 sampled), 3 wanted: scale up |")
    assert re.search(r"because: cool-down-up 60 s after the last scale-up: \d+ s left.*\ndecision: stay at 2 servers\n$", done.stdout)


def test_idle_at_a_minimum_of_three_is_ok(cluster):
    for policy in ("step", "target"):
        cluster.configure(change=("size: {min: 2, max: 4}\n", "size: {min: 3, max: 4}\n"))
        text = (cluster.folder / "clusterscale.yaml").read_text().replace("follow: step", f"follow: {policy}")
        (cluster.folder / "clusterscale.yaml").write_text(text)
        if policy == "step":
            cluster.add(0, 0, 0)
        cluster.state.mkdir(parents=True, exist_ok=True)
        with (cluster.state / "history").open("w") as file:
            for ago in range(20 * 60, 0, -60):
                print(json.dumps({"t": int(time.time() * 1000) - ago * 1000, "bt": 0, "boot": "", "load_permille": 0,
                                  "servers": 3, "sampled": 3, "missing": 0, "warming": 0}), file=file)
        done = cluster.check_cluster()
        assert first_line(done).startswith("CLUSTER CPU OK - web: load 0.0 % of 3 servers (3 sampled) |"), policy


def test_ranges_replace_the_policy(cluster):
    cluster.add(800)
    done = cluster.check_cluster("-w", "85", "-c", "90")
    assert first_line(done) == (
        "CLUSTER CPU OK - web: load 80.0 % of 1 server (1 sampled) | "
        "load=80.0%;85;90;0;100 servers=1 sampled=1 missing=0 stale=0 warming=0 min=2 max=4")


def test_json_has_the_cluster_and_its_members_by_id(cluster):
    one = cluster.add(300)
    two = cluster.add(None)
    done = cluster.check_cluster("--output", "json")
    document = json.loads(done.stdout)
    span = document["members"][0].pop("span_ms")
    assert 59000 < span < 90000
    assert document.pop("datagrams").keys() == {"sent", "duplicates", "dropped", "overflowed"}
    decision = document.pop("decision")
    assert (decision["direction"], decision["wanted"], decision["desired"], decision["limiters"]) == ("hold", 2, 2, [])
    assert decision["reasons"][1] == "load 30.0 % on 1 of 2 servers, measured 0 s ago"
    assert document == {
        "state": "OK", "exit": 0,
        "summary": "web: load 30.0 % of 2 servers (1 sampled, 1 missing: web2)",
        "cluster": "web", "min": 2, "max": 4, "open": {"requests": 0, "draining": 0, "unpublished": 0},
        "aggregate": "mean", "load": 30.0, "mean": 30.0, "servers": 2, "sampled": 1, "missing": 1, "stale": 0,
        "warming": 0,
        "members": [
            {"id": one.id, "name": "web1", "address": one.address, "state": "sampled", "cpu": 30.0, "cpus": 2,
             "source": "ucd"},
            {"id": two.id, "name": "web2", "address": two.address, "state": "missing",
             "reason": "Connection refused (is snmpd running?)"}]}


def test_perfdata_per_instance_is_by_id(cluster):
    one = cluster.add(300)
    two = cluster.add(400)
    done = cluster.check_cluster("--perfdata-per-instance")
    assert first_line(done).endswith(f" max=4 {one.id}=30.0%;;;0;100 {two.id}=40.0%;;;0;100")


def test_names_from_the_cloud_cannot_break_the_output(cluster):
    cluster.add(300, None)
    cluster.cloud.change_server(list(cluster.cloud.servers)[1], name="a|b\nCLUSTER CPU OK")
    done = cluster.check_cluster()
    assert first_line(done).count("|") == 1
    assert "1 missing: a/b?CLUSTER CPU OK)" in first_line(done)
    assert len(done.stdout.splitlines()) == 7  # status, two servers, three reasons, the decision


@pytest.mark.parametrize("action", ["status", "truncate", "drop"])
def test_without_a_complete_list_there_is_no_figure(cluster, action):
    cluster.add(300, 400)
    cluster.cloud.inject(path="/servers/detail", action=action, status=500, count=100)
    done = cluster.check_cluster()
    assert first_line(done).startswith("CLUSTER CPU UNKNOWN - cluster 'web': no list of its servers: ")
    assert done.returncode == 3
    assert not (cluster.state / "history").exists()


def test_a_measurement_that_cannot_be_written_is_unknown(cluster):
    cluster.add(900, 900)
    (cluster.state / "history").mkdir()
    done = cluster.check_cluster()
    assert first_line(done) == (
        "CLUSTER CPU UNKNOWN - web: cannot record the measurement: "
        f"cannot open {cluster.state}/history for appending: Is a directory")
    assert done.returncode == 3


def test_samples_that_cannot_be_written_are_unknown(cluster):
    cluster.add(900, 900)
    (cluster.state / "samples").unlink()
    (cluster.state / "samples").mkdir()
    done = cluster.check_cluster("-t", "3")
    assert first_line(done).startswith(
        f"CLUSTER CPU UNKNOWN - web: cannot record the measurement: cannot replace {cluster.state}/samples: ")


def test_a_damaged_journal_needs_a_person(cluster):
    cluster.add(300, 400)
    (cluster.state / "journal").write_text("garbage\n{}\n")
    done = cluster.check_cluster()
    assert first_line(done).startswith("CLUSTER CPU UNKNOWN - ")
    assert f"{cluster.state}/journal" in first_line(done)


@pytest.mark.parametrize("change, message", [
    (("scale-up-at: 70", "scale-up-at: 700"), "{folder}/clusterscale.yaml:13: key 'clusters.web.policy.scale-up-at': "),
    (("      snmp:", "      #"), "cluster 'web': cpu: snmp: no read community of snmpd: the key "
     "community-file is missing"),
    (("/community,", "/nonexistent,"), "cluster 'web': cpu: snmp: cannot read {folder}/nonexistent: No such file or directory; "
     "write the read community of snmpd into it (mode 0640, group " + GROUP + "), or correct community-file"),
    (("  web:", "  api:"), "{folder}/clusterscale.yaml has no cluster 'web'; it has: api"),
])
@pytest.mark.parametrize("options", [[], ["--check-config"]])
def test_a_bad_configuration_is_unknown_and_says_where(cluster, change, message, options):
    cluster.configure(change=change)
    done = cluster.check_cluster(*options)
    assert done.returncode == 3
    assert first_line(done).startswith("CLUSTER CPU UNKNOWN - " + message.format(folder=cluster.folder))


def test_check_config_measures_nothing(cluster):
    done = cluster.check_cluster("--check-config")
    assert done.stdout == f"CLUSTER CPU OK - {cluster.folder}/clusterscale.yaml is valid: web\n"
    assert done.returncode == 0
    assert not cluster.cloud.requests()
    done = cluster.run("-f", str(cluster.folder / "clusterscale.yaml"), "--check-config")
    assert done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder to another user")
def test_another_users_state_is_refused_with_the_line_to_type(cluster):
    cluster.add(300, 400)
    for folder in (cluster.state, cluster.state.parent):  # root makes no folder in another user's either
        os.chown(folder, 65534, 65534)
        done = cluster.check_cluster()
        assert first_line(done) == (
            f"CLUSTER CPU UNKNOWN - the state folder {folder} belongs to user nobody; "
            "run this as: sudo -u nobody ...")
        shutil.rmtree(cluster.state, ignore_errors=True)
    assert not cluster.state.exists()


def test_no_secret_appears_anywhere(cluster):
    cluster.add(300, None)
    outputs = [cluster.check_cluster(*options).stdout for options in (
        [], ["-vvv"], ["--output", "json"], ["--check-config"])]
    cluster.write("clouds.yaml", CLOUDS.format(auth_url=cluster.cloud.auth_url, password=PASSWORD + "x"), 0o600)
    outputs.append(cluster.check_cluster("-vvv").stdout)
    assert "CLUSTER CPU UNKNOWN - cluster 'web': no list of its servers: " in outputs[-1]
    outputs += [path.read_text() for path in cluster.state.iterdir()]
    assert not [text for text in outputs if COMMUNITY in text or PASSWORD in text]

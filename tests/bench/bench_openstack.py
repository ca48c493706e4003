"""What the OpenStack side costs: a list of 10,000 servers as the shipped programs read it, the last one when there is no
new one, and every exchange that was recorded from a real control plane through the client's parsers."""
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve()
SIMCLOUD = HERE.parents[1] / "fakes/simcloud.py"

SERVERS, MEMBERS = 10_000, 100
SHARED = pathlib.Path(os.environ.get("CS_SHARED", HERE.parents[2].parent / "shared"))
CONFIG = """\
state-dir: {dir}/state
clouds-file: {dir}/clouds.yaml
clusters:
  web:
    cloud: sim
    servers: {{image: rails-snapshot, flavor: m1.small, networks: [private], name: web}}
    size: {{min: 2, max: 10000}}
    cpu: {{list-max-age: 1h, snmp: {{community-file: {dir}/community, port: 9}}}}
"""
CLOUDS = """\
clouds:
  sim:
    auth: {{auth_url: {url}, username: cluster, password: labsecret, user_domain_name: Default,
      project_name: cluster, project_domain_name: Default}}
"""


def run(bench):
    def in_a_folder(part):
        with tempfile.TemporaryDirectory() as folder:
            part(bench, pathlib.Path(folder))
    bench.run_parts({
        "list": lambda bench: in_a_folder(list_many),
        "large cluster": lambda bench: in_a_folder(large_cluster),
        "old list": lambda bench: in_a_folder(old_list),
        "recorded": replay,
    })


@contextlib.contextmanager
def simulated_cloud(folder):
    """A process of its own: the peak memory of a child begins with that of its parent. Gives its facts."""
    ready = folder / "ready"
    cloud = subprocess.Popen(["/usr/bin/python3", "-B", SIMCLOUD, "--cidr", "127.18.0.0/16", "--ready-file", ready])
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            if time.monotonic() > deadline or cloud.poll() is not None:
                sys.exit("bench: the simulated cloud did not start")
            time.sleep(0.05)
        yield json.loads(ready.read_text())
    finally:
        cloud.terminate()
        cloud.wait()


def add_servers(facts, name, count):
    body = {"name": name, "count": count, "tags": [f"clusterscale:{name}"],
            "metadata": {"clusterscale.cluster": name}}
    urllib.request.urlopen(urllib.request.Request(f"{facts['control_url']}/servers", json.dumps(body).encode())).close()


def cost(argv):
    """(CPU seconds, peak MiB, wall seconds, stdout) of one run of a program."""
    start = time.perf_counter()
    child = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    # 1: a server that no load balancer serves is open work; 3: nobody of whom the check asked has answered.
    if child.returncode not in (0, 1, 3):
        sys.exit(f"bench: {' '.join(map(str, argv))} exited {child.returncode}: {said}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, time.perf_counter() - start, said


def write_config(bench, folder, facts):
    """The first words of every command."""
    clouds = folder / "clouds.yaml"
    clouds.touch(mode=0o600)
    clouds.write_text(CLOUDS.format(url=facts["auth_url"]))
    community = folder / "community"
    community.touch(mode=0o600)
    community.write_text("public\n")
    (folder / "clusterscale.yaml").write_text(CONFIG.format(dir=folder))
    return [bench.build / "handlers/nova_scale", "-n", "web", "-f", folder / "clusterscale.yaml"]


def list_many(bench, folder):
    """A hundred of the servers of a large project are the cluster's."""
    with simulated_cloud(folder) as facts:
        add_servers(facts, "web", MEMBERS)
        add_servers(facts, "other", SERVERS - MEMBERS)
        argv = [*write_config(bench, folder, facts), "--status"]
        cost(argv)  # the rows of the simulated cloud are made once
        cpu, peak = median_cost(bench, argv, f" {MEMBERS} now")
    bench.bar(f"nova_scale --status, list of {SERVERS} servers: CPU", cpu, 1, " s")
    bench.bar(f"nova_scale --status, list of {SERVERS} servers: peak memory", peak, 64, "MiB")


def large_cluster(bench, folder):
    """All of them are the cluster's: before any is in service, and when all are; and a choice among them."""
    with simulated_cloud(folder) as facts:
        add_servers(facts, "web", SERVERS)
        command = write_config(bench, folder, facts)
        cost([*command, "--status"])
        cpu, _ = median_cost(bench, [*command, "--status"], f" {SERVERS} now")
        bench.bar(f"nova_scale --status, a cluster of {SERVERS}, none published: CPU", cpu, 1, " s")
        publish_all(folder, facts)
        for verb in (["--status"], ["--delete", 5, "--dry-run"]):
            cpu, _ = median_cost(bench, [*command, *verb], "")
            words = " ".join(str(word) for word in verb)
            bench.bar(f"nova_scale {words}, a cluster of {SERVERS}, published: CPU", cpu, 1, " s")


def old_list(bench, folder):
    """The check of a large cluster whose cloud does not answer; nothing answers on its servers either."""
    with simulated_cloud(folder) as facts:
        add_servers(facts, "web", SERVERS)
        _, *words = write_config(bench, folder, facts)
        argv = [bench.build / "plugins/check_cluster_cpu", *words, "-t", 60]
        cost(argv)
        fault = json.dumps({"path": "/servers/detail", "action": "status", "status": 500, "count": 1000}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{facts['control_url']}/faults", fault)).close()
        cpu, peak = median_cost(bench, argv, f" {SERVERS} servers (0 sampled")
    bench.bar(f"check_cluster_cpu, {SERVERS} members of the last list: CPU", cpu, 1, " s")
    bench.bar(f"check_cluster_cpu, {SERVERS} members of the last list: peak memory", peak, 64, "MiB")


def publish_all(folder, facts):
    with urllib.request.urlopen(facts["control_url"] + "/servers") as reply:
        ids = [server["id"] for server in json.load(reply)["servers"]]
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    at = {"t": int(time.time() * 1000), "bt": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000), "boot": boot}
    state = folder / "state/web"
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "journal", "w", encoding="ascii") as journal:
        for id in ids:
            journal.write(json.dumps({**at, "run": "bench", "type": "published", "server_id": id}) + "\n")


def median_cost(bench, argv, expected):
    """(CPU seconds, peak MiB) of five runs that all say EXPECTED."""
    rows = []
    for turn in range(5):
        cpu, peak, wall, said = cost(argv)
        if expected not in said:
            sys.exit(f"bench: not '{expected}': {said[:200]}")
        bench.record(turn=turn, argv=[str(word) for word in argv], cpu_seconds=cpu, peak_mib=peak, wall_seconds=wall)
        rows.append((cpu, peak))
    return (statistics.median(column) for column in zip(*rows))


def replay(bench):
    """The unit test does it, and says how many it met of each kind."""
    folder = SHARED / "data/openstack-transcripts"
    recorded = len(list(folder.glob("*.json")))
    if not recorded:
        print(f"no recorded exchanges in {folder}: nothing to replay")
        return
    done = subprocess.run([bench.build / "tests/unit/test_transcripts"], capture_output=True, text=True, check=False,
                          env={**os.environ, "CS_SHARED": str(SHARED)})
    said = re.search(r"^exchanges (\d+): (.*)", done.stdout, re.M)
    met = int(said[1]) if said and done.returncode == 0 else 0
    bench.bar("recorded exchanges parsed, or the documented error", met, recorded, at_most=False,
              peer=said[2] if said else "the test failed")

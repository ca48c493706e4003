"""What the OpenStack side costs: a list of 10,000 servers as the shipped program reads it, and every exchange that
was recorded from a real control plane through the client's parsers."""
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
"""
CLOUDS = """\
clouds:
  sim:
    auth: {{auth_url: {url}, username: cluster, password: labsecret, user_domain_name: Default,
      project_name: cluster, project_domain_name: Default}}
"""


def run(bench):
    with tempfile.TemporaryDirectory() as folder:
        list_many(bench, pathlib.Path(folder))
    replay(bench)


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
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1):  # 1: a server that no load balancer serves is open work
        sys.exit(f"bench: {argv} exited {child.returncode}: {said}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, time.perf_counter() - start, said


def list_many(bench, folder):
    """A hundred of the servers of a large project are the cluster's."""
    with simulated_cloud(folder) as facts:
        add_servers(facts, "web", MEMBERS)
        add_servers(facts, "other", SERVERS - MEMBERS)
        clouds = folder / "clouds.yaml"
        clouds.touch(mode=0o600)
        clouds.write_text(CLOUDS.format(url=facts["auth_url"]))
        (folder / "clusterscale.yaml").write_text(CONFIG.format(dir=folder))
        argv = [bench.build / "handlers/nova_scale", "-n", "web", "-f", folder / "clusterscale.yaml", "--status"]
        cost(argv)  # the rows of the simulated cloud are made once
        rows = []
        for turn in range(5):
            cpu, peak, wall, said = cost(argv)
            if f" {MEMBERS} now" not in said:
                sys.exit(f"bench: not {MEMBERS} members: {said[:200]}")
            bench.record(turn=turn, cpu_seconds=cpu, peak_mib=peak, wall_seconds=wall)
            rows.append((cpu, peak))
    cpu, peak = (statistics.median(column) for column in zip(*rows))
    bench.bar(f"nova_scale --status, list of {SERVERS} servers: CPU", cpu, 1, " s")
    bench.bar(f"nova_scale --status, list of {SERVERS} servers: peak memory", peak, 64, "MiB")


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

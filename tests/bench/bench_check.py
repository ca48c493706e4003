"""What one run of check_cluster_cpu costs, against net-snmp's own snmpget of the same
counters from the same real agent, as whole processes."""
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "demo"))
import procs

COMMUNITY = "bench"
OIDS = [f".1.3.6.1.4.1.2021.11.{n}.0" for n in (50, 51, 52, 53, 54, 55, 56, 61, 64, 67)]
MANY = 100


def run(bench):
    with tempfile.TemporaryDirectory() as folder:
        bench.run_parts({"check": lambda bench: measure(bench, pathlib.Path(folder))})


def measure(bench, folder):
    port = procs.free_port(socket.SOCK_DGRAM)
    hosts = [f"127.0.1.{n + 1}:{port}" for n in range(MANY)]
    (folder / "snmpd.conf").write_text(f"rocommunity {COMMUNITY} 127.0.0.0/8\n")
    (folder / "hosts").write_text("\n".join(hosts) + "\n")
    secret = folder / "community"
    secret.touch(mode=0o600)
    secret.write_text(COMMUNITY + "\n")
    agent = subprocess.Popen(
        ["/usr/sbin/snmpd", "-f", "-LE", "0", "-C", "-c", folder / "snmpd.conf",
         *(f"udp:{host}" for host in hosts)],
        env={**os.environ, "SNMP_PERSISTENT_DIR": str(folder / "persistent")},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        os.environ["MP_STATE_PATH"] = str(folder / "state")
        compare(bench, folder, hosts)
    finally:
        agent.kill()
        agent.wait()


def compare(bench, folder, hosts):
    check = [bench.build / "plugins/check_cluster_cpu", "--community-file", folder / "community",
             "-w", "~:100"]
    get = ["snmpget", "-v2c", "-c", COMMUNITY, "-r0", "-Oqv"]
    many = "xargs -P16 -I{} " + " ".join(get) + " {} " + " ".join(OIDS) + " <" + str(folder / "hosts")
    one, all_hosts = [*check, "-H", hosts[0]], [*check, "--hosts", folder / "hosts"]
    subprocess.run(all_hosts, stdout=subprocess.DEVNULL)  # leaves the baselines behind
    time.sleep(11)  # min-span, so that no run below waits for a second sample
    took = bench.time({"check 1": one, "snmpget 1": [*get, hosts[0], *OIDS],
                       "check 100": all_hosts, "snmpget 100": ["sh", "-c", many]})
    bench.bar("one host: wall against snmpget", took["check 1"] / took["snmpget 1"], 1.5, " x")
    bench.bar(f"{MANY} hosts: wall against xargs -P16 snmpget",
              took["check 100"] / took["snmpget 100"], 0.2, " x")

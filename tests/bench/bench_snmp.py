"""check_cluster_cpu over SNMP, as a whole process, against a blind client (the limit), braa and check_snmp.

Agents are tests/bench/snmp_stub.c: one socket for all of 127.0.0.0/8, with known loads. Beside the rows it writes
the table of check_cluster_cpu(8), SPEED, as it stands there: build/bench_snmp.scd.
"""
import contextlib
import datetime
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "demo"))
import procs

NUMBERS = (50, 51, 52, 53, 54, 55, 56, 61, 64, 67)
CHECK_SNMP = "/usr/lib/nagios/plugins/check_snmp"
PASSWORD = "bench-password"
ONE_POLL = ("-t", "5")  # no time for a second sample
MIN_SPAN_S = 11


def run(bench):
    parts = {"zero delay": at_once, "growth": growth, "braa": braa_at_once, "check_snmp": check_snmp, "20 ms": delayed,
             "loss": loss, "dead": dead, "closed": closed, "v3": version_3, "figures": figures}

    table = Table()

    def part(function):
        def run_part(bench):
            with tempfile.TemporaryDirectory() as folder:
                function(Lab(bench, pathlib.Path(folder), table))
        return run_part
    bench.run_parts({name: part(function) for name, function in parts.items()})
    path = bench.build / "bench_snmp.scd"
    path.write_text(table.text())
    print(f"table for the manual: {path}")


class Table:
    """What a run measured, as check_cluster_cpu(8) has it."""

    def __init__(self):
        self.lines = []

    def add(self, what, n, who, rows):
        wall, cpu, rss = (median(rows, key) for key in ("wall", "cpu", "rss"))
        self.lines.append((what, f"{n}", who, f"{1e3 * wall:.0f} ms", f"{1e3 * cpu:.0f} ms", f"{rss:.0f} MB"))
        print(f"{what}, N={n}: {who}: wall {1e3 * wall:.1f} ms, CPU {1e3 * cpu:.1f} ms, RSS {rss:.1f} MB", flush=True)

    def text(self):
        date = datetime.date.today().isoformat()
        head = ("Agents", "N", "Client", "Wall", "CPU", "Memory")
        lines = [f"Measured on {date}, {os.cpu_count()} cores, {cpu_model()}:", "",
                 "[[ *" + "*\n:- *".join(head) + "*"]
        for words in self.lines:
            lines.append("|  " + "\n:  ".join(word.replace("_", "\\_") for word in words))
        return "\n".join(lines) + "\n"


def cpu_model():
    return re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M).group(1)


class Lab:
    def __init__(self, bench, folder, table):
        self.bench, self.folder, self.table = bench, folder, table
        self.tools = bench.build / "tests/bench"
        self.port = procs.free_port(socket.SOCK_DGRAM)
        self.repeat = 3 if bench.short else 7
        for name, text in (("community", "public"), ("password", PASSWORD)):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(text + "\n")

    def addresses(self, n):
        step = 0xfffff0 // n
        return [socket.inet_ntoa((0x7f000001 + i * step).to_bytes(4, "big")) for i in range(n)]

    def hosts(self, n):
        path = self.folder / f"hosts-{n}"
        if not path.exists():
            path.write_text("".join(f"{address}:{self.port}\n" for address in self.addresses(n)))
        return path

    def check(self, n, *words):
        return [self.bench.build / "plugins/check_cluster_cpu", "--hosts", self.hosts(n), *(words or (
            "--community-file", self.folder / "community", *ONE_POLL))]

    def prime(self, *numbers):
        """Two samples of each, so that every later run has figures to tell."""
        with self.agents():
            for turn in range(2):
                time.sleep(turn * MIN_SPAN_S)
                for n in numbers:
                    row = self.usage(f"prime {n}", self.check(n))
        if row["status"] != 0:
            sys.exit(f"bench: no figures after two samples: {row['stdout'].splitlines()[0]}")

    def check_v3(self, n):
        return self.check(n, "-P", "3", "-U", "bench", "--authpass-file", self.folder / "password",
                          "--privpass-file", self.folder / "password", *ONE_POLL)

    @contextlib.contextmanager
    def agents(self, delay_ms=0, loss=0, dead=0):
        stub = subprocess.Popen([self.tools / "snmp_stub", *map(str, (self.port, delay_ms, loss, dead))],
                                stdout=subprocess.PIPE, text=True)
        stub.stdout.readline()
        try:
            yield
        finally:
            stub.kill()
            stub.wait()

    def usage(self, label, command):
        """One run: wall and CPU seconds, RSS in MB, and what it printed."""
        words = list(map(str, command))
        hosts = [word for word in words if "/hosts-" in word and word.startswith(str(self.folder))]
        # Samples of others would cost as much as one's own.
        state = f"{hosts[0]}.state" if hosts else str(self.folder)
        done = subprocess.run([self.tools / "run_usage", *words], capture_output=True, text=True,
                              env={**os.environ, "MP_STATE_PATH": state})
        wall, cpu, rss, status = map(int, re.search(r"usage (\d+) (\d+) (\d+) (-?\d+)", done.stderr).groups())
        row = {"wall": wall / 1e6, "cpu": cpu / 1e6, "rss": rss / 1024, "status": status}
        self.bench.record(label=label, **row)
        return row | {"stdout": done.stdout}

    def compare(self, commands, repeat=None):
        """Interleaved runs: {label: [rows]}."""
        rows = {label: [] for label in commands}
        for _ in range(repeat or self.repeat):
            for label, command in commands.items():
                rows[label].append(self.usage(label, command))
        return rows


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def own_cpu(who, rows):
    """Of the part that snmp_limit and snmp_poll measure themselves. Neither waits for what is lost with its CPU, so a
    run that lost answers only looks cheaper: it counts where there is no other."""
    complete = [row for row in rows if row["status"] == 0]
    if len(complete) < len(rows):
        print(f"{who}: answers were lost in {len(rows) - len(complete)} of {len(rows)} runs", flush=True)
    return statistics.median(int(row["stdout"].split()[1]) / 1e6 for row in complete or rows)


def overflowed(row):
    """Answers that found no room in the receive buffer of the process itself."""
    return int(re.search(r"^datagrams: .*, (\d+) without room", row["stdout"], re.M).group(1))


def silent(row):
    """How many were given up."""
    return row["stdout"].count(": no answer")


def compare_with_limit(lab, n):
    """Interleaved: the blind client, the poll alone and the whole process."""
    rows = lab.compare({"limit": [lab.tools / "snmp_limit", n, lab.port],
                        "poll": [lab.tools / "snmp_poll", n, lab.port, 3000],
                        "check": lab.check(n)})
    limit, poll = (own_cpu(f"zero delay, N={n}: {who}", rows[who]) for who in ("limit", "poll"))
    lab.table.add("zero delay", n, "check_cluster_cpu", rows["check"])
    return limit, poll, {key: median(rows["check"], key) for key in ("wall", "cpu", "rss")}


def at_once(lab):
    bar = lab.bench.bar
    lab.prime(100, 1000, 10000, 50000)
    with lab.agents():
        rows = lab.compare({"check": [*lab.check(10000), "-v"]})
        bar("zero delay, N=10000: receive-buffer errors", sum(map(overflowed, rows["check"])), 0)
        for n in (100, 1000, 10000, 50000):
            limit, poll, whole = compare_with_limit(lab, n)
            print(f"zero delay, N={n}: CPU of the limit {1e3 * limit:.1f} ms, of the poll {1e3 * poll:.1f} ms", flush=True)
            if n == 100:
                continue
            bar(f"zero delay, N={n}: CPU of the poll against the limit", poll / limit, 1.4, " x")
            bar(f"zero delay, N={n}: CPU of the process beyond 1.4 limits", 1e3 * (whole["cpu"] - 1.4 * limit),
                12 + n / 1e3, " ms")
            if n > 1000:
                bar(f"zero delay, N={n}: RSS of the process", whole["rss"], 20 if n == 10000 else 40, " MB")


def growth(lab):
    """In turns, so that a machine that slows down slows all of them."""
    lab.prime(1000)
    with lab.agents():
        rows = lab.compare({n: [lab.tools / "snmp_poll", n, lab.port, 3000] for n in (1000, 50000)})
    few, many = (own_cpu(f"growth, N={n}: poll", rows[n]) for n in (1000, 50000))
    lab.bench.bar("growth of the poll's CPU from 1000 to 50000 over linear", many / few / 50, 1.2, " x")


def braa(lab, n):
    queries = [f".1.3.6.1.4.1.2021.11.{number}.0" for number in NUMBERS[:8]]
    command = ["braa", f"public@127.0.0.1-127.0.{n // 256}.{n % 256}:{lab.port}:{queries[0]}"]
    return [*command, *[f"public@127.0.0.1-127.0.{n // 256}.{n % 256}:{lab.port}:{q}" for q in queries[1:]]]


def against_peer(lab, scenario, n, peer, command, at_least, **agents):
    """Wall of the peer over ours; our rows."""
    lab.prime(n)
    with lab.agents(**agents):
        rows = lab.compare({"check_cluster_cpu": lab.check(n), peer: command}, 3)
    for who, runs in rows.items():
        lab.table.add(scenario, n, who, runs)
    ours = median(rows["check_cluster_cpu"], "wall")
    lab.bench.bar(f"{scenario}, N={n}: wall of {peer} against ours", median(rows[peer], "wall") / ours, at_least, " x",
                  at_most=False)
    return ours


def braa_at_once(lab):
    against_peer(lab, "zero delay", 10000, "braa", braa(lab, 10000), 40)


def check_snmp(lab):
    oids = ",".join(f".1.3.6.1.4.1.2021.11.{number}.0" for number in NUMBERS[:8])
    each = (f"sed 's/:.*//' {lab.hosts(1000)} | xargs -P16 -I{{}} {CHECK_SNMP} -H {{}} -p {lab.port} -C public -P 2c "
            f"-o {oids}")
    against_peer(lab, "zero delay", 1000, "check_snmp", ["sh", "-c", each], 120)


def delayed(lab):
    ours = against_peer(lab, "20 ms delay", 10000, "braa", braa(lab, 10000), 30, delay_ms=20)
    lab.bench.bar("20 ms delay, N=10000: wall", 1e3 * ours, 130, " ms")


def loss(lab):
    lab.prime(10000)
    with lab.agents(loss=10):
        rows = lab.compare({"check_cluster_cpu": lab.check(10000)}, 20)["check_cluster_cpu"]
    lab.table.add("1 % loss", 10000, "check_cluster_cpu", rows)
    lab.bench.bar("1 % loss, N=10000: wall", 1e3 * median(rows, "wall"), 250, " ms")
    lab.bench.bar("1 % loss, N=10000: live hosts called dead in 20 runs", sum(map(silent, rows)), 0)


def dead(lab):
    lab.prime(10000)
    with lab.agents():
        zero = median(lab.compare({"check": lab.check(10000)})["check"], "wall")
    budget = lab.check(10000, "--community-file", lab.folder / "community", "-t", "2.667")
    with lab.agents(dead=50):
        rows = lab.compare({"check_cluster_cpu": budget}, 3)["check_cluster_cpu"]
    lab.table.add("5 % dead, 2 s", 10000, "check_cluster_cpu", rows)
    lab.bench.bar("5 % dead, N=10000, 2 s budget: wall beyond 2.0 s and zero delay",
                  1e3 * (median(rows, "wall") - 2.0 - zero), 50, " ms")


def closed(lab):
    rows = lab.compare({"check_cluster_cpu": lab.check(10000)})["check_cluster_cpu"]
    lab.table.add("every port closed", 10000, "check_cluster_cpu", rows)
    lab.bench.bar("every port closed, N=10000: wall", 1e3 * median(rows, "wall"), 200, " ms")


def forget_engines(lab):
    for path in lab.folder.rglob("engines"):
        path.unlink()


def version_3(lab):
    per_host = {}
    with lab.agents():
        for n in (1000, 10000):
            rows = []
            for _ in range(3):
                forget_engines(lab)
                rows.append(lab.usage(f"v3 {n}", lab.check_v3(n)))
                if silent(rows[-1]):
                    print(f"v3, N={n}: {silent(rows[-1])} silent")
            lab.table.add("v3 authPriv, unknown engines", n, "check_cluster_cpu", rows)
            per_host[n] = median(rows, "cpu") / n
    lab.bench.bar("v3 authPriv, N=1000, with discovery: CPU of the process per host", 1e6 * per_host[1000], 60, " us")
    lab.bench.bar("v3, 10000 distinct engines: CPU against 1000", 10 * per_host[10000] / per_host[1000], 12, " x")


def figures(lab):
    with lab.agents():
        lab.usage("baseline", lab.check(10000))
        time.sleep(MIN_SPAN_S)
        shown = lab.usage("figures", lab.check(10000))["stdout"]
    loads = dict(re.findall(r"^([\d.]+):\d+: ([\d.]+) %", shown, re.M))
    wrong = 0
    for address in lab.addresses(10000):
        agent = int.from_bytes(socket.inet_aton(address), "big") & 0xffffff
        told = agent * 7919 % 2 ** 32 % 1001 / 10
        wrong += address not in loads or abs(float(loads[address]) - told) > 0.1001
    lab.bench.bar("10000 addresses of 127.0.0.0/8: loads off by more than 0.1 point", wrong, 0)

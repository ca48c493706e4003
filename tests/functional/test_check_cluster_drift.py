# SPDX-License-Identifier: GPL-3.0-or-later
"""check_cluster_drift over a simulated cloud and a real HAProxy: agreement, and every drift made for real."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest
from balancer import NOBODY, PROGRAM, UNPRIVILEGED, Balancer, ask, procs_wait, run

PLUGIN = PROGRAM.parents[1] / "plugins/check_cluster_drift"
MORE = """\
    mode: {mode}
    cpu: {{snmp: {{community-file: {dir}/community}}}}
    load-balancers:
      - {{name: lb1, sync: [{dir}/haproxy_sync, -n, web, -f, {dir}/clusterscale.yaml]{status}}}
"""


class Lab:
    """Two servers in service, measured just now."""

    def __init__(self, lb):
        self.lb, self.state = lb, lb.dir / "state/web"
        self.plugin = shutil.copy(PLUGIN, lb.dir / "check_cluster_drift")
        self.base = lb.yaml.read_text().replace("cloud: admin", "cloud: reader")
        self.state.mkdir(parents=True)
        self.configure(f"{lb.dir}/haproxy_sync, -n, web, -f, {lb.yaml}, --status")
        self.web1, self.web2 = lb.add("web1"), lb.add("web2")
        lb.start()
        lb.settle()
        self.measure()

    def configure(self, status, mode="act", size="{min: 1, max: 20}"):
        """`status`: the words of the command, or None."""
        more = MORE.format(dir=self.lb.dir, mode=mode, status=f", status: [{status}]" if status else "")
        self.lb.yaml.write_text(self.base.replace("{min: 1, max: 20}", size) + more)

    def stamp(self, ago):
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return {"t": int((time.time() - ago) * 1000),
                "bt": int((time.clock_gettime(time.CLOCK_BOOTTIME) - ago) * 1000), "boot": boot}

    def write(self, name, *lines):
        path = self.state / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        path.chmod(0o640)
        if os.geteuid() == 0:
            for each in (self.state.parent, self.state, path):
                os.chown(each, NOBODY, NOBODY)

    def measure(self, load=400, ago=0, every=60):
        self.write("history", *({**self.stamp(ago + every * k), "load_permille": load, "servers": 2, "sampled": 2,
                                 "missing": 0, "warming": 0} for k in (4, 3, 2, 1, 0)))

    def journal(self, *lines):
        self.write("journal", *({**self.stamp(line.pop("ago", 0)), "run": "test", **line} for line in lines))

    def check(self, *arguments):
        return run([self.plugin, "-n", "web", "-f", self.lb.yaml, *arguments])

    def findings(self):
        """(exit status, {(state, kind), ...})"""
        done = self.check("--output", "json")
        document = json.loads(done.stdout)
        assert (done.stderr, document["exit"]) == ("", done.returncode)
        return done.returncode, {(f["state"], f["kind"]) for f in document.get("findings", [])}


@pytest.fixture
def lab():
    if not shutil.which("haproxy"):
        pytest.skip("needs haproxy, which is not installed")
    with Balancer() as balancer:
        yield Lab(balancer)


def test_all_agree(lab):
    done = lab.check()
    assert (done.returncode, done.stderr) == (0, "")
    line, perfdata = done.stdout.split(" | ")
    assert line == "CLUSTER DRIFT OK - web: 2 servers of 1 to 20, all agree"
    labels = dict(item.split("=") for item in perfdata.split())
    assert labels.pop("history_age").endswith("s;;180")
    assert labels == {"servers": "2", "wanted": "2", "min": "1", "max": "20", "drift": "0", "open": "0",
                      "oldest_open": "0s"}
    verbose = lab.check("-v").stdout.splitlines()[1:]
    assert [row.split(",")[0] for row in verbose] == [
        f"lb1: web{n}: file {lab.lb.address(web)}:{lab.lb.service_port}" for n, web in ((1, lab.web1), (2, lab.web2))]


def test_a_server_is_deleted_behind_our_back(lab):
    lab.lb.remove(lab.web2)
    done = lab.check()
    where = f"{lab.lb.address(lab.web2)}:{lab.lb.service_port}"
    assert done.returncode == 2
    assert done.stdout.startswith(f"CLUSTER DRIFT CRITICAL - web: lb1: HAProxy's server 'web2' at {where} (UP")
    assert "is no server of the cluster in Nova | " in done.stdout
    assert "; run the load balancer's sync by hand" in done.stdout.splitlines()[1]


def test_somebody_was_at_haproxy(lab):
    lb = lab.lb
    ask(lb.stats, "set server web/web2 state maint")
    assert lab.findings() == (1, {("WARNING", "resting")})
    ask(lb.stats, "del server web/web2")
    assert lab.findings() == (2, {("WARNING", "not-running"), ("CRITICAL", "unserved")})


def test_somebody_was_at_the_file(lab):
    lb = lab.lb
    lb.config.write_text(lb.lines(lab.web1))
    assert lab.findings() == (1, {("WARNING", "file"), ("WARNING", "not-in-file")})
    lb.config.write_text(lb.lines(lab.web1, lab.web2).replace(lb.address(lab.web2), "127.0.0.99"))
    assert lab.findings() == (2, {("WARNING", "file"), ("CRITICAL", "address")})


def test_nobody_serves(lab):
    web3 = lab.lb.add("web3", serve=False)
    code, found = lab.findings()
    assert (code, found) == (2, {("CRITICAL", "unserved")})
    lab.lb.remove(web3)
    lab.lb.die(lab.web2)
    procs_wait(lambda: lab.lb.status()["web2"] == "DOWN", "HAProxy's check notices")
    assert lab.findings() == (2, {("CRITICAL", "unserved")})


def test_history(lab):
    lab.measure(ago=200)  # every 60 s
    assert lab.findings() == (2, {("CRITICAL", "history")})
    assert lab.check("--history-age", "300").returncode == 0
    lab.measure(ago=200, every=100)
    assert lab.findings() == (0, set())
    (lab.state / "history").unlink()
    assert lab.findings() == (2, {("CRITICAL", "history")})


def test_open_work(lab):
    intent = {"type": "intent", "op": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "action": "create", "name": "web9",
              "why": "load"}
    lab.journal({**intent, "ago": 100})
    assert lab.findings() == (0, set())
    done = lab.check("--open-age", "60")
    assert done.returncode == 2
    assert "the create of 'web9' (aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa) is in the journal without a result for 10" \
        in done.stdout
    lab.journal({**intent, "ago": 1000})
    assert lab.findings() == (2, {("CRITICAL", "open-work")})


def test_breaker_and_pause(lab):
    lines = []
    for n in range(3):
        op = f"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa{n}"
        lines += [{"type": "intent", "op": op, "action": "create", "name": "w", "why": "load", "flavor": "m1.small",
                   "ago": 60},
                  {"type": "result", "op": op, "action": "create", "outcome": "failed", "detail": "no host", "ago": 50}]
    lab.journal(*lines, {"type": "pause"})
    assert lab.findings() == (2, {("CRITICAL", "breaker"), ("WARNING", "paused")})


def test_journal_damaged_or_of_another_cloud(lab):
    (lab.state / "journal").write_text("x\n{}\n")
    (lab.state / "journal").chmod(0o640)
    if UNPRIVILEGED:
        os.chown(lab.state / "journal", NOBODY, NOBODY)
    assert lab.findings() == (2, {("CRITICAL", "journal")})
    lab.journal({"type": "bind", "auth_url": "http://elsewhere/v3", "project": "p", "region": ""})
    assert lab.findings() == (2, {("CRITICAL", "cloud")})


def test_at_max_with_demand_above_and_below_min(lab):
    status = f"{lab.lb.dir}/haproxy_sync, -n, web, -f, {lab.lb.yaml}, --status"
    lab.configure(status, size="{min: 1, max: 2}")
    lab.measure(load=950)
    assert lab.findings() == (2, {("CRITICAL", "at-max")})
    lab.configure(status, size="{min: 3, max: 4}")
    assert lab.findings() == (2, {("CRITICAL", "below-min")})


def test_not_looked_at_and_observe(lab):
    lab.configure(None, mode="observe")
    assert lab.findings() == (0, {("OK", "observe"), ("OK", "not-looked-at")})


def test_a_load_balancer_that_cannot_be_looked_at(lab):
    lab.configure("/bin/false")
    assert lab.findings() == (3, {("UNKNOWN", "unreachable")})
    lab.configure("/bin/echo, hello")
    assert lab.findings() == (3, {("UNKNOWN", "unreachable")})
    lab.configure("/nonexistent/ssh")
    assert lab.findings() == (3, {("UNKNOWN", "unreachable")})
    lab.configure("/bin/sleep, \"100\"")
    lab.lb.add("web3", status="ERROR", serve=False)  # and is seen all the same
    done = lab.check("-t", "2")
    assert done.returncode == 1
    assert "UNKNOWN: lb1 cannot be looked at: " in done.stdout


def test_usage_and_no_cloud(lab):
    done = subprocess.run([PLUGIN], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == "CLUSTER DRIFT UNKNOWN - a cluster's name is needed (-n NAME); see --help\n"
    lab.lb.cloud.stop()
    code, found = lab.findings()
    assert (code, found) == (3, set())

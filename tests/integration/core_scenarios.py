# SPDX-License-Identifier: GPL-3.0-or-later
"""What every core is put through on the shipped commands and service: it fires when it should, and no
way in which a core can mislead a handler does any harm.

A test file names its core's class in CORE and imports all of this.
"""
import os
import pathlib
import re
import sys
import time
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core_lab import CoreLab, wait_until  # noqa: E402
import procs  # noqa: E402

BUSY, MIDDLE, LAZY = 0.95, 0.4, 0.03


@pytest.fixture
def make_lab(tmp_path, request, capfd):
    kind, labs, begin = request.module.CORE, [], time.monotonic()

    def make(**given):
        folder = tmp_path / str(len(labs))
        folder.mkdir()
        labs.append(CoreLab(folder, kind, **given))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()
    procs.reap_orphans()
    with capfd.disabled():
        print(f"  {kind.title}: {request.node.name}: {time.monotonic() - begin:.1f} s; ",
              "; ".join(lab.core.story() for lab in labs if lab.core) or "nothing fired", flush=True)


@pytest.fixture
def lab(make_lab):
    return make_lab()


# It does what it is for


def test_load_that_stays_high_adds_a_server_at_every_interval_until_it_falls(make_lab):
    lab = make_lab(max=30)
    lab.add(2)
    lab.start_core(interval_s=2)
    lab.wait_state("OK")
    lab.agents.load = BUSY
    wait_until(lambda: len(lab.creates()) >= 5, "five servers more", 120)
    lab.agents.load = MIDDLE
    lab.wait_state("OK")
    lab.settle()
    made = len(lab.creates())
    fired = lab.core.fired().count("CRITICAL")
    assert made <= fired <= 2 * made + 2, "each CRITICAL adds one; of a young measurement, or beside another run, none"
    lab.wait_checked(3)
    lab.settle()
    assert len(lab.creates()) == made and not lab.deletes()
    lab.check_settled(2 + made)


def test_low_load_goes_down_to_min_and_no_further(make_lab):
    lab = make_lab(min=2)
    lab.add(5)
    lab.start_core(interval_s=2)
    lab.wait_state("OK")
    lab.agents.load = LAZY
    wait_until(lambda: len(lab.ours()) == 2, "only two are left", 120)
    lab.wait_state("OK")
    lab.wait_checked(2)
    lab.settle()
    assert len(lab.deletes()) == 3 and not lab.creates()
    assert set(lab.core.fired()) == {"WARNING", "OK"}
    lab.check_settled(2)


# What misleads

# None: what this core makes of a check that could not be run, did not end or ended in no known way
PLUGINS = {
    "missing": (None, None),
    "not executable": ("#!/bin/sh\nexit 0\n", None),
    "crashing": ("#!/bin/sh\nkill -SEGV $$\n", "UNKNOWN"),
    "killed": ("#!/bin/sh\nkill -KILL $$\n", "UNKNOWN"),
    "hanging": ("#!/bin/sh\nexec sleep 3\n", None),
    "exit 4": ("#!/bin/sh\nexit 4\n", None),
    "exit 255": ("#!/bin/sh\nexit 255\n", None),
    "claims critical": ("#!/bin/sh\necho 'CLUSTER CPU CRITICAL - load 99 % | load=99%'\nexit 2\n", "CRITICAL"),
    "claims warning": ("#!/bin/sh\necho 'CLUSTER CPU WARNING - load 1 % | load=1%'\nexit 1\n", "WARNING"),
}


@pytest.mark.parametrize("load", [990, 5], ids=["high", "low"])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_broken_plugin_with_a_stale_history_does_nothing(lab, plugin, load):
    script, state = PLUGINS[plugin]
    lab.add(3)
    lab.measure(load, ago=600)
    lab.replace(lab.check, script or "", 0o644 if plugin == "not executable" else 0o755)
    if not script:
        lab.check.unlink()
    lab.start_core(check_timeout=1)
    assert lab.wait_fired(2) == [state or lab.kind.broken] * 2
    lab.settle()
    assert lab.acted() == [] and lab.intents() == []
    assert "hold" in lab.log(), lab.log()


def test_a_measurement_counts_once(lab):
    """The check broke right after it had seen a high load: one action, then none."""
    lab.add(2)
    lab.measure(990)
    lab.replace(lab.check, PLUGINS["claims critical"][0])
    lab.start_core()
    lab.wait_fired(4)
    lab.settle()
    assert len(lab.creates()) == 1 and not lab.deletes()
    lab.check_settled(3)


@pytest.mark.parametrize("share, state", [(BUSY, "CRITICAL"), (LAZY, "WARNING")])
def test_a_first_check_after_install_does_nothing(lab, share, state):
    lab.add(3)
    lab.agents.load = share
    lab.start_core(interval_s=12)  # Icinga looks for the first time at any moment within it
    assert "by two polls just now" in lab.wait_checked(1)[0]
    wait_until(lambda: lab.core.fired() == [state], "the handler is fired")
    lab.settle()
    assert lab.acted() == [] and lab.intents() == []
    assert "hold" in lab.log()


def test_stopped_snmpds_do_nothing(lab):
    lab.add(3)
    lab.start_core()
    lab.wait_state("OK")
    lab.agents.stop()
    lab.wait_state("UNKNOWN")
    assert set(lab.wait_fired(3)) == {"UNKNOWN"}
    lab.settle()
    assert lab.acted() == []
    lab.agents.start(lab.agents.port)
    lab.wait_state("OK")


def test_a_check_that_the_core_gave_up_does_nothing(lab):
    """The real plugin, waiting for a slow cloud."""
    lab.add(3)
    lab.start_core(check_timeout=2, interval_s=2)
    lab.wait_state("OK")
    lab.agents.load = BUSY
    lab.cloud.inject(method="GET", path="/servers", action="delay", delay=4, count=999)
    given_up = lab.core.given_up()
    assert lab.kind.broken in lab.wait_fired(2)
    assert lab.core.given_up() > given_up
    lab.settle()
    assert lab.acted() == []


@pytest.mark.parametrize("retain", [0, 1])
@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_a_core_that_starts_again_does_nothing(lab, retain, killed):
    lab.add(3)
    lab.start_core(retain=retain)
    lab.wait_state("OK")
    lab.agents.load = BUSY
    lab.wait_state("CRITICAL")
    (procs.kill_group if killed else procs.end)(lab.core.child)
    lab.core.stop()
    lab.agents.load = MIDDLE
    lab.settle()
    before = lab.acted()
    time.sleep(1.5)  # the old load is out of the next measurement's span
    lab.start_core(retain=retain)
    lab.wait_state("OK")
    lab.wait_checked(2)
    lab.settle()
    assert lab.acted() == before
    lab.check_settled(3 + len(before))


# Time


def latency(lab):
    return float(lab.core.service()["check_latency"])


def test_overlapping_firings_do_one_thing(lab):
    """Load stays high while a server is built: every check fires, beside the run that is at it."""
    lab.add(2)
    lab.write_config(cool_up=600, min_span=1, snmp_port=lab.agents.port)
    lab.cloud.plan_builds(1, seconds=6)
    lab.start_core()
    lab.wait_state("OK")
    lab.agents.load = BUSY
    wait_until(lab.creates, "a server is asked for")
    assert set(lab.wait_fired(4)) == {"CRITICAL"}
    assert lab.handlers(), "the first run is still at it"
    lab.agents.load = MIDDLE
    lab.settle()
    assert len(lab.creates()) == 1 and not lab.deletes()
    lab.check_settled(3)


def test_a_handler_outlives_its_time_out_and_holds_nobody_up(make_lab):
    lab = make_lab(min=3, cool_up=60)  # the next measurement may still see the high load
    lab.add(3)
    lab.start_core(handler_timeout=1)
    lab.wait_state("OK")
    idle = max(latency(lab) for _ in range(4) if lab.wait_checked(1))
    lab.cloud.plan_builds(1, seconds=5)
    lab.agents.load = BUSY
    wait_until(lambda: len(lab.creates()) == 1, "a server is asked for")
    lab.agents.load = MIDDLE
    working = []
    while lab.handlers():
        lab.wait_checked(1)
        working.append(latency(lab))
    assert len(working) >= 4, "the handler worked through several checks"
    assert max(working) <= idle + 0.5, (idle, working)
    assert not lab.core.given_up()
    lab.check_settled(4)


# What is said and inherited


HOSTILE = "'; touch {0}; $(touch {0}) `touch {0}` | x=1 && touch {0} > {0} \\ \" ' \n"


def hostile(marker):
    return HOSTILE.format(marker) + "x" * 4096


@pytest.mark.parametrize("code", [1, 2, 3])
def test_hostile_output_does_nothing(lab, code):
    lab.add(3)
    (lab.dir / "said").write_text(hostile(lab.dir / "marker") * 2)
    lab.replace(lab.check, f"#!/bin/sh\ncat {lab.dir}/said\nexit {code}\n")
    lab.start_core()
    lab.wait_fired(2)
    lab.settle()
    assert not (lab.dir / "marker").exists()
    assert lab.acted() == []
    assert all(re.match(r"20\d\d-\S+ nova_scale", line) for line in lab.log().splitlines()), "one line each"


def test_hostile_server_names_do_nothing(lab):
    marker = f"marker-{uuid.uuid4()}"  # wherever the core's children work
    lab.add(3, name=hostile(marker)[:255])
    lab.start_core()
    lab.wait_state("OK")
    lab.agents.stop()  # the output names those that are silent
    lab.wait_state("UNKNOWN")
    lab.wait_fired(2)
    lab.settle()
    lab.agents.start(lab.agents.port)
    assert "touch" in lab.seen[-1]
    assert not [folder for folder in ("/", "/tmp", lab.dir, lab.dir / "core", ".")
                if pathlib.Path(folder, marker).exists()]
    assert lab.acted() == []


@pytest.mark.parametrize("cluster", ["web'; touch {marker}; '", "web$(touch {marker})",
                                     "`touch {marker}`", "x" * 4096],
                         ids=["quote", "dollar", "backtick", "long"])
def test_hostile_cluster_names_do_nothing(lab, cluster):
    lab.add(3)
    lab.measure(990)
    lab.start_core(cluster=cluster.format(marker=lab.dir / "marker"))
    lab.wait_fired(2)
    lab.settle()
    assert not (lab.dir / "marker").exists()
    assert lab.acted() == []


def test_the_output_for_500_members_arrives_whole(make_lab):
    lab = make_lab(cidr="127.18.0.0/21", max=600)
    members = [lab.cloud.add_server("web", metadata={"clusterscale.cluster": "web"}).id for _ in range(500)]
    lab.start_core(interval_s=3600, **lab.kind.per_instance(lab.dir / "perfdata", lab.dir / "clusterscale.yaml"))

    def whole():
        lines = "".join(path.read_text() for path in sorted(lab.dir.glob("perfdata*"))).splitlines()
        return [line for line in lines if line.startswith("each ")]

    wait_until(lambda: len(whole()) >= 12, "a dozen results", 120)
    lengths = []
    for line in whole()[2:]:
        labels = re.findall(r"(\S+)=\S+", line)
        lengths.append((len(line), len(labels)))
        assert sum(any(id[:8] in label for label in labels) for id in members) == 500, lengths
    assert len(line) > 8192, "long enough to be cut"


# The worst start in life that a parent can give.
BAD_PARENT = """\
#!/usr/bin/python3
import os, signal, sys
inherited = [os.readlink("/proc/self/fd/1"), os.readlink("/proc/self/fd/2")]
with open({folder!r} + "/inherited", "a") as said:
    print(*inherited, file=said)
os.umask(0)
os.chdir({folder!r})
for fd in range(40, 60):
    os.dup2(1, fd, inheritable=True)
os.close(0)
for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.environ.update(LC_ALL="de_DE.UTF-8", LANG="tr_TR.UTF-8", LC_NUMERIC="de_DE.UTF-8", TZ="Asia/Kolkata")
os.execv({program!r}, sys.argv)
"""


def test_what_the_handler_inherits_does_no_harm(lab):
    lab.add(2)
    ours = {*lab.state.iterdir()}
    lab.cloud.plan_builds(9, seconds=3)
    real = lab.handler.with_name("real")
    lab.handler.rename(real)
    bad = lab.dir / "bad"
    bad.mkdir()
    lab.handler.write_text(BAD_PARENT.format(folder=str(bad), program=str(real)))
    lab.handler.chmod(0o755)
    lab.start_core()
    lab.wait_state("OK")
    lab.agents.load = BUSY
    wait_until(lambda: lab.creates(), "a server is asked for")
    lab.agents.load = MIDDLE
    wait_until(lambda: len(lab.handlers()) == 1, "no other firing is at the lock")
    [pid] = lab.handlers()
    process = pathlib.Path("/proc", str(pid))
    fields = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    if os.geteuid() == 0:  # nobody else may look there, as the program holds secrets
        files = {os.readlink(fd) for fd in (process / "fd").iterdir()}
        inherited = {*(bad / "inherited").read_text().split()} - {"/dev/null"}
        assert inherited and not inherited & files, (inherited, files)
        assert os.readlink(process / "cwd") == "/"
    assert fields["Umask"].strip() == "0027"
    assert int(fields["SigBlk"], 16) == 0
    ignored = int(fields["SigIgn"], 16) & ~(3 << 31)  # 32 and 33 are the C library's, out of reach
    assert ignored == 1 << 12 | 1 << 24, "SIGPIPE and SIGXFSZ alone"  # signal(7): 13, 25
    lab.wait_state("OK")
    lab.settle()
    lab.check_settled(2 + len(lab.creates()))
    assert not lab.core.given_up()
    for path in {lab.dir / "log", *lab.state.iterdir()} - ours:
        assert path.stat().st_mode & 0o027 == 0, path

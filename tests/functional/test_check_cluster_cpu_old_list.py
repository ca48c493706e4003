# SPDX-License-Identifier: GPL-3.0-or-later
"""list-max-age: the check reports from the last complete list and says so; nothing else is done by it."""
import json
import re
import subprocess
import time

import pytest
from test_check_cluster_cpu_cluster import PASSWORD, PROGRAM, cluster, first_line  # noqa: F401

LIST_AGE_S = 300
DOWN = {"path": "/servers/detail", "status": 500, "count": 1000}


@pytest.fixture
def known(cluster):  # noqa: F811
    """Its list was complete a moment ago."""
    cluster.configure(change=("timeout: 5", f"timeout: 5, list-max-age: {LIST_AGE_S}".replace(", ", "\n      ")))
    cluster.add(300, 400)
    assert cluster.check_cluster().returncode == 0
    return cluster


def fail_lists(cluster, action="status"):  # noqa: F811
    cluster.cloud.inject(action=action, **DOWN)


def age(cluster, seconds):  # noqa: F811
    """The list that is kept was taken so long ago."""
    path = cluster.state / "list"
    earlier = lambda word: str(int(word[0]) - 1000 * seconds)  # noqa: E731
    of, at, rows = path.read_text().split("\n", 2)
    path.write_text("\n".join((of, re.sub(r"\b\d{6,}\b(?= )", earlier, at), rows)))


@pytest.mark.parametrize("action", ["status", "truncate", "drop"])
def test_the_last_list_stands_in_and_is_named(known, action):
    history = known.history()
    fail_lists(known, action)
    age(known, 40)
    done = known.check_cluster()
    assert re.match(
        r"CLUSTER CPU OK - web: load 35\.0 % of 2 servers \(2 sampled\), by the list of 4[0-9] s ago; now cluster 'web': "
        r"no list of its servers: .*/servers/detail.* \| load=35\.0%", first_line(done)), done.stdout
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "no decision: that needs a new list of the servers"
    assert known.history() == history
    document = json.loads(known.check_cluster("--output", "json").stdout)
    assert document["old_list"]["age"] >= 40 and "/servers/detail" in document["old_list"]["why"]
    assert "decision" not in document and document["servers"] == 2


def test_a_list_that_is_too_slow_is_one_that_failed(known):
    known.cloud.inject(path="/servers/detail", action="delay", delay=30, count=1000)
    began = time.monotonic()
    done = known.check_cluster("-t", "6")
    assert ", by the list of " in first_line(done) and done.returncode == 0
    assert time.monotonic() - began < 6


def test_a_new_list_takes_its_place(known):
    known.add(800)
    assert " of 3 servers " in first_line(known.check_cluster())
    fail_lists(known)
    assert " of 3 servers " in first_line(known.check_cluster())
    assert (known.state / "list").stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in (known.state / "list").read_text()


def test_the_port_of_a_member_is_kept(known):
    bad = known.cloud.add_server("web9", metadata={"clusterscale.cluster": "web", "clusterscale.snmp-port": "snmp"})
    said = f"web9 ({bad.address}): missing: its metadata clusterscale.snmp-port is 'snmp', which is no port\n"
    assert said in known.check_cluster().stdout
    fail_lists(known)
    done = known.check_cluster()
    assert said in done.stdout and ", by the list of " in first_line(done)


def test_high_load_is_critical_and_nothing_is_promised(known):
    known.cloud.servers.clear()
    for agent in known.agents:
        agent.__exit__()
    known.agents.clear()
    known.add(900, 900)
    known.check_cluster()
    fail_lists(known)
    done = known.check_cluster()
    assert ", 3 wanted: but nothing is done without a new list, by the list of " in first_line(done)
    assert done.returncode == 2


def test_an_old_list_proves_no_shortage(known):
    known.configure(change=("timeout: 5", f"timeout: 5\n      list-max-age: {LIST_AGE_S}"))
    text = (known.folder / "clusterscale.yaml").read_text()
    known.write("clusterscale.yaml", text.replace("min: 2", "min: 3"))
    assert "fewer than min 3" in first_line(known.check_cluster())
    fail_lists(known)
    done = known.check_cluster()
    assert "fewer" not in done.stdout and done.returncode == 0


def check_unknown(cluster, more=""):  # noqa: F811
    done = cluster.check_cluster()
    assert re.match(rf"CLUSTER CPU UNKNOWN - cluster 'web': no list of its servers: .*{more}$", first_line(done)), done.stdout
    assert done.returncode == 3


def test_too_old_is_no_list(known):
    fail_lists(known)
    age(known, LIST_AGE_S + 20)
    check_unknown(known, r"; the last complete list is 32[0-9] s old, list-max-age is 300 s")
    age(known, -3000)
    check_unknown(known, "; the last complete list is of the future: a clock was turned back")


@pytest.mark.parametrize("damage", [
    lambda text: "", lambda text: text[:-4], lambda text: text.replace("of web ", "of web2 "),
    lambda text: text.replace("\nat ", "\nat x"), lambda text: text.replace("complete 2", "complete 1"),
    lambda text: text.replace("\nlist ", "\nfailed -13 500 ")])
def test_a_file_of_another_shape_is_no_list(known, damage):
    fail_lists(known)
    path = known.state / "list"
    path.write_text(damage(path.read_text()))
    check_unknown(known)


@pytest.mark.parametrize("change", [("[private]", "[public]"), ("cloud: sim", "cloud: other")])
def test_a_list_of_something_else_is_none(known, change):
    text = (known.folder / "clouds.yaml").read_text()
    known.write("clouds.yaml", text + text.partition("clouds:\n")[2].replace("sim:", "other:").replace(
        "project_name: cluster", "project_name: cluster2"), 0o600)
    config = (known.folder / "clusterscale.yaml").read_text()
    known.write("clusterscale.yaml", config.replace(*change))
    known.cloud.inject(path="/v3/auth/tokens", action="status", status=500, count=1000)
    fail_lists(known)
    check_unknown(known)


def test_refused_credentials_are_unknown_at_once(known):
    known.write("clouds.yaml", (known.folder / "clouds.yaml").read_text().replace(PASSWORD, PASSWORD + "x"), 0o600)
    check_unknown(known)


def test_scaling_needs_a_new_list(known):
    fail_lists(known)
    assert known.check_cluster().returncode == 0
    done = subprocess.run([PROGRAM.parents[1] / "handlers/nova_scale", "-n", "web", "-f", known.folder / "clusterscale.yaml", "--create", "1"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "/servers/detail" in done.stdout + done.stderr
    assert known.cloud.requests("POST", r"/servers$") == []


def test_without_the_key_no_list_is_kept(cluster):  # noqa: F811
    cluster.add(300, 400)
    assert cluster.check_cluster().returncode == 0
    assert not (cluster.state / "list").exists()

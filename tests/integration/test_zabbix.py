#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Zabbix 6.0 on the shipped template, agent lines and action, imported through its own frontend.

A step of an action lasts a minute at least, so all scenarios run at once, each with a cloud, an agent and a
Zabbix host of its own, on one server; the tests collect what became of them.
"""
import concurrent.futures
import os
import re
import shutil
import sys
import time

import pytest
import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from core_lab import BUILD, CoreLab, wait_until  # noqa: E402
from core_scenarios import BUSY, LAZY, MIDDLE, hostile  # noqa: E402
import procs  # noqa: E402
import zabbix  # noqa: E402

pytestmark = pytest.mark.skipif(bool(zabbix.missing()), reason=f"needs {zabbix.missing()}")
STEP_S, INTERVAL_S = 60, 5
COOL_S = 45  # a run goes on while its work is open, and there are many measurements in a step
SCENARIOS = {}


def scenario(**given):
    """Marks a function that is run on a lab of these settings."""
    def mark(function):
        SCENARIOS[function.__name__] = function, given
        return function
    return mark


def ask_until(condition, what, timeout=2 * STEP_S):
    """wait_until() for what is asked of the database."""
    procs.wait_until(condition, timeout, what, 1)


# It does what it is for


@scenario(max=30, cool_up=COOL_S)
def load_that_stays_high_adds_a_server_at_every_step_until_it_falls(lab):
    lab.add(2)
    lab.start()
    lab.wait_state("OK")
    lab.agents.load = BUSY
    wait_until(lambda: len(lab.creates()) == 3, "three servers more", 4 * STEP_S)
    lab.agents.load = MIDDLE
    lab.wait_state("OK")
    lab.settle()
    fired = lab.core.firings()
    assert [state for _, state in fired] == ["CRITICAL"] * 3, "each adds one"
    assert all(abs(later[0] - before[0] - STEP_S) <= 4 for before, later in zip(fired, fired[1:])), fired
    assert len(lab.creates()) == 3 and not lab.deletes()
    lab.check_settled(5)


@scenario(min=2, cool_down=COOL_S)
def low_load_goes_down_to_min_and_no_further(lab):
    lab.add(5)
    lab.start()
    lab.wait_state("OK")
    lab.agents.load = LAZY
    wait_until(lambda: len(lab.ours()) == 2, "only two are left", 4 * STEP_S)
    lab.wait_state("OK")
    lab.wait_checked(2)
    lab.settle()
    assert lab.core.fired() == ["WARNING"] * 3
    assert len(lab.deletes()) == 3 and not lab.creates()
    lab.check_settled(2)


# What misleads

CLAIM = """#!/bin/sh
echo '{"state":"%s","exit":%d,"summary":"load is what I say","load":50.0,"servers":3,"members":[]}'
"""
BROKEN = {
    "missing": None,
    "not executable": "#!/bin/sh\nexit 0\n",
    "crashing": "#!/bin/sh\nkill -SEGV $$\n",
    "silent": "#!/bin/sh\nexit 2\n",
    "text": "#!/bin/sh\necho 'CLUSTER CPU CRITICAL - load 99 % | load=99%'\nexit 2\n",
    "hostile": "#!/bin/sh\ncat {said}\nexit 2\n",
}


@scenario()
def a_broken_plugin_with_a_stale_history_does_nothing(lab):
    lab.add(3)
    lab.measure(990, ago=600)
    (lab.dir / "said").write_text(hostile(lab.dir / "marker") * 2)
    for claim, text in (("CRITICAL", CLAIM % ("CRITICAL", 2)), ("WARNING", CLAIM % ("WARNING", 1))):
        lab.replace(lab.check, text)
        if not lab.core:
            lab.start()
        lab.wait_state(claim)
        wait_until(lambda: claim in lab.core.fired(), "the handler is fired", STEP_S)
    for name, script in BROKEN.items():
        if not lab.check.exists():
            lab.check.touch()
        lab.replace(lab.check, (script or "").format(said=lab.dir / "said"), 0o644 if name == "not executable" else 0o755)
        if not script:
            lab.check.unlink()
        time.sleep(2.2 * INTERVAL_S)
        assert lab.core.item_error("clusterscale.state"), name
    ask_until(lambda: not lab.core.problems("scale"), "no problem without values")
    lab.settle()
    assert lab.core.fired().count("CRITICAL") == 1
    assert not (lab.dir / "marker").exists()
    assert lab.acted() == [] and lab.intents() == []
    assert "hold" in lab.log()


@scenario(max=30, cool_up=COOL_S)
def a_plugin_that_dies_while_load_is_high_ends_the_firing(lab):
    lab.add(2)
    lab.start()
    lab.wait_state("OK")
    lab.agents.load = BUSY
    wait_until(lambda: lab.creates(), "a server is asked for", STEP_S)
    lab.check.unlink()
    ask_until(lambda: not lab.core.problems("scale"), "no problem without values")
    lab.settle()
    assert len(lab.creates()) == 1 and not lab.deletes()


@scenario()
def stopped_snmpds_do_nothing(lab):
    """Nor do the names of the silent ones, which the summary has."""
    lab.add(3, name=hostile(f"{lab.dir}/marker")[:255])
    lab.start()
    lab.wait_state("OK")
    lab.agents.stop()
    lab.wait_state("UNKNOWN")
    lab.wait_checked(3)
    assert "touch" in lab.seen[-1]
    lab.agents.restart()
    lab.wait_state("OK")
    assert lab.core.fired() == [] and lab.acted() == []
    assert not (lab.dir / "marker").exists()


@scenario()
def a_check_that_the_agent_gave_up_does_nothing(lab):
    lab.add(3)
    lab.start(agent_timeout=3)
    lab.wait_state("OK")
    lab.agents.load = BUSY
    lab.cloud.inject(method="GET", path="/servers", action="delay", delay=4, count=999)
    ask_until(lambda: "Timeout" in lab.core.item_error("clusterscale.cpu"), "the agent gave the check up")
    time.sleep(3 * INTERVAL_S)
    lab.settle()
    assert lab.core.fired() == [] and lab.acted() == []


@scenario()
def a_first_check_after_install_does_nothing(lab):
    lab.add(3)
    lab.agents.load = BUSY
    lab.start(interval_s=3600)
    lab.wait_fired(1)
    lab.settle()
    assert lab.acted() == [] and lab.intents() == []
    assert "hold" in lab.log()
    ask_until(lambda: not lab.core.problems("scale"), "no problem without values")


# Time


def late_s(checks):
    """By how much two checks were further apart than the interval, at the most."""
    return max(later["at"] - before["at"] for before, later in zip(checks, checks[1:])) - INTERVAL_S


@scenario()
def overlapping_firings_do_one_thing_and_hold_nobody_up(lab):
    """A build that takes longer than a step: the second firing meets the first one's run."""
    lab.add(2)
    lab.write_config(cool_up=600, min_span=1, snmp_port=lab.agents.port)
    lab.cloud.plan_builds(1, seconds=STEP_S + 8)
    lab.start()
    lab.wait_state("OK")
    idle_answer = max(answer_s(lab) for _ in range(6) if lab.wait_checked(1))
    idle_late = late_s(lab.core.checks())
    lab.agents.load = BUSY
    wait_until(lab.creates, "a server is asked for", STEP_S)
    begun, answers = len(lab.core.checks()), []
    while len(lab.core.fired()) < 2:
        assert lab.handlers(), "the first run is still at it"
        answers.append(answer_s(lab))
        time.sleep(1)
    late, answer = late_s(lab.core.checks()[begun:]), max(answers)
    lab.agents.load = MIDDLE
    lab.settle()
    assert len(lab.creates()) == 1 and not lab.deletes()
    lab.told = (f"; checks late by {late:.2f} s at the most (idle {idle_late:.2f}), "
                f"the agent answers in {answer:.2f} s (idle {idle_answer:.2f})")
    assert late <= idle_late + 0.5 and answer <= idle_answer + 0.5, lab.told
    lab.check_settled(3)


def answer_s(lab):
    began = time.monotonic()
    assert lab.core.ask("agent.ping") == (0, "1\n")
    return time.monotonic() - began


# What is said


@scenario()
def drift_that_stays_is_told_and_fires_nothing(lab):
    lab.add(3)
    lab.start(drift_interval_s=INTERVAL_S)
    lab.wait_state("OK")
    lab.check.unlink()
    ask_until(lambda: lab.core.problems("notify"), "the lack of measurements is a problem")
    [told] = lab.core.problems("notify")
    assert re.fullmatch(r"Cluster web: .* measurement .*", told), told
    assert lab.core.fired() == [] and lab.acted() == []


@scenario(cidr="127.18.0.0/21", max=600)
def the_output_for_500_members_arrives_whole(lab):
    members = {lab.cloud.add_server("web", metadata={"clusterscale.cluster": "web"}).id for _ in range(500)}
    lab.start(interval_s=20)
    wanted = {f"clusterscale.member.cpu[{id}]" for id in members}

    def valued():
        rows = lab.server.rows(f"""SELECT DISTINCT i.key_ FROM items i JOIN hosts h USING (hostid) JOIN history v USING (itemid)
            WHERE h.host = '{lab.name}' AND i.key_ LIKE 'clusterscale.member.cpu%'""")
        return {row["key_"] for row in rows}

    ask_until(lambda: valued() == wanted, "a value for each member", 3 * STEP_S)


@scenario()
def nothing_but_the_shipped_lines_can_be_started(lab):
    lab.add(3)
    lab.measure(990)
    marker = lab.dir / "marker"
    lab.start(cluster=f"web'; touch {marker}; '")
    ask_until(lambda: lab.core.item_error("clusterscale.cpu"), "the agent refuses the cluster's name")
    assert "Special characters" in lab.core.item_error("clusterscale.cpu")
    command = (f"{lab.plugins}/eventhandlers/nova_scale -f {lab.dir}/clusterscale.yaml -n web"
               " --state CRITICAL --state-type HARD --attempt 1")
    for key in (f"system.run[touch {marker}]", f"system.run[touch {marker},nowait]", f"system.run[{command}]",
                f"system.run[{command}; touch {marker},nowait]", f"system.run[{command.replace('web', 'all')},nowait]",
                f'system.run["{command} $(touch {marker})",nowait]', f"clusterscale.cpu[web'; touch {marker}; ']",
                f"clusterscale.cpu[$(touch {marker})]", f"clusterscale.drift[`touch {marker}`]"):
        assert "ZBX_NOTSUPPORTED" in lab.core.ask(key)[1], key
    assert not marker.exists() and lab.acted() == [] and not lab.handlers()
    assert lab.core.ask(f"system.run[{command},nowait]") == (0, "1\n")
    wait_until(lab.creates, "what is allowed runs", 30)
    lab.settle()


# They all run here


class ZabbixLab(CoreLab):
    """A CoreLab whose core is a host of `server`."""

    def __init__(self, folder, server, name, **given):
        self.server, self.name, self.told = server, name, ""
        super().__init__(folder, zabbix.Zabbix, **given)
        shutil.copy(BUILD / "plugins/check_cluster_drift", self.plugins)

    def start(self, **options):
        self.start_core(server=self.server, name=self.name, **options)


@pytest.fixture(scope="module")
def server():
    server = zabbix.Server()
    try:
        server.start()
        done = server.run_setup()
        assert done.returncode == 0, done.stdout + done.stderr
        yield server
    finally:
        server.stop()


def act(lab, function, stories):
    began = time.monotonic()
    try:
        function(lab)
    finally:
        stories[lab.name] = f"{time.monotonic() - began:.1f} s; {lab.core.story() if lab.core else 'not started'}{lab.told}"
        lab.close()


@pytest.fixture(scope="module")
def acting(server, request, tmp_path_factory):
    """What becomes of each scenario that was asked for, and what there is to tell of it."""
    folder, stories = tmp_path_factory.mktemp("zabbix"), {}
    names = [item.callspec.params["name"] for item in request.session.items if item.originalname == "test_scenario"]

    def begin(name):
        function, given = SCENARIOS[name]
        (folder / name).mkdir()
        act(ZabbixLab(folder / name, server, name, **given), function, stories)

    with concurrent.futures.ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {name: pool.submit(begin, name) for name in names}, stories
    procs.reap_orphans()


@pytest.fixture
def say(capfd):
    def print_now(text):
        with capfd.disabled():
            print(f"  {zabbix.Zabbix.title}: {text}", flush=True)
    return print_now


def exported(server, *kinds):
    """What Zabbix has of ours: the template as it exports it, and our rows of KINDS."""
    [template] = server.api.call("template.get", output=["templateid"], filter={"host": server.setup.TEMPLATE})
    text = server.api.call("configuration.export", format="yaml", options={"templates": [template["templateid"]]})
    rows = [server.api.call(f"{kind}.get", output="extend", search={"name": "clusterscale"}, **more) for kind, more in kinds]
    return text, rows


def test_the_template_is_what_zabbix_exports(server):
    text, _ = exported(server)
    ours = yaml.safe_load((zabbix.SHIPPED / "template.yaml.in").read_text())
    theirs = yaml.safe_load(text)
    for document in (ours, theirs):
        document["zabbix_export"].pop("date", None)
    assert theirs == ours


def test_setup_again_mends_and_adds_nothing(server):
    kinds = [("script", {}), ("action", {"selectOperations": "extend", "selectFilter": "extend"})]
    before = exported(server, *kinds)[1]
    [[script], [action]] = before
    assert [operation["esc_step_to"] for operation in action["operations"]] == ["0"] and action["esc_period"] == "1m"
    server.api.call("script.update", scriptid=script["scriptid"], command="something else")
    server.api.call("action.update", actionid=action["actionid"], esc_period="1h")
    assert exported(server, *kinds)[1] != before
    done = server.run_setup()
    assert done.returncode == 0, done.stderr
    after = exported(server, *kinds)[1]
    for [action] in (before[1], after[1]):
        action["operations"][0].pop("operationid"), action["operations"][0].pop("opcommand", None)
    assert after == before


def test_every_widget_of_the_dashboard_is_shown(server):
    """To a person who looks at a cluster's host, by the frontend; each graph is a picture."""
    api, name = server.api, "cluster to look at"
    api.cluster("web", name, "127.0.0.1", "10050")
    [host] = api.call("host.get", output=["hostid"], filter={"host": name}, selectParentTemplates=["templateid"])
    template = host["parentTemplates"][0]["templateid"]
    [dashboard] = api.call("templatedashboard.get", templateids=[template], selectPages="extend")
    widgets = [widget for page in dashboard["pages"] for widget in page["widgets"]]
    of_template = {kind: {row[f"{kind.removesuffix('prototype')}id"] for row in api.call(f"{kind}.get", templateids=[template])}
                   for kind in zabbix.REFERENCES.values()}
    browser = zabbix.Browser(server)
    page = browser.read("zabbix.php", {"action": "host.dashboard.view", "hostid": host["hostid"]}).decode()
    assert dashboard["name"] in page and "No permissions" not in page
    for widget in widgets:
        [(kind, id)] = [(zabbix.REFERENCES[int(field["type"])], field["value"]) for field in widget["fields"]
                        if int(field["type"]) in zabbix.REFERENCES]
        assert widget["type"] == kind and id in of_template[kind], widget
        shown, picture = browser.widget(widget, templateid=template, dashboardid=dashboard["dashboardid"],
                                        dynamic_hostid=host["hostid"])
        assert "No permissions" not in shown and "does not exist" not in shown, (widget, shown)
        assert (picture or b"").startswith(b"\x89PNG") == (kind == "graph"), (widget, shown, picture)
    assert len(widgets) == 9


@pytest.mark.parametrize("what, change, said", [
    ("a token that is none", lambda server, file: file.write_text("none\n"), "re-login"),
    ("a token that others can read", lambda server, file: file.chmod(0o644), "chmod 600"),
    ("no token", lambda server, file: file.unlink(), "No such file"),
])
def test_setup_says_what_is_wrong(server, tmp_path, what, change, said):
    file, kept = tmp_path / "token", server.token_file
    file.write_text(kept.read_text())
    file.chmod(0o600)
    change(server, file)
    server.token_file = file
    done = server.run_setup()
    server.token_file = kept
    assert done.returncode == 1 and done.stderr.startswith("setup: ") and said in done.stderr, (what, done.stderr)
    assert kept.read_text().strip() not in done.stderr


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(acting, name, say):
    futures, stories = acting
    try:
        futures[name].result()
    finally:
        say(f"{name}: {stories.get(name, 'not begun')}")


# After them, as it is everybody's core


def a_core_that_starts_again_does_nothing(lab):
    lab.add(3)
    lab.start()
    lab.wait_state("OK")
    lab.agents.load = BUSY
    lab.wait_fired(1)
    lab.server.kill_server()
    lab.agents.load = MIDDLE
    lab.settle()
    before = lab.acted()
    lab.server.start_server()
    lab.wait_state("OK")
    ask_until(lambda: not lab.core.problems("scale"), "the problem is over")
    lab.wait_checked(2)
    lab.settle()
    assert len(before) == 1 and lab.acted() == before
    lab.check_settled(4)


def test_restart(server, acting, tmp_path, say):
    concurrent.futures.wait(acting[0].values())
    stories = {}
    try:
        act(ZabbixLab(tmp_path, server, "restart", max=30, cool_up=COOL_S), a_core_that_starts_again_does_nothing, stories)
    finally:
        say(f"restart: {stories['restart']}")

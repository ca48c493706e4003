# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_sync against HAProxy's sockets as each version has them."""
import re

import pytest

pytest.register_assert_rewrite("balancer")
import balancer  # noqa: E402
from balancer import expect  # noqa: E402
from haproxy_fake import FakeHAProxy  # noqa: E402

ALL = ["2.4.0", "2.6.12-1+deb12u4", "2.8.0", "3.0.0", "3.2.0"]
DYNAMIC = ALL[1:]


@pytest.fixture
def make():
    """A balancer whose HAProxy is a fake of the version; two servers are published on it."""
    made = []

    def one(version, options="maxconn 512 check", **settings):
        lb = balancer.Balancer(more=["program: /bin/true"], **settings)
        made.append(lb)
        lb.yaml.write_text(re.sub('options: ".*"', f'options: "{options}"', lb.yaml.read_text()))
        state_file = lb.dir / "server-state" if settings.get("state_file") else None
        lb.fake = FakeHAProxy(lb.config, lb.stats, lb.master, version, state_file)
        servers = [lb.add("web1"), lb.add("web2")]
        expect(lb.sync(), 0, lb.report(servers))
        lb.fake.commands.clear()
        return lb, *servers
    yield one
    for lb in made:
        lb.fake.end()
        lb.__exit__()
        assert lb.fake.crashed is None


def orders(lb):
    """What HAProxy was told, apart from questions."""
    return [command for command in lb.fake.commands if not command.startswith("show ")]


def gate(lb, server, options="maxconn 512 check"):
    name = f"web/{server.name}"
    return [f"add server {name} {lb.address(server)}:{lb.service_port} {options}", f"set server {name} weight 0",
            f"enable health {name}", f"enable server {name}", f"set server {name} health down",
            f"set server {name} weight 100%"]


def added(lb, server):
    return f"server '{server.name}' {lb.address(server)}:{lb.service_port} added to backend 'web'\n"


def found(lb, *servers):
    return "".join(f"Found matched server {s.name} {lb.address(s)}, add to haproxy\n" for s in servers)


@pytest.mark.parametrize("version", DYNAMIC)
def test_a_server_is_added_by_the_gate(make, version):
    lb, one, two = make(version)
    three = lb.add("web3")
    expect(lb.sync(), 1, lb.report([one, two]))
    assert orders(lb) == gate(lb, three)
    lb.fake.health_checks()
    lb.fake.commands.clear()
    expect(lb.sync(), 0, lb.report([one, two, three]))
    assert lb.fake.commands == ["show stat"]


def test_2_4_is_reloaded(make):
    lb, one, two = make("2.4.0")
    three = lb.add("web3")
    expect(lb.sync("-v"), 0, lb.report([one, two, three]), stdout=found(lb, one, two, three) +
           "Reload haproxy: HAProxy 2.4 does not check added servers\n" + added(lb, three))
    assert orders(lb) == ["reload"]


@pytest.mark.parametrize("version", ["dev", "3"])
def test_a_version_that_cannot_be_read_is_reloaded(make, version):
    lb, one, two = make("2.6.0")
    lb.fake.version_text = version
    three = lb.add("web3")
    expect(lb.sync("-v"), 0, lb.report([one, two, three]), stdout=found(lb, one, two, three) +
           "Reload haproxy: its version is not known\n" + added(lb, three))
    assert orders(lb) == ["reload"]


@pytest.mark.parametrize("version, option, taken", [
    ("2.6.12", "cookie {name}", False), ("2.8.0", "cookie {name}", False), ("3.0.0", "cookie {name}", True),
    ("3.0.0", "init-state down", False), ("3.2.0", "init-state down", True),
    ("2.6.12", "enabled", False), ("3.0.0", "enabled", False), ("3.2.0", "slowstart 5s", True)])
def test_options_by_version(make, version, option, taken):
    options = f"check {option}"
    lb, one, two = make(version, options)
    three = lb.add("web3")
    done = lb.sync("-v")
    assert orders(lb) == (gate(lb, three, options.replace("{name}", "web3")) if taken else ["reload"])
    if not taken:
        word = option.split()[0]
        assert f"Reload haproxy: option '{word}' is not one to add a server with\n" in done.stdout


@pytest.mark.parametrize("version", DYNAMIC)
def test_without_a_check_the_probe_has_to_do(make, version):
    lb, one, two = make(version, "maxconn 9")
    three = lb.add("web3")
    expect(lb.sync(), 0, lb.report([one, two, three]))
    assert orders(lb) == [f"add server web/web3 {lb.address(three)}:{lb.service_port} maxconn 9", "enable server web/web3"]


@pytest.mark.parametrize("version", ALL)
def test_a_removal_is_no_reload_and_never_a_crash(make, version):
    lb, one, two = make(version)
    lb.mark(two)
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    rest = ["set server web/web2 state drain", "set server web/web2 state maint"]
    if version < "3":
        assert orders(lb) == rest
        assert lb.fake.servers["web2"].status == "MAINT"
    else:
        assert orders(lb) == [*rest, "wait 10s srv-removable web/web2", "del server web/web2"]
        assert "web2" not in lb.fake.servers
    lb.fake.commands.clear()
    expect(lb.sync(), 0, lb.report([one], drained=[two]))
    assert orders(lb) == []


def test_a_process_that_cannot_be_told_keeps_its_servers(make):
    """nbproc, which ended with 2.4: the stats socket is that of one process, the others go on sending."""
    lb, one, two = make("2.4.0")
    lb.fake.nbproc = 2
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], draining=[(two, 0)]))
    lb.mark(two, seconds_ago=301)  # drain-timeout
    expect(lb.sync(), 0, lb.report([one], drained=[two]))


def test_what_cannot_be_deleted_stays_in_maintenance(make):
    lb, one, two = make("3.0.0")
    lb.fake.servers["web2"].idle_connections = 3
    lb.mark(two)
    expect(lb.sync("-v"), 0, lb.report([one], drained=[two]), stdout="Drain server web2\n" + found(lb, one) +
           "server 'web2' stays in maintenance until the next reload\n"
           f"server 'web2' {lb.address(two)}:{lb.service_port} removed from backend 'web'\n")
    assert lb.fake.servers["web2"].status == "MAINT"


def test_a_drain_is_cancelled(make):
    lb, one, two = make("2.6.12")
    lb.fake.servers["web2"].sessions = 1
    lb.mark(two)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.unmark(two)
    expect(lb.sync(), 0, lb.report([one, two]))
    assert orders(lb) == ["set server web/web2 state drain", "set server web/web2 state ready"]


def test_clients_that_stick_are_moved_by_maintenance(make):
    """A tenth of drain-timeout after the mark; back to ready when it is taken away."""
    lb, one, two = make("2.6.12")
    lb.template.write_text(lb.template.read_text().replace("    balance", "    cookie SRV insert\n    balance"))
    expect(lb.sync(), 0, lb.report([one, two]))
    lb.fake.servers["web2"].sessions = 1
    lb.fake.commands.clear()
    lb.mark(two, seconds_ago=20)
    expect(lb.sync(), 1, lb.report([one], [(two, 1)]))
    lb.mark(two, seconds_ago=31)
    expect(lb.sync("-v"), 1, lb.report([one], [(two, 1)]),
           stdout="Drain server web2: maintenance, for clients that stick to it\n" + found(lb, one, two) +
           "Server web2 drains, sessions: 1\n")
    lb.unmark(two)
    expect(lb.sync(), 0, lb.report([one, two]))
    assert orders(lb) == [f"set server web/web2 state {state}" for state in ("drain", "maint", "ready")]


def test_a_refusal_is_a_reload(make):
    lb, one, two = make("2.6.12")
    three = lb.add("web3")
    lb.fake.backend = "other"
    lb.fake._show_stat = lambda words: FakeHAProxy._show_stat(lb.fake, words).replace("other,", "web,")
    expect(lb.sync(), 0, lb.report([one, two, three]), stderr="haproxy_sync: HAProxy does not add a server to what runs: "
           "'No such backend.'; reloading instead\n")
    assert orders(lb)[0].startswith("add server web/web3 ") and orders(lb)[-1] == "reload"


def test_a_reload_has_new_servers_down_by_the_state_file(make):
    lb, one, two = make("2.4.0", state_file=True)
    three = lb.add("web3")
    expect(lb.sync(), 1, lb.report([one, two]))
    assert {s.name: s.status for s in lb.fake.servers.values()} == {"web1": "UP", "web2": "UP", "web3": "DOWN"}
    lb.fake.health_checks()
    expect(lb.sync(), 0, lb.report([one, two, three]))
    lb.mark(three)
    expect(lb.sync(), 0, lb.report([one, two], drained=[three]))
    assert (lb.dir / "server-state").read_text() == "1\n"


def test_a_refusal_within_the_interval_waits(make):
    lb, one, two = make("2.6.12", interval=3600)
    three = lb.add("web3")
    lb.fake._add_server = lambda words: "'check' option is not accepted for dynamic server\n"
    done = lb.sync()
    expect(done, 1, lb.report([one, two]), stderr=done.stderr)
    assert re.fullmatch(r"haproxy_sync: a reload is needed \(HAProxy does not add a server to what runs: ''check' option is "
                        r"not accepted for dynamic server'\) and can be made in \d+ s: .*\n", done.stderr)
    lb.yaml.write_text(lb.yaml.read_text().replace("min-reload-interval: 3600", "min-reload-interval: 0"))
    expect(lb.sync(), 0, lb.report([one, two, three]))


COUNTED = ("the reload failed, the old worker still serves; HAProxy's log tells why (an address in use, a missing "
           "file?)")


@pytest.mark.parametrize("version, why", [
    ("2.4.0", COUNTED), ("2.6.12", COUNTED),
    ("2.8.0", "HAProxy could not load it: [ALERT] cannot bind"),
    ("3.2.0", "HAProxy could not load it: [ALERT] cannot bind")])
def test_a_failed_reload_puts_the_file_back(make, version, why):
    lb, one, two = make(version)
    text = lb.config.read_text()
    lb.template.write_text(lb.template.read_text().replace("roundrobin", "leastconn"))
    lb.fake.bad_reload = "[ALERT] cannot bind"
    done = lb.sync()
    assert done.returncode == 2 and lb.config.read_text() == text
    assert done.stderr.startswith(f"haproxy_sync: putting the old configuration back: {why} (the file that failed is kept as ")
    lb.fake.bad_reload = None
    (lb.dir / "haproxy.cfg.failed").unlink()  # a person has mended it
    expect(lb.sync(), 0, lb.report([one, two]))

# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_sync against a simulated cloud and a real HAProxy: exact output, exit status, and what HAProxy then does."""
import balancer
from balancer import expect, lb  # noqa: F401 (a fixture)


def found(lb, *servers):
    return "".join(f"Found matched server {s.name} {lb.address(s)}, add to haproxy\n" for s in servers)


def stamps(lb):
    return {path.name: path.stat().st_mtime_ns for path in (lb.config, *lb.dir.glob("sync/*applied"),
                                                            *lb.dir.glob("sync/*backup"))}


def test_servers_come_up_and_an_unchanged_run_touches_nothing(lb):
    one, two = lb.add("web1"), lb.add("web2")
    lb.start()
    expect(lb.sync("-v"), 0, lb.report([one, two]), stdout=found(lb, one, two) + "Reload haproxy\n"
           f"server 'web1' {lb.address(one)}:{lb.service_port} added to backend 'web'\n"
           f"server 'web2' {lb.address(two)}:{lb.service_port} added to backend 'web'\n")
    assert lb.config.read_text() == lb.lines(one, two)
    assert lb.status() == {"web1": "UP", "web2": "UP"}
    assert lb.get().endswith(lb.address(one)) and lb.get().endswith(lb.address(two))
    before, worker = stamps(lb), lb.workers()[0]
    expect(lb.sync("-v"), 0, lb.report([one, two]), stdout=found(lb, one, two))
    assert (stamps(lb), lb.workers()[0]) == (before, worker)
    three = lb.add("web3")
    expect(lb.sync(), 0, lb.report([one, two, three]))
    assert lb.config.read_text() == lb.lines(one, two, three)

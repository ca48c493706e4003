# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_sync --status beside a real HAProxy: what it shows, and that it changes nothing."""
import json
import socket

from balancer import ask, lb  # noqa: F401  (lb is a fixture)


def row(lb, server, file=True, running=True, status="UP", known=True):
    endpoint = f"{lb.address(server)}:{lb.service_port}"
    return {"name": server.name, "id": server.id if known else None, "file": endpoint if file else None,
            "running": endpoint if running else None, "status": status if running else None, "sessions": 0}


def status(lb):
    done = lb.sync("--status")
    assert (done.returncode, done.stderr) == (0, "")
    got = json.loads(done.stdout)
    assert done.stdout == json.dumps(got, separators=(",", ":")) + "\n"
    for server in got["servers"]:
        if server["status"]:  # "UP 1/5" while its checks go on
            server["status"] = server["status"].split()[0]
    return got


def test_what_the_file_and_the_running_haproxy_have(lb):  # noqa: F811
    web1, web2 = lb.add("web1"), lb.add("web2")
    lb.start()
    nothing = {"lb": socket.gethostname(), "applied": False, "failed": False, "servers": []}
    assert status(lb) == nothing
    assert not list((lb.dir / "sync").iterdir())
    lb.settle()
    agreed = {**nothing, "applied": True, "servers": [row(lb, web1), row(lb, web2)]}
    before = {path: path.read_bytes() for path in [lb.config, *(lb.dir / "sync").iterdir()]}
    assert status(lb) == agreed
    assert {path: path.read_bytes() for path in [lb.config, *(lb.dir / "sync").iterdir()]} == before

    ask(lb.stats, "set server web/web2 state maint")
    assert status(lb) == {**agreed, "servers": [row(lb, web1), row(lb, web2, status="MAINT")]}
    lb.config.write_text(lb.lines(web1))
    (lb.dir / "haproxy.cfg.failed").write_text("")
    # What is in maintenance without a line only waits for a reload.
    assert status(lb) == {**agreed, "applied": False, "failed": True, "servers": [row(lb, web1)]}
    ask(lb.stats, "set server web/web2 state ready")
    assert status(lb)["servers"] == [row(lb, web1), row(lb, web2, file=False)]


def test_a_line_of_nobody_and_no_haproxy(lb):  # noqa: F811
    web1 = lb.add("web1")
    lb.config.write_text(lb.lines(web1))
    done = lb.sync("--status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"haproxy_sync: cannot connect to HAProxy's socket {lb.stats}")
    assert "is HAProxy running" in done.stderr
    lb.start()
    assert status(lb)["servers"] == [row(lb, web1, known=False)]


def test_a_master_socket_that_is_not_there(lb):  # noqa: F811
    lb.add("web1")
    lb.start()
    lb.settle()
    lb.master.unlink()
    done = lb.sync("--status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"haproxy_sync: cannot connect to HAProxy's socket {lb.master}"), done.stderr

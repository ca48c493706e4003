#!/usr/bin/python3
"""What the simulated cloud does over time and under faults.

That it answers as a real cloud does is held by test_simcloud_transcripts.py.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest

from simcloud import SimCloud

PROGRAM = pathlib.Path(__file__).with_name("simcloud.py")


class Client:
    """A client of one cloud that keeps its connection and its token."""

    def __init__(self, url, version="2.90"):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self.headers = {"OpenStack-API-Version": f"compute {version}"}

    def ask(self, method, path, body=None, **headers):
        """(status, headers, decoded body); what the server breaks off raises."""
        given = {"Content-Type": "application/json", **self.headers, **headers}
        self.connection.request(method, path, json.dumps(body) if body is not None else None,
                                given)
        try:
            answer = self.connection.getresponse()
            text = answer.read()
        except http.client.HTTPException:
            self.connection.close()
            raise
        kind = answer.getheader("Content-Type") or ""
        return (answer.status, dict(answer.getheaders()),
                json.loads(text) if text and "json" in kind else text.decode())

    def login(self, user="cluster", password="labsecret", project="cluster"):
        domain = {"name": "Default"}
        auth = {"identity": {"methods": ["password"], "password": {
                    "user": {"name": user, "domain": domain, "password": password}}},
                "scope": {"project": {"name": project, "domain": domain}}}
        status, headers, _ = self.ask("POST", "/identity/v3/auth/tokens", {"auth": auth})
        assert status == 201
        self.headers["X-Auth-Token"] = headers["X-Subject-Token"]
        return self

    def nova(self, method, path, body=None, **headers):
        return self.ask(method, f"/compute/v2.1{path}", body, **headers)

    def create(self, cloud, name="web", **more):
        status, _, body = self.nova("POST", "/servers", {"server": {
            "name": name, "imageRef": cloud.image.id, "flavorRef": "2",
            "networks": [{"uuid": cloud.network.id}], **more}})
        assert status == 202, body
        return body["server"]["id"]

    def names(self, query=""):
        return [row["name"] for row in self.nova("GET", f"/servers{query}")[2]["servers"]]

    def show(self, id):
        return self.nova("GET", f"/servers/{id}")[2]["server"]


@pytest.fixture
def make():
    """Clouds with a client that is logged in; all end with the test."""
    clouds = []

    def start(**options):
        cloud = SimCloud(**({"build_seconds": 0, "delete_seconds": 0} | options)).start()
        clouds.append(cloud)
        return cloud, Client(cloud.url).login()

    yield start
    for cloud in clouds:
        cloud.stop()


def active(cloud, id):
    assert cloud.wait_for(lambda: cloud.servers[id].status == "ACTIVE")


def gone(cloud, id):
    assert cloud.wait_for(lambda: id not in cloud.servers)


# Builds and deletes

def test_a_build_goes_through_its_tasks(make):
    cloud, client = make(build_seconds=0.4)
    id = client.create(cloud, metadata={"k": "v"}, tags=["a:b"])
    seen = []
    while client.show(id)["status"] == "BUILD":
        row = client.show(id)
        step = row["OS-EXT-STS:task_state"], bool(row["addresses"])
        if not seen or seen[-1] != step:
            seen.append(step)
    assert [step for step in seen if step[0]] == [
        ("scheduling", False), ("networking", False), ("spawning", False), ("spawning", True)]
    row = client.show(id)
    assert row["status"] == "ACTIVE" and row["metadata"] == {"k": "v"} and row["tags"] == ["a:b"]
    assert row["addresses"]["private"][0]["addr"] == "127.18.0.1"


def test_addresses_are_taken_in_order_and_freed(make):
    cloud, client = make()
    ids = [client.create(cloud) for _ in range(3)]
    for id in ids:
        active(cloud, id)
    addresses = {cloud.servers[id].address for id in ids}
    assert addresses == {"127.18.0.1", "127.18.0.2", "127.18.0.3"}
    freed = cloud.servers[ids[1]].address
    assert client.nova("DELETE", f"/servers/{ids[1]}")[0] == 204
    gone(cloud, ids[1])
    again = client.create(cloud)
    active(cloud, again)
    assert cloud.servers[again].address == freed


def test_a_network_without_addresses_fails_the_build(make):
    cloud, client = make(cidr="127.18.0.0/30")
    ids = [client.create(cloud) for _ in range(3)]
    assert cloud.wait_for(lambda: sorted(cloud.servers[i].status for i in ids)
                          == ["ACTIVE", "ACTIVE", "ERROR"])


def test_a_delete_shows_active_until_it_is_gone(make):
    cloud, client = make(delete_seconds=0.2)
    id = cloud.add_server("old").id
    assert client.nova("DELETE", f"/servers/{id}")[0] == 204
    row = client.show(id)
    assert (row["status"], row["OS-EXT-STS:task_state"]) == ("ACTIVE", "deleting")
    assert client.names() == ["old"]
    assert client.nova("DELETE", f"/servers/{id}")[0] == 204
    gone(cloud, id)
    assert client.nova("GET", f"/servers/{id}")[0] == 404
    assert client.names() == []


def test_what_a_building_server_refuses(make):
    cloud, client = make()
    cloud.plan_builds(outcome="hang")
    id = client.create(cloud)
    assert cloud.wait_for(lambda: cloud.servers[id].task_state == "spawning")
    body = {"metadata": {"a": "b"}}
    status, _, body = client.nova("POST", f"/servers/{id}/metadata", body)
    assert (status, body["conflictingRequest"]["message"]) == (
        409, f"Cannot 'update metadata' instance {id} while it is in vm_state building")
    assert client.nova("PUT", f"/servers/{id}/tags/x")[0] == 409


def test_planned_builds(make):
    cloud, client = make()
    cloud.plan_builds(2, outcome="error", message="Build of instance {id} aborted: no",
                      fault_in_list=False)
    cloud.plan_builds(outcome="hang")
    bad, worse, hangs, good = [client.create(cloud, name) for name in "abcd"]
    active(cloud, good)
    assert cloud.wait_for(lambda: cloud.servers[worse].status == "ERROR"
                          and cloud.servers[bad].status == "ERROR")
    assert client.show(bad)["fault"]["message"] == f"Build of instance {bad} aborted: no"
    rows = client.nova("GET", "/servers/detail?status=ERROR")[2]["servers"]
    assert {row["name"] for row in rows if "fault" not in row} == {"a", "b"}
    assert client.show(hangs)["status"] == "BUILD"
    assert client.nova("DELETE", f"/servers/{hangs}")[0] == 204
    gone(cloud, hangs)


def test_planned_deletes(make):
    cloud, client = make()
    cloud.plan_deletes(outcome="error")
    cloud.plan_deletes(outcome="hang")
    id = cloud.add_server("x").id
    client.nova("DELETE", f"/servers/{id}")
    assert cloud.wait_for(lambda: cloud.servers[id].status == "ERROR")
    client.nova("DELETE", f"/servers/{id}")
    assert cloud.wait_for(lambda: cloud.servers[id].stuck)
    client.nova("DELETE", f"/servers/{id}")
    gone(cloud, id)


def test_quota_counts_failed_servers(make):
    cloud, client = make(quota_instances=1)
    cloud.plan_builds(outcome="error")
    client.create(cloud)
    status, _, body = client.nova("POST", "/servers", {"server": {
        "name": "x", "imageRef": cloud.image.id, "flavorRef": "2", "networks": "auto"}})
    assert (status, body["forbidden"]["message"]) == (
        403, "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances")


# Hooks

def test_hooks_frame_the_life_of_an_instance(make):
    calls = []
    cloud, client = make(
        on_spawn=lambda s: calls.append(("up", s["name"], s["address"], s["status"])),
        on_destroy=lambda s: calls.append(("down", s["name"], s["address"],
                                           s["id"] in cloud.servers)))
    id = client.create(cloud)
    active(cloud, id)
    client.nova("DELETE", f"/servers/{id}")
    gone(cloud, id)
    assert calls == [("up", "web", "127.18.0.1", "BUILD"), ("down", "web", "127.18.0.1", True)]


def test_a_failing_hook_fails_the_build(make):
    def refuse(server):
        raise RuntimeError("no room")
    cloud, client = make(on_spawn=refuse)
    id = client.create(cloud)
    assert cloud.wait_for(lambda: cloud.servers[id].status == "ERROR")
    assert client.show(id)["fault"]["message"] == f"Build of instance {id} aborted: no room"


def test_a_delete_waits_for_the_spawn_hook(make):
    spawning, release, calls = threading.Event(), threading.Event(), []

    def spawn(server):
        spawning.set()
        assert release.wait(10)
        calls.append("up")
    cloud, client = make(on_spawn=spawn, on_destroy=lambda s: calls.append("down"))
    id = client.create(cloud)
    assert spawning.wait(10)
    client.nova("DELETE", f"/servers/{id}")
    assert id in cloud.servers
    release.set()
    gone(cloud, id)
    assert calls == ["up", "down"]


def test_stop_destroys_what_was_spawned():
    calls = []
    with SimCloud(build_seconds=0, on_destroy=lambda s: calls.append(s["name"])) as cloud:
        id = Client(cloud.url).login().create(cloud)
        cloud.add_server("foreign")
        active(cloud, id)
    assert calls == ["web"]


# Lists

def test_pages_are_followed_to_the_end(make):
    cloud, client = make(max_limit=4)
    for number in range(8):
        cloud.add_server(f"s{number}", age=number)
    names, path = [], "/compute/v2.1/servers/detail?name=s"
    pages = 0
    while path:
        _, _, body = client.ask("GET", path)
        names += [row["name"] for row in body["servers"]]
        links = body.get("servers_links", [])
        path = urlsplit(links[0]["href"])._replace(scheme="", netloc="").geturl() if links else ""
        pages += 1
    assert names == [f"s{number}" for number in range(8)]
    assert pages == 3  # the full second page has a link, though it is the last


def test_a_marker_that_went_away_breaks_the_list(make):
    cloud, client = make()
    id = cloud.add_server("x").id
    cloud.lifecycle.forget(cloud.servers[id])
    assert client.nova("GET", f"/servers?marker={id}")[0] == 400


def test_unreachable_servers_are_unknown_rows(make):
    cloud, client = make()
    id = cloud.add_server("lost", unreachable=True).id
    assert client.nova("GET", "/servers/detail")[2]["servers"][0]["status"] == "UNKNOWN"
    assert "name" not in client.nova("GET", "/servers/detail")[2]["servers"][0]
    assert client.show(id)["status"] == "UNKNOWN"
    old = Client(cloud.url, "2.68").login()
    assert old.names() == []


def test_a_changed_server_has_a_new_row(make):
    cloud, client = make()
    id = cloud.add_server("x").id
    before = client.nova("GET", "/servers/detail")[2]["servers"][0]
    assert client.nova("PUT", f"/servers/{id}/metadata/a", {"meta": {"a": "1"}})[0] == 200
    assert client.nova("PUT", f"/servers/{id}/tags/t")[0] == 201
    after = client.nova("GET", "/servers/detail")[2]["servers"][0]
    assert (before["metadata"], before["tags"]) == ({}, [])
    assert (after["metadata"], after["tags"]) == ({"a": "1"}, ["t"])


def test_ten_thousand_servers_are_listed_fast(make):
    cloud, client = make(cidr="127.18.0.0/16")
    for number in range(10000):
        cloud.add_server(f"s{number}")
    client.nova("GET", "/servers/detail")
    started, rows, marker = time.monotonic(), 0, ""
    while marker is not None:
        body = client.nova("GET", f"/servers/detail?limit=1000{marker}")[2]
        rows += len(body["servers"])
        marker = f"&marker={body['servers'][-1]['id']}" if "servers_links" in body else None
    assert rows == 10000
    assert time.monotonic() - started < 10


def test_several_networks_and_addresses(make):
    cloud, client = make(networks=[("public", "127.19.0.0/24")])
    public = next(n for n in cloud.networks.values() if n.name == "public")
    id = client.create(cloud, networks=[{"uuid": cloud.network.id}, {"uuid": public.id}])
    active(cloud, id)
    shown = client.show(id)["addresses"]
    assert [shown[n][0]["addr"] for n in ("private", "public")] == ["127.18.0.1", "127.19.0.1"]
    foreign = cloud.add_server("x", addresses={"private": ["127.18.0.9", "fd00::9"], "other": []})
    assert [a["version"] for a in client.show(foreign.id)["addresses"]["private"]] == [4, 6]


# Rights and tokens

def test_a_reader_only_reads(make):
    cloud, _ = make()
    id = cloud.add_server("x").id
    reader = Client(cloud.url).login("reader", "readersecret")
    assert reader.names() == ["x"] and reader.show(id)["name"] == "x"
    for method, path, rule in (("POST", "/servers", "servers:create"),
                               ("DELETE", f"/servers/{id}", "servers:delete"),
                               ("PUT", f"/servers/{id}/tags/a", "os-server-tags:update")):
        status, _, body = reader.nova(method, path, {"server": {}})
        assert (status, body["forbidden"]["message"]) == (
            403, f"Policy doesn't allow os_compute_api:{rule} to be performed.")


def test_tokens_end(make):
    cloud, client = make(token_lifetime=0.2)
    expired = cloud.keystone.tokens[client.headers["X-Auth-Token"]].expires_at
    while time.time() < expired:
        time.sleep(0.01)
    assert client.nova("GET", "/servers")[0] == 401
    assert client.login().nova("GET", "/servers")[0] == 200
    client.ask("DELETE", "/_sim/tokens")
    assert client.nova("GET", "/servers")[0] == 401


def test_an_application_credential_serves(make):
    cloud, client = make()
    facts = cloud.facts()
    auth = {"identity": {"methods": ["application_credential"], "application_credential": {
        "id": facts["app_credential_id"], "secret": facts["app_credential_secret"]}}}
    status, headers, body = client.ask("POST", "/identity/v3/auth/tokens", {"auth": auth})
    assert status == 201 and body["token"]["project"]["name"] == "cluster"
    client.headers["X-Auth-Token"] = headers["X-Subject-Token"]
    id = client.create(cloud)
    active(cloud, id)


# Look-ups

def test_look_ups_by_name(make):
    cloud, client = make()
    cloud.add_image("rails-snapshot")
    images = client.ask("GET", "/image/v2/images?name=rails-snapshot")[2]["images"]
    assert len(images) == 2 and {i["status"] for i in images} == {"active"}
    assert client.ask("GET", "/image/v2/images?name=other")[2]["images"] == []
    networks = client.ask("GET", "/networking/v2.0/networks?name=private")[2]["networks"]
    assert [n["id"] for n in networks] == [cloud.network.id]
    groups = client.ask("GET", "/networking/v2.0/security-groups?name=default")[2]
    assert len(groups["security_groups"]) == 1
    flavors = client.nova("GET", "/flavors/detail")[2]["flavors"]
    assert [(f["id"], f["vcpus"]) for f in flavors if f["name"] == "m1.small"] == [("2", 1)]
    assert client.nova("GET", "/os-keypairs")[2]["keypairs"][0]["keypair"]["name"] == "keypair"
    zones = client.nova("GET", "/os-availability-zone")[2]["availabilityZoneInfo"]
    assert [z["zoneName"] for z in zones] == ["nova"]
    assert client.ask("GET", "/image/v2/images/nosuch")[0] == 404
    assert client.ask("GET", "/networking/v2.0/networks/nosuch")[0] == 404


# Faults

def test_a_status_instead_of_an_answer(make):
    cloud, client = make()
    cloud.inject(method="POST", path="/servers$", status=429, headers={"Retry-After": "2"})
    cloud.inject(path="/servers", skip=1, count=2, status=502, body="<html>bad</html>")
    assert client.nova("POST", "/servers", {})[:1] == (429,)
    assert [client.nova("GET", "/servers")[0] for _ in range(4)] == [200, 502, 502, 200]


def test_a_lost_answer_did_happen(make):
    cloud, client = make()
    cloud.inject(method="POST", path="/servers$", action="lose")
    with pytest.raises(http.client.RemoteDisconnected):
        client.create(cloud, "ghost")
    assert client.names() == ["ghost"]


def test_a_dropped_request_did_not_happen(make):
    cloud, client = make()
    cloud.inject(method="POST", path="/servers$", action="drop")
    with pytest.raises(http.client.RemoteDisconnected):
        client.create(cloud, "never")
    assert client.names() == []


def test_a_truncated_answer(make):
    cloud, client = make()
    cloud.add_server("x")
    cloud.inject(path="/servers", action="truncate")
    with pytest.raises(http.client.IncompleteRead):
        client.names()
    assert client.names() == ["x"]


def test_a_late_answer(make):
    cloud, client = make()
    cloud.inject(path="/servers", action="delay", delay=0.2)
    started = time.monotonic()
    assert client.names() == []
    assert time.monotonic() - started >= 0.2


def test_a_missing_page_and_an_empty_list(make):
    cloud, client = make(max_limit=1)
    for name in "ab":
        cloud.add_server(name)
    cloud.inject(method="GET", path="marker=", status=500)
    first = client.nova("GET", "/servers")[2]
    assert client.nova("GET", f"/servers?marker={first['servers'][0]['id']}")[0] == 500
    cloud.inject(path="/servers", action="empty")
    assert client.nova("GET", "/servers/detail")[2] == {"servers": []}


# Control endpoint and request log

def test_the_control_endpoint(make):
    cloud, client = make()
    status, _, body = client.ask("POST", "/_sim/servers", {
        "name": "foreign", "count": 2, "metadata": {"clusterscale.cluster": "web"},
        "status": "SHUTOFF", "tags": ["t"]})
    assert status == 200 and [s["status"] for s in body["servers"]] == ["SHUTOFF"] * 2
    id = body["servers"][0]["id"]
    assert client.ask("PUT", f"/_sim/servers/{id}", {"status": "ERROR", "locked": True})[0] == 200
    assert (client.show(id)["status"], client.show(id)["locked"]) == ("ERROR", True)
    assert client.ask("DELETE", f"/_sim/servers/{id}")[0] == 200
    assert client.nova("GET", f"/servers/{id}")[0] == 404
    assert client.ask("POST", "/_sim/faults", {"path": "/servers", "status": 500})[0] == 200
    assert client.ask("GET", "/_sim/faults")[2]["faults"][0]["count"] == 1
    assert client.nova("GET", "/servers")[0] == 500
    assert client.ask("POST", "/_sim/builds", {"outcome": "error", "count": 1})[0] == 200
    assert client.ask("PUT", "/_sim/down", {"services": ["neutron"]})[0] == 200
    assert client.nova("GET", "/servers/detail")[0] == 500
    assert client.ask("DELETE", "/_sim/faults")[0] == 200
    assert client.nova("GET", "/servers/detail")[0] == 200
    assert client.ask("PUT", "/_sim/quota", {"instances": 0})[2]["instances"] == 0
    image = client.ask("POST", "/_sim/images", {"name": "new", "status": "queued"})[2]
    assert client.ask("PUT", f"/_sim/images/{image['id']}", {"status": "active"})[0] == 200


@pytest.mark.parametrize("method, path, body, status", (
    ("GET", "/_sim/nosuch", None, 404), ("POST", "/_sim/faults", {"action": "nosuch"}, 400),
    ("POST", "/_sim/faults", {"path": "["}, 400), ("PUT", "/_sim/servers/nosuch", {}, 400),
    ("POST", "/_sim/servers", {"name": "x", "nosuch": 1}, 400)))
def test_control_mistakes_are_refused(make, method, path, body, status):
    _, client = make()
    answer = client.ask(method, path, body)
    assert answer[0] == status and answer[2]["error"]


def test_the_request_log(make):
    cloud, client = make()
    client.create(cloud, "logged")
    entry = cloud.requests("POST", "/servers$")[0]
    assert json.loads(entry["body"])["server"]["name"] == "logged"
    assert (entry["status"], entry["headers"]["openstack-api-version"]) == (202, "compute 2.90")
    logged = client.ask("GET", "/_sim/requests?method=POST&path=servers")[2]["requests"]
    assert [r["path"] for r in logged] == ["/compute/v2.1/servers"]
    client.ask("DELETE", "/_sim/requests")
    assert cloud.requests() == []


def test_one_connection_serves_many_requests(make):
    cloud, client = make()
    client.names()
    first = client.connection.sock
    for _ in range(5):
        client.names()
    assert client.connection.sock is first


def test_a_large_body_is_taken_at_once(make):
    cloud, client = make()
    body = json.dumps({"server": {"name": "big", "imageRef": cloud.image.id, "flavorRef": "2",
                                  "user_data": "A" * 60000}})
    raw = socket.create_connection(urlsplit(cloud.url).netloc.split(":"), timeout=10)
    raw.sendall((f"POST /compute/v2.1/servers HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                 f"X-Auth-Token: {client.headers['X-Auth-Token']}\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n").encode())
    assert raw.recv(100).startswith(b"HTTP/1.1 100")
    raw.sendall(body.encode())
    assert raw.recv(100).startswith(b"HTTP/1.1 202")
    raw.close()


def test_a_body_of_a_strange_shape_is_an_error(make, capfd):
    _, client = make()
    assert client.nova("POST", "/servers", {"server": [1]})[0] >= 400
    assert client.nova("POST", "/servers", {"server": {"name": "x", "flavorRef": "2", "imageRef":
                                                       7, "networks": "auto"}})[0] >= 400
    capfd.readouterr()


def test_stop_ends_kept_connections():
    cloud = SimCloud().start()
    client = Client(cloud.url).login()
    cloud.stop()
    with pytest.raises((http.client.HTTPException, OSError)):
        client.connection.request("GET", "/compute/v2.1/servers")
        client.connection.getresponse()


# The command

def test_the_command_runs_hooks_and_ends_on_sigterm(tmp_path):
    ready, calls = tmp_path / "ready", tmp_path / "calls"
    script = tmp_path / "hook"
    script.write_text(f'#!/bin/sh\necho "$*" "$(grep SigBlk /proc/self/status)" >>{calls}\n')
    script.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "--ready-file", ready, "--build-seconds", "0",
         "--delete-seconds", "0", "--cidr", "127.20.0.0/24", "--log", tmp_path / "log",
         "--spawn-hook", f"{script} up", "--destroy-hook", f"{script} down"])
    try:
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.01)
        facts = json.loads(ready.read_text())
        assert stat.S_IMODE(os.stat(ready).st_mode) == 0o600
        client = Client(facts["url"]).login()
        status, _, body = client.nova("POST", "/servers", {"server": {
            "name": "web", "imageRef": facts["image_id"], "flavorRef": "2",
            "networks": [{"uuid": facts["network_id"]}]}})
        id = body["server"]["id"]
        while client.show(id)["status"] != "ACTIVE":
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    none_blocked = "SigBlk:\t0000000000000000"
    assert calls.read_text().splitlines() == [f"up {id} web 127.20.0.1 {none_blocked}",
                                              f"down {id} web 127.20.0.1 {none_blocked}"]
    assert " 202 POST /compute/v2.1/servers" in (tmp_path / "log").read_text()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of servers on a real OpenStack: from the first one to a snapshot that the next one boots from. Most of it
is one cluster's, as each server takes seconds; a test says how many it begins with."""
import re

import procs
import pytest
import settings
from lab_cluster import Cluster, address, wait_until
from rest import Refused


@pytest.fixture(scope="module")
def web(cloud, tmp_path_factory):
    web = Cluster(cloud, tmp_path_factory.mktemp("web"), name="life")
    yield web
    web.close()
    cloud.clear()


def begin_with(cluster, count):
    status, out = cluster.run("--to", count)
    assert status == 0, out
    cluster.check_settled(count)
    return cluster.servers()


def test_create_serves_and_delete_drains(web):
    out = web.create(2)
    assert out.count("status ACTIVE") == 2 and out.endswith("Done\n")
    web.check_settled(2)
    first, second = web.servers()
    assert first["key_name"] == settings.KEYPAIR
    assert [group["name"] for group in first["security_groups"]] == [settings.SECURITY_GROUP]
    assert first["image"]["id"] == image(web, settings.IMAGE)["id"]
    status, out = web.run("-t", 60, name="check_cluster_cpu")
    assert re.match(r"CLUSTER CPU OK - life: load [0-9.]+ % of 2 servers \(2 sampled", out), out
    status, out = web.run("-t", 60, name="check_cluster_drift")
    assert (status, out.partition(" | ")[0]) == (0, "CLUSTER DRIFT OK - life: 2 servers of 1 to 8, all agree"), out
    status, out = web.run("--delete", second["id"])
    assert status == 0, out
    assert re.search(r"is drained on 1 load balancer, \d+ s after its mark", out)
    web.check_settled(1)
    assert web.serving() == {address(first)}
    with pytest.raises(Refused) as refused:
        web.user.get("nova", f"/servers/{second['id']}")
    assert refused.value.status == 404


def image(cluster, name):
    (found,) = cluster.user.get("glance", f"/v2/images?name={name}")["images"]
    return found


def test_snapshot_is_booted_from(web):
    (server,) = begin_with(web, 1)
    status, out = web.run("--snapshot", "web-1")
    assert status == 0, out
    made = image(web, "web-1")
    assert made["status"] == "active" and made["size"] > 0
    web.configure(image="web-1")
    web.create(1)
    web.configure(image=settings.IMAGE)
    web.check_settled(2)
    assert sorted(one["image"]["id"] for one in web.servers()) == sorted([server["image"]["id"], made["id"]])


def test_application_credential(web):
    begin_with(web, 1)
    web.configure(cloud="lab-application")
    web.create(1)
    web.configure(cloud="lab")
    web.check_settled(2)


def test_delete_that_somebody_else_was_faster_with(web):
    gone = begin_with(web, 2)[0]["id"]
    web.user.ask("DELETE", "nova", f"/servers/{gone}")
    assert gone not in [one["id"] for one in begin_with(web, 2)]


def test_locked_server_stays_until_it_is_unlocked(web):
    locked = begin_with(web, 2)[0]
    web.user.post("nova", f"/servers/{locked['id']}/action", {"lock": {"locked_reason": "kept for a look"}})
    status, out = web.run("--delete", locked["id"])
    assert status == 3
    assert f"server '{locked['name']}' ({locked['id']}) is not deleted: it is locked" in out
    web.check_settled(2)
    web.user.post("nova", f"/servers/{locked['id']}/action", {"unlock": None})
    assert web.run("--delete", locked["id"])[0] == 0
    web.check_settled(1)


def test_what_is_being_built_goes_before_what_serves(cloud, web):
    (serving,) = begin_with(web, 1)
    cloud.order_builds("hang")
    try:
        child = web.begin("--create", 1)
        wait_until(lambda: len(web.servers()) == 2, "Nova has the new one")
        procs.kill_group(child)
        assert [one["id"] for one in begin_with(web, 1)] == [serving["id"]]
    finally:
        cloud.order_builds(None)


def test_floating_address_comes_and_goes_with_its_server(make_cluster):
    cluster = make_cluster(more=f"floating-network: {settings.EXTERNAL_NETWORK}")
    cluster.create(2)
    cluster.check_settled(2)

    def floating():
        return {one["fixed_ip_address"]: one for one in cluster.user.get("neutron", "/v2.0/floatingips")["floatingips"]}

    both = cluster.servers()
    assert floating().keys() == {address(one) for one in both}
    gone = both[1]
    lost = floating()[address(gone)]
    status, out = cluster.run("--delete", gone["id"])
    assert status == 0 and f"floating address {lost['floating_ip_address']} is released: server {gone['id']} is gone" in out
    assert floating().keys() == {address(both[0])}
    # Somebody takes it off: it is put back.
    kept = floating()[address(both[0])]
    cluster.user.ask("PUT", "neutron", f"/v2.0/floatingips/{kept['id']}", {"floatingip": {"port_id": None}})
    assert cluster.run("--to", 1)[0] == 0
    assert floating()[address(both[0])]["id"] == kept["id"]


def test_ports_that_were_there_before(make_cluster):
    cluster = make_cluster()
    network = cluster.user.get("neutron", f"/v2.0/networks?name={settings.NETWORK}")["networks"][0]["id"]
    ports = [cluster.user.post("neutron", "/v2.0/ports", {"port": {"network_id": network, "name": f"web-{i}"}})["port"]
             for i in range(2)]
    try:
        cluster.configure(more="ports: [web-0, web-1]", max=2)
        cluster.create(2)
        cluster.check_settled(2)
        assert {address(one) for one in cluster.servers()} == {one["fixed_ips"][0]["ip_address"] for one in ports}
        assert cluster.run("--delete", cluster.servers()[0]["id"])[0] == 0
        cluster.create(1)
        cluster.check_settled(2)
        assert {address(one) for one in cluster.servers()} == {one["fixed_ips"][0]["ip_address"] for one in ports}
    finally:
        cluster.lab.clear()
        for one in ports:
            cluster.user.ask("DELETE", "neutron", f"/v2.0/ports/{one['id']}")

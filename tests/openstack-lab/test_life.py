#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of servers on a real OpenStack: from the first one to a snapshot that the next one boots from."""
import re

import settings
from lab_cluster import address, wait_until
from rest import Refused

import pytest


def test_create_serves_and_delete_drains(cluster):
    out = cluster.create(2)
    assert out.count("status ACTIVE") == 2 and out.endswith("Done\n")
    cluster.check_settled(2)
    first, second = cluster.servers()
    assert first["key_name"] == settings.KEYPAIR
    assert [group["name"] for group in first["security_groups"]] == [settings.SECURITY_GROUP]
    assert first["image"]["id"] == image(cluster, settings.IMAGE)["id"]
    status, out = cluster.run(name="check_cluster_cpu")
    assert re.match(r"CLUSTER CPU OK - web: load [0-9.]+ % of 2 servers \(2 sampled", out), out
    status, out = cluster.run(name="check_cluster_drift")
    assert (status, out.partition(" | ")[0]) == (0, "CLUSTER DRIFT OK - web: 2 servers of 1 to 8, all agree"), out
    status, out = cluster.run("--delete", second["id"])
    assert status == 0, out
    assert re.search(r"is drained on 1 load balancer, \d+ s after its mark", out)
    cluster.check_settled(1)
    assert cluster.serving() == {address(first)}
    with pytest.raises(Refused) as refused:
        cluster.user.get("nova", f"/servers/{second['id']}")
    assert refused.value.status == 404


def image(cluster, name):
    (found,) = cluster.user.get("glance", f"/v2/images?name={name}")["images"]
    return found


def test_snapshot_is_booted_from(cluster):
    cluster.create(1)
    (server,) = cluster.servers()
    made = cluster.user.post("nova", f"/servers/{server['id']}/action", {"createImage": {"name": "web-1"}})
    wait_until(lambda: image(cluster, "web-1")["status"] == "active", "the snapshot is uploaded")
    assert image(cluster, "web-1")["size"] > 0
    cluster.configure(image="web-1")
    cluster.create(1)
    cluster.check_settled(2)
    assert sorted(one["image"]["id"] for one in cluster.servers()) == sorted(
        [server["image"]["id"], made["image_id"]])


def test_application_credential(make_cluster):
    cluster = make_cluster(cloud="lab-application")
    cluster.create(1)
    cluster.check_settled(1)


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


def test_delete_that_somebody_else_was_faster_with(cluster):
    cluster.create(2)
    gone = cluster.servers()[0]["id"]
    cluster.user.ask("DELETE", "nova", f"/servers/{gone}")
    status, out = cluster.run("--to", 2)
    assert status == 0, out
    cluster.check_settled(2)
    assert gone not in [one["id"] for one in cluster.servers()]


def test_locked_server_stays_until_it_is_unlocked(cluster):
    cluster.create(2)
    locked = cluster.servers()[0]
    cluster.user.post("nova", f"/servers/{locked['id']}/action", {"lock": {"locked_reason": "kept for a look"}})
    status, out = cluster.run("--delete", locked["id"])
    assert status == 3
    assert f"server '{locked['name']}' ({locked['id']}) is not deleted: it is locked" in out
    cluster.check_settled(2)
    cluster.user.post("nova", f"/servers/{locked['id']}/action", {"unlock": None})
    assert cluster.run("--delete", locked["id"])[0] == 0
    cluster.check_settled(1)

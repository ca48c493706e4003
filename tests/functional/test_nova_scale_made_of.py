#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nova_scale makes servers of: zones, groups, volumes, addresses, user data, names that the cloud does not have."""

import base64
import collections
import json

import pytest
from scale_lab import Lab

CLOUD = {"zones": ("nova", "az1", "az2", "az3"), "server_groups": ("spread", "other"),
         "volume_types": ("standard", "ssd")}


@pytest.fixture(name="make")
def _make(tmp_path):
    labs = []

    def make(**given):
        labs.append(Lab(tmp_path, lbs=1, cloud=CLOUD, **given))
        return labs[-1]
    yield make
    for lab in labs:
        lab.close()


def bodies(lab):
    return [json.loads(request["body"]) for request in lab.creates()]


def test_zones_are_balanced(make):
    lab = make(servers="availability-zones: [az1, az2, az3]", max=9)
    lab.add(2, zone="az2")
    assert lab.run("--create", "5")[0] == 0
    assert collections.Counter(s["zone"] for s in lab.ours()) == {"az1": 3, "az2": 2, "az3": 2}
    lab.check_settled(7)
    assert lab.run("--create", "1")[0] == 0
    assert collections.Counter(s["zone"] for s in lab.ours()) == {"az1": 3, "az2": 3, "az3": 2}


def test_without_zones_nova_chooses(make):
    lab = make()
    assert lab.run("--create", "1")[0] == 0
    assert "availability_zone" not in bodies(lab)[0]["server"]


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_server_group_and_a_config_drive(make, by):
    lab = make()
    group = next(id for id, name in lab.cloud.server_groups.items() if name == "spread")
    lab.write_config(servers=f"server-group: {group if by == 'id' else 'spread'}\n      config-drive: true")
    assert lab.run("--create", "1")[0] == 0
    assert [(s["group"], s["config_drive"]) for s in lab.ours()] == [(group, True)]
    assert bodies(lab)[0]["os:scheduler_hints"] == {"group": group}


def test_boot_from_a_volume(make):
    """Nova lists no image of such a server; it is not old all the same."""
    lab = make(servers="boot-volume: {size: 20, type: ssd, delete-on-termination: false}",
               rolling="rolling: {max-surge: 1}")
    assert lab.run("--create", "2")[0] == 0
    assert bodies(lab)[0]["server"]["block_device_mapping_v2"] == [{
        "boot_index": 0, "uuid": lab.cloud.image.id, "source_type": "image", "destination_type": "volume",
        "volume_size": 20, "volume_type": "ssd", "delete_on_termination": False}]
    assert "imageRef" not in bodies(lab)[0]["server"]
    assert [s["image"] for s in lab.ours()] == ["", ""]
    lab.measure(300)
    assert "decision: stay at 2 servers" in lab.run("--dry-run")[1]
    lab.replace_image()
    assert "decision: up to 3 servers" in lab.run("--dry-run")[1]


def test_a_volume_goes_with_its_server_by_default(make):
    lab = make(servers="boot-volume: {size: 5}")
    assert lab.run("--create", "1")[0] == 0
    device = bodies(lab)[0]["server"]["block_device_mapping_v2"][0]
    assert device["delete_on_termination"] is True and "volume_type" not in device


KEPT = "boot-volume: {size: 5, delete-on-termination: false}"


def kept(lab, **build):
    """What is left of volumes, and said, after a create whose first build goes as BUILD."""
    lab.cloud.plan_builds(1, **build)
    status, out, err = lab.run("--create", "1")
    return status, len(lab.cloud.lifecycle.volumes), err


@pytest.mark.parametrize("build", [{"outcome": "error", "message": "No."}, {"outcome": "hang"}])
def test_the_volume_of_a_failed_server_goes_with_it(make, build):
    """It never served, so the image has all that is on it."""
    lab = make(servers=KEPT, build_timeout=2)
    lab.add(2)
    status, left, err = kept(lab, **build)
    assert (status, left) == (2, 0) and "volume" not in err
    asked, = lab.cloud.requests("PUT", r"/os-volume_attachments/[^/]*$")
    assert asked["headers"]["openstack-api-version"] == "compute 2.85"
    lab.check_settled(2)


def test_the_volume_of_a_server_that_served_stays(make):
    lab = make(servers=KEPT, min=1)
    assert lab.run("--create", "2")[0] == 0
    assert lab.run("--delete", "1")[0] == 0
    assert len(lab.ours()) == 1 and len(lab.cloud.lifecycle.volumes) == 2
    assert lab.cloud.requests("PUT", r"/os-volume_attachments/") == []


def test_a_volume_that_cannot_go_is_named(make, monkeypatch):
    monkeypatch.setattr("simcloud_nova.Nova._version.__defaults__", ("v2.1", "CURRENT", "2.79", "2.1"))
    lab = make(servers=KEPT)
    lab.add(2)
    status, left, err = kept(lab, outcome="error", message="No.")
    volume, = lab.cloud.lifecycle.volumes
    assert (status, left) == (2, 1)
    assert (f"volume {volume} of 'web' stays, and costs: to have it deleted needs Nova's microversion 2.85, this cloud has "
            f"2.79; type: openstack volume delete {volume}\n") in err
    lab.check_settled(2)


def test_fixed_addresses_are_used_once_each(make):
    addresses = ["127.18.0.21", "127.18.0.22", "127.18.0.23"]
    lab = make(servers=f"fixed-addresses: [{', '.join(addresses)}]", max=3)
    lab.cloud.add_server("foreign", address="127.18.0.22")
    assert lab.run("--create", "2")[0] == 0
    assert [s["address"] for s in lab.ours()] == [addresses[0], addresses[2]]
    status, out, err = lab.run("--create", "1")
    assert status == 3
    assert ("creating 'web': servers.fixed-addresses: all 3 are in use; add some, or delete the servers that have "
            "them\n") in err
    assert lab.run("--delete", "1", "--force")[0] == 0
    assert lab.run("--create", "1")[0] == 0
    assert {s["address"] for s in lab.ours()} == {addresses[0], addresses[2]}


@pytest.mark.parametrize("servers,why", [
    ("fixed-addresses: [10.0.0.300]", "expected addresses, such as 10.0.0.11"),
    ("fixed-addresses: [10.0.0.3]", "expected at least size.max addresses")])
def test_fixed_addresses_are_checked(make, servers, why):
    lab = make(servers=servers)
    status, out, err = lab.run("--check-config")
    assert (status, out) == (3, "")
    assert err.endswith(f"key 'clusters.web.servers.fixed-addresses': {why}\n")


@pytest.mark.parametrize("by", ["name", "id"])
def test_ports_are_used_once_each(make, by):
    lab = make(max=2, min=1)
    ids = {f"port-{i}": lab.cloud.floating.add_port(f"port-{i}", f"127.18.0.3{i}") for i in range(3)}
    lab.write_config(servers=f"ports: [{', '.join(ids if by == 'name' else ids.values())}]", max=3, min=1)
    lab.cloud.add_server("foreign", address="127.18.0.31")
    assert lab.run("--create", "2")[0] == 0
    assert [s["address"] for s in lab.ours()] == ["127.18.0.30", "127.18.0.32"]
    assert [body["server"]["networks"] for body in bodies(lab)] == [
        [{"port": ids["port-0"]}], [{"port": ids["port-2"]}]]
    status, out, err = lab.run("--create", "1")
    assert status == 3 and "servers.ports: all 3 are in use; add some, or delete the servers that have them" in err
    assert lab.run("--delete", "1")[0] == 0 and lab.run("--create", "1")[0] == 0
    assert {s["address"] for s in lab.ours()} == {"127.18.0.30", "127.18.0.32"}


def test_a_port_that_is_not_there_refuses_a_create(make):
    lab = make(servers="ports: [a, b, c]", max=3, min=1)
    lab.cloud.floating.add_port("aa", None)
    status, out, err = lab.run("--create", "1")
    assert status != 0 and "servers.ports: the cloud has no port with name or id 'a' for this project; it has 'aa'" in err
    lab.write_config(servers="ports: [aa, b, c]", max=3, min=1)
    status, out, err = lab.run("--create", "1")
    assert status != 0 and "servers.ports: port 'aa' has no fixed address" in err and bodies(lab) == []


@pytest.mark.parametrize("servers,why", [
    ("ports: [a]", "expected at least size.max ports"),
    ("ports: [a, b, c, d, e]\n      fixed-addresses: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5]",
     "expected no fixed-addresses as well: ports have their own")])
def test_ports_are_checked(make, servers, why):
    status, out, err = make(servers=servers).run("--check-config")
    assert status == 3 and err.endswith(f"key 'clusters.web.servers.ports': {why}\n")


def test_user_data_up_to_novas_limit(make):
    lab = make()
    path = lab.dir / "user-data"
    lab.write_config(servers=f"user-data-file: {path}")
    path.write_bytes(b"#" * 49149)
    assert lab.run("--create", "1")[0] == 0
    assert base64.b64decode(lab.ours()[0]["user_data"]) == path.read_bytes()
    path.write_bytes(b"#" * 49152)
    status, out, err = lab.run("--create", "1")
    assert status != 0 and len(lab.creates()) == 1
    assert "servers.user-data-file: " in err and str(path) in err


@pytest.mark.parametrize("field,given,message", [
    ("image", "rails-snapshots", "servers.image: the cloud has no image with name or id 'rails-snapshots' for this "
                                 "project; it has 'rails-snapshot', 'another'"),
    ("servers", "server-group: sprad", "servers.server-group: the cloud has no server group with name or id 'sprad' "
                                       "for this project; it has 'spread', 'other'")])
def test_a_name_that_the_cloud_does_not_have(make, field, given, message):
    lab = make(**{field: given})
    lab.cloud.add_image("another")
    status, out, err = lab.run("--create", "1")
    assert (status, len(lab.creates())) == (3, 0)
    assert f"creating 'web': {message}\n" in err

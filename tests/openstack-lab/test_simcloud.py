# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated cloud of the other tests answers about ports and floating addresses as the real Network service does.
(What Keystone, Nova and Glance answer is recorded, see tests/fakes/test_simcloud_transcripts.py.)"""
import json
import types
import uuid

import settings
from lab_cluster import address
from rest import Cloud, Refused
from simcloud import SimCloud

NOBODY = str(uuid.uuid4())


def answer(cloud, method, path, body=None):
    """(status, body), whatever the status."""
    try:
        status, _, body = cloud.send(method, cloud.place.url("neutron") + path, body, {"X-Auth-Token": cloud.token})
        return status, body
    except Refused as refused:
        return refused.status, json.loads(refused.body)


def conversation(cloud, server, fixed, network, set_quota):
    """[(what was asked, status, body)] of the life of a floating address of the SERVER with the address FIXED."""
    told = []

    def ask(method, path, **body):
        told.append((method, path.partition("?")[0], *answer(cloud, method, path, {"floatingip": body} if body else None)))
        return told[-1][3]

    cloud.login()
    port = ask("GET", f"/v2.0/ports?device_id={server}")["ports"][0]["id"]
    ask("GET", f"/v2.0/ports/{port}")
    ask("GET", "/v2.0/ports?name=nobody")
    ask("GET", f"/v2.0/ports/{NOBODY}")
    ask("GET", "/v2.0/floatingips")
    new = {"floating_network_id": network, "description": "ours", "port_id": port, "fixed_ip_address": fixed}
    one = ask("POST", "/v2.0/floatingips", **new)["floatingip"]
    ask("GET", "/v2.0/floatingips")
    ask("POST", "/v2.0/floatingips", **new)
    ask("POST", "/v2.0/floatingips", **new | {"floating_network_id": NOBODY})
    ask("PUT", f"/v2.0/floatingips/{one['id']}", port_id=None)
    ask("PUT", f"/v2.0/floatingips/{one['id']}", port_id=port, fixed_ip_address=fixed)
    ask("PUT", f"/v2.0/floatingips/{one['id']}", port_id=None)  # like the second: lists are in the order of random ids
    set_quota(1)
    ask("POST", "/v2.0/floatingips", floating_network_id=network, description="ours")
    set_quota(-1)
    two = ask("POST", "/v2.0/floatingips", floating_network_id=network, description="ours")["floatingip"]
    ask("GET", "/v2.0/floatingips")
    first = ask("GET", "/v2.0/floatingips?limit=1")
    ask("GET", f"/v2.0/floatingips?limit=1&marker={first['floatingips'][0]['id']}")
    for floating in (one, two, two):
        ask("DELETE", f"/v2.0/floatingips/{floating['id']}")
    return told


def unlike(simulated, real, where=""):
    """Where the simulated answer says what the real one does not, or says it in another type."""
    if isinstance(simulated, dict) and isinstance(real, dict):
        for key, value in simulated.items():
            if key not in real:
                yield f"{where}.{key}: the real one has none"
            else:
                yield from unlike(value, real[key], f"{where}.{key}")
    elif isinstance(simulated, list) and isinstance(real, list):
        if len(simulated) != len(real):
            yield f"{where}: {len(simulated)} rows, the real one has {len(real)}"
        for i, pair in enumerate(zip(simulated, real)):
            yield from unlike(*pair, f"{where}[{i}]")
    # Not the status: without an agent the lab's floating addresses are DOWN.
    elif type(simulated) is not type(real) or where.endswith(("NeutronError.type", ".description", ".rel")) and (
            simulated != real):
        yield f"{where}: {simulated!r}, the real one {real!r}"


def simulated_conversation():
    with SimCloud(networks=[("public", "198.51.100.0/24")]) as cloud:
        server = cloud.add_server("web")
        place = types.SimpleNamespace(url=lambda service: cloud.url + {
            "keystone": "/identity/v3", "neutron": "/networking"}[service])
        network = next(id for id, one in cloud.networks.items() if one.name == "public")
        return conversation(Cloud(place, "cluster", "labsecret", "cluster"), server.id, server.address, network,
                            lambda most: setattr(cloud.floating, "quota", most))


def test_ports_and_floating_addresses(cloud, cluster):
    cluster.create(1)
    (server,) = cluster.servers()
    network = cloud.user.get("neutron", f"/v2.0/networks?name={settings.EXTERNAL_NETWORK}")["networks"][0]["id"]
    project = cloud.user.project_id
    real = conversation(cloud.user, server["id"], address(server), network, lambda most: cloud.admin.ask(
        "PUT", "neutron", f"/v2.0/quotas/{project}", {"quota": {"floatingip": most}}))
    simulated = simulated_conversation()
    assert len(simulated) == len(real)
    found = []
    for ours, theirs in zip(simulated, real):
        asked = f"{ours[0]} {ours[1]}"
        if ours[2] != theirs[2]:
            found.append(f"{asked}: status {ours[2]}, the real one {theirs[2]}")
        found += [f"{asked}: {line}" for line in unlike(ours[3], theirs[3])]
    assert not found, "\n".join(found)

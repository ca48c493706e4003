# SPDX-License-Identifier: GPL-3.0-or-later
"""floating-network: each server in service has a floating address, and none stays behind."""
import uuid

import pytest
from scale_lab import Lab, wait_until

NETWORKS = (("public", "198.51.100.0/24"), ("dmz", "192.0.2.0/24"))


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path, lbs=1, cloud={"networks": NETWORKS}, servers="floating-network: public")
    yield lab
    lab.close()


def floating(lab):
    """{address of a server: its floating address}, of what is attached."""
    with lab.cloud.lock:
        return {one.fixed_address: one.address for one in lab.cloud.floating.addresses.values() if one.port_id}


def asked(lab, method):
    return lab.cloud.requests(method, "/floatingips")


def test_a_server_has_one_from_create_to_delete(lab):
    lab.add(2)
    status, out, err = lab.run("--create", "1")
    assert status == 0, err
    assert floating(lab).keys() == {server["address"] for server in lab.ours()}
    assert out.count("has the floating address 203.0.113.") == 3
    network = next(id for id, one in lab.cloud.networks.items() if one.name == "public")
    assert {one.network_id for one in lab.cloud.floating.addresses.values()} == {network}
    before = floating(lab)
    status, out, err = lab.run("--delete", "1")
    assert status == 0, err
    lab.check_settled(2)
    left = {server["address"] for server in lab.ours()}
    assert floating(lab) == {fixed: address for fixed, address in before.items() if fixed in left}
    assert len(lab.cloud.floating.addresses) == 2
    assert out.count("is released: server") == 1
    begun = len(asked(lab, "POST"))
    assert lab.run("--to", "2")[0] == 0 and len(asked(lab, "POST")) == begun


def test_without_the_key_the_network_service_is_not_asked(tmp_path):
    lab = Lab(tmp_path, lbs=1)
    try:
        assert lab.run("--create", "1")[0] == 0
        assert asked(lab, "GET") == []
    finally:
        lab.close()


def test_a_look_changes_nothing(lab):
    lab.add(2)
    for order in (["--status"], ["--explain"], ["--create", "1", "--dry-run"]):
        lab.run(*order)
    assert lab.cloud.requests(".*", "/floatingips") == []


def test_those_of_others_are_left_alone(lab):
    lab.add(2)
    gone = str(uuid.uuid4())
    foreign = ["", "clusterscale", f"clusterscale web2 {gone}", f"clusterscale web {gone} ", "clusterscale web x", gone]
    for text in (*foreign, f"clusterscale web {gone}"):
        lab.cloud.floating.add(text)
    assert lab.run("--to", "2")[0] == 0
    kept = [one.description for one in lab.cloud.floating.addresses.values()]
    assert sorted(kept) == sorted(foreign + [f"clusterscale web {server['id']}" for server in lab.ours()])


def test_a_detached_one_is_attached_again(lab):
    lab.add(2)
    assert lab.run("--to", "2")[0] == 0
    before = floating(lab)
    for one in lab.cloud.floating.addresses.values():
        one.port_id = one.fixed_address = None
    assert lab.run("--to", "2")[0] == 0
    assert floating(lab) == before and len(asked(lab, "POST")) == 2 and len(asked(lab, "PUT")) == 2


def test_a_lost_answer_gives_no_second_one(lab):
    lab.add(2)
    lab.cloud.inject(method="POST", path="/floatingips", action="lose", count=1)
    assert lab.run("--to", "2")[0] == 0
    assert len(lab.cloud.floating.addresses) == 2 and len(asked(lab, "POST")) == 2


def test_all_pages_are_read(lab):
    lab.add(3)
    lab.cloud.floating.pages = 1
    assert lab.run("--to", "3")[0] == 0
    assert lab.run("--to", "3")[0] == 0
    assert len(asked(lab, "POST")) == 3


@pytest.mark.parametrize("what, said", [
    ({"method": "GET", "status": 500}, "/floatingips: status 500: "),
    ({"method": "POST", "status": 409}, "floating address of server 'old': POST ")])
def test_trouble_is_open_work_and_holds_up_no_server(lab, what, said):
    lab.cloud.inject(path="/floatingips", action="status", count=3, **what)
    status, out, err = lab.run("--create", "2")
    assert status == 0 and said.replace("'old'", "'web'") in err, err
    assert len(floating(lab)) == 2
    lab.check_settled(2)


def test_an_unknown_network_refuses_a_create(lab):
    lab.write_config(servers="floating-network: publik")
    status, out, err = lab.run("--create", "1")
    assert status != 0 and lab.creates() == []
    assert "servers.floating-network: the cloud has no network with name or id 'publik' for this project" in err


def test_a_killed_run_leaves_nothing_behind(lab):
    """The address exists, the answer has not come: the next run has it, and its server's end is its end."""
    lab.add(2)
    lab.cloud.inject(method="POST", path="/floatingips", action="lose", count=1)
    lab.fire("CRITICAL")
    wait_until(lambda: lab.cloud.floating.addresses, "one is made")
    lab.settle()
    assert lab.run("--to", "1", "--force")[0] == 0
    assert len(lab.cloud.floating.addresses) == 1

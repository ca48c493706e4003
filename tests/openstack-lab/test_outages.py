# SPDX-License-Identifier: GPL-3.0-or-later
"""Each service of the cloud stopped in turn: what fails is named, nothing wrong is done meanwhile, and when the
service is back the next run cleans up. One cluster goes through all of them."""
import re

import pytest
from lab_cluster import Cluster, address, wait_until

UNREACHABLE = r"no connection: Connection refused"
GIVEN_UP = r"not in service within build-timeout"
# What is stopped, and what nova_scale --create says of it. A create that Nova has taken is given up and removed.
OUTAGES = {
    "keystone": r"50[03]",
    "placement": r"No valid host was found",
    "glance": UNREACHABLE,
    "neutron": r"500",
    "nova-api": UNREACHABLE,
    "nova-conductor": GIVEN_UP,
    "nova-scheduler": rf"{GIVEN_UP}|MessagingTimeout",
    "nova-compute": GIVEN_UP,
    "rabbitmq": r"POST \S+/servers: no whole answer within the time allowed .* whether it exists will be seen by its mark",
    "mariadb": r"50[03]",
}
# Nova takes up what waited for these: the create without an answer counts, and may come about or fail.
TAKEN_UP = {"rabbitmq"}


@pytest.fixture(scope="module")
def survivor(cloud, tmp_path_factory):
    """A cluster of one server, and that server."""
    cluster = Cluster(cloud, tmp_path_factory.mktemp("survivor"))
    try:
        cluster.create(1)
        yield cluster, cluster.servers()[0]
    finally:
        cluster.close()
        cloud.clear()


@pytest.mark.parametrize("service", OUTAGES)
def test_outage(cloud, survivor, service):
    cluster, first = survivor
    cluster.configure(build_timeout=6)
    cluster.run("--resume")  # three failed creates in a row hold the next ones
    cloud.services.stop(service)
    try:
        status, out = cluster.run("--create", 1)
        assert cluster.serving() == {address(first)}
    finally:
        cloud.bring_back(service)
    cluster.configure(build_timeout=120)
    assert status in (1, 2, 3) and re.search(OUTAGES[service], out), out
    if service in TAKEN_UP:
        wait_until(lambda: cluster.run("--to", 2)[0] == 0, "what was taken up is there", limit_s=300)
        for other in cluster.servers():
            if other["id"] != first["id"]:
                assert cluster.run("--delete", other["id"])[0] == 0
    wait_until(lambda: cluster.run("--to", 1)[0] == 0, "the next runs have nothing left to do", limit_s=300)
    cluster.check_settled(1)
    assert [one["id"] for one in cluster.servers()] == [first["id"]]


def test_all_is_well_afterwards(survivor):
    cluster, first = survivor
    cluster.run("--resume")
    cluster.create(1)
    cluster.check_settled(2)
    assert first["id"] in [one["id"] for one in cluster.servers()]

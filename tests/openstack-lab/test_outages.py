# SPDX-License-Identifier: GPL-3.0-or-later
"""Each service of the cloud killed in turn: what fails is named, nothing wrong is done meanwhile, and when the
service is back the next run cleans up. One cluster goes through all of them."""
import re
import signal
import time

import procs
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
SILENT, ASKED_S = "rabbitmq", 2  # Nova takes the request and does not answer


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


def create(cluster, service, short):
    """(exit status, what is said) of a create meanwhile. SHORT: it is killed as soon as it has said what is expected, as
    it goes on trying for half a minute, or waits for Nova's answer for one."""
    if not short:
        return cluster.run("--create", 1)
    intents = len(cluster.journal(type="intent"))
    child = cluster.begin("--create", 1)
    if service == SILENT:
        wait_until(lambda: len(cluster.journal(type="intent")) > intents, "Nova is asked")
        time.sleep(ASKED_S)
    else:
        wait_until(lambda: child.poll() is not None or re.search(OUTAGES[service], cluster.said()), "it says what is wrong")
    procs.kill_group(child)
    return child.returncode, cluster.said()


@pytest.mark.parametrize("service", OUTAGES)
def test_outage(cloud, survivor, service, short):
    cluster, first = survivor
    cluster.configure(build_timeout=6)
    cluster.run("--resume")  # three failed creates in a row hold the next ones
    cloud.services.kill(service)
    try:
        status, out = create(cluster, service, short)
        assert cluster.serving() == {address(first)}
    finally:
        cloud.bring_back(service)
    cluster.configure(build_timeout=120)
    if not (short and service == SILENT):
        assert re.search(OUTAGES[service], out), out
    assert status in (1, 2, 3) or short and status == -signal.SIGKILL, out
    # What Nova has taken up meanwhile is taken away again.
    wait_until(lambda: cluster.run("--to", 1)[0] == 0, "the next runs have nothing left to do", limit_s=300)
    cluster.check_settled(1)
    assert [one["id"] for one in cluster.servers()] == [first["id"]]


def test_all_is_well_afterwards(survivor):
    cluster, first = survivor
    cluster.run("--resume")
    cluster.create(1)
    cluster.check_settled(2)
    assert first["id"] in [one["id"] for one in cluster.servers()]

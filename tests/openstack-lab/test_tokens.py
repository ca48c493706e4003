# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens that Keystone takes back, and that end in the middle of a run."""
import json

import pytest
from lab_cluster import wait_until

HOST = "localhost"  # by which only these tests call Keystone


@pytest.fixture
def counted(make_cluster):
    return make_cluster(host=HOST)


def cached_token(cluster):
    return json.loads((cluster.dir / "state" / cluster.name / "token").read_text())["token"]


def revoke(cloud, token):
    cloud.admin.ask("DELETE", "keystone", "/auth/tokens", headers={"X-Subject-Token": token})
    # More than once, as each process of a service remembers for a moment.
    services = (("nova", "/servers"), ("glance", "/v2/images"), ("neutron", "/v2.0/networks")) * 3
    wait_until(lambda: all(cloud.user.is_refused(token, *one) for one in services), "the services refuse the token")


def test_revoked_token_is_replaced_once(cloud, counted):
    counted.create(1)
    token, before = cached_token(counted), cloud.authentications(HOST)
    revoke(cloud, token)
    for _ in range(2):
        # haproxy_sync, which keeps no token, has no part in this.
        status, out = counted.run("--status")
        assert status == 0, out
    assert cloud.authentications(HOST) - before == 1
    assert cached_token(counted) != token
    counted.create(1)
    counted.check_settled(2)


def test_token_ends_in_the_middle_of_a_run(cloud, counted):
    # Long enough for Nova, which works with the same token, to get the address before the delay.
    cloud.set_token_life(25)
    try:
        before = cloud.authentications(HOST)
        cloud.order_builds("delay 25")
        counted.create(1)
        counted.check_settled(1)
        assert cloud.authentications(HOST) - before >= 2
    finally:
        cloud.set_token_life()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds that a real Nova refuses, gives up, or never ends; each says why in Nova's own words, and nothing stays behind."""
import re

import settings
from lab_cluster import wait_until


def set_quota(cloud, **limits):
    cloud.user.ask("GET", "nova", "/servers")  # which makes its project's id known
    cloud.admin.ask("PUT", "nova", f"/os-quota-sets/{cloud.user.project_id}", {"quota_set": limits})


def check_failed(cluster, status, out, why):
    """The create has failed, Nova's reason is said, and the server is gone."""
    assert status == 2 and re.search(why, out), out
    wait_until(lambda: cluster.servers() == [], "the failed server is gone")
    assert [line["outcome"] for line in cluster.journal(type="result", action="create")] == ["failed"]


def test_quota(cloud, cluster):
    cluster.create(1)
    full = len(cloud.user.get("nova", "/servers")["servers"])
    set_quota(cloud, instances=full)
    try:
        status, out = cluster.run("--create", 1)
    finally:
        set_quota(cloud, instances=2000)
    assert status in (2, 3), out
    assert f"the project's quota has no room: {full} of {full} servers are in use, 1 more would be needed" in out
    cluster.check_settled(1)
    cluster.create(1)
    cluster.check_settled(2)


def test_no_valid_host(make_cluster):
    cluster = make_cluster(flavor=settings.HUGE_FLAVOR)
    status, out = cluster.run("--create", 1)
    check_failed(cluster, status, out, r"No valid host was found\. ")


def test_aborted_build(cloud, cluster):
    cloud.order_builds("abort")
    status, out = cluster.run("--create", 1)
    check_failed(cluster, status, out, "Build of instance [0-9a-f-]+ aborted: the lab was told to abort it")


def test_build_that_no_host_takes(cloud, cluster):
    cloud.order_builds("reschedule")
    status, out = cluster.run("--create", 1)
    check_failed(cluster, status, out, "Exceeded maximum number of retries")


def test_hanging_build_is_given_up(cloud, make_cluster):
    cluster = make_cluster(build_timeout=12)
    cloud.order_builds("hang")
    status, out = cluster.run("--create", 1)
    check_failed(cluster, status, out, "not in service within build-timeout")


def test_unknown_image_is_refused_with_what_there_is(make_cluster):
    cluster = make_cluster(image="base-imagf")
    status, out = cluster.run("--create", 1)
    assert status in (2, 3), out
    assert "the cloud has no image with name or id 'base-imagf'" in out
    assert cluster.servers() == []


def test_killed_run_is_finished_by_the_next(cloud, cluster):
    cloud.order_builds("delay 4")
    child = cluster.begin("--create", "2")
    wait_until(lambda: len(cluster.servers()) == 2, "Nova has both servers")
    child.kill()
    child.wait()
    status, out = cluster.run("--to", 2)
    assert status == 0, out
    cluster.check_settled(2)
    assert len(cluster.journal(type="intent", action="create")) == 2

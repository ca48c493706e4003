#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds that a real Nova refuses, gives up, or never ends; each says why in Nova's own words, and nothing stays behind."""
import re
import uuid

import pytest
import settings
from lab_cluster import Cluster, wait_until
from services import sql

AS_USUAL = {"image": settings.IMAGE, "flavor": settings.FLAVOR, "build_timeout": 120}


@pytest.fixture(scope="module")
def builder(cloud, tmp_path_factory):
    builder = Cluster(cloud, tmp_path_factory.mktemp("builder"), name="builder")
    yield builder
    builder.close()
    cloud.clear()


@pytest.fixture
def failing(cloud, builder):
    """A cluster without servers, of which a create is to fail; three failures in a row would hold the next one."""
    assert builder.servers() == []
    builder.run("--resume")
    yield builder
    cloud.order_builds(None)
    builder.configure(**AS_USUAL)


def set_quota(cloud, **limits):
    cloud.user.ask("GET", "nova", "/servers")  # which makes its project's id known
    cloud.admin.ask("PUT", "nova", f"/os-quota-sets/{cloud.user.project_id}", {"quota_set": limits})


def check_failed(cluster, status, out, why):
    """The create has failed, Nova's reason is said, and the server is gone."""
    assert status == 2 and re.search(why, out), out
    wait_until(lambda: cluster.servers() == [], "the failed server is gone")
    assert cluster.journal(type="result", action="create")[-1]["outcome"] == "failed"


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


def test_no_valid_host(failing):
    failing.configure(flavor=settings.HUGE_FLAVOR)
    status, out = failing.run("--create", 1)
    check_failed(failing, status, out, r"No valid host was found\. ")


def test_aborted_build(cloud, failing):
    cloud.order_builds("abort")
    status, out = failing.run("--create", 1)
    check_failed(failing, status, out, "Build of instance [0-9a-f-]+ aborted: the lab was told to abort it")


def test_build_that_no_host_takes(cloud, failing):
    cloud.order_builds("reschedule")
    status, out = failing.run("--create", 1)
    check_failed(failing, status, out, "Exceeded maximum number of retries")


def test_hanging_build_is_given_up(cloud, failing):
    failing.configure(build_timeout=8)
    cloud.order_builds("hang")
    status, out = failing.run("--create", 1)
    check_failed(failing, status, out, "not in service within build-timeout")


def test_unknown_image_is_refused_with_what_there_is(failing):
    failing.configure(image="base-imagf")
    status, out = failing.run("--create", 1)
    assert status in (2, 3), out
    assert "the cloud has no image with name or id 'base-imagf'" in out
    assert failing.servers() == []


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


def test_kept_volume_of_a_server_that_never_served(cloud, make_cluster):
    """There is no Cinder, so the build fails; what Nova has written down of the volume gets the id that a real one would
    have. That Nova takes our word for it is real."""
    cluster = make_cluster(more="boot-volume: {size: 1, delete-on-termination: false}")
    child = cluster.begin("--create", "1")
    wait_until(cluster.servers, "Nova has the server")
    child.kill()
    child.wait()
    wait_until(lambda: cluster.servers()[0]["status"] == "ERROR", "the build has failed")
    volume, mapping = str(uuid.uuid4()), f"nova.block_device_mapping WHERE instance_uuid = '{cluster.servers()[0]['id']}'"
    sql(cloud.place, f"UPDATE {mapping.replace('WHERE', f'SET volume_id = {volume!r} WHERE')} AND source_type = 'image'")
    assert sql(cloud.place, f"SELECT delete_on_termination FROM {mapping}").split()[1:] == ["0"]
    cluster.run("--state", "OK")
    wait_until(lambda: cluster.servers() == [], "the failed server is gone")
    assert sql(cloud.place, f"SELECT volume_id, delete_on_termination FROM {mapping}").split()[2:] == [volume, "1"]
    assert "stays, and costs" not in (cluster.dir / "log").read_text()

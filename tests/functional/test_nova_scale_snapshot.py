#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale --snapshot: the image that the cluster boots from, made of a server."""

import re

import pytest
from scale_lab import Lab


@pytest.fixture(name="lab")
def _lab(tmp_path):
    lab = Lab(tmp_path, lbs=1)
    lab.cloud.lifecycle.snapshot_seconds = 3
    yield lab
    lab.close()


def asked(lab):
    return lab.cloud.requests("POST", "/action$")


def test_a_snapshot_becomes_active_and_the_cluster_boots_from_it(lab):
    [id] = lab.add(1)
    status, out, err = lab.run("--snapshot", "web-v2")
    image = next(i for i in lab.cloud.images.values() if i.name == "web-v2")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"New Image web-v2 created ({image.id}) of server 'old' ({id})"
    assert lines[1:-2] in ([f"Image web-v2 status {s}" for s in states]
                           for states in (["queued", "active"], ["queued", "saving", "active"]))
    assert lines[-2:] == [f"New servers boot from it when clusters.web.servers has 'image: web-v2' in "
                          f"{lab.dir}/clusterscale.yaml", "Done"]
    assert image.properties["instance_uuid"] == id
    lab.write_config(image="web-v2")
    assert lab.run("--create", "1")[0] == 0
    assert [s["image"] for s in lab.ours()][-1] == image.id


def test_of_several_servers_one_has_to_be_named(lab):
    ids = sorted(lab.add(2))  # of one age: by id
    status, out, err = lab.run("--snapshot", "new")
    assert (status, out) == (3, "")
    assert err == (f"nova_scale: of which server? say --from WHICH (name or id); the cluster has old ({ids[0]}), "
                   f"old ({ids[1]})\n")
    assert lab.run("--snapshot", "new", "--from", ids[1])[0] == 0
    lab.cloud.add_server("template")
    assert lab.run("--snapshot", "newer", "--from", "template")[0] == 0
    assert [r["path"].split("/")[-2] for r in asked(lab)][0] == ids[1]


@pytest.mark.parametrize("change,why", [
    ({"task_state": "image_uploading"}, "server 'old' (ID) is ACTIVE, task image_uploading; try again when that has "
                                        "ended, or take another one"),
    ({"metadata": {"clusterscale.cluster": "web", "clusterscale.draining": "1700000000000"}},
     "server 'old' (ID) drains and is deleted then; take another one")])
def test_a_server_that_is_busy_or_leaves_is_refused(lab, change, why):
    [id] = lab.add(1)
    lab.cloud.change_server(id, **change)
    status, out, err = lab.run("--snapshot", "new", "--from", id)
    assert (status, out, err) == (3, "", f"nova_scale: {why.replace('ID', id)}\n")
    assert not asked(lab)


def test_an_image_of_that_name_is_refused(lab):
    lab.add(1)
    status, out, err = lab.run("--snapshot", "rails-snapshot")
    assert (status, out) == (3, "")
    assert err == (f"nova_scale: there is an image 'rails-snapshot' already: {lab.cloud.image.id}; choose another name, "
                   "or rename the old one\n")
    assert not asked(lab)


def test_another_snapshot_of_the_server_at_that_moment(lab):
    [id] = lab.add(1)
    lab.cloud.inject(method="POST", path="/action$", status=409, body={"conflictingRequest": {
        "code": 409, "message": f"Cannot 'createImage' instance {id} while it is in task_state image_snapshot_pending"}})
    status, out, err = lab.run("--snapshot", "new")
    assert (status, out) == (2, "")
    assert re.search(r"status 409: Cannot 'createImage' instance \S+ while it is in task_state image_snapshot_pending.*; "
                     r"try again when that has ended\n$", err)


def test_a_snapshot_that_fails(lab):
    lab.cloud.lifecycle.snapshot_outcome = "killed"
    lab.add(1)
    status, out, err = lab.run("--snapshot", "new")
    assert status == 2 and "Done" not in out
    assert re.fullmatch(r"nova_scale: image 'new' \(\S+\) became killed and not active; the log of Nova and Glance says "
                        r"why\n", err)


def test_a_look_at_the_image_that_fails_is_no_end(lab):
    lab.add(1)
    lab.cloud.inject(method="GET", path="/v2/images/[^/]+$", status=500, count=1)
    status, out, err = lab.run("--snapshot", "new")
    assert status == 0 and out.endswith("Done\n")


def test_an_answer_that_is_lost_says_where_to_look(lab):
    lab.add(1)
    lab.cloud.inject(method="POST", path="/action$", action="lose")
    status, out, err = lab.run("--snapshot", "new")
    assert status == 2
    assert err.endswith("it may have been carried out; to see it: openstack image list --name new\n")


def test_observing_makes_no_image(lab):
    lab.write_config(mode="observe")
    lab.add(1)
    assert lab.run("--snapshot", "new")[0] == 3
    assert lab.run("--from", "x") == (3, "", "nova_scale: --from goes with --snapshot\n")
    assert not asked(lab)

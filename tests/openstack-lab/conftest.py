# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab that `./dev lab test` names, and a cluster in it with a real HAProxy, for each test."""
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "demo")]

from lab import Lab  # noqa: E402
from lab_cluster import Cluster  # noqa: E402


@pytest.fixture(scope="session")
def cloud():
    lab = Lab(os.environ.get("CLUSTERSCALE_LAB", "/tmp/clusterscale-lab"))
    try:
        ready = lab.place.values.get("ready") and all(pid for _, pid, _ in lab.services.status())
    except PermissionError:
        ready = False
    if not ready:
        pytest.exit("no lab runs in " + str(lab.place.dir) + "; ./dev lab test brings one up", 1)
    return lab


@pytest.fixture
def make_cluster(cloud, tmp_path):
    """make(**fields of the configuration) gives a Cluster; its servers and processes end with the test."""
    made = []

    def make(**fields):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Cluster(cloud, folder, **fields))
        return made[-1]

    yield make
    cloud.order_builds(None)
    for one in made:
        one.close()
    cloud.clear()


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()

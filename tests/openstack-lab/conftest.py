# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab that `./dev lab test` names, a cluster in it with a real HAProxy for each test, and the figures."""
import contextlib
import io
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "demo"), str(HERE.parents[1] / "bench"),
                str(HERE.parents[1] / "fakes")]

from bench import Bench  # noqa: E402
from lab import Lab  # noqa: E402
from lab_cluster import BUILD, Cluster  # noqa: E402
from long_run import LIVES, NAME, SHORT_LIVES, TOKEN_LIFE_S, LongRun  # noqa: E402

FIGURES = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--short", action="store_true", help="the long run in two minutes, outages without the wait for all of it")


class Figures:
    """The rows of ./dev bench, printed together when all tests are done; one that falls short fails its test, but for
    the short form, whose machine may be busy."""

    def __init__(self, raw, short):
        self.bench, self.text, self.short = Bench("lab", BUILD, raw), io.StringIO(), short

    def bar(self, *row, **more):
        with contextlib.redirect_stdout(self.text):
            self.bench.bar(*row, **more)
        assert self.bench.rows[-1] or self.short, self.text.getvalue().splitlines()[-1]


@pytest.fixture(scope="session")
def figures(request):
    with open(BUILD / "bench.jsonl", "w") as raw:
        request.config.stash[FIGURES] = figures = Figures(raw, request.config.getoption("--short"))
        yield figures


def pytest_terminal_summary(terminalreporter, config):
    if figures := config.stash.get(FIGURES, None):
        terminalreporter.section("figures")
        terminalreporter.write(figures.text.getvalue())


@pytest.fixture(scope="session")
def short(request):
    return request.config.getoption("--short")


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


@pytest.fixture(scope="session", autouse=True)
def steady(request, cloud, short, tmp_path_factory):
    """The long run, when its end is among the tests: it begins before the first of them."""
    if not any("five_minutes" in item.name for item in request.session.items):
        yield None
        return
    lives = SHORT_LIVES if short else LIVES
    cloud.clear()
    cloud.spared.add(NAME)
    run = None
    try:
        cloud.set_token_life(TOKEN_LIFE_S)
        run = LongRun(cloud, tmp_path_factory.mktemp(NAME), lives)
        run.start()
        yield run
    finally:
        if run:
            run.close()
        cloud.spared.clear()
        cloud.set_token_life()
        cloud.clear()


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

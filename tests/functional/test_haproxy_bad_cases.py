# SPDX-License-Identifier: GPL-3.0-or-later
"""Each bad case of a load balancer: refused or rolled back, with exactly these words, and no failed request."""
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "bench"))
import haproxy_bad_cases as bad  # noqa: E402


@pytest.fixture(scope="module")
def lb():
    if not shutil.which("haproxy"):
        pytest.skip("needs haproxy, which is not installed")
    with bad.Spoiled() as balancer:
        yield balancer.start()


@pytest.mark.parametrize("what", bad.CASES)
def test_refused_or_rolled_back(lb, what):
    outcome = lb.attempt(what)
    if outcome is None:
        pytest.skip("only root can try it")
    wrong, failed, examples = outcome
    assert wrong is None, wrong
    assert failed == 0, examples

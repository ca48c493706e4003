# SPDX-License-Identifier: GPL-3.0-or-later
"""Five minutes of our programs with tokens that live for one, beside the other tests."""
import threading
import time

from lab_cluster import Cluster

# Shorter tokens would end in the middle of the other tests' builds.
LIVES, SHORT_LIVES, TOKEN_LIFE_S = 5, 2, 60
# A token is renewed a quarter of its life before its end, so each one serves for four of these.
INTERVAL_S = 12.5
NAME = "steady"


class LongRun(threading.Thread):
    """A cluster of one server, looked at by the check and the handler; by a name of Keystone of its own, to count by."""

    def __init__(self, cloud, folder, lives):
        super().__init__(daemon=True)
        self.lives, self.seconds = lives, lives * TOKEN_LIFE_S
        self.cloud, self.cluster = cloud, Cluster(cloud, folder, name=NAME, host="localhost")
        self.stopping, self.failures, self.runs = threading.Event(), [], 0
        # haproxy_sync, which has a token of its own, is not asked any more after this.
        self.cluster.create(1)
        self.before = self.count()

    def count(self):
        return self.cloud.authentications("localhost")

    def run(self):
        begin, looks = time.monotonic(), 0
        while looks * INTERVAL_S < self.seconds:
            if self.stopping.wait(max(0, begin + looks * INTERVAL_S - time.monotonic())):
                break
            self.look("check_cluster_cpu", "of 1 server ", "-t", 60)
            self.look("nova_scale", "1 to 8 servers, 1 now", "--status")
            looks += 1

    def look(self, name, expected, *arguments):
        self.runs += 1
        status, out = self.cluster.run(*arguments, name=name)
        if status not in (0, 1, 2) or expected not in out:
            self.failures.append(f"{name}: exit status {status}: {out}")

    def close(self):
        self.stopping.set()
        if self.is_alive():
            self.join()
        self.cluster.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What our programs cost on a real OpenStack, each figure beside that of a peer in the same run."""
import os
import re
import statistics
import subprocess
import threading
import time

import settings
from crowd import copies_of
from lab_cluster import BUILD, ENVIRONMENT, wait_until

SERVERS = 1000
TURNS = {False: (4, 2), True: (3, 1)}  # short: ours and curl, openstack
CREATES = 10
MICROVERSION = "2.73"  # what our programs ask for
LIMIT_S = 120


def usage(argv, **environment):
    """(wall s, CPU s, peak MiB, output) of a program, as run_usage measures it."""
    done = subprocess.run([BUILD / "run_usage", *argv], env=ENVIRONMENT | environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=LIMIT_S)
    figures = re.search(r"^usage (\d+) (\d+) (\d+) (\d+)$", done.stderr, re.M)
    assert figures and int(figures[4]) in (0, 1), done.stdout[-400:] + done.stderr[-400:]
    wall, cpu, peak = (int(figures[i]) for i in (1, 2, 3))
    return wall / 1e6, cpu / 1e6, peak / 1024, done.stdout


class NovaLog:
    """What Nova was asked for, and how long it took: no two lists take it the same time."""

    def __init__(self, place):
        self.path = place.path("log", "nova-api.out")

    def answers(self, agent, run, request, status):
        """What RUN gives, and [(path, s)] of what AGENT asked for meanwhile and was answered so."""
        begin = self.path.stat().st_size
        given = run()
        with open(self.path, "rb") as log:
            log.seek(begin)
            text = log.read().decode(errors="replace")
        found = re.findall(rf" {request} {status} (\d+) ms by {agent}/", text)
        return given, [(path, int(ms) / 1000) for path, ms in found]

    def pages(self, agent, run):
        return self.answers(agent, run, r"GET (/v2\.1/servers/detail\S*)", 200)


def curl(cloud, folder, pages):
    cloud.user.login()
    settings.write_private(folder / "headers", f"X-Auth-Token: {cloud.user.token}\n"
                           f"OpenStack-API-Version: compute {MICROVERSION}\n")
    urls = [f"http://127.0.0.1:{cloud.place.ports['nova']}{page}" for page in pages]
    return ["curl", "-s", "-H", f"@{folder / 'headers'}", *urls]


def test_list_of_many(cloud, cluster, figures, short):
    turns_of_ours, turns_of_theirs = TURNS[short]
    cluster.create(1)
    network = cloud.user.get("neutron", f"/v2.0/networks?name={settings.NETWORK}")["networks"][0]["id"]
    one = cloud.user.post("nova", "/servers", {"server": {
        "name": "other", "imageRef": cluster.servers()[0]["image"]["id"], "networks": [{"uuid": network}],
        "metadata": {"role": "other"}, "flavorRef": cloud.flavor_id(settings.BARE_FLAVOR)}})["server"]["id"]
    wait_until(lambda: cloud.user.get("nova", f"/servers/{one}")["server"]["status"] == "ACTIVE", "a server is built")
    log = NovaLog(cloud.place)
    ours = cluster.arguments("nova_scale", "--status")
    theirs = ["openstack", "server", "list"]
    login = {"OS_CLOUD": "lab", "OS_CLIENT_CONFIG_FILE": str(cluster.dir / "clouds.yaml"), "HOME": str(cluster.dir)}
    with copies_of(cloud.place, one, SERVERS - 2):
        _, pages = log.pages("clusterscale", lambda: usage(ours))
        assert pages
        peer = curl(cloud, cluster.dir, [path for path, _ in pages])
        turns = [(log.pages("clusterscale", lambda: usage(ours)), log.pages("curl", lambda: usage(peer)))
                 for _ in range(turns_of_ours)]
        client = [usage(theirs, **login) for _ in range(turns_of_theirs)]
    rows = [(one[0], two[0]) for one, two in turns]
    assert rows[0][1][3].count('"OS-EXT-STS:vm_state"') == SERVERS and client[0][3].count("ACTIVE") == SERVERS
    assert all(len(one[1]) == len(two[1]) == len(pages) for one, two in turns)
    # What Nova needed for the pages is taken off both; the best of each is what our part is seen in.
    above, plain_above = (min(turn[i][0][0] - sum(s for _, s in turn[i][1]) for turn in turns) for i in (0, 1))
    wall, plain_wall = (statistics.median(row[i][0] for row in rows) for i in (0, 1))
    cpu, peak = (statistics.median(row[0][i] for row in rows) for i in (1, 2))
    client_cpu, client_peak = (statistics.median(one[i] for one in client) for i in (1, 2))
    figures.bar(f"nova_scale --status, {SERVERS} servers: wall above curl of the same pages",
                (above - plain_above) * 1000, 150, "ms",
                peer=f"{wall:.2f} s, curl of {len(pages)} pages {plain_wall:.2f} s, both but for {above * 1000:.0f} and "
                f"{plain_above * 1000:.0f} ms Nova's")
    figures.bar("  CPU, of what openstack server list needs", cpu / client_cpu, 0.1,
                peer=f"{cpu:.3f} s, openstack {client_cpu:.2f} s")
    figures.bar("  peak memory, of what openstack server list needs", peak / client_peak, 0.2,
                peer=f"{peak:.1f} MiB, openstack {client_peak:.0f} MiB")


class Builds(threading.Thread):
    """When Nova had taken the first of COUNT servers and when the last of them was ACTIVE, from its databases."""

    OURS = "nova.instances WHERE deleted = 0 AND display_name LIKE 'web%'"

    def __init__(self, cloud, count):
        super().__init__(daemon=True)
        self.count, self.first, self.last, self.stopping = count, None, None, threading.Event()
        self.db = cloud.place.connect()

    def look(self, where):
        with self.db.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {where}")
            return cursor.fetchone()[0]

    def run(self):
        while not self.stopping.wait(0.03):
            if self.first is None and (self.look("nova_api.build_requests") or self.look(self.OURS)):
                self.first = time.monotonic()
            if self.look(f"{self.OURS} AND vm_state = 'active'") >= self.count:
                self.last = time.monotonic()
                break


def one_after_the_other(cloud, image, network, flavor):
    """As in scripts: create, ask every second until it is ACTIVE, the next one."""
    begin = time.monotonic()
    for i in range(CREATES):
        id = cloud.user.post("nova", "/servers", {"server": {
            "name": f"plain-{i}", "imageRef": image, "networks": [{"uuid": network}], "flavorRef": flavor}})["server"]["id"]
        while (status := cloud.user.get("nova", f"/servers/{id}")["server"]["status"]) != "ACTIVE":
            assert status == "BUILD"
            time.sleep(1)
    return time.monotonic() - begin


def test_ten_servers(cloud, make_cluster, figures):
    cluster = make_cluster(max=CREATES, balanced=False)  # the peer publishes nothing either
    image = cloud.user.get("glance", f"/v2/images?name={settings.IMAGE}")["images"][0]["id"]
    network = cloud.user.get("neutron", f"/v2.0/networks?name={settings.NETWORK}")["networks"][0]["id"]
    theirs = one_after_the_other(cloud, image, network, cloud.flavor_id(settings.FLAVOR))
    cloud.clear()
    builds = Builds(cloud, CREATES)
    builds.start()
    begin = time.monotonic()
    _, posts = NovaLog(cloud.place).answers("clusterscale", lambda: cluster.create(CREATES), r"POST (/v2\.1/servers)", 202)
    wall = time.monotonic() - begin
    builds.stopping.set()
    builds.join()
    cluster.check_settled(CREATES)
    assert len(posts) == CREATES
    # It has a server in its database only at the end of the request.
    nova = builds.last - builds.first + posts[0][1]
    figures.bar(f"nova_scale --create {CREATES}: wall above Nova's, first request to last ACTIVE", wall - nova, 1.5, " s",
                peer=f"{wall:.1f} s, Nova {nova:.1f} s; one after the other, each waited for: {theirs:.1f} s")

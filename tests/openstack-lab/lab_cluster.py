# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster on the lab's cloud as a user would set it up: the shipped programs, clouds.yaml, a real HAProxy."""
import json
import os
import pathlib
import subprocess

import haproxy
import procs
import settings

BUILD = pathlib.Path(os.environ.get("top_builddir", pathlib.Path(__file__).resolve().parents[2] / "build"))
PROGRAMS = {"nova_scale": "handlers", "haproxy_sync": "handlers", "check_cluster_cpu": "plugins",
            "check_cluster_drift": "plugins"}
# What a core gives its handler: no HOME.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
CONFIG = """\
state-dir: {dir}/state
clouds-file: {clouds}
log-file: {dir}/log
clusters:
  {name}:
    mode: act
    cloud: {cloud}
    servers:
      image: {image}
      flavor: {flavor}
      networks: [{network}]
      key-name: {key}
      security-groups: [{security_group}]
      name: {name}
      build-timeout: {build_timeout}
      {more}
    size: {{min: {min}, max: {max}}}
    cpu:
      min-span: 1
      snmp: {{version: 2c, community-file: {dir}/community, port: {ports[snmp]}}}
    policy: {{follow: step, scale-up-at: 70, scale-down-at: 10, cool-down-up: 0, cool-down-down: 0}}
    haproxy:
      template: {proxy.template}
      config: {proxy.config}
      backend: {backend}
      server: {{port: {ports[http]}, options: "check"}}
      master-socket: {proxy.master}
      stats-socket: {proxy.stats}
      state-file: {proxy.state_file}
      state-dir: {dir}/haproxy/state
      min-reload-interval: 1
      drain-timeout: 20
    load-balancers:
      - name: lb1
        sync: [{sync}, -n, {name}, -f, {dir}/clusterscale.yaml]
        status: [{sync}, -n, {name}, -f, {dir}/clusterscale.yaml, --status]
"""


def program(name):
    return BUILD / PROGRAMS[name] / name


def wait_until(condition, what, limit_s=60):
    return procs.wait_until(condition, limit_s, what, interval_s=0.3)


class Cluster:
    def __init__(self, lab, folder, name="web", host="127.0.0.1", balanced=True, **fields):
        """HOST: by what name its programs call Keystone; BALANCED: is there a load balancer?"""
        self.balanced = balanced
        self.lab, self.dir, self.user, self.name, self.host = lab, folder, lab.user, name, host
        for part in ("haproxy", "haproxy/state", "state"):
            (folder / part).mkdir(mode=0o750)
        settings.write_private(folder / "community", settings.COMMUNITY + "\n")
        self.proxy = haproxy.HAProxy(folder / "haproxy", "127.0.0.1", procs.free_port())
        self.proxy.write_template()
        for file in (self.proxy.template, self.proxy.config):
            file.write_text(file.read_text().replace("# clusterscale: servers web", f"# clusterscale: servers {name}"))
        self.fields, self.running = {}, []
        self.configure(**fields)
        self.proxy.start()

    def configure(self, **fields):
        self.fields |= fields
        # A copy, as a user with rights of his own would have it
        settings.write_private(self.dir / "clouds.yaml",
                               self.lab.place.path("clouds.yaml").read_text().replace("//127.0.0.1:", f"//{self.host}:"))
        text = CONFIG.format(**{
            "dir": self.dir, "name": self.name, "clouds": self.dir / "clouds.yaml", "cloud": "lab", "image": settings.IMAGE,
            "flavor": settings.FLAVOR, "network": settings.NETWORK, "key": settings.KEYPAIR,
            "security_group": settings.SECURITY_GROUP, "build_timeout": 120, "more": "", "min": 1, "max": 8,
            "ports": self.lab.place.ports, "proxy": self.proxy, "backend": haproxy.BACKEND,
            "sync": program("haproxy_sync")} | self.fields)
        (self.dir / "clusterscale.yaml").write_text(
            text if self.balanced else text.partition("    load-balancers:")[0])

    def close(self):
        for child in self.running:
            procs.end(child)
        self.proxy.end()

    # The programs

    def arguments(self, name, *arguments):
        return [program(name), "-n", self.name, "-f", self.dir / "clusterscale.yaml", *map(str, arguments)]

    def run(self, *arguments, name="nova_scale", limit_s=150):
        """(exit status, output and errors together); no password of the lab is among them."""
        done = subprocess.run(self.arguments(name, *arguments), env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit_s)
        self.look_for_secrets(done.stdout)
        return done.returncode, done.stdout

    def begin(self, *arguments):
        """A run of nova_scale that goes on; said() is its output."""
        (self.dir / "out").unlink(missing_ok=True)
        child = procs.spawn(self.arguments("nova_scale", *arguments), self.dir / "out", env=ENVIRONMENT)
        self.running.append(child)
        return child

    def said(self):
        text = (self.dir / "out").read_text()
        self.look_for_secrets(text)
        return text

    def look_for_secrets(self, text):
        for secret in self.lab.place.values["secrets"].values():
            assert secret not in text

    def create(self, count):
        status, out = self.run("--create", count)
        assert status == 0, out
        return out

    # What the others say

    def servers(self):
        """Nova's list of the servers that carry the cluster's mark."""
        return [server for server in self.user.get("nova", "/servers/detail")["servers"]
                if server["metadata"].get("clusterscale.cluster") == self.name]

    def serving(self):
        """Addresses that the running HAProxy sends requests to."""
        return {server["address"].partition(":")[0] for server in self.proxy.servers().values()
                if server["status"].startswith("UP")}

    def journal(self, **wanted):
        try:
            lines = (self.dir / "state" / self.name / "journal").read_text().splitlines()
        except FileNotFoundError:
            return []
        entries = (json.loads(line) for line in lines if line.endswith("}"))
        return [entry for entry in entries if all(entry.get(key) == value for key, value in wanted.items())]

    def check_settled(self, count):
        """COUNT servers, ACTIVE, tagged and served, and nothing open."""
        servers = self.servers()
        assert [(one["status"], one["OS-EXT-STS:task_state"], one["tags"]) for one in servers] == [
            ("ACTIVE", None, [f"clusterscale:{self.name}"])] * count
        assert not self.balanced or {address(one) for one in servers} == self.serving()
        done = {line["op"] for line in self.journal(type="result")}
        assert [line for line in self.journal(type="intent") if line["op"] not in done] == []


def address(server):
    return server["addresses"][settings.NETWORK][0]["addr"]


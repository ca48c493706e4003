#!/usr/bin/python3
"""A simulated OpenStack cloud: Keystone v3, Nova v2.1, Glance and Neutron look-ups.

It serves the demo and the fast tests and answers as a real Zed control plane
was recorded to answer; test_simcloud.py holds it to the recording. One port on
127.0.0.1 serves every service under its prefix: /identity, /compute, /image,
/networking, and an identity provider under /idp. As a module:

    with SimCloud(build_seconds=0.1) as cloud:
        cloud.auth_url, cloud.compute_url, cloud.add_server(...), cloud.inject(...)

As a command: simcloud.py --port 0 --ready-file FILE, see --help. It ends on
SIGTERM and destroys what it spawned.

One deviation on purpose: writes of a mere reader are refused, as deployments
with the new policy defaults do. The recorded cloud, with the old ones, let a
reader create; strict_roles=False does too.

Control endpoint, JSON in and out, no token (the same as the methods named):

    GET    /_sim/requests?method=RE&path=RE  the request log: time, seconds, method,
                                             path, headers, body, status
    DELETE /_sim/requests                    empties it
    GET    /_sim/faults                      faults and their remaining counts
    POST   /_sim/faults     {method, path, action, count, skip, delay, status, body,
                             headers}        see Fault in simcloud_control.py; inject()
    DELETE /_sim/faults                      no faults, plans and outages any more
    POST   /_sim/builds     {count, outcome: ok|error|hang, seconds, message,
                             fault_in_list}  the next builds; plan_builds()
    POST   /_sim/deletes    {count, outcome, seconds, message}  plan_deletes()
    PUT    /_sim/down       {services: [keystone|neutron|glance]}  what Nova cannot reach
    PUT    /_sim/quota      {instances, cores, ram}
    DELETE /_sim/tokens                      no token is valid any more
    POST   /_sim/images     {name, id, status, properties, min_disk}; PUT, DELETE /_sim/images/ID
    GET    /_sim/servers                     what exists, oldest first
    POST   /_sim/servers    {name, count, ...}     foreign servers; add_server()
    PUT    /_sim/servers/ID {...}            changes fields; change_server()
    DELETE /_sim/servers/ID                  it vanishes at once, without its hook
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid

from simcloud_control import Control
from simcloud_floating import Floating
from simcloud_http import Reply, Server, html_reply, json_reply
from simcloud_keystone import Keystone
from simcloud_lifecycle import Addresses, Lifecycle
from simcloud_lookups import Glance, Image, Network, Neutron
from simcloud_nova import Nova
from simcloud_servers import VM_STATE, Flavor, Port, SimServer

FLAVORS = (Flavor("1", "m1.tiny", 1, 512, 1), Flavor("2", "m1.small", 1, 2048, 20),
           Flavor("3", "m1.medium", 2, 4096, 40), Flavor("4", "m1.large", 4, 8192, 80))


class SimCloud:
    """The cloud; start() or `with` serves it. Methods are safe from any thread."""

    def __init__(self, port=0, *, build_seconds=0.2, delete_seconds=0.1,
                 cidr="127.18.0.0/24", network="private", network_id=None, networks=(),
                 image="rails-snapshot", image_id=None, flavors=FLAVORS,
                 keypairs=("keypair",), security_groups=("default",), zones=("nova",),
                 server_groups=(), volume_types=("standard",),
                 project="cluster", project_id=None, user="cluster", user_id=None,
                 password="labsecret", reader="reader", reader_password="readersecret",
                 users=(), app_credential_id=None, app_credential="lab",
                 app_credential_secret="lab-application-secret", token_lifetime=3600,
                 quota_instances=-1, quota_cores=-1, quota_ram=-1, max_limit=1000,
                 strict_roles=True, on_spawn=None, on_destroy=None, log_file=None):
        """`networks`: more (name, cidr) pairs; `users`: more (name, password, project,
        roles) tuples, whose projects come into being; `max_limit`: rows of a page."""
        self.server = Server(port, self._answer)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.lifecycle = Lifecycle(build_seconds, delete_seconds, on_spawn, on_destroy)
        self.lock, self.servers = self.lifecycle.lock, self.lifecycle.servers
        self.wait_for = self.lifecycle.wait_for
        self.plan_builds, self.plan_deletes = (self.lifecycle.plan_builds,
                                               self.lifecycle.plan_deletes)
        self.max_limit, self.strict_roles, self.down = max_limit, strict_roles, set()
        self.quota = {"instances": quota_instances, "cores": quota_cores, "ram": quota_ram}
        self.keystone = Keystone(self.url, token_lifetime)
        self.project = self.keystone.add_project(project, project_id)
        self.user = self.keystone.add_user(user, password, {project: ["member", "reader"]},
                                           user_id)
        self.reader = self.keystone.add_user(reader, reader_password, {project: ["reader"]})
        for name, secret, where, roles in users:
            if where not in self.keystone.projects:
                self.keystone.add_project(where)
            self.keystone.add_user(name, secret, {where: list(roles)})
        self.app_credential = self.keystone.add_credential(
            user, project, app_credential, app_credential_secret, ["member"], app_credential_id)
        self._furnish(image, image_id, flavors, keypairs, security_groups, zones)
        self.server_groups = {str(uuid.uuid4()): name for name in server_groups}
        self.volume_types = list(volume_types)
        self.networks = {}
        self.network = self.add_network(network, cidr, network_id)
        for name, more in networks:
            self.add_network(name, more)
        self._mount(log_file)

    def _furnish(self, image, image_id, flavors, keypairs, security_groups, zones):
        self.flavors = {flavor.id: flavor for flavor in flavors}
        self.keypairs, self.zones = list(keypairs), list(zones)
        self.groups = {name: str(uuid.uuid4()) for name in security_groups}
        self.images = {}
        self.image = self.add_image(image, id=image_id)

    def _mount(self, log_file):
        self.control = Control(self, log_file)
        self.floating = Floating(self)
        self.inject, self.requests = self.control.inject, self.control.seen
        self.services = {"identity": self.keystone, "compute": Nova(self),
                         "image": Glance(self.keystone, self.images),
                         "networking": Neutron(self.keystone, self.networks, self.groups, self.floating)}

    auth_url = property(lambda self: f"{self.url}/identity/v3")
    compute_url = property(lambda self: f"{self.url}/compute/v2.1")
    image_url = property(lambda self: f"{self.url}/image")
    network_url = property(lambda self: f"{self.url}/networking")
    control_url = property(lambda self: f"{self.url}/_sim")

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        """Ends the service and runs the destroy hook for what was spawned."""
        self.server.stop()
        self.lifecycle.stop()

    def facts(self):
        """What a client needs to know, secrets included."""
        return {"pid": os.getpid(), "url": self.url, "auth_url": self.auth_url,
                "compute_url": self.compute_url, "image_url": self.image_url,
                "network_url": self.network_url, "control_url": self.control_url,
                "project": self.project.name, "project_id": self.project.id,
                "user": self.user.name, "user_id": self.user.id,
                "password": self.user.password,
                "reader": self.reader.name, "reader_password": self.reader.password,
                "app_credential_id": self.app_credential.id,
                "app_credential_secret": self.app_credential.secret,
                "image": self.image.name, "image_id": self.image.id,
                "network": self.network.name, "network_id": self.network.id}

    def add_image(self, name, id=None, status="active", properties=(), min_disk=0):
        image = Image(name, self.project.id, id or str(uuid.uuid4()), status, dict(properties),
                      min_disk)
        self.images[image.id] = image
        return image

    def add_network(self, name, cidr, id=None):
        network = Network(name, cidr, self.project.id, id or str(uuid.uuid4()))
        self.networks[network.id] = network
        self.lifecycle.pools[name] = Addresses(cidr)
        return network

    def add_server(self, name, *, status="ACTIVE", image=None, flavor=None, address=None,
                   addresses=None, project=None, age=0, **fields):
        """Puts a server there that nobody built; fields as in SimServer.

        `image`: name or id, "" for boot from volume; `flavor`: name or id; `address`: in
        the first network, None takes the next free one and "" none; `addresses`: all of
        them, {network: [text]}; `project`: name; `age`: seconds since it was created.
        """
        with self.lifecycle.changed:
            owner = self.keystone.projects[project] if project else self.project
            now = time.time() - age
            server = SimServer(name, owner.id, self.user.id, self._image_id(image),
                               self._flavor(flavor), networks=[self.network.name], created=now)
            if addresses is None and address != "":
                addresses = {self.network.name: [address]}
            server.ports = [self._port(n, a) for n, texts in (addresses or {}).items()
                            for a in texts]
            server.change(vm_state=VM_STATE[status], task_state=None, host=status != "ERROR",
                          ports_shown=True, launched=now, updated=now)
            self._set(server, fields)
            self.servers[server.id] = server
            self.lifecycle.changed.notify_all()
            return server

    def change_server(self, id, **fields):
        """Changes a server: any field of SimServer, or `status`."""
        with self.lifecycle.changed:
            self._set(self.servers[id], fields)
            self.lifecycle.changed.notify_all()
            return self.servers[id]

    @staticmethod
    def _set(server, fields):
        if "status" in fields:
            fields["vm_state"] = VM_STATE[fields.pop("status")]
        unknown = [name for name in fields if name not in SimServer.__dataclass_fields__]
        if unknown:
            raise KeyError(f"a server has no {', '.join(unknown)}")
        server.change(**fields)

    def _port(self, network, address):
        pool = self.lifecycle.pools.get(network)
        return Port(network, pool.take(address) if pool and "." in (address or ".") else address)

    def _image_id(self, given):
        if given is None:
            return self.image.id
        return next((i.id for i in self.images.values() if i.name == given), given)

    def _flavor(self, given):
        choices = list(self.flavors.values())
        if given is None:
            given = "m1.small"
        return next((f for f in choices if given in (f.name, f.id)), choices[0])

    def usage(self, project_id):
        """What the servers of a project use of its quota, ERROR ones included."""
        flavors = [s.flavor for s in self.servers.values() if s.project_id == project_id]
        return {"instances": len(flavors), "cores": sum(f.vcpus for f in flavors),
                "ram": sum(f.ram for f in flavors)}

    def _answer(self, request):
        if request.path.startswith("/_sim/"):
            return self.control.handle(request.below("/_sim"))
        started = time.time()
        fault = self.control.pick(request)
        reply = fault.reply(self._serve, request) if fault else self._serve(request)
        self.control.log(request, reply, started)
        return reply

    def _serve(self, request):
        prefix = request.path.split("/")[1]
        if prefix == "idp":
            return self.keystone.handle_idp(request.below("/idp"))
        if prefix == "identity" and "keystone" in self.down:
            return Reply(0, ending="drop")
        if prefix in self.services:
            try:
                return self.services[prefix].handle(request.below(f"/{prefix}"))
            except Exception as error:  # a body of a shape that no service expects
                traceback.print_exc()
                return json_reply(500, {"computeFault": {"code": 500, "message":
                                                         f"simcloud: {error!r}"}})
        return html_reply(404, "Not Found", "The resource could not be found.")


def hook(command):
    """A callback that runs COMMAND with id, name and address; failure raises."""
    if not command:
        return None

    def run(server):
        done = subprocess.run([*shlex.split(command), server["id"], server["name"],
                               server["address"] or ""], stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError(f"hook '{command}' ended with {done.returncode}")
    return run


def options():
    parser = argparse.ArgumentParser(description="A simulated OpenStack cloud on 127.0.0.1.")
    add = parser.add_argument
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--ready-file", help="where to write URLs and credentials as JSON once it serves")
    add("--log", help="append one line per request to this file")
    add("--spawn-hook", help="run with ID NAME ADDRESS before a server is ACTIVE")
    add("--destroy-hook", help="run with ID NAME ADDRESS before a server is gone")
    for name, kind, default, text in (
            ("build-seconds", float, 2.0, "from create to ACTIVE"),
            ("delete-seconds", float, 1.0, "from delete to gone"),
            ("cidr", str, "127.18.0.0/24", "addresses of the network"),
            ("network", str, "private", "its name"),
            ("image", str, "rails-snapshot", "name of the image"),
            ("project", str, "cluster", ""), ("user", str, "cluster", ""),
            ("password", str, "labsecret", ""), ("reader", str, "reader", ""),
            ("reader-password", str, "readersecret", ""),
            ("token-lifetime", float, 3600, "seconds"),
            ("quota-instances", int, -1, "-1: no limit"),
            ("quota-cores", int, -1, "-1: no limit"), ("quota-ram", int, -1, "-1: no limit"),
            ("max-limit", int, 1000, "rows of a page")):
        add(f"--{name}", type=kind, default=default, help=f"{text} (default {default})".strip())
    return vars(parser.parse_args())


def write_ready(path, facts):
    """Writes FACTS so that a reader sees all of it or no file."""
    new = f"{path}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file, indent=1)
    os.rename(new, path)


def main():
    given = options()
    ready, log = given.pop("ready_file"), given.pop("log")
    given["on_spawn"] = hook(given.pop("spawn_hook"))
    given["on_destroy"] = hook(given.pop("destroy_hook"))
    # Not a blocked signal with sigwait: the hooks' children would inherit the mask.
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with SimCloud(**given, log_file=open(log, "a") if log else None) as cloud:
        if ready:
            write_ready(ready, cloud.facts())
        else:
            print(json.dumps(cloud.facts()), flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

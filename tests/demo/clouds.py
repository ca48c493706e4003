# SPDX-License-Identifier: GPL-3.0-or-later
"""The clouds that the demo can run on, behind the same few words: a simulated one, and the real OpenStack of ./dev lab.

Both say in `seen()` what servers there are, {id: {"name", "address", "status", "metadata"}}, and call
`on_delete(name, address)` when one is being deleted, before its machine ends.
"""
import json
import pathlib
import socket
import sys
import threading
import time

import procs
from parts import Failed, Fleet
from watch import DRAINING

HERE = pathlib.Path(__file__).resolve()


class Simulated:
    """The simulated cloud of the tests; its machines are ours."""
    title = "a simulated cloud"
    SLOWNESS = 1  # of builds and deletes

    def __init__(self, directory, capacity, on_delete):
        from simcloud import SimCloud
        self.on_delete = on_delete
        self.http_port, self.snmp_port = procs.free_port(), procs.free_port(socket.SOCK_DGRAM)
        self.community, self.flavor = "demo-community", "m1.small"
        self.fleet = Fleet(directory / "instances", http_port=self.http_port, snmp_port=self.snmp_port,
                           community=self.community, capacity=capacity)
        self.cloud = SimCloud(build_seconds=2.5, delete_seconds=0.5, on_spawn=self.fleet.spawn, on_destroy=self.destroy,
                              log_file=open(directory / "cloud.log", "w", buffering=1))
        self.image, self.network = self.cloud.image.name, self.cloud.network.name

    def start(self):
        self.cloud.start()
        self.url, self.auth_url, self.project = self.cloud.url, self.cloud.auth_url, self.cloud.project.name
        self.logins = {"demo": (self.cloud.user.name, self.cloud.user.password), "demo-reader": ("reader", "readersecret")}

    def destroy(self, server):
        self.on_delete(server["name"], server["address"])
        self.fleet.destroy(server["id"])

    def seen(self):
        with self.cloud.lock:
            return {server.id: server.summary() for server in self.cloud.servers.values()}

    def is_alive(self):
        return True

    def trouble(self):
        return self.fleet.died

    def stop(self):
        self.cloud.stop()
        self.fleet.destroy_all()


class OpenStack(threading.Thread):
    """A lab that is up: its driver has started the machines before it calls a server ACTIVE. What servers there are is
    read where Nova keeps it: at every list it would ask Neutron, which is work for cores that have enough of it."""
    title = "a real OpenStack"
    SLOWNESS = 3
    INTERVAL_S = 0.2
    ROWS = """SELECT i.uuid, i.display_name, i.vm_state, i.task_state, c.network_info, m.value
        FROM {0}.instances i LEFT JOIN {0}.instance_info_caches c ON c.instance_uuid = i.uuid
        LEFT JOIN {0}.instance_metadata m ON m.instance_uuid = i.uuid AND m.deleted = 0 AND m.`key` = %s
        WHERE i.deleted = 0 ORDER BY i.created_at, i.uuid"""
    CELLS = ("nova", "nova_cell0")  # the second has those that no host took

    def __init__(self, lab_dir, directory, capacity, on_delete):
        super().__init__(daemon=True)
        sys.path.append(str(HERE.parents[1] / "openstack-lab"))
        import settings
        from lab import Lab
        from rest import Refused
        from services import LabError
        if capacity != settings.CAPACITY:
            raise Failed(f"servers of the lab bear {settings.CAPACITY} requests/s, {capacity} are wanted")
        self.troubles = (OSError, Refused, LabError)
        self.lab, self.on_delete = Lab(lab_dir), on_delete
        if not self.lab.is_serving():
            raise Failed(f"no lab serves in {lab_dir}; ./dev lab up --dir {lab_dir} starts one")
        place = self.lab.place
        self.http_port, self.snmp_port = place.ports["http"], place.ports["snmp"]
        self.community, self.flavor = settings.COMMUNITY, settings.FLAVOR
        self.image, self.network, self.project = settings.IMAGE, settings.NETWORK, settings.PROJECT
        self.auth_url, self.url = place.url("keystone"), place.url("nova")
        self.logins = dict.fromkeys(("demo", "demo-reader"), (settings.USER, place.secret("user")))
        self.servers, self.deleting, self.stopping = {}, set(), threading.Event()
        self.log = open(directory / "cloud.log", "w", buffering=1)

    def start(self):
        try:
            self.lab.clear()
        except self.troubles as error:
            raise Failed(f"the lab's project is not emptied: {error}") from None
        self.database = self.lab.place.connect()
        super().start()

    def run(self):
        while not self.stopping.wait(self.INTERVAL_S):
            self.look()

    def look(self):
        now = {}
        with self.database.cursor() as cursor:
            for cell in self.CELLS:
                cursor.execute(self.ROWS.format(cell), [DRAINING])
                now |= {id: self.row(*rest) for id, *rest in cursor.fetchall()}
        for id, server in now.items():
            before = self.servers.get(id, {})
            if any(server[key] != before.get(key) for key in ("status", "task")):
                self.tell(f"{server['name']} {id}: {server['status']}, task {server['task']}")
            if server["task"] == "deleting":
                self.is_deleted(id, server)
        for id in self.servers.keys() - now.keys():
            self.tell(f"{self.servers[id]['name']} {id}: gone")
            self.is_deleted(id, self.servers[id])
        self.servers = now

    @staticmethod
    def row(name, state, task, network_info, draining):
        addresses = [ip["address"] for vif in json.loads(network_info or "[]")
                     for subnet in vif["network"]["subnets"] for ip in subnet["ips"]]
        return {"name": name, "address": addresses[0] if addresses else None, "status": state.upper(), "task": task,
                "metadata": {DRAINING: draining} if draining else {}}

    def tell(self, text):
        self.log.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def is_deleted(self, id, server):
        if id not in self.deleting:
            self.deleting.add(id)
            self.on_delete(server["name"], server["address"])

    def seen(self):
        return self.servers

    def trouble(self):
        """The driver hears of machines that do not start: such a server ends in ERROR."""
        return [f"{server['name']} is in ERROR, see {self.lab.place.path('log', 'nova.log')}"
                for server in self.servers.values() if server["status"] == "ERROR"]

    def stop(self):
        self.stopping.set()
        if self.is_alive():
            self.join()
            self.database.close()
            try:
                self.lab.clear()
            except self.troubles as error:
                self.tell(f"not all is deleted: {error}")
        self.log.close()

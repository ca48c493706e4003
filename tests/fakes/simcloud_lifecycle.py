"""Builds and deletes of the simulated cloud: steps in time, hooks, addresses.

Every build and delete runs in a thread of its own, so that slow hooks hold up
nothing else. All state changes happen under `lock` and wake `changed`.
"""

import collections
import heapq
import ipaddress
import itertools
import sys
import threading
import time

from simcloud_http import iso_time
from simcloud_lookups import Image
from simcloud_servers import Port

# One planned deviation: outcome "ok", "error" or "hang"; None = the default.
Plan = collections.namedtuple("Plan", "outcome seconds message fault_in_list",
                              defaults=("ok", None, None, True))


class Addresses:
    """The addresses of one network, lowest free one first."""

    def __init__(self, cidr):
        self.network = ipaddress.ip_network(cidr)
        self.fresh = iter(self.network.hosts())
        self.freed, self.taken = [], set()

    def take(self, wanted=None):
        """Takes WANTED or the lowest free address; None when none is left."""
        if wanted:
            self.taken.add(ipaddress.ip_address(wanted))
            return wanted
        while self.freed:
            address = heapq.heappop(self.freed)
            if address not in self.taken:
                self.taken.add(address)
                return str(address)
        for address in self.fresh:
            if address not in self.taken:
                self.taken.add(address)
                return str(address)
        return None

    def free(self, text):
        address = ipaddress.ip_address(text)
        self.taken.discard(address)
        if address in self.network:
            heapq.heappush(self.freed, address)


class Lifecycle:
    def __init__(self, build_seconds, delete_seconds, on_spawn, on_destroy):
        """`on_spawn(server)` runs while the task is `spawning`, before the server is
        ACTIVE, and makes the build fail by raising; `on_destroy(server)` runs before
        the server is gone and its address is free. Both get SimServer.summary()."""
        self.pools = {}  # name of a network -> Addresses
        self.build_seconds, self.delete_seconds = build_seconds, delete_seconds
        self.on_spawn, self.on_destroy = on_spawn, on_destroy
        self.servers = {}  # id -> SimServer, oldest first
        self.volumes = set()  # ids of those that servers boot, or booted, from
        self.gone = collections.deque(maxlen=1000)  # deleted ones, which changes-since lists
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.build_plans, self.delete_plans = collections.deque(), collections.deque()
        self.stopping = threading.Event()
        self.snapshot_seconds, self.snapshot_outcome = 0.3, "active"

    def plan_builds(self, count=1, **plan):
        """The next COUNT builds follow PLAN (see Plan)."""
        with self.lock:
            self.build_plans.extend(itertools.repeat(Plan(**plan), count))

    def plan_deletes(self, count=1, **plan):
        with self.lock:
            self.delete_plans.extend(itertools.repeat(Plan(**plan), count))

    def wait_for(self, condition, timeout=10):
        """Waits until CONDITION() is true; says whether it became so."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)

    def build(self, server, wanted=None, plan=None):
        """Starts to build SERVER, which is new; WANTED maps networks to addresses."""
        with self.lock:
            self.servers[server.id] = server
            if not plan:
                plan = self.build_plans.popleft() if self.build_plans else Plan()
            self.changed.notify_all()
        self._start(self._build, server, plan, wanted or {})

    def delete(self, server):
        """Starts to delete SERVER; again while it is under way changes nothing,
        unless that delete hangs."""
        with self.lock:
            if server.deleting and not server.stuck:
                return
            server.change(task_state="deleting", stuck=False)
            plan = self.delete_plans.popleft() if self.delete_plans else Plan()
            self.changed.notify_all()
        self._start(self._delete, server, plan)

    def snapshot(self, server, images, given):
        """Starts to store an image of SERVER, which becomes one of IMAGES."""
        properties = given.get("metadata", {}) | {
            "base_image_ref": server.image, "instance_uuid": server.id, "image_type": "snapshot"}
        image = Image(given["name"], server.project_id, status="queued", properties=properties)
        images[image.id] = image
        server.change(task_state="image_snapshot_pending")
        self._start(self._store, server, image)
        return image

    def _store(self, server, image):
        for task, status in (("image_snapshot", "queued"), ("image_uploading", "saving"),
                             (None, self.snapshot_outcome)):
            self.stopping.wait(self.snapshot_seconds / 3)
            with self.changed:
                image.status = status
                if not server.deleting:
                    server.change(task_state=task)
                self.changed.notify_all()

    def forget(self, server):
        """Removes SERVER at once, as if it had never been."""
        with self.changed:
            self.servers.pop(server.id, None)
            self._release(server.ports)
            if server.volume and server.volume.get("delete_on_termination"):
                self.volumes.discard(server.volume_id)
            server.change(vm_state="deleted", task_state=None, ports=[])
            self.gone.append(server)
            self.changed.notify_all()

    def stop(self):
        """Ends builds and deletes, and destroys what was spawned."""
        self.stopping.set()
        for server in list(self.servers.values()):
            with server.hooks:
                self._destroy(server)

    def _release(self, ports):
        for port in ports:
            if port.network in self.pools:
                self.pools[port.network].free(port.address)

    @staticmethod
    def _start(target, *args):
        threading.Thread(target=target, args=args, daemon=True).start()

    def _step(self, server, seconds, **fields):
        """Waits SECONDS, then changes SERVER unless its build was given up."""
        self.stopping.wait(seconds)
        with self.changed:
            if self.stopping.is_set() or server.deleting or server.id not in self.servers:
                return False
            server.change(**fields)
            self.changed.notify_all()
            return True

    def _build(self, server, plan, wanted):
        seconds = self.build_seconds if plan.seconds is None else plan.seconds
        if plan.outcome == "error":
            message = (plan.message or "No valid host was found. ").replace("{id}", server.id)
            self._fail(server, seconds, message, plan.fault_in_list)
            return
        networking = "networking" if server.networks else "block_device_mapping"
        if not (self._step(server, seconds / 4, task_state=networking, host=True)
                and self._step(server, seconds / 4, task_state="spawning")):
            return
        if plan.outcome == "hang":
            return
        if not self._connect(server, seconds / 4, wanted):
            return
        self.stopping.wait(seconds / 4)
        with server.hooks:
            self._spawn(server)

    def _connect(self, server, seconds, wanted):
        """Gives SERVER an address in each of its networks; False when the build is over."""
        with self.lock:
            if server.id not in self.servers:
                return False
            for name in server.networks:
                address = self.pools[name].take(wanted.get(name))
                if not address:
                    break
                server.change(ports=server.ports + [Port(name, address)])
        if len(server.ports) == len(server.networks):
            return self._step(server, seconds, ports_shown=True)
        self._fail(server, seconds, f"Build of instance {server.id} aborted: No fixed IP "
                                    f"addresses available for network: {name}")
        return False

    def _spawn(self, server):
        if server.deleting or self.stopping.is_set():
            return
        try:
            server.spawned = True
            if self.on_spawn:
                self.on_spawn(server.summary())
        except Exception as error:  # whatever a hook raises is a build that failed
            self._fail(server, 0, f"Build of instance {server.id} aborted: {error}")
            return
        self._step(server, 0, vm_state="active", task_state=None, launched=time.time())

    def _fail(self, server, seconds, message, fault_in_list=True):
        fault = {"code": 500, "created": iso_time(time.time() + seconds), "message": message}
        ports = server.ports
        if self._step(server, seconds, vm_state="error", task_state=None, host=False,
                      fault=fault, fault_in_list=fault_in_list, ports=[]):
            self._release(ports)

    def _delete(self, server, plan):
        seconds = self.delete_seconds if plan.seconds is None else plan.seconds
        if self.stopping.wait(seconds):
            return
        if plan.outcome == "hang":
            server.change(stuck=True)
            return
        if plan.outcome == "error":
            with self.changed:
                server.change(vm_state="error", task_state=None,
                              fault={"code": 500, "created": iso_time(time.time()),
                                     "message": plan.message or "InternalServerError"})
                self.changed.notify_all()
            return
        with server.hooks:
            self._destroy(server)
            self.forget(server)

    def _destroy(self, server):
        if not server.spawned:
            return
        server.spawned = False
        try:
            if self.on_destroy:
                self.on_destroy(server.summary())
        except Exception as error:  # the server goes all the same
            print(f"simcloud: destroy hook of {server.name}: {error}", file=sys.stderr)

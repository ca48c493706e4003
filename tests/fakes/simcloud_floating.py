"""Ports of the simulated Neutron, and its floating addresses, one for each port at most."""

import dataclasses
import re
import time
import uuid

from simcloud_http import Reply, iso_time, json_reply

ROUTER = str(uuid.UUID(int=1))
BOUND = {"binding:profile": {}, "binding:host_id": "compute1", "binding:vif_type": "ovs", "binding:vif_details": {
    "connectivity": "l2", "port_filter": True, "ovs_hybrid_plug": None, "datapath_type": "system",
    "bound_drivers": {"0": "openvswitch"}}}


@dataclasses.dataclass
class FloatingIP:
    address: str
    network_id: str
    project_id: str
    description: str
    port_id: str | None = None
    fixed_address: str | None = None
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))


@dataclasses.dataclass
class NetworkPort:
    """One of a server, or one that somebody made beforehand."""
    id: str
    name: str
    address: str | None
    network_id: str
    server_id: str = ""
    created: float = dataclasses.field(default_factory=time.time)


def fault(status, kind, message):
    return json_reply(status, {"NeutronError": {"type": kind, "message": message, "detail": ""}})


class Floating:
    def __init__(self, cloud):
        """`pages`: rows of a page, None: all in one."""
        self.cloud, self.addresses, self.quota, self.pages = cloud, {}, -1, None
        self.ready = {}  # ports that somebody made beforehand, by id
        self.fresh = iter(f"203.0.113.{i}" for i in range(1, 255))

    def add_port(self, name, address, id=None):
        """On the first network; its id."""
        id = id or str(uuid.uuid4())
        self.ready[id] = NetworkPort(id, name, address, self.cloud.network.id)
        return id

    def add(self, description, network_id=""):
        """One that leads nowhere yet."""
        one = FloatingIP(next(self.fresh), network_id, self.cloud.project.id, description)
        self.addresses[one.id] = one
        return one

    def handle(self, request, is_admin):
        """A reply, or None for what is none of this. Who is admin sees where a port is bound."""
        match = re.fullmatch(r"/v2\.0/(ports|floatingips)(?:/([^/]+))?/?", request.path)
        if not match:
            return None
        with self.cloud.lock:
            self._forget_ports()
            if match[1] == "ports":
                return self._show_ports(request, match[2], is_admin)
            return self._route(request, match[2])

    def _route(self, request, id):
        if id and id not in self.addresses:
            return fault(404, "FloatingIPNotFound", f"Floating IP {id} could not be found")
        if request.method == "GET":
            return self._list(request)
        if request.method == "DELETE":
            del self.addresses[id]
            return Reply(204)
        given = request.json()["floatingip"]
        return self._change(id, given) if request.method == "PUT" else self._make(given)

    def _show_ports(self, request, id, is_admin):
        rows = [self._show_port(one) | (BOUND if one.server_id and is_admin else {}) for one in self._ports()]
        if id:
            found = next((row for row in rows if row["id"] == id), None)
            return json_reply(200, {"port": found}) if found else fault(404, "PortNotFound",
                                                                        f"Port {id} could not be found.")
        for key in ("name", "device_id"):
            rows = [row for row in rows if request.arg(key) in (None, row[key])]
        return json_reply(200, {"ports": rows})

    def _ports(self):
        """A port that was there before is a server's as long as that has its address."""
        networks = {one.name: one.id for one in self.cloud.networks.values()}
        ready = {one.address: dataclasses.replace(one) for one in self.ready.values()}
        ports = list(ready.values())
        for server, one in [(server, port) for server in self.cloud.servers.values() for port in server.ports]:
            if one.address in ready:
                ready[one.address].server_id = server.id
            else:
                ports.append(NetworkPort(str(uuid.uuid5(uuid.UUID(server.id), one.address or "")), "", one.address,
                                         networks.get(one.network, ""), server.id, server.created))
        return ports

    def _show_port(self, port):
        project = self.cloud.project.id
        subnets = {one.id: one.subnet_id for one in self.cloud.networks.values()}
        fixed = [{"ip_address": port.address, "subnet_id": subnets.get(port.network_id)}] if port.address else []
        return {"id": port.id, "name": port.name, "network_id": port.network_id, "tenant_id": project,
                "project_id": project, "mac_address": "fa:16:3e:" + ":".join(re.findall("..", port.id[:6])),
                "admin_state_up": True, "status": "DOWN", "device_id": port.server_id,
                "device_owner": "compute:nova" if port.server_id else "", "fixed_ips": fixed,
                "allowed_address_pairs": [], "extra_dhcp_opts": [], "security_groups": list(self.cloud.groups.values())[:1],
                "description": "", "binding:vnic_type": "normal", "port_security_enabled": True, "tags": [],
                "created_at": iso_time(port.created), "updated_at": iso_time(port.created), "revision_number": 1}

    def _forget_ports(self):
        there = {one.id for one in self._ports() if one.server_id}
        for one in self.addresses.values():
            if one.port_id not in there:
                one.port_id = one.fixed_address = None

    def _list(self, request):
        rows = sorted(self.addresses.values(), key=lambda one: one.id)
        marker = next((i + 1 for i, one in enumerate(rows) if one.id == request.arg("marker")), 0)
        rows = rows[marker:]
        limit = int(request.arg("limit") or 0) or self.pages
        rows = rows[:limit]
        body = {"floatingips": [self._show(one) for one in rows]}
        if limit and rows:  # a full page has a next one, also the last; the first has a previous one
            page = "http://internal/v2.0/floatingips?marker="
            body["floatingips_links"] = [{"rel": "next", "href": page + rows[-1].id}] * (len(rows) == limit) + [
                {"rel": "previous", "href": f"{page}{rows[0].id}&page_reverse=True"}]
        return json_reply(200, body)

    def _make(self, given):
        network = self.cloud.networks.get(given["floating_network_id"])
        if not network:
            return fault(404, "NetworkNotFound", f"Network {given['floating_network_id']} could not be found.")
        if self.quota == len(self.addresses):
            return fault(409, "OverQuota", "Quota exceeded for resources: ['floatingip'].")
        if any(one.port_id == given.get("port_id", "") for one in self.addresses.values()):
            return fault(409, "FloatingIPPortAlreadyAssociated", "Cannot associate floating IP with the port")
        return self._change(self.add(given.get("description", ""), network.id).id, given, 201)

    def _change(self, id, given, status=200):
        one = self.addresses[id]
        one.port_id, one.fixed_address = given.get("port_id"), given.get("fixed_ip_address")
        return json_reply(status, {"floatingip": self._show(one)})

    @staticmethod
    def _show(one):
        return {"id": one.id, "floating_ip_address": one.address, "floating_network_id": one.network_id,
                "description": one.description, "port_id": one.port_id, "fixed_ip_address": one.fixed_address,
                "project_id": one.project_id, "tenant_id": one.project_id, "router_id": ROUTER if one.port_id else None,
                "status": "ACTIVE" if one.port_id else "DOWN", "tags": []}

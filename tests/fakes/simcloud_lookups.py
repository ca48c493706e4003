"""Glance v2 and Neutron v2.0 of the simulated cloud: look-ups by name and id."""

import dataclasses
import ipaddress
import re
import time
import uuid
from urllib.parse import urlencode

from simcloud_http import html_reply, iso_time, json_reply, request_id
from simcloud_keystone import UNAUTHORIZED

GLANCE_401 = ("This server could not verify that you are authorized to access the document you "
              "requested. Either you supplied the wrong credentials (e.g., bad password), or "
              "your browser does not understand how to supply the credentials required.")


@dataclasses.dataclass
class Image:
    """One image; `properties` are the free ones (those of a snapshot, say)."""

    name: str
    owner: str
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "active"
    properties: dict = dataclasses.field(default_factory=dict)
    min_disk: int = 0
    min_ram: int = 0
    created: float = dataclasses.field(default_factory=time.time)


@dataclasses.dataclass
class Network:
    name: str
    cidr: str
    project_id: str
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    subnet_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    group_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))


class Glance:
    def __init__(self, keystone, images):
        """`images`: id -> Image, oldest first, shared with Nova."""
        self.keystone, self.images = keystone, images

    def handle(self, request):
        if not self.keystone.token(request.headers.get("x-auth-token")):
            return html_reply(401, "Unauthorized", GLANCE_401, [self.keystone.challenge()])
        reply = self._route(request)
        reply.headers.append(("X-Openstack-Request-Id", request_id()))
        return reply

    def _route(self, request):
        if request.method == "GET" and request.path.rstrip("/") == "/v2/images":
            return self._list(request)
        match = re.fullmatch(r"/v2/images/([^/]+)", request.path)
        if request.method == "GET" and match:
            image = self.images.get(match[1])
            if image:
                return json_reply(200, self._show(image))
            return html_reply(404, "Not Found", f"No image found with ID {match[1]}")
        return html_reply(404, "Not Found", "The resource could not be found.")

    def _list(self, request):
        images = list(reversed(self.images.values()))
        for key in ("name", "status", "id", "owner"):
            for value in request.args(key):
                wanted = value[3:].split(",") if value.startswith("in:") else [value]
                images = [i for i in images if getattr(i, key) in wanted]
        marker = request.arg("marker")
        if marker in self.images:
            images = images[images.index(self.images[marker]) + 1:]
        limit = min(int(request.arg("limit", 25)), 1000)
        query = urlencode([(k, v) for k, v in request.query if k != "marker"])
        first = "/v2/images" + (f"?{query}" if query else "")
        body = {"images": [self._show(i) for i in images[:limit]], "first": first,
                "schema": "/v2/schemas/images"}
        if limit and len(images) > limit:
            joint = "&" if "?" in first else "?"
            body["next"] = f"{first}{joint}marker={images[limit - 1].id}"
        return json_reply(200, body)

    @staticmethod
    def _show(image):
        stored = image.status == "active"
        path = f"/v2/images/{image.id}"
        known = stored or not image.properties  # a snapshot gets its formats when stored
        body = image.properties | {
            "name": image.name, "disk_format": "raw" if known else None,
            "container_format": "bare" if known else None,
            "visibility": "private" if image.properties else "shared",
            "size": 49 if stored else None, "virtual_size": 49 if stored else None,
            "status": image.status, "checksum": "8b0aa10dfc8cf7a42433761857e9bcfc"
            if stored else None, "protected": False, "min_ram": image.min_ram, "min_disk": image.min_disk,
            "owner": image.owner, "os_hidden": False, "os_hash_algo": "sha512"
            if stored else None, "os_hash_value": "17a8a1d4" * 16 if stored else None,
            "id": image.id, "created_at": iso_time(image.created),
            "updated_at": iso_time(image.created), "tags": [], "self": path,
            "file": f"{path}/file", "schema": "/v2/schemas/image"}
        return body | ({"stores": "fs"} if stored else {})


class Neutron:
    def __init__(self, keystone, networks, groups, floating):
        """`networks`: id -> Network; `groups`: name -> id of security groups."""
        self.keystone, self.networks, self.groups, self.floating = keystone, networks, groups, floating

    def handle(self, request):
        token = self.keystone.token(request.headers.get("x-auth-token"))
        if not token:
            reply = json_reply(401, {"error": {"code": 401, "title": "Unauthorized",
                                               "message": UNAUTHORIZED}},
                               [self.keystone.challenge()])
        else:
            reply = self.floating.handle(request, token.is_admin) or self._route(request)
        reply.headers.append(("X-Openstack-Request-Id", request_id()))
        return reply

    def _route(self, request):
        kinds = {"networks": [self._network(n) for n in self.networks.values()],
                 "subnets": [self._subnet(n) for n in self.networks.values()],
                 "security-groups": [self._group(name) for name in self.groups]}
        match = re.fullmatch(r"/v2\.0/(networks|subnets|security-groups)(?:/([^/]+))?/?",
                             request.path)
        if request.method != "GET" or not match:
            return html_reply(404, "Not Found", "The resource could not be found.")
        kind, id = match[1], match[2]
        rows, key = kinds[kind], kind.replace("-", "_")
        if id:
            row = next((r for r in rows if r["id"] == id), None)
            return json_reply(200, {key[:-1]: row}) if row else self._missing(key[:-1], id)
        for name in ("name", "id", "network_id"):
            if request.args(name):
                rows = [r for r in rows if r.get(name) in request.args(name)]
        return json_reply(200, {key: rows})

    @staticmethod
    def _missing(kind, id):
        title = kind.title().replace("_", "")
        label = kind.replace("_", " ").capitalize()
        return json_reply(404, {"NeutronError": {
            "type": f"{title}NotFound", "detail": "",
            "message": f"{label} {id} could not be found."}})

    @staticmethod
    def _network(network):
        return {"id": network.id, "name": network.name, "tenant_id": network.project_id,
                "project_id": network.project_id, "admin_state_up": True, "mtu": 1500,
                "status": "ACTIVE", "subnets": [network.subnet_id], "shared": False,
                "availability_zone_hints": [], "availability_zones": [], "description": "",
                "ipv4_address_scope": None, "ipv6_address_scope": None,
                "port_security_enabled": True, "router:external": False, "tags": []}

    @staticmethod
    def _subnet(network):
        hosts = ipaddress.ip_network(network.cidr)
        return {"id": network.subnet_id, "name": "", "network_id": network.id,
                "tenant_id": network.project_id, "project_id": network.project_id,
                "ip_version": hosts.version, "cidr": network.cidr, "gateway_ip": None,
                "enable_dhcp": False, "dns_nameservers": [], "host_routes": [],
                "allocation_pools": [{"start": str(hosts[1]), "end": str(hosts[-2])}]}

    def _group(self, name):
        return {"id": self.groups[name], "name": name, "description": "", "stateful": True,
                "security_group_rules": [], "tags": []}

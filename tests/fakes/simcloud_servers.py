"""Server records of the simulated cloud: their state and how Nova shows them.

States, key sets and their microversions are those of Nova 26 (Zed), API
reference https://docs.openstack.org/api-ref/compute/, as recorded.
"""

import bisect
import collections
import dataclasses
import hashlib
import json
import random
import threading
import time
import uuid

from simcloud_http import iso_time

STATUS = {"active": "ACTIVE", "building": "BUILD", "error": "ERROR", "stopped": "SHUTOFF",
          "paused": "PAUSED", "suspended": "SUSPENDED", "deleted": "DELETED",
          "soft-delete": "SOFT_DELETED", "rescued": "RESCUE", "shelved_offloaded":
          "SHELVED_OFFLOADED"}
VM_STATE = {status: state for state, status in STATUS.items()}
POWER = {"active": 1, "paused": 3, "stopped": 4, "suspended": 4}
WITH_PROGRESS = ("ACTIVE", "BUILD", "DELETED")
# Microversions (minor numbers) at which the shape of a server changes.
BANDS = (3, 9, 19, 26, 47, 63, 69, 71, 73, 75, 90)


@dataclasses.dataclass
class Flavor:
    """One flavor; `ram` in MiB, `disk` in GiB."""

    id: str
    name: str
    vcpus: int = 1
    ram: int = 2048
    disk: int = 20


Port = collections.namedtuple("Port", "network address kind", defaults=("fixed",))


@dataclasses.dataclass
class SimServer:
    """One server. Change it through change() only, which renews its rows."""

    name: str
    project_id: str
    user_id: str
    image: str  # id; "" when it boots from a volume
    flavor: Flavor
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    metadata: dict = dataclasses.field(default_factory=dict)
    tags: list = dataclasses.field(default_factory=list)
    vm_state: str = "building"
    task_state: str | None = "scheduling"
    networks: list = dataclasses.field(default_factory=list)  # names
    ports: list = dataclasses.field(default_factory=list)  # of Port
    ports_shown: bool = False
    host: bool = False  # a compute host has taken it
    zone: str = "nova"  # of that host
    zone_wanted: str = ""  # what is shown before there is one
    config_drive: bool = False
    volume: dict | None = None  # it boots from, as the create named it
    volume_id: str | None = None
    group: str | None = None  # id of its server group
    created: float = dataclasses.field(default_factory=time.time)
    updated: float = dataclasses.field(default_factory=time.time)
    launched: float | None = None
    locked: bool = False
    locked_reason: str | None = None
    description: str | None = None
    key_name: str | None = None
    security_groups: list = dataclasses.field(default_factory=lambda: ["default"])
    user_data: str | None = None
    fault: dict | None = None
    fault_in_list: bool = True
    unreachable: bool = False  # its cell is down: UNKNOWN row from 2.69, absent before
    spawned: bool = False  # the spawn hook has run
    stuck: bool = False  # its delete hangs

    def __post_init__(self):
        self.rows = {}
        self.hooks = threading.Lock()  # spawn and destroy of one server never overlap
        self.mac = "fa:16:3e:" + ":".join(f"{random.randrange(256):02x}" for _ in range(3))

    @property
    def status(self):
        return STATUS[self.vm_state]

    @property
    def address(self):
        return self.ports[0].address if self.ports else None

    @property
    def deleting(self):
        return self.task_state == "deleting"

    def change(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)
        self.updated = time.time()
        self.rows.clear()

    def summary(self):
        """The plain form that hooks and the control endpoint get."""
        return {"id": self.id, "name": self.name, "status": self.status,
                "task_state": self.task_state, "address": self.address, "image": self.image,
                "flavor": self.flavor.name, "metadata": dict(self.metadata),
                "tags": list(self.tags), "project_id": self.project_id, "locked": self.locked,
                "zone": self.zone, "config_drive": self.config_drive,
                "volume": self.volume, "group": self.group,
                "user_data": self.user_data, "key_name": self.key_name,
                "security_groups": list(self.security_groups)}


class View:
    """Renders servers as Nova does, for one base URL (without /v2.1)."""

    def __init__(self, url):
        self.url = url

    def links(self, server):
        return [{"rel": "self", "href": f"{self.url}/v2.1/servers/{server.id}"},
                {"rel": "bookmark", "href": f"{self.url}/servers/{server.id}"}]

    def _bookmark(self, kind, id):
        return {"id": id, "links": [{"rel": "bookmark", "href": f"{self.url}/{kind}/{id}"}]}

    def row(self, server, minor, detail):
        """One row of a list as JSON text; None when this version leaves it out."""
        key = (detail, bisect.bisect(BANDS, minor))
        if key not in server.rows:
            server.rows[key] = self._row(server, minor, detail)
        return server.rows[key]

    def _row(self, server, minor, detail):
        if server.unreachable:
            return json.dumps(self._unknown(server, detail)) if minor >= 69 else None
        if not detail:
            return json.dumps({"id": server.id, "name": server.name,
                               "links": self.links(server)})
        return json.dumps(self.full(server, minor, in_list=True))

    def _unknown(self, server, detail):
        row = {"id": server.id, "status": "UNKNOWN", "links": self.links(server)}
        if detail:
            row |= {"tenant_id": server.project_id, "created": iso_time(server.created)}
        return row

    def unknown(self, server, minor):
        """GET of a server whose cell is down (2.69)."""
        return self._unknown(server, True) | {
            "user_id": server.user_id, "image": self._image(server),
            "flavor": self._flavor(server, minor),
            "OS-EXT-AZ:availability_zone": "nova", "OS-EXT-STS:power_state": 0}

    def _image(self, server):
        return self._bookmark("images", server.image) if server.image else ""

    def _flavor(self, server, minor):
        flavor = server.flavor
        if minor < 47:
            return self._bookmark("flavors", flavor.id)
        return {"vcpus": flavor.vcpus, "ram": flavor.ram, "disk": flavor.disk, "ephemeral": 0,
                "swap": 0, "original_name": flavor.name, "extra_specs": {}}

    @staticmethod
    def addresses(server, plain=False):
        """`addresses` of a show; PLAIN as GET .../ips has it."""
        shown = {}
        for port in server.ports if server.ports_shown else ():
            entry = {"version": 6 if ":" in port.address else 4, "addr": port.address}
            if not plain:
                entry |= {"OS-EXT-IPS:type": port.kind, "OS-EXT-IPS-MAC:mac_addr": server.mac}
            shown.setdefault(port.network, []).append(entry)
        return shown

    def basic(self, server, minor):
        """What an update answers; a show has more."""
        host = hashlib.sha224(server.project_id.encode()).hexdigest() if server.host else ""
        body = {"id": server.id, "name": server.name, "status": server.status,
                "tenant_id": server.project_id, "user_id": server.user_id,
                "metadata": server.metadata, "hostId": host, "image": self._image(server),
                "flavor": self._flavor(server, minor), "created": iso_time(server.created),
                "updated": iso_time(server.updated), "addresses": self.addresses(server),
                "accessIPv4": "", "accessIPv6": "", "links": self.links(server),
                "OS-DCF:diskConfig": "MANUAL"}
        if server.status in WITH_PROGRESS:
            body["progress"] = 0
        return body

    def full(self, server, minor, in_list=False):
        """A show, or a row of the detailed list."""
        body = self.basic(server, minor)
        if server.fault and server.status == "ERROR" and (server.fault_in_list or not in_list):
            body["fault"] = server.fault
        launched = iso_time(server.launched, ".000000") if server.launched else None
        body |= {"OS-EXT-AZ:availability_zone": server.zone if server.host
                 else server.zone_wanted,
                 "config_drive": "True" if server.config_drive else "", "key_name": server.key_name,
                 "OS-SRV-USG:launched_at": launched, "OS-SRV-USG:terminated_at": None,
                 "OS-EXT-STS:task_state": server.task_state,
                 "OS-EXT-STS:vm_state": server.vm_state,
                 "OS-EXT-STS:power_state": POWER.get(server.vm_state, 0),
                 "os-extended-volumes:volumes_attached": self._volumes(server, minor)}
        if server.host and server.networks:
            body["security_groups"] = [{"name": name} for name in server.security_groups]
        return body | self._later(server, minor, in_list)

    @staticmethod
    def _volumes(server, minor):
        if not server.volume_id:
            return []
        kept = {"delete_on_termination": server.volume.get("delete_on_termination", False)} if minor >= 3 else {}
        return [{"id": server.volume_id} | kept]

    @staticmethod
    def _later(server, minor, in_list):
        """The fields that microversions added."""
        fields = ((9, "locked", server.locked), (73, "locked_reason", server.locked_reason),
                  (19, "description", server.description), (26, "tags", server.tags),
                  (63, "trusted_image_certificates", None),
                  (90, "OS-EXT-SRV-ATTR:hostname", server.name))
        body = {name: value for since, name, value in fields if minor >= since}
        if minor >= 71 and not in_list:
            body["server_groups"] = [server.group] if server.group else []
        return body

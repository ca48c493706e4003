"""POST /servers of the simulated cloud: every refusal that Nova gives at once."""

import ipaddress
import re
import uuid

from simcloud_http import json_reply
from simcloud_lifecycle import Plan
from simcloud_servers import SimServer

UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
USER_DATA_MAX = 65535
SCHEMAS = "is not valid under any of the given schemas"
# Properties of a server and the minor version that brought each.
PROPERTIES = dict.fromkeys(
    ("name", "imageRef", "flavorRef", "adminPass", "metadata", "networks", "OS-DCF:diskConfig",
     "accessIPv4", "accessIPv6", "availability_zone", "block_device_mapping",
     "block_device_mapping_v2", "config_drive", "min_count", "max_count",
     "return_reservation_id", "security_groups", "key_name", "user_data"), 1) | {
         "description": 19, "tags": 52, "trusted_image_certificates": 63, "host": 74,
         "hypervisor_hostname": 74, "hostname": 90}


class NovaError(Exception):
    """An error that Nova answers as {KEY: {code, message}}."""

    KEYS = {400: "badRequest", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest"}

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message

    def reply(self):
        key = self.KEYS.get(self.code, "computeFault")
        return json_reply(self.code, {key: {"code": self.code, "message": self.message}},
                          content_type="application/json; charset=UTF-8")


def invalid(field, value, why):
    return NovaError(400, f"Invalid input for field/attribute {field}. Value: {value}. {why}")


def check_text(field, value, longest, shortest=0):
    if not isinstance(value, str):
        raise invalid(field, value, f"{value!r} is not of type 'string'")
    if len(value) < shortest:
        raise invalid(field, value, f"{value!r} is too short")
    if len(value) > longest:
        raise invalid(field, value, f"{value!r} is too long")


def check_metadata(metadata):
    if not isinstance(metadata, dict):
        raise invalid("metadata", metadata, f"{metadata!r} is not of type 'object'")
    for key, value in metadata.items():
        if not re.fullmatch(r"[a-zA-Z0-9\-_:. ]{1,255}", key):
            raise invalid("metadata", metadata, f"{key!r} does not match any of the regexes: "
                                                "'^[a-zA-Z0-9-_:. ]{1,255}$'")
        check_text(key, value, 255)


def check_tags(tags):
    if not isinstance(tags, list):
        raise invalid("tags", tags, f"{tags!r} is not of type 'array'")
    for index, tag in enumerate(tags):
        check_text(index, tag, 60, 1)
        if "," in tag or "/" in tag:
            raise invalid(index, tag, f"{tag!r} does not match '^[^,/]*$'")


def check_schema(given, minor):
    """What Nova's JSON schema refuses, in its order."""
    for name in given:
        if PROPERTIES.get(name, 1000) > minor:
            raise invalid("server", given, "Additional properties are not allowed "
                                           f"({name!r} was unexpected)")
    for name in ("name", "flavorRef", *(("networks",) if minor >= 37 else ())):
        if name not in given:
            raise invalid("server", given, f"{name!r} is a required property")
    check_text("name", given["name"], 255, 1)
    image = given.get("imageRef", "")
    if image and not UUID.fullmatch(image):
        raise invalid("imageRef", image, f"{image!r} {SCHEMAS}")
    check_text("user_data", given.get("user_data") or "", USER_DATA_MAX)
    check_metadata(given.get("metadata", {}))
    check_tags(given.get("tags", []))
    check_networks(given.get("networks"), minor)


def check_networks(networks, minor):
    if networks is None or (networks in ("auto", "none") and minor >= 37):
        return
    entries = networks if isinstance(networks, list) else [networks]
    for entry in entries:
        uuid = entry.get("uuid", entry.get("port")) if isinstance(entry, dict) else None
        if not uuid or not UUID.fullmatch(uuid):
            if minor >= 37:
                raise invalid("networks", networks, f"{networks} {SCHEMAS}")
            raise invalid("uuid", uuid, f"{uuid!r} is not a 'uuid'")


class Creator:
    """Turns a create request into servers under way."""

    def __init__(self, cloud):
        self.cloud = cloud

    def create(self, token, given, minor, hints=None):
        """Returns the servers that were started, at least one."""
        check_schema(given, minor)
        volume = given.get("block_device_mapping_v2")
        image = self._boot_volume(volume, minor) if volume else self._image(given.get("imageRef"))
        flavor = self.cloud.flavors.get(given["flavorRef"])
        if not flavor:
            raise NovaError(400, f"Flavor {given['flavorRef']} could not be found.")
        self._check_names(given)
        networks, wanted = self._networks(given.get("networks"))
        group = self._group((hints or {}).get("group"))
        count = self._count(given, flavor, token.project)
        plan = self._refused_address(networks, wanted)
        groups = given.get("security_groups", [{"name": "default"}])
        servers = []
        for index in range(count):
            name = given["name"] if count == 1 else f"{given['name']}-{index + 1}"
            servers.append(SimServer(
                name, token.project.id, token.user.id, image, flavor,
                metadata=dict(given.get("metadata", {})), tags=list(given.get("tags", [])),
                networks=[n.name for n in networks], description=given.get("description"),
                key_name=given.get("key_name"), user_data=given.get("user_data"),
                config_drive=bool(given.get("config_drive")), volume=(volume or [None])[0],
                zone=given.get("availability_zone") or self.cloud.zones[0],
                zone_wanted=given.get("availability_zone") or "", group=group,
                security_groups=[g["name"] for g in groups]))
        for server in servers:
            if server.volume:  # its own state counts from now on
                server.change(volume=dict(server.volume), volume_id=str(uuid.uuid4()))
                self.cloud.lifecycle.volumes.add(server.volume_id)
            self.cloud.lifecycle.build(server, wanted, plan)
        return servers

    def _image(self, id):
        if not id:
            raise NovaError(400, "Missing imageRef attribute")
        image = self.cloud.images.get(id)
        if not image:
            raise NovaError(400, "Can not find requested image")
        if image.status != "active":
            raise NovaError(400, f"Image {id} is not active.")
        return id

    def _boot_volume(self, devices, minor):
        """Checks the volume to boot from; such a server has no image."""
        device = devices[0]
        if "volume_type" in device and minor < 67:
            raise invalid("block_device_mapping_v2", devices, "Additional properties are not "
                          "allowed ('volume_type' was unexpected)")
        self._image(device.get("uuid"))
        if device.get("volume_type", self.cloud.volume_types[0]) not in self.cloud.volume_types:
            raise NovaError(400, f"Volume type {device['volume_type']} could not be found.")
        return ""

    def _group(self, id):
        if id and id not in self.cloud.server_groups:
            raise NovaError(400, f"Instance group {id} could not be found.")
        return id

    def _check_names(self, given):
        """Zone, key and security groups."""
        zone, key = given.get("availability_zone"), given.get("key_name")
        if zone and zone not in self.cloud.zones:
            raise NovaError(400, "The requested availability zone is not available")
        if key and key not in self.cloud.keypairs:
            raise NovaError(400, "Invalid key_name provided.")
        for group in given.get("security_groups", []):
            if group["name"] not in {**self.cloud.groups, **dict.fromkeys(
                    self.cloud.groups.values())}:
                raise NovaError(400, "Unable to find security_group with name or id "
                                     f"{group['name']!r}")

    def _networks(self, given):
        """The networks asked for, and the address asked for in each."""
        known = self.cloud.networks
        if given == "none":
            return [], {}
        if given in (None, "auto", []):
            if len(known) > 1:
                raise NovaError(409, "Multiple possible networks found, use a Network ID to be "
                                     "more specific.")
            return list(known.values()), {}
        networks, wanted = [], {}
        for entry in given:
            if "port" in entry:
                entry = self._ready_port(entry["port"])
            if entry["uuid"] not in known:
                raise NovaError(400, f"Network {entry['uuid']} could not be found.")
            network = known[entry["uuid"]]
            networks.append(network)
            if entry.get("fixed_ip"):
                self._check_free(entry["fixed_ip"])
                wanted[network.name] = entry["fixed_ip"]
        return networks, wanted

    def _ready_port(self, id):
        """What it stands for, as an entry of `networks`."""
        port = self.cloud.floating.ready.get(id)
        if not port:
            raise NovaError(400, f"Port id {id} could not be found.")
        if any(port.address == one.address for server in self.cloud.servers.values() for one in server.ports):
            raise NovaError(409, f"Port {id} is still in use.")
        return {"uuid": port.network_id, "fixed_ip": port.address}

    def _check_free(self, address):
        for server in self.cloud.servers.values():
            if any(port.address == address for port in server.ports):
                raise NovaError(400, f"Fixed IP address {address} is already in use on instance "
                                     f"{server.id}.")

    @staticmethod
    def _refused_address(networks, wanted):
        """The plan of a build that ends because of an address outside its network."""
        for network in networks:
            address = wanted.get(network.name)
            if address and (ipaddress.ip_address(address)
                            not in ipaddress.ip_network(network.cidr)):
                return Plan("error", message=(
                    "Build of instance {id} aborted: Invalid input received: Fixed IP "
                    f"{address} is not a valid ip address for network {network.id}."))
        return None

    def _count(self, given, flavor, project):
        """How many servers: between min_count and max_count, as the quota allows."""
        least = int(given.get("min_count", 1))
        most = max(int(given.get("max_count", least)), least)
        quota, used = self.cloud.quota, self.cloud.usage(project.id)
        for name, each in (("cores", flavor.vcpus), ("instances", 1), ("ram", flavor.ram)):
            if quota[name] < 0 or not each:
                continue
            if used[name] + least * each > quota[name]:
                raise NovaError(403, f"Quota exceeded for {name}: Requested {least * each}, but "
                                     f"already used {used[name]} of {quota[name]} {name}")
            most = min(most, (quota[name] - used[name]) // each)
        return most

"""Nova v2.1 of the simulated cloud: routes, microversions, servers, look-ups."""

import re

from simcloud_create import Creator, NovaError, check_metadata, check_tags, check_text
from simcloud_http import JSON, Reply, html_reply, json_reply, request_id
from simcloud_keystone import UNAUTHORIZED
from simcloud_list import list_servers
from simcloud_servers import View

MAX_MINOR = 93
CHANGEABLE = ("active", "paused", "suspended", "stopped")
SERVER = r"/servers/(?P<id>[^/]+)"
# Method, path, handler, minor versions from and to, what a policy error names.
ROUTES = [(method, re.compile(path), handler, since, until, policy)
          for method, path, handler, since, until, policy in (
    ("GET", "/", "version_get", 1, 99, None),
    ("GET", "/servers", "list", 1, 99, None),
    ("GET", "/servers/detail", "list_detail", 1, 99, None),
    ("POST", "/servers", "create", 1, 99, "servers:create"),
    ("GET", SERVER, "show", 1, 99, None),
    ("PUT", SERVER, "update", 1, 99, "servers:update"),
    ("DELETE", SERVER, "delete", 1, 99, "servers:delete"),
    ("POST", f"{SERVER}/action", "action", 1, 99, "os-admin-actions"),
    ("GET", f"{SERVER}/ips", "ips", 1, 99, None),
    ("GET", f"{SERVER}/metadata", "metadata", 1, 99, None),
    ("POST", f"{SERVER}/metadata", "metadata_merge", 1, 99, "server-metadata:create"),
    ("PUT", f"{SERVER}/metadata", "metadata_replace", 1, 99, "server-metadata:update_all"),
    ("GET", f"{SERVER}/metadata/(?P<key>[^/]+)", "metadata_item", 1, 99, None),
    ("PUT", f"{SERVER}/metadata/(?P<key>[^/]+)", "metadata_put", 1, 99,
     "server-metadata:update"),
    ("DELETE", f"{SERVER}/metadata/(?P<key>[^/]+)", "metadata_delete", 1, 99,
     "server-metadata:delete"),
    ("PUT", f"{SERVER}/os-volume_attachments/(?P<volume>[^/]+)", "attachment", 85, 99,
     "os-volumes-attachments:update"),
    ("GET", f"{SERVER}/tags", "tags", 26, 99, None),
    ("PUT", f"{SERVER}/tags", "tags_replace", 26, 99, "os-server-tags:update_all"),
    ("DELETE", f"{SERVER}/tags", "tags_clear", 26, 99, "os-server-tags:delete_all"),
    ("GET", f"{SERVER}/tags/(?P<tag>[^/]+)", "tag_check", 26, 99, None),
    ("PUT", f"{SERVER}/tags/(?P<tag>[^/]+)", "tag_add", 26, 99, "os-server-tags:update"),
    ("DELETE", f"{SERVER}/tags/(?P<tag>[^/]+)", "tag_delete", 26, 99, "os-server-tags:delete"),
    ("GET", "/flavors", "flavors", 1, 99, None),
    ("GET", "/flavors/detail", "flavors_detail", 1, 99, None),
    ("GET", "/flavors/(?P<id>[^/]+)", "flavor", 1, 99, None),
    ("GET", "/limits", "limits", 1, 99, None),
    ("GET", "/os-quota-sets/(?P<id>[^/]+)", "quota_set", 1, 99, None),
    ("GET", "/os-availability-zone", "availability_zones", 1, 99, None),
    ("GET", "/os-server-groups", "server_groups", 1, 99, None),
    ("GET", "/os-server-groups/(?P<id>[^/]+)", "server_group", 1, 99, None),
    ("GET", "/os-keypairs", "keypairs", 1, 99, None),
    ("GET", "/os-keypairs/(?P<id>[^/]+)", "keypair", 1, 99, None),
    ("GET", "/images", "images", 1, 35, None))]


def empty(status, content_type=JSON, headers=()):
    return Reply(status, content_type=content_type, headers=list(headers))


class Nova:
    def __init__(self, cloud):
        self.cloud = cloud
        self.url = f"{cloud.url}/compute"
        self.view = View(self.url)
        self.creator = Creator(cloud)

    def handle(self, request):
        """Answers REQUEST, whose path starts at the version."""
        if request.path == "/":
            return json_reply(200, self._versions())
        reply = self._authenticated(request)
        name = request_id()
        reply.headers += [("X-Openstack-Request-Id", name), ("X-Compute-Request-Id", name)]
        return reply

    def _versions(self):
        old, new = self._version("v2.0", "SUPPORTED", "", ""), self._version()
        return {"versions": [old, new]}

    def _version(self, id="v2.1", status="CURRENT", newest=f"2.{MAX_MINOR}", oldest="2.1"):
        updated = "2011-01-21T11:33:21Z" if id == "v2.0" else "2013-07-23T11:33:21Z"
        path = "v2" if id == "v2.0" else id
        return {"id": id, "status": status, "version": newest, "min_version": oldest,
                "updated": updated,
                "links": [{"rel": "self", "href": f"{self.url}/{path}/"}]}

    def _authenticated(self, request):
        root = re.match(r"/v2(\.1)?(?:/[0-9a-f]{32})?(?=/|$)", request.path)
        if "keystone" in self.cloud.down:
            return html_reply(503, "Service Unavailable",
                              "The server is currently unavailable. Please try again at a later "
                              "time.",
                              detail="The Keystone service is temporarily unavailable.")
        token = self.cloud.keystone.token(request.headers.get("x-auth-token"))
        rest = (request.path[root.end():].rstrip("/") or "/") if root else None
        if not token and rest != "/":
            return json_reply(401, {"error": {"code": 401, "title": "Unauthorized",
                                              "message": UNAUTHORIZED}},
                              [self.cloud.keystone.challenge()])
        routes = [(r, m) for r in ROUTES if rest and r[0] == request.method
                  and (m := r[1].fullmatch(rest))]
        if not routes:
            return html_reply(404, "Not Found", "The resource could not be found.")
        return self._versioned(request, token, root[1] is None, *routes[0])

    def _versioned(self, request, token, legacy, route, match):
        """Negotiates the microversion and echoes it."""
        try:
            version = "2.1" if legacy else self._wanted(request)
        except NovaError as error:
            return error.reply()
        minor = int(version[2:])
        if minor > MAX_MINOR:
            reply = NovaError(406, f"Version {version} is not supported by the API. Minimum is "
                                   f"2.1 and maximum is 2.{MAX_MINOR}.").reply()
        else:
            try:
                reply = self._call(request, token, minor, route, match)
            except NovaError as error:
                reply = error.reply()
        if not legacy:
            reply.headers += [("Openstack-Api-Version", f"compute {version}"),
                              ("X-Openstack-Nova-Api-Version", version),
                              ("Vary", "OpenStack-API-Version"),
                              ("Vary", "X-OpenStack-Nova-API-Version")]
        return reply

    @staticmethod
    def _wanted(request):
        given = re.search(r"compute\s+([^,]+)", request.headers.get("openstack-api-version", ""))
        text = (given[1] if given
                else request.headers.get("x-openstack-nova-api-version", "2.1")).strip()
        if text == "latest":
            return f"2.{MAX_MINOR}"
        if not re.fullmatch(r"2\.[1-9]\d*", text):
            raise NovaError(400, f"API Version String {text} is of invalid format. Must be of "
                                 "format MajorNum.MinorNum.")
        return text

    def _call(self, request, token, minor, route, match):
        _, _, handler, since, until, policy = route
        if not since <= minor <= until:
            raise NovaError(404, "The resource could not be found.")
        if policy and not token.may_write and self.cloud.strict_roles:
            raise NovaError(403, f"Policy doesn't allow os_compute_api:{policy} to be performed.")
        with self.cloud.lock:
            return getattr(self, f"_{handler}")(request, token, minor, **match.groupdict())

    def _need(self, *services):
        """What a request answers while a service behind Nova is down."""
        names = {"neutron": "keystoneauth1.exceptions.connection.ConnectFailure",
                 "glance": "nova.exception.GlanceConnectionFailed"}
        for service in services:
            if service in self.cloud.down:
                raise NovaError(500, "Unexpected API Error. Please report this at "
                                     "http://bugs.launchpad.net/nova/ and attach the Nova API "
                                     f"log if possible.\n<class '{names[service]}'>")

    # Servers

    def _version_document(self):
        links = [{"rel": "describedby", "type": "text/html",
                  "href": "http://docs.openstack.org/"}]
        version = self._version()
        version["links"] += links
        version["media-types"] = [{"base": "application/json", "type":
                                   "application/vnd.openstack.compute+json;version=2.1"}]
        return {"version": version}

    def _version_get(self, request, token, minor):
        return json_reply(200, self._version_document())

    def _list(self, request, token, minor):
        return list_servers(self.cloud, self.view, request, token, minor, detail=False)

    def _list_detail(self, request, token, minor):
        self._need("neutron")
        return list_servers(self.cloud, self.view, request, token, minor, detail=True)

    def _server(self, token, id):
        server = self.cloud.servers.get(id)
        mine = server and (token.is_admin or (token.project
                                              and server.project_id == token.project.id))
        if not mine:
            raise NovaError(404, f"Instance {id} could not be found.")
        return server

    def _unlocked(self, token, id):
        server = self._server(token, id)
        if server.locked and not token.is_admin:
            raise NovaError(409, f"Instance {id} is locked")
        return server

    def _changeable(self, server, action, idle=True):
        """Refuses ACTION in a state that Nova does not allow it in."""
        if server.vm_state not in CHANGEABLE:
            state = f"vm_state {server.vm_state}"
        elif idle and server.task_state:
            state = f"task_state {server.task_state}"
        else:
            return
        raise NovaError(409, f"Cannot '{action}' instance {server.id} while it is in {state}")

    def _show(self, request, token, minor, id):
        self._need("neutron")
        server = self._server(token, id)
        if server.unreachable and minor >= 69:
            return json_reply(200, {"server": self.view.unknown(server, minor)})
        return json_reply(200, {"server": self.view.full(server, minor)})

    @staticmethod
    def _body(request, key):
        try:
            body = request.json()
        except ValueError:
            raise NovaError(400, "Malformed request body")
        if key not in body:
            raise NovaError(400, f"{key!r} is a required property")
        return body[key]

    def _create(self, request, token, minor):
        given = self._body(request, "server")
        self._need("glance", "neutron")
        servers = self.creator.create(token, given, minor, request.json().get("os:scheduler_hints"))
        if given.get("return_reservation_id"):
            return json_reply(202, {"reservation_id": f"r-{servers[0].id[:8]}"})
        server = servers[0]
        links = self.view.links(server)
        body = {"id": server.id, "links": links, "OS-DCF:diskConfig": "MANUAL",
                "security_groups": [{"name": n} for n in server.security_groups],
                "adminPass": server.id[:12]}
        return json_reply(202, {"server": body}, [("Location", links[0]["href"])])

    def _update(self, request, token, minor, id):
        server = self._server(token, id)
        given = self._body(request, "server")
        if "name" in given:
            check_text("name", given["name"], 255, 1)
            server.change(name=given["name"])
        return json_reply(200, {"server": self.view.basic(server, minor)})

    def _delete(self, request, token, minor, id):
        self.cloud.lifecycle.delete(self._unlocked(token, id))
        return empty(204)

    def _action(self, request, token, minor, id):
        server = self._server(token, id)
        try:
            name, argument = next(iter(request.json().items()))
        except (ValueError, StopIteration):
            raise NovaError(400, "Malformed request body")
        if name == "lock":
            reason = (argument or {}).get("locked_reason") if minor >= 73 else None
            server.change(locked=True, locked_reason=reason)
        elif name == "unlock":
            server.change(locked=False, locked_reason=None)
        elif name == "createImage":
            return self._create_image(self._server(token, id), argument or {}, minor)
        elif name in ("os-start", "os-stop"):
            self._power(self._unlocked(token, id), name)
        else:
            raise NovaError(400, f"There is no such action: {name}")
        return empty(202)

    def _create_image(self, server, given, minor):
        if "name" not in given:
            raise NovaError(400, f"Invalid input for field/attribute createImage. Value: {given}. "
                                 "'name' is a required property")
        self._changeable(server, "createImage")
        image = self.cloud.lifecycle.snapshot(server, self.cloud.images, given)
        if minor >= 45:
            return json_reply(202, {"image_id": image.id})
        return empty(202, headers=[("Location", f"{self.cloud.url}/image/images/{image.id}")])

    def _power(self, server, name):
        state, becomes = {"os-stop": ("active", "stopped"), "os-start": ("stopped", "active")}[name]
        if server.task_state or server.vm_state != state:
            now = (f"task_state {server.task_state}" if server.task_state
                   else f"vm_state {server.vm_state}")
            raise NovaError(409, f"Cannot '{name[3:]}' instance {server.id} while it is in {now}")
        server.change(vm_state=becomes)

    def _ips(self, request, token, minor, id):
        server = self._server(token, id)
        return json_reply(200, {"addresses": self.view.addresses(server, plain=True)})

    def _attachment(self, request, token, minor, id, volume):
        """Whether the volume goes with the server; another volume in its place is not for this cloud."""
        server, given = self._server(token, id), self._body(request, "volumeAttachment")
        if volume != server.volume_id or given.get("volumeId") != volume:
            raise NovaError(404, f"Instance {id} is not attached to volume {volume}.")
        server.change(volume=server.volume | {"delete_on_termination": given["delete_on_termination"]})
        return empty(202)

    # Metadata

    def _metadata(self, request, token, minor, id):
        return json_reply(200, {"metadata": self._server(token, id).metadata})

    def _set_metadata(self, token, id, metadata):
        server = self._unlocked(token, id)
        check_metadata(metadata)
        self._changeable(server, "update metadata")
        if len(metadata) > 128:
            raise NovaError(403, "Maximum number of metadata items exceeds 128")
        server.change(metadata=metadata)

    def _metadata_merge(self, request, token, minor, id):
        new = self._server(token, id).metadata | self._body(request, "metadata")
        self._set_metadata(token, id, new)
        return json_reply(200, {"metadata": new})

    def _metadata_replace(self, request, token, minor, id):
        new = self._body(request, "metadata")
        self._set_metadata(token, id, new)
        return json_reply(200, {"metadata": new})

    def _metadata_item(self, request, token, minor, id, key):
        metadata = self._server(token, id).metadata
        if key not in metadata:
            raise NovaError(404, "Metadata item was not found")
        return json_reply(200, {"meta": {key: metadata[key]}})

    def _metadata_put(self, request, token, minor, id, key):
        meta = self._body(request, "meta")
        if list(meta) != [key]:
            raise NovaError(400, "Request body and URI mismatch")
        self._set_metadata(token, id, self._server(token, id).metadata | meta)
        return json_reply(200, {"meta": meta})

    def _metadata_delete(self, request, token, minor, id, key):
        server = self._unlocked(token, id)
        if key not in server.metadata:
            raise NovaError(404, "Metadata item was not found")
        self._changeable(server, "delete metadata")
        server.change(metadata={k: v for k, v in server.metadata.items() if k != key})
        return empty(204)

    # Tags

    def _tags(self, request, token, minor, id):
        return json_reply(200, {"tags": self._server(token, id).tags})

    def _tags_replace(self, request, token, minor, id):
        server, tags = self._server(token, id), self._body(request, "tags")
        self._changeable(server, "update tags", idle=False)
        check_tags(tags)
        server.change(tags=sorted(set(tags)))
        return json_reply(200, {"tags": server.tags})

    def _tags_clear(self, request, token, minor, id):
        server = self._server(token, id)
        self._changeable(server, "delete tags", idle=False)
        server.change(tags=[])
        return empty(204)

    def _tag_check(self, request, token, minor, id, tag):
        if tag not in self._server(token, id).tags:
            raise NovaError(404, f"Server {id} has no tag '{tag}'")
        return empty(204)

    def _tag_add(self, request, token, minor, id, tag):
        server = self._server(token, id)
        self._changeable(server, "update tag", idle=False)
        check_tags([tag])
        if tag in server.tags:
            return empty(204, "text/html; charset=UTF-8")
        server.change(tags=sorted([*server.tags, tag]))
        href = f"{self.view.links(server)[0]['href']}/tags/{tag}"
        return empty(201, "text/html; charset=UTF-8", [("Location", href)])

    def _tag_delete(self, request, token, minor, id, tag):
        server = self._server(token, id)
        self._changeable(server, "delete tag", idle=False)
        if tag not in server.tags:
            raise NovaError(404, f"Instance {id} has no tag '{tag}'")
        server.change(tags=[t for t in server.tags if t != tag])
        return empty(204)

    # Look-ups

    def _flavor_body(self, flavor, minor, detail=True):
        path = f"flavors/{flavor.id}"
        body = {"id": flavor.id, "name": flavor.name,
                "links": [{"rel": "self", "href": f"{self.url}/v2.1/{path}"},
                          {"rel": "bookmark", "href": f"{self.url}/{path}"}]}
        if minor >= 55:
            body["description"] = None
        if detail:
            body |= {"ram": flavor.ram, "disk": flavor.disk, "vcpus": flavor.vcpus,
                     "swap": 0 if minor >= 75 else "", "rxtx_factor": 1.0,
                     "OS-FLV-EXT-DATA:ephemeral": 0, "OS-FLV-DISABLED:disabled": False,
                     "os-flavor-access:is_public": True}
            if minor >= 61:
                body["extra_specs"] = {}
        return body

    def _flavors(self, request, token, minor, detail=False):
        return json_reply(200, {"flavors": [self._flavor_body(f, minor, detail)
                                            for f in self.cloud.flavors.values()]})

    def _flavors_detail(self, request, token, minor):
        return self._flavors(request, token, minor, detail=True)

    def _flavor(self, request, token, minor, id):
        if id not in self.cloud.flavors:
            raise NovaError(404, f"Flavor {id} could not be found.")
        return json_reply(200, {"flavor": self._flavor_body(self.cloud.flavors[id], minor)})

    def _limits(self, request, token, minor):
        quota, used = self.cloud.quota, self.cloud.usage(token.project and token.project.id)
        absolute = {"maxTotalInstances": quota["instances"], "maxTotalCores": quota["cores"],
                    "maxTotalRAMSize": quota["ram"], "maxServerMeta": 128,
                    "maxTotalKeypairs": 100, "maxServerGroups": 10, "maxServerGroupMembers": 10,
                    "totalRAMUsed": used["ram"], "totalCoresUsed": used["cores"],
                    "totalInstancesUsed": used["instances"], "totalServerGroupsUsed": 0}
        if minor < 36:
            absolute |= {"totalFloatingIpsUsed": 0, "totalSecurityGroupsUsed": 0,
                         "maxTotalFloatingIps": -1, "maxSecurityGroups": -1,
                         "maxSecurityGroupRules": -1}
        if minor < 39:
            absolute["maxImageMeta"] = 128
        if minor < 57:
            absolute |= {"maxPersonality": 5, "maxPersonalitySize": 10240}
        return json_reply(200, {"limits": {"rate": [], "absolute": absolute}})

    def _quota_set(self, request, token, minor, id):
        unlimited = ("fixed_ips", "floating_ips", "security_group_rules", "security_groups")
        body = {"id": id, "key_pairs": 100, "metadata_items": 128, "server_group_members": 10,
                "server_groups": 10} | self.cloud.quota
        if minor < 36:
            body |= dict.fromkeys(unlimited, -1)
        if minor < 57:
            body |= {"injected_file_content_bytes": 10240, "injected_file_path_bytes": 255,
                     "injected_files": 5}
        return json_reply(200, {"quota_set": body})

    def _availability_zones(self, request, token, minor):
        return json_reply(200, {"availabilityZoneInfo": [
            {"zoneName": zone, "zoneState": {"available": True}, "hosts": None}
            for zone in self.cloud.zones]})

    def _group_body(self, id, minor):
        body = {"id": id, "name": self.cloud.server_groups[id],
                "members": [s.id for s in self.cloud.servers.values() if s.group == id]}
        if minor >= 64:
            return body | {"policy": "soft-anti-affinity", "rules": {}}
        return body | {"policies": ["soft-anti-affinity"], "metadata": {}}

    def _server_groups(self, request, token, minor):
        return json_reply(200, {"server_groups": [self._group_body(id, minor)
                                                  for id in self.cloud.server_groups]})

    def _server_group(self, request, token, minor, id):
        if id not in self.cloud.server_groups:
            raise NovaError(404, f"Instance group {id} could not be found.")
        return json_reply(200, {"server_group": self._group_body(id, minor)})

    @staticmethod
    def _keypair_body(name, minor):
        body = {"name": name, "public_key": f"ssh-rsa AAAA {name}",
                "fingerprint": "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"}
        return {"keypair": body | ({"type": "ssh"} if minor >= 2 else {})}

    def _keypairs(self, request, token, minor):
        return json_reply(200, {"keypairs": [self._keypair_body(name, minor)
                                             for name in self.cloud.keypairs]})

    def _keypair(self, request, token, minor, id):
        if id not in self.cloud.keypairs:
            raise NovaError(404, f"Keypair {id} not found for user {token.user.id}")
        return json_reply(200, self._keypair_body(id, minor))

    def _images(self, request, token, minor):
        rows = [{"id": i.id, "name": i.name, "links": [
            {"rel": "self", "href": f"{self.url}/v2.1/images/{i.id}"},
            {"rel": "bookmark", "href": f"{self.url}/images/{i.id}"},
            {"rel": "alternate", "type": "application/vnd.openstack.image",
             "href": f"{self.cloud.url}/image/images/{i.id}"}]}
                for i in reversed(self.cloud.images.values())]
        return json_reply(200, {"images": rows})

"""GET /servers and /servers/detail of the simulated cloud: filters and pages.

The traps are Nova's own: filters that it does not know are ignored and return
every server (below 2.75), `tags` counts from 2.26 only, `metadata` never, a
status that does not exist matches nothing.
"""

import calendar
import re
import time
from urllib.parse import urlencode

from simcloud_create import NovaError
from simcloud_http import Reply

SORT_KEYS = (
    "access_ip_v4 access_ip_v6 auto_disk_config availability_zone config_drive created_at "
    "display_description display_name host hostname image_ref instance_type_id kernel_id key_name "
    "launch_index launched_at locked_by node power_state progress project_id ramdisk_id "
    "root_device_name task_state terminated_at updated_at user_id uuid vm_state architecture "
    "cell_name cleaned default_ephemeral_device default_swap_device deleted deleted_at "
    "disable_terminate ephemeral_gb ephemeral_key_uuid id key_data launched_on locked memory_mb "
    "os_type reservation_id root_gb shutdown_terminate user_data vcpus vm_mode").split()
SORT_FIELDS = {"created_at": lambda s: int(s.created), "updated_at": lambda s: int(s.updated),
               "display_name": lambda s: s.name, "uuid": lambda s: s.id,
               "vm_state": lambda s: s.vm_state}
TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")
KNOWN = {"limit", "marker", "sort_key", "sort_dir", "all_tenants", "name", "status", "image",
         "flavor", "ip", "ip6", "changes-since", "changes-before", "reservation_id", "deleted",
         "project_id", "tenant_id", "user_id", "host", "hostname", "locked", *TAG_FILTERS,
         *SORT_KEYS}


def invalid(key, value, why):
    return NovaError(400, f"Invalid input for query parameters {key}. Value: {value}. {why}")


def check_query(request, token, minor, detail):
    """What Nova refuses about the query itself."""
    if minor >= 75:
        for key, _ in request.query:
            if key not in KNOWN:
                raise NovaError(400, f"{key!r} does not match any of the regexes: '^_'")
    limit = request.arg("limit", "0")
    if not re.fullmatch("[0-9]*", limit):
        raise invalid("limit", limit, f"{limit!r} does not match '^[0-9]*$'")
    for key in request.args("sort_key"):
        if key not in SORT_KEYS:
            raise invalid("sort_key", key, f"{key!r} is not one of {SORT_KEYS}")
    for name in request.args("name"):
        try:
            re.compile(name)
        except re.error:
            raise invalid("name", name, f"{name!r} is not a 'regex'")
    if request.args("all_tenants") and not token.is_admin:
        view = "detail" if detail else "index"
        raise NovaError(403, f"Policy doesn't allow os_compute_api:servers:{view}:"
                             "get_all_tenants to be performed.")
    if "deleted" in [s.lower() for s in request.args("status")] and not token.is_admin:
        raise NovaError(403, "Only administrators may list deleted instances")
    if token.is_admin and request.args("metadata"):
        raise NovaError(400, "Invalid filter field: metadata.")


def timestamp(text):
    try:
        return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        raise invalid("changes-since", text, f"{text!r} is not a 'date-time'")


def tag_conditions(request):
    tests = {"tags": lambda have, asked: asked <= have,
             "tags-any": lambda have, asked: asked & have,
             "not-tags": lambda have, asked: not asked <= have,
             "not-tags-any": lambda have, asked: not asked & have}
    for key in TAG_FILTERS:
        for value in request.args(key):
            asked = set(value.split(","))
            yield lambda server, test=tests[key], asked=asked: test(set(server.tags), asked)


def conditions(request, minor):
    """One test per filter that Nova applies."""
    statuses = [status.upper() for status in request.args("status")]
    if statuses:
        yield lambda server: server.status in statuses
    for image in request.args("image"):
        yield lambda server: server.image == image
    for flavor in request.args("flavor"):
        yield lambda server: server.flavor.id == flavor
    for name in request.args("name"):
        yield lambda server, found=re.compile(name, re.IGNORECASE).search: found(server.name)
    for ip in request.args("ip"):
        yield lambda server, found=re.compile(ip).search: any(
            found(port.address) for port in server.ports)
    for text in request.args("changes-since"):
        yield lambda server, since=timestamp(text): server.updated >= since
    if minor >= 26:
        yield from tag_conditions(request)


def selected(cloud, request, token, minor):
    """The servers that the query is about, newest first; equal ones by id, upwards.

    A list of changes is the only one that has deleted servers too.
    """
    project = token.project and token.project.id
    every = token.is_admin and request.args("all_tenants")
    tests = list(conditions(request, minor))
    deleted = cloud.lifecycle.gone if request.args("changes-since") else ()
    servers = [s for s in (*cloud.servers.values(), *deleted)
               if (every or s.project_id == project) and all(test(s) for test in tests)]
    key = SORT_FIELDS.get(request.arg("sort_key"), SORT_FIELDS["created_at"])
    servers.sort(key=lambda s: s.id)
    servers.sort(key=key, reverse=request.arg("sort_dir", "desc") == "desc")
    return servers


def list_servers(cloud, view, request, token, minor, detail):
    check_query(request, token, minor, detail)
    servers = selected(cloud, request, token, minor)
    marker = request.arg("marker")
    if marker:
        position = next((i for i, s in enumerate(servers) if s.id == marker), None)
        if position is None:
            raise NovaError(400, f"marker [{marker}] not found")
        servers = servers[position + 1:]
    limit = min(int(request.arg("limit") or cloud.max_limit), cloud.max_limit)
    servers = servers[:limit]
    rows = [row for row in (view.row(s, minor, detail) for s in servers) if row]
    body = '{"servers": [' + ", ".join(rows) + "]"
    if limit and len(servers) == limit:
        query = [(k, v) for k, v in request.query if k != "marker"]
        query.append(("marker", servers[-1].id))
        path = "servers/detail" if detail else "servers"
        href = f"{view.url}/v2.1/{path}?{urlencode(query)}"
        body += f', "servers_links": [{{"rel": "next", "href": "{href}"}}]'
    return Reply(200, (body + "}").encode())

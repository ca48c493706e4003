#!/usr/bin/python3
"""Holds the simulated cloud to the exchanges recorded from a real one.

Each recorded request is replayed against a simulated cloud that is arranged as
the real one was, with the same ids. Status, headers and the whole body must
come out the same, except for what cannot: times, addresses, MACs, request and
token ids, which only have to have the same form. The recording lies beside
the source tree (../shared, or $CS_SHARED); without it these tests are skipped.
"""

import http.client
import json
import os
import pathlib
import re
import time
from urllib.parse import urlsplit

import pytest

from simcloud import SimCloud
from simcloud_lifecycle import Plan
from simcloud_servers import Flavor, SimServer

HERE = pathlib.Path(__file__).resolve()
SHARED = pathlib.Path(os.environ.get("CS_SHARED", HERE.parents[2].parent / "shared"))
FOLDER = SHARED / "data/openstack-transcripts"
RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}

SNAPSHOTS = "images and their tasks change with time; test_nova_scale_snapshot.py has these answers"
OUTSIDE = dict.fromkeys(
    ("nova-createimage-2.1", "nova-createimage-2.45", "nova-createimage-conflict",
     "nova-createimage-no-name", "nova-snapshot-building", "nova-snapshot-while-deleting",
     "stock-createimage", "glance-create-queued"), SNAPSHOTS) | dict.fromkeys(
    ("neutron-port-create",), "ports are made by somebody else") | dict.fromkeys(
    ("ks-appcred-create-expiring", "ks-appcred-create-with-appcred-token"),
    "credentials are made by the administrator") | dict.fromkeys(
    ("nova-diagnostics-2.48", "nova-show-no-valid-host-admin", "nova-quota-set-below-use"),
    "an administrator's view") | dict.fromkeys(
    ("nova-diagnostics-nonadmin", "nova-console", "nova-instance-actions", "nova-interfaces"),
    "a scaling client does not look into a server")

# What the recorded cloud had, by the id of its base image.
RUNS = {"7490ebee-a603-4f05-84f7-9437e49f4fc4": {
            "project": "da357d1f8d8f4c6f8bdd3235fe8201a2",
            "user": "5ebec62a636e434abb6e4a6cbf8057e9",
            "network": "57951791-efb6-44c8-bd5b-1de610cf8dc3"},
        "2ce4f28b-b0ad-4431-942c-38bb2de12e75": {
            "project": "0519bd815d6644e49cc8a1bb359fa0cd",
            "user": "7615b80193c84be4b5e9a2f9ba06e6d8",
            "network": "cb33d840-08c5-4fc4-9fff-a4add049669b"}}
BASE, LATER = RUNS
SNAPSHOT = "7c67dad8-5bad-4bad-b5ed-6ea89fa30621"
CREDENTIAL, EXPIRED = "7e87cbbeceaa42dba7923b529a794444", "59e6b806f8b54aac94bf96bbac1a7565"
PORT_USER = "055d7aa6-7da0-42b8-af2d-4ee461c521f7"
SERVICES = {5000: "identity", 8774: "compute", 8778: "placement", 9292: "image",
            9696: "networking"}

# The servers at the time of the lists, newest first: id, name, seconds since it was made,
# and what is not common.
POPULATION = (
    ("7b84a745-38a8-406b-8672-f69b6be64941", "from-snap", 0, {"image": SNAPSHOT}),
    ("9cd9b0a0-caea-44d0-97ae-0212b3ea4f44", "byreader", 2, {}),
    ("0702f6b8-5da8-44d1-8330-6a2abba116f8", "nvh", 4, {"status": "ERROR", "flavor": "3"}),
    ("fc709309-c26b-4484-bb43-02cf342ae80c", "bad", 4, {}),
    ("06498050-63df-47b1-a761-2b5ac2701237", "multi-2", 11, {}),
    ("144ac1be-c0c5-496f-acc0-f7b40fa6edec", "multi-1", 11, {}),
    ("72a1a40e-077a-49eb-a722-8cd3487222b6", "multi-3", 11, {}),
    ("a471c444-db19-401e-ab86-3b3b4b4f46de", "tagged", 14,
     {"tags": ["cluster:c1", "web"], "metadata": {"cluster": "c1"}}),
    ("364ed967-8fb2-4778-95a6-6b1ec21142cc", "fixed-out", 16, {"status": "ERROR"}),
    ("0edee7d0-a562-4764-8fa6-74ddd1a7e8ca", "fixed-1", 18, {"address": "127.18.251.7"}),
    ("64b6e322-6e04-4121-a0b7-fef97d6af3f1", "v21", 20, {}),
    ("90e01f01-ffbf-48f5-b292-39adfc18a747", "v21", 22, {}),
    ("39831d3d-75a3-41fb-aa8c-428c7be246e8", "v21", 24, {}),
    ("b14c2363-3526-47ba-b0f7-547428aca6e8", "web-1", 27, {}))


def cloud_for(name):
    """A cloud as the recorded one was at NAME, without servers."""
    text = json.dumps(RECORDED[name])
    run = LATER if LATER in text or RUNS[LATER]["project"] in text else BASE
    ids = RUNS[run]
    quotas = {"nova-create-quota-cores": {"quota_cores": 2},
              "nova-create-quota-min-count": {"quota_cores": 2},
              "nova-create-quota-instances": {"quota_instances": 2},
              "nova-create-quota-max-count": {"quota_instances": 5},
              }.get(name, {"quota_instances": 5000, "quota_cores": 100000})
    cloud = SimCloud(
        build_seconds=0, delete_seconds=0, cidr="127.18.0.0/16", network="lab",
        network_id=ids["network"], image="base", image_id=run, project_id=ids["project"],
        user_id=ids["user"], flavors=(Flavor("1", "m1.tiny", 1, 64, 1),
                                      Flavor("3", "m1.huge", 64, 100000000, 1)),
        app_credential_id=CREDENTIAL, strict_roles=False, **quotas,
        users=[("admin", "adminsecret", "admin", ["admin"]),
               ("other", "othersecret", "other", ["member"])])
    cloud.keystone.add_credential("cluster", "cluster", "old", "s", ["member"], EXPIRED,
                                  time.time() - 1)
    return cloud


# Arrangements: what a recorded request found.

def populate(cloud, name):
    """The servers that all recorded lists of 20:50:28 to 20:50:31 show."""
    cloud.add_image("snap", SNAPSHOT)
    for id, label, age, more in reversed(POPULATION):
        cloud.add_server(label, id=id, age=age, **({"flavor": "1"} | more))
    cloud.change_server(POPULATION[1][0], user_id="7353d0a8736647a8bc98390b800a95b2")
    cloud.add_server("someone else's", project="other", flavor="1")


def later_servers(cloud, name):
    """The servers of the recording with services down, oldest first."""
    body = RECORDED[name]["response"]["body"]
    rows = body.get("servers", []) if isinstance(body, dict) else []
    for age, row in enumerate(reversed(rows)):
        server = cloud.add_server(row["name"], id=row["id"], flavor="1", age=100 - age)
        if row.get("status") == "ERROR":  # its delete had failed
            cloud.plan_deletes(outcome="error")
            cloud.lifecycle.delete(server)
            assert cloud.wait_for(lambda server=server: server.status == "ERROR")


def one_server(cloud, transcript, **fields):
    """The server in the URL, with what its owner had given it."""
    id = re.search(r"/servers/([^/?]+)", RECORDED[transcript]["request"]["url"])[1]
    body = RECORDED[transcript]["response"]["body"]
    shown = body.get("server", {}) if isinstance(body, dict) else {}
    given = {key: shown[key] for key in ("name", "metadata", "tags", "description")
             if key in shown}
    image = shown.get("image", {}).get("id")
    if image and image not in cloud.images:
        cloud.add_image("snap", image)
    return cloud.add_server(**({"name": "web-1", "id": id, "flavor": "1", "image": image}
                               | given | fields))


def building(cloud, name, plan, **fields):
    """The server in the URL, built under PLAN."""
    server = one_server(cloud, name, address="")
    server.change(vm_state="building", task_state="scheduling", host=False, ports_shown=False,
                  launched=None, **fields)
    cloud.lifecycle.build(server, plan=plan)
    return server


def failed(cloud, name, message=None, **fields):
    server = building(cloud, name, Plan("error", message=message), **fields)
    assert cloud.wait_for(lambda: server.status == "ERROR")


def failed_address(cloud, name):
    """A build whose wanted address is outside the network, by a request of its own."""
    created = replay(cloud, RECORDED["nova-create-fixed-ip-outside"], {})
    server = cloud.servers[json.loads(created[2])["server"]["id"]]
    assert cloud.wait_for(lambda: server.status == "ERROR")
    id = re.search(r"/servers/([^/?]+)", RECORDED[name]["request"]["url"])[1]
    server.change(id=id, fault=server.fault | {
        "message": server.fault["message"].replace(server.id, id)})
    cloud.servers[id] = server


def hanging(cloud, name):
    server = building(cloud, name, Plan("hang"))
    assert cloud.wait_for(lambda: server.task_state == "spawning")


def deleting(cloud, name):
    cloud.plan_deletes(seconds=30)
    cloud.lifecycle.delete(one_server(cloud, name))


def gone(cloud, name):
    server = one_server(cloud, name)
    cloud.lifecycle.delete(server)
    assert cloud.wait_for(lambda: server.id not in cloud.servers)


def tagged(cloud, name, **fields):
    tags = {"nova-tag-add-again": ["drain", "web"], "nova-tags-get": ["app=web", "cluster=c1"]}
    metadata = {"cluster": "c1", "role": "web"}
    if name == "nova-meta-del":
        metadata["lb"] = "yes"
    return one_server(cloud, name, tags=tags.get(name, ["cluster:c1", "web"]),
                      metadata=metadata)


def used(cloud, name):
    """Two servers of the quota are in use."""
    for label in ("one", "two"):
        cloud.add_server(label, flavor="1")


def snapshots(cloud, name):
    """Snapshot images as the recording has them, with what its maker had set."""
    body = RECORDED[name]["response"]["body"]
    fixed = set(cloud.services["image"]._show(cloud.image)) - {"stores"}
    for image in reversed(body.get("images", [body])):
        free = {k: v for k, v in image.items() if k not in fixed and k != "stores"}
        cloud.add_image(image["name"], image["id"], image["status"], free, image["min_disk"])


def images_proxy(cloud, name):
    for image in reversed(RECORDED[name]["response"]["body"].get("images", [])[:-1]):
        cloud.add_image(image["name"], image["id"])


def faults(cloud, name):
    for age, row in enumerate(reversed(RECORDED[name]["response"]["body"]["servers"])):
        server = SimServer(row["name"], cloud.project.id, cloud.user.id, BASE,
                           cloud.flavors["1"], id=row["id"], metadata=row["metadata"],
                           created=time.time() - 100 + age)
        cloud.lifecycle.build(server, plan=Plan("error", message=row["fault"]["message"]))
        assert cloud.wait_for(lambda server=server: server.status == "ERROR")


def error_list(cloud, name):
    """One row without its fault, one with it, as in the recorded detail list."""
    populate(cloud, name)
    nvh, out = POPULATION[2][0], POPULATION[8][0]
    message = RECORDED[name]["response"]["body"]["servers"][1]["fault"]["message"]
    cloud.change_server(nvh, fault_in_list=False, ports=[], launched=None)
    cloud.change_server(out, ports=[], launched=None, fault={
        "code": 500, "created": "2026-11-23T20:50:10Z", "message": message})


def down(*services):
    def arrange(cloud, name):
        if name.endswith(("detail", "list")):
            later_servers(cloud, name)
        elif name.endswith(("show", "delete")):
            one_server(cloud, name)
        cloud.down = set(services)
    return arrange


def nothing(cloud, name):
    pass


def changes(cloud, name):
    """Ten servers of an earlier run, deleted since."""
    for age, row in enumerate(RECORDED[name]["response"]["body"]["servers"][14:]):
        server = cloud.add_server(row["name"], id=row["id"], age=100 + age)
        cloud.lifecycle.forget(server)
    populate(cloud, name)


def two_of_four(cloud, name):
    """The metadata filter returns every server, whatever its metadata."""
    for age, row in enumerate(RECORDED[name]["response"]["body"]["servers"]):
        cloud.add_server(row["name"], id=row["id"], age=age, metadata={"cluster": f"c{age}"})


def slow_delete(cloud, name):
    row = RECORDED[name]["response"]["body"]["servers"][0]
    cloud.plan_deletes(seconds=30)
    cloud.lifecycle.delete(cloud.add_server(row["name"], id=row["id"], flavor="1",
                                            metadata=row["metadata"]))


def renamed(cloud, name):
    """Renamed in the moment after a host took it and before it has a task."""
    one_server(cloud, name, name="before", status="BUILD", address="", launched=None)


def fixed_address(cloud, name):
    cloud.add_server("fixed-1", id="0edee7d0-a562-4764-8fa6-74ddd1a7e8ca",
                     address="127.18.251.7", flavor="1")


def other_project(cloud, name):
    one_server(cloud, name)


def ready_port(cloud, name, server_id=None):
    """The one that neutron-port-create made, and the server that has it."""
    port = RECORDED["neutron-port-create"]["response"]["body"]["port"]
    (fixed,), (cloud.groups["default"],) = port["fixed_ips"], port["security_groups"]
    cloud.network.subnet_id = fixed["subnet_id"]
    cloud.floating.add_port(port["name"], fixed["ip_address"], port["id"])
    if server_id:
        cloud.add_server("byport", id=server_id, address=fixed["ip_address"], flavor="1")


ARRANGED = {
    "nova-list-error": error_list, "nova-list-faults": faults,
    "nova-list-metadata-member": two_of_four, "nova-list-while-deleting": slow_delete,
    "nova-list-1001-zero": populate, "nova-list-changes-since": changes,
    "nova-list-deleted": populate, "nova-list-reservation": populate,
    "nova-list-project-filter-nonadmin": lambda c, n: (
        populate(c, n), c.lifecycle.forget(c.servers[POPULATION[0][0]])),
    "nova-list-image": populate, "nova-unscoped-token": populate,
    "nova-show-2.1-after-create": one_server,
    "nova-show-abort": lambda c, n: failed(
        c, n, "Build of instance {id} aborted: lab_fail=abort"),
    "nova-show-fault": lambda c, n: failed(
        c, n, "Exceeded maximum number of retries. Exhausted all hosts available for retrying "
              "build failures for instance {id}."),
    "nova-show-fixed-ip-outside": failed_address,
    "nova-show-hang": hanging, "nova-show-deleting": deleting, "nova-show-gone": gone,
    "nova-show-locked": lambda c, n: one_server(c, n, locked=True),
    "nova-show-networks-none": lambda c, n: one_server(c, n, networks=[], ports=[]),
    "nova-show-no-valid-host": lambda c, n: failed(c, n, flavor=c.flavors["3"]),
    "nova-show-stopped": lambda c, n: one_server(c, n, status="SHUTOFF"),
    "nova-404-server": nothing, "nova-bad-server-id": nothing,
    "nova-create-fixed-ip-in-use": fixed_address,
    "nova-create-image-queued": lambda c, n: c.add_image(
        "queued", "2434ba28-41b3-4a9f-9769-bf8db44e5ebe", "queued"),
    "stock-create-from-snapshot": lambda c, n: c.add_image(
        "stock", "9e2b2ae9-ba80-440d-81b4-bcfc49ef265b", "queued"),
    "nova-create-from-snapshot": lambda c, n: c.add_image("snap-b", SNAPSHOT),
    "nova-delete-again-at-once": deleting, "nova-delete-while-deleting": deleting,
    "nova-delete-gone": gone, "nova-delete-building": hanging,
    "nova-delete-locked": lambda c, n: one_server(c, n, locked=True),
    "nova-unlock": lambda c, n: one_server(c, n, locked=True),
    "nova-start": lambda c, n: one_server(c, n, status="SHUTOFF"),
    "nova-rename": renamed, "nova-images-proxy-2.1": images_proxy, "nova-limits": used,
    "nova-ips": one_server,
    "neutron-port-bound": lambda c, n: ready_port(c, n, PORT_USER), "neutron-port-after-delete": ready_port,
    "nova-create-with-port": ready_port,
    "nova-create-port-in-use": lambda c, n: ready_port(c, n, PORT_USER)}
PREFIXES = (
    ("nova-list-", populate), ("nova-page-", populate), ("nova-tag", tagged),
    ("nova-meta-", tagged), ("nova-show-", one_server), ("nova-create-quota-", used),
    ("nova-delete", one_server), ("nova-other-project-", other_project),
    ("nova-start", one_server), ("nova-stop", one_server), ("nova-lock", one_server),
    ("nova-bad-action", one_server), ("glance-", snapshots), ("stock-image-", snapshots),
    ("stock-show-", one_server), ("token-short-fresh", later_servers),
    ("down-glance-", down("glance")), ("down-keystone-list", down()),
    ("down-keystone-", down("keystone")), ("down-neutron-", down("neutron")),
    ("down-", down()), ("", nothing))
ARRANGED["nova-show-reschedule"] = ARRANGED["nova-show-fault"]
ARRANGED["nova-show-fixed-ip-in-use"] = ARRANGED["nova-show-fault"]

USERS = {"nova-list-metadata-admin": ("admin", "adminsecret", "admin"),
         "neutron-port-bound": ("admin", "adminsecret", "admin"),
         "nova-other-project-show": ("other", "othersecret", "other"),
         "nova-other-project-delete": ("other", "othersecret", "other"),
         "nova-create-by-reader": ("reader", "readersecret", "cluster"),
         "nova-unscoped-token": ("cluster", "labsecret", None)}
WITHOUT_TOKEN = ("nova-garbage-token", "nova-12s-after-revoke", "nova-just-after-revoke",
                 "token-expired-glance", "token-expired-keystone", "token-expired-neutron",
                 "token-expired-nova")


# Replay and comparison.

def send(cloud, method, path, headers, body):
    connection = http.client.HTTPConnection(urlsplit(cloud.url).netloc, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    result = answer.status, answer.getheaders(), answer.read()
    connection.close()
    return result


def token(cloud, user="cluster", password="labsecret", project="cluster"):
    domain = {"id": "default"}
    auth = {"identity": {"methods": ["password"], "password": {
        "user": {"name": user, "domain": domain, "password": password}}}}
    if project:
        auth["scope"] = {"project": {"name": project, "domain": domain}}
    status, headers, _ = send(cloud, "POST", "/identity/v3/auth/tokens",
                              {"Content-Type": "application/json"}, json.dumps({"auth": auth}))
    assert status == 201
    return dict(headers)["X-Subject-Token"]


def replay(cloud, recorded, tokens):
    """Sends a recorded request; TOKENS gives the value for each redacted header."""
    request = recorded["request"]
    url = urlsplit(request["url"])
    headers = dict(line.split(": ", 1) for line in request["headers"])
    for name in ("X-Auth-Token", "X-Subject-Token"):
        if name in headers:
            headers[name] = tokens.get(name) or token(cloud)
    body = request["body"]
    if body is not None:
        body = body if isinstance(body, str) else json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    path = f"/{SERVICES[url.port]}{url.path}" + (f"?{url.query}" if url.query else "")
    return send(cloud, request["method"], path, headers, body)


def tokens_for(cloud, name):
    caller = ("0" * 32 if name in WITHOUT_TOKEN
              else token(cloud, *USERS.get(name, ("cluster", "labsecret", "cluster"))))
    subject = "gAAAAA-nonsense" if name == "ks-validate-bad" else caller
    if name == "ks-validate":
        _, headers, _ = replay(cloud, RECORDED["ks-token-appcred"], {})
        subject = dict(headers)["X-Subject-Token"]
    return {"X-Auth-Token": caller, "X-Subject-Token": subject}


MASKS = [(re.compile(pattern), text) for pattern, text in (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "<time>"),
    (r"req-[0-9a-f-]{36}", "<request>"),
    (r"fa:16:3e(:[0-9a-f]{2}){3}", "<mac>"),
    (r"\b127\.18\.\d+\.\d+\b", "<address>"),
    (r"\b[0-9a-f]{128}\b|\b[0-9a-f]{56}\b", "<hash>"),
    (r'"(gAAAA[0-9A-Za-z]+|TOKEN|REDACTED)"', '"<secret>"'),
    (r"\\n\\nFailed validating [^\"]*", ""))]  # the schema itself, at length
# Whose values come out anew each time; only their type is compared.
FREE_KEYS = {"audit_ids", "adminPass", "checksum", "totalRAMUsed", "totalCoresUsed",
             "totalInstancesUsed", "reservation_id", "revision_number"}
RANDOM_IDS = {"catalog", "endpoints", "roles"}  # rows whose ids are made at installation
IGNORED_HEADERS = {"connection", "content-length", "date", "server"}


def masked(value, bases):
    """VALUE without the times, addresses, tokens and URLs of its run."""
    text = json.dumps(value)
    for base, service in bases:
        text = text.replace(base, f"<{service}>")
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return json.loads(text)


def plain(value, key=None):
    """VALUE without what is chance in any run."""
    if key in FREE_KEYS:
        return type(value).__name__
    if isinstance(value, dict):
        return {k: "random" if k == "id" and key in RANDOM_IDS else plain(v, k)
                for k, v in value.items()}
    if isinstance(value, list):
        rows = [plain(row, key) for row in value]
        # Keystone orders the catalogue by its random ids.
        return sorted(rows, key=str) if key in ("catalog", "endpoints") else rows
    return value


def answer_of(status, pairs, body, bases):
    headers = sorted([name.lower(), value] for name, value in pairs
                     if name.lower() not in IGNORED_HEADERS)
    answer = plain(masked({"status": status, "headers": headers, "body": body}, bases))
    server = body.get("server") if isinstance(body, dict) else None
    if server and "adminPass" in server:  # a create: its id is new in every run
        answer = json.loads(json.dumps(answer).replace(server["id"], "<new>"))
    return answer


def recorded_answer(name):
    response = RECORDED[name]["response"]
    pairs = [line.split(": ", 1) for line in response["headers"][1:]]
    bases = [(f"http://127.0.0.1:{port}", service) for port, service in SERVICES.items()]
    return answer_of(response["status"], pairs, response["body"], bases)


def simulated_answer(cloud, name):
    tokens = tokens_for(cloud, name)
    arrange = ARRANGED.get(name) or next(a for p, a in PREFIXES if name.startswith(p))
    arrange(cloud, name)
    status, pairs, body = replay(cloud, RECORDED[name], tokens)
    try:
        body = json.loads(body) if body else None
    except ValueError:
        body = body.decode()
    bases = [(f"{cloud.url}/{service}", service) for service in SERVICES.values()]
    return answer_of(status, pairs, body, bases)


needs_recording = pytest.mark.skipif(
    not RECORDED, reason=f"no recorded exchanges in {FOLDER}; set CS_SHARED to their parent")


@needs_recording
@pytest.mark.parametrize("name", [name for name in RECORDED if name not in OUTSIDE])
def test_answers_as_recorded(name):
    with cloud_for(name) as cloud:
        assert simulated_answer(cloud, name) == recorded_answer(name)


@needs_recording
def test_nothing_is_left_out_unnoticed(capsys):
    assert set(OUTSIDE) <= set(RECORDED)
    with capsys.disabled():
        print(f"\n{len(RECORDED)} recorded exchanges: compared {len(RECORDED) - len(OUTSIDE)}, "
              f"outside {len(OUTSIDE)}")
        for reason in sorted(set(OUTSIDE.values())):
            names = [name for name, why in OUTSIDE.items() if why == reason]
            print(f"  outside, {reason}: {', '.join(names)}")

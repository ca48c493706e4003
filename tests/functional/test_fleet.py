#!/usr/bin/python3
"""One session of cs_fleet and cs_nova against the simulated cloud, driven through fleet_probe."""

import http.server
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "fakes"))
from simcloud import SimCloud  # noqa: E402
from simcloud_http import Threads  # noqa: E402

PROBE = pathlib.Path(os.environ.get("top_builddir", HERE.parents[2] / "build")) / \
    "tests/functional/fleet_probe"
OP = "11111111-2222-4333-8444-55555555555"
MARKER = "labsecret"  # in every secret that the simulated cloud knows

CLOUDS = """\
clouds:
  password:
    auth: {{auth_url: {url}, username: cluster, password: {password},
      user_domain_name: Default, project_name: cluster, project_domain_name: Default}}
    {more}
  reader:
    auth: {{auth_url: {url}, username: reader, password: readersecret,
      user_domain_name: Default, project_name: cluster, project_domain_name: Default}}
  credential:
    auth_type: v3applicationcredential
    auth: {{auth_url: {url}, application_credential_id: {credential},
      application_credential_secret: {secret}}}
  nowhere:
    auth: {{auth_url: "http://127.0.0.1:{free}/v3", user_id: u, password: {password}, project_id: p}}
"""
CLUSTER = """\
clouds-file: {dir}/clouds.yaml
clusters:
  web:
    cloud: {cloud}
    servers:
      image: {image}
      flavor: {flavor}
      networks: [{network}]
      name: web
      key-name: keypair
      security-groups: [default]
      adopt-image: {adopt}
    size: {{min: 1, max: 9}}
"""


class Probe:
    """A running fleet_probe; ask() gives the lines of an answer, the last one how it ended."""

    def __init__(self, dir, sim, deadline_ms=30000, env=None, password=MARKER, credential=None,
                 url=None, more="", secret="lab-application-secret-labsecret", clouds=CLOUDS, top="", cwd=None,
                 **given):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            free = closed.getsockname()[1]
        fields = {"cloud": "password", "image": "rails-snapshot", "flavor": "m1.small",
                  "network": "private", "adopt": "false", **given}
        path = dir / "clouds.yaml"
        path.write_text(clouds if clouds is not CLOUDS else CLOUDS.format(
            url=url or sim.auth_url, more=more, password=password, secret=secret, free=free,
            credential=credential or sim.app_credential.id))
        path.chmod(0o600)
        (dir / "clusterscale.yaml").write_text(
            top + CLUSTER.format(dir=dir, **fields))
        self.process = subprocess.Popen(
            [PROBE, dir / "clusterscale.yaml", "web", str(deadline_ms)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=cwd, env={"PATH": os.environ["PATH"], **(env or {})})
        self.said = ""
        self.opened = self.read()[-1]

    def read(self):
        lines = []
        while not lines or not lines[-1].startswith(("ok", "error ")):
            line = self.process.stdout.readline()
            assert line, f"the probe ended after {lines}"
            self.said += line
            lines.append(line.rstrip("\n"))
        return lines

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        self.process.wait(10)
        assert MARKER not in self.said + rest
        return self.process.returncode


@pytest.fixture(name="cloud")
def _cloud():
    with SimCloud(build_seconds=0.1, delete_seconds=0.1, password=MARKER, max_limit=2,
                  app_credential_secret="lab-application-secret-labsecret") as cloud:
        yield cloud


@pytest.fixture(name="probe")
def _probe(cloud, tmp_path):
    """Makes probes; each one is closed and searched for secrets at the end."""
    probes = []

    def make(**given):
        probes.append(Probe(tmp_path, cloud, **given))
        return probes[-1]
    yield make
    for one in probes:
        one.close()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def add(cloud, count):
    return [cloud.add_server(f"s{i}", metadata={"clusterscale.cluster": "web"}, age=100 - i)
            for i in range(count)]


def without_ids(text):
    """A message without the ids of its requests, which are chance."""
    return re.sub(r" \((?:(?:ours )?req-[0-9a-f-]{36}(?:, )?)+\)|; ours req-[0-9a-f-]{36}", "", text)


def tokens(cloud):
    return len(cloud.requests("POST", "/auth/tokens"))


# The way of a server

@pytest.mark.parametrize("name", ["password", "credential"])
def test_a_server_comes_and_goes(cloud, probe, name):
    one = probe(cloud=name)
    assert one.opened == "ok"
    assert one.ask("where") == [f"{cloud.url}/identity {cloud.project.id} ''", "ok"]
    assert one.ask("list") == ["servers 0", "ok"]
    created, ok = one.ask(f"create web1 {OP}1")
    id = created.split()[1]
    assert ok == "ok"
    until(lambda: one.ask("list")[1] == "member web1 active 127.18.0.1 ours")
    assert one.ask(f"show {id}")[0] == (
        f"web1 status=ACTIVE task=- image={cloud.image.id} flavor=m1.small vcpus=1 fault=- "
        f"cluster=web op={OP}1 draining=- tag=clusterscale:web")
    assert one.ask(f"mark {id} clusterscale.draining 123") == ["ok"]
    assert one.ask("list")[1] == "member web1 draining 127.18.0.1 ours"
    assert " op=" + OP + "1 draining=123 " in one.ask(f"show {id}")[0]
    assert one.ask(f"unmark {id} clusterscale.draining") == ["ok"]
    assert one.ask(f"tag {id} more") == ["ok"]
    cloud.plan_deletes(seconds=0.5)
    assert one.ask(f"delete {id}") == ["ok"]
    assert one.ask("list")[1] == "member web1 deleting 127.18.0.1 ours"
    until(lambda: one.ask("list") == ["servers 0", "ok"])
    assert one.ask(f"delete {id}")[0].startswith("error NOT_FOUND 404 DELETE ")
    assert one.ask(f"show {id}")[0].startswith("error NOT_FOUND 404 GET ")
    assert tokens(cloud) == 1


def test_names_and_ids_are_both_taken(cloud, probe):
    for given in ({"image": cloud.image.id, "flavor": "2", "network": cloud.network.id}, {}):
        one = probe(**given)
        assert one.ask(f"create web1 {OP}1")[-1] == "ok"
        until(lambda: one.ask("list")[-2].startswith("member web1 active"))
    assert len({s.image + s.flavor.name for s in cloud.servers.values()}) == 1


def test_adopted_servers_are_members_but_not_ours(cloud, probe):
    cloud.add_server("foreign", address="127.18.0.9")
    cloud.add_server("other", image="")
    assert probe(adopt="true").ask("list") == [
        "servers 2", "member foreign active 127.18.0.9 adopted", "ok"]
    assert probe().ask("list") == ["servers 2", "ok"]


# Who may

def test_a_wrong_password_says_what_to_check(cloud, probe):
    opened = probe(password="not-labsecret").opened
    assert opened.startswith("error AUTH 401 cloud 'password' of ")
    assert (f"/clouds.yaml: {cloud.url}/identity refused to authenticate; check username, password, "
            "project_name and their domains (status 401, req-") in opened


@pytest.mark.parametrize("given,status", [({"credential": "0" * 32}, 404), ({"secret": "x"}, 401)])
def test_a_wrong_application_credential_says_what_to_check(cloud, probe, given, status):
    opened = probe(cloud="credential", **given).opened
    assert opened.startswith(f"error AUTH {status} cloud 'credential' of ")
    assert "check id and secret of the application credential" in opened


def test_a_reader_sees_and_cannot_create(cloud, probe):
    one = probe(cloud="reader")
    assert one.ask("list") == ["servers 0", "ok"]
    assert one.ask(f"create web1 {OP}1")[0].startswith("error FORBIDDEN 403 POST ")


def test_a_token_that_expires_in_the_middle_is_renewed_once(cloud, probe):
    one = probe()
    add(cloud, 3)
    cloud.keystone.expire_tokens()
    assert one.ask("list")[0] == "servers 3"
    assert tokens(cloud) == 2
    cloud.keystone.expire_tokens()
    assert one.ask(f"create web1 {OP}1")[-1] == "ok"
    assert len(cloud.servers) == 4


def test_a_service_that_refuses_every_token_is_asked_twice(cloud, probe):
    one = probe()
    cloud.inject(path="/servers/detail", status=401, count=99,
                 body={"error": {"code": 401, "message": "no"}})
    answer = one.ask("list")[0]
    assert answer.startswith("error AUTH 401 cloud 'password' of ")
    assert "a fresh token of " in answer
    assert len(cloud.requests("GET", "/servers/detail")) == 2
    assert tokens(cloud) == 2


def test_credentials_that_others_can_read_are_refused(cloud, probe, tmp_path):
    probe()
    (tmp_path / "clouds.yaml").chmod(0o644)
    done = subprocess.run([PROBE, tmp_path / "clusterscale.yaml", "web", "5000"],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        2, f"error REFUSED 0 {tmp_path}/clouds.yaml holds a secret and others can read or write it "
        f"(mode 0644); type: chmod o= {tmp_path}/clouds.yaml\n", "")


def test_no_keystone_and_the_wrong_url(cloud, probe, tmp_path):
    opened = probe(cloud="nowhere").opened
    assert opened.startswith(f"error CONNECT 0 cloud 'nowhere' of {tmp_path}/clouds.yaml: POST ")
    assert opened.endswith("/v3/auth/tokens: no connection: Connection refused; is the URL right, and the cloud up?")
    one = probe()
    cloud.inject(path="/auth/tokens", status=404, body="<html>none</html>")
    cloud.keystone.expire_tokens()
    assert one.ask("list")[0].endswith(
        "/identity/v3/auth/tokens does not exist; check auth_url: it is Keystone's URL, such as "
        "https://cloud.example.org:5000/v3")


def test_a_cloud_with_identity_v2_only_is_named(cloud, probe):
    one = probe()
    cloud.keystone.expire_tokens()
    cloud.inject(path="/auth/tokens", status=404, body="<html>none</html>")
    cloud.inject(path="/identity/$", status=300,
                 body={"versions": {"values": [{"id": "v2.0", "status": "stable"}]}})
    assert one.ask("list")[0].endswith(f"{cloud.url}/identity offers Identity v2.0 only; write auth_type: v2password")


def test_a_token_for_no_project_is_refused(cloud, probe):
    one = probe()
    cloud.keystone.expire_tokens()
    cloud.inject(path="/auth/tokens", status=201, headers={"X-Subject-Token": "labsecret-token"},
                 body={"token": {"user": {"id": "u"}}})
    assert one.ask("list")[0].endswith(
        ": the token is for no project; set project_name and its domain")


@pytest.mark.parametrize("min_version,version", [("2.1", "2.12"), ("", ""), ("2.80", "2.99")])
def test_a_nova_of_another_age_is_refused(cloud, probe, min_version, version):
    cloud.inject(path="/compute/v2.1/$", status=200, body={
        "version": {"id": "v2.1", "version": version, "min_version": min_version}})
    opened = probe().opened
    assert opened.startswith(f"error PROTOCOL 0 Nova at {cloud.compute_url}/ offers microversions ")
    assert opened.endswith("one from 2.26 (OpenStack Newton) to 2.73 is needed")


# Lists are whole or an error

def test_all_pages_are_read(cloud, probe):
    one = probe()
    servers = add(cloud, 5)
    assert one.ask("list") == ["servers 5", *(
        f"member s{i} active 127.18.0.{i + 1} ours" for i in range(5)), "ok"]
    assert len(cloud.requests("GET", "/servers/detail")) == 3
    assert servers[0].id


@pytest.mark.parametrize("fault,end", [
    ({"status": 500, "count": 9}, "status 500: Injected fault"),
    ({"action": "truncate", "count": 9},
     "the connection broke before the answer was whole (Transferred a partial file)"),
    ({"body": "<html>busy</html>", "count": 9}, "status 503: a web page, not the service's own answer"),
    ({"status": 200, "body": "<html>fine</html>"}, "is not JSON: unexpected character at byte 0"),
    ({"status": 400, "body": {"badRequest": {"message": "marker [x] not found", "code": 400}}},
     "status 400: marker [x] not found"),
    ({"status": 200, "body": {"servers": None}}, "Nova's list has no array 'servers'"),
])
def test_a_page_that_fails_is_no_list(cloud, probe, fault, end):
    one = probe()
    add(cloud, 5)
    cloud.inject(path="/servers/detail.*marker", **fault)
    answer = one.ask("list")
    assert len(answer) == 1
    assert "page 2 of Nova's list failed, the others are not used: " in answer[0]
    assert without_ids(answer[0]).endswith(end)
    cloud.control.faults.clear()
    assert one.ask("list")[0] == "servers 5"


@pytest.mark.parametrize("marker", ["same", "other"])
def test_a_list_that_goes_round_is_no_list(cloud, probe, marker):
    one = probe()
    row, query = {"servers": [{"id": f"{OP}1", "metadata": {}}]}, f"?marker={marker}"
    cloud.inject(path="/servers/detail", status=200, count=99, body={
        **row, "servers_links": [{"rel": "next", "href": f"http://127.0.0.9/servers/detail{query}"}]})
    assert one.ask("list")[0] == (
        f"error PROTOCOL 0 Nova's list refers to the same page again (marker={marker})")
    cloud.control.faults.clear()
    cloud.inject(path="/servers/detail$", status=200, body={
        **row, "servers_links": [{"rel": "next", "href": "/servers/detail?marker=x"}]})
    cloud.inject(path="/servers/detail.marker=x", status=200, body=row)
    assert one.ask("list")[0] == (
        f"error PROTOCOL 0 Nova lists server {OP}1 twice; the list is not used")


def test_a_list_that_goes_round_through_several_pages_is_no_list(cloud, probe):
    one = probe()
    for number, marker in enumerate("aba"):
        cloud.inject(path="/servers/detail", status=200, body={
            "servers": [{"id": f"{OP}{number}", "metadata": {}}],
            "servers_links": [{"rel": "next", "href": f"{cloud.compute_url}/servers/detail?marker={marker}"}]})
    assert one.ask("list") == ["error PROTOCOL 0 Nova's list refers to the same page again (marker=a)"]


def test_a_row_of_a_cell_that_is_down_is_a_member_of_which_nothing_is_known(cloud, probe):
    """From 2.69 such a row is {id, status UNKNOWN, ...}: whether it is ours cannot be seen."""
    one = probe()
    row = {"id": f"{OP}1", "status": "UNKNOWN", "tenant_id": "p", "created": "2026-01-01T00:00:00Z"}
    cloud.inject(path="/servers/detail", status=200, body={"servers": [row]})
    assert one.ask("list") == ["servers 1", "member  unknown - adopted", "ok"]


# What a change may cost

@pytest.mark.parametrize("action,made", [("drop", 0), ("lose", 1), ("truncate", 1)])
def test_a_create_without_answer_is_sent_once_and_its_outcome_unknown(cloud, probe, action, made):
    one = probe()
    one.ask("list")
    cloud.inject(method="POST", path="/servers$", action=action)
    answer = one.ask(f"create web1 {OP}1")[0]
    assert answer.startswith(f"error LOST 0 POST {cloud.compute_url}/servers: the connection broke")
    assert answer.endswith("; it may have been carried out")
    assert len(cloud.requests("POST", "/servers$")) == 1
    assert len(cloud.servers) == made


@pytest.mark.parametrize("status,code", [(500, "LOST"), (502, "LOST"), (504, "LOST"),
                                         (503, "REMOTE"), (400, "REMOTE"), (409, "CONFLICT"),
                                         (429, "QUOTA")])
def test_the_status_of_a_create_says_whether_it_may_exist(cloud, probe, status, code):
    one = probe()
    cloud.inject(method="POST", path="/servers$", status=status)
    assert one.ask(f"create web1 {OP}1")[0].startswith(f"error {code} {status} POST ")
    assert len(cloud.requests("POST", "/servers$")) == 1


@pytest.mark.parametrize("body", [{"server": {}}, {"server": {"id": "7"}}])
def test_a_create_whose_answer_has_no_uuid_is_lost(cloud, probe, body):
    one = probe()
    cloud.inject(method="POST", path="/servers$", status=202, body=body)
    assert one.ask(f"create web1 {OP}1") == [
        "error LOST 0 Nova accepted a new server, but its answer has no uuid"]


def test_a_quota_is_told_in_novas_words(cloud, probe):
    cloud.quota["instances"] = 0
    answer = probe().ask(f"create web1 {OP}1")[0]
    assert answer.startswith(
        f"error QUOTA 403 POST {cloud.compute_url}/servers: status 403: Quota exceeded for "
        "instances: Requested 1, but already used 0 of 0 instances (req-")


def test_a_locked_server_is_a_conflict(cloud, probe):
    server = cloud.add_server("a", locked=True)
    assert f"409: Instance {server.id} is locked (req-" in probe().ask(f"delete {server.id}")[0]


def test_ids_of_people_cannot_leave_their_place_in_the_url(cloud, probe):
    one = probe()
    assert one.ask("delete ../os-keypairs/keypair")[0].startswith("error NOT_FOUND 404 DELETE ")
    assert cloud.requests("DELETE")[-1]["path"].endswith("/servers/..%2Fos-keypairs%2Fkeypair")


# Connections and time

def test_a_get_is_repeated_within_bounds(cloud, probe):
    one = probe()
    cloud.inject(method="GET", path="/servers/detail", action="drop")
    assert one.ask("list") == ["servers 0", "ok"]
    assert len(cloud.requests("GET", "/servers/detail")) == 2
    cloud.inject(method="GET", path="/servers/detail", action="drop", count=99)
    assert one.ask("list")[0].startswith("error REMOTE 0 GET ")
    assert len(cloud.requests("GET", "/servers/detail")) > 2


@pytest.mark.parametrize("method,command,code,end", [
    ("GET", "list", "TIMEOUT", "no whole answer within the time allowed"),
    ("POST", f"create web1 {OP}1", "LOST",
     "no whole answer within the time allowed; it may have been carried out")])
def test_a_slow_service_ends_at_the_deadline(cloud, probe, method, command, code, end):
    one = probe(deadline_ms=3000)
    cloud.inject(method=method, path="/servers(/detail)?$", action="delay", delay=60)
    answer = one.ask(command)[0]
    assert answer.startswith(f"error {code} 0 {method} ") and without_ids(answer).endswith(end)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_certificates_are_verified(cloud, probe, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                    "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Threads(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"https://127.0.0.1:{server.server_address[1]}"
        refused = probe(url=url).opened
        assert refused.startswith("error CONNECT 0 ") and "check 'cacert' of the cloud" in refused
        missing = probe(url=url, more=f"cacert: {tmp_path}/none.pem").opened
        assert missing.endswith(f"check 'cacert' of the cloud ({tmp_path}/none.pem)")
        for more in (f"cacert: {cert}", "verify: false"):
            assert probe(url=url, more=more).opened.startswith("error REMOTE 501 ")
        server.shutdown()


def test_redirects_are_not_followed(cloud, probe):
    one = probe()
    cloud.inject(path="/servers/detail", status=302, headers={"Location": f"{cloud.url}/else"})
    assert f"status 302: a redirect to '{cloud.url}/else', which is not followed" in \
        one.ask("list")[0]
    assert not cloud.requests(path="/else")


def test_no_proxy_stands_before_loopback(cloud, probe):
    proxy = {"http_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"}
    assert probe(env=proxy).ask("list") == ["servers 0", "ok"]


# Names

def test_two_images_of_one_name_are_an_error_with_their_ids(cloud, probe):
    twin = cloud.add_image("rails-snapshot")
    answer = probe().ask(f"create web1 {OP}1")[0]
    assert answer.startswith("error CONFLICT 0 servers.image: 2 images have the name 'rails-snapshot'; "
                             "give the id of the right one: ")
    assert twin.id in answer and cloud.image.id in answer


@pytest.mark.parametrize("key", ["image", "flavor", "network"])
def test_a_name_that_the_cloud_does_not_have(cloud, probe, key):
    answer = probe(**{key: "none such"}).ask(f"create web1 {OP}1")[0]
    names = {"image": "servers.image", "flavor": "servers.flavor", "network": "servers.networks"}
    there = {"image": "'rails-snapshot'", "network": "'private'",
             "flavor": "'m1.medium', 'm1.small', 'm1.tiny', 'm1.large'"}
    assert answer == (f"error NOT_FOUND 0 {names[key]}: the cloud has no {key} with name or id "
                      f"'none such' for this project; it has {there[key]}")
    assert not cloud.requests("POST", "/servers$")


def test_a_network_that_no_member_is_on_is_an_error(cloud, probe):
    add(cloud, 2)
    assert probe(network="privat").ask("list") == [
        "error CONFIG 0 servers.networks: no member has an address on network 'privat'; there are "
        "some on 'private'"]
    for server in list(cloud.servers.values()):
        cloud.change_server(server.id, ports=[])
    assert probe(network="privat").ask("list")[1] == "member s0 building - ours"

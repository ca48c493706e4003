#!/usr/bin/python3
"""Who we say we are: every way to authenticate, where the files lie, certificates, the token cache."""

import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time

import pytest
from test_fleet import MARKER, OP, PROBE, Threads, _cloud, _probe, tokens  # noqa: F401
from simcloud_keystone import Token  # noqa: E402

PROJECT = "project_name: cluster, project_domain_name: Default"
WAYS = {
    "password by ids": "auth: {{auth_url: {url}, user_id: {user}, password: {mark}, project_id: {project}}}",
    "default domain": "auth: {{auth_url: {url}, username: cluster, password: {mark}, project_name: cluster,"
                      " default_domain_id: default}}",
    "token": "auth_type: token\n    auth: {{auth_url: {url}, token: {token}, " + PROJECT + "}}",
    "v3token": "auth_type: v3token\n    auth: {{auth_url: {url}, token: {token}, project_id: {project}}}",
    "credential by id": "auth_type: v3applicationcredential\n    auth: {{auth_url: {url},"
                        " application_credential_id: {credential}, application_credential_secret: {secret}}}",
    "credential by name": "auth_type: v3applicationcredential\n    auth: {{auth_url: {url}, username: cluster,"
                          " user_domain_id: default, application_credential_name: lab,"
                          " application_credential_secret: {secret}}}",
    "access token": "auth_type: v3oidcaccesstoken\n    auth: {{auth_url: {url}, access_token: {access},"
                    " identity_provider: campus, protocol: openid, " + PROJECT + "}}",
    "client": "auth_type: v3oidcclientcredentials\n    auth: {{auth_url: {url}, client_id: cli ent,"
              " client_secret: '{mark}+/: ', identity_provider: campus, protocol: openid,"
              " access_token_endpoint: '{root}/idp/token', " + PROJECT + "}}",
    "client, discovered": "auth_type: v3oidcclientcredentials\n    auth: {{auth_url: {url}, client_id: cli ent,"
                          " client_secret: '{mark}+/: ', identity_provider: campus, protocol: openid,"
                          " discovery_endpoint: '{root}/idp/.well-known/openid-configuration', " + PROJECT + "}}",
    "v2password": "auth_type: v2password\n    auth: {{auth_url: {url}, username: cluster, password: {mark},"
                  " tenant_name: cluster}}",
    "none": "auth_type: none\n    endpoint: {compute}\n    image_endpoint_override: {root}/image\n"
            "    network_endpoint_override: {root}/networking/",
    "http_basic": "auth_type: http_basic\n    auth: {{endpoint: {compute}, username: me, password: {mark}}}\n"
                  "    image_endpoint_override: {root}/image\n    network_endpoint_override: {root}/networking",
}


@pytest.fixture(name="ways")
def _ways(cloud):
    """The clouds.yaml of a way; what the identity provider and Keystone have to know for it is there."""
    keystone = cloud.keystone
    keystone.token_mark = MARKER
    keystone.clients["cli ent"] = (f"{MARKER}+/: ", "cluster")
    keystone.access_tokens[f"acc-{MARKER}"] = "cluster"
    unscoped = keystone._new_token(cloud.user, None, [], ["password"])

    def make(way, **given):
        keystone.has_v2 = way == "v2password"
        if way in ("none", "http_basic"):
            keystone.anonymous = Token(cloud.user, cloud.project, ["member"], [], 0, 2e10)
        fields = {"url": cloud.auth_url, "user": cloud.user.id, "project": cloud.project.id, "mark": MARKER,
                  "token": unscoped, "credential": cloud.app_credential.id, "root": cloud.url,
                  "secret": cloud.app_credential.secret, "access": f"acc-{MARKER}",
                  "compute": cloud.compute_url, **given}
        return "clouds:\n  password:\n    " + WAYS[way].format(**fields) + "\n"
    return make


# Ways to authenticate

@pytest.mark.parametrize("way", WAYS)
def test_every_way_gets_to_a_server(cloud, probe, ways, way):
    one = probe(clouds=ways(way))
    assert one.opened == "ok"
    assert one.ask(f"create web1 {OP}1")[-1] == "ok"
    assert one.ask("list")[0] == "servers 1"
    sent = cloud.requests(path="/servers/detail")[-1]["headers"]
    if way == "none":
        assert "x-auth-token" not in sent and "authorization" not in sent
    elif way == "http_basic":
        assert sent["authorization"].startswith("Basic ") and "x-auth-token" not in sent
    else:
        assert MARKER in sent["x-auth-token"] and "authorization" not in sent
    assert not any("x-auth-token" in r["headers"] for r in cloud.requests("POST", "/identity"))


@pytest.mark.parametrize("way,given,says", [
    ("token", {"token": "x" + MARKER}, "check token (has it ended?), project_name and its domain (status 404, req-"),
    ("access token", {"access": "x" + MARKER}, "check access_token (has it ended?), identity_provider, protocol, "),
    ("client", {"mark": "x" + MARKER}, "/idp/token: status 401: Invalid client (ours req-"),
    ("v2password", {"mark": "x" + MARKER}, "check username, password and project_name (status 401, req-"),
])
def test_what_is_refused_says_what_to_check(cloud, probe, ways, way, given, says):
    opened = probe(clouds=ways(way, **given)).opened
    assert opened.startswith("error AUTH 40") and " cloud 'password' of " in opened and says in opened


def test_a_cloud_without_identity_v2_says_what_to_write(cloud, probe, ways):
    text = ways("v2password")
    cloud.keystone.has_v2 = False
    opened = probe(clouds=text).opened
    assert opened.startswith("error NOT_FOUND 404 ")
    assert opened.endswith("/identity has no Identity v2.0 (any more); write auth_type: password, with "
                           "user_domain_name and project_domain_name (often Default)")


def test_an_identity_provider_that_answers_nonsense_is_named(cloud, probe, ways):
    for path, body, says in (("/idp/token", {"x": 1}, "the answer has no access_token; check access_token_endpoint"),
                             ("/idp/.well", {"x": 1}, "the answer has no token_endpoint; check discovery_endpoint")):
        cloud.inject(path=path, status=200, body=body)
        opened = probe(clouds=ways("client, discovered")).opened
        assert opened.startswith("error PROTOCOL 0 cloud 'password' of ") and opened.endswith(says)
        assert ": the identity provider: " in opened
        cloud.control.faults.clear()


def test_without_keystone_a_401_is_not_asked_twice(cloud, probe, ways):
    text = ways("http_basic")
    cloud.keystone.anonymous = None
    answer = probe(clouds=text).ask("list")[0]
    assert answer.startswith("error AUTH 401 cloud 'password' of ")
    assert "refused; check username and password: GET " in answer
    assert len(cloud.requests(path="/servers/detail")) == 1


# Endpoints

def test_a_url_of_the_configuration_counts_before_the_catalogue(cloud, probe):
    for service in cloud.keystone.catalog:
        for endpoint in service["endpoints"]:
            endpoint["url"] = "http://127.0.0.1:1/of-the-inside"
    one = probe(more=f"compute_endpoint_override: {cloud.url}/compute\n    image-endpoint-override: "
                     f"{cloud.url}/image\n    network_endpoint_override: {cloud.url}/networking")
    assert one.ask(f"create web1 {OP}1")[-1] == "ok"


@pytest.mark.parametrize("answered", ["compute 2.1", ""])
def test_a_service_that_passes_over_the_version_is_an_error(cloud, probe, answered):
    one = probe()
    cloud.inject(path="/servers/detail", status=200, body={"servers": []},
                 headers={"OpenStack-API-Version": answered})
    answer = one.ask("list")[0]
    assert answer.startswith("error PROTOCOL 0 GET ")
    assert (f"asked for API version 'compute 2.73', answered with '{answered or 'none'}'; does a proxy in between "
            "drop the header OpenStack-API-Version? (ours req-") in answer
    assert one.ask("list") == ["servers 0", "ok"]


# Files

def test_a_planted_file_in_the_working_directory_is_passed_over(cloud, probe, tmp_path):
    if os.path.exists("/etc/openstack/clouds.yaml"):
        pytest.skip("this host has a clouds.yaml")
    probe()
    planted = tmp_path / "cwd"
    planted.mkdir()
    for name in ("clouds.yaml", "secure.yaml", "clouds-public.yaml"):
        shutil.copy(tmp_path / "clouds.yaml", planted / name)
    (tmp_path / "clusterscale.yaml").write_text(
        "".join((tmp_path / "clusterscale.yaml").read_text().splitlines(True)[1:]))
    done = subprocess.run([PROBE, tmp_path / "clusterscale.yaml", "web", "5000"], capture_output=True, text=True,
                          check=False, cwd=planted, stdin=subprocess.DEVNULL,
                          env={"HOME": str(planted), "XDG_CONFIG_HOME": str(planted)})
    assert done.stdout.startswith("error CONFIG 0 no clouds.yaml: 'clouds-file' is not configured")


def test_secrets_may_lie_in_a_file_of_their_own(cloud, probe, tmp_path):
    text = f"clouds:\n  password:\n    profile: vendor\n    auth: {{username: cluster, {PROJECT}}}\n"
    (tmp_path / "clouds-public.yaml").write_text(
        f"public-clouds: {{vendor: {{auth: {{auth_url: {cloud.auth_url}, user_domain_id: default}}}}}}\n")
    (tmp_path / "secure.yaml").write_text(f"clouds: {{password: {{auth: {{password: {MARKER}}}}}}}\n")
    (tmp_path / "secure.yaml").chmod(0o640)
    assert probe(clouds=text).opened == "ok"


# Certificates

def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(name="pki")
def _pki(tmp_path):
    """An authority, and what it has signed for a server and a client."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl(*new, "-x509", "-keyout", f"{tmp_path}/ca.key", "-out", f"{tmp_path}/ca.pem", "-subj", "/CN=authority")
    for name in ("server", "client"):
        openssl(*new[:-2], "-keyout", f"{tmp_path}/{name}.key", "-out", f"{tmp_path}/{name}.csr", "-subj",
                f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
        openssl("x509", "-req", "-in", f"{tmp_path}/{name}.csr", "-CA", f"{tmp_path}/ca.pem", "-CAkey",
                f"{tmp_path}/ca.key", "-CAcreateserial", "-copy_extensions", "copy", "-days", "2", "-out",
                f"{tmp_path}/{name}.pem")
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "client.pem").read_text() + (tmp_path / "client.key").read_text())
    return tmp_path


def test_a_client_certificate_is_shown(cloud, probe, pki):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    context.load_verify_locations(pki / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with Threads(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"https://127.0.0.1:{server.server_address[1]}"
        for more in ("cert: {0}/client.pem\n    key: {0}/client.key", "cert: {0}/both.pem"):
            opened = probe(url=url, more="cacert: {0}/ca.pem\n    ".format(pki) + more.format(pki)).opened
            assert opened.startswith("error REMOTE 501 "), opened
        assert not probe(url=url, more=f"cacert: {pki}/ca.pem", deadline_ms=3000).opened.startswith("error REMOTE 501")
        missing = probe(url=url, more=f"cacert: {pki}/ca.pem\n    cert: {pki}/none.pem").opened
        assert missing.startswith("error CONNECT 0 ")
        assert missing.endswith(f"check 'cert' and 'key' of the cloud ({pki}/none.pem)")
        server.shutdown()


# The token cache

@pytest.fixture(name="cached")
def _cached(cloud, probe, tmp_path):
    """Makes probes that keep their token; cached.path is the file."""
    def make(**given):
        return probe(top=f"state-dir: {tmp_path}/state\n", **given)
    make.path = tmp_path / "state/web/token"
    make.path.parent.mkdir(parents=True)
    return make


def test_a_token_serves_the_next_program(cloud, cached):
    for _ in range(3):
        assert cached().ask("list") == ["servers 0", "ok"]
    assert tokens(cloud) == 1
    assert cached.path.stat().st_mode & 0o7777 == 0o600
    assert os.listdir(cached.path.parent) == ["token"]
    kept = json.loads(cached.path.read_text())
    assert kept["token"] in cloud.keystone.tokens
    assert MARKER not in cached.path.read_text()
    # it is bound to who asked, and to what proved it
    assert cached(password="x" + MARKER).opened.startswith("error AUTH 401 ")
    assert cached(cloud="reader").opened == "ok"
    assert json.loads(cached.path.read_text())["token"] != kept["token"]


def spoil_text(path):
    path.write_text("{")


def spoil_token(path):
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "token": "foreign"}))



def spoil_mode(path):
    path.chmod(0o640)


def spoil_link(path):
    path.rename(path.with_name("else"))
    path.symlink_to("else")


def spoil_second_name(path):
    os.link(path, path.with_name("else"))


def spoil_future(path):
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "boot_ms": kept["boot_ms"] + 10 ** 9}))


def spoil_kind(path):
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize("spoil", [spoil_text, spoil_token, spoil_mode, spoil_link, spoil_second_name, spoil_future,
                                   spoil_kind])
def test_a_spoiled_cache_is_none(cloud, cached, spoil):
    assert cached().opened == "ok"
    spoil(cached.path)
    assert cached().ask("list") == ["servers 0", "ok"]
    assert tokens(cloud) == 2
    status = cached.path.lstat()
    assert (status.st_mode & 0o7777, status.st_nlink) == (0o600, 1)
    assert cached().opened == "ok"
    assert tokens(cloud) == 2


def test_a_revoked_token_of_the_cache_is_renewed_once(cloud, cached):
    assert cached().opened == "ok"
    cloud.keystone.expire_tokens()
    assert cached().ask("list") == ["servers 0", "ok"]
    assert cached().ask("list") == ["servers 0", "ok"]
    assert tokens(cloud) == 2


def test_tokens_are_renewed_before_they_end(cloud, cached):
    """Three lives of four seconds, with two programs: nothing fails, no 401 is met, and each life (which ends for
    us a quarter early) costs one authentication."""
    cloud.keystone.token_lifetime = 4
    begin = time.monotonic()
    probes = [cached(), cached()]
    while time.monotonic() < begin + 9.5:
        for one in probes:
            assert one.ask("list") == ["servers 0", "ok"]
        time.sleep(0.1)
    lives = (time.monotonic() - begin) / 3
    assert 3 <= tokens(cloud) <= lives + 1
    assert not [r for r in cloud.requests() if r["status"] == 401]


def test_a_keystone_that_is_away_does_no_harm_while_the_token_lives(cloud, cached):
    cloud.keystone.token_lifetime = 12
    one = cached()
    cloud.inject(method="POST", path="/auth/tokens", status=503, count=99)
    time.sleep(9.2)  # it is to be renewed from the ninth second on
    assert one.ask("list") == ["servers 0", "ok"]
    time.sleep(3)
    assert one.ask("list")[0].startswith("error REMOTE 503 cloud 'password' of ")


def test_a_folder_of_another_user_keeps_nothing(cloud, cached):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(cached.path.parent, 65534, 65534)
    assert cached().opened == "ok"
    assert os.listdir(cached.path.parent) == []


def test_ids_of_both_sides_are_in_an_error(cloud, probe):
    one = probe()
    said = one.ask("show 00000000-0000-0000-0000-000000000000")[0]
    found = re.search(r"\((req-[0-9a-f-]{36}), ours (req-[0-9a-f-]{36})\)$", said)
    assert found, said
    assert {r["headers"]["x-openstack-request-id"] for r in cloud.requests()} == {found[2]}

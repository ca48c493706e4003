# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of the lab lies and listens, and the configuration of each service.

All of it is below one folder (`Place.dir`, mode 0700), all of it listens on 127.0.0.1 with ports counted from one
base; the passwords are made once per folder.
"""
import base64
import json
import os
import pathlib
import secrets

import pymysql

HOST = "lab1"  # the one compute host
REGION = "RegionOne"
PROJECT, USER, DOMAIN = "web-project", "scaler", "Default"
IMAGE, FLAVOR, BARE_FLAVOR, HUGE_FLAVOR = "base-image", "m1.small", "m1.bare", "m1.huge"
NETWORK, KEYPAIR, SECURITY_GROUP = "private", "lab-key", "web"
# The simulated cloud of the other tests gives addresses of 127.18.0.0/24 to its servers.
SUBNET, FIRST_ADDRESS, LAST_ADDRESS = "127.18.0.0/16", "127.18.16.1", "127.18.255.254"
EXTERNAL_NETWORK, EXTERNAL_SUBNET, ROUTER_ADDRESS = "public", "127.19.0.0/16", "127.18.0.1"
COMMUNITY = "lab-community"
CAPACITY = 75  # requests/s that keep one server 100 % busy
SERVICES = ("keystone", "glance", "placement", "neutron", "nova")
PORTS = (*SERVICES, "rabbitmq", "epmd", "erlang", "http", "snmp")
DATABASES = ("keystone", "glance", "placement", "neutron", "nova_api", "nova_cell0", "nova")
TOKEN_LIFE_S = 3600


class Place:
    def __init__(self, directory, port_base=9600):
        self.dir = pathlib.Path(directory).resolve()
        kept = self.dir / "settings.json"
        if kept.exists():
            values = json.loads(kept.read_text())
        else:
            values = {"port_base": port_base, "secrets": {}}
        self.ports = {name: values["port_base"] + i for i, name in enumerate(PORTS)}
        self.values, self.kept = values, kept

    def path(self, *parts):
        return self.dir.joinpath(*parts)

    def secret(self, name):
        """The password of NAME, made at the first call."""
        if name not in self.values["secrets"]:
            self.values["secrets"][name] = secrets.token_urlsafe(18)
            self.save()
        return self.values["secrets"][name]

    def keep(self, **values):
        self.values.update(values)
        self.save()

    def save(self):
        write_private(self.kept, json.dumps(self.values, indent=1) + "\n")

    def url(self, service):
        path = {"keystone": "/v3", "nova": "/v2.1"}.get(service, "")
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    def database(self, name):
        return (f"mysql+pymysql://root:{self.secret('mariadb')}@localhost/{name}"
                f"?unix_socket={self.path('mariadb.sock')}&charset=utf8")

    def connect(self):
        """To all databases, each statement by itself."""
        return pymysql.connect(unix_socket=str(self.path("mariadb.sock")), user="root", autocommit=True,
                               password=self.secret("mariadb"))

    def messages(self):
        return f"rabbit://lab:{self.secret('rabbitmq')}@127.0.0.1:{self.ports['rabbitmq']}/"

    # Files

    def write_configuration(self):
        for part in ("etc", "log", "run", "images", "staging", "machines", "locks"):
            self.path(part).mkdir(mode=0o700, exist_ok=True)
        self.write_keystone()
        self.write_glance()
        self.write("placement", placement_database={"connection": self.database("placement")},
                   keystone_authtoken=self.login("placement"))
        self.write_neutron()
        self.write_nova()
        self.write_rabbitmq()
        self.write_machines()

    def write(self, service, DEFAULT=None, **sections):
        common = {"log_file": self.path("log", f"{service}.log"), "use_stderr": "false"}
        text = section("DEFAULT", common | (DEFAULT or {}))
        for name, values in sections.items():
            text += section(name, values)
        write_private(self.path("etc", f"{service}.conf"), text)

    def login(self, service):
        """How SERVICE itself speaks with Keystone."""
        return {"auth_type": "password", "auth_url": self.url("keystone"), "username": service,
                "password": self.secret(service), "user_domain_name": DOMAIN, "project_name": "service",
                "project_domain_name": DOMAIN, "region_name": REGION,
                "www_authenticate_uri": self.url("keystone"),
                # A revoked token is refused within seconds
                "token_cache_time": 5}

    def write_keystone(self, token_life_s=TOKEN_LIFE_S):
        keys = self.path("etc", "fernet")
        keys.mkdir(mode=0o700, exist_ok=True)
        for name in ("0", "1"):
            if not (keys / name).exists():
                write_private(keys / name, base64.urlsafe_b64encode(os.urandom(32)).decode())
        self.write("keystone", database={"connection": self.database("keystone")},
                   token={"provider": "fernet", "expiration": token_life_s, "allow_expired_window": 0},
                   fernet_tokens={"key_repository": keys}, fernet_receipts={"key_repository": keys},
                   credential={"key_repository": keys},
                   identity={"password_hash_rounds": 4},
                   cache={"enabled": "true", "backend": "dogpile.cache.memory"})

    def write_glance(self):
        self.write("glance-api", {"node_staging_uri": f"file://{self.path('staging')}"},
                   database={"connection": self.database("glance")},
                   keystone_authtoken=self.login("glance"), paste_deploy={"flavor": "keystone"},
                   glance_store={"stores": "file", "default_store": "file",
                                 "filesystem_store_datadir": self.path("images")})

    def write_neutron(self):
        self.write("neutron", {
            "bind_host": "127.0.0.1", "bind_port": self.ports["neutron"], "core_plugin": "ml2",
            "service_plugins": "router", "auth_strategy": "keystone", "transport_url": self.messages(),
            "api_workers": 2, "rpc_workers": 1, "rpc_state_report_workers": 0,
            "api_paste_config": self.path("etc", "neutron-paste.ini"),
            "state_path": self.path("run"), "notify_nova_on_port_status_changes": "false",
            "notify_nova_on_port_data_changes": "false", "dhcp_agent_notification": "false"},
            database={"connection": self.database("neutron")}, keystone_authtoken=self.login("neutron"),
            oslo_concurrency={"lock_path": self.path("locks")},
            quotas={"quota_port": -1},
            ml2={"type_drivers": "local", "tenant_network_types": "local", "mechanism_drivers": "openvswitch",
                 "extension_drivers": "port_security"},
            securitygroup={"firewall_driver": "noop"})

    def write_nova(self):
        self.write("nova", {
            "host": HOST, "my_ip": "127.0.0.1", "transport_url": self.messages(), "state_path": self.path("run"),
            "enabled_apis": "osapi_compute", "compute_driver": "lab_driver.LabDriver",
            "vif_plugging_is_fatal": "false", "vif_plugging_timeout": 0, "graceful_shutdown_timeout": 3,
            "running_deleted_instance_action": "noop", "rpc_response_timeout": 20, "report_interval": 3},
            wsgi={"api_paste_config": self.path("etc", "nova-paste.ini")},
            api_database={"connection": self.database("nova_api")},
            database={"connection": self.database("nova")},
            keystone_authtoken=self.login("nova"), placement=self.login("nova"),
            neutron=self.login("nova"), service_user=self.login("nova") | {"send_service_user_token": "false"},
            glance={"endpoint_override": self.url("glance")},
            oslo_concurrency={"lock_path": self.path("locks")},
            quota={"instances": 2000, "cores": -1, "ram": -1, "metadata_items": 128},
            conductor={"workers": 1}, scheduler={"workers": 1})

    def write_rabbitmq(self):
        write_private(self.path("etc", "rabbitmq.conf"),
                      f"listeners.tcp.1 = 127.0.0.1:{self.ports['rabbitmq']}\n"
                      f"default_user = lab\ndefault_pass = {self.secret('rabbitmq')}\n"
                      "loopback_users = none\nlog.console = false\n"
                      "vm_memory_high_watermark.relative = 0.2\ndisk_free_limit.absolute = 50MB\n")
        write_private(self.path("etc", "rabbitmq.plugins"), "[].\n")

    def write_machines(self):
        """What runs on each server of flavor m1.small, for machine.py."""
        write_private(self.path("etc", "machine.json"), json.dumps(
            {"http_port": self.ports["http"], "snmp_port": self.ports["snmp"], "community": COMMUNITY,
             "capacity": CAPACITY}))

    def write_credentials(self, application_credential):
        """clouds.yaml and openrc of the cloud's user; APPLICATION_CREDENTIAL is (id, secret)."""
        url, password = self.url("keystone"), self.secret("user")
        common = f"    region_name: {REGION}\n    identity_api_version: 3\n"
        scope = (f"      project_name: {PROJECT}\n      user_domain_name: {DOMAIN}\n"
                 f"      project_domain_name: {DOMAIN}\n")
        write_private(self.path("clouds.yaml"), (
            f"clouds:\n  lab:\n{common}    auth:\n      auth_url: {url}\n      username: {USER}\n"
            f"      password: {password}\n{scope}"
            f"  lab-application:\n{common}    auth_type: v3applicationcredential\n    auth:\n      auth_url: {url}\n"
            f"      application_credential_id: {application_credential[0]}\n"
            f"      application_credential_secret: {application_credential[1]}\n"
            f"  lab-admin:\n{common}    auth:\n      auth_url: {url}\n      username: admin\n"
            f"      password: {self.secret('admin')}\n{scope.replace(PROJECT, 'admin')}"))
        variables = {"AUTH_URL": url, "USERNAME": USER, "PASSWORD": password, "PROJECT_NAME": PROJECT,
                     "USER_DOMAIN_NAME": DOMAIN, "PROJECT_DOMAIN_NAME": DOMAIN, "REGION_NAME": REGION,
                     "IDENTITY_API_VERSION": 3}
        write_private(self.path("openrc"), "".join(f"export OS_{name}={value}\n"
                                                   for name, value in variables.items()))


def section(name, values):
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()) + "\n"


def write_private(path, text):
    path.touch(mode=0o600)
    path.write_text(text)

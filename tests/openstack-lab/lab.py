#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real OpenStack on this machine, for `./dev lab`: Keystone, Placement, Glance, Neutron and Nova of Debian 12 as
plain processes of one unprivileged user, on loopback, below one folder.

up      what is not there yet is made; returns when the cloud is ready to be used
down    every process ends; the state stays
reset   down, everything is forgotten, up
status  the processes; exit code 1 unless all are there
env     lines for a shell: eval "$(./dev lab env)"
"""
import argparse
import concurrent.futures
import datetime
import json
import shutil
import sys
import time
import uuid

import machine
import settings
from rest import Cloud, Refused
from services import NAMES, PYTHON, LabError, Services, run, say, sql, wait_until

ROLES = {"user": ("member", "reader"), "service": ("admin",)}


class Lab:
    def __init__(self, directory, port_base=9600):
        self.place = settings.Place(directory, port_base)
        self.services = Services(self.place)
        self.spared = set()
        self.admin = Cloud(self.place, "admin", self.place.values["secrets"].get("admin"), "admin")
        self.user = Cloud(self.place, settings.USER, self.place.values["secrets"].get("user"), settings.PROJECT)

    # Up

    def up(self):
        if not self.place.values.get("ready"):
            self.forget()  # what an interrupted start has left
        self.place.write_configuration()
        self.admin.password, self.user.password = self.place.secret("admin"), self.place.secret("user")
        fresh = not self.place.values.get("ready")
        if fresh:
            self.make()
        else:
            self.services.start("mariadb", "epmd")
            self.services.wait("mariadb", "epmd")
            self.services.start(*NAMES)
            machine.restart_all(self.place.dir)
        self.services.wait(*NAMES)
        self.until_serving()
        say("the cloud is ready" + (", with nothing in it yet" if fresh else ""))

    def until_serving(self):
        wait_until(self.is_serving, 120, "Glance, Neutron and Nova with its compute host serve")

    def is_serving(self, since=0):
        """The APIs answer, and each part of Nova has reported after SINCE, which it does when it can be asked."""
        try:
            services = self.admin.get("nova", "/os-services")["services"]
            self.user.get("neutron", "/v2.0/networks")
            self.user.get("glance", "/v2/images")
        except (OSError, Refused):
            return False
        up = {one["binary"] for one in services if one["state"] == "up" and reported(one) > since}
        return up >= {"nova-compute", "nova-conductor", "nova-scheduler"}

    def make(self):
        """From nothing. Schemas are made side by side; each service starts as soon as it can."""
        self.make_database()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            jobs = [pool.submit(job) for job in (self.make_messages, self.make_identity, self.make_glance,
                                                 self.make_placement, self.make_neutron, self.make_nova)]
            for job in concurrent.futures.as_completed(jobs):
                if job.exception():
                    pool.shutdown(wait=False, cancel_futures=True)
                job.result()
        self.services.start(*NAMES)
        self.make_contents()
        self.place.keep(ready=True)

    def make_database(self):
        run(["/usr/bin/mariadb-install-db", "--no-defaults", f"--datadir={self.place.path('mariadb')}",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-flush-method=nosync"], self.place,
            "mariadb-install.out")
        self.services.start("mariadb", "epmd")
        self.services.wait("mariadb")
        password = self.place.secret("mariadb")
        sql(self.place, f"ALTER USER root@localhost IDENTIFIED BY '{password}';" + "".join(
            f"CREATE DATABASE {name} CHARACTER SET utf8;" for name in settings.DATABASES), password="")
        say("the database runs")

    def make_messages(self):
        self.services.start("rabbitmq")
        self.services.wait("epmd", "rabbitmq")

    def manage(self, program, configuration, *arguments):
        run([PYTHON, "-B", self.place.path("lib", "entry.py"), program, "--config-file",
             self.place.path("etc", f"{configuration}.conf"), *arguments], self.place, f"{program}.out")

    def make_identity(self):
        self.manage("keystone-manage", "keystone", "db_sync")
        run([PYTHON, "-B", self.place.path("lib", "entry.py"), "keystone-manage", "--config-file",
             self.place.path("etc", "keystone.conf"), "bootstrap", "--bootstrap-region-id", settings.REGION,
             "--bootstrap-public-url", self.place.url("keystone"), "--bootstrap-internal-url",
             self.place.url("keystone"), "--bootstrap-admin-url", self.place.url("keystone")],
            self.place, "keystone-manage.out", OS_BOOTSTRAP_PASSWORD=self.place.secret("admin"))
        self.services.start("keystone")
        self.services.wait("keystone")
        wait_until(self.can_login, 60, "Keystone gives tokens")
        self.make_users()
        say("Keystone answers")

    def can_login(self):
        try:
            return self.admin.login()
        except (OSError, Refused):
            return False

    def make_users(self):
        post = lambda path, body: self.admin.post("keystone", path, body)  # noqa: E731
        roles = {role["name"]: role["id"] for role in self.admin.get("keystone", "/roles")["roles"]}
        for name, type in (("glance", "image"), ("placement", "placement"), ("neutron", "network"), ("nova", "compute")):
            service = post("/services", {"service": {"name": name, "type": type}})["service"]["id"]
            for interface in ("public", "internal"):
                post("/endpoints", {"endpoint": {"service_id": service, "region_id": settings.REGION,
                                                 "interface": interface, "url": self.place.url(name)}})
        users = [(name, self.place.secret(name), "service") for name in ("glance", "placement", "neutron", "nova")]
        users.append((settings.USER, self.place.secret("user"), settings.PROJECT))
        projects = {name: post("/projects", {"project": {"name": name, "domain_id": "default"}})["project"]["id"]
                    for name in ("service", settings.PROJECT)}
        for name, password, project in users:
            user = post("/users", {"user": {"name": name, "password": password, "domain_id": "default"}})["user"]["id"]
            for role in ROLES["service" if project == "service" else "user"]:
                self.admin.ask("PUT", "keystone", f"/projects/{projects[project]}/users/{user}/roles/{roles[role]}")

    def make_glance(self):
        self.manage("glance-manage", "glance-api", "db_sync")
        self.services.start("glance")

    def make_placement(self):
        self.manage("placement-manage", "placement", "db", "sync")
        self.services.start("placement")

    def make_neutron(self):
        self.manage("neutron-db-manage", "neutron", "upgrade", "heads")
        sql(self.place, "INSERT INTO neutron.agents (id, agent_type, `binary`, topic, host, admin_state_up, created_at, "
            "started_at, heartbeat_timestamp, configurations, `load`) VALUES "
            f"('{uuid.uuid4()}', 'Open vSwitch agent', 'neutron-openvswitch-agent', 'N/A', '{settings.HOST}', 1, NOW(), "
            "NOW(), '2099-01-01', '{\"bridge_mappings\": {}, \"tunnel_types\": []}', 0)")
        self.services.start("neutron")

    def make_nova(self):
        self.manage("nova-manage", "nova", "api_db", "sync")
        cells = (("00000000-0000-0000-0000-000000000000", "cell0", "none:///", "nova_cell0"),
                 (str(uuid.uuid4()), "cell1", self.place.messages(), "nova"))
        for id, name, messages, database in cells:
            sql(self.place, "INSERT INTO nova_api.cell_mappings (created_at, uuid, name, transport_url, "
                f"database_connection, disabled) VALUES (NOW(), '{id}', '{name}', '{messages}', "
                f"'{self.place.database(database)}', 0)")
        sql(self.place, "INSERT INTO nova_api.host_mappings (created_at, cell_id, host) SELECT NOW(), id, "
            f"'{settings.HOST}' FROM nova_api.cell_mappings WHERE name = 'cell1'")
        self.manage("nova-manage", "nova", "db", "sync")
        self.services.wait("rabbitmq")
        self.services.start("nova-conductor", "nova-scheduler")

    # What the cloud's user finds in it

    def make_contents(self):
        self.services.wait("glance", "neutron", "nova-api")
        wait_until(self.apis_answer, 120, "Glance, Neutron and Nova answer")
        self.admin.post("nova", "/flavors", flavor(settings.FLAVOR, 256, 1))
        self.admin.post("nova", "/flavors", flavor(settings.BARE_FLAVOR, 128, 1))
        self.admin.post("nova", "/flavors", flavor(settings.HUGE_FLAVOR, 900_000_000, 1))
        self.make_image(settings.IMAGE)
        self.make_networks()
        self.user.post("neutron", "/v2.0/security-groups", {"security_group": {"name": settings.SECURITY_GROUP}})
        self.user.microversion = "2.1"  # which makes keys
        self.user.post("nova", "/os-keypairs", {"keypair": {"name": settings.KEYPAIR}})
        self.user.microversion = self.admin.microversion
        made = self.user.post("keystone", f"/users/{self.user.user_id}/application_credentials", {
            "application_credential": {"name": "lab"}})["application_credential"]
        self.place.write_credentials((made["id"], made["secret"]))

    def make_networks(self):
        """A network on loopback, and a router from it to an external one, which gives floating addresses: no packet goes
        that way, as there is no agent."""
        network = self.user.post("neutron", "/v2.0/networks", {"network": {"name": settings.NETWORK}})["network"]["id"]
        subnet = self.user.post("neutron", "/v2.0/subnets", {"subnet": {
            "network_id": network, "ip_version": 4, "cidr": settings.SUBNET, "enable_dhcp": False, "gateway_ip": None,
            "allocation_pools": [{"start": settings.FIRST_ADDRESS, "end": settings.LAST_ADDRESS}]}})["subnet"]["id"]
        outside = self.admin.post("neutron", "/v2.0/networks", {"network": {
            "name": settings.EXTERNAL_NETWORK, "router:external": True}})["network"]["id"]
        self.admin.post("neutron", "/v2.0/subnets", {"subnet": {
            "network_id": outside, "ip_version": 4, "cidr": settings.EXTERNAL_SUBNET, "enable_dhcp": False}})
        router = self.user.post("neutron", "/v2.0/routers", {"router": {
            "name": "edge", "external_gateway_info": {"network_id": outside}}})["router"]["id"]
        port = self.user.post("neutron", "/v2.0/ports", {"port": {
            "network_id": network, "fixed_ips": [{"subnet_id": subnet, "ip_address": settings.ROUTER_ADDRESS}]}})["port"]["id"]
        self.user.ask("PUT", "neutron", f"/v2.0/routers/{router}/add_router_interface", {"port_id": port})

    def apis_answer(self):
        try:
            self.user.get("nova", "/flavors")
            self.user.get("neutron", "/v2.0/networks")
            self.user.get("glance", "/v2/images")
            return True
        except (OSError, Refused):
            return False

    def make_image(self, name):
        image = self.user.post("glance", "/v2/images", {"name": name, "disk_format": "raw", "container_format": "bare"})
        self.user.ask("PUT", "glance", f"/v2/images/{image['id']}/file", b"an operating system\n",
                      {"Content-Type": "application/octet-stream"})
        return image["id"]

    # For tests

    def flavor_id(self, name):
        return next(one["id"] for one in self.user.get("nova", "/flavors")["flavors"] if one["name"] == name)

    def order_builds(self, orders):
        """How builds go from now on, in the words of lab_driver.py; None: well."""
        if orders is None:
            self.place.path("build").unlink(missing_ok=True)
        else:
            self.place.path("build").write_text(orders)

    def clear(self):
        """Every server of the project goes, whatever its state, but those of clusters that are spared, every image but the
        one that was there first, and every floating address."""
        wait_until(self.is_clear, 90, "all servers of the project are deleted", interval_s=0.5)
        for one in self.user.get("neutron", "/v2.0/floatingips")["floatingips"]:
            self.user.ask("DELETE", "neutron", f"/v2.0/floatingips/{one['id']}")
        for image in self.user.get("glance", "/v2/images")["images"]:
            if image["name"] != settings.IMAGE:
                self.user.ask("DELETE", "glance", f"/v2/images/{image['id']}")

    def is_clear(self):
        servers = [server for server in self.user.get("nova", "/servers/detail")["servers"]
                   if server["metadata"].get("clusterscale.cluster") not in self.spared]
        for server in servers:
            try:
                if server["locked"]:
                    self.user.post("nova", f"/servers/{server['id']}/action", {"unlock": None})
                if server["OS-EXT-STS:task_state"] != "deleting" or server["status"] == "ERROR":
                    self.user.ask("DELETE", "nova", f"/servers/{server['id']}")
            except Refused as error:
                if error.status not in (404, 409):  # gone since the list, or busy
                    raise
        return not servers

    def bring_back(self, service):
        """A stopped service, and what lost its connections by that, are there again."""
        since = time.time()
        self.services.start(service)
        self.services.wait(service)
        to_report = service in ("rabbitmq", "mariadb") or service.startswith("nova-") and service != "nova-api"
        wait_until(lambda: self.is_serving(since if to_report else 0), 120, f"the cloud serves with {service} again",
                   interval_s=0.3)

    def authentications(self, host):
        """How many tokens Keystone was asked for by our programs under the name HOST since the lab was made."""
        lines = self.place.path("log", "keystone.out").read_text(errors="replace").splitlines()
        return sum(line.startswith(f"{host}:{self.place.ports['keystone']} POST /v3/auth/tokens ")
                   and " by clusterscale/" in line for line in lines)

    def set_token_life(self, seconds=settings.TOKEN_LIFE_S):
        self.place.write_keystone(seconds)
        self.services.stop("keystone")
        self.services.start("keystone")
        wait_until(self.can_login, 60, "Keystone gives tokens")

    # Down

    def down(self):
        self.services.stop(*NAMES[3:])  # those first that would wait for what they speak with
        self.services.stop(*NAMES[:3])
        machine.stop_all(self.place.dir)

    def forget(self):
        self.down()
        for part in ("mariadb", "rabbitmq", "images", "staging", "machines", "run", "log", "locks"):
            shutil.rmtree(self.place.path(part), ignore_errors=True)
        self.place.path("build").unlink(missing_ok=True)
        self.place.keep(ready=False)

    def reset(self):
        self.forget()
        self.up()

    def status(self):
        missing = 0
        for name, pid, where in self.services.status():
            missing += not pid
            print(f"{name:<15} {f'pid {pid}' if pid else 'not running':<12} {where}")
        print(f"state: {self.place.dir}")
        return 1 if missing else 0

    def env(self):
        print(f". {self.place.path('openrc')}\nexport OS_CLIENT_CONFIG_FILE={self.place.path('clouds.yaml')}")


def reported(service):
    """When a part of Nova last said that it lives, as time.time() counts."""
    if not service["updated_at"]:
        return 0
    return datetime.datetime.fromisoformat(service["updated_at"]).replace(tzinfo=datetime.timezone.utc).timestamp()


def flavor(name, ram, cpus):
    return {"flavor": {"name": name, "ram": ram, "vcpus": cpus, "disk": 1}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("up", "down", "reset", "status", "env"))
    parser.add_argument("--dir", required=True, help="the folder of the lab")
    parser.add_argument("--port-base", type=int, default=9600,
                        help="the first of %d ports (9600; what an existing folder was made with stays)"
                        % len(settings.PORTS))
    options = parser.parse_args()
    lab = Lab(options.dir, options.port_base)
    try:
        return getattr(lab, options.command)() or 0
    except (LabError, Refused, OSError, json.JSONDecodeError) as error:
        print(f"lab: {options.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

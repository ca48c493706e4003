# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale --doctor: the whole chain in lines, each failure with its cure, and nothing changed by looking."""
import json
import os
import pathlib
import re
import socket
import subprocess

import pytest
from balancer import NOBODY
from scale_lab import PROGRAM, lab, make_lab, procs  # noqa: F401
from snmp_agent import Agent, cpu

STATUS = """#!/bin/sh
[ ! -e {folder}/fail ] || {{ echo "cannot connect to {folder}/stats.sock: Permission denied" >&2; exit 2; }}
echo '{{"lb": "lb1", "applied": true, "failed": '$([ -e {folder}/failed ] && echo true || echo false)', "servers": []}}'
"""


class Doctor:
    """A cluster in which all is well, with two members that answer."""

    def __init__(self, make_lab, **given):
        self.port = procs.free_port(socket.SOCK_DGRAM)
        self.lab = make_lab(lbs=1, snmp_port=self.port, cloud={"quota_instances": 10}, **given)
        self.config = self.lab.dir / "clusterscale.yaml"
        status = self.lab.dir / "lb1/status"
        status.write_text(STATUS.format(folder=self.lab.dir / "lb1"))
        status.chmod(0o755)
        self.change("sync, -n, web]}", f"sync, -n, web], status: [{status}]}}")
        self.agents = []
        for id in self.lab.add(2):
            host = self.lab.cloud.servers[id].address
            agent = Agent(cpu(user=100, idle=900), host=host, port=self.port)
            self.agents.append(agent.__enter__())
        self.lab.measure(400)

    def close(self):
        for agent in self.agents:
            agent.__exit__()

    def change(self, old, new):
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def look(self, program=PROGRAM):
        """(exit status, {what: [line]}) and a look at what must not have changed."""
        before = self.traces()
        code, out, err = self.lab.run("--doctor", program=program)
        assert err == "" and self.traces() == before
        lines = [re.fullmatch(r"(ok|note|skip|FAIL) +([^:]*): (.*)", line) for line in out.splitlines()
                 if " to be mended" not in line]
        assert all(lines), out
        said = {}
        for match in lines:
            said.setdefault(match[2], []).append(f"{match[1]} {match[3]}")
        return code, said

    def traces(self):
        """Every file of the state with its time, and every request that changes something."""
        files = {str(p): p.stat().st_mtime_ns for p in (self.lab.dir / "state").rglob("*")}
        changing = [r for verb in ("POST", "PUT", "DELETE") for r in self.lab.cloud.requests(verb, "/servers")]
        return files, len(changing)

    def fault(self, what, *words, program=PROGRAM):
        """The only fault is this one, and the line has the words."""
        code, said = self.look(program)
        faults = [(name, line) for name, lines in said.items() for line in lines if line.startswith("FAIL")]
        assert code == 1 and [name for name, _ in faults] == [what], said
        for word in words:
            assert word in faults[0][1], faults
        return said


@pytest.fixture
def doctor(make_lab):  # noqa: F811
    doctor = Doctor(make_lab)
    yield doctor
    doctor.close()


def test_all_is_well(doctor):
    code, said = doctor.look()
    said.pop("core", None)  # as this machine has cores, or not
    assert code == 0 and all(line.startswith("ok ") for lines in said.values() for line in lines), said
    assert list(said) == ["clusterscale.yaml", "plugin", "state directory", "journal", "measurement", "credentials", "cloud",
                          "catalogue, compute", "catalogue, image", "catalogue, network", "image", "flavor", "network",
                          "members", "quota", "SNMP", "load balancer lb1"]
    assert said["SNMP"] == ["ok 2 of 2 members answer"]
    assert said["quota"] == ["ok room for 3 more servers, up to size.max"]
    assert said["members"] == ["ok 2 in the cloud, 2 of them ACTIVE"]


def test_configuration(doctor):
    doctor.change("mode: act", "mood: act")
    said = doctor.fault("clusterscale.yaml", "clusterscale.yaml:6", "mood", "clusterscale.yaml(5)")
    assert said["everything else"] == ["skip not looked at: it needs the configuration"]


def test_mode_observe_is_worth_knowing(make_lab):  # noqa: F811
    doctor = Doctor(make_lab, mode="observe")
    code, said = doctor.look()
    doctor.close()
    assert code == 0 and said["mode"][0].startswith("note observe: nothing is created or deleted; ")


def test_no_measurement_yet_or_no_more(doctor):
    (doctor.lab.state / "history").unlink()
    code, said = doctor.look()
    assert code == 0 and said["measurement"][0].startswith("note none yet: ")
    doctor.lab.measure(400, ago=500)
    code, said = doctor.look()
    assert code == 0 and "does the core still run check_cluster_cpu -n web" in said["measurement"][0]


def test_credentials_that_others_can_read(doctor):
    (doctor.lab.dir / "clouds.yaml").chmod(0o644)
    said = doctor.fault("credentials", "clouds.yaml", "chmod")
    assert said["SNMP"] == ["skip not looked at: without the list of members"]


def test_a_wrong_password_though_a_token_is_kept(doctor):
    assert doctor.lab.run("--status")[0] == 0
    assert (doctor.lab.state / "token").exists()
    doctor.lab.write_clouds(password="typed-wrong")
    doctor.fault("cloud", "cloud 'sim' of", "refused to authenticate; check username, password", "openstack token issue")


def test_nobody_at_the_auth_url(doctor):
    path = doctor.lab.dir / "clouds.yaml"
    path.write_text(re.sub(r"auth_url: [^,]*,", f"auth_url: 'http://127.0.0.1:{procs.free_port()}/v3',", path.read_text()))
    doctor.fault("cloud", "is the URL right, and the cloud up?", "auth_url is that of cloud 'sim' of")


def test_catalogue_without_a_service(doctor):
    path = doctor.lab.dir / "clouds.yaml"
    path.write_text(path.read_text() + "    region_name: Elsewhere\n")
    doctor.fault("cloud", "Elsewhere")


def test_journal_of_another_project(doctor):
    doctor.lab.note(type="bind", auth_url="http://elsewhere:5000", project="p", region="r")
    doctor.fault("journal", "http://elsewhere:5000", "--rebind")


def test_image(doctor):
    doctor.change("image: rails-snapshot", "image: rails-snap")
    doctor.fault("image", "'rails-snapshot'", "openstack image list")
    doctor.change("image: rails-snap", "image: rails-snapshot")
    doctor.lab.cloud.image.status = "saving"
    doctor.fault("image", "is saving and not active", "wait until it is stored")


def test_flavor_against_the_image(doctor):
    image = doctor.lab.cloud.image
    image.min_disk = 200
    doctor.fault("flavor", "needs 200 GiB of disk (min_disk), the flavor has 20", "set servers.flavor to a larger one")
    doctor.change("flavor: m1.small", "flavor: m1.small\n      boot-volume: {size: 300}")
    assert doctor.look()[0] == 0
    image.min_ram = 9999
    doctor.fault("flavor", "needs 9999 MiB of memory (min_ram), the flavor has 2048")


def test_network(doctor):
    doctor.change("networks: [private]", "networks: [private, backstage]")
    doctor.fault("network", "no network with name or id 'backstage'", "openstack network list")


def test_security_group(doctor):
    doctor.change("networks: [private]", "networks: [private]\n      security-groups: [default, wbe]")
    doctor.lab.cloud.groups["web"] = "b7e2e5b6-1d0f-4c5e-9a36-0d9a6f6a2b11"
    said = doctor.fault("security group", "no security group with name or id 'wbe'", "'web'", "openstack security group list")
    assert any(line.startswith("ok 'default' (") for line in said["security group"])


def test_key_pair(doctor):
    doctor.change("networks: [private]", "networks: [private]\n      key-name: keypiar")
    doctor.fault("key pair", "no key pair 'keypiar' for this user; it has 'keypair'", "openstack keypair list")
    doctor.change("key-name: keypiar", "key-name: keypair")
    code, said = doctor.look()
    assert code == 0 and said["key pair"] == ["ok 'keypair'"]


def test_a_cloud_that_tells_no_limits(doctor):
    doctor.lab.cloud.inject(method="GET", path="/limits", action="status", status=403, count=9)
    code, said = doctor.look()
    assert code == 0
    assert said["quota"] == ["note this cloud tells no limits: whether there is room for 3 more servers, up to size.max, "
                             "shows when they are created"]


def test_a_cloud_whose_limits_were_asked_for_in_vain(doctor):
    doctor.lab.cloud.inject(method="GET", path="/limits", action="status", status=500, count=99)
    doctor.fault("quota", "/limits", "500", "whether there is room for 3 more servers, up to size.max, is not known")


def test_flavor_that_is_not_there(doctor):
    doctor.change("flavor: m1.small", "flavor: m1.small2")
    said = doctor.fault("flavor", "'m1.small'", "openstack flavor list")
    assert said["quota"] == ["skip not looked at: without the flavor"]


def test_quota(doctor):
    doctor.change("size: {min: 2, max: 5}", "size: {min: 2, max: 50}")
    doctor.fault("quota", "2 of 10 servers are in use", "size.max (50)")


def test_snmp(doctor):
    doctor.agents.pop().__exit__()
    said = doctor.fault("SNMP", f"UDP port {doctor.port}", "does snmpd run there")
    assert "ok 1 of 2 members answer" in said["SNMP"]
    (silent,) = (s for s in doctor.lab.cloud.servers.values() if s.address in said["SNMP"][0])
    silent.change(metadata=silent.metadata | {"clusterscale.snmp-port": "1161"})
    doctor.fault("SNMP", "UDP port 1161")


def test_snmp_port_of_a_group_and_of_a_server(doctor):
    group, own = procs.free_port(socket.SOCK_DGRAM), procs.free_port(socket.SOCK_DGRAM)
    doctor.change("cpu:\n", f"cpu:\n      groups: [{{names: 'win-*', snmp: {{community-file: {doctor.lab.dir}/community, port: {group}}}}}]\n")
    metadata = {"clusterscale.cluster": "web"}
    for name, port in (("win-1", None), ("win-2", str(own)), ("web-9", "snmp")):
        doctor.lab.cloud.add_server(name, metadata={**metadata, **({"clusterscale.snmp-port": port} if port else {})})
    said = doctor.look()[1]["SNMP"]
    [of_group], [of_server], [bad] = [[line for line in said if name in line] for name in ("win-1", "win-2", "web-9")]
    assert f"UDP port {group} open" in of_group and f"UDP port {own} open" in of_server
    assert "is 'snmp', which is no port; openstack server set --property clusterscale.snmp-port=161 " in bad


def test_load_balancer(doctor):
    lb = doctor.lab.dir / "lb1"
    (lb / "fail").touch()
    doctor.fault("load balancer lb1", "stats.sock: Permission denied", f"to try it: {lb}/status")
    (lb / "fail").unlink()
    (lb / "failed").touch()
    doctor.fault("load balancer lb1", "HAProxy refused a configuration", "correct the template")
    (lb / "failed").unlink()
    (lb / "sync").chmod(0o644)
    doctor.fault("load balancer lb1", "cannot run", "let this user execute it")
    (lb / "sync").unlink()
    doctor.fault("load balancer lb1", "No such file or directory")


def test_sudo_would_refuse(doctor):
    fake = doctor.lab.dir / "sudo"
    fake.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$*\" >{fake}.said\necho 'sudo: a password is required' >&2; exit 1\n")
    fake.chmod(0o755)
    doctor.change(f"sync: [{doctor.lab.dir}/lb1/sync, -n, web]", f"sync: [{fake}, -n, /x/haproxy_sync, -n, web]")
    doctor.fault("load balancer lb1", "sudo does not let user", "(sudo: a password is required)",
                 "/sudoers.d/clusterscale /etc/sudoers.d/clusterscale")
    assert pathlib.Path(f"{fake}.said").read_text() == "-n -l /x/haproxy_sync -n web\n"


def test_state_directory(doctor):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(doctor.lab.state, NOBODY, NOBODY)
    doctor.fault("state directory", "belongs to user nobody", "sudo -u nobody")


def test_a_state_directory_that_is_closed(doctor):
    wrapper = doctor.lab.dir / "as-anybody"  # as root may write everywhere
    drop = "setpriv --bounding-set -dac_override,-dac_read_search" if os.geteuid() == 0 else ""
    wrapper.write_text(f"#!/bin/sh\nexec {drop} {PROGRAM} \"$@\"\n")
    wrapper.chmod(0o755)
    doctor.lab.state.chmod(0o500)
    doctor.fault("state directory", "Permission denied", f"type: chmod u+rwx {doctor.lab.state}", program=wrapper)


def test_an_agent_that_answers_is_not_called_silent(doctor):
    for agent in doctor.agents:
        agent.objects = {}
    said = doctor.look()[1]["SNMP"]
    assert len(said) == 2 and all("ssCpuRaw" in line and "must show" in line and "does snmpd run" not in line for line in said)


def test_a_missing_state_directory_is_not_made(doctor):
    doctor.change(f"state-dir: {doctor.lab.dir}/state", f"state-dir: {doctor.lab.dir}/elsewhere")
    code, said = doctor.look()
    assert code == 0 and said["state directory"] == [f"ok {doctor.lab.dir}/elsewhere/web"]
    assert not (doctor.lab.dir / "elsewhere").exists()


def test_damaged_journal(doctor):
    path = doctor.lab.state / "journal"
    path.write_text("rubbish\n" + path.read_text())
    doctor.fault("journal", "journal", "nova_scale -n web --audit tells where")


def test_plugin(doctor):
    program = doctor.lab.install("#!/bin/sh\necho '{\"summary\": \"no such thing\"}'\n")
    doctor.fault("SNMP", "check_cluster_cpu: no such thing", program=program)


AGENT_LINES = pathlib.Path(os.environ.get("top_builddir", "build"), "contrib/zabbix/clusterscale.conf")
PLUGINS = PROGRAM.parents[1] / "plugins"


def cores(doctor, agent):
    """What is said of three cores whose files are these, in the place of this machine's own."""
    files = {"nagios4/resource.cfg": f"# $USER1$=/none\n$USER1$={PLUGINS}\n",
             "icinga2/constants.conf": 'const PluginDir = "/usr/lib/elsewhere"\n',
             "zabbix/zabbix_agentd.conf": "Hostname=x\n", "zabbix/zabbix_agentd.conf.d/clusterscale.conf": agent}
    etc, wrapper = doctor.lab.dir / "etc", doctor.lab.dir / "with-cores"
    for path, text in files.items():
        (etc / path).parent.mkdir(parents=True, exist_ok=True)
        (etc / path).write_text(text)
    mounts = " && ".join(f"mount --bind {etc}/{name} /etc/{name}" for name in ("nagios4", "icinga2", "zabbix"))
    wrapper.write_text(f"#!/bin/sh\n[ -n \"$MOUNTED\" ] || exec env MOUNTED=yes unshare --mount \"$0\" \"$@\"\n"
                       f"{mounts} && exec {PROGRAM} \"$@\"\n")
    wrapper.chmod(0o755)
    return doctor.look(program=wrapper)[1]["core"]


@pytest.mark.skipif(os.geteuid() != 0 or not all(map(os.path.isdir, ("/etc/nagios4", "/etc/icinga2", "/etc/zabbix"))),
                    reason="needs root to put other files in the place of those of the cores")
def test_cores(doctor):
    shipped = AGENT_LINES.read_text()
    lines = re.sub(r"\],\S*/check_cluster", f"],{PLUGINS}/check_cluster", shipped)
    said = cores(doctor, lines)
    assert said == [
        "ok Zabbix' agent runs it, and nova_scale for cluster web (/etc/zabbix/zabbix_agentd.conf.d/clusterscale.conf)",
        "ok Nagios looks there for plugins, too (/etc/nagios4/resource.cfg)",
        "note Icinga 2 looks for plugins in /usr/lib/elsewhere (const PluginDir of /etc/icinga2/constants.conf): "
        f"its commands have to name {PLUGINS}, or link there"]
    denied = "DenyKey=system.run[*]\n" + lines
    for text, word in ((shipped, "and not this one"), (lines.replace("Timeout=15", "Timeout=4"), "gives the check up after 4 s"),
                       (lines.replace("Timeout=15", ""), "gives the check up after 3 s"),
                       (lines.replace("-n web ", "-n web2 "), "give /etc/zabbix"),
                       (denied, "has to stand before DenyKey=system.run[*]")):
        told = cores(doctor, text)[0]
        assert told.startswith("note Zabbix' agent ") and word in told, told
    assert len(cores(doctor, "UserParameter=other.key,/bin/true\n")) == 2


def test_user_data(doctor):
    doctor.change("flavor: m1.small", "flavor: m1.small\n      user-data-file: /nonexistent/user-data")
    doctor.fault("user data", "/nonexistent/user-data")


def test_check_dry_run_keeps_nothing(doctor):
    before = doctor.traces()
    plugin = PROGRAM.parents[1] / "plugins/check_cluster_cpu"
    code, out, err = doctor.lab.run("--dry-run", "--output", "json", program=plugin)
    assert {m["state"] for m in json.loads(out)["members"]} == {"warming"} and err == ""
    assert doctor.traces() == before
    done = subprocess.run([plugin, "-H", "localhost", "-C", "public", "--dry-run"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "CLUSTER CPU UNKNOWN - --dry-run goes with --cluster; see --help\n")

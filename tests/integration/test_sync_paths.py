# SPDX-License-Identifier: GPL-3.0-or-later
"""nova_scale reaches haproxy_sync as README says: through the real sudo, ssh and NRPE, each with a fixed command.

A server that Nova lists as ACTIVE gets into service, and another one is drained and deleted, over each of them.
"""
import json
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import time
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "functional"))
import balancer  # noqa: E402
import procs  # noqa: E402

NOVA_SCALE = balancer.PROGRAM.parent / "nova_scale"
AS_NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a sudo rule and an ssh server of its own")


@pytest.fixture
def lb():
    with balancer.Balancer() as lb:
        clouds = lb.dir / "clouds.yaml"
        reader = clouds.read_text()
        clouds.write_text(reader + reader.removeprefix("clouds:\n").replace("reader:", "admin:").replace(
            "username: reader", "username: cluster").replace("password: readersecret", "password: labsecret"))
        shutil.copy(NOVA_SCALE, lb.dir / "nova_scale")
        lb.spawned = []
        yield lb
        for child in lb.spawned:
            procs.end(child)


def measure(lb):
    """As check_cluster_cpu leaves it: a load at which nothing changes."""
    state = lb.dir / "state" / "web"
    state.mkdir(parents=True)
    (state / "history").write_text(json.dumps({
        "t": int(time.time() * 1000), "bt": int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000),
        "boot": pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "load_permille": 600, "servers": 2, "missing": 0, "sampled": 2, "warming": 0}) + "\n")
    for path in (state.parent, state, state / "history"):
        os.chown(path, balancer.NOBODY, balancer.NOBODY)


def fixed_command(lb):
    return f"{lb.dir}/haproxy_sync -n web -f {lb.dir}/clusterscale.yaml"


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def spawn(lb, name, *argv, **options):
    child = procs.spawn(list(argv), lb.dir / f"{name}.log", **options)
    lb.spawned.append(child)
    return child


def scale(lb, sync, *args, wrapper=()):
    """nova_scale as nobody; its load balancer is reached with the words of `sync`."""
    words = ", ".join(f'"{word}"' for word in sync)
    text = lb.yaml.read_text().split("    load-balancers:")[0]
    lb.yaml.write_text(text.replace("    cloud: admin\n", "    mode: act\n    cloud: admin\n", 1 - text.count("mode: act"))
                       + f"    load-balancers:\n      - {{name: lb1, sync: [{words}]}}\n")
    command = [*wrapper, *shlex.split(AS_NOBODY), str(lb.dir / "nova_scale"), "-n", "web", "-f", str(lb.yaml), *args]
    return subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, cwd="/")


def goes_through(lb, sync, wrapper=()):
    one, two = lb.add("web1"), lb.add("web2")
    for server in (one, two):
        lb.cloud.change_server(server.id, tags=["clusterscale:web"])
    lb.start()
    measure(lb)
    done = scale(lb, sync, wrapper=wrapper)
    assert done.returncode == 0, done.stderr + done.stdout
    for server in (one, two):
        assert f"server '{server.name}' ({server.id}, {lb.address(server)}) is in service" in done.stdout + done.stderr
    assert lb.status() == {"web1": "UP", "web2": "UP"}
    done = scale(lb, sync, "--delete", "web2", wrapper=wrapper)
    assert done.returncode == 0, done.stderr + done.stdout
    assert lb.status().get("web2", "MAINT") == "MAINT" and lb.status()["web1"] == "UP"
    assert [s.id for s in lb.cloud.servers.values() if not s.deleting] == [one.id]


def test_sudo(lb):
    """The rule is bound over /etc/sudoers in a mount namespace: this machine's own stays as it is."""
    rule = lb.dir / "sudoers"
    rule.write_text("Defaults !lecture\n"
                    f"nobody ALL=(nobody) NOPASSWD: {fixed_command(lb)}\n")
    rule.chmod(0o440)
    os.chown(rule, 0, 0)
    goes_through(lb, ["sudo", "-n", "-u", "nobody", *fixed_command(lb).split()],
                 ["unshare", "-m", "sh", "-c", f'mount --bind {rule} /etc/sudoers && exec "$@"', "sh"])


def test_ssh(lb):
    """A key with a forced command; what the client asks for does not matter."""
    folder = lb.dir / "ssh"
    folder.mkdir()
    for key in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port = procs.free_port()
    forced = f'restrict,command="{AS_NOBODY} {fixed_command(lb)}" '
    (folder / "authorized_keys").write_text(forced + (folder / "client.pub").read_text())
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} " + (folder / "host.pub").read_text())
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin forced-commands-only\n")
    os.makedirs("/run/sshd", exist_ok=True)
    shutil.copy(folder / "client", folder / "nobody")  # the client wants a key that is its user's own
    os.chown(folder / "nobody", balancer.NOBODY, balancer.NOBODY)
    spawn(lb, "sshd", "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config"))
    balancer.procs_wait(lambda: listens(port), "sshd listens")
    goes_through(lb, ["ssh", "-F", "none", "-i", str(folder / "nobody"), "-o", "BatchMode=yes", "-o",
                      f"UserKnownHostsFile={folder}/known_hosts", "-p", str(port), "root@127.0.0.1", "haproxy_sync"])


def nrpe(lb, command):
    """NRPE with this one command; the words that call it."""
    port = procs.free_port()
    (lb.dir / "nrpe.cfg").write_text(
        f"server_address=127.0.0.1\nserver_port={port}\nallowed_hosts=127.0.0.1\nnrpe_user=nobody\nnrpe_group=nogroup\n"
        f"pid_file={lb.dir}/nrpe.pid\ncommand_timeout=60\ncommand[sync_web]={command}\n")
    spawn(lb, "nrpe", "/usr/sbin/nrpe", "-n", "-f", "-c", str(lb.dir / "nrpe.cfg"))
    balancer.procs_wait(lambda: listens(port), "nrpe listens")
    return ["/usr/lib/nagios/plugins/check_nrpe", "-n", "-H", "127.0.0.1", "-p", str(port), "-t", "60", "-c", "sync_web"]


def test_nrpe(lb):
    goes_through(lb, nrpe(lb, fixed_command(lb)))


def write_report(lb, servers):
    ids = [str(uuid.UUID(int=n)) for n in range(servers)]
    (lb.dir / "report").write_text(json.dumps({
        "lb": "lb1", "list_taken": int(time.time() * 1000), "serving": ids, "sessions": dict.fromkeys(ids, 0),
        "draining": [], "drained": []}, separators=(",", ":")) + "\n")
    return (lb.dir / "report").read_text()


def test_nrpe_carries_64_kib(lb):
    """A report of 800 servers arrives whole; one that was cut off is named, and nothing is begun on its word."""
    words = nrpe(lb, f"/bin/cat {lb.dir}/report")
    whole = write_report(lb, 800)
    assert subprocess.run(words, capture_output=True, text=True).stdout == whole
    write_report(lb, 900)
    lb.cloud.change_server(lb.add("web1").id, tags=["clusterscale:web"])
    measure(lb)
    done = scale(lb, words, "--create", "1")
    assert done.returncode != 0 and "the report breaks off after 655" in done.stdout + done.stderr, done.stdout + done.stderr
    assert len(lb.cloud.servers) == 1


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))

# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_sync as root: what it believes, where it writes, and who speaks to the cloud for it.

All of it happens below /run, where every folder is root's, and in a mount namespace in which the built-in
configuration is the one of the test.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

pytest.register_assert_rewrite("balancer")
import balancer  # noqa: E402
import procs  # noqa: E402
from balancer import expect  # noqa: E402

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can try what root may not do")
NOBODY = balancer.NOBODY
IN_NAMESPACE = """\
mount --bind {dir}/etc {etc} && exec "$@"
"""


# Listens on a socket and says what it heard.
LISTENER = """\
import socket, sys
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print(flush=True)
    peer, _ = listener.accept()
    print(peer.recv(100).decode(), flush=True)
"""


def is_roots(path):
    return all(folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o022 for folder in (path, *path.parents))


class RootBalancer(balancer.Balancer):
    """Everything is root's, the running HAProxy too."""

    def __init__(self):
        super().__init__()
        self.sockets = self.dir
        self.etc = self.built_in.parents[1]
        folder = self.dir / "etc" / self.built_in.parent.name
        folder.mkdir(parents=True)
        self.yaml = self.yaml.rename(folder / self.built_in.name)
        for path in (self.dir, *self.dir.rglob("*")):
            os.chown(path, 0, 0)
        (self.dir / "sync").rmdir()

    @property
    def built_in(self):
        done = subprocess.run([self.dir / "haproxy_sync", "-n", "web", "-f", "x"], text=True, capture_output=True)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("haproxy_sync: -f is not taken from root's hands: ")
        return pathlib.Path(done.stderr.split("; use ")[1].strip())

    stats = property(lambda self: self.sockets / "admin.sock")

    def put_sockets(self, folder):
        for path in (self.template, self.config, self.yaml):
            path.write_text(path.read_text().replace(str(self.stats), f"{folder}/admin.sock"))
        self.sockets = folder

    def start(self):
        self.haproxy = procs.spawn(["haproxy", "-W", "-S", f"{self.master},mode,600", "-f", self.config],
                                   self.dir / "haproxy.log")
        balancer.procs_wait(lambda: self.workers()[0], "HAProxy starts")
        return self

    def run(self, *argv, **options):
        script = IN_NAMESPACE.format(dir=self.dir, etc=self.etc)
        return balancer.run(["unshare", "-m", "sh", "-c", script, "sh", *argv], root=True, **options)

    def sync(self, *args, **options):
        return self.run(self.dir / "haproxy_sync", "-n", "web", *args, **options)

    def refused(self, path, why, remedy, way_to=None):
        way = f" (on the way to {way_to})" if way_to else ""
        expect(self.sync(), 3, stderr=f"haproxy_sync: {path}{way} {why}, and this runs as root; {remedy}\n")

    @property
    def state(self):
        return self.dir / "sync" / str(self.config).replace("/", "_")

    def state_file(self, suffix):
        return pathlib.Path(f"{self.state}.{suffix}")


@pytest.fixture
def lb(monkeypatch):
    if not shutil.which("haproxy"):
        pytest.skip("needs haproxy, which is not installed")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to unshare -m")
    monkeypatch.setattr(tempfile, "tempdir", "/run")
    with RootBalancer() as made:
        if not made.etc.is_dir() or not is_roots(made.etc):
            pytest.skip(f"needs {made.etc}, in folders that only root can write")
        yield made


@pytest.fixture
def up(lb):
    """A running HAProxy with two published servers."""
    servers = [lb.add("web1"), lb.add("web2")]
    lb.start()
    expect(lb.sync(), 0, lb.report(servers))
    assert lb.config.read_text() == lb.lines(*servers)
    lb.servers = servers
    return lb


def untouched(lb):
    expect(lb.settle(), 0, lb.report(lb.servers))


# --- what it believes

def paths_that_count(lb):
    """(path, as it is asked for, as messages name it)"""
    clouds = lb.dir / "clouds.yaml"
    return [(lb.yaml, lb.built_in, lb.built_in), (lb.yaml.parent, lb.built_in.parent, lb.built_in),
            (clouds, clouds, clouds), (lb.template, lb.template, lb.template), (lb.config, lb.config, lb.config),
            (lb.dir, lb.dir, clouds), (lb.dir / "sync", lb.dir / "sync", lb.dir / "sync")]


def test_files_and_folders_that_others_can_write(up):
    for path, shown, asked in paths_that_count(up):
        mode, way = path.stat().st_mode, asked if asked != shown else None
        for more in (0o020, 0o002):
            path.chmod(mode | more)
            up.refused(shown, f"can be written by others than root (mode {(mode | more) & 0o7777:04o})",
                       f"type: chmod go-w {shown}", way)
        path.chmod(mode)
        os.chown(path, NOBODY, 0)
        up.refused(shown, "belongs to user nobody", f"type: chown -h root {shown}", way)
        os.chown(path, 0, 0)
    untouched(up)


def test_a_folder_for_everybody(up):
    up.dir.chmod(0o1777)
    up.refused(up.dir, "can be written by others than root (mode 1777)", "use a folder that only root can write",
               up.dir / "clouds.yaml")


def test_rights_given_by_an_acl(up):
    acl = (b"\x02\x00\x00\x00" b"\x01\x00\x06\x00\xff\xff\xff\xff" b"\x02\x00\x06\x00\xfe\xff\x00\x00"
           b"\x04\x00\x00\x00\xff\xff\xff\xff" b"\x10\x00\x06\x00\xff\xff\xff\xff" b"\x20\x00\x00\x00\xff\xff\xff\xff")
    try:
        os.setxattr(up.template, "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"needs ACLs below /run: {error}")
    up.refused(up.template, "can be written by others than root (mode 0660)", f"type: chmod go-w {up.template}")


def test_links(up):
    """Followed while every part of the way is root's."""
    real = up.dir / "real"
    real.mkdir(mode=0o755)
    moved = up.template.rename(real / "template")
    up.template.symlink_to("real/template")
    untouched(up)
    (up.dir / "other").symlink_to(real)
    up.template.unlink()
    up.template.symlink_to(up.dir / "other" / ".." / "real" / "template")
    untouched(up)
    os.chown(up.template, NOBODY, 0, follow_symlinks=False)
    up.refused(up.template, "belongs to user nobody", f"type: chown -h root {up.template}")
    os.chown(up.template, 0, 0, follow_symlinks=False)
    os.chown(up.dir / "other", NOBODY, 0, follow_symlinks=False)
    up.refused(up.dir / "other", "belongs to user nobody", f"type: chown -h root {up.dir}/other", up.template)
    os.chown(up.dir / "other", 0, 0, follow_symlinks=False)
    real.chmod(0o777)
    up.refused(real, "can be written by others than root (mode 0777)", f"type: chmod go-w {real}", up.template)
    real.chmod(0o755)
    moved.chmod(0o666)
    way = real / ".." / "real" / "template"
    up.refused(way, "can be written by others than root (mode 0666)", f"type: chmod go-w {way}", up.template)
    up.template.unlink()
    up.template.symlink_to(up.template.name)
    expect(up.sync(), 2, stderr=f"haproxy_sync: cannot find {up.template}: Too many levels of symbolic links\n")


def test_a_fifo_is_no_template(up):
    up.template.unlink()
    os.mkfifo(up.template, 0o600)
    up.refused(up.template, "is neither a file nor a folder", "remove what is there")


@pytest.mark.parametrize("key", ["program: {program}", "reload: [{program}, reload]"])
def test_a_program_that_others_can_write(up, key):
    program = up.dir / "program"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o775)
    up.yaml.write_text(up.yaml.read_text() + "      " + key.format(program=program) + "\n")
    up.refused(program, "can be written by others than root (mode 0775)", f"type: chmod go-w {program}")
    program.chmod(0o755)
    untouched(up)


@pytest.fixture
def as_debian(lb):
    """The stats socket lies where its user and group can write, as /run/haproxy is Debian's haproxy:haproxy 2775."""
    folder = lb.dir / "run"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    folder.chmod(0o2775)
    lb.put_sockets(folder)
    lb.servers = [lb.add("web1")]
    expect(lb.start().sync(), 0, lb.report(lb.servers))
    return lb


def test_the_folder_of_a_socket(as_debian):
    lb, folder = as_debian, as_debian.sockets
    for mode in (0o2777, 0o1777):
        folder.chmod(mode)
        lb.refused(folder, f"can be written by everybody (mode {mode:04o})", "use a folder that only root can write"
                   if mode == 0o1777 else f"type: chmod o-w {folder}", lb.stats)
    folder.chmod(0o2775)
    (lb.dir / "by-link").symlink_to(folder)
    lb.yaml.write_text(lb.yaml.read_text().replace(str(folder), f"{lb.dir}/by-link"))
    untouched(lb)
    os.chown(lb.dir / "by-link", NOBODY, 0, follow_symlinks=False)
    lb.refused(lb.dir / "by-link", "belongs to user nobody", f"type: chown -h root {lb.dir}/by-link",
               lb.dir / "by-link/admin.sock")


def test_the_folder_of_the_master_socket(up):
    folder = up.dir / "master"
    folder.mkdir()
    folder.chmod(0o777)
    up.yaml.write_text(up.yaml.read_text().replace(str(up.master), f"{folder}/master.sock"))
    up.refused(folder, "can be written by everybody (mode 0777)", f"type: chmod o-w {folder}", folder / "master.sock")


def test_the_way_to_the_folder_of_a_socket(up):
    """Only the folder itself may be open to a group, or be another's."""
    outer, socket_path = up.dir / "outer", up.dir / "outer/run/master.sock"
    socket_path.parent.mkdir(parents=True)
    up.yaml.write_text(up.yaml.read_text().replace(str(up.master), str(socket_path)))
    outer.chmod(0o775)
    up.refused(outer, "can be written by others than root (mode 0775)", f"type: chmod go-w {outer}", socket_path)
    outer.chmod(0o755)
    os.chown(outer, NOBODY, 0)
    up.refused(outer, "belongs to user nobody", f"type: chown -h root {outer}", socket_path)


def test_a_socket_that_is_a_link(as_debian):
    lb = as_debian
    real = lb.stats.rename(lb.sockets / "real.sock")
    lb.stats.symlink_to(real)
    lb.refused(lb.stats, "is no socket", "name the socket itself")


def test_who_listens_on_a_socket(as_debian):
    """One of the folder's group can put a socket there, and is told nothing; its owner is believed."""
    lb = as_debian
    for uid, code, heard in ((1, 3, ""), (NOBODY, 2, "show stat\n")):
        lb.stats.unlink()
        child = subprocess.Popen(["/usr/bin/python3", "-c", LISTENER, lb.stats], user=uid, group=NOBODY, extra_groups=[],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "\n"
        done = lb.sync()
        assert (done.returncode, done.stdout, child.communicate()[0]) == (code, "", heard + "\n")
        if uid == 1:
            assert done.stderr == (
                f"haproxy_sync: it is user daemon (process {child.pid}) who listens on {lb.stats}, and this runs as root, "
                "which believes only root there and the owner of the folder; find out what that process is, and start "
                "HAProxy as root\n")


def test_check_config_says_it_too(lb):
    expect(lb.sync("--check-config"), 0, stdout=f"{lb.built_in}: good\n")
    lb.template.chmod(0o666)
    expect(lb.sync("--check-config"), 3, stderr=f"haproxy_sync: {lb.template} can be written by others than root "
           f"(mode 0666), and this runs as root; type: chmod go-w {lb.template}\n")


def test_the_environment_counts_for_nothing(up):
    """Not its credentials, not its certificates, not its proxy, not its programs."""
    evil = up.dir / "evil"
    evil.mkdir()
    for name in ("haproxy", "diff"):
        (evil / name).write_text(f"#!/bin/sh\ntouch {evil}/ran\n")
        (evil / name).chmod(0o755)
    (evil / "clouds.yaml").write_text("clouds: {}\n")
    odd = {"OS_AUTH_URL": "http://127.0.0.1:1", "OS_CLIENT_CONFIG_FILE": str(evil / "clouds.yaml"), "HOME": str(evil),
           "STATE_DIRECTORY": str(evil), "http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1",
           "PATH": f"{evil}:{os.environ['PATH']}", "BASH_ENV": "/dev/zero"}
    up.servers.append(up.add("web3"))
    expect(up.settle(lambda: up.sync(env=odd)), 0, up.report(up.servers))
    assert up.sync("--dry-run", env=odd).returncode == 0
    assert not (evil / "ran").exists()
    up.yaml.write_text(up.yaml.read_text().replace("cloud: reader", "cloud: envvars"))
    expect(up.sync(env=odd), 3, stderr="haproxy_sync: haproxy.cloud is 'envvars', and this runs as root, which believes "
           f"no environment; name a cloud of {up.dir}/clouds.yaml\n")


# --- where it writes

def test_the_state_folder_is_made_for_root_alone(up):
    assert {path.name: oct(path.stat().st_mode & 0o7777) for path in (up.dir / "sync", *(up.dir / "sync").iterdir())} == {
        "sync": "0o700", up.state_file("lock").name: "0o640", up.state_file("applied").name: "0o600",
        up.state_file("backup").name: "0o600"}


def test_a_state_folder_behind_the_link_of_another(up):
    state = up.dir / "sync"
    state.rename(up.dir / "elsewhere")
    state.symlink_to("elsewhere")
    untouched(up)
    os.chown(state, NOBODY, NOBODY, follow_symlinks=False)
    up.refused(state, "belongs to user nobody", f"type: chown -h root {state}")


def games(path, target):
    """Each way to have `path` be something else."""
    def linked():
        path.symlink_to(target)

    def named_twice():
        os.link(target, path)

    def fifo():
        os.mkfifo(path, 0o600)

    def folder():
        path.mkdir()

    def bound():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))

    def of_another():
        path.write_text("x")
        os.chown(path, NOBODY, NOBODY)

    def open_to_others():
        path.write_text("x")
        path.chmod(0o666)
    for play in (linked, named_twice, fifo, folder, bound, of_another, open_to_others):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        play()
        yield play.__name__


@pytest.mark.parametrize("suffix", ["lock", "applied", "backup"])
def test_a_state_file_that_is_something_else(up, suffix):
    up.servers.append(up.add("web3"))
    target = up.dir / "passwd"
    target.write_text("root:x:0:0\n")
    path = up.state_file(suffix)
    for _ in games(path, target):
        before = up.config.read_text(), up.workers()[0]
        expect(up.sync(), 3, stderr=f"haproxy_sync: {'lock: ' if suffix == 'lock' else ''}{path} is not a plain file of "
               "our own that nobody else can write; find out who put it there, and remove it\n")
        assert target.read_text() == "root:x:0:0\n"
        assert (up.config.read_text(), up.workers()[0]) == before
    path.unlink()
    untouched(up)


@pytest.mark.parametrize("suffix", ["applied", "backup", None])
def test_a_half_written_file_that_is_something_else(up, suffix):
    """Never written through: it ends the run, or is put away."""
    target = up.dir / "passwd"
    target.write_text("root:x:0:0\n")
    path = up.state_file(suffix) if suffix else up.config
    new = pathlib.Path(f"{path}.new")
    for game in games(new, target):
        up.servers.append(up.add(game.replace("_", "-")))
        if game in ("linked", "fifo", "folder", "bound"):
            done = up.sync()
            assert done.returncode == 2 and f"cannot create a file beside {path}: " in done.stderr, game
            new.rmdir() if game == "folder" else new.unlink()
            up.settle()
        else:
            untouched(up)
            assert not new.exists() and path.stat().st_uid == 0
        assert target.read_text() == "root:x:0:0\n"
    untouched(up)


# --- who speaks to the cloud

@pytest.fixture
def asking(up):
    """A run whose question the cloud answers in a minute: (the running sync, the pid of its child)"""
    fault = up.cloud.control.inject(method="GET", path="/servers/detail", action="delay", delay=60)
    running = subprocess.Popen(["unshare", "-m", "sh", "-c", IN_NAMESPACE.format(dir=up.dir, etc=up.etc), "sh",
                                up.dir / "haproxy_sync", "-n", "web"], text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, extra_groups=[4, 27])
    balancer.procs_wait(lambda: fault.count == 0, "the cloud is asked")
    children = pathlib.Path(f"/proc/{running.pid}/task/{running.pid}/children")
    # the other one is HAProxy, which waits for what it is to check
    yield running, next(int(pid) for pid in children.read_text().split()
                        if pathlib.Path(f"/proc/{pid}/comm").read_text() == "haproxy_sync\n")
    running.kill()
    running.communicate()


def lines_of(pid, name):
    return dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/{name}").read_text().splitlines())


def test_nobody_asks_the_cloud(asking):
    running, child = asking
    status = lines_of(child, "status")
    assert status["Uid"].split() == [str(NOBODY)] * 4 and status["Gid"].split() == [str(NOBODY)] * 4
    assert status["Groups"].split() == []
    assert {status[name].strip("\t0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}
    assert status["NoNewPrivs"].strip() == "1"
    files = {name: os.readlink(f"/proc/{child}/fd/{name}") for name in os.listdir(f"/proc/{child}/fd")}
    assert {name: files.pop(name) for name in "012"} == dict.fromkeys("012", "/dev/null")
    kinds = [name.split(":")[0] for name in files.values()]
    assert kinds.count("pipe") == 1 and set(kinds) <= {"pipe", "socket", "anon_inode"}, files
    limits = pathlib.Path(f"/proc/{child}/limits").read_text()
    assert "Max core file size        0                    0 " in limits
    assert "Max file size             0                    0 " in limits
    assert lines_of(running.pid, "status")["Uid"].split() == ["0"] * 4
    # as whom nobody else can look into it
    peek = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                           "cat", f"/proc/{child}/environ"], capture_output=True, text=True)
    assert peek.returncode == 1 and "Permission denied" in peek.stderr


def test_the_capabilities_of_the_unit_are_enough(up):
    unit = pathlib.Path(balancer.TESTS.parent, "contrib/systemd/clusterscale-haproxy@.service.in").read_text()
    caps = unit.split("\nCapabilityBoundingSet=")[1].split("\n")[0].split()
    bound = ",".join(["-all", *(f"+{cap.removeprefix('CAP_').lower()}" for cap in caps)])
    up.servers.append(up.add("web3"))
    expect(up.settle(lambda: up.run("setpriv", "--no-new-privs", "--inh-caps", "-all", "--bounding-set", bound,
                                    up.dir / "haproxy_sync", "-n", "web")), 0, up.report(up.servers))


def memory_of(pid):
    """What it has written to, without what it has from files."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, rights, *_ = line.split()
            start, end = (int(text, 16) for text in span.split("-"))
            if not rights.startswith("rw") or end - start > 1 << 28:
                continue
            memory.seek(start)
            try:
                yield memory.read(end - start)
            except OSError:
                pass


def test_only_the_child_has_the_password(asking):
    running, child = asking
    assert any(b"readersecret" in part for part in memory_of(child))
    assert not any(b"readersecret" in part for part in memory_of(running.pid))


def test_a_child_that_dies(up, asking):
    running, child = asking
    before = up.config.read_text(), up.workers()[0]
    os.kill(child, 9)
    out, errors = running.communicate()
    assert (running.returncode, out) == (2, "")
    assert errors == "haproxy_sync: cluster 'web': the child that asks the cloud died of signal 9 (Killed)\n"
    assert (up.config.read_text(), up.workers()[0]) == before
    untouched(up)


def test_the_child_dies_with_its_parent(asking):
    running, child = asking
    running.kill()
    balancer.procs_wait(lambda: not pathlib.Path(f"/proc/{child}").exists(), "the child ends")


def test_a_refused_login(up):
    clouds = up.dir / "clouds.yaml"
    clouds.write_text(clouds.read_text().replace("readersecret", "wrong"))
    done = up.sync()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("haproxy_sync: cluster 'web': ") and "401" in done.stderr


def test_the_authorities_are_roots(up):
    authorities, clouds = up.dir / "ca.pem", up.dir / "clouds.yaml"
    authorities.write_text("")
    clouds.write_text(clouds.read_text() + f"    cacert: {authorities}\n")
    untouched(up)
    os.chown(authorities, NOBODY, 0)
    expect(up.sync(), 3, stderr=f"haproxy_sync: cluster 'web': cloud 'reader' of {clouds}: cacert: {authorities} belongs "
           f"to user nobody, and this runs as root; type: chown -h root {authorities}\n")

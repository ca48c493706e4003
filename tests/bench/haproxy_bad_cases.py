# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with a load balancer's files, sockets and names, each under load: haproxy_sync refuses it or takes it
back, says exactly why, and no request fails.

tests/functional/test_haproxy_bad_cases.py runs them as tests, rows() hands them to the bench.
"""
import contextlib
import pathlib
import resource
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "functional"))
import balancer  # noqa: E402
from balancer import Balancer, Load, ask  # noqa: E402

RATE = 100
CASES = {}


def case(what):
    """A generator that spoils something, yields what haproxy_sync should say (its exit status, its stderr and, when it is
    not to stay as it was, the configuration), and mends it."""
    def add(function):
        CASES[what] = contextlib.contextmanager(function)
        return function
    return add


def template(lb, old, new):
    text = lb.template.read_text()
    assert old in text
    lb.template.write_text(text.replace(old, new, 1))


DIES = "HAProxy would accept the file and die of it"
STAYS_DOWN = "HAProxy would accept the file and not start with it"


# --- the template

@case("empty template")
def _(lb):
    lb.template.write_text("")
    yield 3, f"{lb.template}: the template is empty"


@case("template truncated at a line end")
def _(lb):
    lb.template.write_text(lb.template.read_text().split("backend web\n")[0])
    yield 3, (f"{lb.template}:14: the servers of cluster 'web' belong into backend 'web' but would stand outside of any "
              "backend; put the line '# clusterscale: servers web' into their backend")


def cut(lb, before):
    """The template with the frontend behind the backend, and then cut off."""
    head, rest = lb.template.read_text().split("frontend www\n")
    frontend, backend = rest.split("\nbackend web\n")
    text = f"{head}backend web\n{backend}frontend www\n{frontend}\n"
    assert before in text
    lb.template.write_text(text.split(before)[0])


MISSING = "is the end of the template missing?"


@case("template cut off before its frontend")
def _(lb):
    cut(lb, "frontend www\n")
    yield 3, ("the configuration has no 'bind' in any frontend, and the one in place has; HAProxy would accept the file and "
              f"take no requests; {MISSING}")


@case("template cut off within its frontend")
def _(lb):
    cut(lb, "    default_backend web\n")
    yield 3, ("the configuration has no 'default_backend', 'use_backend' or 'listen', and the one in place has; HAProxy would "
              f"accept the file and answer 503 to every request; {MISSING}")


@case("template that listens nowhere")
def _(lb):
    cut(lb, "frontend www\n")
    template(lb, f"    stats socket {lb.stats} mode 600 level admin expose-fd listeners\n", "")
    candidate = f"{lb.config}.clusterscale-candidate"
    yield 3, (f"HAProxy does not accept the configuration (haproxy -c -f {candidate}: exit status 2): Configuration file has "
              "no error but will not start (no listener) => exit(2).")
    pathlib.Path(candidate).unlink(missing_ok=True)


@case("template without its last newline")
def _(lb):
    good = lb.template.read_text()
    lb.template.write_text(good.rstrip("\n"))
    yield 0, "", lb.config.read_text()


@case("unset ${VARIABLE}")
def _(lb):
    template(lb, "127.0.0.1", "${ADDRESS}")
    yield 3, (f"{lb.template}:13: ${{ADDRESS}}: nothing in the file sets it, and the running HAProxy takes an unset "
              "variable for an empty text; write the value, or 'presetenv ADDRESS VALUE' in global")


@case("what HAProxy itself refuses")
def _(lb):
    template(lb, "mode http", "mode htpp")
    candidate = f"{lb.config}.clusterscale-candidate"
    yield 3, (f"HAProxy does not accept the configuration (haproxy -c -f {candidate}: exit status 1): config : parsing "
              f"[{candidate}:4] : unknown proxy mode 'htpp'.; config : Error(s) found in "
              f"configuration file : {candidate}; config : Fatal errors found in configuration.")
    pathlib.Path(candidate).unlink(missing_ok=True)


# --- what `haproxy -c` does not look for

@case("missing chroot")
def _(lb):
    template(lb, "global\n", "global\n    chroot /nonexistent\n")
    yield 3, f"the configuration has 'chroot /nonexistent', which is no folder here; {DIES}"


@case("missing socket directory")
def _(lb):
    template(lb, "global\n", f"global\n    stats socket {lb.dir}/nowhere/a.sock\n")
    yield 3, (f"the configuration has the socket {lb.dir}/nowhere/a.sock, but there is no folder {lb.dir}/nowhere here; "
              f"{STAYS_DOWN}")


@case("bind in use")
def _(lb):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        template(lb, "frontend www\n", f"frontend www\n    bind {address}\n")
        yield 3, f"the configuration has HAProxy listen on {address}, which is not possible here (Address already in use); {STAYS_DOWN}"


@case("bind on an address of another host")
def _(lb):
    template(lb, "frontend www\n", "frontend www\n    bind 192.0.2.1:8080\n")
    yield 3, ("the configuration has HAProxy listen on 192.0.2.1:8080, which is not possible here (Cannot assign requested "
              f"address); {STAYS_DOWN}")


@case("too few file descriptors")
def _(lb):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    template(lb, "global\n", f"global\n    maxconn {limit}\n")
    info = dict(line.split(": ", 1) for line in ask(lb.stats, "show info").splitlines() if ": " in line)
    wanted = int(info["Maxsock"]) + 2 * (limit - int(info["Maxconn"]))
    yield 3, (f"with 'maxconn {limit}' HAProxy needs {wanted} file descriptors and may have {limit} "
              f"(/proc/{lb.haproxy.pid}/limits); it would accept the file and not start with it; raise LimitNOFILE of its "
              "unit, or set a smaller maxconn")


# --- a reload that fails all the same

@case("reload that fails, rolled back")
def _(lb):
    template(lb, "global\n", f"global\n    pidfile {lb.dir}/nowhere/pid\n")
    failed = ("the reload failed, the old worker still serves; HAProxy's log tells why (an address in use, a missing "
              f"file?) (the file that failed is kept as {lb.config}.failed)")
    yield 2, (f"putting the old configuration back: {failed}\n"
              f"haproxy_sync: {failed}; the old configuration is back and loaded")
    (lb.dir / "haproxy.cfg.failed").unlink(missing_ok=True)


# --- HAProxy's file

def changed(lb, text):
    """By an editor's hand."""
    right = lb.config.read_text()
    lb.config.write_text(text)
    backup = next(lb.dir.glob("sync/*.backup"))
    return 0, (f"{lb.config} is not what was applied last; it is rendered from {lb.template} again (what it was is kept as "
               f"{backup})"), right


@case("emptied configuration")
def _(lb):
    yield changed(lb, "")


@case("configuration truncated at a line end")
def _(lb):
    yield changed(lb, lb.config.read_text().split("backend web\n")[0])


@case("configuration without its last newline")
def _(lb):
    yield changed(lb, lb.config.read_text().rstrip("\n"))


@case("read-only directory")
def _(lb):
    template(lb, "global\n", "global\n    # something to write\n")
    lb.dir.chmod(0o555)
    yield 2, f"cannot create a file beside {lb.config}: Permission denied"
    lb.dir.chmod(0o755)


@case("full disk")
def _(lb):
    """By a limit on the size of files."""
    template(lb, "global\n", "global\n" + "    # a longer file\n" * 200)
    lb.file_size_limit = 2000
    yield 2, f"cannot replace {lb.config}: File too large"
    lb.file_size_limit = None


@case("full disk, no byte left")
def _(lb):
    """A real one, which only root can make."""
    full = lb.dir / "sync"
    if not balancer.UNPRIVILEGED or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size=16k,uid={balancer.NOBODY}", "none", full],
            stderr=subprocess.DEVNULL).returncode:
        yield None
        return
    (full / "fill").write_bytes(b"x" * 12288)
    lb.mark(lb.cloud_servers[1])
    yield 2, f"cannot replace {full}/{str(lb.config).replace('/', '_')}.applied: No space left on device"
    lb.unmark(lb.cloud_servers[1])
    subprocess.run(["umount", full], check=True)


# --- sockets

@contextlib.contextmanager
def other_socket(lb, path, kind="stats"):
    text = lb.yaml.read_text()
    assert text.count(f"{kind}-socket: ") == 1
    lb.yaml.write_text(text.replace(f"{kind}-socket: {getattr(lb, kind)}", f"{kind}-socket: {path}"))
    yield
    lb.yaml.write_text(text)


def nobody_behind(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        path.chmod(0o777)


@case("dead stats socket")
def _(lb):
    path = lb.dir / "dead.sock"
    nobody_behind(path)
    with other_socket(lb, path):
        yield 2, (f"cannot connect to HAProxy's socket {path}: Connection refused; HAProxy is not running, is just "
                  "reloading, or was started without this socket; see systemctl status haproxy")
    path.unlink()


@case("dead master socket")
def _(lb):
    """Old workers cannot be asked, so nothing is drained."""
    path = lb.dir / "dead.sock"
    nobody_behind(path)
    lb.mark(lb.cloud_servers[1])
    with other_socket(lb, path, "master"):
        yield 2, (f"cannot connect to HAProxy's socket {path}: Connection refused; HAProxy is not running, is just "
                  "reloading, or was started without this socket; see systemctl status haproxy")
    lb.unmark(lb.cloud_servers[1])
    path.unlink()


@case("wrong rights on the stats socket")
def _(lb):
    lb.stats.chmod(0)
    yield 2, (f"cannot connect to HAProxy's socket {lb.stats}: Permission denied; the user who runs this must be in the "
              "group of the socket (Debian: haproxy)")
    lb.stats.chmod(0o600)


@case("no stats socket")
def _(lb):
    with other_socket(lb, lb.dir / "nowhere" / "a.sock"):
        yield 2, (f"cannot connect to HAProxy's socket {lb.dir}/nowhere/a.sock: No such file or directory; is HAProxy "
                  "running, and is this the path in its configuration ('stats socket', or -S for the master)?")


# --- what the cloud says

@case("injection by a server's name")
def _(lb):
    name = "web1 127.0.0.1:80\n    http-request redirect location http://evil/ #"
    server = lb.add(name)
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:64] + f"-{server.id[:8]}"
    yield 1, "", lb.config.read_text() + lb.line(server, safe)  # it is DOWN until its check was good
    lb.remove(server)


@case("server without an address (:80)")
def _(lb):
    server = lb.add("web3", serve=False, addresses={"private": ["0.0.0.0"]})
    yield 1, ""
    lb.remove(server)


# --- running them

class Spoiled(Balancer):
    """A balancer that stays up from case to case."""
    file_size_limit = None

    def start(self):
        super().start()
        self.cloud_servers = [self.add("web1"), self.add("web2")]
        assert self.sync().returncode == 0
        self.good = self.template.read_text()
        return self

    def sync(self, *args, **options):
        if not self.file_size_limit:
            return super().sync(*args, **options)
        limit = (self.file_size_limit, self.file_size_limit)
        return balancer.run([self.dir / "haproxy_sync", "-n", "web", "-f", self.yaml],
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))

    def attempt(self, what):
        """(None or what is not as it should be, number of failed requests); None alone when it cannot be tried here."""
        with Load(self.port, RATE) as load, CASES[what](self) as expected:
            if expected is None:
                return None
            code, stderr, config = (*expected, self.config.read_text())[:3]
            load.wait_for(RATE // 4)
            done = self.sync()
            found = done.returncode, done.stderr, self.config.read_text()
            load.wait_for(RATE // 4)
        wanted = code, f"haproxy_sync: {stderr}\n" if stderr else "", config
        wrong = "".join(f"{a!r} instead of {b!r}\n" for a, b in zip(found, wanted) if a != b)
        return self.mend() or wrong or None, len(load.failures), load.failures[:3]

    def mend(self):
        """Back to where every case begins."""
        self.template.write_text(self.good)
        done = self.sync()
        return None if done.returncode == 0 else f"afterwards: {done.stderr}"


def rows():
    """[(what, failed requests, 0, whether it holds)]; what cannot be tried here is left out."""
    result = []
    with Spoiled() as lb:
        lb.start()
        for what in CASES:
            outcome = lb.attempt(what)
            if outcome:
                result.append((what, outcome[1], 0, outcome[0] is None and outcome[1] == 0))
    return result

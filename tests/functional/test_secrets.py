#!/usr/bin/python3
"""A marker in every secret: no program shows it, at any verbosity, in success or failure, nor in a file it
writes, its arguments or a core. The token cache has the token, and no other secret."""

import contextlib
import os
import resource
import signal
import stat
import subprocess
import time

import pytest
from balancer import UNPRIVILEGED, lb  # noqa: F401
from scale_lab import BUILD, POOR, lab, make_lab, wait_until  # noqa: F401
from test_credentials import WAYS

MARKER, TOKEN_MARKER = "labsecret-of-ours", "labsecret-in-token"
PLUGINS, HANDLERS = BUILD / "plugins", BUILD / "handlers"
RUNS = [
    (PLUGINS / "check_cluster_cpu",), (PLUGINS / "check_cluster_cpu", "-v"), (PLUGINS / "check_cluster_cpu", "-vvv"),
    (PLUGINS / "check_cluster_drift",), (PLUGINS / "check_cluster_drift", "-v"),
    *[(HANDLERS / "nova_scale", *words) for words in (
        ("--check-config",), ("--status",), ("--status", "-v"), ("--explain",), ("--explain", "--output", "json"),
        ("--dry-run",), ("--create", "1", "-v"), ("--audit",), ("--delete", "1", "-v"))],
]


def write_clouds(lab, way, wrong=False):
    keystone, sim = lab.cloud.keystone, lab.cloud
    keystone.token_mark, keystone.has_v2 = TOKEN_MARKER, way == "v2password"
    sim.user.password = sim.app_credential.secret = MARKER
    keystone.clients["cli ent"] = (f"{MARKER}+/: ", "cluster")
    keystone.access_tokens[MARKER] = "cluster"
    unscoped = keystone._new_token(sim.user, None, [], ["password"])
    if way in ("none", "http_basic"):
        keystone.anonymous = keystone.tokens[keystone._new_token(sim.user, sim.project, ["member"], [])]
    bad = "x" if wrong else ""
    text = WAYS[way].format(
        url=sim.auth_url, user=sim.user.id, project=sim.project.id, mark=bad + MARKER, token=bad + unscoped,
        credential=sim.app_credential.id, root=sim.url, secret=bad + MARKER, access=bad + MARKER,
        compute=sim.compute_url)
    path = lab.dir / "clouds.yaml"
    path.write_text(f"clouds:\n  sim:\n    {text}\n")
    path.chmod(0o600)
    (lab.dir / "community").write_text(MARKER + "\n")


def written(lab):
    """Every file that a program may have written, with what is in it."""
    ours = {"clouds.yaml", "community", "clusterscale.yaml", "sync", "calls"}
    return {path: path.read_text(errors="replace") for path in lab.dir.rglob("*")
            if stat.S_ISREG(path.lstat().st_mode) and path.name not in ours}


def check_files(lab):
    for path, text in written(lab).items():
        assert MARKER not in text, path
        if path.name == "token":
            assert path.stat().st_mode & 0o7777 == 0o600
        else:
            assert TOKEN_MARKER not in text, path


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("way", ["password by ids", "credential by id", "token", "access token", "client",
                                 "v2password", "http_basic"])
def test_no_program_shows_a_secret(lab, way, wrong):
    write_clouds(lab, way, wrong)
    lab.add(1)
    said = ""
    for program, *words in RUNS if way == "password by ids" else RUNS[1::4]:
        done = subprocess.run([program, "-n" if program.parent == HANDLERS else "--cluster", "web", "-f",
                               lab.dir / "clusterscale.yaml", *words], env=POOR, cwd="/", capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
        said += done.stdout + done.stderr
    lab.fire("CRITICAL")
    lab.settle()
    assert "labsecret" not in said
    assert "refused to authenticate" in said or not wrong or way in ("client", "http_basic")
    check_files(lab)


def test_the_load_balancer_handler_shows_none(lb):
    """Its own run() looks for the password in everything that is said."""
    lb.cloud.keystone.token_mark = "readersecret"
    lb.add()
    lb.start()
    lb.settle()
    for words in ((), ("-v",), ("--status",)):
        assert lb.sync(*words).returncode in (0, 1)
    lb.cloud.reader.password = "another"
    assert "refused to authenticate" in lb.sync("-v").stderr
    for path in lb.dir.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode) and path.name != "clouds.yaml":
            assert "readersecret" not in path.read_text(errors="replace"), path


def start_slow(lab, cwd, *words):
    """A program in the middle of a request to the cloud, and its children."""
    lab.cloud.inject(path="/servers/detail", action="delay", delay=3, count=9)
    pid = os.fork()
    if pid == 0:
        os.chdir(cwd)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        null = os.open("/dev/null", os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        os.execve(words[0], words, POOR)
    return pid


@pytest.mark.parametrize("program", ["plugins/check_cluster_cpu", "plugins/check_cluster_drift",
                                     "handlers/nova_scale"])
def test_neither_arguments_nor_a_core_have_one(lab, tmp_path, program):
    if b"__asan_init" in (BUILD / program).read_bytes():
        pytest.skip("AddressSanitizer answers SIGSEGV itself")
    write_clouds(lab, "password by ids")
    name = "--cluster" if program.startswith("plugins") else "-n"
    more = ["--dry-run"] if program.endswith("nova_scale") else []
    lab.cloud.requests()
    pid = start_slow(lab, tmp_path, str(BUILD / program), name, "web", "-f", str(lab.dir / "clusterscale.yaml"), *more)
    wait_until(lambda: lab.cloud.requests("POST", "/auth/tokens"), "it has authenticated")
    time.sleep(0.3)
    with open(f"/proc/{pid}/cmdline") as words:
        assert "labsecret" not in words.read()
    os.kill(pid, signal.SIGSEGV)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)
    assert not [entry for entry in os.listdir(tmp_path) if entry.startswith("core")]


def test_neither_arguments_nor_a_core_of_the_load_balancer_handler_have_one(lb):
    """Of the program that reads the files and of the children that it starts."""
    if b"__asan_init" in (HANDLERS / "haproxy_sync").read_bytes():
        pytest.skip("AddressSanitizer answers SIGSEGV itself")
    lb.add()
    lb.start()
    lb.cloud.inject(path="/servers/detail", action="delay", delay=5, count=9)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    child = subprocess.Popen([lb.dir / "haproxy_sync", "-n", "web", "-f", lb.yaml], env=POOR, cwd=lb.dir,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited), **UNPRIVILEGED)
    wait_until(lambda: lb.cloud.requests("POST", "/auth/tokens"), "it has authenticated")
    with open(f"/proc/{child.pid}/cmdline") as words, open(f"/proc/{child.pid}/task/{child.pid}/children") as children:
        assert "readersecret" not in words.read()
        family = [child.pid, *map(int, children.read().split())]
    for pid in family:
        with open(f"/proc/{pid}/cmdline") as words, open(f"/proc/{pid}/environ") as environment:
            assert "readersecret" not in words.read() + environment.read()
    for pid in reversed(family):
        with contextlib.suppress(ProcessLookupError):  # one ends the other
            os.kill(pid, signal.SIGSEGV)
    child.wait(10)
    assert not [entry for entry in os.listdir(lb.dir) if entry.startswith("core")]


def test_the_replay_opens_no_file_with_a_secret(lab, tmp_path):
    """It reads the configuration, which names them."""
    write_clouds(lab, "password by ids")
    trace = tmp_path / "trace.csv"
    trace.write_text("period,count\n" + "".join(f"2026-01-01 00:{minute:02}:00,{100 + minute}\n" for minute in range(60)))
    for path in (lab.dir / "clouds.yaml", lab.dir / "community"):
        path.unlink()
        os.mkfifo(path)  # whoever opens one waits for ever
    done = subprocess.run([HANDLERS / "scale_replay", "--trace", trace, "--policy", f"{lab.dir / 'clusterscale.yaml'}:web"],
                          env=POOR, cwd="/", capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    assert lab.cloud.requests() == []

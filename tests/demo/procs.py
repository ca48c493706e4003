# SPDX-License-Identifier: GPL-3.0-or-later
"""Children of the demo: start, end by pid, and nothing left behind.

The demo makes itself the reaper of its orphans (prctl(2), PR_SET_CHILD_SUBREAPER): a handler that
detached, whose parent is gone, becomes the demo's child, so it can be found, waited for and, at
the very end, killed by pid.
"""
import ctypes
import os
import random
import signal
import socket
import subprocess
import time

# nginx, snmpd and haproxy lie where an ordinary user's PATH does not look
os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PR_SET_CHILD_SUBREAPER = 36
NAME_LENGTH = 15  # characters of a program's name that the kernel keeps
# Below the kernel's range for outgoing connections, so that no client socket sits on a port
# picked here.
PORT_RANGE = range(20000, 32000)


def adopt_orphans():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def free_port(kind=socket.SOCK_STREAM):
    """A port that nothing uses on any address of this machine."""
    while True:
        port = random.choice(PORT_RANGE)
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind(("", port))
            except OSError:
                continue
            return port


def spawn(argv, log, **options):
    """Starts ARGV in a session of its own, its output appended to the file LOG. It starts in /, as another user
    may not be allowed into our folder, and HAProxy insists on coming back to where it started."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            **options,
        )


def kill_group(child):
    """SIGKILL to a spawned child and all of its session, as a machine dies; collects the child."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def end(child, patience_s=3.0):
    """Asks a spawned child to end, then makes it."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass
    kill_group(child)


def wait_until(condition, limit_s, what, interval_s=0.05):
    """Polls CONDITION until it is true and returns its value; TimeoutError that says WHAT after
    LIMIT_S.
    """
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        time.sleep(interval_s)
    return value


def descendants(root=None):
    """{pid: name of the program} of every living process below ROOT (this process)."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                name, _, rest = stat.read().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append((int(pid), name))
    found, todo = {}, [root or os.getpid()]
    while todo:
        for pid, name in children.get(todo.pop(), []):
            found[pid] = name
            todo.append(pid)
    return found


def reap_orphans():
    """Collects every child that has ended and that nobody waits for any more: call it last."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass

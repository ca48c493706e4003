# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/tools/kill_at: the tool that others rely on kills exactly where it says."""
import os
import pathlib
import re
import subprocess
import time

import pytest

KILL_AT = pathlib.Path(os.environ["top_builddir"]) / "tests" / "tools" / "kill_at"
CANNOT_TRACE = 99
THREADS = """
import os, threading
threads = [threading.Thread(target=lambda: None) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.mkdir("made")
if os.fork() == 0:
    os.rename("made", "renamed")
    os.execv("/bin/mkdir", ["mkdir", "other"])
os.wait()
os.rmdir("renamed")
"""
EXPECTED = ["mkdir made", "clone", "rename made", "execve /bin/mkdir", "rmdir renamed"]


def run(folder, *args, code=THREADS):
    done = subprocess.run([KILL_AT, *args, "--", "/usr/bin/python3", "-I", "-S", "-c", code], cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    if done.returncode == CANNOT_TRACE:
        pytest.skip(f"needs ptrace: {done.stderr}")
    return done


def calls(folder, *args, **more):
    done = run(folder, "--list", folder / "list", *args, **more)
    lines = (folder / "list").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    return done.returncode, [line.split(" ", 1)[1].strip() for line in lines]


def test_the_list_has_what_leaves_a_trace(tmp_path):
    assert calls(tmp_path) == (0, EXPECTED)


def test_other_programs_count_when_asked_for(tmp_path):
    status, found = calls(tmp_path, "--all")
    assert status == 0 and [call for call in found if call != "mkdir other"] == EXPECTED and "mkdir other" in found


@pytest.mark.parametrize("point, when, left", [
    (1, "before", set()), (1, "after", {"made"}), (3, "before", {"made"}), (3, "after", {"renamed"}),
    (4, "before", {"renamed"}), (5, "before", {"renamed", "other"}), (5, "after", {"other"})])
def test_it_kills_before_and_after(tmp_path, point, when, left):
    assert run(tmp_path, "--point", str(point), "--when", when).returncode == 137
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_call_is_found_by_what_its_line_says(tmp_path):
    assert run(tmp_path, "--match", "^r(ename|mdir) ", "--point", "2", "--when", "before").returncode == 137
    assert {path.name for path in tmp_path.iterdir()} == {"renamed", "other"}


def test_a_call_that_is_never_made_is_no_kill(tmp_path):
    assert run(tmp_path, "--match", "^mkdir made$", "--point", "2", "--when", "before").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"other"}


def test_alone_leaves_the_others_alive(tmp_path):
    code = """
import os, time
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent: time.sleep(0.01)
    os.mkdir("made by the child")
    os._exit(0)
os.mkdir("not made")
"""
    assert run(tmp_path, "--point", "2", "--when", "before", "--alone", code=code).returncode == 137
    end = time.monotonic() + 10
    while time.monotonic() < end and not list(tmp_path.iterdir()):
        time.sleep(0.01)
    assert {path.name for path in tmp_path.iterdir()} == {"made by the child"}


DISK = """
import os
def attempt(what):
    try: return what() or "made"
    except OSError as error: return os.strerror(error.errno)
print(*(attempt(lambda: os.mkdir(name)) for name in ("a", "b", "c")), attempt(lambda: os.rmdir("a")), sep=", ")
"""
FULL, READ_ONLY = "No space left on device", "Read-only file system"


@pytest.mark.parametrize("options, said, left", [
    ("--point 2 --fail ENOSPC --match ^(mk|rm)dir", f"made, {FULL}, {FULL}, {FULL}", {"a"}),
    ("--point 2 --fail ENOSPC --match ^mkdir", f"made, {FULL}, {FULL}, made", set()),
    ("--point 2 --fail EIO --once --match ^mkdir", "made, Input/output error, made, made", {"c"}),
    ("--point 1 --fail EROFS --when after --match ^mkdir", f"{READ_ONLY}, {READ_ONLY}, {READ_ONLY}, made", {"b", "c"}),
    ("--point 4 --fail EROFS --match ^mkdir", "made, made, made, made", {"b", "c"})])
def test_it_makes_calls_fail(tmp_path, options, said, left):
    done = run(tmp_path, "--list", tmp_path / "list", *options.split(), code=DISK)
    lines = (tmp_path / "list").read_text().splitlines()
    (tmp_path / "list").unlink()
    assert (done.returncode, done.stdout, {path.name for path in tmp_path.iterdir()}) == (0, said + "\n", left)
    assert sum(line.endswith(" -> " + options.split()[3]) for line in lines) == 4 - said.count("made")


def test_every_call_counts_when_asked_for(tmp_path):
    status, found = calls(tmp_path, "--every")
    rest = iter(found)
    assert status == 0 and len(found) > 50 and all(call in rest for call in EXPECTED)


def test_a_process_that_crashes_is_told(tmp_path):
    done = run(tmp_path, "--list", tmp_path / "list", code="import os; os.fork() or os.abort(); os.wait()")
    assert done.returncode == 0 and re.fullmatch(r"kill_at: process \d+ died of signal 6 \(Aborted\)\n", done.stderr)


def test_it_reports_what_the_command_returned(tmp_path):
    assert run(tmp_path, "--point", "99", "--when", "after", code="import sys; sys.exit(7)").returncode == 7
    done = subprocess.run([KILL_AT], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 98 and done.stderr.startswith("usage: kill_at ")

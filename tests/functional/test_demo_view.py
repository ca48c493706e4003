# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo shows: the live view gives the terminal back, the plot shows the recorded figures."""
import fcntl
import io
import json
import os
import pathlib
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import types
import xml.etree.ElementTree

import pytest

DEMO = pathlib.Path(__file__).parents[1] / "demo"
sys.path[:0] = [str(DEMO), str(pathlib.Path(__file__).parent)]

import live  # noqa: E402
import parts  # noqa: E402
import plot  # noqa: E402
from terminal import open_pty  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
RUN = {
    "cluster": "web", "up_at": 70, "down_at": 30, "min": 2, "max": 8, "end": 100, "sent": 12345,
    "checks": [[0, None], [10, 20.0], [20, 100.0], [30, None], [50, 50.0]],
    "requests": [[10, 60.0, 0], [50, 285.0, 0], [90, 60.0, 0]],
    "servers": [
        {"name": "a", "asked": 0, "serving": 4, "draining": None, "gone": None},
        {"name": "b", "asked": 0, "serving": 4, "draining": 60, "gone": 64},
        {"name": "c", "asked": 20, "serving": None, "draining": None, "gone": 25}],
    "events": [[0, "create", "a", "fewer than min: 2 more"], [20, "create", "c", 'load <&"> 70'],
               [22, "kill", "c", ""], [60, "delete", "b", "load 20 %"]],
}


def elements(run, kind):
    root = xml.etree.ElementTree.fromstring(plot.draw(run))
    return [element for element in root.iter() if element.get("class") == kind]


def numbers(path):
    return [float(word) for word in re.findall(r"-?[0-9.]+", path)]


def panel(name, top_value, end=100):
    return plot.Panel(name, end, top_value)


# The plot

def test_the_load_lands_where_it_belongs_and_what_is_unknown_is_a_gap():
    load = panel("load", 100)
    [path] = elements(RUN, "load")
    first, second = (numbers(part) for part in path.get("d").split("M")[1:])
    assert first == [load.x(10), load.y(20), load.x(20), load.y(100)]
    assert second == [load.x(50), load.y(50)]
    assert len(elements(RUN, "dot")) == 3
    assert load.x(0) == plot.LEFT and load.x(100) == plot.WIDTH - plot.RIGHT
    assert load.y(0) - load.y(100) == plot.HEIGHTS["load"]


def test_the_thresholds_are_levels_of_the_load():
    load = panel("load", 100)
    for kind, at in (("up", 70), ("down", 30)):
        [path] = elements(RUN, kind)
        assert numbers(path.get("d")) == [plot.LEFT, load.y(at), plot.WIDTH - plot.RIGHT]


def test_the_demand_has_a_scale_of_round_numbers():
    demand = panel("demand", 300)
    [path] = elements(RUN, "rate")
    assert numbers(path.get("d")) == [
        demand.x(10), demand.y(60), demand.x(50), demand.y(285), demand.x(90), demand.y(60)]
    assert [plot.nice_top(n) for n in (0.5, 1, 7, 60, 285, 300, 301, 999)] == [
        1, 1, 8, 80, 300, 300, 400, 1000]


def test_a_failed_request_is_a_mark_and_a_word():
    assert not elements(RUN, "failed")
    assert "no request failed" in plot.draw(RUN)
    bad = RUN | {"requests": [[10, 60.0, 0], [50, 285.0, 3], [90, 60.0, 3]]}
    [mark] = elements(bad, "failed")
    assert float(mark.get("cx")) == panel("demand", 300).x(50)
    assert "3 requests failed" in plot.draw(bad) and "no request failed" not in plot.draw(bad)


def test_the_servers_are_counted_by_what_they_do():
    steps = plot.counts(RUN["servers"], 100)
    assert steps[-1] == (100, {"serving": 1, "building": 0, "draining": 0})

    def at(moment):
        last = [count for t, count in steps if t <= moment][-1]
        return tuple(last[state] for state in ("serving", "building", "draining"))

    assert [at(t) for t in (1, 5, 21, 26, 61, 65)] == [
        (0, 2, 0), (2, 0, 0), (2, 1, 0), (2, 0, 0), (1, 0, 1), (1, 0, 0)]


def test_the_areas_of_the_servers_stand_on_each_other():
    servers = panel("servers", RUN["max"] + 1)
    [building] = [one for one in elements(RUN, "building") if servers.x(20) in numbers(one.get("d"))]
    pairs = list(zip(*[iter(numbers(building.get("d")))] * 2))
    assert (servers.x(20), servers.y(3)) in pairs and (servers.x(20), servers.y(2)) in pairs


def test_each_event_says_when_what_and_why():
    root = xml.etree.ElementTree.fromstring(plot.draw(RUN))
    titles = [element.text for element in root.iter(SVG + "title")]
    assert titles == ["0:00 create a: fewer than min: 2 more", '0:20 create c: load <&"> 70',
                      "0:22 kill c", "1:00 delete b: load 20 %"]
    assert "kill -9 of the handler" in plot.draw(RUN)
    assert "kill -9" not in plot.draw(RUN | {"events": RUN["events"][:2]})


@pytest.mark.parametrize("empty", [{"requests": []}, {"checks": []}, {"servers": []},
                                   {"events": []}, {"end": 0}, {"end": 4000},
                                   {"requests": [], "checks": [], "servers": [], "events": []}])
def test_a_run_that_ended_early_is_drawn_too(empty):
    xml.etree.ElementTree.fromstring(plot.draw(RUN | empty))


def test_the_program_draws_a_kept_run(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    done = subprocess.run([sys.executable, "-B", DEMO / "plot.py", tmp_path / "run.json"],
                          capture_output=True, text=True, check=True)
    assert done.stdout == plot.draw(RUN) and not done.stderr


def test_the_shipped_plot_is_small_and_well_formed():
    shipped = DEMO.parents[1] / "contrib" / "demo.svg"
    assert shipped.stat().st_size < 60_000
    assert xml.etree.ElementTree.parse(shipped).getroot().tag == SVG + "svg"


# The live view

def scene(**changes):
    servers = [live.Server("web-1", "127.0.1.1", "serving", 65, 3),
               live.Server("web-2", "127.0.1.2", "draining", 2, 0)]
    return live.Scene(**({"cluster": "web", "now": "1:05", "smallest": 2, "largest": 8,
                          "up_at": 70, "down_at": 30, "load": 50.0, "state": "OK",
                          "servers": servers, "rates": [0, 30, 60], "sent": 1234} | changes))


def plain(lines):
    return ["".join(words for _, words in line) for line in lines]


def test_the_bar_shows_load_and_thresholds_on_one_scale():
    bar, ruler = plain(live.load_lines(scene(load=70.0, state="CRITICAL"), 100))
    assert bar.endswith(" 70 %  CRITICAL")
    assert ruler.index("▲ 70 more") == bar.index("░")
    assert ruler.index("▲ 30 fewer") == live.LABEL + 18
    assert "  ?  " in plain(live.load_lines(scene(load=None), 100))[0]


def test_servers_demand_and_failures_are_told():
    text = "\n".join(plain(live.picture(scene(failed=2), 100, 30)))
    assert "web-1            127.0.1.1   serving      1:05  sessions  3 ■■■\n" in text
    assert "web-2            127.0.1.2   draining     0:02  sessions  0 \n" in text
    assert " requests  ▁▅█" in text and " 60/s" in text
    assert "1,234 sent, 2 failed" in text


def test_the_last_events_stand_at_the_end_with_their_reasons():
    events = [f" 0:{n:02}  + web-{n}: asked for, because load {n} %" for n in range(40)]
    lines = plain(live.picture(scene(events=events), 100, 24))
    assert len(lines) <= 24
    assert lines[-2:] == [" 0:39  + web-39: asked for", "       because load 39 %"]


@pytest.mark.parametrize("columns", [1, 9, 20, 40, 80, 300])
@pytest.mark.parametrize("rows", [1, 3, 8, 12, 24, 100])
def test_a_frame_never_leaves_the_screen(columns, rows):
    events = [" 0:01  + web: asked for, because " + "so it is " * 30] * 50
    text = live.frame(scene(events=events), columns, rows)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split("\r\n")
    assert len(lines) <= rows
    assert max(map(len, lines)) <= columns


def test_only_a_terminal_in_the_foreground_gets_the_view(monkeypatch):
    master, slave = open_pty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setenv("TERM", "xterm")
        assert live.wanted(terminal)
        assert not live.wanted(io.StringIO())
        for dumb in ("dumb", ""):
            monkeypatch.setenv("TERM", dumb)
            assert not live.wanted(terminal)
    os.close(master)


# A program that shows the view until it is interrupted, as demo.py does.
PROGRAM = """
import sys, threading, time, signal
sys.path[:0] = [{demo!r}]
import live, parts, pathlib
story = parts.Story(pathlib.Path({file!r}))
def end(*_): raise KeyboardInterrupt
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(one, end)
def look(): return live.Scene("web", str(int(story.now() * 10)), 2, 8, 70, 30)
try:
    with live.shown(look, story):
        story.say("it begins")
        story.figures("only for plain readers")
        threading.Thread(target=lambda: 1 / 0).start()
        {body}
except (KeyboardInterrupt, ValueError) as error:
    story.plain("ended by " + type(error).__name__)
"""


class Terminal:
    """A child on a pseudo-terminal of its own, and all that it wrote."""

    def __init__(self, tmp_path, body="time.sleep(60)", size=(24, 80)):
        program = PROGRAM.format(demo=str(DEMO), file=str(tmp_path / "lines"), body=body)
        self.text, self.lines = "", tmp_path / "lines"
        self.master, self.slave = open_pty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.child = subprocess.Popen(
            [sys.executable, "-B", "-c", program], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=os.environ | {"TERM": "xterm"})

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0.05)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.text

    def until(self, condition, limit_s=60):
        deadline = time.monotonic() + limit_s
        while not condition(self.read()):
            assert time.monotonic() < deadline, self.text
        return self.text

    def finish(self):
        self.until(lambda _: self.child.poll() is not None)
        # The kernel hands on what a process wrote some time after its end.
        text = self.until(lambda text: "ended by " in text and text.endswith("\n"))
        after = termios.tcgetattr(self.slave)
        os.close(self.master)
        os.close(self.slave)
        assert after == self.before, "the terminal's settings are not what they were"
        return text


def assert_restored(text, ending):
    entered, left = text.index(live.ENTER), text.index(live.LEAVE)
    assert entered < left and text.count(live.LEAVE) == 1
    after = text[left + len(live.LEAVE):]
    assert "\x1b" not in after, "something was drawn after the end"
    assert "ZeroDivisionError" not in text[:left] and "ZeroDivisionError" in after
    assert after.endswith(f"ended by {ending}\r\n")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, "Ctrl-C"])
def test_the_terminal_comes_back_when_it_is_interrupted(tmp_path, how):
    terminal = Terminal(tmp_path)
    terminal.until(lambda text: "it begins" in text)
    settings = termios.tcgetattr(terminal.slave)
    assert not settings[3] & termios.ECHO
    os.write(terminal.master, b"typed \x1a\x1c\x13")  # Ctrl-Z, Ctrl-\ and Ctrl-S do nothing
    if how == "Ctrl-C":
        os.write(terminal.master, b"\x03")
    else:
        terminal.child.send_signal(how)
    text = terminal.finish()
    assert_restored(text, "KeyboardInterrupt")
    assert "typed" not in text
    assert "only for plain readers" not in text
    assert "only for plain readers" in terminal.lines.read_text()


def test_the_terminal_comes_back_after_a_mistake(tmp_path):
    text = Terminal(tmp_path, 'time.sleep(0.5); raise ValueError("a mistake")').finish()
    assert_restored(text, "ValueError")


def test_nothing_is_blanked_but_on_a_change_of_size(tmp_path):
    terminal = Terminal(tmp_path)
    terminal.until(lambda text: text.count(live.HOME) > 5)
    assert terminal.text.count(live.CLEAR) == 1
    terminal.resize(10, 30)
    text = terminal.until(lambda text: text.count(live.CLEAR) == 2)
    terminal.until(lambda text: text.rpartition(live.CLEAR)[2].count(live.HOME) > 2)
    text = terminal.text.rpartition(live.CLEAR)[2]
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", text).replace("\r", "").split("\n")
    assert max(map(len, lines)) <= 30
    terminal.child.terminate()
    assert_restored(terminal.finish(), "KeyboardInterrupt")


def test_what_to_try_by_hand_is_all_there():
    """On a fresh machine: our programs, Python, and what Debian cannot do without."""
    ours = {name: f"/plugins/{name}" for name in ("check_cluster_cpu", "nova_scale", "haproxy_sync")}
    demo = types.SimpleNamespace(config="web.yaml", programs=ours, core=types.SimpleNamespace(log_path="nagios.log"),
                                 proxy=types.SimpleNamespace(address="127.0.0.1", port=8080, stats="admin.sock"))
    lines = [re.sub('"[^"]*"', "", line.strip()) for line in parts.by_hand(demo) if line.startswith("  ")]
    started = {word for line in lines for word in re.findall(r"(?:^|[|(;])\s*([^\s|();]+)", line)}
    assert started == {*ours.values(), sys.executable, "echo", "sleep", "tail"}

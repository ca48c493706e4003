# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo on a terminal: one screen that is drawn again whenever something changed.

It works on the terminal's second screen, so what stood there before comes back. Every frame is
one write that overwrites the one before, line by line: nothing is blank in between. Whatever ends
the demo, short of kill -9, gives the terminal back as it was.
"""
import collections
import contextlib
import dataclasses
import io
import os
import signal
import sys
import termios
import textwrap
import threading

INTERVAL_S = 0.2
EVENTS_KEPT = 60
CELLS = "▁▂▃▄▅▆▇█"
CLOCK = 6  # columns of the time
LABEL = 11  # columns of "CPU load" and the like
SMALLEST_BAR, LARGEST_BAR = 10, 60
STYLES = {"": "0", "bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33",
          "blue": "34", "cyan": "36", "alarm": "1;31"}
STATES = {"being built": "yellow", "starting": "yellow", "serving": "green", "draining": "cyan",
          "leaving": "dim"}
STATE_STYLES = {"OK": "green", "WARNING": "yellow", "CRITICAL": "alarm"}
BECAUSE = ", because "
# Second screen, no cursor, no wrapping at the right edge; and back.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
CLEAR, HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[2J", "\x1b[H", "\x1b[0m\x1b[K", "\x1b[J"


@dataclasses.dataclass
class Server:
    name: str
    address: str
    state: str  # a key of STATES
    seconds: float  # in this state
    sessions: int


@dataclasses.dataclass
class Scene:
    """What is to be seen at one moment."""

    cluster: str
    now: str  # minutes:seconds
    smallest: int
    largest: int
    up_at: float  # per cent
    down_at: float
    load: float | None = None
    state: str = "PENDING"
    servers: list = dataclasses.field(default_factory=list)
    rates: list = dataclasses.field(default_factory=list)  # requests per second, oldest first
    sent: int = 0
    failed: int = 0
    events: list = dataclasses.field(default_factory=list)  # lines of text, oldest first


# A line is a list of (style, text); these make lines.

def bar_width(columns):
    return max(SMALLEST_BAR, min(LARGEST_BAR, columns - LABEL - 20))


def load_lines(scene, columns):
    """The load as a bar, and below it where the thresholds are."""
    width, load = bar_width(columns), scene.load
    full = round(width * (load or 0) / 100)
    style = ("red" if (load or 0) >= scene.up_at
             else "blue" if (load or 0) <= scene.down_at else "green")
    figure = "  ?  " if load is None else f"{load:3.0f} %"
    yield [("bold", " CPU load".ljust(LABEL)), (style, "█" * full), ("dim", "░" * (width - full)),
           ("bold", f" {figure}  "), (STATE_STYLES.get(scene.state, "dim"), scene.state)]
    down, up = (round(width * at / 100) for at in (scene.down_at, scene.up_at))
    fewer, more = f"▲ {scene.down_at:g} fewer", f"▲ {scene.up_at:g} more"
    yield [("", " " * (LABEL + down)), ("blue", fewer[:up - down - 1].ljust(up - down)), ("red", more)]


def demand_line(scene, columns):
    width = bar_width(columns)
    rates = scene.rates[-width:]
    top = max([*scene.rates, 1])
    curve = "".join(CELLS[min(int(rate / top * len(CELLS)), len(CELLS) - 1)] for rate in rates)
    return [("bold", " requests".ljust(LABEL)), ("cyan", curve.ljust(width)),
            ("bold", f" {rates[-1] if rates else 0:3.0f}/s")]


def totals_line(scene):
    return [("", " " * LABEL), ("", f"{scene.sent:,} sent, "),
            ("alarm" if scene.failed else "green", f"{scene.failed:,} failed")]


def server_lines(scene):
    serving = sum(server.state == "serving" for server in scene.servers)
    yield [("bold", " servers".ljust(LABEL)),
           ("", f"{serving} serving of {len(scene.servers)}; "
                f"never fewer than {scene.smallest} or more than {scene.largest}")]
    for server in scene.servers:
        minutes = f"{int(server.seconds) // 60}:{int(server.seconds) % 60:02}"
        yield [("", f"   {server.name:<16} {server.address:<11} "),
               (STATES[server.state], f"{server.state:<11}"), ("dim", f"{minutes:>6}  "),
               ("", f"sessions {server.sessions:2} "), ("green", "■" * server.sessions)]


def event_style(text):
    words = text[7:]
    return ("green" if words.startswith("+") else "cyan" if words.startswith("-")
            else "alarm" if words.startswith("kill") else "")


def event_lines(scene, columns, rows):
    """The last events that fit into ROWS, each with its reason below it, oldest first."""
    lines = []
    for text in reversed(scene.events):
        what, _, why = text.partition(BECAUSE)
        block = [[(event_style(text), part)] for part in wrapped(what, columns)]
        block += [[("dim", part)] for part in wrapped(why and f"{'':7}because {why}", columns)]
        if len(lines) + len(block) > rows:
            break
        lines = block + lines
    return lines


def wrapped(text, columns):
    words = text.lstrip()
    return textwrap.wrap(words, max(columns - 1, 20), subsequent_indent=" " * 9,
                         initial_indent=" " * (len(text) - len(words)))


def picture(scene, columns, rows):
    """At most ROWS lines of at most COLUMNS characters: what matters most stays when it is small."""
    title = f" clusterscale: the cluster '{scene.cluster}'"[:max(columns - CLOCK - 1, 0)]
    head = [[("bold", title), ("dim", f"{scene.now:>{columns - len(title) - 1}}")],
            *load_lines(scene, columns), demand_line(scene, columns), totals_line(scene)]
    servers = list(server_lines(scene))
    left = rows - len(head)
    if left < len(servers) + 3:
        return (head + servers)[:rows]
    airy = left >= len(servers) + 10
    gap = [[]] if airy else []
    head[1:1] = gap
    body = [*head, *gap, *servers, *gap, [("bold", " what happened")]]
    return body + event_lines(scene, columns, rows - len(body))


def painted(line, columns):
    """A line as text for the terminal, cut at the right edge."""
    out = []
    for style, words in line:
        words, columns = words[:columns], columns - len(words[:columns])
        out.append(f"\x1b[{STYLES[style]}m{words}\x1b[0m" if style else words)
    return "".join(out)


def frame(scene, columns, rows):
    """What one write to the terminal shows."""
    lines = [painted(line, columns) + REST_OF_LINE for line in picture(scene, columns, rows)]
    return HOME + "\r\n".join(lines) + REST_OF_SCREEN


# The terminal.

def wanted(out):
    """Is OUT a terminal that can show this, and are we the ones who may use it?"""
    if not out.isatty() or os.environ.get("TERM", "dumb") in ("", "dumb"):
        return False
    try:
        return os.tcgetpgrp(out.fileno()) == os.getpgrp()
    except OSError:
        return True  # a terminal without job control


@contextlib.contextmanager
def quiet_terminal(fd):
    """Typed characters are not shown, and Ctrl-Z, Ctrl-\\ and Ctrl-S, after which nobody would
    give the terminal back, do nothing. Ctrl-C works as ever.
    """
    before = termios.tcgetattr(fd)
    now = termios.tcgetattr(fd)
    now[0] &= ~termios.IXON
    now[3] &= ~(termios.ECHO | termios.ICANON)
    for character in (termios.VSUSP, termios.VQUIT):
        now[6][character] = b"\0"
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # to give it back from the background, too
    termios.tcsetattr(fd, termios.TCSADRAIN, now)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)


class View(threading.Thread):
    def __init__(self, look, out):
        """`look()` returns the Scene, without events: the view keeps those that it hears."""
        super().__init__(daemon=True)
        self.look, self.out = look, out
        self.events = collections.deque(maxlen=EVENTS_KEPT)
        self.stopping, self.shown, self.size = threading.Event(), "", None

    def hear(self, line):
        self.events.append(line)

    def run(self):
        while not self.stopping.is_set():
            try:
                self.draw()
            except OSError:
                return  # the terminal has gone; the demo goes on
            self.stopping.wait(INTERVAL_S)

    def draw(self):
        size = os.get_terminal_size(self.out.fileno())
        scene = self.look()
        scene.events = list(self.events)
        text = frame(scene, max(size.columns, 1), max(size.lines, 1))
        if size != self.size:
            text, self.size, self.shown = CLEAR + text, size, ""
        if text != self.shown:
            self.write(text)
            self.shown = text

    def write(self, text):
        self.out.write(text)
        self.out.flush()


@contextlib.contextmanager
def shown(look, story, out=sys.stdout):
    """The live view while this lasts. What would be an error message in the middle of it (the
    traceback of a thread) is printed when it is over.
    """
    view, errors = View(look, out), io.StringIO()
    try:
        with quiet_terminal(out.fileno()), contextlib.redirect_stderr(errors):
            view.write(ENTER)
            story.view = view
            view.start()
            try:
                yield view
            finally:
                story.view = None
                view.stopping.set()
                view.join()
                with contextlib.suppress(OSError):
                    view.write(LEAVE)
    finally:
        sys.stderr.write(errors.getvalue())

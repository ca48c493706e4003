#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a run of the demo as one SVG: load, demand, servers and what was done, over time.

`draw(run)` takes what the demo keeps as run.json:

    cluster, up_at, down_at, min, max           thresholds in per cent, sizes in servers
    end, sent                                   seconds, requests in all
    checks    [[t, load in per cent or null]]   what check_cluster_cpu said
    requests  [[t, per second, failed so far]]  what the load generator did
    servers   [{name, asked, serving, draining, gone}]  times, null where it did not happen
    events    [[t, "create" | "delete" | "kill", server, why]]

Standing alone it reads such a file: plot.py run.json > run.svg
"""
import json
import pathlib
import sys
from xml.sax.saxutils import escape, quoteattr

WIDTH, LEFT, RIGHT = 960, 64, 24
TOP, GAP, BOTTOM = 78, 36, 48
HEIGHTS = {"load": 170, "demand": 110, "servers": 150}
INNER = WIDTH - LEFT - RIGHT
HEIGHT = TOP + sum(HEIGHTS.values()) + GAP * (len(HEIGHTS) - 1) + BOTTOM
SERVING_STATES = ("serving", "building", "draining")  # stacked in this order
KEY_GAP, LETTER = 32, 6.2  # a legend's sign with its space, and about one letter
TIME_STEPS = (5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
MOST_TICKS = 13
# Its own background, so that it can be read wherever it is shown; dark where the reader's is.
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #57606a }
.title { font-size: 16px; font-weight: 600; fill: #1f2328 }
.name { font-weight: 600; fill: #1f2328 }
.end { text-anchor: end } .mid { text-anchor: middle }
.page { fill: #ffffff; stroke: #d0d7de }
.grid { stroke: #d0d7de; stroke-opacity: .55 } .axis { stroke: #8c959f }
.load { stroke: #0969da; stroke-width: 2.2; fill: none; stroke-linejoin: round }
.dot { fill: #0969da }
.up { stroke: #cf222e; stroke-dasharray: 6 4 } .uptext { fill: #cf222e }
.down { stroke: #1a7f37; stroke-dasharray: 6 4 } .downtext { fill: #1a7f37 }
.upzone { fill: #cf222e; fill-opacity: .07 } .downzone { fill: #1a7f37; fill-opacity: .08 }
.demand { fill: #8250df; fill-opacity: .2 } .rate { stroke: #8250df; stroke-width: 1.8; fill: none }
.failed { fill: #cf222e }
.serving { fill: #2da44e; fill-opacity: .75 } .building { fill: #eac54f }
.draining { fill: #8c959f; fill-opacity: .75 }
.bound { stroke: #6e7781; stroke-dasharray: 2 3 }
.create { fill: #1a7f37 } .delete { fill: #6e7781 } .kill { fill: #cf222e }
.when { stroke-width: 1; stroke-opacity: .45 }
.when.create { stroke: #1a7f37 } .when.delete { stroke: #6e7781 } .when.kill { stroke: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 } .title, .name { fill: #f0f6fc }
.page { fill: #0d1117; stroke: #3d444d } .grid { stroke: #3d444d } .axis { stroke: #656c76 }
.load { stroke: #58a6ff } .dot { fill: #58a6ff }
.up { stroke: #ff7b72 } .uptext { fill: #ff7b72 } .down { stroke: #56d364 }
.downtext { fill: #56d364 } .demand { fill: #bc8cff } .rate { stroke: #bc8cff }
.create { fill: #56d364 } .delete { fill: #b1bac4 } .kill, .failed { fill: #ff7b72 }
.when.create { stroke: #56d364 } .when.delete { stroke: #b1bac4 } .when.kill { stroke: #ff7b72 }
}
"""


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def nice_top(value):
    """The first round number from VALUE on: 1, 2, 3, 4, 5, 8 or 10 times a power of ten."""
    power = 1
    while True:
        for digit in (1, 2, 3, 4, 5, 8, 10):
            if digit * power >= value:
                return digit * power
        power *= 10


class Panel:
    """A part of the picture with a scale of its own; every panel has the same time axis."""

    def __init__(self, name, end, top_value):
        names = list(HEIGHTS)
        before = names[: names.index(name)]
        self.top = TOP + sum(HEIGHTS[other] + GAP for other in before)
        self.height, self.end, self.top_value = HEIGHTS[name], end, top_value
        self.bottom = self.top + self.height

    def x(self, t):
        return round(LEFT + INNER * min(max(t / self.end, 0), 1), 1)

    def y(self, value):
        return round(self.bottom - self.height * min(max(value / self.top_value, 0), 1), 1)

    def point(self, t, value):
        return f"{self.x(t)},{self.y(value)}"

    def level(self, value, kind):
        """A line from left to right."""
        y = self.y(value)
        return f'<path class="{kind}" d="M{LEFT},{y}H{WIDTH - RIGHT}"/>'

    def band(self, low, high, kind):
        return (f'<rect class="{kind}" x="{LEFT}" y="{self.y(high)}" width="{INNER}" '
                f'height="{round(self.y(low) - self.y(high), 1)}"/>')

    def frame(self, title, ticks, unit=""):
        yield text(LEFT, self.top - 9, title, "name")
        for value in ticks:
            yield self.level(value, "axis" if value == 0 else "grid")
            yield text(LEFT - 8, self.y(value) + 4, f"{value:g}{unit}", "end")
        for t in time_ticks(self.end):
            yield f'<path class="grid" d="M{self.x(t)},{self.top}V{self.bottom}"/>'


def text(x, y, words, kind=""):
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}" class="{kind}">{escape(words)}</text>'


def time_ticks(end):
    step = next((s for s in TIME_STEPS if end / s < MOST_TICKS), TIME_STEPS[-1])
    return range(0, int(end) + 1, step)


def key(panel, entries):
    """The legend of a panel, above its right end: [(class, shape, words)]."""
    x = WIDTH - RIGHT - sum(KEY_GAP + LETTER * len(words) for _, _, words in entries)
    for kind, shape, words in entries:
        yield (f'<path class="{kind}" transform="translate({x + KEY_GAP - 11:.1f},{panel.top - 13})"'
               f' d="{shape}"/>')
        yield text(x + KEY_GAP, panel.top - 9, words)
        x += KEY_GAP + LETTER * len(words)


def load_panel(run, panel):
    yield panel.band(run["up_at"], 100, "upzone")
    yield panel.band(0, run["down_at"], "downzone")
    yield from panel.frame("CPU load of the cluster", (0, 25, 50, 75, 100), " %")
    yield panel.level(run["up_at"], "up")
    yield panel.level(run["down_at"], "down")
    # A run ends with a low load and begins without one: there the words are out of its way.
    yield text(WIDTH - RIGHT - 6, panel.y(run["up_at"]) - 6,
               f"more servers from {run['up_at']} % up", "end uptext")
    yield text(LEFT + 6, panel.y(run["down_at"]) + 16,
               f"fewer from {run['down_at']} % down", "downtext")
    pen, path = "M", []
    for t, load in run["checks"]:
        if load is None:
            pen = "M"  # nothing was measured: a gap, not a line
            continue
        path.append(pen + panel.point(t, load))
        pen = "L"
    yield f'<path class="load" d="{"".join(path)}"/>'
    for t, load in run["checks"]:
        if load is not None:
            yield f'<circle class="dot" cx="{panel.x(t)}" cy="{panel.y(load)}" r="2.4"/>'


def demand_panel(run, panel):
    ticks = [panel.top_value * part / 2 for part in range(3)]
    yield from panel.frame("Demand, requests per second", ticks)
    points = [(t, rate) for t, rate, _ in run["requests"]]
    if not points:
        return
    line = "L".join(panel.point(*point) for point in points)
    yield (f'<path class="demand" d="M{line}V{panel.bottom}H{panel.x(points[0][0])}Z"/>'
           f'<path class="rate" d="M{line}"/>')
    before = 0
    for t, _, failed in run["requests"]:
        if failed > before:
            yield (f'<circle class="failed" cx="{panel.x(t)}" cy="{panel.bottom - 5}" r="4">'
                   f"<title>{failed - before} requests failed</title></circle>")
        before = failed
    words = f"{before} requests failed" if before else "no request failed"
    yield text(WIDTH - RIGHT, panel.top - 9, words, "end uptext" if before else "end downtext")


def counts(servers, end):
    """[(t, {state: servers})] at every moment when a number changes, and at the end."""
    changes = []
    for server in servers:
        states = [(server[step], state) for step, state in
                  (("asked", "building"), ("serving", "serving"), ("draining", "draining"),
                   ("gone", None)) if server.get(step) is not None]
        for (t, state), before in zip(states, [None, *(state for _, state in states)]):
            changes.append((t, before, state))
    now, steps = dict.fromkeys(SERVING_STATES, 0), [(0, dict.fromkeys(SERVING_STATES, 0))]
    for t, before, state in sorted(changes, key=lambda change: change[0]):
        if before:
            now[before] -= 1
        if state:
            now[state] += 1
        steps.append((t, dict(now)))
    return [*steps, (end, dict(now))]


def steps_path(panel, steps, below, state):
    """A stacked area with vertical flanks between the sums of BELOW and of BELOW and STATE."""
    def edge(states):
        heights = [(t, sum(count[one] for one in states)) for t, count in steps]
        for (t, height), before in zip(heights, [heights[0][1], *(h for _, h in heights)]):
            yield panel.point(t, before)
            yield panel.point(t, height)

    there, back = list(edge([*below, state])), list(edge(below))
    return f'<path class="{state}" d="M{"L".join(thin(there))}L{"L".join(thin(back)[::-1])}Z"/>'


def thin(points):
    """Without points that repeat the one before."""
    return [point for point, before in zip(points, [None, *points]) if point != before]


def servers_panel(run, panel):
    bounds, step = (run["min"], run["max"]), max(1, run["max"] // 4)
    ticks = [n for n in range(0, run["max"], step) if all(abs(n - at) >= step / 2 for at in bounds)]
    yield from panel.frame("Servers", ticks)
    steps = counts(run["servers"], panel.end)
    for n, state in enumerate(SERVING_STATES):
        yield steps_path(panel, steps, SERVING_STATES[:n], state)
    for bound in ("min", "max"):
        yield panel.level(run[bound], "bound")
        yield text(LEFT - 8, panel.y(run[bound]) + 4, f"{bound} {run[bound]}", "end")
    yield from key(panel, [(state, "M-7,-5H5V5H-7Z", state) for state in SERVING_STATES])


MARKS = {"create": "M-5,4L0,-5L5,4Z", "delete": "M-5,-4L0,5L5,-4Z",
         "kill": "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0Z"}
MARK_WORDS = {"create": "server asked for", "delete": "server given up",
              "kill": "kill -9 of the handler"}


def events(run, panels):
    """A mark for each event at the head of its moment, and a thin line down through all panels."""
    for t, kind, name, why in run["events"]:
        x = panels[0].x(t)
        lines = "".join(f"M{x},{panel.top}V{panel.bottom}" for panel in panels)
        words = f"{clock(t)} {kind} {name}" + (f": {why}" if why else "")
        yield (f'<path class="when {kind}" d="{lines}"/>'
               f'<g transform="translate({x},{panels[0].top})"><title>{escape(words)}</title>'
               f'<path class="{kind}" d="{MARKS[kind]}"/></g>')


def events_key(run, panel):
    kinds = {kind for _, kind, _, _ in run["events"]}
    return key(panel, [(kind, MARKS[kind], words) for kind, words in MARK_WORDS.items()
                       if kind in kinds])


def summary(run):
    up = max((count["serving"] for _, count in counts(run["servers"], run["end"])), default=0)
    return (f"{run['cluster']}: {run['min']} to {up} servers under {run['sent']:,} requests "
            f"in {clock(run['end'])} minutes")


def draw(run):
    """The SVG document of a run."""
    rates = [rate for _, rate, _ in run["requests"]]
    end = max(run["end"], 1)
    panels = [Panel("load", end, 100), Panel("demand", end, nice_top(max(rates, default=1) or 1)),
              Panel("servers", end, run["max"] + 1)]
    load, demand, servers = panels
    words = summary(run)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f"aria-label={quoteattr(words)}>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        text(LEFT, 30, words, "title"),
        *load_panel(run, load), *demand_panel(run, demand), *servers_panel(run, servers),
        *events(run, panels), *events_key(run, load),
        *(text(load.x(t), servers.bottom + 18, clock(t), "mid") for t in time_ticks(end)),
        text(WIDTH - RIGHT, HEIGHT - 10, "minutes:seconds", "end"),
        "</svg>", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(draw(json.loads(pathlib.Path(sys.argv[1]).read_text())))

#!/usr/bin/python3
"""The frame of ./dev bench: one row per bar (what, figure, bar, holds or falls short), raw
rows to a file, exit 1 when a bar falls short.

A bench is a module bench_NAME.py beside this file with `def run(bench)`. It measures
with bench.time(), which interleaves and repeats, and states its bars with bench.bar().
Times are compared as ratios to a peer or a limit of the same run, never absolutely:
machines are shared and noisy.
"""
import argparse
import importlib
import json
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


class Bench:
    def __init__(self, name, build, raw, short=False, only=None):
        self.name, self.build, self.raw, self.short, self.only = name, pathlib.Path(build), raw, short, only
        self.rows = []

    def run_parts(self, parts):
        """{name: function of this bench}: all of them, or those whose name has what --only says."""
        picked = [name for name in parts if (self.only or "") in name]
        if not picked:
            sys.exit(f"bench: no part of {self.name} has '{self.only}' in its name; there are: {'; '.join(parts)}")
        for name in picked:
            parts[name](self)

    def record(self, **row):
        """One raw row: what was run and what came out."""
        self.raw.write(json.dumps({"bench": self.name, **row}) + "\n")
        self.raw.flush()

    def time(self, commands, repeat=15, expect=(0,)):
        """Runs {label: argv} interleaved `repeat` times; {label: median seconds}."""
        seconds = {label: [] for label in commands}
        for turn in range(repeat):
            for label, argv in commands.items():
                start = time.perf_counter()
                done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                took = time.perf_counter() - start
                self.record(turn=turn, label=label, command=[str(a) for a in argv],
                            seconds=round(took, 6), exit=done.returncode)
                if done.returncode not in expect:
                    sys.exit(f"bench: {argv[0]} exited {done.returncode}: {argv}")
                seconds[label].append(took)
        return {label: statistics.median(s) for label, s in seconds.items()}

    def bar(self, what, figure, limit, unit="", at_most=True, peer=""):
        """One row; `peer` says what something else came to in the same run."""
        holds = figure <= limit if at_most else figure >= limit
        sign = "<=" if at_most else ">="
        self.rows.append(holds)
        verdict = "holds" if holds else "falls short"
        self.record(bar=what, figure=figure, limit=limit, unit=unit, holds=holds, peer=peer)
        print(f"{what:64} {figure:>9.3g}{unit:3} {sign} {limit:>7.3g}{unit:3} {verdict}"
              f"{f' ({peer})' if peer else ''}", flush=True)


def main():
    names = sorted(p.stem[len("bench_"):] for p in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="./dev bench")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("name", nargs="*", help=f"which ones (default all): {', '.join(names)}")
    parser.add_argument("--short", action="store_true", help="a tenth of what takes minutes")
    parser.add_argument("--only", metavar="TEXT", help="only the parts that have TEXT in their name")
    options = parser.parse_args()
    unknown = set(options.name) - set(names)
    if unknown:
        parser.error(f"no bench named {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    sys.path.insert(0, str(HERE))
    raw_path = pathlib.Path(options.build) / "bench.jsonl"
    all_hold = True
    with open(raw_path, "w") as raw:
        for name in options.name or names:
            bench = Bench(name, options.build, raw, options.short, options.only)
            print(f"== {name}", flush=True)
            importlib.import_module(f"bench_{name}").run(bench)
            if not bench.rows:
                sys.exit(f"bench: {name} stated no bar")
            all_hold &= all(bench.rows)
    print(f"raw rows: {raw_path}")
    sys.exit(0 if all_hold else 1)


if __name__ == "__main__":
    main()

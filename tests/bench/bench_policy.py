"""The shipped default policy on the recorded WorldCup'98 trace, which lies beside the tree
($CS_SHARED), and on bursty traces made here, beside its peers; and how fast a replay is."""
import csv
import datetime
import json
import math
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("CS_SHARED", TOP.parent / "shared"))
TRACE = SHARED / "data/worldcup98-rpm.csv"
SUMMER = ("--trace", TRACE, "--from", "1998-06-01", "--to", "1998-07-15", "--peak-servers", 60)
CONFIG = """clusters:
  web:
    cloud: none
    servers: {{image: none, flavor: none, name: none}}
    size: {{min: 2, max: 150}}
    policy: {{{policy}}}
"""
ARTICLE = ("follow: step, scale-up-at: 70, scale-down-at: 9.9, cool-down-up: 0, cool-down-down: 0, "
           "creates-per-hour: 10000, deletes-per-hour: 10000")
# Rows of the reference of the fluid model, boot 4 min, as it prints them.
KEYS = {"theta_u": 2, "theta_o": 1, "tau_u": 1, "tau_o": 1, "instability": 1, "cost": 2, "saturated": 2,
        "lost": 3, "actions": 0, "creates": 0, "flips": 0}
REFERENCE = {
    "article": (1.70, 179.4, 4.2, 90.4, 15.3, 2.19, 2.58, 6.227, 132, 68, 0),
    "article-level": (0.05, 216.0, 0.6, 94.1, 15.7, 2.77, 0.00, 0.000, 800, 402, 0),
    "heat": (0.55, 133.1, 3.6, 78.4, 15.7, 2.12, 0.04, 0.008, 830, 416, 1),
    "asg": (1.81, 3.3, 10.1, 13.6, 16.6, 1.04, 0.01, 0.000, 1882, 1394, 785),
    "hpa": (2.16, 2.0, 13.1, 9.5, 16.0, 1.00, 0.01, 0.001, 1230, 1005, 181),
}
PEERS = "article,heat,asg,hpa"
WEEK = 7 * 1440
SEEDS = (1, 2)


def run(bench):
    if not TRACE.exists():
        sys.exit(f"bench: there is no {TRACE}; set CS_SHARED to the folder that has data/worldcup98-rpm.csv")
    with tempfile.TemporaryDirectory() as folder:
        replay = Replay(bench, pathlib.Path(folder))
        bench.run_parts({
            "recorded": lambda bench: recorded(bench, replay),
            "faults": lambda bench: faults(bench, replay),
            "bursts": lambda bench: bursts(bench, replay),
            "calm after storm": lambda bench: calm_after_storm(bench, replay),
            "speed": lambda bench: speed(bench, replay),
            "masters": masters,
        })


class Replay:
    def __init__(self, bench, folder):
        self.bench, self.folder = bench, folder
        self.program = bench.build / "handlers/scale_replay"

    def rows(self, *arguments):
        command = [self.program, *arguments, "--json"]
        done = subprocess.run([str(a) for a in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"bench: {done.stderr.strip()}")
        rows = json.loads(done.stdout)["policies"]
        for row in rows:
            self.bench.record(arguments=[str(a) for a in arguments], **row)
        return {row["policy"]: row for row in rows}

    def policy(self, text):
        path = self.folder / "clusterscale.yaml"
        path.write_text(CONFIG.format(policy=text))
        path.chmod(0o644)
        return ("--policy", f"{path}:web")

    def trace(self, name, loads):
        start = datetime.datetime(2030, 1, 1)
        path = self.folder / f"{name}.csv"
        with path.open("w") as file:
            file.write("period,count\n")
            for i, load in enumerate(loads):
                file.write(f"{start + datetime.timedelta(minutes=i)},{max(0, round(load))}\n")
        return path


def deviation(row, figures):
    """The largest relative difference to a row of the reference, whose figures are rounded."""
    differences = [abs(round(row[key], digits) - figure) / max(abs(figure), 10 ** -digits)
                   for (key, digits), figure in zip(KEYS.items(), figures)]
    return 100 * max(differences)


def recorded(bench, replay):
    four = replay.rows(*SUMMER, "--boot", 240, "--compare", PEERS)
    ten = replay.rows(*SUMMER, "--boot", 600)["clusterscale"]
    ours = four["clusterscale"]
    bench.bar("boot 4 min: missing servers (theta U)", ours["theta_u"], 0.10, " %")
    bench.bar("boot 4 min: cost over demand", ours["cost"], 1.25, " x")
    bench.bar("boot 4 min: cost over demand, the stretch", ours["cost"], 1.20, " x")
    bench.bar("boot 4 min: lost requests", ours["lost"], 0.0005, " %")
    bench.bar("boot 4 min: flips within 30 min", ours["flips"], 200)
    bench.bar("boot 4 min: flips within 30 min, the stretch", ours["flips"], 150)
    bench.bar("boot 10 min: lost requests", ten["lost"], 0.010, " %")
    bench.bar("boot 10 min: cost over demand", ten["cost"], 1.32, " x")
    bench.bar("actions that come with their reasons", 100 * ours["explained"] / ours["actions"], 100, " %",
              at_most=False)
    for name in PEERS.split(","):
        bench.bar(f"{name}: differs from the reference's row by", deviation(four[name], REFERENCE[name]), 2, " %")
    step = replay.rows(*SUMMER, "--boot", 240, *replay.policy(ARTICLE))["clusterscale"]
    bench.bar("70/10 as step: differs from the reference's row by",
              deviation(step, REFERENCE["article-level"]), 1, " %")


def faults(bench, replay):
    for window in (900, 300):
        row = replay.rows(*SUMMER, "--faults", *replay.policy(f"window: {window}"))["clusterscale"]
        bench.bar(f"lost samples, window {window // 60} min: scale-ins below demand", row["wrong_scale_ins"], 0)
        bench.bar(f"lost samples, window {window // 60} min: lost requests", row["lost"], 0.001, " %")


# Bursty loads, a week each.


def steps(rng):
    loads = []
    while len(loads) < WEEK:
        level = rng.choice((8000, 15000, 25000, 40000, 60000, 90000))
        loads += [level * (1 + rng.gauss(0, 0.03)) for _ in range(rng.randint(30, 240))]
    return loads[:WEEK]


def flash_crowds(rng):
    loads = [20000 + 8000 * math.sin(2 * math.pi * i / 1440) for i in range(WEEK)]
    for _ in range(20):
        at, peak, rise, fall = rng.randrange(WEEK), rng.uniform(2, 6), rng.randint(3, 20), rng.randint(30, 120)
        for i in range(min(rise + 3 * fall, WEEK - at)):
            loads[at + i] *= 1 + (peak - 1) * (i / rise if i < rise else math.exp((rise - i) / fall))
    return [load * (1 + rng.gauss(0, 0.05)) for load in loads]


def noisy_days(rng):
    return [(40000 - 30000 * math.cos(2 * math.pi * i / 1440)) * (1 + rng.gauss(0, 0.10)) for i in range(WEEK)]


def sawtooth(rng):
    return [(10000 + 60000 * (i % 180) / 180) * (1 + rng.gauss(0, 0.03)) for i in range(WEEK)]


def random_walk(rng):
    load, loads = 30000, []
    for _ in range(WEEK):
        load = min(90000, max(4000, load * math.exp(rng.gauss(0, 0.03))))
        loads.append(load)
    return loads


def noise(rng, share):
    return 1 + rng.gauss(0, share)


def square_waves(rng):
    """Two levels in turns, each as long as the other; another period every day."""
    loads = []
    for _ in range(7):
        period, low, high = rng.choice((20, 40, 60, 120, 240, 480)), rng.uniform(5000, 15000), rng.uniform(40000, 90000)
        loads += [(low if i % period < period // 2 else high) * noise(rng, 0.03) for i in range(1440)]
    return loads


def spikes(rng):
    """Five minutes of several times the load, out of nothing, some thirty times a week."""
    loads = [20000 * noise(rng, 0.05) for _ in range(WEEK)]
    for _ in range(30):
        at, peak = rng.randrange(WEEK - 5), rng.uniform(2, 6)
        for i in range(5):
            loads[at + i] *= peak
    return loads


def on_off(rng):
    """Quiet and busy for times without a rule (exponential, means of an hour and of 20 minutes)."""
    loads, busy = [], False
    while len(loads) < WEEK:
        minutes = 1 + int(rng.expovariate(1 / (20 if busy else 60)))
        level = rng.uniform(30000, 80000) if busy else rng.uniform(5000, 15000)
        loads += [level * noise(rng, 0.05) for _ in range(minutes)]
        busy = not busy
    return loads[:WEEK]


def pareto_bursts(rng):
    """A random walk with bursts on top whose heights and lengths have heavy tails."""
    load, loads = 20000, []
    for _ in range(WEEK):
        load = min(60000, max(5000, load * math.exp(rng.gauss(0, 0.02))))
        loads.append(load)
    at = 0
    while (at := at + 1 + int(rng.expovariate(1 / 120))) < WEEK:
        height, minutes = min(5, rng.paretovariate(1.5)), min(120, int(3 * rng.paretovariate(1.1)))
        for i in range(at, min(WEEK, at + minutes)):
            loads[i] *= height
    return [min(load, 100000) for load in loads]


BURSTS = (steps, flash_crowds, noisy_days, sawtooth, random_walk, square_waves, spikes, on_off, pareto_bursts)


def bursts(bench, replay):
    """Beside the peers that follow the load: at most a half of what they miss, and no more lost. A spike is over before a
    server that it calls for is up: there, no more missed. Heat's template keeps for long what it has; what it loses and
    costs is told beside ours."""
    for make in BURSTS:
        for seed in SEEDS:
            trace = replay.trace(make.__name__, make(random.Random(seed)))
            for boot in (240, 600):
                rows = replay.rows("--trace", trace, "--peak-servers", 40, "--boot", boot, "--compare", PEERS)
                compare(bench, f"{make.__name__}, seed {seed}, boot {boot // 60} min", rows, 1 if make is spikes else 0.5)


def compare(bench, name, rows, most):
    ours, heat = rows["clusterscale"], rows["heat"]
    followers = (rows["asg"], rows["hpa"])
    missed = min(peer["theta_u"] for peer in followers)
    lost = min(peer["lost"] for peer in followers)
    bench.bar(f"{name}: theta U, asg and hpa = 1", ours["theta_u"] / missed, most)
    bench.bar(f"{name}: lost less their least", ours["lost"] - lost, 0, " %",
              peer=f"lost {ours['lost']:.3f} % at cost {ours['cost']:.2f}; heat {heat['lost']:.3f} % at {heat['cost']:.2f}")


def calm_after_storm(bench, replay):
    """An hour of anything, two of the same: no server more within 30 minutes after one fewer."""
    rng, loads, calm = random.Random(3), [], []
    for _ in range(400):
        load = rng.uniform(2000, 90000)
        for _ in range(60):
            load = min(90000, max(1000, load * math.exp(rng.gauss(0, 0.08))))
            loads.append(load)
            calm.append(False)
        loads += [load] * 120
        calm += [True] * 120
    ticks = replay.folder / "ticks.csv"
    replay.rows("--trace", replay.trace("calm", loads), "--peak-servers", 60, "--ticks", ticks)
    flaps, downs, down = 0, 0, None
    for i, row in enumerate(csv.DictReader(ticks.open())):
        change = int(row["desired"]) - int(row["total"])
        if not calm[i]:
            down = None
        elif change < 0:
            down, downs = i, downs + 1
        elif change > 0 and down is not None and i - down <= 30:
            flaps += 1
    bench.bar(f"constant load, seed 3: up within 30 min after {downs} downs", flaps, 0)


def speed(bench, replay):
    trace = replay.trace("long", [40000 + 30000 * math.sin(i / 230) + i * 7919 % 4001 for i in range(500_000)])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    replay.rows("--trace", trace)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    bench.bar("replay of 500,000 minutes: CPU time",
              after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, 2, " s")


def masters(bench):
    """One or two masters on a cloud where anything fails; prints its seed when a run breaks a limit."""
    runs = 1000 if bench.short else 10000
    program = bench.build / "tests/unit/test_masters"
    done = subprocess.run([program], env={**os.environ, "CS_RUNS": str(runs)}, capture_output=True, text=True,
                          check=False)
    facts = [line for line in done.stdout.splitlines() if line.startswith("# {")]
    if not facts:
        sys.exit(f"bench: {program} exited {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    row = json.loads(facts[0][2:])
    bench.record(**row)
    moment = (f"two masters: above until both read the next list in {row['above_moment']} runs, "
              f"in service while the creator was away in {row['above_serving']}")
    bench.bar(f"max in {row['runs']} runs, one master: above at any instant", row["above_alone"], 0)
    bench.bar(f"max in {row['runs']} runs: above in the end", row["above_settled"], 0, peer=moment)

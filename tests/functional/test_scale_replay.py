"""scale_replay as a black box: figures that can be computed by hand, what it refuses, and the
recorded trace against the rows of the fluid model's reference where the trace is at hand."""
import csv
import json
import math
import os
import pathlib
import subprocess
import xml.dom.minidom

import pytest

TOP = pathlib.Path(os.environ["top_srcdir"])
PROGRAM = pathlib.Path(os.environ["top_builddir"]) / "handlers/scale_replay"
SHARED = pathlib.Path(os.environ.get("CS_SHARED", TOP.parent / "shared"))
TRACE = SHARED / "data/worldcup98-rpm.csv"
CONFIG = """\
clusters:
  web:
    cloud: none
    servers: {{image: none, flavor: none, name: none}}
    size: {{min: {min}, max: {max}}}
    policy: {{{policy}}}
"""
PEERS = "article,article-level,heat,heat-70-30,asg,hpa"


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    return done.returncode, done.stdout, done.stderr


def rows(*arguments):
    status, out, err = run(*arguments, "--json")
    assert (status, err) == (0, "")
    return {row["policy"]: row for row in json.loads(out)["policies"]}


def write_trace(path, loads):
    path.write_text("period,count\n" + "".join(
        f"2030-01-{1 + i // 1440:02} {i // 60 % 24:02}:{i % 60:02}:00,{load}\n" for i, load in enumerate(loads)))
    return path


def config(folder, policy="", smallest=2, largest=150):
    path = folder / "clusterscale.yaml"
    path.write_text(CONFIG.format(policy=policy, min=smallest, max=largest))
    path.chmod(0o644)
    return f"{path}:web"


def test_constant_load_is_exactly_met(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [1000] * 300)
    row = rows("--trace", trace, "--peak-servers", 10, "--policy", config(tmp_path, largest=20))["clusterscale"]
    assert row["theta_u"] == row["theta_o"] == row["lost"] == row["actions"] == 0
    assert row["cost"] == 1 and row["largest"] == 10


def test_a_step_of_the_load(tmp_path):
    """From 4 servers' worth to 5: what is needed is there a boot time later, and no earlier."""
    trace = write_trace(tmp_path / "t.csv", [400] * 60 + [500] * 60)
    ticks = tmp_path / "ticks.csv"
    row = rows("--trace", trace, "--peak-servers", 5, "--boot", 300, "--ticks", ticks,
               "--policy", config(tmp_path, "headroom: 0"))["clusterscale"]
    minutes = list(csv.DictReader(ticks.open()))
    assert len(minutes) == 120 and minutes[0]["minute"] == "2030-01-01 00:00:00"
    assert [int(m["ready"]) for m in minutes[59:67]] == [4, 4, 4, 4, 4, 4, 5, 5]
    assert int(minutes[60]["desired"]) == 5 and row["actions"] == 1
    assert row["theta_u"] == pytest.approx(100 * 5 / 5 / 120)


def test_ticks_recompute_the_figures(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [500 + 400 * math.sin(i / 90) + i * 37 % 50 for i in range(1440)])
    ticks = tmp_path / "ticks.csv"
    row = rows("--trace", trace, "--peak-servers", 12, "--ticks", ticks)["clusterscale"]
    minutes = list(csv.DictReader(ticks.open()))
    loads = [float(m["load"]) for m in minutes]
    cap = max(loads) / (12 * 0.70)
    demand = [max(2, math.ceil(load / (cap * 0.70))) for load in loads]
    ready, total, desired = ([int(m[key]) for m in minutes] for key in ("ready", "total", "desired"))
    assert row["theta_u"] == pytest.approx(100 * sum(max(d - s, 0) / d for d, s in zip(demand, ready)) / 1440)
    assert row["cost"] == pytest.approx(sum(total) / sum(demand))
    assert row["actions"] == sum(a != b for a, b in zip(total, desired))
    assert row["creates"] == sum(max(0, b - a) for a, b in zip(total, desired))


def test_every_action_has_a_reason(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [300 + 700 * (i // 97 % 2) for i in range(2000)])
    row = rows("--trace", trace, "--peak-servers", 20)["clusterscale"]
    assert row["actions"] == row["explained"] > 10 and row["unexplained"] == 0


def test_the_plot_is_a_picture(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [300 + 700 * (i // 97 % 2) for i in range(2000)])
    plot = tmp_path / "plot.svg"
    assert run("--trace", trace, "--plot", plot)[0] == 0
    classes = [p.getAttribute("class") for p in xml.dom.minidom.parse(str(plot)).getElementsByTagName("path")]
    assert {"demand", "supply", "up", "down"} <= set(classes)
    assert plot.stat().st_size < 100_000


def test_the_table_names_every_policy(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [100] * 10)
    status, out, err = run("--trace", trace, "--compare", PEERS)
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:-1]] == ["clusterscale", *PEERS.split(",")]
    assert out.splitlines()[-1] == "explained: 0 of 0 actions"


def test_the_history_of_a_cluster_is_a_load(tmp_path):
    """Nine busy servers, whoever bore them: 13 are needed."""
    history = tmp_path / "history"
    history.write_text("".join(json.dumps({"t": i * 30_000, "load_permille": 450 + 450 * (i % 2), "servers": 20 - 10 * (i % 2)})
                               + "\n" for i in range(600)))
    row = rows("--trace", history, "--policy", config(tmp_path, largest=20))["clusterscale"]
    assert (row["largest"], row["cost"], row["actions"]) == (13, 1, 0)
    assert rows("--trace", history, "--peak-servers", 5)["clusterscale"]["largest"] == 5


def test_the_performance_data_of_a_core_is_a_load(tmp_path):
    perfdata = tmp_path / "service-perfdata"
    perfdata.write_text("".join(
        f"[SERVICEPERFDATA]\t{1_000_000_020 + i * 60}\tweb\tcluster cpu\t0.05\t0.1\tCLUSTER CPU OK - web: load\t"
        f"load={45 + 45 * (i % 2)}.0%;;70;0;100 servers={20 - 10 * (i % 2)} sampled=10 missing=0 min=2 max=20\n"
        for i in range(600)))
    row = rows("--trace", perfdata, "--policy", config(tmp_path, largest=20))["clusterscale"]
    assert (row["largest"], row["cost"], row["actions"]) == (13, 1, 0)


def test_max_holds_and_so_do_budgets(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [100] * 60 + [5000] * 240)
    row = rows("--trace", trace, "--peak-servers", 50, "--policy", config(tmp_path, largest=9))["clusterscale"]
    assert row["largest"] == 9
    row = rows("--trace", trace, "--peak-servers", 50,
               "--policy", config(tmp_path, "creates-per-hour: 3", largest=90))["clusterscale"]
    assert row["creates"] <= 3 * 4


def test_a_schedule_raises_min_ahead_of_time(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [100] * 720)
    ticks = tmp_path / "ticks.csv"
    policy = 'schedule: [{during: "* 9 * * *", min: 7}], timezone: Europe/Paris'  # 8:00 UTC in winter
    rows("--trace", trace, "--peak-servers", 3, "--boot", 600, "--policy", config(tmp_path, policy), "--ticks", ticks)
    ready = [int(m["ready"]) for m in csv.DictReader(ticks.open())]
    assert ready[479] == 3 and ready[480:540] == [7] * 60 and ready[-1] <= 5  # three, and N+1


@pytest.mark.parametrize("arguments, message", [
    ([], "which load? say --trace FILE"),
    (["--trace", "{folder}/none.csv"], "none.csv"),
    (["--trace", "{trace}", "--compare", "heat,gce"],
     "--compare: there is no peer 'gce'; there are: article, article-level, heat, heat-70-30, asg, hpa"),
    (["--trace", "{trace}", "--from", "yesterday"], "--from yesterday: give YYYY-MM-DD or \"YYYY-MM-DD HH:MM\""),
    (["--trace", "{trace}", "--from", "2031-01-01"], "{trace} has nothing between --from and --to"),
    (["--trace", "{trace}", "--policy", "web"], "--policy web: give FILE:NAME, such as clusterscale.yaml:web"),
    (["--trace", "{idle}"], "{idle} has no load at all"),
    (["--trace", "{broken}"], "{broken}:2: expected YYYY-MM-DD HH:MM:00,COUNT (a whole minute, a number), found 'x'"),
])
def test_what_it_refuses(tmp_path, arguments, message):
    write_trace(tmp_path / "t.csv", [1, 2, 3])
    write_trace(tmp_path / "idle.csv", [0, 0])
    (tmp_path / "broken.csv").write_text("period,count\nx\n")
    names = {"folder": tmp_path, "trace": tmp_path / "t.csv", "idle": tmp_path / "idle.csv",
             "broken": tmp_path / "broken.csv"}
    status, out, err = run(*(a.format(**names) for a in arguments))
    assert (status, out) == (3, "") and message.format(**names) in err and err.startswith("scale_replay: ")


def test_check_config(tmp_path):
    path, _, name = config(tmp_path).rpartition(":")
    assert run("--check-config", "--policy", f"{path}:{name}") == (0, f"{path}: good\n", "")
    assert run("--check-config") == (3, "", "scale_replay: which configuration? say --policy FILE:NAME\n")
    assert run("--check-config", "--policy", f"{path}:api") == (
        3, "", f"scale_replay: {path} has no cluster 'api'; it has: web\n")
    status, out, err = run("--check-config", "--policy", config(tmp_path, "scale-up-at: 700"))
    assert (status, out) == (3, "") and err.startswith(
        f"scale_replay: {path}:6: key 'clusters.web.policy.scale-up-at': ")


def test_a_file_that_cannot_be_written(tmp_path):
    trace = write_trace(tmp_path / "t.csv", [1, 2, 3])
    for option in ("--ticks", "--plot"):
        status, out, err = run("--trace", trace, option, tmp_path / "none" / "x")
        assert (status, out) == (2, "") and "cannot write" in err
        assert run("--trace", trace, option, "/dev/full")[0] == 2


# The recorded trace. The figures of the peers are those of the fluid model's reference.

needs_trace = pytest.mark.skipif(not TRACE.exists(), reason=f"there is no {TRACE}")
SUMMER = ("--trace", TRACE, "--from", "1998-06-01", "--to", "1998-07-15", "--peak-servers", 60)
#                  thetaU thetaO  tauU  tauO  instab cost  lost   actions creates flips
REFERENCE = {
    "article": (1.70, 179.4, 4.2, 90.4, 15.3, 2.19, 6.227, 132, 68, 0),
    "article-level": (0.05, 216.0, 0.6, 94.1, 15.7, 2.77, 0.000, 800, 402, 0),
    "heat": (0.55, 133.1, 3.6, 78.4, 15.7, 2.12, 0.008, 830, 416, 1),
    "heat-70-30": (0.12, 40.9, 1.2, 72.0, 16.1, 1.42, 0.000, 1522, 761, 25),
    "asg": (1.81, 3.3, 10.1, 13.6, 16.6, 1.04, 0.000, 1882, 1394, 785),
    "hpa": (2.16, 2.0, 13.1, 9.5, 16.0, 1.00, 0.001, 1230, 1005, 181),
}
KEYS = ("theta_u", "theta_o", "tau_u", "tau_o", "instability", "cost", "lost", "actions", "creates", "flips")
DIGITS = (2, 1, 1, 1, 1, 2, 3, 0, 0, 0)


@needs_trace
def test_peers_are_those_of_the_reference():
    replayed = rows(*SUMMER, "--boot", 240, "--compare", PEERS)
    for name, figures in REFERENCE.items():
        assert tuple(round(replayed[name][key], digits) for key, digits in zip(KEYS, DIGITS)) == figures, name


@needs_trace
def test_the_rule_of_the_article_as_step(tmp_path):
    policy = ("follow: step, scale-up-at: 70, scale-down-at: 9.9, cool-down-up: 0, cool-down-down: 0, "
              "creates-per-hour: 10000, deletes-per-hour: 10000")
    row = rows(*SUMMER, "--boot", 240, "--policy", config(tmp_path, policy))["clusterscale"]
    for key, digits, figure in zip(KEYS, DIGITS, REFERENCE["article-level"]):
        assert round(row[key], digits) == pytest.approx(figure, rel=0.01), key

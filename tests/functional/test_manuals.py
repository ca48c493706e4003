# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the manual pages: commands that exist and work, files that are read without a complaint."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time

import pytest
import yaml
from balancer import NOBODY, UNPRIVILEGED
from scale_lab import BUILD, POOR, lab, make_lab  # noqa: F401

SOURCE = pathlib.Path(os.environ["top_srcdir"])
PAGES = sorted(page for folder in ("plugins", "handlers", "contrib") for page in (SOURCE / folder).glob("*.scd"))
PROGRAMS = {path.name: path for path in (
    *(BUILD / "plugins" / name for name in ("check_cluster_cpu", "check_cluster_drift")),
    *(BUILD / "handlers" / name for name in ("nova_scale", "haproxy_sync", "scale_replay")))}
WALK = SOURCE / "contrib/clusterscale.7.scd"


def blocks(page):
    return re.findall(r"^```\n(.*?)^```$", page.read_text(), re.S | re.M)


def block_with(text, page=WALK):
    found = [block for block in blocks(page) if text in block]
    assert len(found) == 1, (text, len(found))
    return found[0]


def commands(page):
    """The lines of a page's examples that call one of our programs, as words."""
    for line in "".join(blocks(page)).splitlines():
        if line.split(" ")[0] in PROGRAMS:
            yield shlex.split(line)


def test_examples_use_options_that_there_are():
    known = {name: set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", subprocess.run(
        [path, "--help"], capture_output=True, text=True).stdout)) for name, path in PROGRAMS.items()}
    seen = 0
    for page in PAGES:
        for words in commands(page):
            seen += 1
            for word in words[1:]:
                assert not word.startswith("-") or word in known[words[0]], (page, words)
    assert seen >= 20


@pytest.mark.parametrize("page", [WALK, SOURCE / "handlers/nova_scale.8.scd"], ids=["clusterscale", "nova_scale"])
def test_commands_of_nova_scale_work(page, make_lab):  # noqa: F811
    lab = make_lab(lbs=1, max=9)  # noqa: F811
    lab.add(3)
    lab.add(1, name="web-20261123")
    lab.cloud.add_server("first")
    lab.measure(400)
    seen = []
    for words in commands(page):
        if words[0] != "nova_scale":
            continue
        # A past action is one of this run.
        words = [time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() + 3600)) if word.startswith("2026-") else word
                 for word in words[3:]]
        done = lab.run(*words)
        assert done[0] in (0, 1), (words, done)
        seen.append(words[0])
    assert "--create" in seen and "--pause" in seen


def test_commands_of_scale_replay_work(lab):  # noqa: F811
    for minute in range(600):
        lab.measure(300 + minute % 300, ago=60 * (600 - minute), servers=3)
    (lab.dir / "requests.csv").write_text("period,count\n" + "".join(
        f"2026-11-24 {n // 60:02}:{n % 60:02}:00,{100 + n % 50}\n" for n in range(600)))
    done = 0
    for page in PAGES:
        for words in commands(page):
            if words[0] != "scale_replay":
                continue
            words = [word.replace("/var/lib/clusterscale/web/history", f"{lab.state}/history").replace(
                "/etc/clusterscale/clusterscale.yaml", f"{lab.dir}/clusterscale.yaml") for word in words[1:]]
            run = subprocess.run([PROGRAMS["scale_replay"], *words], cwd=lab.dir, capture_output=True, text=True)
            assert (run.returncode, run.stderr) == (0, ""), words
            done += 1
    assert done >= 3


WALKED = {"clusterscale.yaml": block_with("clouds-file:"), "clouds.yaml": block_with("\n  mycloud:\n    auth_type")}
SHIPPED = {name: (SOURCE / "contrib" / name).read_text() for name in WALKED}


@pytest.mark.parametrize("files", [WALKED, SHIPPED], ids=["clusterscale(7)", "examples"])
def test_configurations_that_people_start_from(files):
    if not shutil.which("sudo"):
        pytest.skip("needs sudo, which is not installed")
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        for name, content in {**files, "web.community": "public\n"}.items():
            (folder / name).write_text(content.replace("/etc/clusterscale", made))
            (folder / name).chmod(0o640)
        for path in (folder, *folder.iterdir()) if UNPRIVILEGED else ():
            os.chown(path, NOBODY, NOBODY)
        for name in sorted(PROGRAMS.keys() - {"scale_replay"}):
            # As a copy: the folder of the build may be closed to others.
            program = shutil.copy(PROGRAMS[name], folder / name)
            done = subprocess.run([program, "-n", "web", "-f", folder / "clusterscale.yaml", "--check-config"],
                                  env=POOR, cwd="/", capture_output=True, text=True, **UNPRIVILEGED)
            # haproxy_sync looks for the template, too, which is tried below.
            assert done.returncode == 0 or "haproxy.cfg.template" in done.stderr, (name, done)


def test_haproxy_configuration_of_the_walk(tmp_path):
    text = block_with("frontend www")
    shipped = {line.strip() for line in (SOURCE / "contrib/haproxy/haproxy.cfg.template").read_text().splitlines()}
    assert {line.strip() for line in text.splitlines()} <= shipped
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if not haproxy:
        pytest.skip("needs haproxy, which is not installed")
    config = tmp_path / "haproxy.cfg"
    config.write_text(re.sub(r"/run/haproxy|/var/lib/haproxy", str(tmp_path), text))
    done = subprocess.run([haproxy, "-c", "-f", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_services_of_the_walk_are_those_of_the_readme():
    """Which tests/integration/test_nagios.py gives to Nagios."""
    readme = "".join(re.findall(r"^```\n(.*?)^```$", (SOURCE / "README.md").read_text(), re.S | re.M))
    assert " ".join(block_with("define service").split()) in " ".join(readme.split())


def test_server_options_of_the_manual(tmp_path):
    page = SOURCE / "contrib/clusterscale.yaml.5.scd"
    lines = block_with("{weight}", page).splitlines()
    example = yaml.safe_load((SOURCE / "contrib/clusterscale.yaml").read_text())
    for line in lines:
        example["clusters"]["web"]["haproxy"]["server"]["options"] = yaml.safe_load(line)["options"]
        (tmp_path / "community").write_text("public\n")
        (tmp_path / "community").chmod(0o600)
        example["clusters"]["web"]["cpu"]["snmp"]["community-file"] = str(tmp_path / "community")
        (tmp_path / "clusterscale.yaml").write_text(yaml.safe_dump(example))
        done = subprocess.run([PROGRAMS["check_cluster_cpu"], "-f", tmp_path / "clusterscale.yaml", "--check-config"],
                              capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stdout)
    assert len(lines) == 2


def messages_of_the_readme():
    table = (SOURCE / "README.md").read_text().partition("## Troubleshooting")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]*)` \|", table, re.M)


def test_messages_of_the_readme_are_those_of_the_programs():
    """Each part between the dots stands in a string of the sources; "%s" there is "..." here."""
    strings = []
    for folder in ("lib", "plugins", "handlers"):
        for path in (SOURCE / folder).rglob("*.c"):
            text = re.sub(r'"\s*\n\s*"', "", path.read_text())
            strings += [re.sub(r"%[-.0-9*]*(ll|z|l)?[a-z]", "...", text) for text in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)]
    found = messages_of_the_readme()
    assert len(found) >= 25
    for message in found:
        for part in filter(None, (part.strip() for part in message.split("..."))):
            part = part.strip(" ();:")
            assert any(part in text for text in strings), (message, part)

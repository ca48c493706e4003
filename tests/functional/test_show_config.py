"""nova_scale --show-config: what the configuration means, and where each value is from."""
import os
import pathlib
import re
import subprocess

import yaml

BUILD = pathlib.Path(os.environ["top_builddir"])
EXAMPLE = pathlib.Path(os.environ["top_srcdir"]) / "contrib/clusterscale.yaml"
SECRET = "not-for-anybody"
CLOUDS = f"""clouds:
  mycloud:
    auth: {{auth_url: "http://127.0.0.1:5000/v3", username: scaler, password: {SECRET},
           project_name: web, user_domain_id: default, project_domain_id: default}}
"""


def show(path):
    return subprocess.run([BUILD / "handlers/nova_scale", "-n", "web", "-f", path, "--show-config"],
                          capture_output=True, text=True, timeout=30)


def write(folder, text, name="clusterscale.yaml"):
    clouds = folder / "clouds.yaml"
    clouds.write_text(CLOUDS)
    clouds.chmod(0o600)
    path = folder / name
    path.write_text(re.sub("clouds-file: .*", f"clouds-file: {clouds}", text))
    return path


def test_it_reads_back_to_the_same(tmp_path):
    first = show(write(tmp_path, EXAMPLE.read_text()))
    assert (first.returncode, first.stderr) == (0, "")
    second = show(write(tmp_path, first.stdout, "again.yaml"))
    assert second.returncode == 0, second.stderr
    assert yaml.safe_load(second.stdout) == yaml.safe_load(first.stdout)
    given = yaml.safe_load(EXAMPLE.read_text())["clusters"]["web"]["policy"]
    shown = yaml.safe_load(first.stdout)["clusters"]["web"]["policy"]
    assert {key: shown[key] for key in given if key != "schedule"} == \
        {key: given[key] for key in given if key != "schedule"}


def test_each_line_says_where_it_is_from(tmp_path):
    path = write(tmp_path, "clouds-file: x\nclusters:\n  web:\n    cloud: mycloud\n"
                 "    servers: {image: i, flavor: f, name: web}\n    size: {min: 1, max: 3}\n")
    lines = show(path).stdout.splitlines()
    found = {line.split(":")[0].strip(): line.split(" # ")[-1] for line in lines if " # " in line}
    assert found["cloud"] == f"{path}:4"
    assert found["max"] == f"{path}:6"
    assert found["scale-up-at"] == found["creates-per-hour"] == found["mode"] == "default"
    assert "        # haproxy: not set" in lines and "        # rolling: not set" in lines


def test_secrets_are_hidden(tmp_path):
    done = show(write(tmp_path, EXAMPLE.read_text()))
    assert SECRET not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == (f"# cluster web: cloud 'mycloud' of {tmp_path}/clouds.yaml: "
                                            "auth_url http://127.0.0.1:5000/v3, secret hidden")


def test_what_is_wrong_is_said_instead(tmp_path):
    done = show(write(tmp_path, "clusters: {}\n"))
    assert (done.returncode, done.stdout) == (3, "")
    assert "expected at least one cluster" in done.stderr

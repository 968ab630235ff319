"""What can be said of the Dockerfile without building it: it fits the charts and is pinned."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.support.charts import render

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def stages():
    """Returns the lines of each stage by its name."""
    found, lines = {}, []
    for line in DOCKERFILE.replace("\\\n", "").splitlines():
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            lines = found[match[2]] = [f"FROM {match[1]}"]
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def ours():
    """Returns the repositories of the images that the charts want and that are not somebody else's."""
    pods = [
        component["podSpec"]
        for component in render("setup").one("SeldonConfig", "default")["spec"]["components"]
    ]
    pods += [config["spec"]["podSpec"] for config in render("setup").of("ServerConfig")]
    pods += [render("setup").of("Deployment")[0]["spec"]["template"]["spec"]]
    images = {container["image"] for pod in pods for container in pod["containers"]}
    return {image.partition(":")[0] for image in images if "/" not in image}


def test_every_image_of_the_charts_is_a_target():
    assert ours() == {"bailie", "bailie-mlserver"}
    assert ours() <= stages().keys()


def test_the_base_is_one_exact_version():
    [base] = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
    assert {lines[0] for name, lines in stages().items() if name != "base"} == {"FROM base"}


@pytest.mark.parametrize("image", ["bailie", "bailie-mlserver"])
def test_images_run_as_a_user_with_a_number(image):
    assert "USER 1000:1000" in stages()[image]


def test_what_is_installed_is_pinned_by_hash():
    installs = [line for line in DOCKERFILE.replace("\\\n", "").splitlines() if "pip install" in line]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps /src" in line for line in installs)


def test_what_is_copied_is_there_and_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in shlex.split(line)[1:-1]:
                assert (ROOT / source).exists()
                assert source.partition("/")[0] in kept


def mlserver(folder, script):
    """Starts the command of the image with a script in MLServer's place."""
    (program := folder / "mlserver").write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    [line] = [line for line in stages()["bailie-mlserver"] if line.startswith("CMD ")]
    environment = {"PATH": f"{folder}:{os.defpath}", "MLSERVER_MODELS_DIR": str(folder / "models")}
    command = json.loads(line.removeprefix("CMD "))
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_mlserver_ends_when_its_container_is_told(tmp_path):
    with mlserver(tmp_path, 'trap "echo ends; exit" TERM; echo "$@"; while :; do sleep 0.1; done') as process:
        assert process.stdout.readline() == f"start {tmp_path}/models\n"
        process.terminate()
        assert process.stdout.read() == "ends\n"


def test_mlserver_that_ends_by_itself_ends_its_container(tmp_path):
    with mlserver(tmp_path, "exit 3") as process:
        assert process.wait(20) == 3

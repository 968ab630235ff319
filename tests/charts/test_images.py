"""What can be said of the Dockerfile without building it: it fits the charts and is pinned."""

import ctypes
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
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
    assert all("--no-deps" in line for line in installs)
    assert all("--require-hashes" in line or "--no-deps /tmp/wheel" in line for line in installs)


def test_what_is_copied_is_there_and_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in shlex.split(line)[1:-1]:
                assert (ROOT / source).exists()
                assert source.partition("/")[0] in kept


def arguments(image, key):
    """Returns the list of an image's ENTRYPOINT or CMD."""
    [line] = [line for line in stages()[image] if line.startswith(f"{key} ")]
    return json.loads(line.removeprefix(f"{key} "))


def started(folder, image, name, script, **options):
    """Starts the command of an image with a script in the place of its program `name`."""
    (program := folder / name).write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    environment = {
        "PATH": f"{folder}:{ROOT / 'images'}:{os.defpath}",
        "MLSERVER_MODELS_DIR": str(folder / "models"),
    }
    command = [
        *arguments(image, "ENTRYPOINT"),
        *(arguments(image, "CMD") if image == "bailie-mlserver" else ["agent"]),
    ]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)


IMAGES = pytest.mark.parametrize(
    ("image", "name", "told"),
    [
        ("bailie", "bailie", "agent"),
        ("bailie-mlserver", "python", "/opt/mlserver/start.py start {folder}/models"),
    ],
)


@IMAGES
def test_a_process_ends_when_its_container_is_told(tmp_path, image, name, told):
    script = 'trap "echo ends; exit 4" TERM; echo "$@"; while :; do sleep 0.1; done'
    with started(tmp_path, image, name, script) as process:
        assert process.stdout.readline() == told.format(folder=tmp_path) + "\n"
        process.terminate()
        assert process.stdout.read() == "ends\n"
        assert process.wait(60) == 4


@IMAGES
def test_a_process_that_cannot_hear_yet_ends_when_its_container_is_told(tmp_path, image, name, told):
    with started(tmp_path, image, name, "echo up; exec sleep 60") as process:
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM


@IMAGES
def test_a_process_that_ends_by_itself_ends_its_container(tmp_path, image, name, told):
    with started(tmp_path, image, name, "exit 3") as process:
        assert process.wait(60) == 3


@IMAGES
def test_a_process_reads_what_its_container_is_given(tmp_path, image, name, told):
    with started(tmp_path, image, name, "exec cat", stdin=subprocess.PIPE) as process:
        assert process.communicate("words", timeout=60)[0] == "words"


ORPHANS = """
import os, sys, time
from pathlib import Path

reader, writer = os.pipe()
for _ in range(20):
    if not os.fork():
        for _ in range(2):
            if not os.fork():
                os.setsid()
                os.write(writer, os.getpid().to_bytes(4, "little"))
                os._exit(0)
        os._exit(0)
pids = [int.from_bytes(os.read(reader, 4), "little") for _ in range(40)]
for _ in range(1_000):
    if not any(Path(f"/proc/{pid}").exists() for pid in pids):
        sys.exit(7)
    time.sleep(0.01)
"""
PR_SET_CHILD_SUBREAPER = 36


def test_what_a_models_code_leaves_behind_is_no_zombie(tmp_path):
    """Process 1 of a container gets all orphans, and is the only one that can wait for their end."""
    (tmp_path / "orphans.py").write_text(ORPHANS)
    script = f"exec {sys.executable} {tmp_path / 'orphans.py'}"
    adopt = partial(ctypes.CDLL(None, use_errno=True).prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with started(tmp_path, "bailie-mlserver", "python", script, preexec_fn=adopt) as process:
        assert process.wait(30) == 7

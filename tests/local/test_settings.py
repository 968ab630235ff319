"""Settings of `bailie up`, read by a process of its own with an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

READ = "from bailie.local.settings import LocalSettings; print(*LocalSettings().local_roots, sep=':')"


def roots(folder: Path | str, **variables: str) -> str:
    """What the settings say of the folders of models, colons between them."""
    environment = {"PATH": os.defpath, **variables}
    command = [sys.executable, "-c", READ]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_models_may_be_where_a_user_keeps_them(tmp_path: Path):
    home, work, temporary = (tmp_path / name for name in ("home", "work", "temporary"))
    for folder in (home, work, temporary):
        folder.mkdir()
    found = roots(work, HOME=str(home), TMPDIR=str(temporary))
    assert found == f"{home}:{work}:{temporary}:/tmp"


@pytest.mark.parametrize("folder", ["/", "/tmp"])
def test_a_working_folder_opens_neither_the_machine_nor_a_folder_twice(tmp_path: Path, folder: str):
    assert roots(folder, HOME=str(tmp_path)) == f"{tmp_path}:/tmp"


def test_a_user_may_name_others(tmp_path: Path):
    found = roots(tmp_path, HOME="/home/me", BAILIE_LOCAL_ROOTS="/data/models:~/models:here")
    assert found == f"/data/models:/home/me/models:{tmp_path}/here"


def missing(path: str, *, monitoring: bool) -> list[str]:
    """What the settings say is missing for a `bailie up` where programs are searched in `path`."""
    code = (
        "from bailie.local.settings import LocalSettings, missing_parts\n"
        f"print(*missing_parts(LocalSettings(monitoring={monitoring}, default_servers=False)), sep='\\n')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_monitoring_needs_a_prometheus_on_the_path(tmp_path: Path):
    [sentence] = filter(None, missing(str(tmp_path), monitoring=True))
    assert sentence.startswith(
        "`bailie up --monitoring` needs the program `prometheus` on the PATH: install it"
    )
    assert not any(missing(str(tmp_path), monitoring=False))
    program = tmp_path / "prometheus"
    program.touch(0o700)
    assert not any(missing(str(tmp_path), monitoring=True))


WITHOUT_HOME = """
import os, sys
from bailie.cli.main import main
given = sys.argv[1:]
sys.argv = ["bailie", "get", "models", "--kubeconfig", os.devnull]
try:
    main()  # imports what commands need, while the folder of Python can be read
except SystemExit:
    pass
os.environ.pop("HOME", None)
os.setresuid(*[54321] * 3)
sys.argv = ["bailie", *given]
main()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a home")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["status"], "error: this user has no home folder: set HOME, or name a folder with --state-dir"),
        (["kubeconfig"], "error: this user has no home folder"),
        (["get", "models", "--kubeconfig", "/nowhere"], "error: there is no kubeconfig /nowhere"),
        (["get", "models"], "error: kubeconfig ~/.kube/config: nobody here has that home"),
        (["status", "--state-dir", "/nowhere"], "error: nothing runs in /nowhere"),
    ],
    ids=["status", "kubeconfig", "a named cluster", "the usual cluster", "a named folder"],
)
def test_a_user_without_a_home_gets_a_sentence(arguments: list[str], says: str):
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_HOME, *arguments],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert says in found.stderr
    assert "Traceback" not in found.stderr
    assert found.returncode == 1

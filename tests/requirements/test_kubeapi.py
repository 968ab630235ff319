"""Bailie's wheel carries the embedded API, so Bailie asks for all that the embedded API needs."""

from __future__ import annotations

import tomllib

from tests.support.documents import ROOT


def _project(path):
    return tomllib.loads((ROOT / path / "pyproject.toml").read_text())["project"]


def test_the_extra_local_asks_for_what_the_embedded_api_needs():
    ours, its = _project("."), set(_project("packages/kubeapi")["dependencies"])
    assert its <= {*ours["dependencies"], *ours["optional-dependencies"]["local"]}


def test_the_wheel_has_both():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert {"src/bailie", "packages/kubeapi/src/kubeapi"} <= set(build["wheel"]["packages"])


def test_both_are_built_from_the_same_definitions():
    ours, its = (
        tomllib.loads((ROOT / path / "pyproject.toml").read_text())["build-system"]["requires"]
        for path in (".", "packages/kubeapi")
    )
    assert {each for each in its if "==" in each} <= set(ours)

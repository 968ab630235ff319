"""What MLServer's environment says of itself."""

from __future__ import annotations

import sys

import pytest

from bailie.local.mlserver_runtimes import installed


@pytest.fixture
def environment(tmp_path):
    """Makes an environment whose Python finds these modules."""

    def make(*modules):
        (tmp_path / "bin").mkdir()
        for name in modules:
            (tmp_path / "modules" / name).mkdir(parents=True)
            (tmp_path / "modules" / name / "__init__.py").write_text("raise SystemExit('it was imported')")
        python = tmp_path / "bin" / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/modules exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("modules", "capabilities"),
    [
        ((), ("mlserver", "python")),
        (("mlserver_sklearn",), ("mlserver", "python", "sklearn")),
        (
            ("mlserver_xgboost", "mlserver_alibi_detect", "mlserver_mllib"),
            ("mlserver", "alibi-detect", "python", "spark-mlib", "xgboost"),
        ),
    ],
    ids=["none", "one", "several"],
)
def test_the_runtimes_that_are_there_are_the_capabilities(environment, modules, capabilities):
    assert installed(environment(*modules)) == capabilities


def test_an_environment_that_cannot_say_has_what_every_mlserver_has(tmp_path):
    assert installed(tmp_path) == ("mlserver", "python")

"""When a claim of the demo holds. The demo as a whole runs in tests/e2e."""

from __future__ import annotations

import tempfile

import pytest

from bailie.api.model import Model
from bailie.local.demo import (
    STAGING,
    SYSTEM,
    UNWATCHED,
    Demo,
    Row,
    _leave,
    left_alone_row,
    model_manifest,
    run,
    traffic_row,
    until,
)
from bailie.local.errors import LocalError
from bailie.local.settings import LocalSettings
from bailie.local.traffic import Tally

FENCED = {SYSTEM: True, STAGING: True, UNWATCHED: False}


@pytest.mark.parametrize(
    ("tally", "held", "detail"),
    [
        (Tally(25), True, "25 requests, 0 failed"),
        (Tally(25, ["503 x", "no answer"]), False, "25 requests, 2 failed: 503 x"),
        (Tally(0), False, "0 requests, 0 failed"),
    ],
    ids=["all answered", "some failed", "none was sent"],
)
def test_no_request_fails(tally, held, detail):
    row = traffic_row("a", "http", tally)
    assert (row.held, row.detail) == (held, detail)
    assert "http" in row.claim


@pytest.mark.parametrize(
    ("status", "rights", "held"),
    [
        (None, FENCED, True),
        ({}, FENCED, True),
        ({"conditions": []}, FENCED, False),
        (None, {**FENCED, UNWATCHED: True}, False),
        (None, {**FENCED, STAGING: False}, False),
    ],
    ids=["no status", "an empty one", "somebody acted", "a right too many", "a right too few"],
)
def test_a_namespace_is_left_alone(status, rights, held):
    row = left_alone_row(status, rights)
    assert row.held is held
    assert (str(rights) in row.detail) is not held


def test_claims_are_noted_and_said(tmp_path):
    said = []
    demo = Demo(LocalSettings(state_directory=tmp_path), said.append)
    for row in (Row("a", True, "fine"), Row("b", False, "not so")):
        demo.show(row)
    assert said == ["  ok  a: fine", "FAIL  b: not so"]
    assert [row.held for row in demo.rows] == [True, False]


@pytest.mark.parametrize(("artifact", "folder"), [(None, "again"), ("iris", "iris")])
def test_its_models_are_valid(tmp_path, artifact, folder):
    model, problems = Model.parse(model_manifest("a", "again", tmp_path, artifact=artifact))
    assert problems == []
    assert model.spec.storage_uri == str(tmp_path / folder)


async def test_a_wait_has_an_end():
    async def never():
        return False

    with pytest.raises(TimeoutError):
        await until(never, 0.05)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the demo makes its folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("failed", [True, False])
def test_the_logs_of_a_run_that_failed_stay(tmp_path, failed):
    said, root = [], tmp_path / "bailie-demo"
    demo = Demo(LocalSettings(state_directory=root / "state"), said.append)
    demo.state.prepare()
    demo.state.supervisor_log.write_text("error: why")
    _leave(demo, root, failed=failed)
    assert demo.state.supervisor_log.exists() is root.exists() is failed
    assert [str(demo.state.supervisor_log) in each for each in said] == [True] * failed


def test_a_run_that_did_not_begin_leaves_nothing(temporary, tmp_path_factory):
    with pytest.raises(LocalError, match="MLServer"):
        run(tmp_path_factory.mktemp("environment"), [].append)
    assert not list(temporary.iterdir())

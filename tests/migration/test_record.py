"""The record of a move as a ConfigMap: whatever a namespace has, the API takes it, or nothing begins."""

from __future__ import annotations

import pytest
from tests.support.moves import PLACES, TEAM, CentralNamespace

from bailie.api.kinds import MODEL
from bailie.migration.changes import patch
from bailie.migration.errors import Blocked
from bailie.migration.record import line_of, read_record
from bailie.migration.source import MoveSource

MOST_OF_A_CONFIG_MAP = 1024 * 1024
"""https://kubernetes.io/docs/concepts/configuration/configmap/"""
SOURCE = MoveSource.BAILIE_CENTRAL


def with_models(number):
    there = CentralNamespace()
    for each in range(number):
        there.put(MODEL, TEAM, f"m-{each:05}-{'x' * 55}", {"spec": {}})
    return there


async def test_thousands_of_models_that_are_not_ready_and_a_long_log_fit():
    there = with_models(7_000)
    record = await there.executor().begin(SOURCE, PLACES)
    (large,) = [each for each in there.of(TEAM).all(MODEL) if each["metadata"]["name"] == "iris"]
    large["metadata"] |= {"annotations": {"a": '"é' * 100_000}}
    change = patch(MODEL, large, {"metadata": {"annotations": {"a": '"' * 100_000}}})
    for _ in range(300):
        record = record.logged(line_of(change, large, step="s", at="2026-01-01T00:00:00Z", by="mary"))
    manifest = record.manifest()
    assert len(manifest["data"]["record.json"].encode()) < MOST_OF_A_CONFIG_MAP
    assert read_record(manifest) == record
    assert len(record.unready) == 7_001


async def test_more_names_than_a_record_holds_begin_nothing():
    there = with_models(10_000)
    with pytest.raises(
        Blocked, match=r"would have [\d,]+ bytes, and may have 600,000: it has the names of 10,001"
    ):
        await there.executor().begin(SOURCE, PLACES)
    assert there.writes == []

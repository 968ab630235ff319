"""The record of a move as a ConfigMap: whatever a namespace has, the API takes it, or nothing begins."""

from __future__ import annotations

import dataclasses

import pytest
from tests.support.moves import CENTRAL, HOME, PLACES, TEAM, CentralNamespace

from bailie.api.kinds import CONFIG_MAP, MODEL
from bailie.migration.changes import patch
from bailie.migration.errors import Blocked, DamagedRecord
from bailie.migration.facts import ClusterObjects, MoveFacts
from bailie.migration.record import MoveRecord, line_of, read_record, record_in
from bailie.migration.source import MoveSource
from bailie.migration.start import begin
from bailie.wellknown import names

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


RECORD = MoveRecord(
    namespace=TEAM, source=SOURCE, home=HOME, central=CENTRAL, begun="2026-06-01T00:00:00Z", by="mary@desk"
)
TEXT = RECORD.text()
DAMAGED = {
    "nothing": "",
    "cut in half": TEXT[: len(TEXT) // 2],
    "cut before its end": TEXT.rstrip()[:-1],
    "no object": "[]",
    "without what it needs": "{}",
    "of another type": TEXT.replace('"mary@desk"', "5"),
    "a source that is none": TEXT.replace(SOURCE.value, "nonsense"),
    "of another namespace": TEXT.replace(f'"{TEAM}"', '"other"'),
    "a path for a name": TEXT.replace(f'"{HOME}"', '"../../secrets"'),
    "an escape sequence for a name": TEXT.replace(f'"{HOME}"', r'"\u001b[31mred"'),
    "a name of 300 characters": TEXT.replace(f'"{HOME}"', f'"{"a" * 300}"'),
    "thousands of levels": "[" * 5000,
    "half a character": TEXT.replace("mary", "\udc80"),
}


def facts_with(text, uid="uid-here"):
    """The facts of a namespace whose ConfigMap has this text."""
    there = CentralNamespace()
    there.put(CONFIG_MAP, TEAM, names.MIGRATION_RECORD, {"data": {names.MIGRATION_KEY: text}})
    here = dataclasses.replace(there.of(TEAM), namespace={"metadata": {"name": TEAM, "uid": uid}})
    return MoveFacts(cluster=ClusterObjects(server="https://memory"), here=here)


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_record_that_cannot_be_read_is_told_with_the_way_on(text):
    with pytest.raises(DamagedRecord) as damaged:
        record_in(facts_with(text))
    sentence = damaged.value.message
    assert sentence.startswith("ConfigMap bailie-migration in namespace team is no record of a move that can")
    assert sentence.isprintable()
    assert "--from-what-is-there" in damaged.value.hint


@pytest.mark.parametrize(("noted", "there"), [("", "b"), ("a", ""), ("a", "a")])
def test_a_record_is_read_where_nothing_says_that_it_is_of_another_cluster(noted, there):
    record = dataclasses.replace(RECORD, uid=noted)
    assert record_in(facts_with(record.text(), there)) == record


def test_a_record_of_another_cluster_is_none():
    text = dataclasses.replace(RECORD, uid="uid-there").text()
    with pytest.raises(DamagedRecord, match=r"another namespace of this name \(uid uid-there\)"):
        record_in(facts_with(text))


async def test_a_move_notes_the_uid_of_its_namespace():
    facts = facts_with("")
    facts = dataclasses.replace(facts, central=CentralNamespace().of(CENTRAL))
    begun = begin(facts, SOURCE, PLACES, at="2026-06-01T00:00:00Z", by="mary@desk")
    assert begun.uid == "uid-here"

"""What a load took, and what blurs it."""

from __future__ import annotations

import pytest

from bailie.agent.memory import Reading
from bailie.agent.memory_growth import (
    RUNTIME_BYTES,
    RUNTIME_WITH_FILES_BYTES,
    UNKNOWN,
    Measure,
    MemoryGrowth,
    better,
)

MIB = 1 << 20


def grown(measuring, mebibytes, *, runtime="sklearn", process="1", workers=1, with_files=False):
    before = Reading(100 * MIB, 100 * MIB, process, with_files)
    after = Reading((100 + mebibytes) * MIB, (100 + mebibytes) * MIB, process, with_files)
    return measuring.judge(before, after, runtime=runtime, workers=workers)


def test_the_start_of_a_runtime_is_not_the_model_s():
    measuring = MemoryGrowth()
    assert grown(measuring, 60) == UNKNOWN
    assert grown(measuring, 60) == Measure(60 * MIB)
    assert grown(measuring, 60, runtime="torch") == UNKNOWN
    assert grown(measuring, 0) == Measure(1)


def test_what_is_beyond_any_runtime_is_the_model_s_at_least():
    assert grown(MemoryGrowth(), 300) == Measure(300 * MIB - RUNTIME_BYTES, at_least=True)
    assert grown(MemoryGrowth(), 900, workers=3) == Measure(900 * MIB - 3 * RUNTIME_BYTES, at_least=True)
    assert grown(MemoryGrowth(), 1100, with_files=True) == Measure(
        1100 * MIB - RUNTIME_WITH_FILES_BYTES, at_least=True
    )


def test_freed_memory_may_be_used_again():
    measuring = MemoryGrowth()
    grown(measuring, 60)
    measuring.freed()
    assert grown(measuring, 20) == Measure(20 * MIB, at_least=True)
    assert grown(measuring, 0) == UNKNOWN


def test_a_server_that_started_anew_has_no_history():
    measuring = MemoryGrowth()
    grown(measuring, 60)
    measuring.freed()
    assert grown(measuring, 60, process="2") == UNKNOWN
    assert grown(measuring, 20, process="2") == Measure(20 * MIB)


def test_a_server_that_was_there_before_has_a_history_that_nobody_knows():
    measuring = MemoryGrowth()
    measuring.adopt("1", ["sklearn"])
    assert grown(measuring, 20) == Measure(20 * MIB, at_least=True)
    assert grown(measuring, 20, runtime="torch") == UNKNOWN


def test_a_server_that_is_not_seen_or_ended_meanwhile_says_nothing():
    measuring = MemoryGrowth()
    assert grown(measuring, 60, process="") == UNKNOWN
    before, after = Reading(1, 1, "1"), Reading(9 * MIB, 9 * MIB, "2")
    assert measuring.judge(before, after, runtime="sklearn", workers=1) == UNKNOWN


EXACT, MORE, LEAST, MORE_LEAST = (
    Measure(5),
    Measure(7),
    Measure(4, at_least=True),
    Measure(9, at_least=True),
)


@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        (UNKNOWN, EXACT, EXACT),
        (EXACT, UNKNOWN, EXACT),
        (EXACT, MORE, MORE),
        (MORE_LEAST, LEAST, MORE_LEAST),
        (EXACT, LEAST, EXACT),
        (LEAST, EXACT, EXACT),
        (EXACT, MORE_LEAST, MORE_LEAST),
        (MORE_LEAST, EXACT, MORE_LEAST),
    ],
)
def test_two_loads_of_one_version(known, new, expected):
    assert better(known, new) == expected

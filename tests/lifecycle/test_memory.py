"""When what was measured is far from what is declared, and what is said of it."""

from __future__ import annotations

import pytest

from bailie.lifecycle.conditions import ModelFacts, model_status
from bailie.lifecycle.memory import Measured, MemoryFacts, mismatch
from bailie.lifecycle.version import VersionFacts

MIB = 1 << 20
TOLD_OF_NONE = "spec.memory declares 0, a load took at least 65Mi"
TOLD = "spec.memory declares 500Mi, a load took less than 1Mi"
CASES = {
    "not measured": (100, None, None),
    "as declared": (100, Measured(100 * MIB), None),
    "within the slack": (10, Measured(74 * MIB), None),
    "within a quarter": (1000, Measured(1250 * MIB), None),
    "far over": (
        10,
        Measured(560 * MIB),
        "DeclaredTooLittle: spec.memory declares 10Mi, a load took 560Mi; servers count what was measured",
    ),
    "far over for certain": (
        0,
        Measured(65 * MIB, at_least=True),
        f"DeclaredTooLittle: {TOLD_OF_NONE}; servers count what was measured",
    ),
    "under, within the slack": (64, Measured(1), None),
    "half": (500, Measured(250 * MIB), None),
    "far under": (
        500,
        Measured(249 * MIB),
        "DeclaredTooMuch: spec.memory declares 500Mi, a load took 249Mi; servers keep free what is declared",
    ),
    "next to nothing": (
        500,
        Measured(4096),
        f"DeclaredTooMuch: {TOLD}; servers keep free what is declared",
    ),
    "under, but it may be more": (500, Measured(1 * MIB, at_least=True), None),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_far_from_what_is_declared(case):
    declared, measured, expected = case
    found = mismatch(MemoryFacts(declared_bytes=declared * MIB, measured=measured))
    assert (found and f"{found.reason}: {found.message}") == expected


def test_workers_count():
    found = mismatch(MemoryFacts(declared_bytes=100 * MIB, workers=4, measured=Measured(900 * MIB)))
    assert found is not None
    assert found.message.startswith("spec.memory declares 100Mi for each of 4 workers, a load took 900Mi; ")
    assert mismatch(MemoryFacts(declared_bytes=100 * MIB, workers=4, measured=Measured(400 * MIB))) is None


def test_the_status_has_the_condition_for_as_long_as_it_is_so():
    far = MemoryFacts(declared_bytes=0, measured=Measured(900 * MIB))
    version = VersionFacts(placed=1, loaded=1, available=1)
    with_it = model_status(ModelFacts(generation=1, version=version, memory=far), "now")
    types = [each["type"] for each in with_it["conditions"]]
    assert "MemoryMismatch" in types
    without = model_status(ModelFacts(generation=1, version=version), "now")
    assert "MemoryMismatch" not in [each["type"] for each in without["conditions"]]

"""Who leaves memory: a table of cases, and what holds for any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.placement import Resident, choose_evictions


def residents(*given):
    return [Resident(name=name, memory_bytes=size, used_at=used) for name, size, used in given]


CASES = {
    "nothing is needed": (residents(("a", 10, 1)), 0, ()),
    "least recently used first": (residents(("a", 10, 3), ("b", 10, 1), ("c", 10, 2)), 15, ("b", "c")),
    "names break ties": (residents(("b", 10, 1), ("a", 10, 1)), 5, ("a",)),
    "who frees nothing stays": (residents(("a", 0, 1), ("b", 10, 2)), 5, ("b",)),
    "a small one stays when a larger one is enough": (residents(("a", 2, 1), ("b", 10, 2)), 8, ("b",)),
    "of those not needed the most recent stays": (
        residents(("a", 2, 1), ("b", 2, 2), ("c", 8, 3)),
        10,
        ("a", "c"),
    ),
    "all of them where even that is too little": (residents(("a", 2, 1), ("b", 2, 2)), 10, ("a", "b")),
    "nobody there": ([], 10, ()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_who_leaves(case):
    there, needed, expected = case
    assert choose_evictions(there, needed) == expected


def test_who_is_busy_stays():
    busy = Resident(name="a", memory_bytes=10, used_at=1, busy=True)
    assert choose_evictions([busy, *residents(("b", 10, 2))], 5) == ("b",)


THERE = st.lists(
    st.builds(
        Resident,
        name=st.sampled_from("abcdefgh"),
        memory_bytes=st.integers(0, 20),
        used_at=st.integers(0, 5).map(float),
        busy=st.booleans(),
    ),
    unique_by=lambda each: each.name,
)


@given(THERE, st.integers(0, 60))
def test_enough_is_freed_and_nobody_leaves_for_nothing(there, needed):
    sizes = {each.name: each.memory_bytes for each in there}
    idle = sum(each.memory_bytes for each in there if not each.busy)
    chosen = choose_evictions(there, needed)
    freed = sum(sizes[name] for name in chosen)
    assert freed >= min(needed, idle)
    assert not any(each.busy for each in there if each.name in chosen)
    if freed >= needed:
        assert not any(freed - sizes[name] >= needed for name in chosen)


@given(THERE, st.integers(0, 60), st.randoms())
def test_the_order_of_input_does_not_matter(there, needed, shuffler):
    shuffled = list(there)
    shuffler.shuffle(shuffled)
    assert choose_evictions(shuffled, needed) == choose_evictions(there, needed)

"""Which version answers, and how versions are numbered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.lifecycle.rollout import Candidate, choose, number_for


def have(identity, number, *replicas):
    return Candidate(identity=identity, number=number, replicas=frozenset(replicas))


OLD, NEW = have("old", 1, "s-0", "s-1"), have("new", 2, "s-0")
CASES = {
    "nothing is loaded": ((), {"s-0"}, "", None),
    "nothing is loaded, but something was": ((have("old", 1),), {"s-0"}, "old", None),
    "the wanted one, complete": ((NEW,), {"s-0"}, "", ("new", {"s-0"}, True)),
    "takes over when complete": ((OLD, NEW), {"s-0"}, "old", ("new", {"s-0"}, True)),
    "the old one goes on until then": ((OLD, NEW), {"s-0", "s-1"}, "old", ("old", {"s-0", "s-1"}, False)),
    "the old one goes on where nothing is placed": ((OLD,), set(), "old", ("old", {"s-0", "s-1"}, False)),
    "once taken over it stays": ((OLD, NEW), {"s-0", "s-1"}, "new", ("new", {"s-0"}, False)),
    "a first version answers from its first replica": ((NEW,), {"s-0", "s-1"}, "", ("new", {"s-0"}, False)),
    "nothing known: the newest of the others": (
        (have("older", 1, "s-0"), have("old", 3, "s-1"), NEW),
        {"s-0", "s-9"},
        "",
        ("old", {"s-1"}, False),
    ),
    "what answered is gone": ((OLD, NEW), {"s-0", "s-1"}, "gone", ("old", {"s-0", "s-1"}, False)),
    "what answered is older than another": (
        (have("older", 1, "s-0"), have("old", 3, "s-1")),
        set(),
        "older",
        ("older", {"s-0"}, False),
    ),
    "a move keeps the old place until the new one is complete": (
        (have("new", 2, "s-0", "t-0"),),
        {"t-0", "t-1"},
        "new",
        ("new", {"s-0", "t-0"}, False),
    ),
    "a move that is complete leaves the old place": (
        (have("new", 2, "s-0", "t-0"),),
        {"t-0"},
        "new",
        ("new", {"t-0"}, True),
    ),
    "drained with nowhere to go": ((NEW,), set(), "new", ("new", {"s-0"}, False)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_answers(case):
    candidates, planned, answering, expected = case
    choice = choose(candidates, target="new", planned=frozenset(planned), answering=answering)
    assert (choice and (choice.identity, set(choice.replicas), choice.took_over)) == expected


IDENTITIES = st.sampled_from(["a", "b", "c"])
REPLICAS = st.frozensets(st.sampled_from(["s-0", "s-1", "t-0"]))


@st.composite
def situations(draw):
    """Versions loaded somewhere, what is wanted, where it is planned, and what answers now."""
    identities = draw(st.lists(IDENTITIES, unique=True))
    candidates = tuple(have(name, number, *draw(REPLICAS)) for number, name in enumerate(identities, 1))
    return candidates, draw(IDENTITIES), draw(REPLICAS), draw(IDENTITIES | st.just(""))


@given(situations())
def test_something_answers_as_long_as_anything_is_loaded_and_only_from_where_it_is(situation):
    candidates, target, planned, answering = situation
    loaded = {each.identity: each for each in candidates if each.replicas}
    choice = choose(candidates, target=target, planned=planned, answering=answering)
    assert (choice is None) == (not loaded)
    if choice:
        assert choice.replicas
        assert choice.replicas <= loaded[choice.identity].replicas
        assert choice.number == loaded[choice.identity].number


@given(situations())
def test_what_answers_goes_on_until_the_wanted_version_is_complete(situation):
    candidates, target, planned, answering = situation
    loaded = {each.identity: each.replicas for each in candidates if each.replicas}
    choice = choose(candidates, target=target, planned=planned, answering=answering)
    complete = bool(planned) and planned <= loaded.get(target, frozenset())
    if choice:
        assert choice.took_over == complete
        assert choice.identity == target or not complete
        assert choice.identity == answering or answering not in loaded or complete


@given(situations())
def test_to_decide_again_on_what_was_decided_changes_nothing(situation):
    candidates, target, planned, answering = situation
    choice = choose(candidates, target=target, planned=planned, answering=answering)
    if choice:
        again = choose(candidates, target=target, planned=planned, answering=choice.identity)
        assert again == choice


@pytest.mark.parametrize(
    ("generation", "taken", "number"), [(1, (), 1), (3, (1, 2), 3), (3, (3,), 4), (1, (1, 7), 8)]
)
def test_a_number_is_the_generation_unless_it_is_taken(generation, taken, number):
    assert number_for(generation, frozenset(taken)) == number

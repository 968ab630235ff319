"""The table of replica states: what follows what, and what is refused."""

from __future__ import annotations

import itertools

import pytest

from bailie.lifecycle.copies import (
    AGENT_TRANSITIONS,
    TRANSITIONS,
    CopyEvent,
    CopyState,
    ImpossibleTransitionError,
    next_state,
    report_of,
)

S, E = CopyState, CopyEvent
STORED = set(CopyState) - {S.UNLOADED}
STORIES = {
    "load": (
        [E.LOAD_SENT, E.SAYS_LOADING, E.SAYS_LOADED],
        [S.REQUESTED, S.LOADING, S.LOADED],
    ),
    "failure and retry": (
        [E.LOAD_SENT, E.SAYS_LOADING, E.SAYS_FAILED, E.LOAD_SENT, E.SAYS_LOADED],
        [S.REQUESTED, S.LOADING, S.FAILED, S.REQUESTED, S.LOADED],
    ),
    "unload": (
        [E.SAYS_LOADED, E.UNLOAD_SENT, E.SAYS_UNLOADING, E.SAYS_UNLOADED],
        [S.LOADED, S.UNLOAD_REQUESTED, S.UNLOADING, S.ABSENT],
    ),
    "unload while it loads: late reports change nothing": (
        [E.SAYS_LOADING, E.UNLOAD_SENT, E.SAYS_LOADED, E.SAYS_EVICTED, E.SAYS_LOADING, E.SAYS_UNLOADED],
        [S.LOADING, *[S.UNLOAD_REQUESTED] * 4, S.ABSENT],
    ),
    "unload of what failed meanwhile": (
        [E.SAYS_LOADING, E.UNLOAD_SENT, E.SAYS_FAILED],
        [S.LOADING, S.UNLOAD_REQUESTED, S.FAILED],
    ),
    "an unload that did not work": (
        [E.SAYS_LOADED, E.UNLOAD_SENT, E.SAYS_UNLOADING, E.SAYS_LOADED, E.UNLOAD_SENT],
        [S.LOADED, S.UNLOAD_REQUESTED, S.UNLOADING, S.LOADED, S.UNLOAD_REQUESTED],
    ),
    "evicted and back": (
        [E.SAYS_LOADED, E.SAYS_EVICTED, E.SAYS_LOADING, E.SAYS_LOADED],
        [S.LOADED, S.EVICTED, S.LOADING, S.LOADED],
    ),
    "evicted once nobody asks for it past the agent, and back": (
        [E.SAYS_LOADED, E.SAYS_EVICTING, E.EVICT_SENT, E.SAYS_EVICTED, E.SAYS_LOADED],
        [S.LOADED, S.EVICTING, S.EVICT_REQUESTED, S.EVICTED, S.LOADED],
    ),
    "evicted while it is to be unloaded": (
        [E.SAYS_EVICTING, E.UNLOAD_SENT, E.SAYS_EVICTING, E.SAYS_EVICTED, E.SAYS_UNLOADED],
        [S.EVICTING, *[S.UNLOAD_REQUESTED] * 3, S.ABSENT],
    ),
    "a server that lost the model": ([E.SAYS_LOADED, E.SAYS_FAILED], [S.LOADED, S.FAILED]),
    "a failure that is to be forgotten": (
        [E.SAYS_FAILED, E.UNLOAD_SENT, E.SAYS_UNLOADED],
        [S.FAILED, S.UNLOAD_REQUESTED, S.ABSENT],
    ),
    "commands may be repeated": (
        [E.LOAD_SENT, E.LOAD_SENT, E.UNLOAD_SENT, E.UNLOAD_SENT],
        [S.REQUESTED, S.REQUESTED, S.UNLOAD_REQUESTED, S.UNLOAD_REQUESTED],
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_a_story(story):
    events, states = story
    found = list(itertools.accumulate(events, next_state, initial=S.ABSENT))[1:]
    assert found == states


IMPOSSIBLE = [
    (S.ABSENT, E.UNLOAD_SENT),
    (S.LOADING, E.LOAD_SENT),
    (S.LOADED, E.LOAD_SENT),
    (S.EVICTING, E.LOAD_SENT),
    (S.EVICT_REQUESTED, E.LOAD_SENT),
    (S.EVICTED, E.LOAD_SENT),
    *((state, E.EVICT_SENT) for state in S if state in STORED and state is not S.EVICTING),
    (S.UNLOAD_REQUESTED, E.LOAD_SENT),
    (S.UNLOADING, E.LOAD_SENT),
]


@pytest.mark.parametrize(("state", "event"), IMPOSSIBLE)
def test_a_command_out_of_place_is_refused(state, event):
    with pytest.raises(ImpossibleTransitionError, match="cannot follow") as caught:
        next_state(state, event)
    assert (caught.value.state, caught.value.event) == (state, event)


def test_the_table_is_whole():
    assert set(TRANSITIONS) == STORED
    refused = {(s, e) for s in STORED for e in CopyEvent if e not in TRANSITIONS[s]}
    assert refused == set(IMPOSSIBLE)


def test_every_state_that_an_agent_reports_is_taken_in_every_state():
    reports = {report_of(state) for state in AGENT_TRANSITIONS if state is not S.ABSENT}
    for state in STORED:
        assert {next_state(state, report) for report in reports} <= STORED


def test_the_agents_table_is_closed_and_leads_everywhere_and_out_again():
    assert set().union(*AGENT_TRANSITIONS.values()) == set(AGENT_TRANSITIONS) - {S.ABSENT}
    for state in AGENT_TRANSITIONS:
        reached, before = {state}, set()
        while reached != before:
            before, reached = reached, reached.union(*(AGENT_TRANSITIONS[each] for each in reached))
        assert S.UNLOADED in reached


@pytest.mark.parametrize(
    ("state", "serves", "keeps", "occupies"),
    [
        (S.LOADED, True, True, True),
        (S.EVICTING, True, True, True),
        (S.EVICT_REQUESTED, True, True, True),
        (S.EVICTED, True, True, True),
        (S.LOADING, False, True, True),
        (S.REQUESTED, False, True, True),
        (S.UNLOAD_REQUESTED, False, False, True),
        (S.UNLOADING, False, False, True),
        (S.UNLOADED, False, False, False),
        (S.FAILED, False, False, False),
        (S.ABSENT, False, False, False),
    ],
)
def test_what_a_copy_is_good_for(state, serves, keeps, occupies):
    assert (state.serves, state.keeps, state.occupies) == (serves, keeps, occupies)
    assert state.under_way is (state is S.LOADING)

"""From what is to what is planned."""

from __future__ import annotations

from tests.support.placement import demand, holding, replica, server, snapshot

from bailie.lifecycle.copies import Presence
from bailie.placement import diff, place


def commands(demands, servers, holdings=()):
    state = snapshot(demands, servers, holdings)
    found = diff(state, place(state))
    return [
        [f"{each.version.model}@{each.replica}" for each in group]
        for group in (found.to_load, found.to_unload)
    ]


def test_what_is_missing_is_loaded_in_order():
    servers = [server("s", replica(0), replica(1))]
    assert commands([demand("b", replicas=2), demand("a")], servers) == [["a@s-0", "b@s-0", "b@s-1"], []]


def test_what_is_there_or_coming_is_not_loaded_again():
    for presence in (Presence.COMING, Presence.LOADED, Presence.EVICTED):
        assert commands([demand()], [server("s", replica())], [holding("s-0", presence=presence)]) == [[], []]


def test_what_is_leaving_its_place_is_loaded_once_it_is_gone():
    assert commands([demand()], [server("s", replica())], [holding("s-0", presence=Presence.LEAVING)]) == [
        [],
        [],
    ]


def test_what_nobody_wants_is_unloaded_once():
    servers = [server("s", replica(0), replica(1))]
    held = [
        holding("s-0", identity="old"),
        holding("s-1", "gone"),
        holding("s-0", "going", presence=Presence.LEAVING),
    ]
    assert commands([demand()], servers, held) == [["iris@s-1"], ["gone@s-1", "iris@s-0"]]


def test_fewer_replicas_unload_the_rest():
    servers = [server("s", replica(0), replica(1), replica(2))]
    held = [holding(f"s-{index}") for index in range(3)]
    assert commands([demand()], servers, held) == [[], ["iris@s-1", "iris@s-2"]]

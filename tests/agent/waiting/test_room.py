"""How waiting requests share the room for them."""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.waiting.room import Room


def filled(room, requests):
    """Has requests (name, size) come in one after the other; they end with the block of the value."""
    ending = ExitStack()
    for name, size in requests:
        if room.admits(name, size):
            ending.enter_context(room.taken_by(name, size))
    return ending


def test_one_model_fills_half_two_take_two_thirds_and_there_is_room_for_the_next():
    room = Room(1000)
    with filled(room, [("a", 1)] * 2000):
        assert (room.taken("a"), room.free) == (500, 500)
        with filled(room, [("b", 1)] * 2000):
            assert (room.taken("b"), room.free) == (250, 250)
            assert room.admits("c", 1)
    with filled(room, [("a", 1), ("b", 1)] * 2000):
        assert room.taken("a") == room.taken("b") == 333
    assert room.free == 1000


def test_one_long_message_comes_in_alone():
    room = Room(1000)
    assert room.admits("a", 1000)
    assert not room.admits("a", 1001)
    with filled(room, [("a", 600)]):
        assert not room.admits("a", 1)
        assert room.admits("b", 400)
        assert not room.admits("b", 401)


requests = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 400)))


@given(requests)
def test_the_room_is_never_exceeded_and_all_of_it_comes_back(wanted):
    room = Room(1000)
    with filled(room, wanted):
        assert 0 <= room.free <= 1000
        assert sum(map(room.taken, "abcde")) == 1000 - room.free
    assert room.free == 1000
    assert not any(map(room.taken, "abcde"))


@given(requests, st.integers(1, 50))
def test_a_model_of_many_small_requests_leaves_a_place_to_the_others(wanted, number):
    """Whoever comes first: after requests of one size by one model, another one has room for as much."""
    room = Room(1000)
    with filled(room, [("a", number)] * 2000):
        assert room.taken("a") <= 500
        assert room.admits("b", number)

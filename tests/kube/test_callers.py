"""Which connection is closed where there are too many."""

from __future__ import annotations

import resource

from bailie.kube.callers import Callers, most_callers


class Transport:
    """A connection that says whether it was closed."""

    def __init__(self):
        self.closed = False

    def abort(self):
        self.closed = True


def test_the_one_at_rest_for_longest_is_closed_and_none_at_work():
    callers, made = Callers(3), [Transport() for _ in range(6)]
    for each in made[:3]:
        callers.enter(each)
    callers.work(made[0])
    callers.work(made[1])
    callers.rest(made[1])
    callers.enter(made[3])
    assert [each.closed for each in made] == [False, False, True, False, False, False]
    callers.work(made[1])
    callers.work(made[3])
    callers.enter(made[4])
    assert made[4].closed, "all others are at work"
    callers.rest(made[4])
    callers.leave(made[0])
    callers.enter(made[5])
    assert [each.closed for each in made] == [False, False, True, False, True, False]


def test_there_are_fewer_callers_than_files():
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < most_callers() < files

"""When a load that failed is tried again, and when it is given up."""

from bailie.lifecycle.retry import MOST_DEATHS, given_up


def test_a_version_is_given_up_once_it_has_ended_three_servers():
    assert [given_up(deaths) for deaths in range(MOST_DEATHS + 2)] == [False, False, False, True, True]

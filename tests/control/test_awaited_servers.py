"""The Servers that are worth a replica for versions without a place."""

from __future__ import annotations

from bailie.control.awaited_servers import AwaitedServers
from bailie.placement import Assignment, Demand, Plan, VersionId
from bailie.placement.plan import Code, Refusal

ROSE = VersionId("rose", "1")
SLEEPS = {"rare"}


def refused(*codes, server="rare", placed_on=""):
    refusals = tuple(Refusal(code=code, filter="any", server=server) for code in codes)
    demand = Demand(version=ROSE, replicas=2)
    place = {ROSE: Assignment(demand=demand, server=placed_on, replicas=(0,))} if placed_on else {}
    return Plan(assignments=place, refusals={ROSE: refusals})


def test_a_server_that_may_take_a_version_with_another_replica_is_awaited():
    for code in (Code.GOING_AWAY, Code.NO_REPLICA, Code.NOT_CONNECTED, Code.NOT_READY, Code.MEMORY_SHORT):
        assert AwaitedServers().of(SLEEPS, refused(code), {}) == SLEEPS


def test_a_server_that_may_not_sleep_or_is_not_for_the_version_is_not():
    awaited = AwaitedServers()
    assert awaited.of(SLEEPS, refused(Code.GOING_AWAY, server="other"), {}) == set()
    assert awaited.of(SLEEPS, refused(Code.NOT_PINNED), {}) == set()
    assert awaited.of(SLEEPS, refused(Code.GOING_AWAY, placed_on="other"), {}) == set()
    assert awaited.of(SLEEPS, refused(Code.MEMORY_SHORT, placed_on="rare"), {}) == SLEEPS


def test_a_server_that_has_refused_a_version_for_good_is_not_woken_for_it_again():
    awaited = AwaitedServers()
    assert awaited.of(SLEEPS, refused(Code.TOO_LARGE), {}) == set()
    assert awaited.of(SLEEPS, refused(Code.GOING_AWAY), {}) == set()
    assert awaited.of(SLEEPS, Plan(), {}) == set()
    assert awaited.of(SLEEPS, refused(Code.GOING_AWAY), {}) == SLEEPS, "it went away and is new again"


def test_a_version_that_slept_with_a_server_waits_for_that_one_alone():
    awaited, servers = AwaitedServers(), {"rare", "other"}
    here, there = (refused(Code.NO_REPLICA, server=each).refusals[ROSE] for each in ("rare", "other"))
    no_replica = here + there
    both = Plan(refusals={ROSE: no_replica})
    assert awaited.of(servers, both, {}) == servers
    assert awaited.of(servers, both, {"rose": "other"}) == {"other"}
    lacks = refused(Code.LACKS_CAPABILITY, server="other").refusals[ROSE]
    assert awaited.of(servers, Plan(refusals={ROSE: lacks}), {"rose": "other"}) == set()
    assert awaited.of(servers, Plan(refusals={ROSE: no_replica}), {"rose": "other"}) == {"rare"}


def test_the_same_plan_is_looked_at_anew_for_other_servers_alone():
    awaited, plan = AwaitedServers(), refused(Code.MEMORY_SHORT)
    assert awaited.of((), plan, {}) == set()
    assert awaited.of(SLEEPS, plan, {}) == SLEEPS
    assert awaited.of({"rare", "other"}, plan, {}) == SLEEPS
    assert awaited.of({"other"}, plan, {}) == set()

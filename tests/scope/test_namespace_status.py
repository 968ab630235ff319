from __future__ import annotations

import pytest

from bailie.scope.namespace_status import NamespaceState, Observations, namespace_status
from bailie.scope.rights import Right

READ = Right("mlops.seldon.io", "servers", "list")
WRITE = Right("", "services", "patch")
GOOD = {
    "looked": True,
    "essential": frozenset({READ}),
    "installation": "home/one",
    "owner": "home/one",
    "claimed": True,
    "since": "2026-01-01T00:00:00Z",
    "listed": True,
}
CASES = {
    "all is well": ({}, "served", "Served", ""),
    "nothing known": ({"looked": False}, "waiting", "NotLookedAt", "not looked at yet"),
    "the API is away": ({"looked": False, "trouble": "refused"}, "waiting", "NotLookedAt", "refused"),
    "no such namespace": ({"exists": False, "nothing_held": True}, "waiting", "NamespaceNotFound", "no such"),
    "no rights or no namespace": ({"nothing_held": True}, "waiting", "NoRights", "it may not ask which"),
    "it exists, and nothing is permitted": (
        {"exists": True, "nothing_held": True, "missing": (READ,)},
        "waiting",
        "MissingRights",
        "lacks list on servers.mlops.seldon.io",
    ),
    "an essential right is missing": (
        {"missing": (READ, WRITE)},
        "waiting",
        "MissingRights",
        "lacks patch on services; list on servers.mlops.seldon.io",
    ),
    "another right is missing": (
        {"missing": (WRITE,)},
        "limited",
        "MissingRights",
        "lacks patch on services",
    ),
    "upstream's operator": (
        {"upstream": "its Lease is renewed", "claimed": False, "owner": ""},
        "foreign",
        "UpstreamOperator",
        "its Lease is renewed",
    ),
    "another operator": (
        {"owner": "other/two", "claimed": False},
        "foreign",
        "ClaimedByAnother",
        "other/two has claimed it since 2026-01-01T00:00:00Z",
    ),
    "not claimed yet": ({"owner": "", "claimed": False}, "waiting", "NotClaimed", "not taken yet"),
    "claimed by a pod of ours that is gone": ({"claimed": False}, "waiting", "NotClaimed", "not taken yet"),
    "not listed yet": ({"listed": False}, "waiting", "NotListed", "not listed yet"),
    "a watch fails": ({"failures": ("away", "away")}, "waiting", "CannotBeRead", "away"),
}


@pytest.mark.parametrize(("changes", "state", "reason", "message"), CASES.values(), ids=CASES)
def test_status(changes, state, reason, message):
    found = namespace_status(Observations(**{**GOOD, **changes}))
    assert (found.state, found.reason) == (state, reason)
    assert message in found.message


def test_who_owns_it_is_said_where_somebody_does():
    assert namespace_status(Observations(**GOOD)).owner == "home/one"
    upstream = namespace_status(Observations(**{**GOOD, "upstream": "x", "owner": ""}))
    assert (upstream.owner, upstream.since) == ("Seldon Core", "")


def test_it_is_published_as_plain_data():
    assert namespace_status(Observations(**{**GOOD, "missing": (WRITE,)})).manifest() == {
        "state": "limited",
        "reason": "MissingRights",
        "message": "the operator lacks patch on services",
        "owner": "home/one",
        "since": "2026-01-01T00:00:00Z",
        "missing": ["patch services"],
    }
    assert NamespaceState("served") in set(NamespaceState)

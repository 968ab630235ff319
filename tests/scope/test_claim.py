from __future__ import annotations

import pytest

from bailie.scope.claim import Claim, claim_of, is_at_work, is_upstream_operator

UPSTREAM = {"command": ["/manager"], "args": ["--leader-elect", "--clusterwide=$(CLUSTERWIDE)"]}


def deployment(name="seldon-v2-controller-manager", ready=1, **container):
    spec = {"template": {"spec": {"containers": [container]}}}
    return {"metadata": {"name": name}, "spec": spec, "status": {"readyReplicas": ready}}


def test_a_lease_that_nobody_holds_is_nobodys_claim():
    assert claim_of({"metadata": {"name": "x"}}) == Claim("", "", "", 0.0)
    assert not claim_of({}).fresh(0)


def test_a_claim_holds_as_long_as_it_says():
    lease = {"spec": {"holderIdentity": "home/one", "leaseDurationSeconds": 15, "acquireTime": "then"}}
    claim = claim_of(lease)
    assert (claim.owner, claim.acquired) == ("home/one", "then")
    assert claim.fresh(15)
    assert not claim.fresh(15.1)


OPERATORS = {
    "upstream": (deployment(**UPSTREAM), True),
    "ours": (deployment(args=["operator"]), False),
    "ours, with a command": (deployment(command=["python", "-m", "bailie", "operator"]), False),
    "something else": (deployment("other", **UPSTREAM), False),
}


@pytest.mark.parametrize(("manifest", "expected"), OPERATORS.values(), ids=OPERATORS)
def test_upstream_is_told_by_what_it_runs(manifest, expected):
    assert is_upstream_operator(manifest) is expected


AT_WORK = {
    "a ready pod": (1, 1, True),
    "a pod that is to become ready": (1, 0, True),
    "as many pods as the API's default": (None, 0, True),
    "scaled to 0, with a pod that still is": (0, 1, True),
    "scaled to 0": (0, 0, False),
}


@pytest.mark.parametrize(("wanted", "ready", "expected"), AT_WORK.values(), ids=AT_WORK)
def test_it_is_at_work_until_its_last_pod_has_ended(wanted, ready, expected):
    made = deployment(ready=ready)
    made["spec"]["replicas"] = wanted
    assert is_at_work(made) is expected
    assert is_at_work({**made, "status": {}}) is (wanted != 0)

"""A second operator beside a move, seen by its traces."""

from __future__ import annotations

import copy
import dataclasses

import pytest
from tests.support.manifests import API_VERSION
from tests.support.plan_grounds import HOME, OLD, claim, foreign_operator, lease, model, plain, seen_as

from bailie.migration.facts import NamespaceObjects
from bailie.migration.record import MoveRecord
from bailie.migration.source import MoveSource
from bailie.migration.watch import second_writers, traces

RECORD = MoveRecord(
    namespace="team", source=MoveSource.SELDON_SCOPED, home=HOME, central="", begun="", by="mary@desk"
)
EARLY, LATE = "2026-02-02T10:00:00Z", "2026-02-02T10:00:05Z"
BY_IT = "(manager at"
OWNER = {"apiVersion": API_VERSION, "kind": "SeldonRuntime", "name": "seldon", "uid": "1"}


def written(manifest, field="spec", *, by="manager", at=EARLY, member=None):
    """The object with an entry of this writer for a field."""
    found = copy.deepcopy(manifest)
    metadata = found["metadata"]
    inner = {f"f:{member}": {}} if member else {}
    fields = {"manager": by, "operation": "Update", "time": at, "fieldsV1": {f"f:{field}": inner}}
    metadata["managedFields"] = [*metadata.get("managedFields", ()), fields]
    return found


def owned(manifest):
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [OWNER]}}


def operator(replicas, watch="team"):
    found = foreign_operator(watch)
    found["metadata"]["namespace"] = OLD
    found["spec"]["replicas"] = replicas
    return found


def told(*looks, record=RECORD):
    """The sentences at the last of some looks; nothing is said at those before."""
    seen, said = None, ()
    for facts in looks:
        assert said == ()
        before, seen = seen, traces(seen, facts)
        said = second_writers(before, seen, facts, record)
    return said


MESH = owned(plain("v1", "Service", "seldon-mesh"))
SET = owned(plain("apps/v1", "StatefulSet", "mlserver"))
WRITES = {
    "a selector": (
        [written(MESH)],
        [written(MESH, at=LATE)],
        f"Service seldon-mesh in namespace team: Seldon Core's operator wrote spec {BY_IT} {LATE})",
    ),
    "a selector of a Service that has left its owner": (
        [written(MESH)],
        [written(plain("v1", "Service", "seldon-mesh"), "metadata", at=LATE)],
        f"Service seldon-mesh in namespace team: Seldon Core's operator wrote metadata {BY_IT} {LATE})",
    ),
    "a StatefulSet": (
        [],
        [written(SET)],
        f"StatefulSet mlserver in namespace team: Seldon Core's operator wrote spec {BY_IT} {EARLY})",
    ),
    "a finalizer": (
        [model("iris")],
        [written(model("iris"), "metadata", member="finalizers")],
        f"Model iris in namespace team: Seldon Core's operator wrote metadata.finalizers {BY_IT} {EARLY})",
    ),
    "a status": (
        [written(model("iris"), "status")],
        [written(model("iris"), "status", at=LATE)],
        f"Model iris in namespace team: Seldon Core's operator wrote status {BY_IT} {LATE})",
    ),
}


@pytest.mark.parametrize(("before", "after", "text"), WRITES.values(), ids=WRITES.keys())
def test_a_write_of_seldon_cores_operator_is_told(before, after, text):
    assert told(seen_as(*before), seen_as(*before), seen_as(*after)) == (text,)


QUIET = {
    "nothing new": ([written(MESH)], [written(MESH)]),
    "another writer takes the field": ([written(MESH)], [written(MESH, by="bailie", at=LATE)]),
    "a user changes a Model": ([model("iris")], [written(model("iris"), by="kubectl-edit")]),
    "a platform's own program of that name changes a Model": ([model("iris")], [written(model("iris"))]),
    "its ConfigMap": ([], [written(plain("v1", "ConfigMap", "theirs"))]),
    "the move gives an object back to its owner": (
        [written(plain("apps/v1", "StatefulSet", "mlserver"))],
        [written(SET)],
    ),
    "an object goes": ([written(MESH)], []),
}


@pytest.mark.parametrize(("before", "after"), QUIET.values(), ids=QUIET.keys())
def test_other_writes_are_not(before, after):
    assert told(seen_as(*before), seen_as(*after)) == ()


OPERATORS = {
    "scaled up again": (operator(1), f"Deployment seldon-v2-controller-manager in namespace {OLD}: "),
    "a list that has the namespace again": (
        operator(1, "other,team"),
        "serves team (spec.replicas 1, 0 ready)",
    ),
    "at rest": (operator(0), ""),
    "at work elsewhere": (operator(1, "other"), ""),
}


@pytest.mark.parametrize(("found", "text"), OPERATORS.values(), ids=OPERATORS.keys())
def test_an_operator_that_is_at_work_for_the_namespace_is_told(found, text):
    said = told(seen_as(upstream=(operator(0),)), seen_as(upstream=(found,)))
    assert (text in said[0]) if text else (said == ())


def renewing(count, *pods, replicas=0, watch="team", holder="another-operator-0"):
    """Looks between which the Lease of the operator, which has these pods, is renewed so often."""
    for number in range(count + 1):
        found = lease("e98130ae.seldon.io", OLD, holder)
        found["spec"]["renewTime"] = f"2026-02-02T10:00:0{number}.000000Z"
        leases = {found["metadata"]["name"]: found}
        seen = {each["metadata"]["name"]: each for each in pods}
        place = NamespaceObjects(name=OLD, objects={"Lease": leases, "Pod": seen})
        yield dataclasses.replace(seen_as(upstream=(operator(replicas, watch),)), foreign=place)


def test_a_lease_that_is_renewed_without_a_pod_is_told():
    (text,) = told(*renewing(1))
    assert text == (
        f"Lease e98130ae.seldon.io in namespace {OLD}: another-operator-0 renews it (spec.renewTime "
        "2026-02-02T10:00:01.000000Z), and is no pod of Deployment seldon-v2-controller-manager there"
    )


def operators_pod(name, **spec):
    return plain("v1", "Pod", name, spec=spec)


OWN, OTHER = operators_pod("another-operator-0"), operators_pod("seldon-v2-controller-manager-x")
HOLDERS = {
    "no process that renews it": ((), 0, False),
    "its own pod, for other namespaces": ((OWN,), 3, False),
    "another process beside its pod": ((OTHER,), 1, True),
    "a pod with the network of its machine": (
        (operators_pod("seldon-v2-controller-manager-x", hostNetwork=True),),
        3,
        False,
    ),
    "another process beside a pod that has it": (
        (OTHER, operators_pod("node-exporter-x", hostNetwork=True)),
        1,
        True,
    ),
}


@pytest.mark.parametrize(("pods", "count", "told_of"), HOLDERS.values(), ids=HOLDERS.keys())
def test_the_holder_of_a_lease_is_to_be_a_pod_of_its_operator(pods, count, told_of):
    said = told(*renewing(count, *pods, replicas=len(pods), watch="other"))
    assert bool(said) is told_of


def test_the_last_renewal_of_a_pod_that_has_ended_is_not_told():
    with_pod, *_ = renewing(0, OWN, replicas=1)
    assert told(with_pod, *renewing(1)) == ()
    assert told(with_pod, *renewing(2)) != ()


def test_a_pod_that_gives_its_lease_up_before_its_end_is_not_told():
    with_pod, *_ = renewing(0, OWN, replicas=1)
    assert told(with_pod, *renewing(1, holder="")) == ()


def test_a_process_that_takes_the_lease_from_the_right_pod_is_told_at_once():
    right, *_ = renewing(0, OTHER, replicas=1, holder=OTHER["metadata"]["name"])
    stranger, *_ = renewing(0, OTHER, replicas=1)
    assert told(stranger, right) == ()
    assert told(right, stranger) != ()


def test_a_pod_that_took_its_lease_back_before_its_end_is_not_told_but_the_other_process_is():
    stranger, *_ = renewing(0, OTHER, replicas=1)
    first, second, third = renewing(2, holder=OTHER["metadata"]["name"])
    assert told(stranger, first, second) == ()
    assert ": another-operator-0 renews it" in told(stranger, first, *renewing(0))[0]
    assert told(stranger, first, second, third) != ()


@pytest.mark.parametrize(("owner", "count"), [(f"{HOME}/one", 0), ("", 0), ("elsewhere/two", 1)])
def test_an_installation_that_takes_the_claim_is_told(owner, count):
    said = told(seen_as(claim(owner)))
    assert len(said) == count
    assert all("spec.holderIdentity is elsewhere/two" in text for text in said)


def test_an_operator_that_was_never_stopped_goes_on():
    """As on the way back from a step before the one that stops it."""
    before, after = ([written(MESH, at=at)] for at in (EARLY, LATE))
    assert told(*(seen_as(*each, upstream=(operator(1),)) for each in (before, after))) == ()

from __future__ import annotations

import pytest

from bailie.api.kinds import DEPLOYMENT, POD, SELDON_RUNTIME, SERVER, SERVICE, STATEFUL_SET
from bailie.kube.informer import Change, ChangeType
from bailie.operator.triggers import ALL, objects_to_reconcile

API = "mlops.seldon.io/v1alpha1"


def thing(name="x", *, owner=None, labels=None, **spec):
    owners = [{"apiVersion": API, "kind": owner, "name": "mine"}] if owner else []
    metadata = {"name": name, "namespace": "a", "ownerReferences": owners, "labels": labels or {}}
    return {"metadata": metadata, "spec": spec}


def made(obj):
    return Change(ChangeType.ADDED, None, obj)


CASES = {
    "a pod of the laptop": (POD, made(thing(owner="Server")), {(SERVER, "mine")}),
    "a pod of a server": (POD, made(thing(labels={"seldon-server-name": "s"})), {(SERVER, "s")}),
    "a pod of a component": (
        POD, made(thing(labels={"app.kubernetes.io/name": "seldon-envoy"})), {(SELDON_RUNTIME, ALL)},
    ),
    "a pod of somebody": (POD, made(thing(labels={"app.kubernetes.io/name": "x"})), set()),
    "a stateful set": (STATEFUL_SET, made(thing(owner="Server")), {(SERVER, "mine")}),
    "a deployment of a runtime": (DEPLOYMENT, made(thing(owner="SeldonRuntime")), {(SELDON_RUNTIME, "mine")}),
    "one with a name of ours": (DEPLOYMENT, made(thing("seldon-envoy")), {(SELDON_RUNTIME, ALL)}),
    "one with a server's name": (STATEFUL_SET, made(thing("mlserver")), {(SERVER, "mlserver")}),
    "a hand-made Service": (SERVICE, made(thing("seldon-mesh")), {(SELDON_RUNTIME, ALL)}),
    "a Service that goes": (
        SERVICE, Change(ChangeType.DELETED, thing("seldon-scheduler"), None), {(SELDON_RUNTIME, ALL)},
    ),
    "a Service that is edited": (
        SERVICE, Change(ChangeType.MODIFIED, thing("m", a=1), thing("m", a=2)), {(SERVER, "m")},
    ),
    "a Service seen again": (SERVICE, Change(ChangeType.MODIFIED, thing("m"), thing("m")), set()),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "expected"), CASES.values(), ids=CASES)
def test_whom_a_change_concerns(kind, change, expected):
    assert objects_to_reconcile(kind, change) == expected

"""A second operator of Seldon Core's wakes up in each step of a move, in both directions and in `finish`.

The deeds are those of the kit's evil twin. The stand-in for the namespace checks after every write of the
move that each model is answered; the deeds themselves are no writes of the move.
"""

from __future__ import annotations

import copy
import dataclasses
import re

import pytest
from tests.support.moves import Quiet
from tests.support.seldon_move import OLD, SERVERS, TEAM, SeldonNamespace, places
from tests.support.upstream.resources import finalizer

from bailie.api import kinds
from bailie.migration.errors import Paused, WaitEnded
from bailie.migration.seldon_steps import SELDON_STEPS
from bailie.migration.source import MoveSource
from bailie.migration.steps import nothing
from bailie.scope.claim import UPSTREAM_LEASE
from bailie.wellknown import labels, names

LOOKS = 3
"""A wait looks at least once a second, so that so many looks are within five seconds."""
_AT = "2026-02-02T00:00:{:02}Z"


def wrote(item, *path, second=0):
    """Notes that Seldon Core's operator has written a field."""
    fields = {}
    for name in reversed(path):
        fields = {f"f:{name}": fields}
    entry = {"manager": "manager", "operation": "Update", "time": _AT.format(second), "fieldsV1": fields}
    others = [each for each in item["metadata"].get("managedFields", ()) if each["manager"] != "manager"]
    item["metadata"]["managedFields"] = [*others, entry]


def put_selector_back(there, second):
    service = there.get(kinds.SERVICE, TEAM, names.MESH)
    service["spec"]["selector"] = {labels.NAME: names.ENVOY}
    wrote(service, "spec", "selector", second=second)


def make_set_again(there, second):
    """Makes the StatefulSet of a Server, or writes over the one of its name."""
    server = there.get(kinds.SERVER, TEAM, SERVERS[0])
    there.objects.setdefault((kinds.STATEFUL_SET.kind, TEAM, SERVERS[0]), _new_set(server))
    wrote(there.get(kinds.STATEFUL_SET, TEAM, SERVERS[0]), "spec", "template", second=second)


def _new_set(server):
    owner = {"apiVersion": server["apiVersion"], "kind": "Server", "uid": server["metadata"]["uid"]}
    metadata = {"name": SERVERS[0], "namespace": TEAM, "uid": "again", "ownerReferences": [owner]}
    marks = {labels.SERVER: SERVERS[0]}
    spec = {"replicas": 1, "selector": {"matchLabels": marks}, "template": {"metadata": {"labels": marks}}}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def put_finalizer_back(there, second):
    model = there.get(kinds.MODEL, TEAM, "iris")
    model["metadata"]["finalizers"] = [finalizer("Model")]
    wrote(model, "metadata", "finalizers", second=second)


def scale_operator_up(there, _second):
    there.get(kinds.DEPLOYMENT, OLD, names.OPERATOR)["spec"]["replicas"] = 1


def renew_lease(there, second):
    spec = {"holderIdentity": "another-operator-0", "renewTime": _AT.format(second)}
    there.make_one(kinds.LEASE, UPSTREAM_LEASE, {"spec": spec}, OLD)


DEEDS = {
    "Service selector": (put_selector_back, r"Service seldon-mesh in namespace team"),
    "StatefulSet": (make_set_again, r"StatefulSet mlserver in namespace team"),
    "finalizer": (put_finalizer_back, r"metadata\.finalizers .*manager at"),
    "operator scaled up": (
        scale_operator_up,
        r"Deployment seldon-v2-controller-manager in namespace seldon-sys",
    ),
    "Lease": (renew_lease, r"another-operator-0 renews it \(spec\.renewTime"),
}


class Keeping(Quiet):
    """Keeps the namespace as it is when each step begins."""

    def __init__(self, there):
        self._there, self.begun = there, {}

    def step(self, step, direction):
        self.begun[f"{direction} {step.name}"] = copy.deepcopy(self._there)


class Waking(Quiet):
    """Has a second operator act in a step: before each look but the first."""

    def __init__(self, there, where, deed):
        self._there, self._where, self._deed = there, where, deed
        self.awake, self.watched, self.looks = False, True, 0
        """`looks`: since the operator woke up."""

    def step(self, step, direction):
        self.watched = (step.quiet_back if direction == "rollback" else step.quiet) is not None
        self.awake = self.awake or self._where == f"{direction} {step.name}"

    async def look(self, places_of):
        if self.awake and self.watched:
            self.looks += 1
            if self.looks > 1:
                self._deed(self._there, self.looks)
        return await self._there.look(places_of)


async def begun():
    """The namespace at the begin of each step of `apply`, `finish` and `rollback`."""
    there = SeldonNamespace(listed=())
    going = Keeping(there)
    executor = there.executor(tell=going)
    record = await executor.apply(await executor.begin(MoveSource.SELDON_SCOPED, places()))
    back = copy.deepcopy(there)
    await executor.finish(record)
    returning = Keeping(back)
    await back.executor(tell=returning).rollback(record)
    return {**going.begun, **returning.begun}


STEPS = [
    *(f"apply {each.name}" for each in SELDON_STEPS if each.quiet and not each.no_return),
    *(f"rollback {each.name}" for each in SELDON_STEPS if each.quiet is nothing and not each.no_return),
    *(f"finish {each.name}" for each in SELDON_STEPS if each.no_return),
]


@pytest.mark.parametrize(("deed", "text"), DEEDS.values(), ids=DEEDS.keys())
async def test_a_second_operator_pauses_every_step_and_is_named(deed, text):
    grounds = await begun()
    assert grounds.keys() >= set(STEPS)
    for step in STEPS:
        there = grounds[step]
        waking = Waking(there, step, deed)
        executor = there.executor(tell=waking, look=waking.look)
        record = await executor.recorded()
        said = await paused(getattr(executor, step.partition(" ")[0])(record))
        if said or deed is not renew_lease:
            assert re.search(text, said), f"{step}: {said}"
        looks = _TRIES if (step, deed) == ("apply freeze", scale_operator_up) else LOOKS
        assert waking.looks <= looks + 1, step


_TRIES = 10
"""How often a step makes a write that somebody undoes at once, each time on a fresh look."""


def returning(patience):
    """The steps, with a wait for Seldon Core's operator that does not end by itself."""

    def waits(facts, record):
        return ("mlserver: it has no pods yet",)

    changed = {"returned": waits, "patience": patience}
    return [dataclasses.replace(each, **changed) if each.name == "freeze" else each for each in SELDON_STEPS]


async def test_while_seldon_core_has_the_namespace_again_a_second_operator_is_known_by_its_lease():
    there = (await begun())["rollback freeze"]
    waking = Waking(there, "rollback freeze", renew_lease)
    executor = there.executor(steps=lambda _: returning(30.0), tell=waking, look=waking.look)
    said = await paused(executor.rollback(await executor.recorded()))
    assert re.search(r"step freeze: Lease .*another-operator-0 renews it .* is no pod of Deployment", said)
    assert waking.looks <= LOOKS + 2


@pytest.mark.parametrize("deed", [put_selector_back, make_set_again, put_finalizer_back])
async def test_while_seldon_core_has_the_namespace_again_its_operator_writes_as_it_likes(deed):
    there = (await begun())["rollback freeze"]
    waking = Waking(there, "rollback freeze", deed)
    executor = there.executor(steps=lambda _: returning(0.5), tell=waking, look=waking.look)
    with pytest.raises(WaitEnded, match="mlserver: it has no pods yet"):
        await executor.rollback(await executor.recorded())
    assert waking.looks > LOOKS


async def paused(moving):
    """The sentence of a pause; empty where the move came to its end."""
    try:
        await moving
    except Paused as error:
        return error.message
    return ""

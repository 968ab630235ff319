"""Records that an author of the namespace has edited: a move changes nobody else's objects by them.

All that it may change of another namespace is whether lists there have the name of the one that moves.
"""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
from tests.support.moves import CENTRAL, HOME, PLACES, TEAM, CentralNamespace
from tests.support.seldon_move import OLD, SeldonNamespace, places

from bailie.api import kinds
from bailie.migration.errors import MoveError
from bailie.migration.foreign import operator_of
from bailie.migration.record import MoveRecord
from bailie.migration.source import MoveSource
from bailie.migration.start import steps_of
from bailie.scope.central import served_of
from bailie.wellknown import names

VICTIM = "victim"


def impatient(record):
    return tuple(dataclasses.replace(each, patience=0.01) for each in steps_of(record))


def operator_in(there, namespace, command, *, replicas):
    flags = ["--clusterwide=true", f"--watch-namespaces={namespace}"]
    pod = {"containers": [{"name": "manager", "command": [command], "args": flags}]}
    deployment = {"spec": {"replicas": replicas, "template": {"spec": pod}}}
    there.make_one(kinds.DEPLOYMENT, names.OPERATOR, deployment, namespace)


def with_neighbours(there):
    """Adds Bailie's own operator, and a namespace with operators, lists and a runtime that are others'."""
    operator_in(there, HOME, "operator", replicas=1)
    operator_in(there, VICTIM, "/manager", replicas=0)
    there.make_one(kinds.CONFIG_MAP, names.WATCH_LIST, {"data": {names.NAMESPACES_KEY: "other\n"}}, VICTIM)
    return there


def beside(there):
    """The objects of all other namespaces, with their lists apart and without the name that moves."""
    found = {}
    for key, each in there.objects.items():
        if key[1] == TEAM or key[0] == kinds.LEASE.kind:
            continue
        item = copy.deepcopy(each)
        item.pop("status", None)
        item["metadata"] = {}
        listed = ()
        if key[0] == kinds.DEPLOYMENT.kind:
            listed = operator_of({**item, "metadata": each["metadata"]}).namespaces or ()
            for container in item["spec"]["template"]["spec"]["containers"]:
                container.pop("args"), container.pop("env", None)
        elif key[2] == names.WATCH_LIST:
            listed = item["data"].pop(names.NAMESPACES_KEY).split()
        elif key[0] == kinds.SELDON_RUNTIME.kind:
            listed = served_of(item)
            item["spec"].pop("servesNamespaces", None)
        found[key] = (item, set(listed) - {TEAM})
    return found


FORGED = {
    "an operator that is stopped": {"foreign": VICTIM, "replicas": 50},
    "Bailie's operator as Seldon Core's": {"foreign": HOME, "replicas": 50},
    "the home of another installation": {"home": VICTIM},
    "another namespace's mesh": {"mesh": f"seldon-mesh.{VICTIM}.svc.cluster.local"},
    "objects that were there": {"made": ["Role/agent-role", "Secret/seldon-control-plane"]},
    "Servers of no move": {"one_by_one": ["mlserver", "triton"]},
}


@pytest.mark.parametrize("direction", ["apply", "rollback", "finish"])
@pytest.mark.parametrize("fields", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_record_of_a_move_from_seldon_core_touches_no_other_namespace(fields, direction):
    there = with_neighbours(SeldonNamespace())
    there.tolerated = {"mlserver", "triton"}
    record = await there.executor().begin(MoveSource.SELDON_SCOPED, places())
    record = await there.executor(steps=impatient).apply(record, "serve" if direction != "finish" else "")
    untouched = beside(there)
    forged = json.loads(record.text()) | fields
    there.make_one(
        kinds.CONFIG_MAP, names.MIGRATION_RECORD, {"data": {names.MIGRATION_KEY: json.dumps(forged)}}
    )
    executor = there.executor(steps=impatient)
    said = await ended(getattr(executor, direction)(await executor.recorded()))
    after = beside(there)
    operator = kinds.DEPLOYMENT.kind, OLD, names.OPERATOR  # the one that the namespace is taken from
    for found in (untouched, after):
        found[operator][0]["spec"].pop("replicas")
    assert after == untouched, said


@pytest.mark.parametrize("direction", ["apply", "rollback", "finish"])
@pytest.mark.parametrize("fields", [{"central": VICTIM}, {"home": VICTIM}, {"listed": False}])
async def test_a_forged_record_of_a_move_from_a_central_scheduler_touches_no_other_namespace(
    fields, direction
):
    there = CentralNamespace()
    spec = {"seldonConfig": "default", "servesNamespaces": ["other"]}
    there.put(kinds.SELDON_RUNTIME, VICTIM, "seldon", {"spec": spec})
    record = await there.executor().begin(MoveSource.BAILIE_CENTRAL, PLACES)
    record = await there.executor(steps=impatient).apply(record, "rights" if direction == "apply" else "")
    untouched = beside(there)
    forged = MoveRecord(
        **{each.name: getattr(record, each.name) for each in dataclasses.fields(record)} | fields
    )
    said = await ended(getattr(there.executor(steps=impatient), direction)(forged))
    assert beside(there) == untouched, said
    assert served_of(there.get(kinds.SELDON_RUNTIME, CENTRAL, "seldon")) in {(), (TEAM,)}


async def ended(moving):
    """The sentence of an end before the end; empty where the move came to its end."""
    try:
        await moving
    except MoveError as error:
        return error.message
    return ""

"""A plan as a value: what it counts, and the order of several."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import BailieGround, SeldonGround, model, seen_as

from bailie.api.crd import crd_manifests
from bailie.doctor.facts import InstallationView
from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.migration.facts import by_name
from bailie.migration.finding import blocker
from bailie.migration.plan import in_order, make_plan

SHARED = (
    mlserver_config("bailie-home", image="bailie:1", server_image="bailie-mlserver:1"),
    seldon_config("bailie-home", image="bailie:1"),
)
HOME = (InstallationView(home="bailie-home", alive=True),)


def planned(ground, *more, refused=()):
    objects = (*ground.objects.values(), *more)
    around = {"installations": HOME, "definitions": by_name(crd_manifests()), "shared": SHARED}
    return make_plan(seen_as(*objects, name=ground.namespace, **around), refused=refused)


def test_namespaces_without_blockers_come_first_then_the_smaller_ones():
    fault = blocker("test", "Namespace x", "it is in the way", "take it away")
    stuck = planned(SeldonGround("a"), refused=(fault,))
    large = planned(SeldonGround("b"), model("second"))
    small, twin = planned(SeldonGround("d")), planned(SeldonGround("c"))
    assert stuck.findings[0] == fault
    assert [plan.namespace for plan in in_order([stuck, large, small, twin])] == ["c", "d", "b", "a"]


@pytest.mark.parametrize(("ground", "memory"), [(BailieGround("a"), 0), (SeldonGround("a"), 2 * 2**30)])
def test_what_a_move_takes(ground, memory):
    template = ground["StatefulSet/mlserver"]["spec"]["template"]["spec"]
    template["containers"][2]["resources"] = {"requests": {"memory": "2Gi"}}
    plan = planned(ground)
    assert (plan.memory, plan.seconds > 0) == (memory, True)
    assert plan.data()["memoryBytes"] == memory

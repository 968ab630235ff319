"""Which namespaces a scheduler serves, kept namespace by namespace."""

from __future__ import annotations

import pytest

from bailie.operator.centrals import Centrals


class World:
    """Namespaces with a runtime each; notes whom it was asked about. Stands for its informers, too."""

    def __init__(self, **central):
        self.runtimes = {name: runtime(name, other) for name, other in central.items()}
        self.asked = set()
        self.served = self

    @property
    def namespaces(self):
        return frozenset(self.runtimes)

    def runtime_of(self, namespace):
        self.asked.add(namespace)
        return self.runtimes.get(namespace)

    def get(self, kind, key):
        self.asked.add(key[0])


def runtime(namespace, central=""):
    return {"metadata": {"namespace": namespace}, "spec": {"schedulerNamespace": central}}


@pytest.fixture
def world():
    return World(a="hub", b="hub", c="", hub="hub")


@pytest.fixture
def centrals(world):
    found = Centrals(world)
    for namespace in world.namespaces:
        found.update(namespace)
    return found


def test_both_ends_of_a_change_are_told(world, centrals):
    assert centrals.served_by("hub") == ("a", "b")
    world.runtimes["a"] = runtime("a", "c")
    assert centrals.update("a") == {"hub", "c"}
    assert (centrals.served_by("hub"), centrals.served_by("c")) == (("b",), ("a",))
    assert centrals.update("a") == frozenset()


def test_a_namespace_that_is_not_watched_any_more_leaves_the_index(world, centrals):
    del world.runtimes["a"]
    assert centrals.update("a") == {"hub"}
    assert centrals.served_by("hub") == ("b",)


def test_a_change_looks_at_no_other_namespace(world, centrals):
    world.asked.clear()
    centrals.update("b")
    centrals.served_by("hub")
    assert world.asked == {"b"}

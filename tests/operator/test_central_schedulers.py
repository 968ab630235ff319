"""Which namespaces a scheduler serves, kept namespace by namespace."""

from __future__ import annotations

import pytest

from bailie.operator.central_schedulers import CentralSchedulers
from bailie.operator.conditions import SCHEDULER_REFUSED, scheduler_refused


class Cache:
    """Namespaces with a runtime each; notes whom it was asked about. Stands for its informers, too."""

    def __init__(self, **central):
        self.runtimes = {name: runtime(name, other) for name, other in central.items()}
        self.asked = set()
        self.out_of_sight = set()
        self.served = self

    @property
    def namespaces(self):
        return frozenset(self.runtimes)

    def runtime_of(self, namespace):
        self.asked.add(namespace)
        return self.runtimes.get(namespace)

    def is_known(self, namespace):
        return namespace in self.runtimes and namespace not in self.out_of_sight

    def get(self, kind, key):
        self.asked.add(key[0])


def runtime(namespace, central="", *, serves=("a", "b"), reason="", message=""):
    return {
        "metadata": {"namespace": namespace},
        "spec": {"schedulerNamespace": central, "servesNamespaces": list(serves)},
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
        },
    }


@pytest.fixture
def cache():
    return Cache(a="hub", b="hub", c="", hub="hub")


@pytest.fixture
def central_schedulers(cache):
    found = CentralSchedulers(cache)
    for namespace in cache.namespaces:
        found.update(namespace)
    return found


def test_both_ends_of_a_change_are_told(cache, central_schedulers):
    assert central_schedulers.served_by("hub") == ("a", "b")
    cache.runtimes["a"] = runtime("a", "c")
    assert central_schedulers.update("a") == {"hub", "c"}
    assert (central_schedulers.served_by("hub"), central_schedulers.served_by("c")) == (("b",), ("a",))
    assert central_schedulers.update("a") == frozenset()


def test_a_namespace_that_is_not_watched_any_more_leaves_the_index(cache, central_schedulers):
    del cache.runtimes["a"]
    assert central_schedulers.update("a") == {"hub"}
    assert central_schedulers.served_by("hub") == ("b",)


def test_a_change_looks_at_no_other_namespace(cache, central_schedulers):
    cache.asked.clear()
    central_schedulers.update("b")
    central_schedulers.served_by("hub")
    assert cache.asked <= {"b", "hub"}


LETS = {
    "both": (("a", "b"), ("a", "b")),
    "one": (("b", "x"), ("b",)),
    "whoever asks": (("*",), ("a", "b")),
    "nobody": ((), ()),
}


@pytest.mark.parametrize(("serves", "served"), LETS.values(), ids=LETS)
def test_only_who_is_let_is_served(cache, central_schedulers, serves, served):
    cache.runtimes["hub"] = runtime("hub", serves=serves)
    assert central_schedulers.served_by("hub") == served
    assert central_schedulers.asking("hub") == ("a", "b")
    refused = {name: central_schedulers.refused_by(name) for name in ("a", "b", "c", "hub")}
    assert refused == {name: "hub" if name in {"a", "b"} - set(served) else "" for name in refused}
    assert [name for name in ("a", "b") if central_schedulers.lets("hub", name)] == list(served)


def test_what_was_said_holds_while_the_other_side_is_out_of_sight(cache, central_schedulers):
    cache.out_of_sight.add("hub")
    assert central_schedulers.refused_by("a") == ""
    said = {"reason": SCHEDULER_REFUSED, "message": scheduler_refused("hub", "a")}
    cache.runtimes["a"] = runtime("a", "hub", **said)
    assert central_schedulers.refused_by("a") == "hub"
    cache.out_of_sight.add("elsewhere")
    cache.runtimes["a"] = runtime("a", "elsewhere", **said)
    assert central_schedulers.refused_by("a") == ""


def test_a_namespace_without_a_runtime_refuses_nobody(cache, central_schedulers):
    cache.runtimes["hub"] = None
    assert central_schedulers.refused_by("a") == ""
    assert central_schedulers.served_by("hub") == ()

"""Nothing is left of a namespace that leaves the scope, wherever the operator may have noted it."""

from __future__ import annotations

import dataclasses

from tests.support.waiting import until

from bailie.api.kinds import SELDON_RUNTIME, SERVER
from bailie.kube.client import Client
from bailie.kube.events import Recorder
from bailie.kube.queue import KeyQueue
from bailie.workloads.kubernetes import KubernetesWorkloads

PASSING = (Client, Recorder, KeyQueue)
"""Of bounded memory: the newest thousand Events, and keys that come once more, within five minutes."""
PLAIN = (dict, list, tuple, set, frozenset)


def texts(root):
    """Yields every text in the fields of an object of Bailie's, and of all that it holds, with its place."""
    waiting, seen = [("operator", root)], set()
    while waiting:
        place, each = waiting.pop()
        if isinstance(each, str):
            yield place, each
        elif id(each) in seen or isinstance(each, PASSING):
            continue
        seen.add(id(each))
        if isinstance(each, dict):
            waiting += [(place, key) for key in each]
            waiting += [(f"{place}[{key!r}]", value) for key, value in each.items()]
        elif isinstance(each, PLAIN):
            waiting += [(place, value) for value in each]
        elif type(each).__module__.startswith("bailie."):
            waiting += [(f"{place}.{name}", value) for name, value in fields(each)]


def fields(value):
    if dataclasses.is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return [*getattr(value, "__dict__", {}).items()]


def told(operator, *words):
    """Returns the texts with one of these words, each with the places where the operator has it."""
    found = {}
    for place, text in texts(operator):
        if any(word in text for word in words):
            found.setdefault(text, set()).add(place)
    return found


async def uids(installation, namespace):
    found = [(SELDON_RUNTIME, "seldon"), (SERVER, "mlserver")]
    return [(await installation.admin.get(kind, name, namespace))["metadata"]["uid"] for kind, name in found]


async def test_a_namespace_that_leaves_and_comes_back_leaves_nothing_behind(installation):
    installation.workloads = KubernetesWorkloads(installation.client)
    namespace = installation.b
    await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "default"}, namespace)
    spec = {"serverConfig": "mlserver", "disableAutoUpdate": True}
    await installation.make("Server", "mlserver", spec, namespace)
    left = {installation.a}
    async with installation.operator(watch=tuple(left)) as operator:
        await until(lambda: set(operator.scope.state()) == left)
        for _ in range(3):
            operator.scope.serve({*left, namespace})
            await installation.until(SERVER, "mlserver", "False", namespace=namespace)
            await installation.until(SELDON_RUNTIME, "seldon", "False", namespace=namespace)
            words = (namespace, *await uids(installation, namespace))
            await until(lambda words=words: {*words} <= {*told(operator, *words)})
            operator.scope.serve(left)
            await until(lambda: set(operator.scope.state()) == left)
            await until(lambda: not any(each.queue._working for each in operator._controllers.values()))
            assert told(operator, *words) == {}


async def test_nothing_is_left_of_servers_that_are_made_and_deleted(installation):
    """Whoever makes and deletes Servers without end would fill the memory of the operator of all."""
    installation.workloads = KubernetesWorkloads(installation.client)
    async with installation.operator() as operator:
        for number in range(5):
            name = f"of-a-moment-{number}"
            await installation.make("Server", name, {"serverConfig": "mlserver"})
            await installation.until(SERVER, name, "False")
            assert name in told(operator, name)
            await installation.admin.delete(SERVER, name, installation.a)
        controllers = operator._controllers.values()
        await until(lambda: not told(operator, "of-a-moment"))
        assert all(not each.queue._failures for each in controllers)

"""The memory of the engine, while objects and agents come and go that all have new names."""

from __future__ import annotations

from collections import Counter, deque

from tests.support.fences import strict
from tests.support.fleet import EVICTED, FAILED, LOADED
from tests.support.manifests import manifest_of
from tests.support.passes import Pass

from bailie.control.engine import Engine, EnginePorts
from bailie.control.experiment_subjects import ExperimentSubjects
from bailie.control.pipeline_subjects import PipelineSubjects
from bailie.placement import ReplicaId
from bailie.scaling import Sample
from bailie.scaling.idle import ANNOTATION

LONG = 4_000.0
"""Seconds after which nothing that was once there matters any more."""


def sizes(root):
    """Counts the elements of all containers that hang from objects of Bailie, by class and attribute."""
    found, seen, left = Counter(), set(), [(root, "")]
    while left:
        each, label = left.pop()
        if id(each) in seen or isinstance(each, (str, bytes, int, float, type)):
            continue
        seen.add(id(each))
        if isinstance(each, dict):
            found[label] += len(each)
            left += [(value, label) for pair in each.items() for value in pair]
        elif isinstance(each, (list, set, frozenset, tuple, deque)):
            found[label] += len(each)
            left += [(value, label) for value in each]
        elif type(each).__module__.startswith("bailie."):
            left += [(value, f"{type(each).__name__}.{name}") for name, value in attributes(each)]
    return found


def attributes(each):
    slots = [name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())]
    yield from vars(each).items() if hasattr(each, "__dict__") else ()
    yield from ((name, getattr(each, name)) for name in slots if hasattr(each, name))


class World(Pass):
    """A namespace with one Server and one Model that stay."""

    def __init__(self):
        super().__init__()
        factories = (PipelineSubjects, ExperimentSubjects)
        self.engine = Engine(
            "a",
            EnginePorts(
                objects=lambda kind: self._objects()[kind].values(),
                agents=self.agents,
                publisher=self.publisher,
                notify=strict,
            ),
            further=factories,
        )
        self.agents.connect()
        self.served("stays")

    def come(self, number):
        """Brings a Server with two replicas, Models that are loaded, fail and fit nowhere, and others for
        which these answer."""
        server, names = f"server-{number}", [f"{kind}-{number}" for kind in ("good", "bad", "unfit", "more")]
        self.server(server, replicas=2, annotations={ANNOTATION: "10m"})
        self.servers[server]["spec"] |= {"minReplicas": 0, "maxReplicas": 3}
        self.replicas = [ReplicaId(server, index) for index in (0, 1)]
        for replica in self.replicas:
            self.agents.connect(replica, capabilities=("sklearn", "rare"))
        for name in names:
            needs = ["nobody-has-it"] if name.startswith("unfit") else ["rare"]
            idle = {ANNOTATION: "1m"} if name.startswith("more") else {}
            identity = self.model(name, requirements=needs, metadata={"annotations": idle})
            self.step()
            state = FAILED if name.startswith("bad") else LOADED
            for replica in self.replicas if not name.startswith("unfit") else ():
                self.agents.report(name, identity, 1, state, replica=replica)
            self.step()
        self.experiment(f"experiment-{number}", **{names[0]: 90, names[3]: 10}, default=names[0])
        steps = [{"name": name} for name in (names[0], names[3])]
        spec = {"steps": steps, "output": {"steps": [names[0]]}}
        self.pipelines[f"pipeline-{number}"] = manifest_of("Pipeline", f"pipeline-{number}", spec)
        self.engine.measure(
            {name: Sample(at=self.time, seconds=2.0, in_flight=1, ended=5, busy=1.0) for name in names}
        )
        self.engine.note_used(self.now(), names)
        self.step(1.0)
        self.agents.report(names[3], "another", 2, EVICTED, replica=self.replicas[0])
        self.agents.change(self.replicas[1], draining=True)
        self.step(1.0)
        return server, names

    def go(self, server, names):
        """Takes everything away again: some agents first, some last."""
        self.agents.disconnect(self.replicas[0])
        self.step(1.0)
        for name in names:
            del self.models[name]
        self.experiments.clear()
        self.pipelines.clear()
        self.step(1.0)
        del self.servers[server]
        self.step(1.0)
        self.agents.disconnect(self.replicas[1])
        for seconds in (1.0, 10.0, LONG, LONG):
            self.step(seconds)


def test_nothing_is_kept_of_objects_and_agents_that_are_gone():
    """Whatever grows with names that come from outside would be the memory of a stranger who makes them."""
    world, kept = World(), []
    for number in range(12):
        world.go(*world.come(number))
        kept.append(sizes(world.engine))
    early, late = kept[3], kept[-1]
    assert {name: (early[name], late[name]) for name in late if late[name] > early[name]} == {}
    assert sum(late.values()) > 20

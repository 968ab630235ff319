"""An engine that goes pass by pass: a state of the world goes in, commands, routes and facts come out."""

from __future__ import annotations

from tests.support.fences import strict
from tests.support.fleet import LOADED, Agents
from tests.support.manifests import manifest_of
from tests.support.publisher import RecordingPublisher

from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE, SELDON_RUNTIME, SERVER
from bailie.api.model import Model, content_identity
from bailie.control.engine import Engine, EnginePorts
from bailie.control.experiment_subjects import ExperimentSubjects
from bailie.control.load_failures import Now
from bailie.lifecycle.version import VersionState, state_of


class Pass:
    """An engine with a clock that the test turns."""

    def __init__(self, further=()):
        self.further = further
        self.agents = Agents()
        self.publisher = RecordingPublisher()
        self.models = {}
        self.servers = {}
        self.experiments = {}
        self.runtimes = {}
        self.pipelines = {}
        self.time = 100.0
        self.wall = 1000.0
        self.reports = []
        self.server()
        self.engine = self.new_engine()

    def new_engine(self):
        """As a leader begins: it knows nothing yet."""
        return Engine(
            "a",
            self.ports(),
            further=[lambda *_, kind=kind: kind for kind in self.further] or [ExperimentSubjects],
        )

    def ports(self, notify=strict):
        return EnginePorts(
            objects=lambda kind: self._objects()[kind].values(),
            agents=self.agents,
            publisher=self.publisher,
            notify=notify,
        )

    def _objects(self):
        return {
            MODEL: self.models,
            SERVER: self.servers,
            EXPERIMENT: self.experiments,
            SELDON_RUNTIME: self.runtimes,
            PIPELINE: self.pipelines,
        }

    def server(self, name="mlserver", replicas=1, running=0, **metadata):
        spec = {"serverConfig": "mlserver", "replicas": replicas}
        self.servers[name] = {
            **manifest_of("Server", name, spec, **metadata),
            "status": {"replicas": running},
        }

    def model(self, name="iris", generation=1, metadata=None, **spec):
        """Applies a Model; returns the identity of its content."""
        manifest = manifest_of("Model", name, {"storageUri": "/m", **spec}, generation=generation)
        manifest["metadata"] |= metadata or {}
        self.models[name] = manifest
        found, _ = Model.parse(manifest)
        return content_identity(found) if found else ""

    def experiment(self, name="flower", generation=1, metadata=None, **spec):
        """Applies an Experiment; `spec` has `iris=90` for a candidate, and the other fields as they are."""
        fields = {key: spec.pop(key) for key in ("default", "mirror", "resourceType") if key in spec}
        candidates = [{"name": each, "weight": weight} for each, weight in spec.items()]
        manifest = manifest_of(
            "Experiment", name, {"candidates": candidates, **fields}, generation=generation
        )
        manifest["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z", **(metadata or {})}
        self.experiments[name] = manifest

    def step(self, seconds=0.0):
        """Lets time pass, runs one pass, returns the commands."""
        self.time += seconds
        for _ in self.engine.steps(self.now()):
            pass
        for report in self.reports:
            report(self.engine.result)
        return self.agents.take_sent()

    def now(self):
        """The moment on both clocks."""
        return Now(self.time, self.wall + self.time)

    def state(self, name="iris"):
        return state_of(self.engine.result.facts[name].version)

    def served(self, name="iris", **spec):
        """A model that is loaded and routed; returns its identity."""
        identity = self.model(name, **spec)
        self.step()
        self.agents.report(name, identity, 1, LOADED, declared_bytes=0)
        self.step()
        self.step()
        assert self.state(name) is VersionState.AVAILABLE
        return identity

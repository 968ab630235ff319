"""The custom resources of a namespace of upstream's, with its finalizers and statuses. Pure.

Called by `install`. `statuses` is written after the objects, by the status subresource. In upstream's
conditions the token is in `message` and the text for people in `reason`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.upstream.facts import SERVER
from tests.support.upstream.owners import put_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.upstream.facts import Manifest, Upstream

_VERSION = "mlops.seldon.io/v1alpha1"
_SINCE = "2026-01-05T10:00:00Z"


def finalizer(kind: str) -> str:
    """Returns the finalizer that upstream's operator puts on objects of a kind."""
    return f"seldon.{kind.removeprefix('Seldon').lower()}.finalizer"


def resources(facts: Upstream) -> list[Manifest]:
    """Returns Models, Pipelines, Experiments, and an autoscaler where there is one."""
    made = [*_models(facts), *_pipelines(facts), *_experiments(facts)]
    return [*(put_by(each, facts.owner) for each in made), *_autoscalers(facts)]


def _models(facts: Upstream) -> Iterator[Manifest]:
    for model in facts.models:
        spec = {
            "storageUri": f"{facts.artifacts}/{model.name}",
            "requirements": ["python"],
            "server": model.server,
            "memory": "1Mi",
            "replicas": facts.servers[model.server],
        }
        yield _resource(facts, "Model", model.name, spec)


def _pipelines(facts: Upstream) -> Iterator[Manifest]:
    for name in facts.pipelines:
        step = {"name": facts.models[0].name}
        yield _resource(facts, "Pipeline", name, {"steps": [step], "output": {"steps": [step["name"]]}})


def _experiments(facts: Upstream) -> Iterator[Manifest]:
    for name in facts.experiments:
        candidates = [{"name": model.name, "weight": 50} for model in facts.models[:2]]
        yield _resource(facts, "Experiment", name, {"candidates": candidates})


def _resource(facts: Upstream, kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": facts.namespace, "finalizers": [finalizer(kind)]}
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _autoscalers(facts: Upstream) -> Iterator[Manifest]:
    if facts.autoscaled:
        server = next(iter(facts.servers))
        target = {"apiVersion": _VERSION, "kind": "Server", "name": server}
        metric = {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
        }
        yield {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": f"{server}-hpa", "namespace": facts.namespace},
            "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "metrics": [metric]},
        }


def statuses(facts: Upstream) -> list[Manifest]:
    """Returns the objects of this namespace that have a status, with nothing else."""
    return [
        *(
            _status(facts, "Model", model.name, _model_status(facts.servers[model.server], model.server))
            for model in facts.models
        ),
        *(_status(facts, "Pipeline", name, _conditions(_PIPELINE)) for name in facts.pipelines),
        *(_status(facts, "Experiment", name, _conditions(_EXPERIMENT)) for name in facts.experiments),
        *(_status(facts, "Server", name, _server_status(facts, name)) for name in facts.servers),
        _status(facts, "SeldonRuntime", "seldon", _conditions(_RUNTIME)),
    ]


_PIPELINE = {"PipelineReady": ("PipelineReady", ""), "ModelsReady": ("", "all models available")}
_EXPERIMENT = dict.fromkeys(("ExperimentReady", "CandidatesReady", "MirrorReady"), ("ready", ""))
_RUNTIME = {
    f"{name}Ready": ("", "")
    for name in ("Scheduler", "DataflowEngine", "ModelGateway", "PipelineGateway", "Envoy", "Hodometer")
}


def _model_status(replicas: int, server: str) -> Manifest:
    conditions = _conditions({"ModelReady": ("", "ModelAvailable")})
    counts = {"replicas": replicas, "availableReplicas": replicas, "selector": f"server={server}"}
    return {**counts, "modelgwReady": "ModelAvailable(1/1 ready )", **conditions}


def _server_status(facts: Upstream, name: str) -> Manifest:
    counts = {
        "loadedModels": len(facts.of_server(name)),
        "replicas": facts.servers[name],
        "selector": f"{SERVER}={name}",
    }
    return {
        **counts,
        **_conditions({"StatefulSetReady": ("StatefulSet replicas matches desired replicas", "")}),
    }


def _conditions(found: dict[str, tuple[str, str]]) -> Manifest:
    """Returns conditions that are true, and `Ready`; each has its reason and message as upstream has them."""
    rows = {**found, "Ready": next(iter(found.values()))}
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": _SINCE, "reason": reason, "message": message}
        for kind, (reason, message) in sorted(rows.items())
    ]
    return {"observedGeneration": 1, "conditions": conditions}


def _status(facts: Upstream, kind: str, name: str, status: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": facts.namespace}
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, "status": status}

"""The Helm releases of upstream's four charts: what users installed, before the operator made anything. Pure.

Called by `install`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import seldon_core
from tests.support.upstream.facts import OPERATOR
from tests.support.upstream.pods import operator_pod
from tests.support.upstream.resources import finalizer

if TYPE_CHECKING:
    from tests.support.upstream.facts import Manifest, Upstream

_VERSION = "mlops.seldon.io/v1alpha1"


def releases(facts: Upstream) -> list[tuple[str, str, list[Manifest]]]:
    """Returns the releases in the order of their installation: chart, namespace, objects."""
    return [
        ("crds", facts.home, seldon_core.chart_objects("crds")),
        ("setup", facts.operated_from, _setup(facts)),
        *(("runtime", namespace, [runtime(facts, namespace)]) for namespace in runtimes(facts)),
        ("servers", facts.namespace, [_server(facts, name) for name in facts.servers]),
    ]


def runtimes(facts: Upstream) -> tuple[str, ...]:
    """Returns the namespaces that have a SeldonRuntime."""
    return tuple(dict.fromkeys((facts.scheduled_from, facts.namespace)))


def _setup(facts: Upstream) -> list[Manifest]:
    objects = seldon_core.chart_objects("setup", clusterwide=facts.clusterwide)
    for each in objects:
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", OPERATOR):
            each["spec"]["template"]["spec"] = operator_pod(facts)
    return objects


def runtime(facts: Upstream, namespace: str) -> Manifest:
    """Returns a SeldonRuntime; where the scheduler is elsewhere, only Envoy has replicas."""
    replicas = int(namespace == facts.scheduled_from)
    overrides = [
        {"name": name, "replicas": facts.envoys if name == "seldon-envoy" else replicas, "disable": False}
        for name in seldon_core.RUNTIME_COMPONENTS
    ]
    spec = {"seldonConfig": "default", "overrides": overrides}
    return _resource("SeldonRuntime", namespace, "seldon", spec)


def _server(facts: Upstream, name: str) -> Manifest:
    replicas = facts.servers[name]
    spec = {"serverConfig": "mlserver", "replicas": replicas}
    return _resource("Server", facts.namespace, name, spec)


def _resource(kind: str, namespace: str, name: str, spec: Manifest) -> Manifest:
    metadata: Manifest = {"name": name, "namespace": namespace}
    if kind == "SeldonRuntime":
        metadata["finalizers"] = [finalizer(kind)]
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata, "spec": spec}

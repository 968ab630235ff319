"""The endpoints of Bailie's pods that Prometheus reads, as PodMonitors and as jobs of its own configuration.

Used by `local.monitoring` for a laptop's Prometheus and by `tools/charts.py` for the charts' PodMonitors, so
that both read the same endpoints under the same labels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Manifest = dict[str, Any]

_POD = "__meta_kubernetes_pod"
_PORT = f"{_POD}_container_port_name"
_COMPONENT = f"{_POD}_label_{re.sub(r'[^a-zA-Z0-9_]', '_', labels.NAME)}"
_TARGET_LABELS = {
    "namespace": "__meta_kubernetes_namespace",
    "pod": f"{_POD}_name",
    "container": f"{_POD}_container_name",
}
"""The labels that the Prometheus operator gives every target of a PodMonitor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A named port of a pod with metrics.

    `names_namespace`: its series say by themselves which namespace they are about. Only those of the control
    plane may: a pod that others can write must not speak for another namespace. `changes` are relabellings
    of its series, with the keys of a PodMonitor.
    """

    port: str
    path: str = "/metrics"
    names_namespace: bool = False
    changes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Scrape:
    """The endpoints of one component, whose pods have its name as the label `app.kubernetes.io/name`."""

    component: str
    endpoints: tuple[Endpoint, ...]


REQUEST_METRICS = "envoy_seldon_.+"
TIMES_OF_MODELS: tuple[Mapping[str, Any], ...] = (
    {
        "action": "drop",
        "sourceLabels": ["__name__"],
        "regex": "envoy_seldon_model_infer_(total|microseconds_total|in_flight)",
    },
    {"sourceLabels": ["__name__", "model"], "regex": f"{REQUEST_METRICS};(.+)", "targetLabel": "route"},
    {"sourceLabels": ["model_internal"], "regex": ":(.+):", "targetLabel": "model_internal"},
    {
        "sourceLabels": ["__name__", "model_internal"],
        "regex": f"{REQUEST_METRICS};(.+)_[0-9]+",
        "targetLabel": "model",
    },
    {"sourceLabels": ["flags"], "regex": "-", "targetLabel": "flags", "replacement": ""},
)
"""Of the requests that an Envoy counts, the times of each model alone are read there, with its version as the
other series have it, with the name that callers asked for as `route`, and without `flags` where Envoy has
none. All else is read from the leading
scheduler: added up over the Envoys, in seconds, and under Seldon Core's names."""

SETUP = (Scrape(names.OPERATOR, (Endpoint(port="http", names_namespace=True),)),)
"""Of the operator's namespace."""
RUNTIME = (
    Scrape(names.SCHEDULER, (Endpoint(port="http", names_namespace=True),)),
    Scrape(
        names.ENVOY,
        (Endpoint(port="envoy-stats", path="/stats/prometheus", changes=TIMES_OF_MODELS),),
    ),
    Scrape(names.SERVER, (Endpoint(port="metrics"), Endpoint(port="server-metrics"))),
)
"""Of each namespace that serves models. Pipeline gateways are replicas of a Server."""


def pod_monitor(scrape: Scrape) -> Manifest:
    """Returns the spec of the component's PodMonitor, for the pods of its own namespace."""
    return {
        "jobLabel": labels.NAME,
        "selector": {"matchLabels": {labels.NAME: scrape.component}},
        "podMetricsEndpoints": [_monitored(each) for each in scrape.endpoints],
    }


def _monitored(endpoint: Endpoint) -> Manifest:
    found: Manifest = {"port": endpoint.port, "path": endpoint.path}
    if endpoint.names_namespace:
        found["honorLabels"] = True
    if endpoint.changes:
        found["metricRelabelings"] = [dict(each) for each in endpoint.changes]
    return found


def jobs(scrapes: tuple[Scrape, ...], targets_file: str) -> list[Manifest]:
    """Returns the `scrape_configs` that the Prometheus operator makes of the PodMonitors, for all namespaces.

    The pods are those of `targets_file`, which has the `targets` as JSON.
    """
    return [
        {
            "job_name": f"{scrape.component}/{endpoint.port}",
            "metrics_path": endpoint.path,
            "honor_labels": endpoint.names_namespace,
            "file_sd_configs": [{"files": [targets_file]}],
            "relabel_configs": list(_relabelled(scrape.component, endpoint.port)),
            "metric_relabel_configs": [_snake(each) for each in endpoint.changes],
        }
        for scrape in scrapes
        for endpoint in scrape.endpoints
    ]


def targets(pods: Iterable[Manifest]) -> list[Manifest]:
    """Returns the named ports of the pods that have an address, with the labels by which Prometheus's own
    discovery of Kubernetes describes them, as far as `jobs` use these."""
    return [
        {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": labelled}
        for pod in pods
        if (pod.get("status") or {}).get("podIP") and not pod["metadata"].get("deletionTimestamp")
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if (labelled := _described(pod, container["name"], port.get("name", "")))[_PORT]
    ]


def _described(pod: Manifest, container: str, port: str) -> dict[str, str]:
    metadata = pod["metadata"]
    return {
        "__meta_kubernetes_namespace": metadata["namespace"],
        f"{_POD}_name": metadata["name"],
        _COMPONENT: (metadata.get("labels") or {}).get(labels.NAME, ""),
        f"{_POD}_phase": pod["status"].get("phase", ""),
        f"{_POD}_container_name": container,
        _PORT: port,
    }


def _relabelled(component: str, port: str) -> Iterator[Manifest]:
    yield {"action": "keep", "source_labels": [_COMPONENT], "regex": component}
    yield {"action": "keep", "source_labels": [_PORT], "regex": port}
    yield {"action": "drop", "source_labels": [f"{_POD}_phase"], "regex": "(Failed|Succeeded)"}
    yield {"target_label": "job", "replacement": component}
    for label, source in _TARGET_LABELS.items():
        yield {"target_label": label, "source_labels": [source]}


def _snake(change: Mapping[str, Any]) -> Manifest:
    return {
        re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in change.items()
    }

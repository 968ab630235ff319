"""The recipes of `examples/autoscaling` are taken by the API, and do to `/scale` what autoscalers do.

That they follow a load is shown in `tests/e2e/test_monitoring.py`, with a real Prometheus.
"""

from __future__ import annotations

import pytest
import yaml
from tests.support.api import running_api
from tests.support.autoscalers import MANAGER, Autoscalers, Triggers
from tests.support.documents import ROOT

RECIPES = ROOT / "examples" / "autoscaling"
HPAS = list(yaml.safe_load_all((RECIPES / "hpa.yaml").read_text()))
SCALED_OBJECT = yaml.safe_load((RECIPES / "keda.yaml").read_text())
PLACES = {
    "Model": "/apis/mlops.seldon.io/v1alpha1/namespaces/default/models",
    "Server": "/apis/mlops.seldon.io/v1alpha1/namespaces/default/servers",
}
SPECS = {
    "Model": {"storageUri": "gs://a/b", "replicas": 2},
    "Server": {"serverConfig": "mlserver", "replicas": 2},
}
NAMES = {"Model": "iris", "Server": "mlserver"}


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        yield running


def made(api, kind, spec, *, replicas=2):
    """Creates the object that the recipes scale, with the status that Bailie writes."""
    body = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": NAMES[kind]},
        "spec": spec,
    }
    api.request("POST", PLACES[kind], json=body)
    status = {"status": {"replicas": replicas, "selector": f"server={NAMES[kind]}"}}
    headers = {"content-type": "application/merge-patch+json"}
    api.request("PATCH", f"{PLACES[kind]}/{NAMES[kind]}/status", json=status, headers=headers)


def controller(api, **options):
    def ask(method, path, body=None, **parameters):
        return api.request(method, path, json=body, params=parameters)

    return Autoscalers(ask, **options)


def stored(api, hpa):
    api.request("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", json=hpa)


def replicas(api, kind):
    return api.request("GET", f"{PLACES[kind]}/{NAMES[kind]}")["spec"]["replicas"]


LOADS = {
    "none is measured": (None, 2),
    "within a tenth of the target": (109_000, 2),
    "above it": (111_000, 3),
    "four times as many at most": (1_000_000, 4),
    "below it, but not for five minutes yet": (10_000, 2),
}


@pytest.mark.parametrize(("load", "wished"), LOADS.values(), ids=LOADS)
def test_model_and_server_get_the_number_of_the_recipe(api, load, wished):
    for kind, spec in SPECS.items():
        made(api, kind, spec)
    for hpa in HPAS:
        stored(api, hpa)
    now = [0.0]
    first = iter([100_000, 100_000])
    autoscalers = controller(api, custom=lambda *_: next(first, load), clock=lambda: now[0])
    autoscalers.sync("default")
    now[0] = 15.0
    autoscalers.sync("default")
    assert {kind: replicas(api, kind) for kind in SPECS} == dict.fromkeys(SPECS, wished)
    owners = [
        each["manager"] for each in api.request("GET", f"{PLACES['Model']}/iris")["metadata"]["managedFields"]
    ]
    assert (MANAGER in owners) == (wished != 2)


def test_fewer_replicas_after_five_minutes(api):
    made(api, "Model", SPECS["Model"])
    stored(api, HPAS[0])
    now, loads = [0.0], iter([100_000])
    autoscalers = controller(api, custom=lambda *_: next(loads, 0), clock=lambda: now[0])
    for seconds, expected in ((0.0, 2), (299.0, 2), (300.0, 1)):
        now[0] = seconds
        autoscalers.sync("default")
        assert replicas(api, "Model") == expected


def test_a_model_without_a_number_cannot_be_scaled(api):
    made(api, "Model", {"storageUri": "gs://a/b"})
    stored(api, HPAS[0])
    with pytest.raises(AssertionError, match=r"spec replicas field .* does not exist"):
        controller(api, custom=lambda *_: 100_000).sync("default")


def test_each_trigger_of_keda_is_one_metric_and_the_largest_wish_counts(api):
    made(api, "Model", SPECS["Model"])
    stored(api, Triggers(None, {}).autoscaler(SCALED_OBJECT))
    loads = {"s0-prometheus": 60_000, "s1-metrics-api": 160_000}
    controller(api, external=loads.get).sync("default")
    assert replicas(api, "Model") == 4

"""Acts that begin or end with a move from Seldon Core: facts in, findings out."""

from __future__ import annotations

import pytest
from tests.support.plan_grounds import HOME, OLD, foreign_operator, model, resource, seen_as, server

from bailie.doctor.facts import InstallationView
from bailie.migration.checks.beginnings import annotated, scaling, traces
from bailie.migration.source import SELDON_SOURCES, MoveSource

SELDON = MoveSource.SELDON_SCOPED
COLLECTOR, OTHER = "collector.observability:4317", "seldon-collector.seldon-mesh:4317"


def runtime(**config):
    return resource("SeldonRuntime", "seldon", {"seldonConfig": "default", "config": config})


def tracing(endpoint=COLLECTOR, **more):
    return {"tracingConfig": {"otelExporterEndpoint": endpoint, **more}}


def config(namespace, **settings):
    return resource("SeldonConfig", "default", {"config": settings}, namespace=namespace)


def seen(*manifests, shared=()):
    """A namespace of Seldon Core's with one operator of each system, and their configurations."""
    operator = foreign_operator()
    operator["metadata"]["namespace"] = OLD
    around = {"installations": (InstallationView(home=HOME),), "upstream": (operator,), "shared": shared}
    return seen_as(*manifests, **around)


ALL, PART = (
    f"send traces of every request to {COLLECTOR}",
    f"send traces of 0.01 of the requests to {COLLECTOR}",
)
ENDED = f"Seldon Core sends traces to {OTHER}; after the move none are sent"
TRACED = {
    "nobody names a collector": (runtime(), (), ""),
    "the runtime does, without a ratio": (runtime(**tracing()), (), ALL),
    "Bailie's configuration does": (runtime(), (config(HOME, **tracing()),), ALL),
    "a ratio bounds them": (runtime(**tracing(ratio="0.01")), (), PART),
    "the ratio is none at all": (runtime(**tracing(ratio="0")), (), ""),
    "they are disabled": (runtime(**tracing(disable=True)), (), ""),
    "only Seldon Core's configuration does": (
        runtime(),
        (config(OLD, **tracing(OTHER)), config(HOME)),
        ENDED,
    ),
    "each does, and Bailie's counts": (
        runtime(),
        (config(OLD, **tracing(OTHER)), config(HOME, **tracing())),
        ALL,
    ),
    "the address is none": (runtime(**tracing("http://collector")), (), ""),
}


@pytest.mark.parametrize(("has", "shared", "says"), TRACED.values(), ids=TRACED.keys())
def test_traces_that_begin_or_end_are_told(has, shared, says):
    found = list(traces(seen(has, shared=shared), SELDON))
    assert [(each.impact, each.object) for each in found] == [("advice", "SeldonRuntime team/seldon")] * bool(
        says
    )
    assert says in (found[0].message if found else "")
    assert all("config.tracingConfig." in each.remedy for each in found)


SCALED = {"replicas": 1, "minReplicas": 1, "maxReplicas": 3}


def switched(**kinds):
    return runtime(scalingConfig=kinds)


REPLICAS = {
    "nothing has room": (runtime(), {}, []),
    "a Server has": (runtime(), {"server": SCALED}, ["Server team/mlserver"]),
    "Servers stay as they are": (switched(servers={"enabled": False}), {"server": SCALED}, []),
    "a Model has, and no switch": (runtime(), {"model": SCALED}, []),
    "a Model has": (switched(models={"enabled": True}), {"model": SCALED}, ["Model team/iris"]),
    "no Model has": (switched(models={"enabled": True}), {}, []),
}


@pytest.mark.parametrize(("has", "specs", "objects"), REPLICAS.values(), ids=REPLICAS.keys())
def test_replicas_that_begin_to_follow_are_told(has, specs, objects):
    manifests = (
        has,
        server("mlserver", **specs.get("server", {}))[0],
        model("iris", **specs.get("model", {})),
    )
    found = list(scaling(seen(*manifests), SELDON))
    assert [each.object for each in found] == objects
    assert not any("scaleDownPackingEnabled" in each.message for each in found)


def test_packing_has_an_effect_that_seldon_core_does_not_give_it():
    packs = switched(servers={"scaleDownPackingEnabled": True})
    (found,) = scaling(seen(packs, server("mlserver", **SCALED)[0]), SELDON)
    assert "scaleDownPackingEnabled, which Seldon Core only stores, has models moved" in found.message


def test_annotations_of_bailies_are_told_with_the_act_that_they_ask_for():
    spec = {"default": "a", "candidates": [{"name": "a", "weight": 50}, {"name": "b", "weight": 50}]}
    marked = {"annotations": {"bailie.io/progressive": "steps=20%:10m"}}
    idle = model("iris")
    idle["metadata"]["annotations"] = {"bailie.io/scale-to-zero": "10m"}
    facts = seen(runtime(), resource("Experiment", "ab", spec, **marked), idle, model("other"))
    found = list(annotated(facts, SELDON))
    assert [each.object for each in found] == ["Experiment team/ab", "Model team/iris"]
    assert "its weights follow the answers" in found[0].message
    assert found[0].remedy.startswith(
        "kubectl annotate experiments ab --namespace team bailie.io/progressive-"
    )


@pytest.mark.parametrize("source", [each for each in MoveSource if each not in SELDON_SOURCES])
@pytest.mark.parametrize("check", [traces, scaling, annotated])
def test_from_bailie_nothing_begins_with_a_move(check, source):
    facts = seen(switched(models={"enabled": True}), server("mlserver", **SCALED)[0], model("iris", **SCALED))
    assert list(check(facts, source)) == []

"""The delivery of an Experiment as its status tells it, and a person's word on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.api import running_api
from tests.support.manifests import manifest_of
from tests.support.waiting import until_blocking

from bailie.api.experiment import Experiment
from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE
from bailie.control.delivery_rules import HAND_ANNOTATION, wanted_delivery
from bailie.control.pipeline_versions import parse_version
from bailie.control.wanted_models import parse_model
from bailie.delivery import DeliveryState, delivery_record
from bailie.delivery.progress import Hand
from bailie.kube.client import Client
from bailie.lifecycle.delivery import RECORD
from bailie.local.deliveries import delivery_view, follow_delivery, speak
from bailie.local.errors import DeadlinePassed, LocalError
from bailie.routing.requests import NO_TIMES, RequestOutcomes

COUNTS = ("requests", "failures", "cancelled", "notCounted")
STEPS = {"bailie.io/progressive": "steps=20%:30s,50%:1m"}
SPEC = {"default": "iris", "candidates": [{"name": "iris", "weight": 9}, {"name": "rose", "weight": 1}]}
FIGURES = RequestOutcomes(requests=40, failures=2, cancelled=4, others=3, times=(38, *NO_TIMES[1:]))


def experiment(spec=SPEC, annotations=STEPS, **metadata):
    return manifest_of("Experiment", "flower", spec, annotations=annotations, **metadata)


def told(manifest, status="Unknown", reason="Step2", hand="", **fields):
    """The status that a scheduler writes for the manifest."""
    wanted, _ = wanted_delivery(Experiment.parse(manifest)[0].spec, manifest)
    state = DeliveryState(spec=wanted.digest, version="v", since="2026-01-01T00:00:00Z", step=1, hand=hand)
    said = {"type": "Delivered", "status": status, "reason": reason, "message": "words"}
    record = delivery_record(replace(state, candidate=FIGURES, seconds=12.0, **fields))
    return {"conditions": [said], "annotations": {RECORD: record}}


def test_the_view_has_steps_and_figures():
    manifest = experiment()
    view = delivery_view(manifest | {"status": told(manifest)})
    assert view == {
        "experiment": "flower",
        "namespace": "a",
        "delivered": "Unknown",
        "reason": "Step2",
        "message": "words",
        "steps": [{"weight": 20, "pauseSeconds": 30}, {"weight": 50, "pauseSeconds": 60}],
        "step": 2,
        "since": "2026-01-01T00:00:00Z",
        "seconds": 12.0,
        "candidate": {
            "name": "rose",
            "requests": 40,
            "failures": 2,
            "cancelled": 4,
            "notCounted": 3,
            "p95Seconds": pytest.approx(0.00095),
        },
        "default": {"name": "iris", **dict.fromkeys(COUNTS, 0), "p95Seconds": None},
    }


def test_before_a_scheduler_has_looked_and_after_a_change_there_are_no_figures():
    assert delivery_view(experiment())["message"] == "no scheduler has looked at it"
    manifest = experiment() | {"status": told(experiment())}
    manifest["metadata"] = {**manifest["metadata"], "uid": "another"}
    assert delivery_view(manifest)["step"] == 0


@pytest.mark.parametrize(
    ("seen", "changes"),
    [
        (1, {"annotations": {"bailie.io/progressive": "steps=30%:30s"}}),
        (0, {}),
    ],
)
def test_the_end_of_a_delivery_of_before_is_not_that_of_the_newest(seen, changes):
    status = told(experiment(), status="True", reason="Promoted") | {"observedGeneration": seen}
    view = delivery_view(experiment(generation=1, **changes) | {"status": status})
    assert (view["delivered"], view["reason"], view["step"]) == ("Unknown", "", 0)
    assert view["message"] == "no scheduler has looked at its newest change"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"annotations": {}}, "experiment flower is no delivery"),
        ({"annotations": {"bailie.io/progressive": "steps=no"}}, "'no' is no step"),
        ({"spec": {**SPEC, "default": "lily"}}, '"lily" is not among the candidates'),
    ],
)
def test_an_experiment_that_is_no_delivery_is_told(changes, words):
    with pytest.raises(LocalError) as caught:
        delivery_view(experiment(**changes))
    assert words in caught.value.message
    assert bool(caught.value.hint) == ("annotations" in changes and not changes["annotations"])


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as running:
        running.namespace("a")
        yield running


@pytest.fixture
async def client(api):
    async with Client.from_kubeconfig(api.kubeconfig) as made:
        await made.create(experiment())
        yield made


async def write(client, **fields):
    manifest = await client.get(EXPERIMENT, "flower", "a")
    status = told(manifest, **fields) | {"observedGeneration": manifest["metadata"]["generation"]}
    await client.patch(EXPERIMENT, "flower", "a", {"status": status}, subresource="status")


async def test_a_word_is_waited_for_until_it_is_obeyed(api, client):
    url = "/apis/mlops.seldon.io/v1alpha1/namespaces/a/experiments/flower"

    def spoken():
        return api.request("GET", url)["metadata"]["annotations"].get(HAND_ANNOTATION)

    async def obey():
        hand = await asyncio.to_thread(until_blocking, spoken)
        await write(client, status="True", reason="PromotedByHand", hand=hand)

    with pytest.raises(DeadlinePassed, match="no scheduler has obeyed `back`"):
        await speak(client, "a", "flower", Hand.BACK, timeout=0.1)
    await client.patch(EXPERIMENT, "flower", "a", {"metadata": {"annotations": {HAND_ANNOTATION: None}}})
    view, _ = await asyncio.gather(speak(client, "a", "flower", Hand.PROMOTE, timeout=20), obey())
    assert view["reason"] == "PromotedByHand"


async def test_a_delivery_that_the_spec_holds_takes_no_word(client):
    await write(client, reason="HeldBySpec")
    with pytest.raises(LocalError) as caught:
        await speak(client, "a", "flower", Hand.AGAIN, timeout=1)
    assert "weights of the spec" in caught.value.hint


@pytest.mark.parametrize("resource_type", ["model", "pipeline"])
async def test_the_end_of_a_version_before_is_not_that_of_the_newest(client, resource_type):
    kind, spec, parse = {
        "model": (MODEL, {"storageUri": "/m"}, parse_model),
        "pipeline": (PIPELINE, {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}}, parse_version),
    }[resource_type]
    await client.patch(EXPERIMENT, "flower", "a", {"spec": {"resourceType": resource_type}})
    candidate = await client.create(manifest_of(kind.kind, "rose", spec))
    await write(client, status="True", reason="Promoted")
    seen = []

    async def follow(timeout):
        return await follow_delivery(client, "a", "flower", seen.append, timeout=timeout)

    with pytest.raises(DeadlinePassed):
        await follow(0.1)
    assert (seen[-1]["delivered"], seen[-1]["reason"]) == ("Unknown", "AwaitsVersion")
    assert "newest version of rose" in seen[-1]["message"]
    await write(client, status="True", reason="Promoted", version=parse(candidate).identity)
    assert (await follow(0))["reason"] == "Promoted"


async def test_it_is_followed_until_its_end(client):
    seen = []

    def look(view):
        seen.append(view["delivered"])

    with pytest.raises(DeadlinePassed, match="not ended within"):
        await follow_delivery(client, "a", "flower", look, timeout=1e-9)
    assert seen == ["Unknown"]
    await write(client, status="False", reason="TooSlow")
    assert (await follow_delivery(client, "a", "flower", look, timeout=0))["reason"] == "TooSlow"
    assert seen == ["Unknown", "False"]

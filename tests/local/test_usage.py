"""The sentences of `bailie top` where no scheduler answers, and how a watch goes on."""

from __future__ import annotations

import pytest
from tests.support.api import running_api

from bailie.kube.client import Client
from bailie.local.errors import LocalError
from bailie.local.scheduler_answers import SchedulerAnswer
from bailie.local.usage import models_in_use, namespaces_with_schedulers, rows_of

POD = ("team/seldon-scheduler-0",)


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (SchedulerAnswer(), "no scheduler runs for namespace team", "bailie doctor -n team"),
        (SchedulerAnswer(None, POD, forbidden=True), "the right to get pods/proxy", "ask for the right"),
        (
            SchedulerAnswer(None, POD, unheard=POD),
            "did not answer the API server; if it runs",
            "bailie doctor",
        ),
        (SchedulerAnswer(None, POD), "no scheduler leads in namespace team now", "within seconds"),
    ],
    ids=["no pod", "no right", "no way", "no leader"],
)
def test_the_want_of_an_answer_is_a_sentence_with_a_remedy(answer, says, hint):
    with pytest.raises(LocalError) as caught:
        rows_of("team", answer)
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_an_answer_is_its_rows():
    assert rows_of("team", SchedulerAnswer({"models": [{"model": "iris"}]}, POD)) == [{"model": "iris"}]


async def test_all_namespaces_are_those_with_a_runtime(tmp_path):
    with running_api(tmp_path) as api:
        async with Client.from_kubeconfig(api.kubeconfig) as client:
            for name in ("b", "a", "none"):
                api.namespace(name)
            for name in ("b", "a"):
                runtime = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "SeldonRuntime"}
                metadata = {"name": "seldon", "namespace": name}
                await client.create({**runtime, "metadata": metadata, "spec": {"seldonConfig": "default"}})
            assert await namespaces_with_schedulers(client) == ["a", "b"]
            with pytest.raises(LocalError):
                await models_in_use(client, ["a"])

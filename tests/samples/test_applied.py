"""All samples in one API, before the operator and the scheduler as their processes run them.

Server replicas are agents without a server: as many as the operator asked for, with the capabilities that its
pods name.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

import pytest
from tests.operator.conftest import Installation
from tests.samples.table import samples
from tests.scheduler.conftest import Namespace
from tests.support.api import running_api
from tests.support.waiting import until

from bailie.api.kinds import EVENT, MLOPS_KINDS
from bailie.api.resource import NO_EFFECT
from bailie.kube.client import Client
from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.manifests.rbac import OPERATOR_ACCOUNT
from bailie.wellknown import variables

HOME, MAIN = "bailie-system", "a"
TRITON = ("triton", "dali", "fil", "onnx", "openvino", "python", "pytorch", "tensorflow", "tensorrt")
CONFIGS = {"ServerConfig", "SeldonConfig"}
UNSERVED = "Pipeline"
"""The kind that waits for a Server which is not among the samples: `tests/e2e/test_pipelines.py` has it."""
PLURALS = {each.kind: each.plural for each in MLOPS_KINDS}
GOOD = [each for each in samples() if not each.refused]


def place(sample):
    """Returns the namespace of a sample: a SeldonRuntime has one of its own, configurations are shared."""
    if sample.kind in CONFIGS:
        return HOME
    return f"of-{sample.name}" if sample.kind == "SeldonRuntime" else MAIN


def url(sample):
    return f"/apis/mlops.seldon.io/v1alpha1/namespaces/{place(sample)}/{PLURALS[sample.kind]}"


@pytest.fixture
def api(tmp_path):
    with running_api(tmp_path) as api:
        for namespace in {HOME, *map(place, samples())}:
            api.namespace(namespace)
        yield api


@pytest.fixture
async def installation(api, tmp_path):
    kubeconfig = api.kubeconfig_for(api.service_account_token(HOME, OPERATOR_ACCOUNT), tmp_path / "operator")
    async with Client.from_kubeconfig(api.kubeconfig) as admin, Client.from_kubeconfig(kubeconfig) as client:
        namespaces = tuple({place(each) for each in samples()} - {HOME})
        made = Installation(api, admin, client, HOME, namespaces)
        await made.grant(*namespaces)
        await made.put(seldon_config(HOME, image="bailie:1"))
        configuration = mlserver_config(HOME, image="bailie:1", server_image="bailie-mlserver:1")
        await made.put(configuration)
        await made.put(triton_config())
        await made.make("SeldonRuntime", "seldon", {"seldonConfig": "default"}, MAIN)
        yield made


def triton_config():
    made = mlserver_config(HOME, image="bailie:1", server_image="triton:1", capabilities=TRITON)
    made["metadata"]["name"] = made["spec"]["podSpec"]["containers"][1]["name"] = "triton"
    return made


@pytest.fixture
async def scheduled(api, tmp_path):
    """The scheduler of the main namespace."""
    namespace = Namespace(api, tmp_path)
    namespace.name = MAIN
    async with namespace.scheduler():
        yield namespace
    await namespace.client.aclose()


def applied(api):
    """Applies each sample as kubectl does; returns the wrong answers."""
    wrong = {}
    with api.http() as client:
        for sample in samples():
            answer = client.post(
                url(sample), params={"fieldValidation": "Strict"}, json=sample.manifest(place(sample))
            )
            said = answer.json().get("message", "") if answer.is_error else ""
            if bool(said) != bool(sample.refused) or sample.refused not in said:
                wrong[sample.kind, sample.name] = said or "taken"
    return wrong


def capabilities(workload):
    """Returns the capabilities that the pods of a Server tell their agents."""
    [agent] = [each for each in workload.template["spec"]["containers"] if each["name"] == "agent"]
    [value] = [each["value"] for each in agent["env"] if each["name"] == variables.SERVER_CAPABILITIES]
    return value.split(",")


def awaited(sample):
    """Returns the words to look for by condition."""
    if sample.kind == UNSERVED and not sample.problem:
        return {"Ready": "False NoPipelineGateway"}
    if sample.kind in CONFIGS:
        return {}
    if sample.problem:
        return {"Ready": sample.problem}
    return sample.says or {"Ready": "True"}


def runs(sample):
    return awaited(sample) == {"Ready": "True"}


def state(api):
    """Returns the conditions of all samples as one text each, by kind, name and type; and their events."""
    found, events = {}, defaultdict(str)
    places = {(each.kind, each.name): place(each) for each in samples()}
    for kind in MLOPS_KINDS:
        for item in api.request("GET", f"/apis/{kind.api_version}/{kind.plural}")["items"]:
            key = kind.kind, item["metadata"]["name"]
            if item["metadata"]["namespace"] != places.get(key):
                continue
            for each in item.get("status", {}).get("conditions", ()):
                text = f"{each['status']} {each.get('reason', '')}: {each.get('message', '')}"
                found[*key, each["type"]] = text
    for each in api.request("GET", f"/api/v1/{EVENT.plural}")["items"]:
        if each["reason"] == NO_EFFECT:
            key = each["involvedObject"]["kind"], each["involvedObject"]["name"]
            events[key] += each["message"]
    return found, events


def unmet(api):
    """Returns by sample what is said in place of its answer."""
    found, events = state(api)
    wrong = {}
    for sample in GOOD:
        key = sample.kind, sample.name
        for condition, words in awaited(sample).items():
            said = found.get((*key, condition), "nothing")
            if words not in said:
                wrong[*key, condition] = said
        if sample.kind not in CONFIGS:
            said = found.get((*key, "SpecWarnings"), "") + events[key]
            if missing := {path for path in sample.no_effect if path not in said}:
                wrong[*key, NO_EFFECT] = f"{missing} not in: {said}"
    return wrong


async def test_each_sample_gets_its_answer(api, installation, scheduled):
    assert await asyncio.to_thread(applied, api) == {}
    servers = {(MAIN, each.name) for each in GOOD if each.kind == "Server" and runs(each)}
    running = installation.workloads.running
    async with installation.operator(), asyncio.TaskGroup() as group:
        await until(lambda: servers <= running.keys())
        replicas = [
            group.create_task(scheduled.replica(ordinal, name, capabilities=capabilities(workload)).run())
            for (_, name), workload in running.items()
            if (MAIN, name) in servers
            for ordinal in range(workload.replicas)
        ]
        wrong = await asyncio.to_thread(wrong_in_the_end, api)
        for each in replicas:
            each.cancel()
    assert not wrong, "\n".join(f"{key}: {said}" for key, said in wrong.items())


def wrong_in_the_end(api, *, seconds=60):
    """Returns the wrong answers: none, or those that are left at the deadline."""
    deadline = time.monotonic() + seconds
    while (wrong := unmet(api)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return wrong

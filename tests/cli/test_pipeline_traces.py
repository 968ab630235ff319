"""Commands that look into a namespace: `trace` and `inspect` before real gateways, and `show`."""

from __future__ import annotations

import asyncio
import itertools
import json

import httpx2
import pytest
from tests.cli.test_pipelines import manifest
from tests.pipelinegateway.models import tensor
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.gateways import pod_of, replicas
from tests.support.waiting import until

from bailie.cli.app import app
from bailie.cli.output import ExitCode
from bailie.cli.seldon.app import app as seldon_app
from bailie.local.port_forward import kubectl_program, open_pod_forward
from bailie.wellknown import ports

CHAIN = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}}
KEEPING = {**CHAIN, "keepData": True}
FOLLOWER = {"input": {"externalInputs": ["p.outputs"]}, "steps": [{"name": "c"}], "output": {"steps": ["c"]}}
BODY = {"inputs": [tensor("x", ["in"])]}
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        running.namespace("a")
        running.namespace("empty")
        for name, spec in (("p", KEEPING), ("q", FOLLOWER), ("silent", CHAIN)):
            running.request("POST", PIPELINES, json=manifest(name, spec))
        yield running


PIPELINES = "/apis/mlops.seldon.io/v1alpha1/namespaces/a/pipelines"


@pytest.fixture
def addresses():
    """Returns two loopback addresses of this test."""
    number = next(NUMBERS)
    return [f"127.88.{number}.{place}" for place in (1, 2)]


async def run(api, *arguments, program=app, namespace="a"):
    command = ["pipeline", *arguments, "-n", namespace, "--kubeconfig", str(api.kubeconfig)]
    return await asyncio.to_thread(CommandRunner().invoke, program, command)


async def asked(replica, request_id, key="p_1", body=BODY):
    heard = await replica.ask(key, body=body, headers=[("x-request-id", request_id)])
    await until(lambda: not replica.engine.traces._running)
    return heard


async def test_a_trace_is_found_in_whichever_replica_and_drawn(api, tmp_path, addresses):
    specs = {"p_1": KEEPING, "q_1": FOLLOWER}
    async with replicas(api, tmp_path, specs, addresses) as (first, second):
        await asked(first, "one")
        await asked(second, "two")
        result = await run(api, "trace", "two")
        listed = await run(api, "trace")
        as_json = await run(api, "trace", "one", "-o", "json")
    assert result.exit_code == ExitCode.DONE, result.output
    heads = [line for line in result.stdout.splitlines() if " version " in line]
    assert [head.split(", 2")[0] for head in heads] == ["p version 1", "q version 1, a follower"]
    assert "answered after" in heads[0]
    assert "✓ request 6 B" in result.stdout
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["ID", "two", "two", "one", "one"]
    assert {each["pipeline"] for each in json.loads(as_json.stdout)} == {"p", "q"}


async def test_a_port_of_a_pod_is_forwarded(api, tmp_path, addresses):
    options = {"namespace": "a", "kubeconfig": api.kubeconfig, "program": kubectl_program()}
    async with replicas(api, tmp_path, {"p_1": CHAIN}, addresses[:1]) as (replica,):
        await asked(replica, "far")
        port = ports.PIPELINE_TRACES
        forward = await asyncio.to_thread(open_pod_forward, "seldon-pipelinegateway-0", port, **options)
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"http://{forward.address}/traces/far")
        await asyncio.to_thread(forward.close)
    assert answer.json()["traces"][0]["id"] == "far"


async def test_a_pod_elsewhere_is_asked_by_kubectl_in_whose_words_it_fails(api, tmp_path, addresses):
    async with replicas(api, tmp_path, {"p_1": CHAIN}, addresses[:1], shown="10.9.8.7"):
        result = await run(api, "trace", "far")
    assert result.exit_code == ExitCode.FAILED
    assert "`kubectl port-forward` opens no port: " in result.stderr


async def test_a_replica_that_does_not_answer_is_named(api, tmp_path, addresses):
    async with replicas(api, tmp_path, {"p_1": CHAIN}, addresses[:1]) as (replica,):
        with pod_of(api, "seldon-pipelinegateway-7", addresses[1]):
            await asked(replica, "here")
            result = await run(api, "trace", "here")
            alone = await run(api, "trace", "nowhere")
    assert result.exit_code == ExitCode.DONE
    assert "warning: not asked: seldon-pipelinegateway-7: " in result.stderr
    assert alone.exit_code == ExitCode.NOT_FOUND
    assert "x-bailie-trace: 1 is always traced" in alone.stderr


async def test_without_gateways_it_is_said(api):
    result = await run(api, "trace", namespace="empty")
    assert result.exit_code == ExitCode.FAILED
    assert "namespace empty has no pipeline gateway" in result.stderr


async def test_inspect_prints_the_last_record_of_each_topic(api, tmp_path, addresses):
    async with replicas(api, tmp_path, {"p_1": KEEPING}, addresses) as (first, second):
        await asked(first, "one")
        await asked(second, "two")
        whole = await run(api, "inspect", "p")
        more = await run(api, "inspect", "p.b.outputs", "--offset", "5")
        other = await run(api, "inspect", "p.inputs", "--request-id", "one", "--format", "json", "-v")
    assert whole.exit_code == ExitCode.DONE, whole.output
    lines = whole.stdout.splitlines()
    assert lines[::2] == [
        f"Topic: seldon.a.{topic}"
        for topic in (
            *("pipeline.p.inputs", "pipeline.p.outputs"),
            *("model.a.inputs", "model.a.outputs", "model.b.inputs", "model.b.outputs"),
        )
    ]
    key, value = lines[1].split("\t")
    assert (key, json.loads(value)) == ("p.two", BODY)
    assert [line.split("\t")[0] for line in more.stdout.splitlines()[1:]] == ["p.one", "p.two"]
    (topic,) = json.loads(other.stdout)["topics"]
    assert topic["msgs"] == [
        {
            "headers": {"pipeline": "p", "x-request-id": "one", "x-pipeline-version": "1"},
            "key": "p.one",
            "value": BODY,
        }
    ]


async def test_seldon_prints_the_messages_of_the_protocol(api, tmp_path, addresses):
    body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [2], "data": [1, 2]}]}
    async with replicas(api, tmp_path, {"p_1": KEEPING}, addresses[:1]) as (replica,):
        await replica.ask(body=body, headers=[("x-request-id", "one")])
        result = await run(api, "inspect", "p.inputs", program=seldon_app)
        cut = await run(api, "inspect", "p.a.inputs.x", "--truncate", program=seldon_app)
    value = json.loads(result.stdout.splitlines()[1].split("\t")[1])
    assert value == {
        "inputs": [
            {"name": "x", "datatype": "INT64", "shape": ["2"], "contents": {"int64Contents": ["1", "2"]}}
        ]
    }
    assert json.loads(cut.stdout.splitlines()[1].split("\t")[1])["inputs"][0]["name"] == "x"


async def test_where_nothing_is_kept_it_is_said_how_to_keep_it(api, tmp_path, addresses):
    async with replicas(api, tmp_path, {"silent_1": CHAIN}, addresses[:1]) as (replica,):
        await asked(replica, "one", "silent_1")
        silent = await run(api, "inspect", "silent")
        early = await run(api, "inspect", "p")
        unknown = await run(api, "inspect", "nowhere")
    assert silent.exit_code == early.exit_code == ExitCode.FAILED
    assert "the data of pipeline silent is kept nowhere" in silent.stderr
    assert '{"spec": {"keepData": true}}' in silent.stderr
    assert "no request to pipeline p is kept yet" in early.stderr
    assert unknown.exit_code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    "expression", ["", ".", "p.", "p.a.b", "p.a.inputs.x.y", "p..inputs", "p.inputs.x.y"]
)
async def test_expressions_that_name_no_data_are_refused(api, expression):
    result = await run(api, "inspect", expression)
    assert result.exit_code == ExitCode.USAGE
    assert "names no data of a pipeline" in result.stderr


async def test_a_pipeline_of_the_namespace_is_drawn_with_those_that_follow(api):
    shown = await run(api, "show", "p")
    unknown = await run(api, "show", "nowhere")
    assert shown.exit_code == ExitCode.DONE, shown.output
    assert "q (follower)" in shown.stdout
    assert unknown.exit_code == ExitCode.NOT_FOUND

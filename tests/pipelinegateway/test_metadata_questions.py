"""Metadata of pipelines over sockets: asked of the models, kept a while, and never waited for without end."""

from __future__ import annotations

import asyncio

from tests.pipelinegateway.client import ask, ask_bytes, grpc_bytes, running
from tests.pipelinegateway.models import serving

from bailie._gen import inference_pb2 as pb

SPEC = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}}
X, Z = ({"name": name, "datatype": "FP32", "shape": [-1]} for name in ("x", "z"))


def told(asked):
    return 200, {"name": asked.step, "inputs": [X], "outputs": [Z]}, 0.0


async def metadata(port, path):
    return await ask(port, method="GET", path=path)


async def test_every_path_of_a_pipeline_has_its_metadata_and_models_are_asked_once(tmp_path):
    paths = [
        "/v2/models/p.pipeline_1",
        "/v2/models/p.pipeline_1/versions/1",
        "/v2/pipelines/p",
        "/v2/pipelines/p/",
    ]
    async with serving(told) as models, running(tmp_path, models, {"p_1": SPEC}) as (_, port):
        heard = await asyncio.gather(*(metadata(port, path) for path in paths * 5))
        assert [each.json for each in heard] == [
            {"name": "p.pipeline", "versions": ["1"], "platform": "", "inputs": [X], "outputs": [Z]}
        ] * len(heard)
        assert sorted(each.path for each in models.calls) == ["/v2/models/a", "/v2/models/b"]
        assert (await metadata(port, "/v2/pipelines/other")).status == 503
        assert (await ask(port, method="POST", path="/v2/pipelines/p", body={})).status == 404


async def test_callers_of_both_protocols_are_told_by_one_question(tmp_path):
    asked = pb.ModelMetadataRequest(name="p.pipeline")
    async with serving(told) as models, running(tmp_path, models, {"p_1": SPEC}) as (_, port):
        heard, over_grpc = await asyncio.gather(
            metadata(port, "/v2/pipelines/p"),
            ask_bytes(port, grpc_bytes("p_1", asked, method="ModelMetadata")),
        )
        unknown = await ask_bytes(port, grpc_bytes("q_1", asked, method="ModelMetadata"))
        assert sorted(each.path for each in models.calls) == ["/v2/models/a", "/v2/models/b"]
    found = pb.ModelMetadataResponse.FromString(over_grpc.body[5:])
    assert (found.name, list(found.versions), found.platform) == ("p.pipeline", ["1"], "")
    for side, tensors in (("inputs", found.inputs), ("outputs", found.outputs)):
        assert [
            {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in tensors
        ] == heard.json[side]
    assert (over_grpc.code, unknown.code) == (0, 14)


async def test_models_that_do_not_tell_are_left_out(tmp_path):
    def behave(asked):
        return told(asked) if asked.step == "b" else (503, {"error": "no"}, 0.0)

    async with serving(behave) as models, running(tmp_path, models, {"p_1": SPEC}) as (engine, port):
        found = (await metadata(port, "/v2/pipelines/p")).json
        assert (found["inputs"], found["outputs"]) == ([], [Z])
        assert engine.budget.used == 0


async def test_a_caller_who_leaves_takes_nothing_from_the_others(tmp_path):
    waiting, go = asyncio.Event(), asyncio.Event()

    async def slow(asked):
        waiting.set()
        await go.wait()
        return told(asked)

    async with serving(slow) as models, running(tmp_path, models, {"p_1": SPEC}) as (engine, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v2/pipelines/p HTTP/1.1\r\nhost: h\r\n\r\n")
        await waiting.wait()
        async with asyncio.TaskGroup() as group:
            other = group.create_task(metadata(port, "/v2/pipelines/p"))
            writer.close()
            await asyncio.sleep(0)
            go.set()
        assert other.result().json["inputs"] == [X]
        assert engine.budget.used == 0
        del reader

"""A pipeline on this machine alone means the same as in a gateway: the table of graphs, again."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.dataflow.engine import plan_of
from tests.dataflow.test_cases import CASES, expected_ending
from tests.pipelinegateway.models import echo, serving
from tests.support.virtualtime import VirtualLoop

from bailie.dataflow.events import Call, FailCode, StepFailed
from bailie.inference.client import RestClient
from bailie.local.dry_run import Echo, NamespaceModel, dry_run, request_of, stub_of
from bailie.local.errors import LocalError

ALONE = [
    case
    for case in CASES
    if not {"requests", "leaves", "rows"} & case.values[1].keys()
    and not any(
        isinstance(model, list) and model and not isinstance(model[0], str)
        for model in (case.values[1].get("models") or {}).values()
    )
]
"""Rows of one request whose models do the same at each visit, and whose caller stays."""
CODES = {"error": FailCode.STEP_ERROR, "unreachable": FailCode.UNREACHABLE, "slow": FailCode.TOO_SLOW}


def tensor(name, data):
    return {"name": name, "datatype": "BYTES", "shape": [1], "data": [data]}


class TableModel:
    """Answers as a row of the table says."""

    def __init__(self, model):
        self.model = model if isinstance(model, dict) else {"gives": model}

    async def answer(self, call: Call):
        await asyncio.sleep(self.model.get("ms", 1) / 1000)
        for kind, code in CODES.items():
            if kind in self.model:
                return StepFailed(call.step, call.visit, code, self.model[kind])
        if "gives" not in self.model:
            await asyncio.Event().wait()
        again = f"#{call.visit}" if call.visit > 1 else ""
        outputs = [tensor(name, f"{call.step}.{name}{again}") for name in self.model["gives"]]
        return await stub_of(call.step, json_of({"outputs": outputs})).answer(call)


def json_of(value):
    return msgspec.json.encode(value)


def written(found):
    own = found["data"][0].partition(".")[2].partition("#")[0]
    return found["data"][0] if own == found["name"] else f"{found['data'][0]} as {found['name']}"


@pytest.mark.parametrize(("spec", "case"), ALONE)
def test_a_request_ends_as_the_table_says(spec, case):
    plan = plan_of(spec)
    request = request_of({"inputs": [tensor(name, f"request.{name}") for name in case.get("ask", ["i"])]})
    models = {step: TableModel((case.get("models") or {}).get(step, ["o"])) for step in plan.steps}
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found = runner.run(dry_run(plan, request, models))
    ending = [("answer", [written(each) for each in found.answer["outputs"]])] if found.answer else []
    ending += [("fail", [found.fail.code.rest, found.fail.words])] if found.fail else []
    assert ending == expected_ending(case)
    assert found.trace.told.ending is not None


def test_most_rows_of_the_table_are_run():
    assert len(ALONE) >= 100


def test_stubs_answer_visit_by_visit():
    stub = stub_of("a", json_of([{"outputs": []}, {"error": "no more"}]))

    async def answers():
        return [await stub.answer(Call("a", visit, request_of({"inputs": []}))) for visit in (1, 2, 3)]

    first, second, third = asyncio.run(answers())
    assert first.parcel.tensors == ()
    assert (second.code, second.words, third.words) == (FailCode.STEP_ERROR, "no more", "no more")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        (b"\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("5", "is no answer"),
        ("[]", "has no answer in its list"),
        ("[5]", "is no answer"),
        ("{}", "is no answer"),
        ('{"outputs": [{"name": "x"}]}', "is no answer"),
        ('{"outputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": []}]}', "is no answer"),
    ],
)
def test_what_is_no_stub_is_told(text, words):
    with pytest.raises(LocalError, match=words):
        stub_of("a", text)


def test_a_full_batch_is_put_together():
    plan = plan_of({"steps": [{"name": "a", "batch": {"size": 1}}], "output": {"steps": ["a"]}})
    request = request_of({"inputs": [tensor("x", "in")]})
    found = asyncio.run(dry_run(plan, request, {"a": Echo()}))
    assert found.answer["outputs"] == [tensor("x", "in")]


def test_an_input_that_is_no_request_is_told():
    with pytest.raises(LocalError, match="the input is no inference request"):
        request_of({"inputs": [{"name": "x"}]})


async def test_steps_may_be_asked_of_the_namespace_s_models():
    def behave(asked):
        return (503, {"error": "no replica", "reason": "NotReady"}, 0.0) if asked.step == "b" else echo(asked)

    spec = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}}
    request = request_of({"inputs": [tensor("x", "in")]})
    async with serving(behave) as models:
        client = RestClient(f"http://127.0.0.1:{models.port}")
        through = NamespaceModel(client)
        failed = await dry_run(plan_of(spec), request, {"a": through, "b": through})
        stubbed = await dry_run(plan_of(spec), request, {"a": through, "b": Echo()})
        await client.close()
    gone = await dry_run(
        plan_of(spec), request, {"a": NamespaceModel(RestClient("http://127.0.0.1:9")), "b": Echo()}
    )
    assert (failed.fail.code, failed.fail.step) == (FailCode.UNREACHABLE, "b")
    assert failed.fail.words == 'step "b" was not answered: no replica'
    assert stubbed.answer["outputs"][0]["data"] == ["in>a"]
    assert gone.fail.code is FailCode.UNREACHABLE
    assert "was not reached" in gone.fail.words

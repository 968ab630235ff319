"""The table of graphs and requests (`tests/dataflow/cases`), over REST and gRPC: endings, calls, moments."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs
from tests.dataflow.engine import TIME_OUT_MS, visit_of
from tests.dataflow.test_cases import CASES, expected_ending
from tests.pipelinegateway.client import grpc_bytes, message_of, read_answer, request_bytes, running
from tests.pipelinegateway.models import CODES, serving, tensor
from tests.support.virtualtime import VirtualLoop

ONE_MOMENT = {"inner with the last source as the window ends", "a caller that leaves"}
"""Cases of an answer at the moment of a timer or of the caller's end: by a socket the answer is later."""
FAILURES = {"error": 400, "unreachable": 503, "slow": 504}


class Case:
    """The models of one row, and their calls."""

    def __init__(self):
        self.models, self.visits, self.calls = {}, {}, {}

    def behave(self, asked):
        visit = self.visits[asked.step] = self.visits.get(asked.step, 0) + 1
        self.calls.setdefault(asked.step, []).append([written(each) for each in asked.tensors])
        model = visit_of(self.models.get(asked.step, ["o"]), visit)
        seconds = model.get("ms", 1) / 1000
        for kind, status in FAILURES.items():
            if kind in model:
                return status, {"error": model[kind], "reason": "NotReady"}, seconds
        if "gives" not in model:
            return None
        again = f"#{visit}" if visit > 1 else ""
        outputs = [tensor(name, [f"{asked.step}.{name}{again}"], [1, 1]) for name in model["gives"]]
        return 200, {"model_name": asked.step, "outputs": outputs}, seconds


def written(found):
    """Returns a tensor as the tables write it: its origin, and its name where that is another."""

    def one(origin):
        own = origin.partition(".")[2].partition("#")[0]
        return origin if own == found["name"] else f"{origin} as {found['name']}"

    return "+".join(one(origin) for origin in found["data"] if origin)


def inputs_of(request):
    rows = request.get("rows", 1)
    return [
        tensor(name, [f"request.{name}", *[""] * (rows - 1)], [rows, 1]) for name in request.get("ask", ["i"])
    ]


async def outcome(port, request, protocol):
    """Returns the ending of a request as the table has it, its moment, and whether it may be sent again."""
    inputs = inputs_of(request)
    loop = asyncio.get_running_loop()
    begun, limit = loop.time(), request.get("leaves")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if protocol == "grpc":
        writer.write(grpc_bytes("p_1", message_of(inputs)))
    else:
        writer.write(request_bytes("p_1", {"inputs": inputs}))
    try:
        async with asyncio.timeout(None if limit is None else limit / 1000):
            heard = await read_answer(reader)
    except TimeoutError:
        return [], None, None
    finally:
        writer.close()
    ms = round((loop.time() - begun) * 1000, 3)
    if heard.code:
        return [("fail", [heard.code, heard.words])], ms, heard
    if heard.status == 200:
        return [("answer", [written(each) for each in heard.outputs])], ms, heard
    return [("fail", [heard.status, heard.json["error"]])], ms, heard


def wanted(request, protocol):
    """Returns the ending in the table, with the gateway's words for a model that was not reached."""
    models = request.get("models", {})
    away = [
        each["unreachable"] for each in models.values() if isinstance(each, dict) and "unreachable" in each
    ]
    found = json.dumps(list(expected_ending(request)))
    for words in dict.fromkeys(away):
        found = found.replace(words, f"was not answered: {words}")
    endings = [tuple(each) for each in json.loads(found)]
    if protocol == "rest":
        return endings
    return [(kind, [CODES[told[0]], told[1]] if kind == "fail" else told) for kind, told in endings]


async def run_case(folder, spec, case, protocol):
    row = Case()
    async with (
        serving(row.behave) as models,
        running(folder, models, {"p_1": spec}, seconds=TIME_OUT_MS / 1000) as (engine, port),
    ):
        loop = asyncio.get_running_loop()
        for request in case.get("requests", [case]):
            row.models, row.visits, row.calls = request.get("models", {}), {}, {}
            models.cancelled.clear()
            begun = loop.time()
            with capture_logs() as logs:
                ending, ms, heard = await outcome(port, request, protocol)
                await engine.finish(1e6)
                over = round((loop.time() - begun) * 1000, 3)
                await asyncio.sleep(0.0001)
            assert ending == wanted(request, protocol)
            for step, calls in (request.get("calls") or {}).items():
                visits = calls if calls and isinstance(calls[0], list) else [calls] if calls else []
                assert row.calls.get(step, []) == visits, step
            called = [step for step in request.get("cancelled", []) if step in row.calls]
            assert models.cancelled == called  # of the others the connection was not made yet
            assert [each["step"] for each in logs if each["event"] == "side branch failed"] == [
                *request.get("failures", {})
            ]
            assert not [each for each in logs if each["log_level"] == "error"]
            if "ms" in request:
                assert ms == request["ms"]
            if "over" in request:
                assert over == request["over"]
            if "untouched" in request:
                assert bool(heard.values("retry-after")) == request["untouched"]
            if "step" in request and protocol == "rest":
                assert heard.json["step"] == request["step"]
        assert engine.budget.used == sum(batch.held.size for batch in engine.batches._open.values())


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.parametrize(("spec", "case"), CASES)
def test_a_request_ends_over_sockets_as_in_the_pure_flow(tmp_path, spec, case, protocol):
    if case["name"] in ONE_MOMENT:
        pytest.skip("the answer comes after the timer of the same moment")
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run_case(tmp_path, spec, case, protocol))

"""Traces of requests in the gateway: which are kept, for how long, and what they say."""

from __future__ import annotations

import gc
import re
import tracemalloc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import httpx2
import msgspec
import pytest
from tests.pipelinegateway.client import ask, ask_bytes, grpc_bytes, running, settings_of
from tests.pipelinegateway.models import Models, echo, serving, tensor
from tests.support.waiting import until

from bailie.dataflow import Flow
from bailie.dataflow.events import Asked, Call, Record, Reply, StepAnswered
from bailie.dataflow.plan import Topic
from bailie.dataflow.tensors import Parcel, TensorHandle
from bailie.pipelinegateway.grpc_dialect import GRPC
from bailie.pipelinegateway.http_values import lines
from bailie.pipelinegateway.json_bodies import TensorData
from bailie.pipelinegateway.kept_data import KeptData, KeptRecord
from bailie.pipelinegateway.plans import Plans, PlanSource
from bailie.pipelinegateway.protobuf_bodies import WireData
from bailie.pipelinegateway.rest_dialect import REST
from bailie.pipelinegateway.run import trace_server
from bailie.pipelinegateway.traces import _PER_SECOND, TraceRing

CHAIN = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}, {"name": "side"}],
    "output": {"steps": ["b"]},
}
SWITCH = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a.outputs.nowhere"]}],
    "output": {"steps": ["b"]},
}
FOLLOWER = {"input": {"externalInputs": ["p.outputs"]}, "steps": [{"name": "c"}], "output": {"steps": ["c"]}}
KEEPING = {**CHAIN, "keepData": True}
ID = ("x-request-id", "one/of#them")
TRACED = ("x-bailie-trace", "1")


def served_of(spec):
    plans = Plans("ns")
    assert not plans.put(PlanSource("p", 3, spec))
    return plans.get("p.pipeline_3")


def root_of(*given):
    """Returns the part of a request that a ring reads."""
    return SimpleNamespace(to_steps=lines(given), dialect=REST)


def ring(most=1_000, most_bytes=1 << 20):
    return TraceRing(most, KeptData(most_bytes))


async def over(engine):
    await until(lambda: not engine.traces._running)


async def test_a_trace_tells_times_bytes_and_edges(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": CHAIN}) as (engine, port):
        assert (await ask(port, headers=[ID])).status == 200
        await over(engine)
        (found,) = engine.traces.read(ID[1])["traces"]
    assert (found["pipeline"], found["version"], found["ending"]) == ("p", 1, "answered")
    assert found["spec"] == CHAIN
    assert [step["state"] for step in found["steps"]] == ["answered"] * 3
    call = found["steps"][1]["calls"][0]
    assert call["sent_bytes"] == len('["in>a"]')
    assert call["received_bytes"] == len('["in>a>b"]')
    assert 0 < call["ms"] <= found["ms"] + 1
    assert all(edge["present"] for edge in found["edges"])


async def test_a_request_without_an_answer_says_why(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": SWITCH}) as (engine, port):
        assert (await ask(port, headers=[ID])).status == 422
        (found,) = engine.traces.read(ID[1])["traces"]
    assert found["ending"] == "no_output"
    assert found["edges"][1]["why"] == "none of nowhere came, only x"
    assert found["steps"][1]["state"] == "skipped"


async def test_followers_are_traced_with_the_request(tmp_path):
    specs = {"p_1": CHAIN, "q_1": FOLLOWER}
    async with serving() as models, running(tmp_path, models, specs) as (engine, port):
        await ask(port, headers=[ID])
        await over(engine)
        found = engine.traces.read(ID[1])["traces"]
        listed = engine.traces.read("")["requests"]
    assert {each["pipeline"]: each["follower"] for each in found} == {"p": False, "q": True}
    assert {each["id"] for each in listed} == {ID[1]}


@pytest.mark.parametrize(("spec", "status"), [(CHAIN, 200), (SWITCH, 422)], ids=["answered", "failed"])
async def test_an_answer_has_times_only_for_a_caller_who_asks(tmp_path, spec, status):
    async with serving() as models, running(tmp_path, models, {"p_1": spec}, most_traces=0) as (engine, port):
        plain = await ask(port, headers=[ID])
        assert engine.traces.read("") == {"requests": []}
        asked = await ask(port, headers=[TRACED, ID])
        await over(engine)
        assert len(engine.traces.read("")["requests"]) == 1
    assert (plain.status, asked.status) == (status, status)
    assert plain.values("server-timing") == []
    (timing,) = asked.values("server-timing")
    assert re.fullmatch(r"([a-z]+;dur=\d+\.\d\d, )+total;dur=\d+\.\d\d", timing)
    assert timing.startswith("a;dur=") or "side;dur" in timing


def test_of_much_traffic_a_few_requests_in_each_second_are_traced():
    traces, served = ring(), served_of(CHAIN)
    begun = [traces.begin(served, root_of(), second / 1000, follower=False) for second in range(3_000)]
    assert len([each for each in begun if each]) == 3 * _PER_SECOND
    assert traces.begin(served, root_of((b"x-bailie-trace", b"")), 2.999, follower=False)
    assert traces.begin(served_of(KEEPING), root_of(), 2.999, follower=False)


def test_the_oldest_traces_go():
    traces, served = ring(most=10), served_of(CHAIN)
    for number in range(40):
        trace = traces.begin(served, root_of((b"x-request-id", b"%d" % number)), 0.0, follower=False)
        trace.turn(0.0, [Asked(Parcel(()))], [Reply(Parcel(()))])
        traces.end(trace)
    assert [each["id"] for each in traces.read("")["requests"]] == [str(n) for n in range(39, 29, -1)]
    assert traces.read("29") == {"traces": []}
    assert traces._bytes == sum(each.weight for each in traces._ended)


def small(name):
    """Returns a tensor with little data."""
    return TensorHandle(name, payload=TensorData(name, "", (), data=msgspec.Raw(b"[1]")))


def test_traces_are_bounded_in_bytes():
    """Also those of requests whose tensors have long names, which are in the trace of each call."""
    traces, served = ring(), served_of(CHAIN)
    asked = Asked(Parcel(tuple(small(f"{number}-{'x' * 400}") for number in range(400))))
    for _ in range(200):
        trace = traces.begin(served, root_of((b"x-bailie-trace", b"")), 0.0, follower=False)
        trace.turn(0.0, [asked], [Record(Topic("p", "p", "inputs"), asked.parcel)])
        traces.end(trace)
    assert sum(len(each.packed) for each in traces._ended) <= 16 << 20
    assert 50 < len(traces._ended) < 200


def test_a_thousand_traces_take_little_memory():
    """They take as much as their bytes, and keep no course of a plan that has gone."""
    traces, served = ring(), served_of(CHAIN)
    root = root_of((b"x-bailie-trace", b""), (b"x-request-id", b"0b8a9d7c-5e42-4a0e-9f8a-3f1b2c4d5e6f"))
    tracemalloc.start()
    try:
        for _ in range(1_000):
            trace = traces.begin(served, root, 0.0, follower=False)
            run_through(Flow(served.plan), trace)
            traces.end(trace)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(traces._ended) == 1_000
    assert taken < 1_200_000
    course = weakref.ref(served.course)
    del served, trace
    gc.collect()
    assert course() is None
    (found, *_) = traces.read("0b8a9d7c-5e42-4a0e-9f8a-3f1b2c4d5e6f")["traces"]
    assert [step["state"] for step in found["steps"]] == ["answered"] * 3


def run_through(flow, trace):
    """Has each step answer with a tensor."""
    events = [Asked(Parcel((small("x"),)))]
    while events:
        effects = flow.event(*events)
        trace.turn(0.001, events, effects)
        called = [each for each in effects if isinstance(each, Call)]
        events = [StepAnswered(each.step, each.visit, Parcel((small("x"),))) for each in called]


async def test_data_is_kept_only_where_the_pipeline_says_so(tmp_path):
    specs = {"p_1": KEEPING, "q_1": CHAIN}
    async with serving() as models, running(tmp_path, models, specs) as (engine, port):
        await ask(port, headers=[ID])
        await ask(port, "q_1", headers=[ID])
        await over(engine)
        records = engine.traces.read_kept("p")["records"]
        assert engine.traces.read_kept("q") == {"records": []}
    topics = [(each["owner"], each["side"]) for each in records]
    assert sorted(topics) == sorted(
        [(name, side) for name in ("p", "a", "b", "side") for side in ("inputs", "outputs")]
    )
    answer = next(each for each in records if (each["owner"], each["side"]) == ("p", "outputs"))
    assert (answer["id"], answer["version"]) == (ID[1], 1)
    assert answer["body"]["outputs"][0]["data"] == ["in>a>b"]
    asked = next(each for each in records if (each["owner"], each["side"]) == ("b", "inputs"))
    assert asked["body"]["inputs"][0]["data"] == ["in>a"]


async def test_failures_are_kept_too(tmp_path):
    def behave(asked):
        return (500, {"error": "broken"}, 0.0) if asked.step == "b" else echo(asked)

    spec = {**KEEPING, "steps": [{"name": "a"}, {"name": "b"}], "output": {"steps": ["a"]}}
    async with serving(behave) as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        await ask(port)
        await over(engine)
        records = engine.traces.read_kept("p")["records"]
    (failure,) = [each for each in records if each["side"] == "errors"]
    assert (failure["owner"], failure["body"]) == ("b", {"error": "broken", "step": "b"})


async def test_the_data_of_a_batch_is_kept(tmp_path):
    spec = {"keepData": True, "steps": [{"name": "a", "batch": {"size": 1}}], "output": {"steps": ["a"]}}
    async with serving() as models, running(tmp_path, models, {"p_1": spec}) as (engine, port):
        assert (await ask(port, body={"inputs": [tensor("x", ["in"])]})).status == 200
        await over(engine)
        records = engine.traces.read_kept("p")["records"]
    asked = next(each for each in records if (each["owner"], each["side"]) == ("a", "inputs"))
    assert asked["body"]["inputs"][0]["data"] == ["in"]


def record(size, owner="a"):
    return KeptRecord(
        pipeline="p",
        version=1,
        request_id="i",
        at=0.0,
        owner=owner,
        side="inputs",
        body=b'{"outputs":[],"id":"%b"}' % (b"1" * size),
    )


def test_kept_data_is_bounded():
    kept = KeptData(100_000)
    for number in range(1_000):
        kept.keep(record(1_000, f"s{number}"))
        assert kept.used <= kept.most_bytes
    assert kept.of("p")[-1]["owner"] == "s999"
    assert len(kept.of("p")) > 50
    assert kept.of("q") == []


def test_a_record_that_is_too_long_is_kept_without_its_data():
    kept = KeptData(100_000)
    kept.keep(record(50_000))
    (found,) = kept.of("p")
    assert found["cut"] == 50_022
    assert "body" not in found


def test_binary_data_comes_beside_the_json():
    body = b'{"outputs":[],"model_name":""}'
    found = replace(record(0), body=body + b"\x00\xff", json_bytes=len(body)).data()
    assert (found["body"], found["binary"]) == ({"inputs": []}, b"\x00\xff")


async def test_traces_are_read_over_http(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": KEEPING}) as (engine, port):
        await ask(port, headers=[ID])
        await over(engine)
        async with trace_server(engine).serve("127.0.0.1", 0) as looking, httpx2.AsyncClient() as client:
            url = f"http://127.0.0.1:{looking}"
            assert (await client.get(f"{url}/traces/one%2Fof%23them")).json()["traces"][0]["id"] == ID[1]
            assert len((await client.get(f"{url}/traces")).json()["requests"]) == 1
            assert (await client.get(f"{url}/traces/other")).json() == {"traces": []}
            assert len((await client.get(f"{url}/data/p")).json()["records"]) == 8


@pytest.mark.parametrize(
    ("address", "traces"),
    [("10.1.2.3", "127.0.0.1"), ("127.99.0.4", "127.99.0.4"), ("fd00::5", "127.0.0.1"), ("::1", "::1")],
)
def test_only_the_pod_itself_reaches_traces(tmp_path, address, traces):
    assert settings_of(tmp_path, Models(), address=address).trace_address == traces


async def test_calls_of_grpc_are_traced_and_kept_as_those_of_rest(tmp_path):
    async with serving() as models, running(tmp_path, models, {"p_1": KEEPING}) as (engine, port):
        heard = await ask_bytes(port, grpc_bytes(headers=[ID, TRACED]))
        await over(engine)
        (found,) = engine.traces.read(ID[1])["traces"]
        records = engine.traces.read_kept("p")["records"]
    assert heard.values("server-timing")
    assert found["ending"] == "answered"
    assert all(edge["present"] for edge in found["edges"])
    assert found["steps"][0]["calls"][0]["sent_bytes"] > 0
    bodies = {(each["owner"], each["side"]): each["body"] for each in records}
    assert bodies["p", "inputs"]["inputs"][0]["name"] == "x"
    assert bodies["p", "outputs"]["outputs"][0]["data"]


def test_data_without_a_form_is_not_kept_and_ends_no_request():
    held, root = KeptData(100_000), SimpleNamespace(to_steps=b"", dialect=GRPC)
    traced = TraceRing(10, held).begin(served_of(KEEPING), root, 0.0, follower=False)
    odd = TensorHandle("x", "ODD", (1,), WireData(b"", (b"\x00",)))
    raw = TensorHandle("y", "ODD", (1,), WireData(b"", (), b"1"))
    topic = Topic("p", "b", "inputs")
    traced.turn(0.0, [], [Record(topic, Parcel((odd, raw))), Record(topic, Parcel((raw,)))])
    assert len(held.of("p")) == 1

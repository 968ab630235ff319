"""OpenAI's API through Envoy, before a real server that speaks it: the model is the body's."""

import asyncio
import json
import random
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from tests.support.dataplane import backend, control_plane, envoy, took

from bailie.gateway.listener import LONGEST_UNNAMED
from bailie.routing import refusal
from bailie.routing.table import Backend, NotReady, Route, RoutingTable

PATHS = ("chat/completions", "completions", "embeddings", "images/generations")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend())
        gateway, port = await stack.enter_async_context(control_plane())
        mesh = await stack.enter_async_context(envoy(tmp_path_factory.mktemp("envoy"), port))
        on = (one.replica,)
        entries = {
            "llama": Route((Backend("llama_1", 1, on),)),
            "split": Route((Backend("split_1", 1, on), Backend("split_2", 1, on))),
            "slow": NotReady("Loading", "mlserver-0 is loading it"),
            "completions": Route((Backend("completions_1", 1, on),)),
        }
        await took(gateway, RoutingTable("ns", entries))
        yield mesh, one


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(world):
    return world[0].http


@pytest.mark.parametrize("path", PATHS)
async def test_the_model_of_the_body_answers_by_the_name_that_its_server_knows(http, path):
    asked = {"messages": [{"role": "user", "content": "model"}], "model": "llama", "n": 1}
    answer = await http.post(f"/v1/{path}", json=asked)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["path"], said["asked"]) == (f"/v1/{path}", {**asked, "model": "llama_1"})
    assert answer.headers["x-seldon-route"] == ":llama_1:"
    assert (said["headers"]["seldon-model"], said["headers"]["bailie-version"]) == ("llama", "llama_1")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["infer", "infer_stream"])
async def test_the_path_of_a_model_may_lead_there(http, method, path):
    answer = await http.post(f"/v2/models/llama/{method}/{path}", json={"model": "llama"})
    assert (answer.json()["path"], answer.json()["model"]) == (f"/v1/{path}", "llama_1")


@pytest.mark.parametrize("model", ["llama", "split", "completions"])
async def test_the_header_decides(http, model):
    answer = await http.post(
        "/v1/chat/completions", json={"model": "slow"}, headers={"seldon-model": model, "bailie-version": "x"}
    )
    served = answer.headers["x-seldon-route"].strip(":")
    assert served.startswith(f"{model}_")
    assert (answer.json()["model"], answer.json()["headers"]["bailie-version"]) == (served, served)


async def test_a_stream_is_not_kept(world):
    mesh, one = world
    one.go_on.clear()
    asked = {"model": "llama", "stream": True}
    async with asyncio.timeout(30), mesh.http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        first = await anext(lines)
        assert json.loads(first.removeprefix("data: "))["model"] == "llama_1"
        one.go_on.set()
        assert [line async for line in lines if line] == ["data: [DONE]"]


async def test_a_long_body_keeps_all_but_its_model(http):
    image = "data:image/png;base64," + "A" * 5_000_000
    asked = {"messages": [{"content": [{"image_url": {"url": image}}]}], "model": "llama"}
    assert (await http.post("/v1/chat/completions", json=asked)).json()["asked"] == {
        **asked,
        "model": "llama_1",
    }


async def test_a_body_that_is_too_long_to_be_kept_is_refused(http):
    answer = await http.post("/v1/embeddings", json={"model": "llama", "input": "x" * LONGEST_UNNAMED})
    assert answer.status_code == 413
    assert answer.json() == refusal.too_long("ns", LONGEST_UNNAMED).body()


async def test_a_body_in_chunks_has_one_length(http):
    async def chunks():
        for part in (b'{"model":', b'"llama",', b'"input":"', b"x" * 100_000, b'"}'):
            yield part

    answer = await http.post("/v1/embeddings", content=chunks())
    assert answer.json()["asked"] == {"model": "llama_1", "input": "x" * 100_000}
    sent = answer.json()["headers"]
    assert ("content-length" in sent) != ("transfer-encoding" in sent)
    assert (await http.post("/v1/embeddings", json={"model": "llama"})).status_code == 200


GOOD = [
    '{"model":"llama"}',
    ' \n{ "model" : "llama" }\n',
    r'{"a":"\"model\":\"split\"","model":"llama"}',
    r'{"a":"\\","model":"llama","b":"\\\""}',
    '{"a":{"model":"split"},"model":"llama"}',
    '{"a":[{"model":"split"},["]"]],"model":"llama","z":[]}',
    '{"n":-1.5e3,"t":true,"u":null,"model":"llama","o":{}}',
    '{"":1,"model":"llama"}',
    '{"a":"}","model":"llama"}',
    '{"a":[[1,2],{"b":"]"},[]],"c":{"d":"}{"},"model":"llama"}',
    '{"a":[' + "1," * 1_000_000 + '1],"model":"llama"}',
    '{"a":"' + r"\"" * 100_000 + '","model":"llama"}',
    '{"model":"llama","a":[' + ",".join(['{"role":"user","content":"hi"}'] * 10_000) + "]}",
    "{" + ",".join(f'"k{n}":0' for n in range(999)) + ',"model":"llama"}',
]
BAD = [
    "",
    "[]",
    "{}",
    "null",
    "model",
    '{"model":3}',
    '{"model":""}',
    '{"model":["llama"]}',
    '{"model":"llama","model":"split"}',
    '{"model":"llama","m\\u006fdel":"split"}',
    '{"model":"ll\\u0061ma"}',
    '{"a":"model":"llama"}',
    '{"a":{"model":"llama"}}',
    '{"a":"',
    '{"a":[[[',
    '{"model"',
    '{"model":"llama',
    '{"a":"\\"}',
    "[" * 300_000,
    '{"a":' + "[" * 300_000 + "]" * 300_000 + ',"model":"llama"}',
    "{" + ",".join(f'"k{n}":0' for n in range(1_000)) + ',"model":"llama"}',
    '{"a":"' + r"\"" * 300_000 + '","model":"llama"}',
    '{"' + "k" * 2_000 + '":0,"model":"llama"}',
    '{"a":' + "1" * 2_000 + ',"model":"llama"}',
    '{"model":"' + "llama" * 1_000 + '"}',
]


async def test_the_field_is_found_wherever_it_is(http):
    for body in GOOD:
        answer = await http.post("/v1/embeddings", content=body)
        assert answer.status_code == 200, body
        assert answer.json()["asked"] == {**json.loads(body), "model": "llama_1"}


async def test_a_body_that_names_no_model_once_is_refused(http):
    expected = refusal.not_named_in_body("ns")
    for body in BAD:
        answer = await http.post("/v1/embeddings", content=body)
        assert answer.status_code == 400, body[:100]
        assert answer.json()["error"] == {
            "message": expected.message,
            "type": "invalid_request_error",
            "param": None,
            "code": "ModelNotNamed",
        }


async def test_whatever_the_body_is_the_server_reads_the_name_of_the_route(http):
    """Fragments of bodies in any order: what a strict server reads as the model is what the route says."""
    rng = random.Random(1)
    fragments = ['"model"', '"llama"', '"split"', ":", ",", "{", "}", "[", "]", "\\", '"', " ", "1", '"a":']
    answered = 0
    for _ in range(1_500):
        body = '{"model":"llama"' + "".join(rng.choices(fragments, k=rng.randrange(6))) + "}"
        answer = await http.post("/v1/embeddings", content=body)
        if answer.status_code == 200:
            answered += 1
            assert answer.json()["model"] == answer.headers["x-seldon-route"].strip(":") == "llama_1", body
    assert answered > 10


@pytest.mark.parametrize(
    ("model", "status", "code", "kind"),
    [
        ("nope", 404, "ModelNotFound", "invalid_request_error"),
        ("slow", 503, "Loading", "server_error"),
        ("meta-llama/Llama", 404, "ModelNotFound", "invalid_request_error"),
        ("a\r\nb: c", 400, "ModelNotNamed", "invalid_request_error"),
        ("@", 404, "ModelNotFound", "invalid_request_error"),
        ("..", 404, "ModelNotFound", "invalid_request_error"),
    ],
)
async def test_refusals_have_the_form_of_the_api(http, model, status, code, kind):
    answer = await http.post("/v1/chat/completions", json={"model": model})
    assert answer.status_code == status
    assert (answer.json()["error"]["code"], answer.json()["error"]["type"]) == (code, kind)
    assert "namespace ns" in answer.json()["error"]["message"]

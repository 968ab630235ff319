"""Both clients, over both protocols, against a real MLServer: the same words, the same answers."""

import asyncio
import inspect

import numpy as np
import pandas as pd
import pytest

from bailie.client import Answer, AsyncClient, Client, InferenceError, ServerUnreachable
from bailie.client.asynchronous import AsyncModelClient
from bailie.client.blocking import ModelClient

WAYS = [(kind, protocol) for kind in (Client, AsyncClient) for protocol in ("rest", "grpc")]
by_way = pytest.mark.parametrize("way", WAYS, ids=[f"{kind.__name__}-{protocol}" for kind, protocol in WAYS])
TYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
]


def do(way, address, work, model="echo", **options):
    """Calls `work(model)` with a client of this kind; waits for what is asynchronous."""
    kind, protocol = way

    async def asynchronously():
        async with AsyncClient(address[protocol], protocol=protocol) as client:
            return await work(client.model(model, **options))

    if kind is AsyncClient:
        return asyncio.run(asynchronously())
    with Client(address[protocol], protocol=protocol) as client:
        return work(client.model(model, **options))


@by_way
@pytest.mark.parametrize("dtype", TYPES)
def test_an_array_comes_back_as_it_was_sent(way, echo, dtype):
    sent = np.array([[0, 1, 2], [3, 4, 100]]).astype(dtype)
    got = do(way, echo, lambda model: model.infer(sent)).array
    assert got.dtype == sent.dtype
    np.testing.assert_array_equal(got, sent)


@by_way
def test_arrays_of_any_layout_come_back(way, echo):
    sent = np.arange(24, dtype=">f4").reshape(2, 3, 4).transpose(2, 0, 1)[:, ::-1]
    np.testing.assert_array_equal(do(way, echo, lambda model: model.infer(sent)).array, sent)


@by_way
def test_lists_and_empty_arrays_are_arrays(way, echo):
    assert do(way, echo, lambda model: model.infer([[1.5, 2.5]])).array.tolist() == [[1.5, 2.5]]
    assert do(way, echo, lambda model: model.infer(np.zeros((0, 4)))).array.shape == (0, 4)


@by_way
@pytest.mark.parametrize("sent", [np.array(["a", "ü", ""]), np.array(["x\0y"], dtype=object), ["one"]])
def test_texts_come_back(way, echo, sent):
    assert do(way, echo, lambda model: model.infer(sent)).array.tolist() == list(sent)


@by_way
def test_a_dict_has_an_array_for_each_name(way, echo):
    answer = do(way, echo, lambda model: model.infer({"a": np.ones(2), "b": ["x"]}))
    assert {name: each.tolist() for name, each in answer.outputs.items()} == {"a": [1.0, 1.0], "b": ["x"]}
    assert answer["b"].tolist() == ["x"]
    assert answer.model == "echo"
    with pytest.raises(ValueError, match="has a, b: choose one"):
        _ = answer.array


@by_way
def test_a_data_frame_reaches_the_model_as_one(way, echo):
    frame = pd.DataFrame({"age": [31, 32], "name": ["Ada", "Bob"], "height": [1.5, 1.75]})
    answer = do(way, echo, lambda model: model.infer(frame))
    assert answer["columns"].ravel().tolist() == ["age", "name", "height"]
    assert answer["first"].ravel().tolist() == ["31", "Ada", "1.5"]


@by_way
def test_nan_is_sent_where_the_protocol_has_it(way, echo):
    sent = np.array([np.nan, np.inf], dtype="float32")
    if way[1] == "rest":
        with pytest.raises(ValueError, match="use protocol='grpc'"):
            do(way, echo, lambda model: model.infer(sent))
    else:
        np.testing.assert_array_equal(do(way, echo, lambda model: model.infer(sent)).array, sent)


@by_way
def test_the_words_of_the_server_are_the_errors(way, echo):
    with pytest.raises(InferenceError) as failed:
        do(way, echo, lambda model: model.infer([1.0], parameters={"fail": True}))
    assert failed.value.status in {"500", "INTERNAL", "UNKNOWN"}
    assert failed.value.text


@by_way
def test_readiness_and_metadata(way, echo):
    assert do(way, echo, lambda model: model.ready()) is True
    found = do(way, echo, lambda model: model.metadata())
    assert found["name"] == "echo"
    assert [(each["name"], each["datatype"], each["shape"]) for each in found["inputs"]] == [
        ("x", "FP32", [-1, 4])
    ]


@by_way
def test_where_nobody_listens_is_said(way):
    nowhere = {"rest": "http://127.0.0.1:1", "grpc": "127.0.0.1:1"}
    for ask in (lambda model: model.infer([1]), lambda model: model.ready(), lambda model: model.metadata()):
        with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1 does not answer"):
            do(way, nowhere, ask)


def test_an_address_for_rest_is_one_for_grpc(echo):
    with Client(f"http://{echo['grpc']}/", protocol="grpc") as client:
        assert client.model("echo").ready()
    with pytest.raises(ValueError, match="without TLS"):
        Client("https://models.example.com", protocol="grpc")


@by_way
def test_headers_may_have_any_case(way, echo):
    kind, protocol = way
    if kind is Client:
        with Client(echo[protocol], protocol=protocol, headers={"X-Trace": "7"}) as client:
            assert client.model("echo").infer([1.0], headers={"X-More": "8"}).array.tolist() == [1.0]


def test_an_answer_is_an_array_to_numpy():
    answer = Answer(outputs={"y": np.array([1, 2])})
    assert np.asarray(answer).tolist() == [1, 2]
    assert np.asarray(answer, dtype="float32").dtype == np.float32


def test_both_clients_have_the_same_words():
    for one, other in ((Client, AsyncClient), (ModelClient, AsyncModelClient)):
        assert public(one) == public(other)


def public(kind):
    """The public methods with the names of their parameters."""
    return {
        name: list(inspect.signature(member).parameters)
        for name, member in inspect.getmembers(kind, callable)
        if not name.startswith("_")
    }

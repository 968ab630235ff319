"""Binary tensors become values, or the caller is told in a sentence which part of the body is wrong."""

import asyncio
import json
import struct
import tracemalloc

import pytest
from tests.support import plain_http
from tests.support.loop_turns import loop_turns

from bailie.inference import codec
from bailie.mlserver.bailie_binary import CODES, BadTensors, BinaryRequest


def test_datatypes_are_those_of_the_client():
    """The file runs where Bailie is not installed, so it has a table of its own."""
    assert CODES == codec.STRUCT_CODES


def tensor(datatype, size, name="x", shape=(2,)):
    parameters = {} if size is None else {"binary_data_size": size}
    return {"name": name, "datatype": datatype, "shape": list(shape), "parameters": parameters}


def body(*tensors, data=b""):
    text = json.dumps({"inputs": list(tensors)}).encode()
    return text + data, str(len(text)).encode()


@pytest.mark.parametrize(
    ("datatype", "data", "values"),
    [
        ("BOOL", b"\0\1", [False, True]),
        ("INT8", b"\1\xff", [1, -1]),
        ("INT16", struct.pack("<2h", 1, -2), [1, -2]),
        ("INT32", struct.pack("<2i", 1, -2), [1, -2]),
        ("INT64", struct.pack("<2q", 1, -(2**62)), [1, -(2**62)]),
        ("UINT8", b"\1\xff", [1, 255]),
        ("UINT16", struct.pack("<2H", 1, 65535), [1, 65535]),
        ("UINT32", struct.pack("<2I", 1, 2**32 - 1), [1, 2**32 - 1]),
        ("UINT64", struct.pack("<2Q", 1, 2**64 - 1), [1, 2**64 - 1]),
        ("FP16", struct.pack("<2e", 0.5, -1), [0.5, -1.0]),
        ("FP32", struct.pack("<2f", 0.5, -1), [0.5, -1.0]),
        ("FP64", struct.pack("<2d", 0.1, -1), [0.1, -1.0]),
        ("BYTES", b"\2\0\0\0ab\0\0\0\0", ["ab", ""]),
        ("BYTES", b"\3\0\0\0\xe2\x82\xac", ["€"]),
        ("FP32", b"", []),
    ],
)
def test_each_datatype_is_read(datatype, data, values):
    read = BinaryRequest(*body(tensor(datatype, len(data)), data=data)).values()
    assert read == {"inputs": [{**tensor(datatype, None), "data": values}]}


def test_tensors_follow_each_other_and_json_ones_stay():
    plain = {**tensor("FP32", None, "plain"), "data": [1.5, 2.5]}
    sent = body(tensor("INT8", 2, "one"), plain, tensor("INT8", 1, "two"), data=b"\1\2\3")
    assert [each["data"] for each in BinaryRequest(*sent).values()["inputs"]] == [[1, 2], [1.5, 2.5], [3]]


GOOD, LENGTH = body(tensor("INT8", 2), data=b"\1\2")


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ((GOOD, b"9999"), "not the length of the JSON"),
        ((GOOD, b"-1"), "not the length of the JSON"),
        ((GOOD, b""), "not the length of the JSON"),
        ((GOOD, b"9" * 5000), "not the length of the JSON"),
        ((GOOD, b"3"), "no inference request"),
        ((b"[1, 2]", b"6"), "no inference request"),
        ((b'{"inputs": 3}', b"13"), "no inference request"),
        ((b'{"inputs": [3]}', b"15"), "no inference request"),
        ((b'{"inputs": [' + b"{}," * 10_000 + b"{}]}", b"30016"), "10001 tensors, where 10000 may be"),
        ((b"[" * 100_000, b"100000"), "no inference request"),
        (body(tensor("INT8", 3), data=b"\1\2"), "'x': the body ends before its 3 bytes"),
        (body(tensor("INT8", 2**62), data=b"\1\2"), "the body ends before"),
        (body(tensor("INT8", 1), data=b"\1\2"), "1 bytes more than its tensors"),
        (body(tensor("INT8", -1), data=b"\1"), "no number of bytes"),
        (body(tensor("INT8", "1"), data=b"\1"), "no number of bytes"),
        (body(tensor("INT8", True), data=b"\1"), "no number of bytes"),
        (body(tensor("INT16", 3), data=b"\1\2\3"), "no whole INT16 elements"),
        (body(tensor("BYTES", 3), data=b"\1\0\0"), "no whole BYTES elements"),
        (body(tensor("BYTES", 5), data=b"\2\0\0\0a"), "no whole BYTES elements"),
        (body(tensor("BYTES", 5), data=b"\1\0\0\0\xff"), "no UTF-8; send the tensor over gRPC"),
        (body(tensor("BF16", 2), data=b"\1\2"), "BF16 cannot be read here; send the tensor over gRPC"),
        (body(tensor(None, 2), data=b"\1\2"), "cannot be read here"),
        (body(tensor("FP32", 4), data=struct.pack("<f", float("nan"))), "NaN and infinity"),
        (body(tensor("FP16", 2), data=struct.pack("<e", float("inf"))), "NaN and infinity"),
    ],
)
def test_a_body_that_does_not_fit_is_told_why(sent, says):
    with pytest.raises(BadTensors, match=says):
        BinaryRequest(*sent).values()


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("FP32", struct.pack("<1000f", *range(1000)) * 50),
        ("INT64", struct.pack("<1000q", *range(1000, 2000)) * 50),
        ("UINT8", bytes(50_000)),
        ("BYTES", b"\3\0\0\0abc" * 5_000),
        ("BYTES", (100_000).to_bytes(4, "little") + b"a" * 100_000),
    ],
)
def test_the_memory_of_values_is_known_before(datatype, data):
    request = BinaryRequest(*body(tensor(datatype, len(data)), data=data))
    tracemalloc.start()
    values = request.values()
    used, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    piece = 16 << 13
    assert used <= most <= 1.2 * request.memory + 2 * piece
    assert 0.4 * request.memory <= used, len(values)


async def test_long_data_is_read_while_others_are_answered():
    """No call of C is so long that it keeps the event loop from its turns."""
    data = bytes(8 << 20)
    sent = body(tensor("FP32", len(data)), data=data)
    async with loop_turns() as turns:
        values = await asyncio.to_thread(BinaryRequest(*sent).values)
    assert len(values["inputs"][0]["data"]) == 2 << 20
    assert turns.count >= 5


ECHO = """
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

class Echo(MLModel):
    async def predict(self, payload):
        outputs = [ResponseOutput(**each.model_dump(exclude={"parameters"})) for each in payload.inputs]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""


@pytest.fixture(scope="module")
def infer(mlserver_process):
    """Posts a body to a model that answers its inputs."""
    folder = mlserver_process.folder / "models" / "binary"
    folder.mkdir()
    (folder / "model.py").write_text(ECHO)
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "binary", "implementation": "model.Echo"})
    )
    load = f"{mlserver_process.url}/v2/repository/models/binary/load"
    plain_http.post(load, timeout=60).raise_for_status()
    with plain_http.client(base_url=mlserver_process.url, timeout=30) as client:

        def post(content, length, **more):
            headers = {"inference-header-content-length": length, "content-type": "application/octet-stream"}
            headers |= {name.replace("_", "-"): value for name, value in more.items()}
            return client.post("/v2/models/binary/infer", content=content, headers=headers)

        yield post


def test_mlserver_answers_binary_tensors(infer):
    answer = infer(*body(tensor("FP16", 4), data=struct.pack("<2e", 0.5, 2)))
    assert (answer.status_code, answer.json()["outputs"][0]["data"]) == (200, [0.5, 2.0])


def test_mlserver_tells_the_caller_what_is_wrong(infer):
    answer = infer(*body(tensor("FP16", 8), data=b"\0\0"))
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "input 'x': the body ends before its 8 bytes"},
    )
    answer = infer(*body(tensor("INT8", 2), data=b"\1\2"), content_encoding="deflate")
    assert (answer.status_code, "only gzip is read" in answer.text) == (415, True)
    assert infer(*body(tensor("INT8", 2), data=b"\1\2")).status_code == 200

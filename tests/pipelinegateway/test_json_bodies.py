"""Bodies to tensors and back: the data comes out as it went in, and what is wrong is named."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bailie.dataflow.batches import BatchStore
from bailie.dataflow.events import BatchCompleted
from bailie.pipelinegateway.json_bodies import (
    MOST_TENSORS,
    MalformedBody,
    chosen,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    stacked,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)
TENSORS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.text(min_size=1, max_size=5),
            "datatype": st.sampled_from(["FP32", "BYTES", "no such type"]),
            "shape": st.lists(st.integers(0, 2**70), max_size=3),
            "data": st.lists(VALUES, max_size=4),
        },
        optional={"parameters": st.dictionaries(st.text(max_size=3), VALUES, max_size=2)},
    ),
    max_size=4,
)


@given(
    TENSORS,
    st.none() | st.text(max_size=5),
    st.none() | st.dictionaries(st.text(max_size=3), VALUES, max_size=2),
)
def test_a_request_comes_out_as_it_went_in(tensors, name, parameters):
    body = {"inputs": tensors} | ({"id": name} if name is not None else {})
    body |= {"parameters": parameters} if parameters is not None else {}
    found = encode_request(decode_request(json.dumps(body).encode()))
    assert json.loads(found.content) == body
    answer = {**body, "outputs": tensors}
    del answer["inputs"]
    told = json.loads(encode_answer(decode_answer(json.dumps(answer).encode())).content)
    assert told == {"model_name": "", **answer}


def test_the_digits_of_a_number_are_not_touched():
    number = b"0.1000000000000000055511151231257827"
    body = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[%b]}]}' % number
    assert encode_request(decode_request(body)).content == body


def binary_request(parts, size=None):
    tensors = [
        {
            "name": name,
            "datatype": "INT8",
            "shape": [len(data)],
            "parameters": {"binary_data_size": len(data)},
        }
        for name, data in parts.items()
    ]
    text = json.dumps({"inputs": tensors}).encode()
    return text + b"".join(parts.values()), len(text) if size is None else size


def test_binary_data_stays_binary_in_its_order():
    body, length = binary_request({"a": b"\x00\xff", "b": b"", "c": b"xyz"})
    found = encode_request(decode_request(body, length))
    content, json_bytes = found.content, found.json_bytes
    assert content[json_bytes:] == b"\x00\xffxyz"
    sizes = [each["parameters"]["binary_data_size"] for each in json.loads(content[:json_bytes])["inputs"]]
    assert sizes == [2, 0, 3]


TENSOR = '{"name":"x","datatype":"FP32","shape":[1],"data":[1]}'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "Input data was truncated"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "Object missing required field `inputs`"),
        ('{"inputs":[{"name":"x"}]}', "`datatype` - at `$.inputs[0]`"),
        (
            f'{{"inputs":[{TENSOR},{{"name":"x","datatype":"FP32","shape":[-1],"data":[]}}]}}',
            "$.inputs[1].shape[0]",
        ),
        ('{"inputs":[{"name":"x","datatype":"FP32","shape":["1"],"data":[]}]}', "Expected `int`, got `str`"),
        ('{"inputs":[{"name":"x","datatype":"FP32","shape":[1]}]}', 'tensor "x" has no data'),
        ('{"inputs":[' + TENSOR[:-3] + "[" * 100_000, "nested too deeply"),
        (f'{{"inputs":[{TENSOR}]}} 1', "malformed"),
        (f'{{"inputs":[{TENSOR[:-4]}[01]}}]}}', "malformed"),
        ('{"inputs":[{"name":"\\ud800","datatype":"","shape":[],"data":[]}]}', "malformed"),
    ],
)
def test_a_malformed_body_is_refused_with_its_place(body, words):
    with pytest.raises(MalformedBody) as error:
        decode_request(body.encode())
    assert words.lower() in str(error.value).lower()


@pytest.mark.parametrize("text", [b"\xff", b'{"inputs":[{"name":"\xff"}]}'])
def test_bytes_that_are_no_text_are_refused(text):
    with pytest.raises(MalformedBody):
        decode_request(text)


@pytest.mark.parametrize(("cut", "size"), [(1, None), (0, 10_000), (0, 5)])
def test_binary_data_that_does_not_fit_is_refused(cut, size):
    body, length = binary_request({"a": b"\x00\xff"}, size)
    with pytest.raises(MalformedBody):
        decode_request(body[: len(body) - cut], length)


def test_wishes_choose_outputs_and_name_those_that_are_missing():
    answer = decode_answer(f'{{"outputs":[{TENSOR},{TENSOR.replace("x", "y")}]}}'.encode())
    assert [tensor.name for tensor in chosen(answer, ("y",)).tensors] == ["y"]
    assert chosen(answer, ()) is answer
    assert [tensor.name for tensor in chosen(answer, ("y", "x", "y") * 1_000).tensors] == ["y", "x"]
    with pytest.raises(MalformedBody, match=r'no output "z" \(outputs: x, y\)'):
        chosen(answer, ("z",))


def batch_of(*bodies):
    store = BatchStore(len(bodies))
    events = [
        store.add("s", 1, decode_request(*body) if isinstance(body, tuple) else decode_request(body)).event
        for body in bodies
    ]
    assert isinstance(events[-1], BatchCompleted)
    return events[-1].parcel


def with_data(data, shape):
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": data}]}).encode()


@pytest.mark.parametrize(
    ("parts", "data"),
    [
        ([([1.5, 2], [1, 2]), ([3, 4], [1, 2])], [1.5, 2, 3, 4]),
        ([([[1, 2]], [1, 2]), ([[3, 4]], [1, 2])], [[1, 2], [3, 4]]),
        ([([], [1, 0]), ([], [1, 0])], []),
        ([(["a,]"], [1, 1]), (["[b"], [1, 1])], ["a,]", "[b"]),
    ],
)
def test_the_data_of_a_batch_is_put_together(parts, data):
    parcel = batch_of(*(with_data(*part) for part in parts))
    joined = structs.replace(parcel, tensors=tuple(map(stacked, parcel.tensors)))
    (found,) = json.loads(encode_request(joined).content)["inputs"]
    assert found["data"] == data
    assert found["shape"][0] == len(parts)


def test_binary_parts_of_a_batch_are_put_together_with_their_size():
    def body(data):
        shape = {"name": "x", "datatype": "INT8", "shape": [1, 2], "parameters": {"binary_data_size": 2}}
        text = json.dumps({"inputs": [shape]}).encode()
        return text + data, len(text)

    parcel = batch_of(body(b"ab"), body(b"cd"))
    found = encode_request(structs.replace(parcel, tensors=tuple(map(stacked, parcel.tensors))))
    content, json_bytes = found.content, found.json_bytes
    assert content[json_bytes:] == b"abcd"
    assert json.loads(content[:json_bytes])["inputs"][0]["parameters"]["binary_data_size"] == 4


def many(field, item, count, before=b""):
    return b"{" + before + b'"' + field + b'":[' + b",".join([item] * count) + b"]}"


ONE = b'{"name":"x","datatype":"INT8","shape":[0],"data":[]}'
INPUTS = b'"inputs":[],'


@pytest.mark.parametrize(
    ("decode", "made"),
    [
        (decode_request, lambda count: many(b"inputs", ONE, count)),
        (decode_request, lambda count: many(b"\\u0069nputs", ONE, count)),
        (decode_request, lambda count: many(b"inputs", ONE, count)[:-1] + b',"inputs":[]}'),
        (decode_request, lambda count: many(b"outputs", b'{"name":"x"}', count, INPUTS)),
        (decode_answer, lambda count: many(b"outputs", ONE, count)),
    ],
    ids=["inputs", "escaped", "twice", "wished outputs", "outputs"],
)
def test_a_message_of_very_many_tensors_is_refused_before_it_takes_memory(decode, made):
    assert decode(made(MOST_TENSORS))
    tracemalloc.start()
    try:
        with pytest.raises(MalformedBody, match="length <= 10000"):
            decode(made(MOST_TENSORS * 5))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 15_000_000


def test_braces_in_texts_are_no_tensors():
    data = json.dumps(["{" * 20_000]).encode()
    body = b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":' + data + b"}]}"
    assert len(decode_request(body).tensors) == 1


def test_a_tensor_has_at_most_64_dimensions():
    def shaped(count):
        shape = json.dumps([1] * count).encode()
        return b'{"inputs":[{"name":"x","datatype":"INT8","shape":' + shape + b',"data":[1]}]}'

    assert len(decode_request(shaped(64)).tensors[0].shape) == 64
    with pytest.raises(MalformedBody, match="length <= 64"):
        decode_request(shaped(65))

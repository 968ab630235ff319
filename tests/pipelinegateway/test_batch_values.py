"""What is said of values is what protobuf, JSON and the types themselves say of them."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pipelinegateway.test_batch_rows import (
    binary_tensor,
    json_encoding,
    json_tensor,
    protobuf_encoding,
    wire_tensor,
)

from bailie._gen import inference_pb2 as pb
from bailie.pipelinegateway import json_bodies
from bailie.pipelinegateway.batch_values import (
    MOST_DECODED,
    UnfitValue,
    are_finite,
    check_varints,
    number_words,
    string_words,
)
from bailie.pipelinegateway.json_bodies import MalformedBody

RANGES = {
    f"{sign}INT{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
}
FLOATS = {
    "FP16": ("<e", 65504.0),
    "FP32": ("<f", 3.4028234663852886e38),
    "FP64": ("<d", 1.7976931348623157e308),
}


def refuses(look, *given):
    try:
        look(*given)
    except (UnfitValue, MalformedBody):
        return True
    return False


@given(st.sampled_from(sorted(RANGES)), st.lists(st.integers(-(2**65), 2**65) | st.integers(-300, 300)))
def test_an_integer_is_refused_where_its_type_has_it_not(datatype, values):
    least, most = RANGES[datatype]
    assert refuses(number_words, datatype, json.dumps(values).encode()) == any(
        not least <= each <= most for each in values
    )


@pytest.mark.parametrize("datatype", RANGES)
def test_the_ends_of_a_range_belong_to_it(datatype):
    least, most = RANGES[datatype]
    assert number_words(datatype, b"[%d,\n%d]" % (least, most)) == ""
    for value in (least - 1, most + 1):
        with pytest.raises(UnfitValue, match=f"{datatype} cannot hold: it holds {least} to {most}"):
            number_words(datatype, b"[[1],[%d]]" % value)


def is_held(datatype, value):
    if datatype == "FP64":
        return True
    try:
        return math.isfinite(struct.unpack(FLOATS[datatype][0], struct.pack(FLOATS[datatype][0], value))[0])
    except OverflowError:
        return False


@given(st.sampled_from(sorted(FLOATS)), st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_is_refused_where_its_type_makes_infinity_of_it(datatype, values):
    held = all(is_held(datatype, each) for each in values)
    assert refuses(number_words, datatype, json.dumps(values).encode()) != held


@pytest.mark.parametrize("datatype", [*FLOATS, "BF16", "BOOL", "INT64", "UINT64", "FP8"])
@pytest.mark.parametrize("text", [b"1e999", b"-1E+999", b"9" * 400, b"0.1e310", b"true,1e999"])
def test_a_number_that_no_server_reads_is_refused_for_all_types(datatype, text):
    with pytest.raises(UnfitValue, match=f"have a value that {datatype} cannot hold"):
        number_words(datatype, b"[%b]" % text)


@pytest.mark.parametrize(
    ("datatype", "text", "words"),
    [
        ("FP32", b"[1.5,-2e3]", ""),
        ("INT64", b"[1.5]", "fractions"),
        ("INT64", b"[1e3]", "fractions"),
        ("UINT8", b"[true,null]", "null and true"),
        ("FP64", b"[false]", "true"),
        ("BOOL", b"[true,false]", ""),
        ("BOOL", b"[1,0]", "numbers"),
        ("BOOL", b"[null]", "null"),
    ],
)
def test_what_only_some_servers_take_is_named(datatype, text, words):
    assert number_words(datatype, text) == words


def test_long_data_is_looked_at_to_its_end():
    right = b"[" + b"255," * 100_000 + b"0]"
    assert number_words("UINT8", right) == ""
    assert refuses(number_words, "UINT8", right[:-2] + b"256]")


def test_what_must_be_decoded_has_a_bound_and_other_data_has_none():
    many = MOST_DECODED // 2
    assert number_words("FP32", b"[" + b"1.5," * many + b"1]") == ""
    check_varints("UINT8", b"\x7f" * 2 * MOST_DECODED)
    for look, data in (
        (number_words, b"[" + b"1e3," * many + b"1]"),
        (check_varints, b"\x81\x01" * many * 2),
    ):
        with pytest.raises(UnfitValue, match=f"for which a batch takes {MOST_DECODED}: send binary data"):
            look("UINT8", data)


def test_strings_are_strings_and_as_many_as_the_shape_says():
    assert string_words('["é,\\"]", ""]'.encode(), 1, 2) == ""
    assert string_words(b'[["a"],["b"]]', 2, 2) == ""
    for odd in (b'["a",1]', b'["a",null]', b'["a",{}]', b'["a",["b"]]'):
        assert string_words(odd, 1, 2) == "other values"
    assert refuses(string_words, b'["a","b,c"]', 1, 1)
    assert refuses(string_words, b'["\xff"]', 1, 1)
    assert refuses(string_words, '["é"]'.encode()[:-3] + b'"]', 1, 1)


def raw_json(text, shape, datatype):
    head = json.dumps({"name": "x", "datatype": datatype, "shape": shape})[:-1].encode()
    return json_bodies.decode_request(b'{"inputs":[%b,"data":%b}]}' % (head, text)).tensors[0]


UNFIT = {
    "300 for UINT8": json_tensor([1, 300], [2], "UINT8"),
    "-1 for UINT64": json_tensor([[-1]], [1, 1], "UINT64"),
    "a text for INT64": json_tensor(["x"], [1], "INT64"),
    "what no server reads": raw_json(b"[1e999]", [1], "FP32"),
    "a string that is no UTF-8": raw_json(b'["\xff"]', [1], "BYTES"),
    "a string that is no UTF-8, of a datatype of nobody": raw_json(b'["\xff"]', [1], "FP8"),
    "a binary 2 for BOOL": binary_tensor(b"\x02", [1], "BOOL"),
}
UNFIT_WIRE = {
    "300 for UINT8": wire_tensor([1], "UINT8", uint_contents=[300]),
    "-129 for INT8": wire_tensor([2], "INT8", int_contents=[1, -129]),
    "a raw 255 for BOOL": wire_tensor([1], "BOOL", raw=b"\xff"),
}


@pytest.mark.parametrize("tensor", UNFIT.values(), ids=UNFIT)
def test_a_value_that_would_spoil_a_batch_is_refused_with_its_tensor(tensor):
    with pytest.raises(MalformedBody, match=r'the data of tensor "x" (have|are|is)'):
        json_encoding(tensor)


@pytest.mark.parametrize("tensor", UNFIT_WIRE.values(), ids=UNFIT_WIRE)
def test_a_value_of_protobuf_that_would_spoil_a_batch_is_refused_with_its_tensor(tensor):
    with pytest.raises(MalformedBody, match='the data of tensor "x" have'):
        protobuf_encoding(tensor)


APART = {
    "NaN": (binary_tensor(struct.pack("<f", math.nan), [1]), binary_tensor(bytes(4), [1])),
    "bytes that are no text": (
        binary_tensor(b"\x01\0\0\0\xff", [1], "BYTES"),
        binary_tensor(b"\x01\0\0\0a", [1], "BYTES"),
    ),
    "a number among strings": (json_tensor([5], [1], "BYTES"), json_tensor(["5"], [1], "BYTES")),
    "fractions": (json_tensor([1.0], [1], "INT64"), json_tensor([1], [1], "INT64")),
}
APART_WIRE = {
    "NaN": (wire_tensor([1], fp32_contents=[math.nan]), wire_tensor([1], fp32_contents=[1])),
    "raw infinity": (wire_tensor([1], raw=struct.pack("<f", -math.inf)), wire_tensor([1], raw=bytes(4))),
    "bytes that are no text": (
        wire_tensor([1], "BYTES", bytes_contents=[b"\xff"]),
        wire_tensor([1], "BYTES", bytes_contents=[b"a"]),
    ),
}


@pytest.mark.parametrize("tensors", APART.values(), ids=APART)
def test_values_that_some_servers_refuse_are_a_form_of_their_own(tensors):
    odd, usual = map(json_encoding, tensors)
    assert odd != usual


@pytest.mark.parametrize("tensors", APART_WIRE.values(), ids=APART_WIRE)
def test_values_of_protobuf_that_some_servers_refuse_are_a_form_of_their_own(tensors):
    odd, usual = map(protobuf_encoding, tensors)
    assert odd != usual


@given(
    st.sampled_from(sorted(FLOATS)),
    st.lists(st.binary(min_size=8, max_size=8) | st.sampled_from([b"\xff" * 8, b"\0\0\x80\x7f\0\0\xf0\x7f"])),
)
def test_raw_numbers_are_finite_if_python_says_so(datatype, values):
    code, width = FLOATS[datatype][0], struct.calcsize(FLOATS[datatype][0])
    data = b"".join(each[:width] for each in values)
    assert are_finite(datatype, data) == all(
        math.isfinite(each) for (each,) in struct.iter_unpack(code, data)
    )


@pytest.mark.parametrize(
    ("value", "finite"), [(b"\x80\x7f", False), (b"\x7f\x7f", True), (b"\xc0\xff", False)]
)
def test_bfloat_is_finite_by_its_exponent(value, finite):
    assert are_finite("BF16", bytes(2) + value) == finite


NARROW = {
    "INT8": "int_contents",
    "INT16": "int_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
}


@given(st.sampled_from(sorted(NARROW)), st.lists(st.integers(-(2**17), 2**17) | st.integers(-300, 300)))
def test_packed_numbers_are_refused_where_their_type_has_them_not(datatype, values):
    if datatype.startswith("U"):
        values = [abs(each) for each in values]
    least, most = RANGES[datatype]
    packed = b"".join(
        pb.InferTensorContents(**{NARROW[datatype]: [each]}).SerializeToString()[2:] for each in values
    )
    fits = all(least <= each <= most for each in values)
    assert refuses(check_varints, datatype, packed) != fits

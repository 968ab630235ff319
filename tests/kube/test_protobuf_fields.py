"""Protobuf messages as fields of bytes, compared with protobuf itself."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from bailie._gen import agent_pb2 as pb
from bailie.kube.protobuf_fields import (
    DELIMITED,
    FieldCount,
    MalformedMessage,
    delimited,
    fields,
    varint,
    varint_bytes,
)


def read(data, most=1_000):
    return list(fields(data, 0, len(data), FieldCount(most)))


texts = st.text(max_size=200)
reports = st.builds(
    pb.ModelReport,
    reason=texts,
    message=texts,
    declared_bytes=st.integers(0, 2**64 - 1),
    measured_at_least=st.booleans(),
    ignored=st.lists(texts, max_size=4),
)


@given(reports)
def test_the_fields_of_a_message_are_its_bytes_in_order(message):
    data = message.SerializeToString()
    found = read(data)
    assert b"".join(data[start:end] for _, _, start, _, end in found) == data
    assert {number for number, *_ in found} == {each.number for each, _ in message.ListFields()}
    said = [data[at:end].decode() for number, wire, _, at, end in found if (number, wire) == (12, DELIMITED)]
    assert said == list(message.ignored)


@given(st.binary(max_size=40))
def test_bytes_that_protobuf_cannot_read_are_refused_at_some_depth(data):
    """Fields of unknown messages are bytes to both; groups are refused here alone."""
    try:
        found = read(data)
    except MalformedMessage:
        return
    assert b"".join(data[start:end] for _, _, start, _, end in found) == data
    # The one with no field of its own: whatever is a field here is an unknown one there.
    long_tags = any(
        varint_bytes(number << 3 | wire) != data[start : start + 1] for number, wire, start, *_ in found
    )
    try:
        pb.Journal.FromString(b"".join(data[start:end] for number, _, start, _, end in found if number > 2))
    except DecodeError:
        assert long_tags, "only numbers of more bytes than they need"


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_read_as_it_is_written(value):
    data = varint_bytes(value)
    assert varint(data, 0, len(data)) == (value, len(data))
    assert varint_bytes(value)[-1] < 128


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_a_text_is_read_as_it_is_written(size):
    data = delimited(7, size) + b"x" * size
    ((number, wire, start, at, end),) = read(data)
    assert (number, wire, start, data[at:end]) == (7, DELIMITED, 0, b"x" * size)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x0a", "number at byte 1 has no end"),
        (b"\x0a\x05ab", "field 1 at byte 0 ends behind its message"),
        (b"\x00\x00", "no field at byte 0"),
        (b"\x0b\x0c", "field 1 at byte 0 is of a kind"),
        (b"\x08" + b"\xff" * 10, "number at byte 1 has no end"),
        (b"\x80\x80\x80\x80\x10\x01", "no field at byte 0"),
        (b"\x08\x01" * 11, "more than 10 fields"),
    ],
)
def test_a_malformed_message_is_refused_with_the_place(data, words):
    with pytest.raises(MalformedMessage, match=words):
        read(data, 10)

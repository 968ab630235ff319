"""Hellos in parts: protobuf itself says what each of them is."""

from __future__ import annotations

import tracemalloc

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tests.support.agents import hello, report, status

from bailie._gen import agent_pb2 as pb
from bailie.scheduler.agents.hello_parts import ImpossibleHello, hello_parts

MIB = 1 << 20


def encoded(**fields):
    return pb.AgentMessage(**fields).SerializeToString()


def merged(parts):
    """The hello that the parts are together."""
    found = pb.Hello()
    found.CopyFrom(parts.words)
    found.inventory.extend(map(pb.ModelReport.FromString, parts.reports))
    return found


def read(data):
    """The hello that protobuf reads; None for bytes that are none."""
    try:
        message = pb.AgentMessage.FromString(data)
    except DecodeError:
        return None
    return message.hello if message.HasField("hello") else None


texts = st.text(max_size=6)
reports = st.builds(report, texts, texts, st.integers(0, 9), st.integers(0, 9), message=texts)
hellos = st.builds(
    hello,
    texts,
    st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 2**64 - 1),
    capabilities=st.lists(texts, max_size=3),
    inventory=st.lists(reports, max_size=4),
)
changes = st.lists(st.tuples(st.integers(0), st.binary(max_size=3), st.integers(0, 3)), max_size=3)


def damaged(data, each):
    for at, put, taken in each:
        place = at % (len(data) + 1)
        data = data[:place] + put + data[place + taken :]
    return data


@given(hellos)
def test_the_parts_of_a_hello_are_the_hello(said):
    parts = hello_parts(encoded(hello=said))
    assert merged(parts) == said
    assert not parts.words.inventory
    assert len(parts.reports) == len(said.inventory)


@given(hellos, changes)
def test_bytes_are_read_as_protobuf_reads_them_or_refused(said, each):
    data = damaged(encoded(hello=said), each)
    try:
        parts = hello_parts(data)
        found = parts and merged(parts)
    except (ImpossibleHello, DecodeError):
        return
    if found is not None and (theirs := read(data)) is not None:
        assert found == theirs


@given(st.binary(max_size=60))
def test_any_bytes_are_parts_none_or_refused_in_words(data):
    try:
        parts, told = hello_parts(data), ""
    except ImpossibleHello as error:
        parts, told = None, str(error)
    assert not told or told.startswith("this is no message of the agents' protocol")
    assert parts is None or read(data) is None or merged(parts) == read(data)


def test_fields_that_only_a_later_version_knows_are_no_matter():
    later = b"\xa2\x06\x03abc"
    said = hello(inventory=[report()])
    within = encoded(hello=pb.Hello.FromString(said.SerializeToString() + later))
    for data in (encoded(hello=said) + later, later + encoded(hello=said), within):
        assert merged(hello_parts(data)).inventory == said.inventory


@pytest.mark.parametrize("data", [b"", encoded(report=report()), encoded(status=status())])
def test_another_message_is_no_hello(data):
    assert hello_parts(data) is None


def repeated(field, content, count):
    """A hello with a field of some content, again and again."""
    words = (bytes([field << 3 | 2, len(content)]) + content) * count
    size, head = len(words), b"\x0a"
    while size > 127:
        head += bytes([size & 127 | 128])
        size >>= 7
    return head + bytes([size]) + words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (repeated(9, b"", 4 * MIB - 10), "a replica has at most 50000 versions, and this hello has more"),
        (repeated(6, b"", 4 * MIB - 10), "more than 51000 fields"),
        (repeated(6, b"", 50_000), ""),
        (repeated(15, b"x" * 100, 50_000), "131072 bytes beside its inventory, and this one 5100000"),
        (encoded(hello=hello(inventory=[report(ignored=[""] * 70_000)])), "bytes is longer than 131072"),
        (b"\x12\x00" * 20, "more than 16 fields"),
        (encoded(hello=hello())[:-1], "field 1 at byte 0 ends behind its message"),
    ],
    ids=["reports", "capabilities", "as many as may be", "unknown", "report", "members", "cut"],
)
def test_no_hello_makes_millions_of_objects(data, words):
    tracemalloc.start()
    try:
        if words:
            with pytest.raises(ImpossibleHello) as refused:
                hello_parts(data)
            assert words in str(refused.value)
        else:
            assert hello_parts(data) is not None
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()

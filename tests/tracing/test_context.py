"""The header that names a span: read from strangers, and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.tracing.context import SpanContext, read_traceparent

TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"


@given(
    st.binary(min_size=16, max_size=16).filter(any),
    st.binary(min_size=8, max_size=8).filter(any),
    st.booleans(),
)
def test_a_place_comes_back(trace_id, span_id, sampled):
    place = SpanContext(trace_id, span_id, sampled)
    assert read_traceparent(place.text) == place


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (b"00-%b-%b-01", True),
        (b"00-%b-%b-00", False),
        (b"00-%b-%b-03", True),
        (b"cc-%b-%b-01", True),
        (b"cc-%b-%b-01-what-may-come", True),
    ],
)
def test_a_header_of_this_version_or_a_newer_one(text, sampled):
    found = read_traceparent(text % (TRACE, SPAN))
    assert found == SpanContext(bytes.fromhex(TRACE.decode()), bytes.fromhex(SPAN.decode()), sampled)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"00",
        b"00-%b-%b" % (TRACE, SPAN),
        b"00-%b-%b-01-more" % (TRACE, SPAN),
        b"ff-%b-%b-01" % (TRACE, SPAN),
        b"00-%b-%b-01" % (TRACE.upper(), SPAN),
        b"00-%b-%b-01" % (b"0" * 32, SPAN),
        b"00-%b-%b-01" % (TRACE, b"0" * 16),
        b"00-%b-%b-0x" % (TRACE, SPAN),
        b"00-%b-%b-01\n" % (TRACE, SPAN),
        b"\xff" * 55,
    ],
)
def test_a_header_that_names_no_span(text):
    assert read_traceparent(text) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_read(text):
    read_traceparent(text)

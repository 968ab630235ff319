from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailie.kafka import headers

ANY = st.lists(st.tuples(st.text(max_size=40), st.none() | st.binary(max_size=60)), max_size=100)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("X-Tenant", b"a", (("x-tenant", b"a"),)),
        ("x-empty", None, (("x-empty", b""),)),
        ("x-latin", b"\xe9", (("x-latin", b"\xe9"),)),
        ("x-space", b" a ", (("x-space", b"a"),)),
        ("x-split", b"a\r\nx-other: b", ()),
        ("x-zero", b"\x00", ()),
        ("x-colon:", b"a", ()),
        ("x a", b"a", ()),
        ("x-ä", b"a", ()),
        ("", b"a", ()),
    ],
)
def test_headers_that_http_cannot_carry_are_left_out(name, value, found):
    assert headers.fit([(name, value)]) == found


def test_the_headers_of_a_record_have_a_limit():
    assert len(headers.fit([(f"x-{number}", b"") for number in range(1000)])) == headers.MOST
    large = [("x-a", b"a" * headers.MOST_BYTES), ("x-b", b"b")]
    assert headers.fit(large) == (("x-b", b"b"),)
    assert headers.fit(None) == ()


@settings(max_examples=40)
@given(ANY)
def test_no_header_can_begin_another_one(given_headers):
    found = headers.fit(given_headers)
    assert len(found) <= headers.MOST
    assert sum(len(name) + len(value) for name, value in found) <= headers.MOST_BYTES
    for name, value in found:
        line = f"{name}: ".encode("latin-1") + value
        assert not {b"\r", b"\n", b"\x00"} & {bytes((byte,)) for byte in line}
        assert line.split(b":")[0].decode() == name == name.lower()


def test_the_first_value_of_a_header_counts():
    told = (("a", b"1"), ("b", b"2"), ("a", b"3"))
    assert headers.first(told, "a") == b"1"
    assert headers.first(told, "c") == b""


def test_the_mark_of_a_record_that_has_run_counts_behind_any_number_of_headers():
    many = [(f"x-{number}", b"") for number in range(500)]
    assert headers.has_run([*many, (headers.RAN, b"pod-0")])
    assert not headers.has_run(many)
    assert not headers.has_run(None)

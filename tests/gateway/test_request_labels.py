"""The code under which a request counts: that of its answer, or of a caller who left."""

from __future__ import annotations

import pytest
from tests.support.reports import Envoy, name_of, take

from bailie.gateway.outcome_counts import RequestEnd, end_of
from bailie.gateway.request_counts import RequestCounts
from bailie.gateway.request_labels import LEFT_CODES, counted_code


@pytest.mark.parametrize(("method", "code"), [("rest", "0"), ("grpc", "")])
def test_where_nobody_was_answered_the_caller_had_left_whatever_the_flags(method, code):
    assert {counted_code(method, code, flags) for flags in ("-", "", "OM")} == {LEFT_CODES[method]}


@pytest.mark.parametrize("flags", ["DC", "DR", "DPE", "UF,DC", "DC,URX"])
@pytest.mark.parametrize(
    ("method", "code"),
    [("rest", "0"), ("rest", "200"), ("rest", "100"), ("grpc", ""), ("grpc", "OK"), ("grpc", "Unknown")],
)
def test_a_caller_who_left_before_the_answer_was_whole_is_cancelled(method, code, flags):
    assert counted_code(method, code, flags) == LEFT_CODES[method]
    assert end_of(counted_code(method, code, flags)) is RequestEnd.GONE


@pytest.mark.parametrize(
    ("method", "code", "flags"),
    [
        ("rest", "500", "DC"),
        ("rest", "404", "DR"),
        ("grpc", "Internal", "DC"),
        ("grpc", "Unknown", "-"),
        ("rest", "200", ""),
        ("rest", "503", "UF,URX"),
        ("grpc", "Unknown", "UC"),
        ("grpc", "Unknown", "XDC"),
    ],
)
def test_any_other_request_keeps_its_code(method, code, flags):
    assert counted_code(method, code, flags) == code


def test_series_of_one_code_are_one_whatever_their_flags():
    counts, envoy = RequestCounts(), Envoy()
    names = [
        name_of(code=code, flags=flags)
        for code, flags in (("0", "DC"), ("0", "DR"), ("200", "DC"), ("499", "-"))
    ]
    names.append(name_of(code="499").removesuffix(".flags.-"))
    take(counts, envoy.report(dict.fromkeys(names, 1)), 0.0)
    take(counts, envoy.report(dict.fromkeys(names, 3)), 2.0)
    (found,) = counts.series()
    assert (found.labels.code, found.requests) == ("499", 15)

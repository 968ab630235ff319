"""The headers that go to steps and back; names that callers choose take no memory."""

from __future__ import annotations

import sys

import pytest

from bailie.pipelinegateway import passed

KINDS = {
    b"x-own": (True, True),
    b"traceparent": (True, False),
    b"baggage": (True, False),
    b"content-type": (False, False),
    b"authorization": (False, False),
    b"x-seldon-route": (False, False),
    b"x-envoy-attempt-count": (False, False),
    b"x-forwarded-for": (False, False),
    b"x-" + b"a" * 5_000: (True, True),
    b"x-envoy-" + b"a" * 5_000: (False, False),
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=[name.decode()[:30] for name in KINDS])
def test_a_header_goes_to_the_steps_and_back(name, kind):
    for _ in range(2):
        assert (passed.to_steps(((name, b"1"),)) != b"", passed.back(((name, b"1"),)) != ()) == kind
        assert passed.goes_on(name) == kind[0]


def test_the_place_in_a_trace_of_a_request_that_is_traced_here_is_that_of_each_call():
    assert passed.to_steps(((b"traceparent", b"1"), (b"x-own", b"2")), traced=True) == b"x-own: 2\r\n"


@pytest.mark.parametrize("length", [8, 64, 65, 60_000])
def test_names_of_a_stranger_take_no_memory(length):
    for number in range(2_000):
        name = b"x-%d-" % number
        name += b"a" * (length - len(name))
        assert passed.goes_on(name)
        passed.back(((name, b""),))
    for rule in (passed._GOES_ON, passed._PASSES):
        assert len(rule) <= 256
        assert sum(map(sys.getsizeof, rule)) < 64 << 10

"""Bytes to requests: the same whatever the reads cut, within every limit."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.pipelinegateway.budget import ByteBudget
from bailie.pipelinegateway.grpc_answers import answer_forms
from bailie.pipelinegateway.request_reader import MOST_HEAD_BYTES, ReadLimits, RequestReader

MOST = 10_000
LENGTH = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nlate: 1\r\n\r\n"
)
GET = b"GET /c?d HTTP/1.1\r\nX-Y: z\r\n\r\n"
ALL = LENGTH + CHUNKED + GET + LENGTH
KNOWN = {"p_1": "p_1", "p": "p_1", "q_1": "q_1"}.get


def reader(most=MOST, budget=1 << 20):
    limits = ReadLimits(most, ByteBudget(budget), KNOWN)
    return RequestReader(limits, answer_forms("ns")), limits.budget


def summary(found):
    return [(each.method, each.path, each.body, each.refusal and each.refusal.status) for each in found]


def fed(parts, **limits):
    one, budget = reader(**limits)
    found = [request for part in parts for request in one.feed(part)]
    return one, budget, found


WHOLE = [
    (b"POST", b"/a", b"hello", None),
    (b"POST", b"/b", b"abcde", None),
    (b"GET", b"/c?d", b"", None),
    (b"POST", b"/a", b"hello", None),
]


@given(st.lists(st.integers(0, len(ALL)), max_size=12).map(sorted))
def test_pipelined_requests_are_the_same_wherever_they_are_cut(cuts):
    ends = [0, *cuts, len(ALL)]
    one, budget, found = fed([ALL[a:b] for a, b in pairwise(ends)])
    assert summary(found) == WHOLE
    assert not one.reading
    assert budget.used == sum(len(each.body) for each in found)
    for each in found:
        each.held.release()
    assert budget.used == 0


def test_byte_by_byte():
    assert summary(fed([bytes([each]) for each in ALL])[2]) == WHOLE


def test_headers_are_in_small_letters_and_trailers_are_none():
    _, _, found = fed([CHUNKED])
    assert found[0].headers == ((b"transfer-encoding", b"chunked"),)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 1" + b"0" * 30 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\na\x00b: c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b\x00c\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
        (b"GET /" + b"a" * MOST_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MOST_HEAD_BYTES + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\ncontent-length: 10001\r\n\r\n", 413),
    ],
)
@pytest.mark.parametrize("step", [1 << 20, 1_000])
def test_a_request_that_is_none_or_too_long_is_refused_once(data, status, step):
    one, budget, found = fed([data[at : at + step] for at in range(0, len(data), step)])
    refusals = [each.refusal.status for each in found if each.refusal]
    assert refusals[:1] == [status]
    assert [each for each in found if each.refusal is None and each.path == b"/"] == [] or status == 400
    one.end()
    assert budget.used == 0


def chunks(size, each):
    piece = b"%x\r\n%b\r\n" % (each, b"a" * each)
    return b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + piece * (size // each) + b"0\r\n\r\n"


def test_a_long_chunked_body_is_refused_before_its_end_and_the_next_request_is_read():
    one, budget, found = fed([chunks(50_000, 1_000), GET])
    assert [each.refusal and each.refusal.status for each in found] == [413, None]
    assert found[1].path == b"/c?d"
    assert budget.used == 0
    assert not one.broken


def posted(path, headers="", size=2_000):
    return f"POST {path} HTTP/1.1\r\n{headers}content-length: {size}\r\n\r\n".encode() + b"l" * size


@pytest.mark.parametrize(
    "asked",
    [
        lambda number: posted(f"/v2/models/p_1?{number}"),
        lambda number: posted(f"/v2/models/p_1/infer/{number}"),
        lambda number: posted(f"/v1/completions?{number}"),
        lambda number: posted(f"/?/{number}/{number}/{number}"),
        lambda number: posted("/m", f"content-type: application/grpc\r\ngrpc-timeout: {number}S\r\n"),
        lambda number: posted(f"/v2/models/invented_{number}/infer"),
        lambda number: posted(f"/v2/pipelines/{'p' if number % 2 else 'p_1'}/infer"),
        lambda number: posted(f"/v2/models/p_{number + 2}/infer"),
        lambda number: posted("/m", f"content-type: application/grpc\r\nbailie-version: p_{number + 2}\r\n"),
        lambda number: posted(
            "/m", f"content-type: application/grpc\r\nbailie-version: no version{number}\r\n"
        ),
    ],
)
def test_no_word_of_a_caller_makes_more_of_the_room_his(asked):
    budget = ByteBudget(10_000)
    readers = [RequestReader(ReadLimits(MOST, budget, KNOWN), answer_forms("ns")) for _ in range(20)]
    found = [each for number, one in enumerate(readers) for each in one.feed(asked(number))]
    assert sum(each.refusal is None for each in found) == 2
    assert not any(each.held.owner == "" for each in found if each.refusal is None)
    (heard,) = RequestReader(ReadLimits(MOST, budget, KNOWN), answer_forms("ns")).feed(
        posted("/v2/models/q_1/infer")
    )
    assert heard.refusal is None


def test_a_request_without_room_is_refused_and_those_with_room_are_not():
    one, budget, found = fed([LENGTH, chunks(3_000, 1_000), LENGTH], budget=2_000)
    assert [each.refusal and each.refusal.status for each in found] == [None, 429, None]
    assert budget.used == 10
    assert dict(found[1].refusal.headers)[b"retry-after"]
    one.end()


@pytest.mark.parametrize(
    "endless",
    [b"GET /a", b"GET / HTTP/1.1\r\na: ", b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;"],
    ids=["target", "header", "chunk extension"],
)
def test_what_never_ends_is_broken_off(endless):
    one, budget = reader()
    found = one.feed(endless)
    for _ in range(100):
        found += one.feed(b"a" * 4_096)
        if one.broken:
            break
    assert [each.refusal.status for each in found] in ([431], [400])
    assert one.broken
    assert budget.used == 0


def test_trailers_without_end_are_broken_off():
    one, _ = reader()
    found = one.feed(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: ")
    for _ in range(100):
        found += one.feed(b"a" * 4_096)
    assert one.broken
    assert [each.refusal.status for each in found] == [400]


def test_nothing_is_read_after_a_mistake():
    _, _, found = fed([b"nonsense\r\n\r\n", LENGTH])
    assert summary(found) == [(b"", b"", b"", 400)]
    assert not found[0].keep_alive


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([LENGTH, CHUNKED, GET, b"\r\n", b"POST "]), max_size=12)
)
def test_whatever_comes_the_memory_is_given_back(parts):
    one, budget, found = fed(parts, budget=30)
    for each in found:
        each.held.release()
    one.end()
    assert budget.used == 0


@given(st.integers(1, 2 * MOST_HEAD_BYTES), st.integers(-2_000, 2_000))
def test_a_long_head_is_refused_wherever_it_is_cut(cut, beyond):
    start = b"GET /a HTTP/1.1\r\nx: "
    head_bytes = MOST_HEAD_BYTES + beyond  # of the target, and of names and values
    data = start + b"v" * (head_bytes - len(b"/a") - len(b"x")) + b"\r\n\r\n"
    _, _, found = fed([LENGTH, data[:cut], data[cut:]])
    refused = [each.refusal.status for each in found[1:] if each.refusal]
    assert refused == ([431] if beyond > 0 else [])


def test_the_first_header_of_a_name_counts_and_all_are_there():
    _, _, found = fed([b"GET /a HTTP/1.1\r\nx-y: 1\r\nX-Y: 2\r\n\r\n"])
    assert found[0].header(b"x-y") == b"1"
    assert found[0].headers == ((b"x-y", b"1"), (b"x-y", b"2"))

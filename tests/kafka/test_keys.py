from __future__ import annotations

import pytest

from bailie.kafka.keys import RecordKey, parsed_key, request_id_of


@pytest.mark.parametrize(
    ("key", "owner", "found"),
    [
        (b"p.8d0c", "p", RecordKey("p", "8d0c")),
        (b"3.p.8d0c", "p", RecordKey("p", "8d0c", 3)),
        (b"p.1.2.3", "p", RecordKey("p", "1.2.3")),
        (b"7.a.b.id", "a.b", RecordKey("a.b", "id", 7)),
        (b"7.7.id", "7", RecordKey("7", "7.id")),
        (b"p.", "p", None),
        (b"3.p.", "p", None),
        (b"p", "p", None),
        (b"q.id", "p", None),
        (b"\xff.p.id", "p", None),
        ("٣.p.id".encode(), "p", None),
        (b"9" * 5000 + b".p.id", "p", None),
        (b"", "p", None),
        (None, "p", None),
    ],
)
def test_both_forms_of_seldon_core_are_known(key, owner, found):
    assert parsed_key(key, owner) == found


@pytest.mark.parametrize("key", [RecordKey("p", "x"), RecordKey("p.q", "x.y", 0), RecordKey("p", "1", 12)])
def test_a_key_is_read_as_it_is_written(key):
    assert parsed_key(str(key).encode(), key.pipeline) == key


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (b"p.8d0c", "8d0c"),
        (b"3.p.8d0c", "8d0c"),
        (b"order-17", "order-17"),
        (b"p.two words", ""),
        (b"p.new\r\nline", ""),
        (b"\x00\x01\xff", ""),
        (b"p." + b"x" * 201, ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_the_id_of_a_request_is_fit_for_a_header(key, found):
    assert request_id_of(key, "p") == found

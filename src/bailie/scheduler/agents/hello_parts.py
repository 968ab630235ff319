"""An agent's hello in parts: the words about its replica, and each report of its inventory by itself.

Called by `messages`. Pure. Two bytes of a message are an empty report, for which protobuf takes more than a
hundred bytes of memory. So the fields of a hello are counted before any of them is read, and a report is read
when `session` takes it: never are two of them in memory.
"""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf.message import DecodeError

from bailie._gen import agent_pb2 as pb
from bailie.kube.protobuf_fields import DELIMITED, FieldCount, MalformedMessage, fields
from bailie.lifecycle.wire import LONGEST_REPORT
from bailie.scheduler.agents.wire import MOST_VERSIONS, NO_MESSAGE

_LONGEST_WORDS = 128 << 10
"""Bytes of a hello beside its inventory: 256 capabilities of 253 characters have half as many."""
_MOST_FIELDS = MOST_VERSIONS + 1_000
_MOST_MEMBERS = 16
"""Fields of a message, those among them that only a later version of the protocol knows."""
_MEMBERS = frozenset(each.number for each in pb.AgentMessage.DESCRIPTOR.fields)


class ImpossibleHello(ValueError):  # noqa: N818 - the name of what the sender made
    """A hello that no agent makes; the text says why."""


class HelloParts(NamedTuple):
    """`words` is the hello without its inventory, `reports` are the encoded reports of that."""

    words: pb.Hello
    reports: list[bytes]


def hello_parts(data: bytes) -> HelloParts | None:
    """Returns the parts of a hello; None for another message. Raises ImpossibleHello."""
    try:
        found = [
            each for each in fields(data, 0, len(data), FieldCount(_MOST_MEMBERS)) if each[0] in _MEMBERS
        ]
        if [each[:2] for each in found] != [(pb.AgentMessage.HELLO_FIELD_NUMBER, DELIMITED)]:
            return None
        words, reports = _parts(data, *found[0][3:])
        return HelloParts(pb.Hello.FromString(words), reports)
    except (MalformedMessage, DecodeError) as error:
        raise ImpossibleHello(f"{NO_MESSAGE}: {error}") from error


def _parts(data: bytes, at: int, end: int) -> tuple[bytes, list[bytes]]:
    """Returns the encoded hello between two places of `data` without its reports, and the reports."""
    words: list[bytes] = []
    reports: list[bytes] = []
    for number, wire, start, value, after in fields(data, at, end, FieldCount(_MOST_FIELDS)):
        if number != pb.Hello.INVENTORY_FIELD_NUMBER or wire != DELIMITED:
            words.append(data[start:after])
            continue
        if len(reports) == MOST_VERSIONS:
            raise ImpossibleHello(f"a replica has at most {MOST_VERSIONS} versions, and this hello has more")
        if after - value > LONGEST_REPORT:
            raise ImpossibleHello(f"a report of {after - value} bytes is longer than {LONGEST_REPORT}")
        reports.append(data[value:after])
    size = sum(map(len, words))
    if size > _LONGEST_WORDS:
        raise ImpossibleHello(
            f"a hello has at most {_LONGEST_WORDS} bytes beside its inventory, and this one {size}"
        )
    return b"".join(words), reports

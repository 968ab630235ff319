"""Protobuf messages as fields of bytes, and fields as bytes: no value is decoded. Pure.

Used by the scheduler for messages of agents, by the gateway for those of Envoys, and by pipeline gateways for
requests. Messages come from strangers, so each length is checked, and the fields of one message are counted:
two bytes of a message may become hundreds in memory, where protobuf reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_MOST_64 = 1 << 64


Field = tuple[int, int, int, int, int]
"""A field of a message: its number and kind, where it begins, and where its value begins and ends."""


class MalformedMessage(ValueError):  # noqa: N818 - the name of what the sender made
    """Bytes are no message of protobuf, or one of too many fields; the text says which part is wrong."""


class FieldCount:
    """The fields of one message that have been read."""

    __slots__ = ("left", "most")

    def __init__(self, most: int) -> None:
        """Begins before the first of `most` fields."""
        self.left = self.most = most


def fields(data: bytes, at: int, end: int, count: FieldCount) -> Iterator[Field]:
    """Yields the fields between two places of `data`. Raises MalformedMessage."""
    while at < end:
        start = at
        count.left -= 1
        if count.left < 0:
            raise MalformedMessage(f"the message has more than {count.most} fields")
        tag, at = (data[at], at + 1) if data[at] < 128 else varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if not number or tag >= 1 << 32:
            raise MalformedMessage(f"the message has no field at byte {start}")
        if wire == DELIMITED:
            short = at < end and data[at] < 128  # as nearly all are
            size, at = (data[at], at + 1) if short else varint(data, at, end)
            after = at + size
        elif wire == VARINT:
            _, after = varint(data, at, end)
        elif wire in (FIXED64, FIXED32):
            after = at + (8 if wire == FIXED64 else 4)
        else:
            # Groups: protobuf still reads them, but none of these messages has ever had one.
            raise MalformedMessage(f"field {number} at byte {start} is of a kind that no message here has")
        if after > end:
            raise MalformedMessage(f"field {number} at byte {start} ends behind its message")
        yield number, wire, start, at, after
        at = after


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Returns a number, and where it ends. Raises MalformedMessage."""
    value = shift = 0
    for place in range(at, min(end, at + _LONGEST_VARINT)):
        byte = data[place]
        value |= (byte & 127) << shift
        if byte < 128:
            if value >= _MOST_64:
                break
            return value, place + 1
        shift += 7
    raise MalformedMessage(f"the number at byte {at} has no end")


def varint_bytes(value: int) -> bytes:
    """Returns a number as protobuf writes it."""
    if value < 128:
        return bytes((value,))
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def delimited(number: int, size: int) -> bytes:
    """Returns the bytes before a text or message of `size` bytes; `number` is below 16."""
    return _SHORT[number][size] if size < 128 else _TAGS[number] + varint_bytes(size)


_TAGS = [bytes((number << 3 | DELIMITED,)) for number in range(16)]
_SHORT = [[tag + bytes((size,)) for size in range(128)] for tag in _TAGS]
"""The bytes before nearly all fields, made once."""

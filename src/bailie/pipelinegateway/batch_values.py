"""The values of tensors in batches: whether their type can hold them, and whether they are usual ones. Pure.

Used by `batch_rows`. A batch is one message to a model, and a server that cannot read one value of it refuses
the rows of all callers: 300 for UINT8, `1e999`, bytes that are no UTF-8. A value that the type cannot hold is
refused. A value that only some servers and models take, such as NaN or a fraction for INT64, is named in the
form of the request, which so shares its batch with requests of the same kind alone.

Nearly all data is known to be right by a few passes over its bytes. Other data is decoded, as far as it is
not too long, in pieces, so that it never takes more memory than a piece.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIECE = 64 << 10
MOST_DECODED = 8 << 20
"""Bytes of data whose values are looked at one by one: more would keep all others waiting."""
_INTEGERS = {
    "INT8": (-(1 << 7), (1 << 7) - 1),
    "INT16": (-(1 << 15), (1 << 15) - 1),
    "INT32": (-(1 << 31), (1 << 31) - 1),
    "INT64": (-(1 << 63), (1 << 63) - 1),
    "UINT8": (0, (1 << 8) - 1),
    "UINT16": (0, (1 << 16) - 1),
    "UINT32": (0, (1 << 32) - 1),
    "UINT64": (0, (1 << 64) - 1),
}
_TOO_LARGE = {"FP16": 65520.0, "BF16": 2.0**128 - 2.0**119, "FP32": 2.0**128 - 2.0**103}
"""The least numbers that become infinity when they are rounded to a value of the type."""
_DIGITS = {"FP16": 4, "BF16": 38, "FP32": 38, "FP64": 308} | {
    datatype: len(str(most)) - 1 for datatype, (_, most) in _INTEGERS.items()
}
"""Each number of so many digits is one that the type can hold; of other types, one of FP64."""
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_NO_NUMBER = b"[] \t\r\n"


class UnfitValue(ValueError):  # noqa: N818 - the name of what the caller made
    """A value is none of its tensor's type; the text ends a sentence about the tensor's data."""


def number_words(datatype: str, text: bytes) -> str:
    """Returns what is unusual about the numbers of a list of JSON; empty for nothing. Raises UnfitValue.

    `text` is well-formed, and has neither strings nor objects.
    """
    truths = text.count(b"true") + text.count(b"false")
    exponents = b"E" in text or text.count(b"e") > truths
    zeros = text.translate(_ZEROS)
    found = ["null"] if b"null" in text else []
    if datatype == "BOOL":
        found += ["numbers"] if b"0" in zeros else []
    else:
        found += ["true"] if truths else []
    if datatype in _INTEGERS:
        found += ["fractions"] if exponents or b"." in text else []
    negative = datatype.startswith("UINT") and b"-" in text
    many = b"0" * (_DIGITS.get(datatype, _DIGITS["FP64"]) + 1)
    if exponents or negative or many in zeros:
        _decode_numbers(datatype, text)
    return " and ".join(found)


def _decode_numbers(datatype: str, text: bytes) -> None:
    _check_length(text)
    decoder, numbers = _decoder(datatype), text.translate(None, _NO_NUMBER)
    at = 0
    while at < len(numbers):
        end = numbers.find(b",", at + _PIECE)
        end = len(numbers) if end < 0 else end
        try:
            found = decoder.decode(b"[%b]" % numbers[at:end])
        except msgspec.MsgspecError:
            raise _unfit(datatype) from None
        if datatype == "UINT64" and any(type(each) is int and each >= 1 << 64 for each in found):
            raise _unfit(datatype)
        at = end + 1


def _check_length(data: bytes) -> None:
    if len(data) > MOST_DECODED:
        raise UnfitValue(
            f"have {len(data)} bytes and numbers that must be looked at one by one, for which a batch takes"
            f" {MOST_DECODED}: send binary data"
        )


def _unfit(datatype: str) -> UnfitValue:
    least, most = _INTEGERS.get(datatype, ("", ""))
    holds = f": it holds {least} to {most}" if most else ""
    return UnfitValue(f"have a value that {datatype} cannot hold{holds}")


@lru_cache
def _decoder(datatype: str) -> Any:
    number: Any = float
    if datatype in _INTEGERS:
        least, most = _INTEGERS[datatype]
        bound = None if datatype == "UINT64" else most  # msgspec has no bounds beyond 63 bits
        whole = Annotated[int, msgspec.Meta(ge=least, le=bound)]
        number = whole | Annotated[float, msgspec.Meta(ge=float(least), lt=float(most + 1))]
    elif limit := _TOO_LARGE.get(datatype):
        number = Annotated[float, msgspec.Meta(gt=-limit, lt=limit)]
    return msgspec.json.Decoder(list[number | bool | None])


def string_words(text: bytes, depth: int, number: int) -> str:
    """Returns what is unusual about a list of JSON for BYTES: strings, `depth` lists deep, and nothing else.

    Raises UnfitValue for text that is no UTF-8, and other strings than as many as the shape says.
    """
    text_words(text)
    try:
        found: Sequence[Any] = _strings(depth).decode(text)
    except msgspec.ValidationError:
        return "other values"
    for _ in range(depth - 1):
        found = [value for each in found for value in each]
    if len(found) != number:
        raise UnfitValue(f"are {len(found)} values, and its shape says {number}")
    return ""


@lru_cache(maxsize=64)
def _strings(depth: int) -> Any:
    kind: Any = str
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def text_words(text: bytes) -> str:
    """Returns that a list of JSON has strings. Raises UnfitValue where one is no UTF-8."""
    if text.isascii():
        return "strings"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(text), _PIECE):
            decoder.decode(text[at : at + _PIECE], final=at + _PIECE >= len(text))
    except UnicodeDecodeError:
        raise UnfitValue("have a string that is no UTF-8") from None
    return "strings"


def is_text(data: bytes) -> bool:
    """Says whether a string is UTF-8: a server that makes JSON of it refuses any other one."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_truths(data: bytes) -> None:
    """Refuses raw data of BOOL with other bytes than 0 and 1."""
    if data.translate(None, b"\0\1"):
        raise UnfitValue("have a byte that is neither 0 nor 1, as BOOL has")


def _flags(mask: int, value: int) -> bytes:
    return bytes(each & mask == value for each in range(256))


_EXPONENT = {
    "FP16": ((1, _flags(0x7C, 0x7C)),),
    "BF16": ((1, _flags(0x7F, 0x7F)), (0, _flags(0x80, 0x80))),
    "FP32": ((3, _flags(0x7F, 0x7F)), (2, _flags(0x80, 0x80))),
    "FP64": ((7, _flags(0x7F, 0x7F)), (6, _flags(0xF0, 0xF0))),
}
"""The bytes with the exponent of a value, and which of their values have all of its bits set."""
_WIDTHS = {"FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8}


def are_finite(datatype: str, data: bytes) -> bool:
    """Says whether raw numbers have neither NaN nor infinity among them, as those have no exponent."""
    if datatype not in _EXPONENT:
        return True
    both = -1
    for place, flags in _EXPONENT[datatype]:
        found = data[place :: _WIDTHS[datatype]].translate(flags)
        if 1 not in found:
            return True
        both &= int.from_bytes(found)
    return not both


_LATER = rb"[\x80-\xff](?<![\x80-\xff]{2})"
"""The first byte of a varint of several: none of those goes before it."""
_UNFIT_VARINTS = {
    "UINT8": re.compile(rb"[\x80-\xff](?!\x01)"),
    "INT8": re.compile(_LATER + rb"(?!\xff{8}\x01)"),
    "UINT16": re.compile(_LATER + rb"(?![\x00-\x7f]|[\x80-\xff][\x00-\x03])"),
    "INT16": re.compile(_LATER + rb"(?![\x00-\x7f]|[\x80-\xff][\x00\x01]|[\x80-\xff][\xfe\xff]\xff{6}\x01)"),
}
"""Varints of numbers that the type cannot hold, though the field for its values can."""


def check_varints(datatype: str, packed: bytes) -> None:
    """Refuses numbers that are too large for a type which is narrower than the field of its values."""
    unfit = _UNFIT_VARINTS.get(datatype)
    if unfit is None or packed.isascii():
        return
    _check_length(packed)
    if unfit.search(packed):
        raise _unfit(datatype)

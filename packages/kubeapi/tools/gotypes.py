"""The struct types of a Go program, read from its executable: fields, tags and the types of fields.

Used by `messages`. Go keeps descriptions of its types in every program, for `reflect`; their layout is that
of https://github.com/golang/go/blob/master/src/internal/abi/type.go. The executable is an ELF file of 64 bits
that is loaded where its headers say (Go's default on Linux).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ARRAY, MAP, POINTER, SLICE, STRING, STRUCT = 17, 21, 22, 23, 24, 25
BOOL, INTEGERS, FLOATS, BYTE = 1, range(2, 13), (13, 14), 8

_HEADER = "<QQIBBBBQQii"
_HEADER_SIZE = struct.calcsize(_HEADER)
_STRUCT_SIZE = 32
_HAS_PACKAGE, _STARRED = 1, 2
_HAS_TAG = 2
_NO_BITS = 8


class NotReadableError(Exception):
    """The file is no executable of Go's default kind on Linux."""


@dataclass
class GoType:
    """A type; `key` and `element` are those of maps, slices, arrays and pointers."""

    kind: int
    name: str
    package: str = ""
    fields: list[GoField] = field(default_factory=list)
    key: GoType | None = None
    element: GoType | None = None


@dataclass(frozen=True)
class GoField:
    """A field of a struct; `tag` is the text behind it in the source."""

    name: str
    tag: str
    type: GoType


class Executable:
    """The types of one program."""

    def __init__(self, data: bytes) -> None:
        """Reads the section headers.

        Raises:
            NotReadableError: the data is no ELF file of 64 bits with Go's sections.
        """
        if data[:6] != b"\x7fELF\x02\x01":
            raise NotReadableError("not an ELF file of 64 bits, little endian")
        self._data = data
        self._sections = dict(_sections(data))
        missing = {".rodata", ".typelink"} - self._sections.keys()
        if missing:
            raise NotReadableError(f"no section {', '.join(sorted(missing))}")
        self._base = self._sections[".rodata"][0]
        self._types: dict[int, GoType] = {}

    def structs(self) -> Iterator[GoType]:
        """Returns every struct type with a name to which the program's composite types lead."""
        _, offset, size = self._sections[".typelink"]
        for (link,) in struct.iter_unpack("<i", self._data[offset : offset + size]):
            self._type(self._base + link)
        return (found for found in self._types.values() if found.kind == STRUCT and found.package)

    def _offset(self, address: int) -> int:
        for start, offset, size in self._sections.values():
            if start <= address < start + size:
                return address - start + offset
        raise NotReadableError(f"address {address:#x} is in no section")

    def _pointers(self, offset: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{count}Q", self._data, offset)

    def _type(self, address: int) -> GoType:
        if address in self._types:
            return self._types[address]
        at = self._offset(address)
        header = struct.unpack_from(_HEADER, self._data, at)
        flags, kind, name = header[3], header[6] & 31, self._text(self._base + header[9])[0]
        found = self._types[address] = GoType(kind, name[1:] if flags & _STARRED else name)
        at += _HEADER_SIZE
        if kind == MAP:
            found.key, found.element = map(self._type, self._pointers(at, 2))
        elif kind in (ARRAY, POINTER, SLICE):
            found.element = self._type(self._pointers(at, 1)[0])
        elif kind == STRUCT:
            found.fields = list(self._fields(at))
            if flags & _HAS_PACKAGE:
                (package,) = struct.unpack_from("<i", self._data, at + _STRUCT_SIZE)
                found.package = self._text(self._base + package)[0] if package else ""
        return found

    def _fields(self, at: int) -> Iterator[GoField]:
        _, first, count, _ = self._pointers(at, 4)
        start = self._offset(first) if count else 0
        for name, kind, _ in (self._pointers(start + 24 * number, 3) for number in range(count)):
            yield GoField(*self._text(name), self._type(kind))

    def _text(self, address: int) -> tuple[str, str]:
        """Returns a name, and the tag behind it."""
        at = self._offset(address)
        name, end = self._counted(at + 1)
        return name, self._counted(end)[0] if self._data[at] & _HAS_TAG else ""

    def _counted(self, at: int) -> tuple[str, int]:
        length = shift = 0
        while self._data[at] & 128:
            length |= (self._data[at] & 127) << shift
            at, shift = at + 1, shift + 7
        length |= self._data[at] << shift
        return self._data[at + 1 : at + 1 + length].decode(), at + 1 + length


def _sections(data: bytes) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Returns name, address, offset and size of each section that is loaded from the file."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    count, names_at = struct.unpack_from("<HH", data, 0x3C)
    rows = [struct.unpack_from("<IIQQQQ", data, table + 64 * number) for number in range(count)]
    names = rows[names_at][4]
    for name, kind, _, address, offset, size in rows:
        start = names + name
        if address and kind != _NO_BITS:
            yield data[start : data.index(b"\0", start)].decode(), (address, offset, size)

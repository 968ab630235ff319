"""The protobuf messages of the kinds that are served: field numbers, names in JSON, types.

Used by `generate`. kubectl sends its own Go structs as protobuf; their tags have the numbers of the
`generated.proto` files of k8s.io/api and k8s.io/apimachinery, which no Python package brings. So the numbers
are read from kubectl itself, which comes as a wheel (Apache-2.0). A message is a table: number -> [name,
type].

Types: text, bytes, int, bool; time, microtime, int_or_text, quantity, raw and items, which have a form of
their own in JSON; or another message. `[]` before a type: a list; `{}`: values by key; `?` behind: a zero
counts. A message without a name in JSON lies flat in the one around it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import gotypes

if TYPE_CHECKING:
    from collections.abc import Iterable

Message = dict[int, tuple[str, str]]

_JSON, _PROTOBUF = re.compile(r'json:"([^",]*)'), re.compile(r'protobuf:"\w+,(\d+),')
_SPECIAL = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "raw",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "raw",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int_or_text",
}


def messages(executable: gotypes.Executable, wanted: Iterable[str]) -> dict[str, Message]:
    """Returns the messages with these names, and all of which they consist.

    Raises:
        KeyError: the program knows no such message.
    """
    structs = {_name(each): each for each in executable.structs()}
    found: dict[str, Message] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _message(structs[name])
            parts = (kind.strip("[]{}?") for _, kind in found[name].values())
            waiting += [part for part in parts if part in structs]
    return found


def _message(struct: gotypes.GoType) -> Message:
    table = {}
    for field in struct.fields:
        number, name = _PROTOBUF.search(field.tag), _JSON.search(field.tag)
        if number and name:
            table[int(number[1])] = (name[1], _type(field.type))
    return dict(sorted(table.items()))


def _type(kind: gotypes.GoType) -> str:
    if kind.kind == gotypes.STRUCT:
        return _SPECIAL.get(_name(kind), _name(kind))
    if kind.kind == gotypes.SLICE and kind.name.endswith(".ExtraValue"):
        return "items"
    element = _type(kind.element) if kind.element else ""
    if kind.kind == gotypes.POINTER:
        return f"{element}?"
    if kind.kind == gotypes.MAP:
        return f"{{}}{element}"
    if kind.kind == gotypes.SLICE:
        return "bytes" if kind.element and kind.element.kind == gotypes.BYTE else f"[]{element}"
    scalars = {gotypes.STRING: "text", gotypes.BOOL: "bool", **dict.fromkeys(gotypes.INTEGERS, "int")}
    return scalars[kind.kind]


def _name(struct: gotypes.GoType) -> str:
    """Returns a message's name: `io.k8s.api.core.v1.Pod` for `Pod` of package `k8s.io/api/core/v1`."""
    host, _, path = struct.package.partition("/")
    parts = [*reversed(host.split(".")), *path.split("/"), struct.name.rpartition(".")[2]]
    return ".".join(parts)

"""Reads the requests of Envoys from bytes, and says in a sentence why one cannot be served.

Called by `ads` for every message of an Envoy. Pure. A caller with the namespace's token may send any bytes:
the parts of a long message are counted before it is read, for two bytes may become hundreds in memory.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from bailie.api.names import is_address
from bailie.gateway import descriptors
from bailie.gateway.listener import Address
from bailie.gateway.resources import (
    BUCKET_URL,
    CLUSTER_URL,
    ENDPOINTS_URL,
    LISTENER_URL,
    ROUTES_URL,
    SCOPE_URL,
)
from bailie.kube.protobuf_fields import FieldCount, MalformedMessage, fields

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTEN = "listen"
"""Key of the node's metadata: `[{"address": "127.70.0.3", "port": 9000}, …]`."""

MOST_NAMES = 200_000
"""Resources on one stream: several times what 20,000 models need."""
MOST_TOLD = 16 << 20
"""Characters of all names and versions that an Envoy tells on one stream: twice those of 20,000 models with
the longest names. They are kept as long as the stream is there."""
LONGEST_NAME = 1_024
REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
SHORT = 256 << 10
"""Bytes of a request that are read without counting: anything in them takes 30 MB at most for a moment. The
node of an Envoy has 60 KB."""
LISTS = {
    "resource_names_subscribe": 3,
    "resource_names_unsubscribe": 4,
    "initial_resource_versions": 5,
}
"""The fields of a request that may be many."""
_MOST_ADDRESSES = 16
_MOST_FIELDS = 1_000_000
"""Of a request: more than all that an Envoy may ask for."""
LONGEST = 8 << 20
"""Bytes of a message of an Envoy, of a report, too: gRPC has one longest message for a port. An Envoy that
comes back tells the names and versions of all that it has of one kind: routes of 20,000 models with the
longest names are 6 MB, endpoints of 17,000 models of which no two are on the same replicas 8 MB."""
_NO_REQUEST = f"this is no {REQUEST}"
_KINDS = frozenset({BUCKET_URL, CLUSTER_URL, ENDPOINTS_URL, LISTENER_URL, ROUTES_URL, SCOPE_URL})


def read(data: bytes) -> tuple[Any | None, str | None]:
    """Returns the request, and None; or None, and why the bytes are none or not to be read."""
    if told := _too_much(data):
        return None, told
    try:
        return descriptors.message_class(REQUEST).FromString(data), None
    except DecodeError:
        return None, _NO_REQUEST


def _too_much(data: bytes) -> str | None:
    if len(data) <= SHORT:
        return None
    lists, others = LISTS.values(), 0
    try:
        for number, _, start, _, after in fields(data, 0, len(data), FieldCount(_MOST_FIELDS)):
            others += 0 if number in lists else after - start
    except MalformedMessage as error:
        return f"{_NO_REQUEST}: {error}"
    return (
        f"beside its resources a request has at most {SHORT} bytes, not {others}" if others > SHORT else None
    )


def first_problem(request: Any) -> str | None:
    """Returns why the first request of a stream cannot be served, None where it can."""
    if len(request.node.id) > LONGEST_NAME:
        return f"the node's id has {len(request.node.id)} characters, more than {LONGEST_NAME}"
    if not addresses(request.node):
        return (
            f"node metadata {LISTEN!r} must name addresses and ports to listen on, "
            f"at most {_MOST_ADDRESSES} and each an IP address and a port of 1 to 65535"
        )
    return problem(request)


def problem(request: Any) -> str | None:
    """Returns why the request cannot be served, None where it can."""
    if request.type_url not in _KINDS:
        return f"there are no resources of type {request.type_url[:LONGEST_NAME]!r} here"
    names = (request.resource_names_subscribe, request.initial_resource_versions)
    if max(map(len, names)) > MOST_NAMES:
        return f"more than {MOST_NAMES} resources are asked for"
    if max(map(_longest, (*names, request.initial_resource_versions.values()))) > LONGEST_NAME:
        return f"names and versions of resources have at most {LONGEST_NAME} characters"
    return None


def characters(request: Any) -> int:
    """Returns how many characters the names and versions of a request have, which a stream keeps."""
    versions = request.initial_resource_versions
    parts = (request.resource_names_subscribe, versions, versions.values())
    return sum(len(text) for part in parts for text in part)


def addresses(node: Any) -> tuple[Address, ...]:
    """Returns where the Envoy is to listen; empty where the node's addresses are impossible."""
    if LISTEN not in node.metadata.fields:
        return ()
    entries = [entry.struct_value.fields for entry in node.metadata.fields[LISTEN].list_value.values]
    found = [_address(entry) for entry in entries[: _MOST_ADDRESSES + 1]]
    good = [address for address in found if address is not None]
    return tuple(good) if len(good) == len(entries) <= _MOST_ADDRESSES else ()


def _address(entry: Any) -> Address | None:
    if "address" not in entry or "port" not in entry:
        return None
    text, port = entry["address"].string_value, entry["port"].number_value
    if not math.isfinite(port) or not 1 <= port <= 65535 or "%" in text or not is_address(text):
        return None
    return Address(text, int(port))


def _longest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)

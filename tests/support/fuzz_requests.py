"""Requests to the embedded API that nobody sends: seeded, and endless.

Every format, verb and header of the API with something wrong in it, beside some that are well, so that there
are objects to be changed. Used by `python -m benchmarks api-fuzz` and its short form in tests/kubeapi.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import yaml
from tests.support.fuzz_known import deep
from tests.support.fuzz_objects import (
    APPLY,
    JSON,
    JSON_PATCH,
    MAGIC,
    MERGE,
    OBJECTS,
    POSTED,
    PROTOBUF,
    STRATEGIC,
    YAML,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = (0, -1, 1, 2**31, -(2**31) - 1, 2**53, 2**63, 2**64, 1e308, -0.0, 1.5, 10**30)
_WORDS = (
    "",
    "x",
    ".",
    "..",
    "/",
    "../x",
    "a/b",
    "A",
    "ä",
    "\0",
    "\n",
    "\r\nx: y",
    "%",
    "x" * 300,
    "$patch",
    "null",
    "*",
)
_FIELDS = (
    "metadata",
    "spec",
    "status",
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "resourceVersion",
    "uid",
    "generateName",
    "creationTimestamp",
    "deletionTimestamp",
    "kind",
    "apiVersion",
    "$patch",
    "$retainKeys",
    "$setElementOrder/ports",
    "$deleteFromPrimitiveList/finalizers",
    "items",
)
_PARAMETERS = {
    "watch": ("1", "true", "x"),
    "timeoutSeconds": ("1", "0", "x", "9" * 30),
    "resourceVersion": ("0", "1", "5", "x", "9" * 15, "-1"),
    "limit": ("1", "0", "x", "9" * 30),
    "continue": ("x", "W10="),
    "labelSelector": (
        "app=x",
        "app",
        "!app",
        "app in (x,y)",
        "app in",
        "a==b==c",
        "(",
        "\0",
        "a in (" + "x," * 3000,
    ),
    "fieldSelector": ("metadata.name=x", "x=y", "metadata.name!=x", "a,b,c", "=", "spec.nodeName=", "\0"),
    "fieldManager": ("f", "x" * 200, "\0", "ä"),
    "fieldValidation": ("Strict", "Ignore", "x"),
    "dryRun": ("All", "x", ""),
    "force": ("true", "x"),
    "propagationPolicy": ("Orphan", "Foreground", "Background", "x"),
    "gracePeriodSeconds": ("0", "-1", "x", "9" * 30),
    "sendInitialEvents": ("true",),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "allowWatchBookmarks": ("true",),
    "pretty": ("true",),
    "container": ("c", "x", "../x"),
    "follow": ("x",),
    "tailLines": ("1", "x"),
    "includeObject": ("None", "x"),
}
_HEADERS = {
    "accept": (
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        "application/json;as=X;v=;g",
        "application/vnd.kubernetes.protobuf",
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
        ";;;,,,",
        "*/*",
        "a" * 5000,
    ),
    "user-agent": ("", "kubectl/v1.37", "/", "ä", "x" * 5000),
    "impersonate-user": ("u", "system:serviceaccount:a:b", "system:serviceaccount:::", ""),
    "impersonate-group": ("system:masters", ""),
    "impersonate-uid": ("x",),
    "impersonate-extra-a%2fb": ("x",),
    "authorization": ("", "Bearer", "Bearer x", "Basic eDp5", "Bearer " + "x" * 5000, "Bearer \xe4"),
    "content-encoding": ("gzip", "x"),
    "x-forwarded-for": ("1.1.1.1",),
    "connection": ("close",),
}
_PATHS = (
    "/",
    "//",
    "/api",
    "/apis",
    "/api/v1",
    "/api/v2",
    "/apis/x",
    "/apis/apps/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/api/v1",
    "/openapi/v3/apis/x",
    "/version",
    "/healthz",
    "/readyz",
    "/livez",
    "/metrics",
    "/..",
    "/api/v1/namespaces/..",
    "/api/v1/namespaces/%2e%2e/pods",
    "/api/v1/%00",
    "/%ff",
    "/api/v1/namespaces/fuzz/",
    "/api/v1/namespaces//pods",
    "/api/v1/namespaces/fuzz/pods/x/proxy",
    "/api/v1/namespaces/fuzz/pods/x/log",
    "/api/v1/namespaces/fuzz/pods/x/exec",
    "/api/v1/namespaces/fuzz/status",
    "/api/v1/namespaces/fuzz/finalize",
    "/api/v1/watch/pods",
    "/apis//v1/pods",
    "/api/v1/" + "a/" * 2000,
    "/api/v1/namespaces/" + "a" * 5000,
)


class Requests:
    """Requests of one seed, without an end."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def __iter__(self) -> Iterator[Request]:
        while True:
            yield self._one()

    def _one(self) -> Request:
        dice = self._dice
        make = dice.choices(
            (self._write, self._read, self._delete, self._post, self._path), (60, 15, 10, 5, 5)
        )[0]
        request = make()
        headers = dict(request.headers)
        if dice.random() < 0.15:
            name = dice.choice(sorted(_HEADERS))
            headers[name] = dice.choice(_HEADERS[name])
        return Request(request.method, request.path, request.body, headers)

    def _query(self, **fixed: str) -> str:
        names = self._dice.sample(sorted(_PARAMETERS), self._dice.choice((0, 0, 1, 2, 4)))
        chosen = {name: self._dice.choice(_PARAMETERS[name]) for name in names} | fixed
        if "watch" in chosen or "follow" in chosen:
            chosen["timeoutSeconds"] = "1"
        chosen.pop("follow", None)
        return f"?{urlencode(chosen)}" if chosen else ""

    def _name(self) -> str:
        return self._dice.choice(("a", "b", "c", "d", "e", "target"))

    def _write(self) -> Request:
        dice = self._dice
        collection = dice.choice(sorted(OBJECTS))
        name, method = self._name(), dice.choice(("POST", "POST", "PUT", "PATCH", "PATCH", "PATCH"))
        obj = {**OBJECTS[collection], "metadata": {"name": name, **OBJECTS[collection].get("metadata", {})}}
        for _ in range(dice.choice((0, 0, 1, 1, 2, 5))):
            obj = self._changed(obj)
        path = collection if method == "POST" else f"{collection}/{quote(name)}"
        if method != "POST" and dice.random() < 0.25:
            path += dice.choice(("/status", "/scale", "/token", "/x", "/finalize", "/proxy", "/log"))
        kind = dice.choice((MERGE, STRATEGIC, JSON_PATCH, APPLY, JSON)) if method == "PATCH" else JSON
        body = self._operations() if kind == JSON_PATCH else obj
        fixed = {"fieldManager": "f"} if kind == APPLY and dice.random() < 0.9 else {}
        return Request(method, path + self._query(**fixed), *self._encoded(body, kind))

    def _encoded(self, body: Any, kind: str) -> tuple[bytes, dict[str, str]]:
        """The body in some format, mostly the one that is said, and mostly whole."""
        dice = self._dice
        form = dice.random()
        if form < 0.06 and kind in {JSON, APPLY}:
            data, kind = yaml.safe_dump(body).encode(), kind if kind == APPLY else YAML
        elif form < 0.12:
            data = MAGIC + self._protobuf()
            kind = PROTOBUF
        else:
            data = json.dumps(body).encode()
        if dice.random() < 0.06:
            at = dice.randrange(len(data) + 1)
            data = dice.choice(
                (data[:at], data[:at] + dice.randbytes(4) + data[at:], data * 2, b"", dice.randbytes(40))
            )
        if dice.random() < 0.03:
            kind = dice.choice(
                (MERGE, STRATEGIC, JSON_PATCH, APPLY, JSON, YAML, PROTOBUF, "", "x/y", "json", ";")
            )
        if dice.random() < 0.002:
            data = b'{"data":{"k":"' + b"x" * dice.choice((1_000_000, 3_200_000)) + b'"}}'
        return data, {"content-type": kind} if kind else {}

    def _protobuf(self) -> bytes:
        """An envelope of a kind that is read, with fields and values that are mostly none of its own."""
        dice = self._dice
        version, name = dice.choice(
            (
                ("v1", "ConfigMap"),
                ("v1", "Event"),
                ("coordination.k8s.io/v1", "Lease"),
                ("v1", "Service"),
                ("v1", "X"),
            )
        )
        inner = b"".join(self._field() for _ in range(dice.randrange(8)))
        kind = _bytes_field(1, version.encode()) + _bytes_field(2, name.encode())
        data = _bytes_field(1, kind) + _bytes_field(2, inner)
        return data if dice.random() < 0.9 else data[: dice.randrange(len(data) + 1)]

    def _field(self) -> bytes:
        dice = self._dice
        number = dice.choice((1, 1, 2, 2, 3, 4, 5, 11, 99))
        if dice.random() < 0.3:
            return _varint(number << 3) + _varint(dice.choice((0, 1, 2**31, 2**63, 2**64 - 1)))
        inner = dice.choice((b"", b"a", b"\xff\xfe", _bytes_field(1, b"x"), _varint(8) + _varint(2**62)))
        return _bytes_field(number, inner if dice.random() < 0.6 else self._field())

    def _operations(self) -> Any:
        dice = self._dice
        places = (
            "/data/k",
            "/metadata/labels",
            "/spec",
            "/metadata/name",
            "",
            "/",
            "/x/y/z",
            "/data/-",
            "x",
            1,
            None,
        )
        one = [
            {
                "op": dice.choice(("add", "remove", "replace", "move", "copy", "test", "x")),
                "path": dice.choice(places),
                "from": dice.choice(places),
                "value": self._junk(),
            }
            for _ in range(dice.choice((1, 1, 3, 20)))
        ]
        return one if dice.random() < 0.9 else self._junk()

    def _changed(self, value: Any) -> Any:
        """The value with something in it changed, taken away or added."""
        dice = self._dice
        if isinstance(value, dict) and value and dice.random() < 0.85:
            key = dice.choice(sorted(value))
            if dice.random() < 0.1:
                return {other: each for other, each in value.items() if other != key}
            if dice.random() < 0.1:
                return {**value, dice.choice((*_FIELDS, *_WORDS)): self._junk()}
            return {**value, key: self._changed(value[key])}
        if isinstance(value, list) and value and dice.random() < 0.8:
            at = dice.randrange(len(value))
            more = [value[at]] if dice.random() < 0.1 else []
            return [*value[:at], self._changed(value[at]), *more, *value[at + 1 :]]
        return self._junk()

    def _junk(self) -> Any:
        dice = self._dice
        make = dice.randrange(9)
        if make < 3:
            return dice.choice(_WORDS)
        if make < 5:
            return dice.choice(_NUMBERS)
        if make == 5:
            return dice.choice((None, True, False, [], {}))
        if make == 6:
            return [self._junk() for _ in range(dice.randrange(3))]
        if make == 7:
            return {dice.choice((*_FIELDS, *_WORDS)): self._junk() for _ in range(dice.randrange(3))}
        return (
            json.loads(deep(dice.choice((3, 20, 98, 150, 260))))
            if dice.random() < 0.1
            else "2026-01-01T00:00:00Z"
        )

    def _read(self) -> Request:
        path = self._dice.choice(sorted(OBJECTS))
        if self._dice.random() < 0.5:
            path += f"/{self._name()}" + self._dice.choice(
                ("", "", "/status", "/scale", "/log", ":80/proxy/x", "/x")
            )
        return Request(self._dice.choice(("GET", "GET", "GET", "HEAD")), path + self._query())

    def _delete(self) -> Request:
        dice, path = self._dice, self._dice.choice(sorted(OBJECTS))
        if dice.random() < 0.9 or path.endswith("/namespaces"):
            name = dice.choice(("a", "b", "c", "d", "e"))
            path += f"/{name}"
        options = {"kind": "DeleteOptions", "preconditions": {"uid": "x"}, "gracePeriodSeconds": 0}
        body, headers = (b"", {}) if dice.random() < 0.6 else self._encoded(self._changed(options), JSON)
        return Request("DELETE", path + self._query(), body, headers)

    def _post(self) -> Request:
        path = self._dice.choice(sorted(POSTED))
        return Request("POST", path + self._query(), *self._encoded(self._changed(POSTED[path]), JSON))

    def _path(self) -> Request:
        path = self._dice.choice(_PATHS)
        method = self._dice.choice(("GET", "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"))
        return Request(method, path + self._query())


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _bytes_field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content

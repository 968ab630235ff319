"""Requests that once hung the embedded API, filled its memory or got a 500, and their neighbours.

The seeds of `python -m benchmarks api-fuzz`: whatever it finds is added here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from tests.support.fuzz_objects import (
    APPLY,
    JSON,
    JSON_PATCH,
    MAGIC,
    MERGE,
    OBJECTS,
    OURS,
    PROTOBUF,
    SPACE,
    STRATEGIC,
    YAML,
    Request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPS = f"{SPACE}/configmaps"


def deep(levels: int, *, opening: str = "[", closing: str = "]") -> str:
    """JSON of so many levels."""
    return opening * levels + "1" + closing * levels


_LEVELS = (50, 99, 100, 101, 253, 255, 300, 600, 1000, 1023, 1025, 3000, 100_000)
_DEEP = tuple((opening, closing) for opening, closing in (("[", "]"), ('{"a":', "}"), ('{"spec":', "}")))


def _deep_texts() -> Iterator[str]:
    for levels in _LEVELS:
        for opening, closing in _DEEP:
            inner = deep(levels, opening=opening, closing=closing)
            yield inner
            yield f'{{"metadata":{{"name":"deep"}},"data":{inner}}}'
            yield f'{{"metadata":{{"name":"deep","annotations":{inner}}}}}'
            yield f'{{"spec":{{"podSpec":{{"x":{inner}}}}}}}'


def _patch_bodies() -> Iterator[tuple[str, str]]:
    for text in _deep_texts():
        for kind in (MERGE, STRATEGIC, APPLY):
            yield kind, text
    for wrong in ("true", "1.5", "null", '"x"', "{}", "[[]]", "[{}]", "[null]", '{"a":1}', "[1]"):
        for name in (
            "$retainKeys",
            "$patch",
            "$deleteFromPrimitiveList/finalizers",
            "$setElementOrder/ports",
            "$x",
        ):
            yield STRATEGIC, f'{{"{name}":{wrong}}}'
            yield STRATEGIC, f'{{"spec":{{"{name}":{wrong},"ports":[{{"port":1,"$patch":{wrong}}}]}}}}'
            yield STRATEGIC, f'{{"metadata":{{"{name}":{wrong},"finalizers":{wrong}}}}}'
    yield STRATEGIC, '{"metadata":{"$retainKeys":["labels"],"annotations":{"a":"b"}}}'
    double = [{"op": "add", "path": "/data/a", "value": "x" * 1000}]
    double += [{"op": "copy", "from": "/data", "path": f"/data/{n}"} for n in range(60)]
    yield JSON_PATCH, json.dumps(double)
    nested = [{"op": "add", "path": "/data" + "/a" * n, "value": {}} for n in range(1, 900)]
    yield JSON_PATCH, json.dumps([*nested, {"op": "copy", "from": "/data", "path": "/x"}])
    yield JSON_PATCH, json.dumps([{"op": "test", "path": "/data", "value": {}}] * 20_000)
    for odd in ("null", "1", "{}", "[null]", '[{"op":1,"path":"/x"}]', '[{"op":"add","path":1,"value":1}]'):
        yield JSON_PATCH, odd
    long = list(range(30_000))
    yield STRATEGIC, json.dumps({"metadata": {"finalizers": [f"a/{n}" for n in long]}})
    yield STRATEGIC, json.dumps({"metadata": {"$setElementOrder/finalizers": long, "finalizers": long}})


def found() -> Iterator[Request]:
    """What once hung the API, filled its memory, or got a 500; and its neighbours."""
    yield Request("POST", _MAPS, b'{"metadata":{"name":"target"},"data":{"k":"v"}}', {"content-type": JSON})
    yield Request("POST", f"{SPACE}/services", _encoded_service(), {"content-type": JSON})
    yield from _bodies()
    yield from _odd_types()
    for kind, text in _patch_bodies():
        for path in (f"{_MAPS}/target", f"{SPACE}/services/target"):
            yield Request("PATCH", f"{path}?fieldManager=f", text.encode(), {"content-type": kind})
    yield from _odd_fields()
    yield from _odd_words()


def _bodies() -> Iterator[Request]:
    for text in _deep_texts():
        for kind in (JSON, YAML, ""):
            yield Request("POST", _MAPS, text.encode(), {"content-type": kind})
        yield Request("POST", f"{OURS}/models", text.encode(), {"content-type": JSON})
        yield Request("DELETE", f"{_MAPS}/none", text.encode(), {"content-type": JSON})
    for text in (BOMB, "&a [*a]", "&a {x: *a}", "? [1, 2]\n: x", "1: x\nnull: y", "- " * 5000 + "a"):
        yield Request("POST", _MAPS, text.encode(), {"content-type": YAML})
    for tail in (
        b"\xff" * 3_000_000,
        b"\x08" + b"\x80" * 100_000,
        b"",
        b"\n\x05\n\x02v1",
        b"\x12\xff\xff\xff\x7f",
    ):
        yield Request("POST", _MAPS, MAGIC + tail, {"content-type": PROTOBUF})


def _odd_types() -> Iterator[Request]:
    """Values of a type that the field does not have, wherever an object has one."""
    for path, obj in OBJECTS.items():
        for place in _places(obj):
            for odd in ([], ["x"], {}, {"x": 1}, "x", 7, 1.5, True, None):
                body = json.dumps({"metadata": {"name": "odd"}, **_with(obj, place, odd)})
                yield Request("POST", f"{path}?dryRun=All", body.encode(), {"content-type": JSON})


def _places(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*before, key)
        yield from _places(each, (*before, key))


def _with(value: Any, place: tuple[str | int, ...], odd: Any) -> Any:
    if not place:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _with(value[place[0]], place[1:], odd)
    return copy


def _odd_fields() -> Iterator[Request]:
    """Fields that nobody knows become headers of the answer."""
    path = f"{OURS}/models?fieldValidation=Warn"
    for name in ("ä€", "a\r\nx: y", "\U0001f600", "q" * 100_000):
        body = json.dumps({"metadata": {"name": "w"}, name: 1}).encode()
        yield Request("POST", path, body, {"content-type": JSON})
    many = {"metadata": {"name": "w"}, **{f"f{n}": 1 for n in range(100_000)}}
    yield Request("POST", path, json.dumps(many).encode(), {"content-type": JSON})


def _odd_words() -> Iterator[Request]:
    """In queries and headers: digits that `int` does not take, tokens that nobody gave out."""
    for value in ("1²", "\u0663", "9" * 5000, "-1", "1e5", "NaN"):
        for name in ("limit", "timeoutSeconds", "resourceVersion", "gracePeriodSeconds"):
            yield Request("GET", f"{_MAPS}?{urlencode({'watch': '1', 'timeoutSeconds': '1', name: value})}")
            yield Request("GET", f"{_MAPS}?{urlencode({name: value})}")
        yield Request("DELETE", f"{_MAPS}/none?{urlencode({'gracePeriodSeconds': value})}")
        yield Request("GET", f"{SPACE}/pods/p:{quote(value)}/proxy/x")
    for token in ("W10=", "WzEsMiwxZTQwMF0=", "bnVsbA==", "ä", "=" * 5, "WyJhIiwiYiIsMWU5OTld"):
        yield Request("GET", f"{_MAPS}?{urlencode({'continue': token})}")
    for host in ("[", "[::1", "a b", "", "\xff"):
        yield Request("GET", "/api/v1/namespaces", headers={"host": host})


MERGES = "a0: &a0 {k: v}\n" + "\n".join(
    f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 10)}]}}" for number in range(1, 12)
)
"""YAML whose merge keys copy one pair a hundred thousand million times."""
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
"""YAML of some lines that means 400 million words."""


def _encoded_service() -> bytes:
    ports = [{"port": 80, "name": "a"}]
    return json.dumps({"metadata": {"name": "target"}, "spec": {"ports": ports}}).encode()

"""The headers of a request that go on to each step, and those that come back to the caller. Pure.

Called by `service`. As in Seldon Core, every `x-` header goes to every step and back. The route of the caller
does not, for it would pin the steps, nor does a header that Envoys give each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.pipelinegateway.http_values import lines
from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.pipelinegateway.http_values import Headers

_TRACE = frozenset({b"traceparent", b"tracestate", b"baggage"})
_KEPT_BACK = frozenset(
    {
        headers.ROUTE.encode(),
        headers.PIPELINE_VERSION.encode(),
        b"x-seldon-alibi-type",
        b"x-seldon-alibi-method",
    }
)
_OF_PROXIES = (b"x-envoy-", b"x-forwarded-")
_MOST_REMEMBERED = 256
_LONGEST_REMEMBERED = 64


class _Remembered(dict[bytes, bool]):
    """A rule for names of headers, by its answers, which are looked up for each header of each request.

    Callers choose the names, so that long ones are not remembered, and the others all forgotten where there
    are too many.
    """

    def __init__(self, rule: Callable[[bytes], bool]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, name: bytes) -> bool:
        found = self._rule(name)
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _MOST_REMEMBERED:
                self.clear()
            self[name] = found
        return found


def to_steps(given: Headers, *, traced: bool = False) -> bytes:
    """Returns the headers that each call of a step gets, as they are sent.

    A request that is `traced` here has a span for each call, which the call's own `traceparent` names.
    """
    own = b"traceparent" if traced else b""
    return lines([each for each in given if _GOES_ON[each[0]] and each[0] != own])


def back(given: Headers) -> Headers:
    """Returns the headers that the answer has from the request, its id among them."""
    return tuple([each for each in given if _PASSES[each[0]]])


def goes_on(name: bytes) -> bool:
    """Says whether a header of a request, its name in small letters, goes to each step."""
    return _GOES_ON[name]


def _passes(name: bytes) -> bool:
    return name.startswith(b"x-") and name not in _KEPT_BACK and not name.startswith(_OF_PROXIES)


_PASSES = _Remembered(_passes)
_GOES_ON = _Remembered(lambda name: name in _TRACE or _passes(name))

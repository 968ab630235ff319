"""The collector of traces: its address and the part of the requests that is traced, from `tracingConfig`.

Read by `seldon_config`, and by those that send spans or have Envoy send them. The address is a stranger's
text until it is read here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bailie.api.names import is_address, is_dns_label
from bailie.api.texts import shown

MOST_PORT = 65535
_LONGEST_HOST = 253
_ENDPOINT = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]{2,45})\]|(?P<host>[^\s:/@\[\]]+)):(?P<port>[0-9]{1,5})", re.ASCII
)
_DOTTED = re.compile(r"[0-9.]+", re.ASCII)
_NO_TRACES = "has no effect, and no traces are sent"


@dataclass(frozen=True, slots=True)
class Collector:
    """An OTLP receiver over gRPC, without TLS.

    `ratio`, 0 to 1, is the part of the requests that is traced where the caller has not decided that.
    """

    host: str
    port: int
    ratio: float = 1.0

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint_problem(endpoint: str) -> str:
    """Returns why a text is no collector's address, empty where it is one."""
    if _parsed(endpoint) is not None:
        return ""
    return f'{_NO_TRACES}: "{shown(endpoint, 80)}" is no host:port, such as collector.observability:4317'


def ratio_problem(ratio: str) -> str:
    """Returns why a text is no part of the requests, empty where it is one."""
    if _ratio(ratio) is not None:
        return ""
    return f'{_NO_TRACES}: "{shown(ratio, 80)}" is no number from 0 to 1'


def read_collector(endpoint: object, ratio: object) -> Collector | None:
    """Returns the collector of two texts; None where one of them is none. Without a ratio all is traced."""
    if not isinstance(endpoint, str) or not isinstance(ratio, str | None):
        return None
    place, part = _parsed(endpoint), _ratio(ratio or "1")
    return Collector(*place, part) if place is not None and part is not None else None


def _parsed(endpoint: str) -> tuple[str, int] | None:
    found = _ENDPOINT.fullmatch(endpoint)
    if found is None or not 0 < int(found["port"]) <= MOST_PORT:
        return None
    host = found["v6"] or found["host"]
    if found["v6"] is not None or _DOTTED.fullmatch(host) is not None:
        return (host, int(found["port"])) if is_address(host) else None
    labels = host.lower().split(".")
    named = len(host) <= _LONGEST_HOST and all(map(is_dns_label, labels))
    return (host, int(found["port"])) if named else None


def _ratio(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and 0 <= found <= 1 else None

"""The payload log of a Model: where its requests and answers are sent to, and which of them.

`spec.logger` turns it on, as in Seldon Core, which has no field for the place: the annotation
`bailie.io/payload-sink` names it, for instance `http://payloads.logging:8080/events`. Read by `model`, for
the scheduler. A mistake is a warning: the Model serves without a payload log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from bailie.api.names import is_dns_label
from bailie.api.problems import Problem
from bailie.api.texts import shown
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Mapping

ANNOTATION = "bailie.io/payload-sink"
MODE_ANNOTATION = "bailie.io/payload-mode"
ANNOTATIONS = (ANNOTATION, MODE_ANNOTATION)
MODES = ("all", "request", "response")
MOST_PERCENT = 100
LOCAL = "localhost"
"""The machine of a laptop. On a cluster nothing is sent there: a pod's loopback is its containers' own."""
_MOST_PORT = 65535
_LONGEST = 512
_URL = re.compile(
    r"http://(?P<host>[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*)?",
    re.ASCII,
)
_REPOSITORY = "/v2/repository"
"""Begins the paths by which a POST has an inference server load or unload a model."""
_DOMAINS = ((), ("svc",), ("svc", "cluster", "local"))
_EXAMPLE = "http://payloads:8080/events"
_PLANES = frozenset({names.MESH, names.MESH_BEFORE, names.SCHEDULER, names.ENVOY, names.PIPELINE_GATEWAY})
"""Services of Bailie's in any namespace: Models there would get the payloads, or a scheduler requests in the
Envoys' name."""
_API_SERVER, _SYSTEM = ("kubernetes", "default"), "kube-system"
"""The Service of the Kubernetes API, and the namespace of the cluster's own Services."""


@dataclass(frozen=True, slots=True)
class PayloadLog:
    """A sink of CloudEvents over HTTP, and `percent` (1 to 100) of the requests that it gets.

    `host` is LOCAL or a Service with its namespace (`payloads.logging.svc`), which no DNS outside of the
    cluster answers for; `mode` is one of MODES.
    """

    model: str
    host: str
    port: int
    path: str = "/"
    percent: int = MOST_PERCENT
    mode: str = MODES[0]


@dataclass(frozen=True, slots=True)
class SinkRule:
    """The Services of other namespaces to which the administrator lets payloads go.

    Each of `names` is `service.namespace`, `*.namespace` or `*`. A Model's own namespace is always allowed.
    """

    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> SinkRule:
        """Returns the rule of names with commas between them. Raises ValueError for what is no such name."""
        names = frozenset(each.strip() for each in text.split(",") if each.strip())
        for each in names - {"*"}:
            service, _, place = each.partition(".")
            if not is_dns_label(place) or not (service == "*" or is_dns_label(service)):
                raise ValueError(f'"{shown(each, 80)}" is none of service.namespace, *.namespace and *')
        return cls(names)

    def refusal(self, log: PayloadLog, namespace: str) -> Problem | None:
        """Returns why a Model of the namespace sends no payloads to its sink, None where it may."""
        service, _, place = log.host.removesuffix(".svc").partition(".")
        if log.host == LOCAL or place == namespace or self.names & {"*", f"*.{place}", f"{service}.{place}"}:
            return None
        text = (
            f"{service}.{place} is in another namespace, and the administrator has not allowed it; name a"
            f" Service of namespace {namespace}, or have the chart's security.payloadSinks name it"
        )
        return _ignored(ANNOTATION, text)


EVERY_SINK = SinkRule(frozenset({"*"}))


def payload_log_of(
    name: str, namespace: str, percent: int | None, annotations: Mapping[str, str], *, on: bool
) -> tuple[PayloadLog | None, list[Problem]]:
    """Returns the payload log of the Model `name` in `namespace`.

    `on`: it has a logger, of `percent`, None for all requests. Instead of the log there is None where nothing
    is to be sent; then problems say why, except for 0 percent and for a Model that asks for no log.
    """
    sink, mode = annotations.get(ANNOTATION), annotations.get(MODE_ANNOTATION, MODES[0])
    if not on:
        return None, [_ignored(each, "spec.logger is not set") for each in ANNOTATIONS if each in annotations]
    if sink is None:
        text = f"has no effect without the annotation {ANNOTATION}, which names where payloads go"
        return None, [Problem("spec.logger", "NoEffect", text)]
    place = _place(sink.strip(), namespace)
    if isinstance(place, str):
        return None, [_ignored(ANNOTATION, place)]
    if mode.strip() not in MODES:
        return None, [_ignored(MODE_ANNOTATION, f'"{shown(mode, 40)}" is none of {", ".join(MODES)}')]
    part = MOST_PERCENT if percent is None else percent
    if part > MOST_PERCENT:
        return None, [Problem("spec.logger.percent", "NoEffect", f"{_NOTHING}: {part} is more than 100")]
    host, port, path = place
    return PayloadLog(name, host, port, path, part, mode.strip()) if part else None, []


_NOTHING = "has no effect, and no payloads are sent"


def _ignored(annotation: str, why: str) -> Problem:
    return Problem(f"metadata.annotations[{annotation}]", "NoEffect", f"{_NOTHING}: {why}")


def _place(text: str, namespace: str) -> tuple[str, int, str] | str:
    """Returns host, port and path of a sink's address, or the words that say why it is none."""
    quoted = f'"{shown(text, 80)}"'
    if len(text) > _LONGEST:
        return f"it has {len(text)} characters; {_LONGEST} are the most"
    if text.lower().startswith("https:"):
        return f"{quoted} asks for TLS, which is not done; name a broker in the cluster that passes events on"
    found = _URL.fullmatch(text)
    if found is None:
        return f"{quoted} is no address of a Service without user, query and fragment, such as {_EXAMPLE}"
    port, path = int(found["port"] or 80), found["path"] or "/"
    host = _host(found["host"].lower(), namespace) if _is_plain(path) else None
    if not 0 < port <= _MOST_PORT:
        return f"{port} is no port: use 1 to {_MOST_PORT}"
    if host is None:
        return (
            f"{quoted} names no Service that takes events, as service.namespace; other hosts are not asked,"
            " and no paths with empty parts, .. or a server's repository"
        )
    return host, port, path


def _is_plain(path: str) -> bool:
    """Says whether a path leads where it seems to, however often it is decoded, and to no repository."""
    while (decoded := unquote(path)) != path:
        path = decoded
    parts = path.split("/")[1:]
    return _REPOSITORY not in path.lower() and not {"..", "."} & set(parts) and "" not in parts[:-1]


def _host(text: str, namespace: str) -> str | None:
    """Returns the name of a Service with its namespace; None for a text that is none, and for a Service that
    the author of a Model must not have asked."""
    if text == LOCAL:
        return text
    service, *domain = text.split(".")
    if not all(map(is_dns_label, (service, *domain))) or tuple(domain[1:]) not in _DOMAINS:
        return None
    place = domain[0] if domain else namespace
    if service in _PLANES or place == _SYSTEM or (service, place) == _API_SERVER:
        return None
    return f"{service}.{place}.svc"

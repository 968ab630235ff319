"""The way of one request through the data plane, decided without a data plane.

Envoy, configured by the gateway, must answer as `match` says; tests of the gateway compare the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bailie.routing import refusal
from bailie.routing.refusal import ErrorAnswer
from bailie.routing.table import Asleep, Elsewhere, NotReady, Route
from bailie.wellknown.names import PIPELINE_ENDING

if TYPE_CHECKING:
    from bailie.routing.table import Backend, RoutingTable

GRPC_SERVICE = "/inference.GRPCInferenceService/"
STREAM = "ModelStreamInfer"
GRPC_METHODS = frozenset({"ModelInfer", STREAM, "ModelMetadata", "ModelReady"})
NAMESPACE_METHODS = frozenset({"ServerLive", "ServerReady", "ServerMetadata", "RepositoryIndex"})
NAMESPACE_PATHS = frozenset(
    {"/v2", "/v2/health/live", "/v2/health/ready", "/v2/repository/index", "/v1/models"}
)
MODEL_PATH = re.compile(
    r"/v2/(?P<kind>models|pipelines)/(?P<name>[^/?#]+)(?:/versions/[^/?#]+)?(?P<rest>(?:/+[^/?#]+)*)/*(?P<query>(?:[?#].*)?)",
    re.DOTALL,
)
_PLAIN_PATH = re.compile(r"([^?#]*?)/*(?:[?#].*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Forward:
    """The request reaches one of `backends`, chosen by weight, as a request for `model`.

    `rest` is the part of a REST call's path after the model's name; "" for gRPC.
    """

    model: str
    backends: tuple[Backend, ...]
    rest: str = ""

    def path(self, backend: Backend) -> str:
        """Returns the path that the server of `backend` gets for a REST call."""
        return f"/v2/models/{backend.name}{self.rest}"


@dataclass(frozen=True, slots=True)
class PassedOn:
    """The request goes to another mesh as it came; `model` is the name by which it was routed."""

    model: str
    mesh: Elsewhere


@dataclass(frozen=True, slots=True)
class OfNamespace:
    """The request is for the namespace, not for a model: `asked` is its path, or its gRPC method."""

    asked: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The request waits until the version of `entry` answers; `model` is the name by which it was routed.

    `rest` is that of `Forward`. A question of REST whether the model is ready is answered at once.
    """

    model: str
    entry: Asleep
    rest: str = ""


Outcome = Forward | PassedOn | Kept | OfNamespace | ErrorAnswer


def match(
    table: RoutingTable,
    *,
    path: str,
    model: str = "",
    grpc: bool = False,
    named: str = "",
    encoding: str = "identity",
) -> Outcome:
    """Returns where a request goes, or the answer that refuses it.

    Args:
        table: the routes of the namespace.
        path: the HTTP path with its query; of a gRPC call `/<service>/<method>`.
        model: the header `seldon-model` up to the first slash; empty when there is none. The header wins
            over the path.
        grpc: whether the request is a gRPC call.
        named: the model's name in the first message of a gRPC call; the header wins over it.
        encoding: the header `grpc-encoding` of a gRPC call.
    """
    if grpc:
        return _match_grpc(table, path, model, named=named, encoding=encoding)
    found = MODEL_PATH.fullmatch(path)
    if found is not None:
        ending = PIPELINE_ENDING if found["kind"] == "pipelines" else ""
        return _look_up(table, model or found["name"] + ending, found["rest"] + found["query"])
    plain = _PLAIN_PATH.fullmatch(path)
    return _of_namespace(table, plain[1] if plain else path, NAMESPACE_PATHS, grpc=False)


def once_only(table: RoutingTable, outcome: Outcome) -> Outcome:
    """Returns the outcome of a request that another mesh has passed on to this one."""
    if isinstance(outcome, PassedOn):
        return refusal.passed_on_already(table.namespace, outcome.model)
    return outcome


def pinned(table: RoutingTable, outcome: Outcome, route: str) -> Outcome:
    """Returns the outcome of `match` for a caller with the header `x-seldon-route` of an earlier answer.

    The caller gets the first Model that the header names, and as others do where it names none.
    """
    entry = table.entries[outcome.model] if isinstance(outcome, Forward) else None
    if isinstance(outcome, Forward) and isinstance(entry, Route) and entry.sticky:
        for model, backends in entry.of_models().items():
            if f":{model}_" in route:
                return replace(outcome, backends=backends)
    return outcome


def _match_grpc(table: RoutingTable, path: str, model: str, *, named: str, encoding: str) -> Outcome:
    method = path.removeprefix(GRPC_SERVICE)
    if method == path or method not in GRPC_METHODS:
        return _of_namespace(table, method, NAMESPACE_METHODS, grpc=True)
    if encoding != "identity" and (not model or isinstance(table.entries.get(model), (Route, Asleep))):
        return refusal.not_decoded(table.namespace)
    if not model and not named:
        return refusal.not_named(table.namespace)
    name = model or named
    streams = method == STREAM and name.endswith(PIPELINE_ENDING)
    if streams and isinstance(table.entries.get(name), Route):
        return refusal.no_stream(table.namespace, name)
    return _look_up(table, name, "")


def _of_namespace(table: RoutingTable, asked: str, served: frozenset[str], *, grpc: bool) -> Outcome:
    return OfNamespace(asked) if asked in served else refusal.not_served(table.namespace, grpc=grpc)


def _look_up(table: RoutingTable, model: str, rest: str) -> Forward | PassedOn | Kept | ErrorAnswer:
    entry = table.entries.get(model)
    if entry is None:
        return refusal.not_found(table.namespace, model)
    if isinstance(entry, NotReady):
        return refusal.not_ready(table.namespace, model, entry)
    if isinstance(entry, Elsewhere):
        return PassedOn(model, entry)
    if isinstance(entry, Asleep):
        return Kept(model, entry, rest)
    return Forward(model, entry.backends, rest)

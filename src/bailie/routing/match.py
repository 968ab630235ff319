"""The way of one request through the data plane, decided without a data plane.

The oracle of the tests: Envoy, configured by the gateway, must answer as `match` says. Nothing in production
calls it on the path of a request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.routing import refusal
from bailie.routing.table import Backend, NotReady, RoutingTable

if TYPE_CHECKING:
    from bailie.routing.refusal import ErrorAnswer

GRPC_SERVICE = "/inference.GRPCInferenceService/"
GRPC_METHODS = frozenset({"ModelInfer", "ModelStreamInfer", "ModelMetadata", "ModelReady"})
MODEL_PATH = re.compile(
    r"/v2/models/(?P<name>[^/?#]+)(?:/versions/[^/?#]+)?(?P<rest>(?:[/?#].*)?)", re.DOTALL
)


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


def match(
    table: RoutingTable, *, path: str, model: str = "", grpc: bool = False, encoding: str = "identity"
) -> Forward | ErrorAnswer:
    """Returns where a request goes, or the answer that refuses it.

    Args:
        table: the routes of the namespace.
        path: the HTTP path with its query; of a gRPC call `/<service>/<method>`.
        model: the header `seldon-model` up to the first slash; empty when there is none. The header wins
            over the path.
        grpc: whether the request is a gRPC call.
        encoding: the header `grpc-encoding` of a gRPC call.
    """
    if grpc:
        return _match_grpc(table, path, model, encoding)
    found = MODEL_PATH.fullmatch(path)
    if found is None:
        return refusal.not_served(table.namespace, grpc=False)
    return _look_up(table, model or found["name"], found["rest"])


def _match_grpc(table: RoutingTable, path: str, model: str, encoding: str) -> Forward | ErrorAnswer:
    method = path.removeprefix(GRPC_SERVICE)
    if method == path or method not in GRPC_METHODS:
        return refusal.not_served(table.namespace, grpc=True)
    if not model:
        return refusal.not_named(table.namespace)
    outcome = _look_up(table, model, "")
    if isinstance(outcome, Forward) and encoding != "identity":
        return refusal.not_decoded(table.namespace)
    return outcome


def _look_up(table: RoutingTable, model: str, rest: str) -> Forward | ErrorAnswer:
    entry = table.entries.get(model)
    if entry is None:
        return refusal.not_found(table.namespace, model)
    if isinstance(entry, NotReady):
        return refusal.not_ready(table.namespace, model, entry)
    return Forward(model, entry.backends, rest)

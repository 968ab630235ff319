"""Whether the replicas of a Server follow what its models need, and between which numbers. Pure.

Used by `scaled_servers`. A Server is scaled where its spec has both `minReplicas` and `maxReplicas`, with
room between them, and the SeldonRuntime does not forbid it; a number that somebody else sets stays, and so
does that of a Server which a move holds back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bailie.api.seldon_config import ScalingConfig
from bailie.api.server import MOST_REPLICAS, Server
from bailie.control.scaling_rules import scaler_of
from bailie.scaling import Bounds
from bailie.scope.central import oldest
from bailie.wellknown.labels import HELD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCALER = "bailie-scheduler"
"""The field manager by which the scheduler writes a Server's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRules:
    """The rules for one Server. `refused` has the token and the sentence for why its number stays."""

    bounds: Bounds
    refused: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ServersSwitch:
    """The part of the SeldonRuntime about the scaling of all Servers.

    `enabled`: whether any is scaled. `packs`: whether models may be moved so that fewer replicas are enough;
    else only replicas without a model are taken away. `keeps`: no Server becomes smaller, because another
    mesh answers for some names; a move from that mesh may go back, and its pods obey the same number.
    """

    enabled: bool = True
    packs: bool = False
    keeps: bool = False


def switch_of(runtimes: Iterable[Mapping[str, Any]]) -> ServersSwitch:
    """Returns what the namespace's SeldonRuntime says; it says nothing where it is not readable."""
    runtime = oldest(dict(each) for each in runtimes)
    spec = (runtime or {}).get("spec") or {}
    stated, keeps = (spec.get("config") or {}).get("scalingConfig"), spec.get("fallbackMesh") is not None
    try:
        servers = ScalingConfig.model_validate(stated or {}).servers
    except ValidationError:
        servers = None
    if servers is None:
        return ServersSwitch(keeps=keeps)
    packs = servers.scale_down_packing_enabled is True
    return ServersSwitch(enabled=servers.enabled is not False, packs=packs, keeps=keeps)


def server_rules(manifest: Mapping[str, Any]) -> ServerRules | None:
    """Returns the rules of a Server; None for a Server that is not scaled, is invalid or is being deleted."""
    server, _ = Server.parse({key: value for key, value in manifest.items() if key != "status"})
    if server is None or manifest["metadata"].get("deletionTimestamp"):
        return None
    if server.spec.min_replicas is None or server.spec.max_replicas is None:
        return None
    least, most = max(server.spec.min_replicas, 1), min(server.spec.max_replicas, MOST_REPLICAS)
    if most <= least:
        return None
    refused = None
    if server.spec.scaling.replicas == 0:
        refused = ("ScaledDown", "spec.replicas is 0: no replica is started for models")
    elif not server.wanted_replicas:
        # The number in the spec is for the time after: written now, it would be the smallest that is allowed.
        refused = ("HeldBack", f"the annotation {HELD} holds the replicas back, as a move does")
    elif owner := scaler_of(manifest["metadata"].get("managedFields") or (), but=SCALER):
        sentence = f"{owner} sets spec.replicas; apply the Server with another number of replicas to end that"
        refused = ("ReplicasOwned", sentence)
    return ServerRules(bounds=Bounds(least, most), refused=refused)

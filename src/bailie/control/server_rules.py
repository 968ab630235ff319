"""Whether the replicas of a Server follow what its models need, and between which numbers. Pure.

Used by `scaled_servers`. A Server is scaled where its spec has both `minReplicas` and `maxReplicas`, with
room between them, and the SeldonRuntime does not forbid it; a number that somebody else sets stays, and so
does that of a Server which a move holds back. A Server that slept, and may not any more, is always woken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bailie.api.seldon_config import ScalingConfig
from bailie.api.server import MOST_REPLICAS, Server
from bailie.control.scaling_rules import scaler_of
from bailie.scaling import Bounds, idle
from bailie.scope.central import oldest
from bailie.wellknown.labels import HELD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.problems import Problem

SCALER = "bailie-scheduler"
"""The field manager by which the scheduler writes a Server's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepRule:
    """After how many seconds without a request to any of its Models a Server goes to zero replicas.

    `replicas`, `most` and `generation` are those of the spec, `capabilities` are those that it states for all
    replicas, None where their images say them. `mark` is another one where somebody changed the Server.
    """

    seconds: float
    text: str
    replicas: int
    generation: int
    most: int = MOST_REPLICAS
    capabilities: frozenset[str] | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRules:
    """The rules for one Server. `refused` has the token and the sentence for why its number stays.

    `sleep` is None for a Server that never goes to zero. `slept`: the scheduler has brought it to zero.
    """

    bounds: Bounds
    slept: bool = False
    sleep: SleepRule | None = None
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
    zero = slept(manifest)
    server = _parsed(manifest) or (_parsed(manifest, but="replicas") if zero else None)
    if server is None or manifest["metadata"].get("deletionTimestamp"):
        return None
    text = (manifest["metadata"].get("annotations") or {}).get(idle.ANNOTATION)
    least, most = max(server.spec.min_replicas or 0, 1), min(server.spec.max_replicas or 0, MOST_REPLICAS)
    bounds = Bounds(least, max(least, most))
    if text is None and (server.spec.min_replicas is None or most <= least):
        return ServerRules(bounds=bounds, slept=True) if zero else None
    sleep = None if text is None else _sleep_rule(server, text, manifest)
    if isinstance(sleep, tuple):
        if not zero and server.spec.scaling.replicas:
            return ServerRules(bounds=bounds, refused=sleep)
        sleep = None  # it slept, and the number is ours to raise
    return ServerRules(bounds=bounds, slept=zero, sleep=sleep, refused=_refused(server, manifest))


def unread_rules(_: Mapping[str, Any], problem: Problem) -> ServerRules:
    """Returns the rules of a Server that could not be read: its number stays."""
    return ServerRules(bounds=Bounds(1, 1), refused=(problem.reason, str(problem)))


def _parsed(manifest: Mapping[str, Any], but: str = "") -> Server | None:
    """Returns the Server of a manifest, without one field of its spec; None where it has mistakes.

    A number that the scheduler has written is no mistake of the person who raises `minReplicas` later.
    """
    spec = manifest.get("spec")
    if but and isinstance(spec, dict):
        manifest = {**manifest, "spec": {key: value for key, value in spec.items() if key != but}}
    return Server.parse_without_status(manifest)[0]


def slept(manifest: Mapping[str, Any]) -> bool:
    """Says whether the scheduler itself has brought a Server to zero replicas."""
    spec = manifest.get("spec")
    stated = spec.get("replicas") if isinstance(spec, dict) else None
    return stated == 0 and scaler_of(manifest["metadata"].get("managedFields") or ()) == SCALER


def _sleep_rule(server: Server, text: str, manifest: Mapping[str, Any]) -> SleepRule | tuple[str, str]:
    """Returns the rule of the annotation, or the token and the sentence for what is wrong with it."""
    seconds = idle.idle_after(text)
    if not isinstance(seconds, float):
        return (seconds.reason, str(seconds))
    if server.spec.min_replicas != 0 or not server.spec.max_replicas:
        sentence = (
            f"the annotation {idle.ANNOTATION} needs spec.minReplicas 0 and a spec.maxReplicas above it"
        )
        return ("MinReplicas", sentence)
    return SleepRule(
        seconds=seconds,
        text=text.strip(),
        replicas=server.wanted_replicas,
        generation=int(manifest["metadata"].get("generation") or 0),
        most=min(server.spec.max_replicas, MOST_REPLICAS),
        capabilities=frozenset(map(str.strip, server.spec.capabilities)) or None,
        mark=_mark(manifest),
    )


def _mark(manifest: Mapping[str, Any]) -> str:
    """Returns a text of all that people state of a Server, without its number of replicas."""
    spec = {key: value for key, value in manifest["spec"].items() if key != "replicas"}
    metadata = manifest["metadata"]
    return json.dumps([metadata.get("uid"), spec, metadata.get("annotations")], sort_keys=True, default=str)


def _refused(server: Server, manifest: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns why the number of a Server stays as it is, None where it may change."""
    managed = manifest["metadata"].get("managedFields") or ()
    if server.spec.scaling.replicas == 0 and not slept(manifest):
        return ("ScaledDown", "spec.replicas is 0: no replica is started for models")
    if not server.wanted_replicas and server.spec.scaling.replicas:
        # The number in the spec is for the time after: written now, it would be the smallest that is allowed.
        return ("HeldBack", f"the annotation {HELD} holds the replicas back, as a move does")
    if owner := scaler_of(managed, but=SCALER):
        sentence = f"{owner} sets spec.replicas; apply the Server with another number of replicas to end that"
        return ("ReplicasOwned", sentence)
    return None

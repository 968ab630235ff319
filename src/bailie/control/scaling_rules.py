"""Whether the replicas of a Model follow its load, and when it leaves memory. Read from one manifest; pure.

Used by `wanted_models`. Scaling is asked for by the annotation `bailie.io/scale`, or by the SeldonRuntime for
all Models that have a `maxReplicas` above their `minReplicas`; a number that somebody else sets stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bailie.api.status import status_of, told_condition, told_number
from bailie.lifecycle.version import VersionState
from bailie.scaling import Bounds, LoadTarget, idle, targets_of
from bailie.scaling.targets import ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.model import Model

ASLEEP = VersionState.ASLEEP.value
MOST_TOLD = 10_000
"""A status that speaks of more replicas was not written by a scheduler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """The rules for one Model.

    `asked`: by its own annotation. `told` is the number that the leader before has chosen, 0 for none;
    `refused` has the token and the sentence for why the number does not follow the load all the same.
    """

    bounds: Bounds
    targets: tuple[LoadTarget, ...]
    asked: bool = False
    told: int = 0
    refused: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleRules:
    """After how many seconds without a request a Model leaves memory, and the words for that time.

    `refused` has the token and the sentence for why the Model stays in memory all the same.
    """

    seconds: float = 0.0
    text: str = ""
    refused: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ToldSleep:
    """The sleep of a Model in its status: with which Server, and since when (seconds of the epoch)."""

    server: str
    since: float


def idle_rules(model: Model, manifest: Mapping[str, Any]) -> IdleRules | None:
    """Returns when a valid Model leaves memory; None for a Model that does not ask for that."""
    text = (manifest["metadata"].get("annotations") or {}).get(idle.ANNOTATION)
    if text is None or model.spec.scaling.replicas == 0:
        return None
    seconds = idle.idle_after(text)
    if not isinstance(seconds, float):
        return IdleRules(refused=(seconds.reason, str(seconds)))
    if least := model.spec.scaling.min_replicas:
        sentence = f"spec.minReplicas is {least}, so the Model stays in memory; set it to 0"
        return IdleRules(refused=("MinReplicas", sentence))
    return IdleRules(seconds=seconds, text=text.strip())


def rules_of(model: Model, manifest: Mapping[str, Any]) -> ScalingRules | None:
    """Returns the rules of a valid Model; None for a Model that cannot have another number of replicas."""
    text = (manifest["metadata"].get("annotations") or {}).get(ANNOTATION)
    numbers = model.spec.scaling
    least, most = max(numbers.min_replicas, 1), numbers.max_replicas or 0
    if text is None and (most <= least or numbers.replicas == 0):
        return None
    targets, problem = targets_of(text)
    refused = None
    if problem is not None:
        refused = (problem.reason, str(problem))
    elif numbers.replicas == 0:
        refused = ("ScaledDown", "spec.replicas is 0: no replica is started for requests")
    elif most <= least:
        words = "is not set" if numbers.max_replicas is None else f"is {most}"
        refused = ("NoRoom", f"spec.maxReplicas {words}; set it above {least}, the fewest replicas")
    elif owner := scaler_of(manifest["metadata"].get("managedFields") or ()):
        sentence = f"{owner} sets spec.replicas; apply the Model without an autoscaler to change that"
        refused = ("ReplicasOwned", sentence)
    return ScalingRules(
        bounds=Bounds(least, max(most, least)),
        targets=targets,
        asked=text is not None,
        told=_told(manifest),
        refused=refused,
    )


def scaler_of(entries: Iterable[Mapping[str, Any]], but: str = "") -> str:
    """Returns the manager that wrote `spec.replicas` by the scale subresource, empty for none, and for the
    manager `but`."""
    for entry in entries:
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if entry.get("subresource") == "scale" and "f:replicas" in fields and entry.get("manager") != but:
            return str(entry.get("manager") or "somebody")
    return ""


def told_sleep(manifest: Mapping[str, Any]) -> ToldSleep | None:
    """Returns the sleep of which the status of this spec speaks; None for none."""
    placed, selector = told_condition(manifest, "Scheduled"), status_of(manifest).get("selector")
    if placed is None or placed.reason != ASLEEP or not isinstance(selector, str):
        return None
    since, newest = _seconds(placed.last_transition_time), manifest["metadata"].get("generation")
    if placed.observed_generation != newest or since is None:
        return None
    return ToldSleep(selector.removeprefix("server="), since)


def _seconds(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def _told(manifest: Mapping[str, Any]) -> int:
    """Returns the number in the status; 0 where there is no valid one."""
    number = told_number(manifest, "desiredReplicas")
    return number if number <= MOST_TOLD else 0

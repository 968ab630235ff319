"""The Models whose replicas follow their load, each with its scaler and its newest decision.

Used by `model_subjects`, which hands in Models as they change, and every few seconds the samples. The number
lives in `status.desiredReplicas`, so a new leader goes on from there; `spec.replicas` stays the user's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bailie.api.kinds import MODEL
from bailie.api.seldon_config import ScalingConfig
from bailie.api.texts import counted
from bailie.lifecycle.scaling import ScalingFacts
from bailie.scaling import ReplicaScaler
from bailie.scope.central import oldest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bailie.control.object_fence import ObjectFence
    from bailie.control.scaling_rules import ScalingRules
    from bailie.control.wanted_models import WantedModel
    from bailie.scaling import Decision, Reason, Sample

TELL_SECONDS = 30.0
"""Least time between two statuses that differ in their reason alone."""


@dataclass(slots=True)
class _Scaled:
    uid: str
    stated: int
    rules: ScalingRules
    scaler: ReplicaScaler
    told: ScalingFacts
    told_at: float
    newest: Decision[Reason] | None = None


class ScaledModels:
    """The Models that scale, by name."""

    def __init__(self, fence: ObjectFence) -> None:
        self._fence = fence
        self._for_all = False
        self._now = 0.0
        self._scaled: dict[str, _Scaled] = {}
        self._refused: dict[str, ScalingFacts] = {}

    @property
    def names(self) -> Iterable[str]:
        """The names of the Models whose number follows their load: samples of others are not needed."""
        return self._scaled.keys()

    def read(self, runtimes: Iterable[Mapping[str, Any]]) -> bool:
        """Takes over the SeldonRuntimes of the namespace; returns whether the switch for all has changed."""
        before, runtime = self._for_all, oldest(dict(each) for each in runtimes)
        stated = (((runtime or {}).get("spec") or {}).get("config") or {}).get("scalingConfig")
        self._for_all = _enabled(stated)
        return self._for_all != before

    def observe(self, name: str, wanted: WantedModel | None) -> WantedModel | None:
        """Takes over a Model that is new, changed or gone; returns it with the number that holds for it.

        Another `spec.replicas` is a person's wish: the number is that at once, and follows the load from
        there.
        """
        rules = wanted.scaling if wanted and not wanted.deleting else None
        if wanted is None or wanted.model is None or rules is None or not (rules.asked or self._for_all):
            self._forget(name)
            return wanted and replace(wanted, scaled=None)
        stated = wanted.model.spec.scaling.replicas
        if rules.refused is not None:
            self._forget(name)
            reason, text = rules.refused
            self._refused[name] = ScalingFacts(active=False, replicas=stated, reason=reason, text=text)
            return replace(wanted, scaled=None)
        self._refused.pop(name, None)
        before = self._scaled.get(name)
        if before is not None and (before.uid, before.stated) == (wanted.uid, stated):
            before.rules, scaler = rules, before.scaler
        else:
            begin = rules.told if before is None and rules.told else stated
            scaler = ReplicaScaler(rules.bounds.clamp(begin))
            self._scaled[name] = _Scaled(
                wanted.uid, stated, rules, scaler, _first(scaler.replicas), self._now
            )
        scaler.replicas = rules.bounds.clamp(scaler.replicas)
        return replace(wanted, scaled=scaler.replicas)

    def _forget(self, name: str) -> None:
        self._scaled.pop(name, None)
        self._refused.pop(name, None)

    def decide(
        self, now: float, samples: Mapping[str, Sample], ready: Callable[[str], int]
    ) -> tuple[dict[str, int], set[str]]:
        """Decides on every Model; returns the numbers that changed, and the Models whose facts did.

        A Model without a sample was not measured. `ready` returns how many replicas of a Model answer.
        """
        self._now = now
        changed: dict[str, int] = {}
        told: set[str] = set()
        for name, each in self._scaled.items():
            with self._fence.alone("scaling", MODEL.kind, name):
                before, sample, rules = each.scaler.replicas, samples.get(name), each.rules
                resting = each.scaler.rest(now, sample, bounds=rules.bounds, targets=rules.targets)
                if resting and resting.reason.value == each.told.reason:
                    continue
                each.newest = decision = each.scaler.decide(
                    now, sample, bounds=rules.bounds, targets=rules.targets, ready=ready(name)
                )
                if decision.replicas != before:
                    changed[name] = decision.replicas
                if _is_news(each, decision, now):
                    each.told, each.told_at = _facts(decision), now
                    told.add(name)
        return changed, told

    def facts(self, name: str) -> ScalingFacts | None:
        """Returns what the status says of scaling; None for a Model that does not scale."""
        scaled = self._scaled.get(name)
        return scaled.told if scaled else self._refused.get(name)

    def newest(self) -> dict[str, Decision[Reason]]:
        """Returns the newest decision on each Model, whose words change every few seconds."""
        return {name: each.newest for name, each in self._scaled.items() if each.newest}


def _enabled(stated: object) -> bool:
    try:
        models = ScalingConfig.model_validate(stated or {}).models
    except ValidationError:
        return False
    return bool(models and models.enabled)


def _first(replicas: int) -> ScalingFacts:
    text = f"{counted(replicas, 'replica')}, until requests are measured"
    return ScalingFacts(active=True, replicas=replicas, reason="Begins", text=text)


def _facts(decision: Decision[Reason]) -> ScalingFacts:
    return ScalingFacts(
        active=True, replicas=decision.replicas, reason=decision.reason.value, text=decision.text
    )


def _is_news(scaled: _Scaled, decision: Decision[Reason], now: float) -> bool:
    if decision.replicas != scaled.told.replicas:
        return True
    return decision.reason.value != scaled.told.reason and now - scaled.told_at >= TELL_SECONDS

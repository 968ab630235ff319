"""The status of a Model, made from the facts about the model.

A pass makes `ModelFacts`, and a status writer has them say the status at every change. `Ready` and
`ModelReady` speak of the version that answers; `observedGeneration` names its generation, so while an older
version answers, it stays behind and `kubectl wait` goes on waiting. `RolledOut` speaks of the newest version,
`Scheduled` of its places. Each condition has an `observedGeneration` of its own, so that `RolledOut` False
can be waited for: the newest version does not serve, and needs more than time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bailie.api.status import Condition, happy, merge_conditions, of_generation
from bailie.api.texts import counted
from bailie.lifecycle.memory import CONDITION as MEMORY
from bailie.lifecycle.memory import MemoryFacts, mismatch
from bailie.lifecycle.scaling import CONDITION as SCALING
from bailie.lifecycle.scaling import IDLE_CONDITION, IdleFacts, ScalingFacts, scale_to_zero, scaling
from bailie.lifecycle.version import Failure, Setback, VersionFacts, VersionState, state_of
from bailie.lifecycle.words import UNREADABLE, being_deleted, brief, clipped, for_callers, is_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bailie.api.problems import Problem
    from bailie.lifecycle.journal import JournalNote

_WORDS = {
    VersionState.SCALED_DOWN: "the model is scaled to zero replicas",
    VersionState.ROUTE_PENDING: "loaded; waiting for the data plane to take over the route",
}
_PLACELESS = frozenset(
    {VersionState.INVALID, VersionState.SCALED_DOWN, VersionState.TERMINATING, VersionState.ASLEEP}
)
NOT_RESPONDING = "ServerNotResponding"
"""Reason of a model whose server takes connections and answers nothing."""
PREVIOUS_ANSWERS = "PreviousVersionAnswers"
"""Reason of a model that is ready because an older version than the wanted one answers."""
ARTIFACT_WARNINGS = "ArtifactWarnings"
"""Type of the condition about settings of an artifact that its server does not follow."""
_OWN = frozenset(
    {
        "Ready",
        "ModelReady",
        "Scheduled",
        "RolledOut",
        "SpecWarnings",
        ARTIFACT_WARNINGS,
        MEMORY,
        SCALING,
        IDLE_CONDITION,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Every fact of which the status of a Model is made.

    `answering` is the number of an older version that has the route, None when the wanted version has the
    route or no version has; `answering_replicas` counts its replicas. `evicted` counts the replicas that have
    the version that answers on disk and not in memory. `refusal` is the data plane's refusal, in its own
    words, while the route is not acknowledged. `artifact_path` and `ignored` are those of the agents' reports
    of the wanted version, `finalizers` those of others on the object, `journals` the notes of pipeline
    gateways. `observed` is the observedGeneration
    that the API holds now.
    """

    uid: str = ""
    generation: int
    version: VersionFacts
    observed: int = 0
    number: int = 0
    server: str = ""
    scheduling: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    answering: int | None = None
    answering_replicas: int = 0
    memory: MemoryFacts = field(default=MemoryFacts())
    evicted: int = 0
    refusal: str = ""
    artifact_path: str = ""
    ignored: tuple[str, ...] = ()
    finalizers: tuple[str, ...] = ()
    journals: tuple[JournalNote, ...] = ()
    scaling: ScalingFacts | None = None
    idle: IdleFacts | None = None
    conditions: Sequence[Condition] = field(default=())

    @property
    def deleted(self) -> bool:
        """Whether the Model is being deleted."""
        return self.version.deleted

    def status(self, observed: int, conditions: Sequence[Condition], now: str) -> dict[str, Any]:
        """Returns the status; `observed` and `conditions` are those that the API holds now."""
        return model_status(replace(self, observed=observed, conditions=conditions), now)


def model_status(facts: ModelFacts, now: str) -> dict[str, Any]:
    """Returns the status as JSON data; None takes a field away.

    `now` is an RFC 3339 time for the conditions that changed.
    """
    ready = _model_ready(facts)
    observed = _observed(facts)
    newest = [_scheduled(facts), rolled_out(facts), *_remarks(facts)]
    answering = [ready, happy([ready], ["ModelReady"])]
    conditions = [*of_generation(answering, observed), *of_generation(newest, facts.generation)]
    kept = [old for old in facts.conditions if old.type not in _OWN or _type_in(old, conditions)]
    available = facts.version.available if facts.answering is None else facts.answering_replicas
    return {
        "observedGeneration": observed,
        "conditions": [each.manifest() for each in merge_conditions(kept, conditions, now)],
        "replicas": max(facts.version.placed, available),
        "availableReplicas": available,
        "selector": f"server={facts.server}",
        "artifactPath": facts.artifact_path or None,
        "desiredReplicas": facts.scaling.replicas if facts.scaling and facts.scaling.active else None,
        "modelgwReady": None,
    }


def _remarks(facts: ModelFacts) -> Iterator[Condition]:
    """Yields the conditions that a Model has only where there is something to say."""
    if facts.warnings:
        text = "; ".join(map(str, facts.warnings))
        yield Condition(type="SpecWarnings", status="True", reason="NoEffect", message=text)
    if facts.ignored:
        text = clipped("; ".join(facts.ignored))
        yield Condition(type=ARTIFACT_WARNINGS, status="True", reason="NoEffect", message=text)
    memory = mismatch(facts.memory)
    if memory is not None:
        yield memory
    if facts.scaling is not None:
        yield scaling(facts.scaling)
    if facts.idle is not None:
        yield scale_to_zero(facts.idle)


def _type_in(old: Condition, conditions: list[Condition]) -> bool:
    return any(old.type == new.type for new in conditions)


def _observed(facts: ModelFacts) -> int:
    """Returns the generation of the version that answers; of an older version, as far as it is known."""
    if facts.answering is None:
        return facts.generation
    return max(min(facts.observed, facts.generation - 1), 0)


def readiness(facts: ModelFacts) -> str:
    """Returns the source of a model's readiness: the state of the wanted version, or PREVIOUS_ANSWERS."""
    state = state_of(facts.version)
    if facts.answering is not None and state is not VersionState.TERMINATING:
        return PREVIOUS_ANSWERS
    return state.value


def _model_ready(facts: ModelFacts) -> Condition:
    state = readiness(facts)
    if state == PREVIOUS_ANSWERS:
        places = counted(facts.answering_replicas, "replica")
        answers = f"version {facts.answering} answers on {places}"
        message = clipped(f"{answers}; version {facts.number}: {_message(facts)}")
        return Condition(type="ModelReady", status="True", reason=PREVIOUS_ANSWERS, message=message)
    if state == VersionState.ASLEEP.value:
        return Condition(type="ModelReady", status="True", reason=state, message=_message(facts))
    if state != VersionState.AVAILABLE.value:
        return Condition(type="ModelReady", status="False", reason=_reason(facts), message=_message(facts))
    # The state's name where there is nothing to add: scripts for Seldon Core look for it in `message`.
    whole = facts.version.available >= facts.version.wanted and not _shortcomings(facts)
    message = state if whole else _message(facts)
    return Condition(type="ModelReady", status="True", reason=state, message=message)


def rolled_out(facts: ModelFacts) -> Condition:
    """Returns the condition of the newest version: whether it answers, or only needs time (Unknown)."""
    status, state = "False", state_of(facts.version)
    if state in {VersionState.AVAILABLE, VersionState.ASLEEP}:
        status = "True"
    elif _is_on_the_way(facts):
        status = "Unknown"
    return Condition(type="RolledOut", status=status, reason=_reason(facts), message=_message(facts))


def _is_on_the_way(facts: ModelFacts) -> bool:
    """Says whether the newest version only needs time, as far as anybody knows."""
    state = state_of(facts.version)
    if state is VersionState.PROGRESSING:
        return facts.version.setback is None
    return state is VersionState.ROUTE_PENDING and not facts.refusal


def _scheduled(facts: ModelFacts) -> Condition:
    state, version = state_of(facts.version), facts.version
    if state in _PLACELESS:
        return Condition(type="Scheduled", status="False", reason=state.value, message=_message(facts))
    told = clipped(facts.scheduling)
    if version.placed == 0:
        return Condition(type="Scheduled", status="False", reason="NoServerFits", message=told)
    reason = "Placed" if version.placed >= version.wanted else "PartiallyPlaced"
    return Condition(type="Scheduled", status="True", reason=reason, message=told)


def _reason(facts: ModelFacts) -> str:
    state, failure = state_of(facts.version), facts.version.failure
    if state is VersionState.INVALID:
        return facts.problems[0].reason
    if facts.version.setback and state is VersionState.PROGRESSING:
        return facts.version.setback.reason
    if facts.version.hung and state is VersionState.SERVER_NOT_READY:
        return NOT_RESPONDING
    return failure.reason if failure and state is VersionState.FAILED else state.value


def _message(facts: ModelFacts) -> str:
    return clipped(_words(facts))


def _words(facts: ModelFacts) -> str:
    state, version = state_of(facts.version), facts.version
    if state is VersionState.INVALID:
        return "; ".join(map(str, facts.problems))
    if version.failure and state is VersionState.FAILED:
        return _failure_text(version.failure)
    if state is VersionState.AVAILABLE:
        return _available_text(facts)
    if state in {VersionState.SCHEDULE_FAILED, VersionState.BELOW_MINIMUM, VersionState.ASLEEP}:
        return _place_text(facts)
    if state in {VersionState.SERVER_NOT_READY, VersionState.PROGRESSING}:
        return _loaded_text(facts)
    return _state_text(facts, state)


def _state_text(facts: ModelFacts, state: VersionState) -> str:
    if state is VersionState.TERMINATING:
        return being_deleted("model", facts.finalizers)
    refused = facts.refusal if state is VersionState.ROUTE_PENDING else ""
    return f"{_WORDS[state]}; {brief(refused)}" if refused else _WORDS[state]


def _available_text(facts: ModelFacts) -> str:
    version = facts.version
    text = f'{version.available}/{version.wanted} replicas answer on server "{facts.server}"'
    return "; ".join((text, *_shortcomings(facts)))


def _place_text(facts: ModelFacts) -> str:
    available, least = facts.version.available, facts.version.minimum
    if state_of(facts.version) is not VersionState.BELOW_MINIMUM:
        return facts.scheduling
    text = f"{facts.scheduling}; minReplicas is {least}, so the Model is not Ready"
    if not available:
        return text
    return f"{text}, while {counted(available, 'replica')} {'answers' if available == 1 else 'answer'}"


def _shortcomings(facts: ModelFacts) -> list[str]:
    """Returns what is not well with a model that answers: evicted replicas, and why a replica is missing."""
    version, found = facts.version, []
    if facts.evicted:
        found.append(f"{facts.evicted} not in memory: the next request brings it back")
    if version.failure:
        found.append(_failure_text(version.failure))
    elif version.setback:
        found.append(_setback_text(version.setback))
    elif version.placed < version.wanted:
        found.append(facts.scheduling)
    return found


def _loaded_text(facts: ModelFacts) -> str:
    version = facts.version
    if state_of(version) is VersionState.PROGRESSING:
        text = f'{version.loaded}/{version.placed} replicas loaded on server "{facts.server}"'
        return f"{text}; {_setback_text(version.setback)}" if version.setback else text
    away = f"{version.silent} of {version.loaded}"
    text = f'loaded, but {away} replicas of server "{facts.server}" do not answer'
    if version.hung:
        return f"{text}: a model may hang there; a server that goes on like this is restarted"
    return f"{text}; waiting for them"


def _failure_text(failure: Failure) -> str:
    attempt = f"attempt {failure.attempts} on {failure.replica}"
    if not failure.retry_at:
        return f"{brief(failure.message)} ({attempt})"
    when = datetime.fromtimestamp(failure.retry_at, UTC).strftime("%H:%M:%SZ")
    return f"{brief(failure.message)} ({attempt}; next at {when})"


def _setback_text(setback: Setback) -> str:
    return f"{brief(setback.message)} ({setback.replica})"


def unready_reason(facts: ModelFacts) -> tuple[str, str]:
    """Returns why a model does not answer: the token and the sentence that callers of the data plane get."""
    reason, state = _reason(facts), state_of(facts.version)
    if not is_token(reason):
        reason = state.value
    mistaken = state is VersionState.INVALID and reason != UNREADABLE
    return reason, for_callers(state.value if mistaken else reason)

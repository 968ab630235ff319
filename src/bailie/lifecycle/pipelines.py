"""The status of a Pipeline, made from the facts about its version and its steps' Models.

A pass makes `PipelineFacts`, and a status writer has them say the status. `PipelineReady` says whether
gateways have the plan of this generation, `PipelineGwReady` whether every data plane leads to it,
`ModelsReady` whether each step's Model answers; `Ready` is all three. `JournalReady` is there with a message
broker only, and none of `Ready`. While an older version answers, all
speak of the newest, so that `kubectl wait` goes on waiting. `SignaturesMatch` compares what the steps' models
say of their tensors, and is a warning: `Ready` does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.status import Condition, happy, merge_conditions, of_generation
from bailie.api.texts import abridged, counted
from bailie.lifecycle.experiments import ELSEWHERE
from bailie.lifecycle.journal import JOURNAL_READY, journal_condition
from bailie.lifecycle.signature import tensor_name
from bailie.lifecycle.version import VersionFacts, VersionState, state_of
from bailie.lifecycle.words import being_deleted, clipped
from bailie.wellknown.names import PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.api.problems import Problem
    from bailie.lifecycle.conditions import ModelFacts
    from bailie.lifecycle.journal import JournalNote
    from bailie.lifecycle.signature import SignatureFindings

_DEPENDENTS = ("PipelineReady", "PipelineGwReady", "ModelsReady")
SIGNATURES = "SignaturesMatch"
_OWN = frozenset({*_DEPENDENTS, "Ready", "SpecWarnings", JOURNAL_READY, SIGNATURES})
_OF_BROKERS = frozenset({"spec.dataflow.cleanTopicsOnDelete", "spec.journal"})
"""Fields that have an effect where a message broker is configured, and are warned of elsewhere."""
NO_GATEWAY = "NoPipelineGateway"
_SHOWN = 5
_SHOWN_MISMATCHES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFacts:
    """Every fact of which the status of a Pipeline is made.

    `version` are the facts of the plan on the gateways. `answering` is the number of an older version that
    has the route, None for none. `missing` are the steps whose Models do not answer. `elsewhere` is the mesh
    that answers until a gateway here does, empty for none. `journals` are the notes of the gateways about
    their journals, none without a message broker. `signatures`: the edges of the graph against the models
    that answer, None for a Pipeline that has no graph. `finalizers`: those of others on the object.
    """

    uid: str = ""
    generation: int
    deleted: bool = False
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    version: VersionFacts
    answering: int | None = None
    refusal: str = ""
    missing: tuple[str, ...] = ()
    elsewhere: str = ""
    journals: tuple[JournalNote, ...] = ()
    signatures: SignatureFindings | None = None
    finalizers: tuple[str, ...] = ()

    def status(self, observed: int, conditions: Sequence[Condition], now: str) -> dict[str, Any]:  # noqa: ARG002
        """Returns the status, as `control.subjects.SubjectFacts` says; it speaks of this generation."""
        found = _said(self)
        beside = [*_signatures(self), *_warnings(self), *journal_condition(self.journals)]
        found = of_generation([*found, *beside, happy(found, _DEPENDENTS)], self.generation)
        types = {each.type for each in found}
        kept = [old for old in conditions if old.type not in _OWN or old.type in types]
        return {
            "observedGeneration": self.generation,
            "conditions": [each.manifest() for each in merge_conditions(kept, found, now)],
            "mismatches": _mismatches(self.signatures) or None,
        }


def pipeline_facts(
    version: ModelFacts, missing: tuple[str, ...], elsewhere: str, signatures: SignatureFindings | None
) -> PipelineFacts:
    """Returns the facts of a Pipeline from those of its version; the other parameters are fields of these."""
    return PipelineFacts(
        uid=version.uid,
        generation=version.generation,
        deleted=version.deleted,
        problems=version.problems,
        warnings=version.warnings,
        version=version.version,
        answering=version.answering,
        refusal=version.refusal,
        missing=missing,
        elsewhere=elsewhere,
        journals=version.journals,
        signatures=signatures,
        finalizers=version.finalizers,
    )


def pipeline_ready(facts: PipelineFacts) -> Condition:
    """Returns the condition Ready of a Pipeline."""
    return happy(_said(facts), _DEPENDENTS)


def _said(facts: PipelineFacts) -> list[Condition]:
    return [_loaded(facts), _routed(facts), _models(facts)]


def _loaded(facts: PipelineFacts) -> Condition:
    version = facts.version
    if facts.problems:
        text = clipped("; ".join(map(str, facts.problems)))
        return Condition(type="PipelineReady", status="False", reason=facts.problems[0].reason, message=text)
    if facts.deleted:
        return _no("PipelineReady", "PipelineTerminating", being_deleted("pipeline", facts.finalizers))
    if version.failure:
        return _no("PipelineReady", version.failure.reason, version.failure.message)
    if version.loaded and version.loaded > version.silent:
        text = f"{version.loaded}/{version.placed} pipeline gateways have the plan"
        return Condition(type="PipelineReady", status="True", reason="PipelineReady", message=text)
    if not version.placed:
        return _no("PipelineReady", NO_GATEWAY, _NOBODY)
    text = f"{version.loaded}/{version.placed} pipeline gateways have the plan{_older(facts)}"
    return Condition(type="PipelineReady", status="Unknown", reason="PipelineProgressing", message=text)


_NOBODY = (
    "no pipeline gateway is connected: the condition PipelineGatewayReady of the SeldonRuntime says why, for"
    f' which the operator makes the Server "{PIPELINE_GATEWAY}" (docs/pipelines.md)'
)


def _routed(facts: PipelineFacts) -> Condition:
    version = facts.version
    if version.available:
        text = f"{version.available}/{version.placed} pipeline gateways answer"
        return Condition(type="PipelineGwReady", status="True", reason="PipelineGatewayReady", message=text)
    if facts.elsewhere:
        text = f"{facts.elsewhere} answers until a pipeline gateway here does"
        return _no("PipelineGwReady", ELSEWHERE, text)
    if not version.placed and not facts.problems:
        return _no("PipelineGwReady", NO_GATEWAY, _NOBODY)
    if state_of(version) is VersionState.ROUTE_PENDING:
        words = facts.refusal or "waiting for the data plane to take over the route"
        return _no("PipelineGwReady", VersionState.ROUTE_PENDING.value, words + _older(facts))
    return _no("PipelineGwReady", "PipelineNotLoaded", f"no gateway answers with this version{_older(facts)}")


def _models(facts: PipelineFacts) -> Condition:
    if not facts.missing:
        return Condition(type="ModelsReady", status="True", reason="ModelsReady")
    named = abridged(facts.missing, _SHOWN)
    return _no("ModelsReady", "ModelsNotReady", f"the Models of these steps do not answer: {named}")


def _signatures(facts: PipelineFacts) -> list[Condition]:
    """Returns the condition about the models' tensors; none for a Pipeline without a graph."""
    found = facts.signatures
    if found is None:
        return []
    if found.count:
        shown = [f"{_reader(each.step)}: {each.words}" for each in found.mismatches[:_SHOWN_MISMATCHES]]
        more = f" and {found.count - len(shown)} more" if found.count > len(shown) else ""
        return [_no(SIGNATURES, "SignatureMismatch", f"{'; '.join(shown)}{more}")]
    if found.silent:
        named = abridged(found.silent, _SHOWN)
        text = f"no signature is known of the models of these steps: {named}"
        return [
            Condition(type=SIGNATURES, status="Unknown", reason="SignaturesUnknown", message=clipped(text))
        ]
    text = f"{counted(found.edges, 'edge')} between models {'fits' if found.edges == 1 else 'fit'}"
    text = text if found.edges else "no edge joins two models"
    return [Condition(type=SIGNATURES, status="True", reason=SIGNATURES, message=text)]


def _mismatches(found: SignatureFindings | None) -> list[dict[str, str]]:
    """Returns the edges whose ends differ, for those who draw the graph."""
    return [
        {"step": each.step, "source": each.source, "message": each.words}
        for each in (found.mismatches if found else ())
    ]


def _reader(step: str) -> str:
    return f"step {tensor_name(step)}" if step else "the answer"


def _warnings(facts: PipelineFacts) -> list[Condition]:
    told = [each for each in facts.warnings if not (facts.journals and each.path in _OF_BROKERS)]
    if not told:
        return []
    text = clipped("; ".join(map(str, told)))
    return [Condition(type="SpecWarnings", status="True", reason=told[0].reason, message=text)]


def _older(facts: PipelineFacts) -> str:
    return f"; version {facts.answering} answers" if facts.answering is not None else ""


def _no(kind: str, reason: str, message: str) -> Condition:
    return Condition(type=kind, status="False", reason=reason, message=clipped(message))

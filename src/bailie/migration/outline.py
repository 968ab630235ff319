"""The steps of a move in words: its changes, and the way back from each. Pure.

Read by `plan`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from bailie.api.seldon_config import OTHER_COMPONENTS
from bailie.migration.central_steps import CENTRAL_STEPS
from bailie.migration.source import MoveSource
from bailie.wellknown import names


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutline:
    """One step as a person reads it."""

    name: str
    title: str
    """The change, in one sentence."""
    back: str
    """How the step is undone."""
    command: str = ""
    """The line that carries the step out; empty where `bailie migrate apply` does it with the others."""

    def data(self) -> dict[str, Any]:
        """Returns the step as JSON data."""
        return asdict(self)


_FINISH = "bailie migrate finish {namespace}"
_CENTRAL = tuple(
    StepOutline(name=step.name, title=step.title, back=step.back, command=_FINISH if step.no_return else "")
    for step in CENTRAL_STEPS
)
_BY_HAND = (
    StepOutline(
        name="save",
        title="save the resources",
        back="nothing was changed",
        command="kubectl get seldonruntimes,servers,models,pipelines,experiments -n {namespace} -o yaml "
        "> {namespace}.yaml",
    ),
    StepOutline(
        name="definitions",
        title="bring the resource definitions up to date; they know every field of Seldon Core's",
        back="not needed",
        command="helm upgrade --install seldon-core-v2-crds ./charts/seldon-core-v2-crds -n seldon-system",
    ),
    StepOutline(
        name="freeze",
        title="take the namespace from Seldon Core's operator; models go on answering",
        back="give the namespace back to the operator",
        command="as the finding foreign-operator says",
    ),
    StepOutline(
        name="remove",
        title="delete the redirect and Seldon Core's pods; models do not answer until they are served",
        back="give the namespace back to Seldon Core's operator, which makes them again",
        command="kubectl delete statefulset,deployment,service -n {namespace} --ignore-not-found {parts}",
    ),
    StepOutline(
        name="rights",
        title="give Bailie's operator, scheduler, Envoys and agents their rights",
        back="delete them: the same command with kubectl delete -f -",
        command="bailie rbac {namespace} --operator-namespace {home} "
        "| kubectl apply --server-side --force-conflicts -f -",
    ),
    StepOutline(
        name="serve",
        title="let Bailie serve the namespace; models answer when they are loaded",
        back="bailie scope remove {namespace}",
        command="bailie scope add {namespace} --operator-namespace {home} --wait",
    ),
    StepOutline(
        name="callers",
        title="lead callers to the namespace's own Service; paths, headers and bodies stay",
        back="lead them back",
        command="bailie infer MODEL -n {namespace} -f REQUEST",
    ),
)
_STEPS = {
    MoveSource.BAILIE_CENTRAL: _CENTRAL,
    MoveSource.SELDON_CENTRAL: _BY_HAND,
    MoveSource.SELDON_SCOPED: _BY_HAND,
}
CARRIED_OUT = frozenset({MoveSource.BAILIE_CENTRAL})
"""The sources from which `bailie migrate apply` moves; the steps of the others are for a person."""
PARTS = (names.SCHEDULER, names.ENVOY, names.MESH, *OTHER_COMPONENTS, names.PIPELINE_GATEWAY)
"""The workloads and Services of Seldon Core's runtime."""


def outline(source: MoveSource, **words: str) -> tuple[StepOutline, ...]:
    """Returns the steps of a move from a source, in order; none where there is nothing to move.

    `words`: namespace, home and parts, for the command lines.
    """
    return tuple(
        replace(step, command=step.command.format(**words), back=step.back.format(**words))
        for step in _STEPS.get(source, ())
    )

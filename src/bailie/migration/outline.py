"""The steps of a move in words: its changes, and the way back from each. Pure.

Read by `plan`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bailie.migration.source import MoveSource


@dataclass(frozen=True, slots=True)
class StepOutline:
    """One step as a person reads it."""

    name: str
    title: str
    """The change, in one sentence."""
    back: str
    """How the step is undone."""

    def data(self) -> dict[str, Any]:
        """Returns the step as JSON data."""
        return asdict(self)


_CENTRAL = (
    StepOutline(
        "rights",
        "give a scheduler of the namespace's own its account and its rights",
        "delete the account and the rights, if the move made them",
    ),
    StepOutline(
        "redirect",
        "put the field schedulerNamespace in the place of a hand-made Service, where there is one",
        "nothing: the field says the same as the Service did",
    ),
    StepOutline(
        "scheduler",
        "ask for a scheduler of the namespace's own; it takes over when it is ready, no pod restarts",
        "ask for the central scheduler again; it takes over as soon as the other one ends",
    ),
    StepOutline(
        "central",
        "take the namespace from the list of those that the central scheduler may serve",
        "put the namespace on the list again",
    ),
    StepOutline(
        "revoke",
        "delete the central scheduler's rights in the namespace (`bailie migrate finish`)",
        "none: from here on the way back is by hand",
    ),
)
_IN_PLACE = (
    StepOutline("save", "save all resources, Services and Roles to a file", "nothing was changed"),
    StepOutline(
        "definitions",
        "bring the resource definitions up to date, with their Helm release, and keep them from then on",
        "nothing: they know every field of Seldon Core's",
    ),
    StepOutline(
        "freeze",
        "take the namespace from Seldon Core's operator; models go on answering",
        "give the namespace back to it",
    ),
    StepOutline(
        "detach",
        "leave the old pods running without their StatefulSets and Deployments",
        "the old operator adopts them again",
    ),
    StepOutline(
        "install",
        "make rights, token, scheduler, Envoys and servers of Bailie's beside the old ones",
        "delete them by their label",
    ),
    StepOutline(
        "admit",
        "let the Envoys of both systems answer callers, whose address stays",
        "take Bailie's Envoys out of the Service",
    ),
    StepOutline(
        "move", "load the models here; each name switches when it is ready", "each name switches back"
    ),
    StepOutline("leave", "take the old Envoys out of the callers' Service, and drain them", "put them back"),
    StepOutline(
        "finish",
        "delete the old pods, claims and finalizers, and take the Helm releases over",
        "none: from here on the way back is docs/production-patterns.md, Back to Seldon Core",
    ),
)
_STEPS = {
    MoveSource.BAILIE_CENTRAL: _CENTRAL,
    MoveSource.SELDON_CENTRAL: _IN_PLACE,
    MoveSource.SELDON_SCOPED: _IN_PLACE,
}


def outline(source: MoveSource) -> tuple[StepOutline, ...]:
    """Returns the steps of a move from a source, in order; none where there is nothing to move."""
    return _STEPS.get(source, ())

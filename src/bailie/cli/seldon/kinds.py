"""The kinds that `seldon` has verbs for: their words, and how their objects are shown. Pure.

Used by `commands`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE
from bailie.cli.seldon import views

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.api.kinds import Kind

    Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadableKind:
    """A kind of object. `state` gives an object's state and why it is no other, `status` upstream's message;
    `states` can be waited for, the first of them is the good one. `header` and `row` make the list."""

    kind: Kind
    state: Callable[[Manifest], tuple[str, str]]
    status: Callable[[Manifest], dict[str, Any]]
    states: tuple[str, ...]
    header: tuple[str, ...]
    row: Callable[[Manifest], tuple[str, ...]]

    @property
    def ready(self) -> str:
        """The state in which an object can be used."""
        return self.states[0]

    def why_not(self, manifest: Manifest, wanted: str | None) -> str:
        """Returns why an object is not in the wanted state; nothing when it is, or no state is wanted."""
        state, reason = self.state(manifest)
        if wanted in {None, state}:
            return ""
        return f"{state}, not {wanted}{f' ({reason})' if reason else ''}"


def _named(
    state: Callable[[Manifest], tuple[str, str]],
) -> Callable[[Manifest], tuple[str, ...]]:
    return lambda manifest: (manifest["metadata"]["name"], *state(manifest))


def _activity(manifest: Manifest) -> tuple[str, ...]:
    active = views.experiment_state(manifest)[0] == views.ACTIVE
    return manifest["metadata"]["name"], str(active).lower()


BY_WORD = {
    "model": LoadableKind(
        kind=MODEL,
        state=views.model_state,
        status=views.model_status,
        states=views.MODEL_STATES,
        header=("model", "state", "reason"),
        row=_named(views.model_state),
    ),
    "pipeline": LoadableKind(
        kind=PIPELINE,
        state=views.pipeline_state,
        status=views.pipeline_status,
        states=views.PIPELINE_STATES,
        header=("pipeline", "state", "reason"),
        row=_named(views.pipeline_state),
    ),
    "experiment": LoadableKind(
        kind=EXPERIMENT,
        state=views.experiment_state,
        status=views.experiment_status,
        states=(views.ACTIVE,),
        header=("experiment", "active"),
        row=_activity,
    ),
}
"""By the word of the command line."""
BY_KIND = {each.kind.kind: each for each in BY_WORD.values()}

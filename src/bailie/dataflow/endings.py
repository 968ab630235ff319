"""The sentences about requests that get no answer, and about steps that harm none.

Called by `flow`, `board`, `joins` and `followers`. Each sentence names step and tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.texts import abridged, shown
from bailie.dataflow.events import FailCode

if TYPE_CHECKING:
    from collections.abc import Collection

    from bailie.dataflow.events import Absence, StepFailed

CALLER_LEFT = "the caller has left"
NOT_IN_TIME = "had not answered when the time for the request was over"
NOTHING_LEFT = "nothing of it was left"
NO_REQUEST = "a batch was sent without a request"
_SHOWN = 5


def step_failure(failure: StepFailed) -> str:
    """Returns the sentence for a failed step that the answer needs; upstream's form for a model's error."""
    if failure.code is FailCode.STEP_ERROR:
        return f"{failure.step} : {failure.words}"
    return f'step "{failure.step}" {failure.words}'


def side_failure(failure: StepFailed) -> str:
    """Returns the cause for which the data of a failed side branch is absent."""
    return f'"{failure.step}" failed: {shown(failure.words)}'


def no_output(why: Absence) -> str:
    """Returns the sentence for a request that no way of the graph can answer."""
    return f"no output: {shortened(why.causes, '; ')}"


def too_slow(steps: Collection[str]) -> str:
    """Returns the sentence for a request whose time is over while steps run."""
    named = [f'"{step}"' for step in steps]
    return f"no output in time: {shortened(named, ', ')} had not answered"


def too_often(most: int) -> str:
    """Returns the reason for a step that a request came back to too often."""
    times = f"{most} times" if most > 1 else "once"
    return f"was to be called more than {times} for one request; maxStepRevisits permits no more"


def batched(step: str) -> str:
    """Returns the cause for which a batched step gives a request no data."""
    return f'"{step}" keeps the request in a batch that is not full yet'


def no_part(pipeline: str) -> str:
    """Returns the cause for which the data of a pipeline is absent that does not follow this request."""
    return f'the pipeline "{pipeline}" has no part in this request'


def shortened(parts: Collection[str], between: str) -> str:
    """Returns the first parts as a list for people, with the number of the others."""
    return abridged(parts, _SHOWN, between)

"""Events of a request in a pipeline and the effects that follow: the language between `flow` and its engines.

An engine (a gateway, a consumer of a message broker) feeds events in and carries the effects out. `visit`
counts a request's calls of one step from 1; it is above 1 only in and behind cycles. They are structs of
msgspec, which are made in a fifth of a dataclass's time: a request has dozens of them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from bailie.dataflow.plan import Topic
    from bailie.dataflow.tensors import Parcel


class FailCode(Enum):
    """The ways in which a request or a step fails, each with its status for REST and for gRPC."""

    STEP_ERROR = (400, 2)
    """The model answered with an error (UNKNOWN, as Seldon Core has it, whatever the model's own status)."""
    UNREACHABLE = (503, 14)
    """No replica of the step's model could be called (UNAVAILABLE)."""
    TOO_SLOW = (504, 4)
    """Data did not come in time (DEADLINE_EXCEEDED)."""
    NO_OUTPUT = (422, 9)
    """The graph gives no answer to this request (FAILED_PRECONDITION)."""

    @property
    def rest(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def grpc(self) -> int:
        """The status of gRPC."""
        return self.value[1]


class Absence(NamedTuple):
    """Why data will not come: the first causes, each a sentence, and whether a window ended before."""

    causes: tuple[str, ...]
    late: bool = False


class Asked(msgspec.Struct, frozen=True):
    """A request has come."""

    parcel: Parcel


class StepAnswered(msgspec.Struct, frozen=True):
    """A called step has answered."""

    step: str
    visit: int
    parcel: Parcel


class StepFailed(msgspec.Struct, frozen=True):
    """A called step has failed; `words` are the model's own for an error of it, else the engine's reason."""

    step: str
    visit: int
    code: FailCode
    words: str
    maybe_ran: bool = False
    """Whether the model may have run although nothing is known of its answer."""


class BatchTook(msgspec.Struct, frozen=True):
    """The request's tensors are in a batch that is not full; a later request will carry them to the step."""

    step: str
    visit: int


class BatchCompleted(msgspec.Struct, frozen=True):
    """The batch is full, or its window has ended: these are the tensors of all its requests.

    As the first event of a flow it begins a run for a batch whose window has ended. This run has no answer:
    only the batched step and the steps behind it run.
    """

    step: str
    visit: int
    parcel: Parcel
    shared: bool = False
    """Whether tensors of other requests are among them: the batch does not end with this request."""


class WindowEnded(msgspec.Struct, frozen=True):
    """The time of a `SetTimer` is over."""

    join: str
    number: int


class TimeOut(msgspec.Struct, frozen=True):
    """The time for the whole request is over, or that of its `GoOn`."""


class CallerLeft(msgspec.Struct, frozen=True):
    """The caller has gone, or has cancelled the request."""


class NoRoom(msgspec.Struct, frozen=True):
    """There is no room for a run that nobody waits for: it ends with all that it carries."""


Event = (
    Asked
    | StepAnswered
    | StepFailed
    | BatchTook
    | BatchCompleted
    | WindowEnded
    | TimeOut
    | CallerLeft
    | NoRoom
)


class Call(msgspec.Struct, frozen=True):
    """Call the step's model; `StepAnswered` or `StepFailed` must follow unless a `CancelCall` comes first."""

    step: str
    visit: int
    parcel: Parcel


class Collect(msgspec.Struct, frozen=True):
    """Put the tensors into the step's batch; `BatchTook`, `BatchCompleted` or `StepFailed` must follow."""

    step: str
    visit: int
    parcel: Parcel


class CancelCall(msgspec.Struct, frozen=True):
    """Give up a call: its answer is of no use any more, or has come in the same turn."""

    step: str
    visit: int


class Reply(msgspec.Struct, frozen=True):
    """Answer the caller. Side branches may still run."""

    parcel: Parcel


class Fail(msgspec.Struct, frozen=True):
    """Tell the caller why there is no answer."""

    code: FailCode
    words: str
    step: str = ""
    """The step that failed, empty where it is none alone."""
    untouched: bool = False
    """Whether no step has run, so that the request may be sent again without harm."""


class Record(msgspec.Struct, frozen=True):
    """Journal the data of a topic."""

    topic: Topic
    parcel: Parcel


class RecordFailure(msgspec.Struct, frozen=True):
    """Count and journal the failure of a step that harms no answer."""

    step: str
    words: str


class Skipped(msgspec.Struct, frozen=True):
    """Count a step that the request does not come to, for its data will not be there."""

    step: str
    why: Absence


class Follow(msgspec.Struct, frozen=True):
    """Give the data of a watched topic, or the reason of its absence, to the pipelines that read it."""

    topic: Topic
    data: Parcel | Absence


class GoOn(msgspec.Struct, frozen=True):
    """Give the run the usual time anew: its request is over, and it goes on for the others of a batch."""


class SetTimer(msgspec.Struct, frozen=True):
    """Send `WindowEnded(join, number)` after so many milliseconds, unless the flow is over before."""

    join: str
    number: int
    milliseconds: int


class Begin(msgspec.Struct, frozen=True):
    """Send data of a request to one pipeline as a request to another pipeline."""

    pipeline: str
    parcel: Parcel


Effect = (
    Call | Collect | CancelCall | Reply | Fail | Record | RecordFailure | Skipped | Follow | SetTimer | GoOn
)

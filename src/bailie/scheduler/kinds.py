"""The kinds of objects that a scheduler reads in a namespace, and its parts for each: another kind is a row.

Read by `namespace`, which follows the objects of every kind, hands the engine the routable ones, and has each
status written by its writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE, SELDON_RUNTIME, SERVER
from bailie.control.experiment_subjects import ExperimentSubjects
from bailie.control.pipeline_subjects import PipelineSubjects
from bailie.scheduler.status.models import ModelWriter
from bailie.scheduler.status.runtimes import RuntimeWriter
from bailie.scheduler.status.servers import ServerWriter
from bailie.scheduler.status.subjects import SubjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.api.kinds import Kind
    from bailie.control.engine import SubjectFactory
    from bailie.kube.client import Client
    from bailie.kube.events import Recorder
    from bailie.scheduler.status.writer import KindWriter

    MakeWriter = Callable[[Client, str, Recorder], KindWriter]
    """Makes the writer of a term for a namespace; the client writes only while the lease is held."""


@dataclass(frozen=True, slots=True)
class ScheduledKind:
    """One kind. `subjects` makes the routable kind; Models and Servers have none, for the engine has its own.

    Nothing is decided before the objects of the kind are listed, and each change of one wakes the engine.
    `forbiddable`: where the Role of an older chart does not allow to read the kind, the scheduler does
    without.
    """

    kind: Kind
    writer: MakeWriter
    subjects: SubjectFactory | None = None
    forbiddable: bool = False


KINDS = (
    ScheduledKind(MODEL, ModelWriter),
    ScheduledKind(SERVER, lambda client, namespace, _: ServerWriter(client, namespace)),
    ScheduledKind(SELDON_RUNTIME, RuntimeWriter, forbiddable=True),
    ScheduledKind(PIPELINE, partial(SubjectWriter, kind=PIPELINE), PipelineSubjects),
    ScheduledKind(EXPERIMENT, partial(SubjectWriter, kind=EXPERIMENT), ExperimentSubjects),
)
"""Each routable kind stands after those to whose routes its own lead."""
FORBIDDABLE = frozenset(each.kind for each in KINDS if each.forbiddable)

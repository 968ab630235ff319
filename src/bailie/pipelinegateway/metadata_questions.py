"""Questions for the metadata of pipelines: models are asked through Envoy, and their answer is kept a while.

Made by `run`, asked by `service`. Callers who ask for one version at the same time, over REST or gRPC, wait
for one question to its models, so that many callers are few calls of models.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bailie.lifecycle.signature import read_signature
from bailie.pipelinegateway.budget import Reservation
from bailie.pipelinegateway.pipeline_metadata import asked_steps, pipeline_tensors
from bailie.pipelinegateway.step_answers import StepResponse
from bailie.pipelinegateway.step_calls import metadata_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.lifecycle.signature import Signature
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.step_answers import NoResponse

    Tell = Callable[[Signature], None]
    """Takes the tensors of a pipeline."""

_SECONDS = 5.0
"""The longest wait for the models; the tensors of those that have not answered are left out."""
_KEPT_SECONDS = 5.0
"""How long tensors count: a new version of a model may have others."""
_MOST_KEPT = 256


@dataclass(slots=True)
class MetadataQuestions:
    """The tensors that count now, by the version's key, and the questions in progress."""

    engine: PipelineEngine
    _kept: dict[str, tuple[float, Signature]] = field(default_factory=dict)
    _asked: dict[str, _Question] = field(default_factory=dict)

    def ask(self, served: ServedPlan, tell: Tell) -> Callable[[], None]:
        """Tells a caller the tensors, now or later. The result is to be called if the caller goes before."""
        key = served.source.key
        kept = self._kept.get(key)
        if kept is not None and kept[0] > asyncio.get_running_loop().time():
            tell(kept[1])
            return lambda: None
        question = self._asked.get(key)
        if question is None or question.served is not served:
            question = self._asked[key] = _Question(served, self.engine, self._keep)
        question.callers.append(tell)
        question.begin()
        return partial(question.leave, tell)

    def _keep(self, question: _Question, found: Signature) -> None:
        key = question.served.source.key
        if self._asked.get(key) is question:
            del self._asked[key]
            self._kept.pop(key, None)
            self._kept[key] = (asyncio.get_running_loop().time() + _KEPT_SECONDS, found)
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]


class _Question:
    """One question to the models of a version; `kept` is told the tensors."""

    def __init__(
        self, served: ServedPlan, engine: PipelineEngine, kept: Callable[[_Question, Signature], None]
    ) -> None:
        self.served = served
        self.callers: list[Tell] = []
        self._engine, self._kept = engine, kept
        self._held = Reservation(engine.budget, served.key)
        self._found: dict[str, Signature] = {}
        self._pending = {
            step: metadata_call(step, self._held, partial(self._hear, step)) for step in asked_steps(served)
        }
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Asks the models, once."""
        if self._deadline is not None:
            return
        self._deadline = asyncio.get_running_loop().call_later(_SECONDS, self._end)
        for each in tuple(self._pending.values()):
            self._engine.client.call(each)
        if not self._pending:
            self._end()

    def leave(self, tell: Tell) -> None:
        """Forgets a caller who has gone; the answer is for others."""
        if tell in self.callers:
            self.callers.remove(tell)

    def _hear(self, step: str, answer: StepResponse | NoResponse) -> None:
        del self._pending[step]
        if isinstance(answer, StepResponse) and answer.status == 200:
            found = read_signature(answer.body)
            if found is not None:
                self._found[step] = found
        if not self._pending:
            self._end()

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for each in self._pending.values():
            each.cancel()
        self._pending = {}
        self._held.release()
        found = pipeline_tensors(self.served, self._found)
        self._kept(self, found)
        callers, self.callers = self.callers, []
        for tell in callers:
            tell(found)

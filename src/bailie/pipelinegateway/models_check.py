"""Whether the models of a pipeline can answer: each is asked through Envoy, all at once, with a deadline.

Begun by `service` for `GET /v2/pipelines/<pipeline>/ready`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from bailie.pipelinegateway.budget import Reservation
from bailie.pipelinegateway.step_answers import StepResponse
from bailie.pipelinegateway.step_calls import readiness_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.pipelinegateway.answers import Answers
    from bailie.pipelinegateway.engine import PipelineEngine
    from bailie.pipelinegateway.http_values import HttpAnswer
    from bailie.pipelinegateway.plans import ServedPlan
    from bailie.pipelinegateway.step_answers import NoResponse

_SECONDS = 5.0


class ModelsCheck:
    """One question; it begins when it is made."""

    def __init__(
        self,
        served: ServedPlan,
        engine: PipelineEngine,
        answers: Answers,
        respond: Callable[[HttpAnswer], None],
    ) -> None:
        """Asks; `respond` is told once, from here where the pipeline has no steps to ask."""
        self._name, self._answers, self._respond = served.name, answers, respond
        self._held = Reservation(engine.budget, served.key)
        self._deadline = asyncio.get_running_loop().call_later(_SECONDS, self._end)
        self._missing = dict.fromkeys(served.plan.steps)
        self._pending = {
            step: readiness_call(step, self._held, partial(self._hear, step)) for step in self._missing
        }
        for each in tuple(self._pending.values()):
            engine.client.call(each)

    def leave(self) -> None:
        """Gives the question up."""
        self._deadline.cancel()
        self._held.release()
        for each in self._pending.values():
            each.cancel()

    def _hear(self, step: str, answer: StepResponse | NoResponse) -> None:
        del self._pending[step]
        if isinstance(answer, StepResponse) and answer.status == 200:
            del self._missing[step]
        if not self._pending:
            self._end()

    def _end(self) -> None:
        self.leave()
        answers, missing = self._answers, tuple(self._missing)
        self._respond(answers.not_ready(self._name, missing) if missing else answers.ready(self._name))

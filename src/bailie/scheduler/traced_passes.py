"""Passes that are told of in spans: one for each pass that has decided or commanded something.

Put by `namespace` between the loop and the engine. A span has the lines that the pass wrote into the log, by
how many there were of each, and the first models that they name.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Self

from bailie.scheduler.loop import write_notice

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from bailie.control.load_failures import Now
    from bailie.control.notices import Notice
    from bailie.control.pass_result import PassResult
    from bailie.placement import ReplicaId
    from bailie.scheduler.loop import Passes
    from bailie.tracing.tracer import Tracer

_MOST_MODELS = 10


class TracedPasses:
    """Satisfies `loop.Passes` with those of an engine (`of`), which tells `notify` of its decisions."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._engine: Passes
        self._noted: Counter[str] = Counter()
        self._models: dict[str, None] = {}

    def of(self, engine: Passes) -> Self:
        """Takes the engine whose passes these are, before the first of them; returns itself."""
        self._engine = engine
        return self

    def notify(self, notice: Notice) -> None:
        """Writes a notice into the log, and notes it for the span of the pass."""
        write_notice(notice)
        self._noted[notice.text] += 1
        model = notice.fields.get("model")
        if isinstance(model, str) and len(self._models) < _MOST_MODELS:
            self._models[model] = None

    @property
    def result(self) -> PassResult:
        """The result of the last pass."""
        return self._engine.result

    def missing(self, now: Now) -> Mapping[ReplicaId, float]:
        """Returns the replicas that have not reported, as `loop.Passes` says."""
        return self._engine.missing(now)

    def steps(self, now: Now) -> Generator[None, None, float | None]:
        """Makes one pass, as `loop.Passes` says, and its span where the pass has decided something."""
        self._noted.clear()
        self._models.clear()
        span = self._tracer.begin("pass")
        deadline = yield from self._engine.steps(now)
        if span is not None and self._noted:
            span.attributes.update(self._noted)
            span.attributes |= {"models": ", ".join(self._models), "subjects": len(self.result.looked_at)}
            self._tracer.end(span)
        return deadline

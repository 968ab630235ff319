"""Makes the spans of one process, and keeps those that have ended until `exporter` takes them.

Handed to the parts of a process that have work to tell of. Nothing here waits: beyond its bound the queue
drops the newest span and counts it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bailie.tracing.context import SpanContext
from bailie.tracing.metrics import DROPPED
from bailie.tracing.spans import LONGEST_TEXT, Span, SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bailie.api.collector import Collector
    from bailie.tracing.spans import Attribute

MOST_WAITING = 2_048
"""Spans that wait to be sent: about 1 MiB."""


class Tracer:
    """The spans of a process. Used from one event loop only."""

    def __init__(self, service: str, namespace: str, instance: str) -> None:
        """Makes no span until `collector` is set. The arguments name the process to those who look."""
        self.resource = {
            "service.name": service,
            "service.namespace": namespace,
            "service.instance.id": instance,
        }
        self.collector: Collector | None = None
        """Where spans go; None where none are made."""
        self.added: Callable[[], None] = lambda: None
        """Called when the queue was empty and is no more."""
        self._ended: deque[Span] = deque()

    def begin(
        self, name: str, parent: SpanContext | None = None, kind: SpanKind = SpanKind.INTERNAL
    ) -> Span | None:
        """Returns a span that begins now; None where it would not be sent.

        A span is sent if its parent is recorded, and without a parent always.
        """
        if self.collector is None or (parent is not None and not parent.sampled):
            return None
        ids = os.urandom(24)
        trace_id = ids[8:] if parent is None else parent.trace_id
        context = SpanContext(trace_id, ids[:8])
        return Span(name, context, parent.span_id if parent else b"", kind, time.time_ns())

    def end(self, span: Span | None, error: str = "") -> None:
        """Takes a span whose work has ended, `error` says why it failed; does nothing for None or again."""
        if span is None or span.ended or self.collector is None:
            return
        span.ended, span.error = time.time_ns(), error[:LONGEST_TEXT]
        if len(self._ended) >= MOST_WAITING:
            DROPPED.labels("queue").inc()
            return
        self._ended.append(span)
        if len(self._ended) == 1:
            self.added()

    @contextmanager
    def span(self, name: str, parent: SpanContext | None = None, **attributes: Attribute) -> Iterator[None]:
        """Makes a span of a block; an exception is its error, and goes on."""
        made = self.begin(name, parent)
        if made is not None:
            made.attributes.update(attributes)
        try:
            yield
        except BaseException as error:
            self.end(made, str(error) or type(error).__name__)
            raise
        self.end(made)

    def take(self, most: int) -> list[Span]:
        """Takes out the oldest spans, `most` of them at most."""
        return [self._ended.popleft() for _ in range(min(most, len(self._ended)))]

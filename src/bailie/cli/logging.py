"""Sets up logs: constant event text and key/values, on stderr, one line each.

Called by `processes` in pods, by `lifecycle` on a laptop and by `moves`, once in each process. Libraries
only ask structlog for a logger.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from enum import StrEnum
from typing import TextIO, cast

import structlog


class LogLevel(StrEnum):
    """How serious an event must be to be logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _StandardError:
    """Standard error as it is at each line: while a picture is drawn there, lines go above it.

    A line that cannot be written is lost: on a laptop logs are files, and a full disk must end no process.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def set_up_logging(level: str) -> None:
    """Configures structlog and the standard library's logging for this process.

    `level` is a `LogLevel`; upstream's other names (`trace`, `warn`, `fatal`) are understood.
    """
    name = {"trace": "debug", "warn": "warning", "fatal": "error", "panic": "error"}.get(level, level)
    threshold = logging.getLevelNamesMapping().get(name.upper(), logging.INFO)
    stream = cast("TextIO", _StandardError())
    logging.basicConfig(level=logging.WARNING, stream=stream, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                pad_event_to=40,
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )

"""The plans that a gateway last had, in a file of its own, for a restart while no scheduler is there.

Read and written by `plan_versions`. A file that cannot be read is
no plan: the scheduler sends them all again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import structlog

from bailie.pipelinegateway.plans import PlanSource  # noqa: TC001 - msgspec reads it

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = structlog.get_logger(__name__)

_FORMAT = 1


class _Kept(msgspec.Struct):
    format: int
    plans: list[PlanSource]


def read_plans(path: Path) -> list[PlanSource]:
    """Returns the plans of a file; none where there is no file, or one that cannot be read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.warning("kept plans cannot be read", file=str(path), cause=str(error))
        return []
    return found.plans if found.format == _FORMAT else []


def write_plans(path: Path, plans: Iterable[PlanSource]) -> None:
    """Replaces the file as a whole; only this process's user may read it.

    A disk that is full is logged and no more: the plans in memory are what counts.
    """
    content: bytes = msgspec.json.encode(_Kept(_FORMAT, list(plans)))
    new = path.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        new.replace(path)
    except OSError as error:
        log.warning("plans cannot be kept", file=str(path), cause=str(error))

"""Fences that let nothing through: a mistake of our own about one object ends the test that meets it."""

from __future__ import annotations

from bailie.control.object_fence import ObjectFence
from bailie.scheduler.loop import write_notice


def strict(notice):
    """Writes a notice as the scheduler does, and raises an exception that a fence has kept."""
    write_notice(notice)
    if error := notice.fields.get("exc_info"):
        raise AssertionError(f"{notice.text}: {notice.fields}") from error


def strict_fence():
    """Returns a fence for parts of an engine that are tried by themselves."""
    return ObjectFence(strict)

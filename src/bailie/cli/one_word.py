"""Kind and name in one word: `model/iris`, as commands print it, and `choice.pipeline`, as callers ask.

Used by `inspect`, `resources`, `pipelines` and `experiment`.
"""

from __future__ import annotations

import typer

from bailie.api.names import EXPERIMENT_ENDING, TAKEN_ENDINGS
from bailie.cli.cluster import object_name
from bailie.cli.output import ExitCode, fail
from bailie.wellknown.names import PIPELINE_ENDING


def kind_and_name(word: str) -> tuple[str, str] | None:
    """Returns the kind and the name that a word has; None for another word.

    Ends the command where the name cannot be one. No Model and no kind has a caller's ending of another kind.
    """
    kind, slash, name = word.partition("/")
    if not slash:
        name, _, kind = word.rpartition(".")
        if not name or f".{kind}" not in TAKEN_ENDINGS:
            return None
    try:
        return kind, object_name(name)
    except typer.BadParameter as error:
        fail(error.message, code=ExitCode.USAGE)


def pipeline_name(text: str) -> str:
    """Parses the name of a Pipeline, also the one by which callers ask for it."""
    return object_name(text.removesuffix(PIPELINE_ENDING) or text)


def experiment_name(text: str) -> str:
    """Parses the name of an Experiment, also the one by which callers ask for it."""
    return object_name(text.removesuffix(EXPERIMENT_ENDING) or text)

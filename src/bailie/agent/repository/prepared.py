"""The outcome of preparing an artifact: made by `mlserver` and `triton`, and told in the Model's status."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prepared:
    """`path`: the file or folder of the artifact that is served, relative to the artifact; empty: all of it.

    `ignored`: sentences about settings of the artifact that the server cannot follow.
    """

    path: str = ""
    ignored: tuple[str, ...] = ()

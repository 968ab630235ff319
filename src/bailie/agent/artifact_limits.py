"""Limits of an artifact: its size and its entries, which are plain files and folders, nothing that leads
elsewhere.

`local_copy` counts with a Budget while it copies. `artifacts` surveys the files of rclone, now and then while
rclone writes and once at the end.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.agent.errors import ArtifactError
from bailie.api.texts import shown
from bailie.settings import fields
from bailie.wellknown import variables

if TYPE_CHECKING:
    from pathlib import Path

_DEEPEST = 64
"""Folders within folders; more are a loop, or an attack on programs that walk through them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactLimits:
    """The largest artifact: bytes of its files together, and entries, which are files and folders."""

    bytes: int = field(
        default=256 << 30,
        metadata=fields.whole(variables.ARTIFACT_BYTES, "The largest artifact.", unit="bytes", least=1),
    )
    entries: int = field(
        default=100_000,
        metadata=fields.whole(
            variables.ARTIFACT_FILES, "Files and folders of the largest artifact.", least=1
        ),
    )


@dataclass(slots=True)
class Budget:
    """Counts one artifact against its limits. Every method raises ArtifactError (`ArtifactTooLarge`)."""

    limits: ArtifactLimits
    bytes: int = 0
    entries: int = 0

    def entry(self, depth: int) -> None:
        """Counts a file or folder, `depth` folders below the top."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise _too_large(
                f"more than {self.limits.entries} files and folders",
                variables.ARTIFACT_FILES,
                "models of one file",
            )
        if depth > _DEEPEST:
            raise ArtifactError(
                "ArtifactRefused", f"the artifact has folders more than {_DEEPEST} levels deep"
            )

    def data(self, size: int) -> None:
        """Counts bytes of a file."""
        self.bytes += size
        if self.bytes > self.limits.bytes:
            raise _too_large(
                f"more than {self.limits.bytes} bytes", variables.ARTIFACT_BYTES, "the model alone"
            )


def _too_large(what: str, variable: str, instead: str) -> ArtifactError:
    return ArtifactError(
        "ArtifactTooLarge",
        f"the artifact has {what}; name a folder with {instead}, or raise {variable} of the agent",
    )


def survey(folder: Path, limits: ArtifactLimits) -> None:
    """Counts a folder that another program fills or has filled. Entries that vanish meanwhile do not count.

    Raises:
        ArtifactError: `ArtifactTooLarge`, `ArtifactRefused`.
    """
    budget = Budget(limits)
    waiting = [(str(folder), 0)]
    while waiting:
        path, depth = waiting.pop()
        try:
            with os.scandir(path) as entries:
                waiting += [(each.path, depth + 1) for each in entries if _is_folder(each, budget, depth)]
        except FileNotFoundError:
            continue


def _is_folder(entry: os.DirEntry[str], budget: Budget, depth: int) -> bool:
    """Counts an entry, and says whether there is more below it."""
    budget.entry(depth + 1)
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_ISREG(status.st_mode):
        budget.data(status.st_size)
    elif not stat.S_ISDIR(status.st_mode):
        raise no_plain_file(entry.name, status.st_mode)
    return stat.S_ISDIR(status.st_mode)


def no_plain_file(name: str, mode: int) -> ArtifactError:
    """Returns the refusal of an entry that is neither a file nor a folder."""
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    return ArtifactError(
        "ArtifactRefused", f"{shown(name)} in the artifact is {kind}; an artifact has files and folders only"
    )

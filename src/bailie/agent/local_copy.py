"""Copies an artifact of this machine: from below the allowed folders, and through no link that leaves it.

`artifacts` runs `copy` in a thread. A process that may write into such a folder, a model's own code for
example, may turn any part of it into a link at any time. So a path is first resolved and compared with the
allowed folders, and then walked again from that folder, name by name, by descriptors that follow no link: a
part that was swapped in between is refused. Links inside the artifact are followed in the same way as far as
they stay inside, and come out as files.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.agent.artifact_limits import Budget, no_plain_file
from bailie.agent.errors import ArtifactError
from bailie.api.texts import shown
from bailie.wellknown import variables

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from bailie.agent.artifact_limits import ArtifactLimits

NEVER = tuple(map(Path, ("/proc", "/sys", "/dev", "/etc", "/run", "/var/run", "/boot")))
"""Folders that never hold models, even if the setting names them: the kernel's, devices, secrets of pods."""
_CHUNK = 1 << 20
_OF_THE_KUBELET = ".."
"""Begins the names of two further entries of a mounted ConfigMap or Secret: a folder with a time in its name,
and a link to that folder. The files are links through both."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Stopped(OSError):  # noqa: N818 - no error: nobody waits for it
    """The copy is not wanted any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Where artifacts may be: below `allowed` and `claims`, and neither in nor through `never` (folders of
    the agent's own, besides NEVER).

    `claims` are mounted volume claims. On a laptop they lie in the state folder, which is the agent's own: a
    folder of `never` that a claim lies in does not close the claim.
    """

    allowed: tuple[Path, ...]
    never: tuple[Path, ...] = ()
    claims: tuple[Path, ...] = ()

    def locate(self, path: Path) -> tuple[Path, Path]:
        """Returns the allowed folder and the path's real place below it. Raises ArtifactError, OSError."""
        self._refuse_outside(path, path)
        try:
            real = path.resolve(strict=True)
        except RuntimeError as error:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error
        return self._refuse_outside(real, path), real

    def closed(self) -> frozenset[tuple[int, int]]:
        """Returns device and inode of each folder that must not be entered."""
        return frozenset(
            (status.st_dev, status.st_ino) for each in (*NEVER, *self.never) if (status := _status(each))
        )

    def _refuse_outside(self, path: Path, asked: Path) -> Path:
        """Returns the allowed folder that the path is in. Asked of the path as written, too: paths outside
        are not even looked at, and the message does not say whether they exist."""
        for root in (*self.allowed, *self.claims):
            for real in (root, Path(os.path.realpath(root))):
                if path.is_relative_to(real) and not any(map(path.is_relative_to, self._closed_in(root))):
                    return Path(os.path.realpath(root))
        raise ArtifactError(
            "StorageUriRefused",
            f"{shown(str(asked))} is in no folder that artifacts may come from, or leads out of it; these "
            f"are {_listed((*self.allowed, *self.claims))} ({variables.LOCAL_ROOTS} of the agent)",
        )

    def _closed_in(self, root: Path) -> tuple[Path, ...]:
        if root not in self.claims:
            return (*NEVER, *self.never)
        return (*NEVER, *(each for each in self.never if each not in root.parents))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _listed(roots: Iterable[Path]) -> str:
    return ", ".join(shown(str(root)) for root in roots) or "none"


def copy(path: Path, target: Path, *, roots: Roots, limits: ArtifactLimits, stop: threading.Event) -> None:
    """Copies a file into a folder, or the content of a folder. Stops soon once `stop` is set.

    Raises:
        ArtifactError: `StorageUriRefused`, `ArtifactRefused`, `ArtifactTooLarge`.
        OSError: the artifact cannot be read, or the copy cannot be written.
    """
    root, real = roots.locate(path)
    job = _Copy(root=root, top=real, closed=roots.closed(), budget=Budget(limits), stop=stop)
    top = job.open(real)
    try:
        if stat.S_ISDIR(os.fstat(top).st_mode):
            job.folder(top, target, real)
        else:
            job.budget.entry(0)
            job.file(top, target / real.name)
    finally:
        os.close(top)


@dataclass(slots=True, kw_only=True)
class _Copy:
    """One copy of `top`, which is below `root`. Folders are open by descriptor; a path is only for messages
    and for links."""

    root: Path
    top: Path
    closed: frozenset[tuple[int, int]]
    budget: Budget
    stop: threading.Event
    _entered: list[tuple[int, int]] = field(default_factory=list)

    def open(self, path: Path) -> int:
        """Opens a path without links, name by name from the root. Raises ArtifactError, OSError."""
        at = os.open(self.root, _FLAGS | os.O_DIRECTORY)
        try:
            for name in path.relative_to(self.root).parts:
                at, before = self._open(name, at), at
                os.close(before)
        except BaseException:
            os.close(at)
            raise
        return at

    def _open(self, name: str, folder: int) -> int:
        """Opens an entry that is a file or a folder; looked at before, for a device may act when opened."""
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise no_plain_file(name, mode)
        found = os.open(name, _FLAGS, dir_fd=folder)
        status = os.fstat(found)
        is_plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        if is_plain and (status.st_dev, status.st_ino) not in self.closed:
            return found
        os.close(found)
        if is_plain:
            raise ArtifactError("ArtifactRefused", f"{shown(name)} in the artifact is a folder of the system")
        raise no_plain_file(name, status.st_mode)

    def folder(self, source: int, target: Path, path: Path) -> None:
        """Copies the content of a folder. `path` is where it is; `target` exists."""
        status = os.fstat(source)
        mark = (status.st_dev, status.st_ino)
        if mark in self._entered:
            raise ArtifactError("ArtifactRefused", f"{shown(path.name)} in the artifact leads back to itself")
        self._entered.append(mark)
        with os.scandir(source) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(_OF_THE_KUBELET))
        for name in names:
            self.budget.entry(len(self._entered))
            self._entry(source, path / name, target / name)
        self._entered.pop()

    def _entry(self, folder: int, path: Path, target: Path) -> None:
        mode = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            found, path = self._follow(path)
        else:
            found = self._open(path.name, folder)
        try:
            if stat.S_ISDIR(os.fstat(found).st_mode):
                target.mkdir()
                self.folder(found, target, path)
            else:
                self.file(found, target)
        finally:
            os.close(found)

    def _follow(self, link: Path) -> tuple[int, Path]:
        """Opens the target of a link, and returns its path. Raises ArtifactError."""
        try:
            real = link.resolve(strict=True)
        except (OSError, RuntimeError):  # nothing there, or a loop
            real = Path("/")
        if not real.is_relative_to(self.top):
            raise ArtifactError(
                "ArtifactRefused",
                f"{shown(str(link.relative_to(self.top)))} is a link that leads out of the artifact, or "
                "nowhere; put the file itself there",
            )
        return self.open(real), real

    def file(self, source: int, target: Path) -> None:
        """Copies a file into a new one."""
        try:
            copied = os.open(
                target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
            )
        except FileExistsError:
            raise ArtifactError(
                "ArtifactRefused", f"{shown(target.name)} was there before it was copied"
            ) from None
        with os.fdopen(copied, "wb") as file:
            while data := os.read(source, _CHUNK):
                self.budget.data(len(data))
                if self.stop.is_set():
                    raise Stopped(errno.ECANCELED, "the copy was stopped")
                file.write(data)

"""A folder for temporary files. Used by `demo`, and by `artifact_kind` for a single file."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from bailie.local.errors import LocalError


def temporary_folder(prefix: str) -> TemporaryDirectory[str]:
    """Returns a new folder, which goes at the end of the `with`. Raises LocalError where none can be made."""
    try:
        return TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise _no_folder(error) from None


def lasting_folder(prefix: str) -> Path:
    """Returns a new folder, which the caller removes. Raises LocalError where none can be made."""
    try:
        return Path(mkdtemp(prefix=prefix))
    except OSError as error:
        raise _no_folder(error) from None


def _no_folder(error: OSError) -> LocalError:
    return LocalError(
        f"no folder for temporary files can be made: {error.strerror}",
        hint="set TMPDIR to a folder in which this user may write",
    )

"""A folder for the time of a command. Used by `demo`, and by `artifact_kind` for a single file."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from bailie.local.errors import LocalError


def temporary_folder(prefix: str) -> TemporaryDirectory[str]:
    """Returns a new folder, which goes at the end of the `with`. Raises LocalError where none can be made."""
    try:
        return TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise LocalError(
            f"no folder for temporary files can be made: {error.strerror}",
            hint="set TMPDIR to a folder in which this user may write",
        ) from None

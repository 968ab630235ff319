"""Counts, on disk, how often the load of each version has ended the server.

`loading` writes and reads the counts. They are on disk so that a restarted agent does not try a version again
that an earlier agent gave up. A version is known by its identity, of its content and its Model: a corrected
spec is another version.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

MOST = 1000
"""Versions that are remembered, the newest ones: a Model that is deleted while its agent is away would be
remembered for ever otherwise."""


class ServerDeaths:
    """The counts of one replica, in a file of the agent's folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._counts = _read(file)
        self.open = True
        """False once this process ends: then the server ends with its pod, and no load is to blame."""

    def of(self, identity: str) -> int:
        """Returns how many times the load of this version has ended the server."""
        return self._counts.get(identity, 0)

    def count(self, identity: str) -> int:
        """Counts one more end of the server; returns how many there are."""
        found = self._counts.pop(identity, 0) + 1
        self._counts[identity] = found
        self._counts = dict(list(self._counts.items())[-MOST:])
        self._write()
        return found

    def forget(self, identity: str) -> None:
        """Drops the count of a version that is not wanted any more."""
        if self._counts.pop(identity, None) is not None:
            self._write()

    def _write(self) -> None:
        """Writes the file. If the disk is full, the counts do not survive a restart, and the load goes on."""
        new = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(self._counts) + "\n")
            new.rename(self._file)
        except OSError as error:
            log.warning("deaths not noted", file=str(self._file), error=str(error))


def _read(file: Path) -> dict[str, int]:
    try:
        found = json.loads(file.read_text())
        return {str(identity): int(count) for identity, count in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("deaths that were noted cannot be read", file=str(file), error=str(error))
        return {}

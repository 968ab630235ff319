"""How often each version has ended its server while it was loading there, on disk, so that no restart of an
agent makes it try again what it gave up.

`loading` writes and reads. What a version is, its content and its Model, is its identity: a corrected spec is
another one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

MOST = 1000
"""So many versions are remembered, the newest: a Model that is deleted while its agent is away is never
forgotten otherwise."""


class Deaths:
    """The counts of one replica, in a file of the agent's folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._counts = _read(file)
        self.open = True
        """False once this process ends: the server ends with it, through no fault of a load."""

    def of(self, identity: str) -> int:
        """Returns how many times."""
        return self._counts.get(identity, 0)

    def count(self, identity: str) -> int:
        """Counts one more; returns how many there are."""
        found = self._counts.pop(identity, 0) + 1
        self._counts[identity] = found
        self._counts = dict(list(self._counts.items())[-MOST:])
        self._write()
        return found

    def forget(self, identity: str) -> None:
        """The version is not wanted any more."""
        if self._counts.pop(identity, None) is not None:
            self._write()

    def _write(self) -> None:
        """A disk that is full costs the memory of a restart, not the load."""
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

"""Counts of the journal: records that were written and dropped, and whether any were dropped just now.

Kept by `journal`, from its threads; read by `topic_keeper` once a second, and for metrics.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

QUIET_LOOKS = 5
"""After so many looks without a loss the journal counts as whole again."""


@dataclass(slots=True)
class JournalCounts:
    """Records since the start."""

    written: int = 0
    """Only the thread that hears acknowledgements counts these."""
    dropped: int = 0
    _words: str = ""
    _told: int = 0
    _since: int = 0
    _quiet: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose(self, words: str) -> None:
        """Counts a record that was dropped; `words` say why."""
        with self._lock:
            self.dropped += 1
            self._words = words

    def look(self) -> str:
        """Returns the words for records that were dropped lately, empty for none. Called once a second."""
        with self._lock:
            lost, self._told = self.dropped - self._told, self.dropped
            if lost:
                self._since, self._quiet = self._since + lost, 0
            elif self._since:
                self._quiet += 1
                if self._quiet >= QUIET_LOOKS:
                    self._since, self._quiet = 0, 0
            if not self._since:
                return ""
            return f"{self._since} records were dropped lately, the last one for this reason: {self._words}"

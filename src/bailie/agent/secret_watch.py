"""Looks at Secrets again that a load failed with, and at the namespace's remotes that cannot be used.

Runs beside `monitor`. A corrected Secret is used at once, not at the next try of the scheduler's; a
configured remote that cannot be used stands in the replica's status. Agents may `get` Secrets by name and not
watch them, so they are polled, and only while something is wrong with them.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bailie.agent.errors import ArtifactError
from bailie.agent.secrets import UNREADABLE
from bailie.agent.seen_secrets import CONFIGURATION, SeenSecrets
from bailie.api.texts import shown

if TYPE_CHECKING:
    from bailie.agent.models import Models
    from bailie.agent.outbox import Outbox
    from bailie.agent.remotes import ConfiguredRemotes, SecretReader

_REMOTES_ROUNDS = 4
_LONGEST = 600
"""Characters of the sentence in the replica's status."""


@dataclass(slots=True, kw_only=True)
class SecretWatch:
    """`run` polls until cancelled, every `seconds`; remotes that cannot be used are read again every
    `_REMOTES_ROUNDS` times, for each replica reads them."""

    namespace: str
    secrets: SecretReader
    configured: ConfiguredRemotes
    models: Models
    outbox: Outbox
    seconds: float
    _configuration: str | None = field(default=None)
    _problem: str = ""
    _rounds: int = 0

    async def run(self) -> None:
        """Polls until cancelled."""
        while True:
            await self._look_at_remotes()
            await self._look_at_failures()
            await asyncio.sleep(self.seconds)

    async def _look_at_remotes(self) -> None:
        """Reads the configured remotes after a change of the configuration, and while one is unusable."""
        configuration = self.configured.fingerprint()
        self._rounds += 1
        again = bool(self._problem) and self._rounds >= _REMOTES_ROUNDS
        if configuration == self._configuration and not again:
            return
        self._rounds = 0
        found = await self.configured.read(self.secrets)
        self._configuration, self._problem = configuration, "; ".join(found.problems)
        self.outbox.update_status(remotes_problem=shown(self._problem, _LONGEST))

    async def _look_at_failures(self) -> None:
        """Reads each Secret once that any failed load rested on. An API that is away says nothing of it."""
        seen = SeenSecrets(self.secrets)
        for name in self.models.failed_with() - {CONFIGURATION}:
            with contextlib.suppress(ArtifactError):
                await seen.read(self.namespace, name)
        marks = {name: mark for name, mark in seen.marks.items() if mark != UNREADABLE}
        self.models.causes_seen({**marks, CONFIGURATION: self.configured.fingerprint()})

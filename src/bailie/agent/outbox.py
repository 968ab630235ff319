"""News for the scheduler: the newest report per version and the newest status of the replica.

`models` and `monitor` write here, `session` sends. Only the newest value is sent. After a reconnect the
inventory has every version, so no news is lost with a connection.
"""

from __future__ import annotations

import asyncio

from bailie._gen import agent_pb2
from bailie.lifecycle.wire import LONGEST_REPORT, detail_bytes, without_details

VersionKey = tuple[str, int, str]
MOST_DETAIL_BYTES = 4 << 20
"""Of all signatures and words in one inventory. The scheduler takes messages of 8 MiB, and a replica whose
inventory is larger would never be welcomed again."""


def version_key(version: agent_pb2.ModelVersion) -> VersionKey:
    """Returns a version as a key: name, number, identity."""
    return version.name, version.number, version.identity


class Outbox:
    """The newest values, and which of them are not sent yet. One loop, no locks."""

    def __init__(self, status: agent_pb2.ReplicaStatus) -> None:
        self._status = status
        self._reports: dict[VersionKey, agent_pb2.ModelReport] = {}
        self._unsent: dict[VersionKey, None] = {}
        self._status_unsent = False
        self._changed = asyncio.Event()

    @property
    def status(self) -> agent_pb2.ReplicaStatus:
        """The newest status."""
        return self._status

    def publish(self, report: agent_pb2.ModelReport) -> None:
        """Takes a report; an unloaded version leaves the inventory.

        Of a report that is longer than the scheduler takes, the signature and the words are left out: a
        model's files may say anything, and the scheduler would end the session.
        """
        key = version_key(report.version)
        self._reports[key] = report if report.ByteSize() <= LONGEST_REPORT else without_details(report)
        self._unsent[key] = None
        self._changed.set()

    def update_status(self, **fields: int | str) -> None:
        """Changes these fields of the status and no others: each field has a writer of its own.

        The status is sent soon when a field other than the resident set changed.
        """
        status = agent_pb2.ReplicaStatus()
        status.CopyFrom(self._status)
        for name, value in fields.items():
            setattr(status, name, value)
        before, self._status = self._status, status
        if any(getattr(before, name) != value for name, value in fields.items() if name != "resident_bytes"):
            self._status_unsent = True
            self._changed.set()

    def inventory(self) -> list[agent_pb2.ModelReport]:
        """Returns every version on this replica. The inventory is sent in place of all unsent news.

        Signatures and words for which it has no room are news again, so that they follow.
        """
        for key in [k for k, r in self._reports.items() if r.state == agent_pb2.MODEL_STATE_UNLOADED]:
            del self._reports[key]
        self._unsent.clear()
        self._status_unsent = False
        self._changed.clear()
        found, room = [], MOST_DETAIL_BYTES
        for key, report in self._reports.items():
            size = detail_bytes(report)
            room -= size
            if room >= 0 or not size:
                found.append(report)
                continue
            found.append(without_details(report))
            self._unsent[key] = None
            self._changed.set()
        return found

    def take(self, *, status: bool = False) -> list[agent_pb2.AgentMessage]:
        """Returns the unsent messages, with the status when it changed or is asked for."""
        messages = []
        for key in self._unsent:
            messages.append(agent_pb2.AgentMessage(report=self._reports[key]))
            if self._reports[key].state == agent_pb2.MODEL_STATE_UNLOADED:
                del self._reports[key]
        if self._status_unsent or status:
            messages.append(agent_pb2.AgentMessage(status=self._status))
        self._unsent.clear()
        self._status_unsent = False
        self._changed.clear()
        return messages

    async def wait(self, seconds: float) -> bool:
        """Waits for unsent news, for `seconds` at most. Returns whether there is any."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

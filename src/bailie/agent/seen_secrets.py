"""The Secrets that a download rested on, as it saw them: whether a later look finds something else.

`artifacts` makes one for each download and hands its marks out with the error; `secret_watch` compares them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bailie.agent.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.agent.remotes import SecretReader

CONFIGURATION = "/agent.yaml"
"""Name of the configuration itself, among those of Secrets; no Secret has such a name."""


class SeenSecrets:
    """A SecretReader that keeps a mark of each Secret that it read, by name, in `marks`."""

    def __init__(self, reader: SecretReader) -> None:
        self._reader = reader
        self.marks: dict[str, str] = {}

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """Returns a Secret's data, and keeps its mark. Raises ArtifactError."""
        try:
            data = await self._reader.read(namespace, name)
        except ArtifactError as error:
            self.marks[name] = error.reason
            raise
        self.marks[name] = _mark(data)
        return data


def _mark(data: Mapping[str, bytes]) -> str:
    """Returns a digest: the values of a Secret are kept nowhere."""
    digest = hashlib.sha256()
    for key in sorted(data):
        for part in (key.encode(), data[key]):
            digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()

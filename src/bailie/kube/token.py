"""The token of a namespace's control plane, as the file that every pod of it mounts.

Used by the gRPC servers (agents' sessions, Envoy's ADS) to check a caller, and by agents to say who they
are. The file is read at each use, because the Secret behind it may be rotated. The token never appears in a
message.
"""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

METADATA_KEY = "authorization"
_PREFIX = "Bearer "


class Verdict(enum.Enum):
    """What the check of a caller says."""

    GOOD = "good"
    MISSING = "no bearer token was sent"
    WRONG = "the token is not this namespace's"
    UNKNOWN = "the token file cannot be read"


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that holds one token, surrounding white space ignored."""

    path: Path

    def read(self) -> str:
        """Returns the token. Raises OSError, ValueError when the file is empty."""
        token = self.path.read_text().strip()
        if not token:
            raise ValueError(f"{self.path} is empty")
        return token

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the gRPC metadata that a caller sends. Raises as `read`."""
        return ((METADATA_KEY, _PREFIX + self.read()),)

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> Verdict:
        """Judges a caller's gRPC metadata, in constant time."""
        sent = next((value for key, value in metadata if key == METADATA_KEY), "")
        if not isinstance(sent, str) or not sent.startswith(_PREFIX):
            return Verdict.MISSING
        try:
            expected = self.read()
        except (OSError, ValueError):
            return Verdict.UNKNOWN
        same = hmac.compare_digest(sent.removeprefix(_PREFIX).encode(), expected.encode())
        return Verdict.GOOD if same else Verdict.WRONG

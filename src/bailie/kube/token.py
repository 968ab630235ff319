"""The token of a namespace's control plane, as the file that every pod of it mounts.

Used by the gRPC servers (agents' sessions, Envoy's ADS) to check a caller, and by agents to identify
themselves. The file is read at each use, because the Secret behind it may be rotated. The token never appears
in a message.
"""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bailie.wellknown import headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

METADATA_KEY = "authorization"
NAMESPACE_KEY = headers.NAMESPACE
"""Metadata: the namespace of the token, for a scheduler that serves several namespaces."""
_PREFIX = "Bearer "


class Verdict(enum.Enum):
    """The result of a check of a caller."""

    GOOD = "good"
    MISSING = "no bearer token was sent"
    WRONG = "the token is not this namespace's"
    UNKNOWN = "the token file cannot be read"


class Token(Protocol):
    """The token of one namespace's control plane."""

    def read(self) -> str:
        """Returns the token. Raises OSError, ValueError when it is not known."""

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> Verdict:
        """Judges a caller's gRPC metadata, in constant time."""


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
        return judged(metadata, self.read)


def judged(metadata: Iterable[tuple[str, str | bytes]], read: Callable[[], str]) -> Verdict:
    """Compares a caller's header with the token that `read` returns, in constant time."""
    sent = next((value for key, value in metadata if key == METADATA_KEY), "")
    if not isinstance(sent, str) or not sent.startswith(_PREFIX):
        return Verdict.MISSING
    try:
        expected = read()
    except (OSError, ValueError):
        return Verdict.UNKNOWN
    same = hmac.compare_digest(sent.removeprefix(_PREFIX).encode(), expected.encode())
    return Verdict.GOOD if same else Verdict.WRONG


def named_namespace(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Returns the namespace that a caller says it is of, empty when it says none."""
    sent = next((value for key, value in metadata if key == NAMESPACE_KEY), "")
    return sent if isinstance(sent, str) else ""

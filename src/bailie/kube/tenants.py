"""The namespaces that one process serves: the one mapping of a caller to its namespace and that one's token.

Made by `scheduler.run`; used by both gRPC servers of a scheduler, that for agents and that for Envoys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bailie.kube.token import named_namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.kube.token import Token

_LONGEST = 63
"""Characters of a namespace's name."""


class Tenant(NamedTuple):
    """One namespace, and the token by which its callers identify themselves."""

    namespace: str
    token: Token


class NotServed(Exception):  # noqa: N818 - the name of the state
    """The caller names a namespace that this process does not serve; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """The served namespaces, `home` among them, each with its token."""

    home: str
    tokens: Mapping[str, Token]

    def of(self, metadata: Iterable[tuple[str, str | bytes]]) -> Tenant:
        """Returns the namespace that a caller's gRPC metadata names, the home where none is named.

        The token is not checked yet. Raises NotServed.
        """
        named = named_namespace(metadata) or self.home
        token = self.tokens.get(named)
        if token is None:
            raise NotServed(f"this scheduler does not serve namespace {named[:_LONGEST]!r}")
        return Tenant(named, token)

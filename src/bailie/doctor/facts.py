"""The facts that were found, as values. `gather` fills them, `checks` judge them; no function here reads the
API.

A fact that may not be read, or cannot be, is `Unknown` with the reason: never a guess, never left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailie.scope.claim import Claim


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be had, and why."""

    why: str


T = TypeVar("T")
Known: TypeAlias = T | Unknown


def known(value: Any) -> Any:
    """Returns a collection, an empty one where it is unknown: for checks whose finding says so elsewhere."""
    return () if isinstance(value, Unknown) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationView:
    """One operator. A fact that could not be read is empty, and `unknown` says why."""

    home: str
    listed: tuple[str, ...] | None = None
    """The namespaces of its list; None where the list is the whole cluster, or is unknown."""
    data: Mapping[str, str] = field(default_factory=dict)
    """The ConfigMap as it is."""
    problems: tuple[str, ...] = ()
    name: str = ""
    version: str = ""
    statuses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The operator's status of each namespace: see `NamespaceStatus.manifest`."""
    leader: str = ""
    alive: bool | None = None
    """Whether a replica leads; None where that may not be read."""
    missing: Known[tuple[str, ...]] = ()
    """Rights that it lacks in its own namespace, where no replica leads; else it has what it needs there."""
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class ClaimView:
    """The claim on a namespace; `fresh` is False where the holder does not renew it any more."""

    claim: Claim
    fresh: bool


@dataclass(frozen=True, slots=True)
class SeldonOperator:
    """An operator of Seldon Core's: its namespace, and whether it has a ready pod now."""

    home: str
    ready: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An object of one of Bailie's kinds: its name and what its `Ready` condition says."""

    name: str
    ready: bool
    message: str = ""
    current: bool = True
    """Whether the status speaks of the present generation."""
    concerns: tuple[str, ...] = ()
    """Its other conditions that somebody has to act on, each with its sentence."""
    scheduler_namespace: str = ""
    """Of a SeldonRuntime that uses another namespace's scheduler."""
    has_scheduler: bool = True
    """False for a SeldonRuntime whose scheduler is disabled."""
    has_envoy: bool = True
    """False for a SeldonRuntime whose Envoy is disabled."""
    replicas: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """The schedulers' Lease: its holder, whether it is renewed, and the leader's notes on itself."""

    leader: str
    fresh: bool
    told: bool = False
    serves: bool = True
    """False where the leader, another namespace's, says that it does not serve this one."""
    agents: Mapping[str, int] = field(default_factory=dict)
    published: int = 0
    acknowledged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """An ExternalName Service of a name that belongs to the control plane."""

    service: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceFacts:
    """One namespace."""

    name: str
    exists: Known[bool] = True
    home: str = ""
    """The operator that has it in its list; empty for none that is known."""
    claim: Known[ClaimView | None] = None
    status: Mapping[str, object] = field(default_factory=dict)
    """The operator's status of the namespace."""
    missing: Known[tuple[str, ...]] = ()
    """Rights that its operator lacks there, in words, or why nobody knows."""
    runtimes: Known[tuple[Thing, ...]] = ()
    servers: Known[tuple[Thing, ...]] = ()
    models: Known[tuple[Thing, ...]] = ()
    pipelines: Known[tuple[Thing, ...]] = ()
    experiments: Known[tuple[Thing, ...]] = ()
    scheduled_from: str = ""
    """The other namespace whose scheduler serves this one; empty where its own does."""
    term: Known[Term | None] = None
    """Of the scheduler that serves it, and what that says of this namespace."""
    redirects: Known[tuple[Redirect, ...]] = ()
    upstream: str = ""
    """A sentence about Seldon Core's own operator in the namespace, empty where it was not found."""
    upstream_scheduler: str = ""
    """A sentence about Seldon Core's scheduler of the namespace, empty where it was not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one run of the doctor found out."""

    server: str
    unreachable: str = ""
    version: str = ""
    kinds: Known[Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Of each version of our group that is served: the plurals."""
    installations: Known[tuple[InstallationView, ...]] = ()
    upstream: Known[tuple[SeldonOperator, ...]] = ()
    """The operators of Seldon Core's that act, or are about to."""
    namespaces: tuple[NamespaceFacts, ...] = ()

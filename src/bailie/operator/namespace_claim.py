"""One namespace of the scope: review the operator's rights there, claim the namespace, and watch it.

Owned by `Scope`, one task for each namespace. This module observes; `scope.namespace_status` decides what the
observations mean. A namespace that cannot be served costs one or two requests every three seconds at most.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import DEPLOYMENT, LEASE, NAMESPACE
from bailie.kube.backoff import Backoff
from bailie.kube.election import LeaderElection, LeaseTiming
from bailie.kube.errors import ApiError, Forbidden, NotFound
from bailie.kube.reviews import own_missing_rights
from bailie.scope.claim import (
    CLAIM_LEASE,
    OPERATOR_DEPLOYMENT,
    UPSTREAM_LEASE,
    claim_of,
    is_at_work,
    is_upstream_operator,
)
from bailie.scope.namespace_status import NamespaceStatus, Observations, namespace_status, obstacle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from bailie.kube.client import Client
    from bailie.kube.informers import InformerSet
    from bailie.scope.rights import Right

log = structlog.get_logger(__name__)

CLAIM_TIMING = LeaseTiming(duration=15.0, renew=5.0, give_up=10.0, poll=2.0, retry=1.0)
"""A renewal every five seconds for each namespace; another installation takes over after fifteen."""
RECHECK_SECONDS = 30.0
"""Between two reviews of the rights in a namespace that is served; an answer Forbidden starts one."""
_BACKOFF = Backoff(initial=0.5, maximum=3.0, jitter=0.2)
"""At most 3 s: a namespace must be served within five seconds of the moment when its rights appear."""
_AT_A_TIME = 4
"""Namespaces reviewed or listed at one time: hundreds at once would starve the renewal of leases."""
_TURN_SECONDS = 5.0
"""A namespace that is not listed after this time lets the next namespace begin."""
_LEAST_SECONDS = 1.0
"""Between two reviews, however often `recheck_soon` is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The values that the claims of all namespaces share."""

    client: Client
    """A guarded client: it writes nothing unless this replica leads."""
    name: str
    """`<namespace>/<release>`: the holder of claims."""
    needed: frozenset[Right]
    essential: frozenset[Right]
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_A_TIME))
    timing: LeaseTiming = CLAIM_TIMING
    recheck: float = RECHECK_SECONDS


class NamespaceClaim:
    """Claims one namespace and watches it, for as long as the scope contains it."""

    def __init__(
        self,
        namespace: str,
        installation: Installation,
        informers: InformerSet,
        on_change: Callable[[str], None],
    ) -> None:
        self.namespace = namespace
        self._of = installation
        self._client = installation.client
        self._informers = informers
        self._on_change = on_change
        self._observed = Observations(essential=installation.essential, installation=installation.name)
        self._claim = self._new_claim()
        self._may_ask = True
        self._recheck = asyncio.Event()
        self._upstream = _UpstreamOperator(installation.client, namespace)

    @property
    def claimed(self) -> bool:
        """True while this installation certainly holds the claim, also in a process that was suspended."""
        return self._claim.leading

    def status(self) -> NamespaceStatus:
        """Returns where the namespace stands now."""
        failures = self._informers.failures(self.namespace).values()
        return namespace_status(
            replace(
                self._observed,
                owner=self._claim.holder,
                claimed=self._claim.leading,
                since=self._claim.acquired if self._claim.holder else "",
                trouble=self._observed.trouble or self._claim.trouble,
                listed=self._informers.synced(self.namespace),
                failures=tuple(str(failure) for failure in failures),
            )
        )

    def recheck_soon(self) -> None:
        """Reviews the rights in the namespace soon, at the latest one second after the last review."""
        self._recheck.set()

    def release_at_end(self) -> None:
        """Makes the end of `run` release the claim; by default the claim is kept for our standbys."""
        self._claim.kept = False

    async def run(self) -> None:
        """Serves the namespace until cancelled. The end of `run` touches no workload of the namespace."""
        attempts = 0
        while True:
            try:
                # Before each claim: a namespace without the rights to serve it must stay free for an
                # installation that has them.
                await self._look()
                attempts += 1
                if obstacle(self._observed) is None:
                    attempts = 0
                    await self._serve()
            except Exception:
                log.exception("claim of namespace failed", namespace=self.namespace)
                attempts += 1
            await self._pause(_BACKOFF.delay(max(attempts, 1)))

    async def _serve(self) -> None:
        """Claims and watches the namespace until an obstacle appears or the claim is lost."""
        self._claim = self._new_claim()
        async with asyncio.TaskGroup() as group:
            holding = group.create_task(self._claim.run(self._watch), name=f"lease-{self.namespace}")
            looking = group.create_task(self._look_on(), name=f"rights-{self.namespace}")
            await asyncio.wait({holding, looking}, return_when=asyncio.FIRST_COMPLETED)
            # Released here and not at the end of `run`: a right is missing or another operator is at work, so
            # no standby of ours could serve the namespace either, and another installation may.
            self._claim.kept = False
            holding.cancel()
            looking.cancel()
        self._claim = self._new_claim()

    async def _watch(self, _: int) -> None:
        # Called by the election once the claim is held, never before: an operator that watched first would
        # reconcile a namespace that another installation serves.
        try:
            async with self._of.turns:
                informers = self._informers.add(self.namespace).values()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TURN_SECONDS):
                        await asyncio.gather(*(informer.synced.wait() for informer in informers))
            await asyncio.get_running_loop().create_future()
        finally:
            # Also when the claim is lost: a copy that is kept would let reconcilers act for a namespace that
            # another installation serves.
            await self._informers.remove(self.namespace)

    async def _look_on(self) -> None:
        while obstacle(self._observed) is None:
            await self._pause(self._of.recheck)
            await self._look()

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(min(_LEAST_SECONDS, seconds))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds - _LEAST_SECONDS, 0)):
                await self._recheck.wait()
        self._recheck.clear()

    async def _look(self) -> None:
        """Brings `_observed` up to date; while the API cannot be asked, the earlier observation stays."""
        try:
            async with self._of.turns:
                found = await self._found()
        except ApiError as error:
            found = replace(self._observed, trouble=str(error))
        if found != self._observed:
            self._observed = found
            self._on_change(self.namespace)

    async def _found(self) -> Observations:
        missing = await own_missing_rights(self._client, self.namespace, self._of.needed)
        nothing = frozenset(missing) == self._of.needed
        seen = replace(self._observed, looked=True, trouble="", missing=missing, nothing_held=nothing)
        exists = await self._exists() if nothing else True
        upstream = "" if set(missing) & self._of.essential else await self._upstream.found()
        return replace(seen, exists=exists, upstream=upstream)

    async def _exists(self) -> bool | None:
        if self._may_ask:
            try:
                await self._client.get(NAMESPACE, self.namespace)
            except NotFound:
                return False
            except Forbidden:
                self._may_ask = False
            else:
                return True
        return None

    def _new_claim(self) -> LeaderElection:
        claim = LeaderElection(
            self._client, self.namespace, CLAIM_LEASE, self._of.name, timing=self._of.timing
        )
        claim.kept = True
        claim.subscribe(lambda: self._on_change(self.namespace))
        return claim


class _UpstreamOperator:
    """Signs of Seldon Core's own operator in a namespace."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._renewed = ""
        self._changed = 0.0

    async def found(self) -> str:
        """Returns a sentence about the operator that was found at work; empty for none. Raises ApiError."""
        lease = await self._get(LEASE, UPSTREAM_LEASE)
        if lease is not None and self._alive(lease):
            return f"its Lease {UPSTREAM_LEASE} is being renewed; scale its Deployment to 0 or remove it"
        deployment = await self._get(DEPLOYMENT, OPERATOR_DEPLOYMENT)
        if deployment is not None and is_upstream_operator(deployment) and is_at_work(deployment):
            return (
                f"its Deployment {OPERATOR_DEPLOYMENT} is at work, or about to be; scale it to 0 or remove it"
            )
        return ""

    def _alive(self, lease: Mapping[str, Any]) -> bool:
        """Says whether the holder lives: by our own clock, as in elections, the Lease changed within its
        duration."""
        claim, now = claim_of(lease), asyncio.get_running_loop().time()
        if claim.renewed != self._renewed:
            self._renewed, self._changed = claim.renewed, now
        return claim.fresh(now - self._changed)

    async def _get(self, kind: Any, name: str) -> Any:
        with contextlib.suppress(NotFound, Forbidden):
            return await self._client.get(kind, name, self._namespace)
        return None

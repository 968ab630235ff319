"""One leader among processes, by a Lease; or one owner among installations.

Used by the scheduler and the operator for their standbys, and by the operator to claim namespaces. A claim's
identity is the installation's: its processes share it, and a process that ends leaves the lease to the next
of them (`kept`). The epoch (`leaseTransitions`) grows with every acquisition, also when a restarted process
takes its own lease back, so that agents can tell and refuse the orders of an earlier leader. It grows beyond
every epoch that this process has seen, also beyond those of a lease that was deleted since. No clock and no
message of another process has a part in it. At the end of its numbers the epoch begins anew (`next_epoch`),
which agents must allow for (agent.epochs).

No wall clocks are compared. A candidate counts a lease as abandoned when the record that the server shows has
not changed for the lease's duration on the candidate's own monotonic clock; a leader that cannot renew gives
up earlier than that. A dead leader is replaced sooner if the lease has its address: the address refuses
connections, and the leader has missed a renewal. A slow or stopped process does not refuse connections, so a
busy machine keeps its leader. With the default timing a killed leader is replaced within 1.5 s where it gave
an address, else within 5 s; a leader that ends releases the lease, and candidates see that at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from bailie.api.kinds import LEASE
from bailie.kube.callbacks import Callbacks
from bailie.kube.clock import stamp_micro, utc_now
from bailie.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from bailie.kube.metrics import LEADING
from bailie.kube.reachability import refuses
from bailie.wellknown import labels

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bailie.kube.client import Client, Object, WatchEvent

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """Seconds. `give_up` must be below `duration`: a leader stops before another one starts."""

    duration: float = 4.0
    """Unchanged this long, a lease is free."""
    renew: float = 1.0
    """Between two renewals."""
    give_up: float = 3.0
    """Not renewed this long, the leader stops."""
    missed: float = 1.5
    """Unchanged this long, a lease is free if its holder's address refuses connections. Above `renew`."""
    poll: float = 0.5
    """Between two looks of a candidate that no watch wakes."""
    retry: float = 0.2
    """Before a failed renewal is tried again."""


_TIMING = LeaseTiming()
_RELEASE_SECONDS = 2.0
LAST_EPOCH = 2**31 - 1
"""A Lease counts its transitions in 32 bits with a sign."""
_ADDRESS = labels.HOLDER_ADDRESS
"""Annotation: `<ip>:<port>` where the holder listens as long as its process lives; may be empty."""


class LeaderElection:
    """A candidate for one lease. No other live process may have the same `identity`."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        notes: Callable[[], Mapping[str, str]] = dict,
        timing: LeaseTiming = _TIMING,
    ) -> None:
        """Takes as `notes` what returns annotations to write at acquisition and with each renewal.

        HOLDER_ADDRESS among them is `<ip>:<port>`, on which this process listens while it lives.
        """
        self.epoch = 0
        """Of the newest acquisition by this process; 0 before the first."""
        self.holder = ""
        """The holder of the lease, as last seen; empty for a free lease."""
        self.acquired = ""
        """When the holder took it, as the lease says."""
        self.renewing = False
        """Whether the holder has renewed the lease since this candidate first saw it: it lives."""
        self.trouble = ""
        """Why the lease cannot be read or written just now; empty while it can."""
        self.kept = False
        """True: the end of `run` leaves the lease as it is, to run out or to go to the same identity."""
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._notes = notes
        self._timing = timing
        self._lease: Object = {}
        self._held = False
        self._renewed = 0.0
        self._seen: tuple[Any, ...] = ()
        self._seen_at = 0.0
        self._highest = 0
        self._changed = asyncio.Event()
        self._announce = Callbacks[[]](f"the lease {name} of {namespace}")

    @property
    def leading(self) -> bool:
        """True while the lease is held for certain, also in a process that was suspended and woke up."""
        return self._held and _monotonic() < self._renewed + self._timing.duration

    @property
    def leaderless(self) -> str:
        """Why no process leads, as far as this candidate sees; empty while one leads or soon will."""
        others = self.holder not in {"", self._identity}
        if not self.trouble or self.leading or (others and self._remaining(self._lease) > 0):
            return ""
        return f"no replica leads, because Lease {self._name} cannot be taken: {self.trouble}"

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back when `leading`, `holder` or `renewing` changes; returns what ends the subscription."""
        return self._announce.add(callback)

    async def run(self, lead: Callable[[int], Awaitable[None]]) -> None:
        """Runs `lead(epoch)` whenever the lease is held; cancels it when the lease is lost, and tries again.

        Returns when `lead` returns. On the way out, cancelled or not, the lease is released at once, unless
        it is `kept`.
        """
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(), name=f"watch-{self._name}")
                while True:
                    await self._acquire()
                    if await self._lead(lead):
                        break
                watching.cancel()
        finally:
            if self.kept:
                self._set_held(held=False)
            else:
                await self._release()

    async def _lead(self, lead: Callable[[int], Awaitable[None]]) -> bool:
        """Returns True when `lead` came to its end by itself."""
        log.info("leading", lease=self._name, namespace=self._namespace, epoch=self.epoch)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(_run(lead, self.epoch), name=f"lead-{self._name}")
            renewal = group.create_task(self._keep(), name=f"renew-{self._name}")
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            finished = work.done()
            if not finished:
                # Before `work` is cancelled: while its tasks end, their writes must be refused already.
                self._say_lost()
                self._set_held(held=False)
            work.cancel()
            renewal.cancel()
        return finished

    def _say_lost(self) -> None:
        place = {"lease": self._name, "namespace": self._namespace}
        log.warning("lost the lease", **place, epoch=self.epoch, holder=self.holder)

    async def _acquire(self) -> None:
        while True:
            # Before the request: other candidates may count the lease's duration from the moment when the
            # server stored it, so counting from the answer would let two processes lead.
            started = _monotonic()
            try:
                if await self._try_acquire():
                    self._renewed = started
                    self._set_held(held=True)
                    return
                self.trouble = ""
            except ApiError as error:
                self._note(error)
            await self._sleep(self._pause())

    async def _try_acquire(self) -> bool:
        try:
            lease = await self._client.get(LEASE, self._name, self._namespace)
        except NotFound:
            return await self._create()
        # Observed even when it is not free: how long the record stays unchanged is measured from here.
        self._observe(lease)
        return await self._is_free(lease) and await self._write(lease)

    async def _is_free(self, lease: Object) -> bool:
        if self.holder in {"", self._identity} or self._remaining(lease) <= 0:
            return True
        address = (lease["metadata"].get("annotations") or {}).get(_ADDRESS, "")
        missed = _monotonic() >= self._seen_at + self._timing.missed
        # Both are needed: a leader whose address refuses for a moment still renews, and a leader that misses
        # a renewal on a busy machine still accepts connections.
        return missed and bool(address) and await refuses(address)

    async def _create(self) -> bool:
        metadata = {"name": self._name, "namespace": self._namespace}
        lease: Object = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}
        with contextlib.suppress(AlreadyExists):
            self._accept(await self._client.create(self._taken(lease)))
            return True
        return False

    async def _write(self, lease: Object) -> bool:
        """Takes the lease as it was read; False when another candidate was quicker."""
        wanted = self._taken(lease)
        with contextlib.suppress(Conflict, NotFound):
            self._accept(await self._client.replace(wanted))
            return True
        return False

    def _accept(self, lease: Object) -> None:
        self._lease = lease
        self.epoch = int(lease["spec"]["leaseTransitions"])
        self._observe(lease)

    def _observe(self, lease: Object) -> None:
        """Notes the holder, and when the record was last seen to change."""
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        self._highest = max(self._highest, int(spec.get("leaseTransitions") or 0))
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        renewing = self.renewing
        if record != self._seen:
            renewing = bool(holder) and record[::2] == self._seen[::2]
            self._seen, self._seen_at = record, _monotonic()
        self.acquired = str(spec.get("acquireTime") or "")
        if (holder, renewing) != (self.holder, self.renewing):
            self.holder, self.renewing = holder, renewing
            self._announce()

    def _remaining(self, lease: Object) -> float:
        """Returns for how long the record must stay unchanged until the lease is free."""
        duration = float(lease.get("spec", {}).get("leaseDurationSeconds") or self._timing.duration)
        return self._seen_at + duration - _monotonic()

    def _pause(self) -> float:
        """Returns the time to the next look: sooner when the lease may be free sooner."""
        age = _monotonic() - self._seen_at
        ends = (end - age + 0.01 for end in (self._timing.missed, self._timing.duration) if end > age)
        return min((self._timing.poll, *ends))

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but not beyond the moment when the lease is free, another's or gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _watch(self) -> None:
        """Wakes `_sleep`, so that a released lease is taken at once; while no watch is open, the lease is
        polled."""
        fields = f"metadata.name={self._name}"
        while True:
            with contextlib.suppress(ApiError):
                listed = await self._client.list(LEASE, self._namespace, fields=fields)
                version = listed.resource_version
                async with self._client.open_watch(
                    LEASE, self._namespace, resource_version=version, fields=fields
                ) as events:
                    async for event in events:
                        self._take(event)
            await asyncio.sleep(self._timing.poll)

    def _take(self, event: WatchEvent) -> None:
        if event.type == "BOOKMARK":
            return
        gone = event.type == "DELETED"
        if not gone:
            self._observe(event.object)
        if gone or self.holder == "" or (self._held and not self._is_mine(event.object)):
            self._changed.set()

    async def _keep(self) -> None:
        """Renews until the lease is lost; then returns."""
        pause = self._timing.renew
        while True:
            await self._sleep(pause)
            started = _monotonic()
            try:
                # The request must not outlast `give_up`: it would end as a renewal of a lease that another
                # process may have taken meanwhile.
                async with asyncio.timeout(max(self._renewed + self._timing.give_up - started, 0.05)):
                    if not await self._renew():
                        return
                self._renewed = started
                self.trouble = ""
                pause = self._timing.renew
            except (ApiError, TimeoutError) as error:
                self._note(error)
                if _monotonic() >= self._renewed + self._timing.give_up:
                    return
                pause = self._timing.retry

    async def _renew(self) -> bool:
        """Writes a new renewTime. False when the lease is another's, or gone."""
        spec = {**self._lease["spec"], "renewTime": stamp_micro(utc_now())}
        try:
            self._lease = await self._client.replace({**self._annotated(self._lease), "spec": spec})
        except NotFound:
            return False
        except Conflict:
            # A person edited the lease, or an earlier renewal was stored without an answer. Only another
            # holder or epoch means that the lease is lost.
            self._lease = await self._client.get(LEASE, self._name, self._namespace)
            self._observe(self._lease)
            return self._is_mine(self._lease) and await self._renew()
        return True

    async def _release(self) -> None:
        """Frees the lease for the next one, if it is held; within 2 s, and without complaint if it cannot."""
        if not self._held:
            return
        # Before the request, which hands the lease to the next process at once.
        self._set_held(held=False)
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._write_release()
        except (ApiError, TimeoutError) as error:
            log.info("lease not released", lease=self._name, namespace=self._namespace, error=str(error))

    async def _write_release(self) -> None:
        """Writes the release. A cancelled renewal may have been written all the same: then the lease is read
        again."""
        spec = {**self._lease["spec"], "holderIdentity": "", "renewTime": stamp_micro(utc_now())}
        try:
            await self._client.replace({**self._lease, "spec": spec})
        except Conflict:
            found = await self._client.get(LEASE, self._name, self._namespace)
            if self._is_mine(found):
                await self._client.replace({**found, "spec": {**found["spec"], **spec}})

    def _is_mine(self, lease: Object) -> bool:
        """Says whether the lease is of this process's present term."""
        spec = lease.get("spec") or {}
        return (spec.get("holderIdentity"), spec.get("leaseTransitions")) == (self._identity, self.epoch)

    def _taken(self, lease: Object) -> Object:
        """Returns the lease as it is when this process has it, with an epoch above all that were seen."""
        now = stamp_micro(utc_now())
        counted = max(int((lease.get("spec") or {}).get("leaseTransitions") or 0), self.epoch)
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._timing.duration)),
            # A claim that passes between processes of one installation keeps the time of the first of them:
            # `bailie scope list` shows since when the installation owns the namespace.
            "acquireTime": self.acquired if self.kept and self.holder == self._identity else now,
            "renewTime": now,
            "leaseTransitions": next_epoch(self._highest, counted),
        }
        return {**self._annotated(lease), "spec": spec}

    def _annotated(self, lease: Object) -> Object:
        metadata = lease["metadata"]
        annotations = {**(metadata.get("annotations") or {}), _ADDRESS: "", **self._notes()}
        return {**lease, "metadata": {**metadata, "annotations": annotations}}

    def _set_held(self, *, held: bool) -> None:
        self._held = held
        LEADING.labels(self._namespace, self._name).set(held)
        self._announce()

    def _note(self, error: Exception) -> None:
        """Logs the first of a row of equal troubles."""
        trouble = str(error) or type(error).__name__
        if trouble != self.trouble:
            self.trouble = trouble
            log.warning("lease not reachable", lease=self._name, namespace=self._namespace, error=trouble)
            self._announce()


def next_epoch(highest: int, counted: int) -> int:
    """Returns the epoch of the next term: one above the highest that was seen.

    Where a lease cannot count to that, one above the present count (`counted`) or, at its end, 1.
    """
    above = (highest + 1, counted + 1, 1)
    return next(epoch for epoch in above if 0 < epoch <= LAST_EPOCH)


async def _run(lead: Callable[[int], Awaitable[None]], epoch: int) -> None:
    await lead(epoch)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()

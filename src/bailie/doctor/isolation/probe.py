"""One namespace under observation: a Model that no server can take, and requests that only read.

Used by `check`.

The probe requires a capability that no server offers. So its changes go the whole way through the scheduler,
to a decision and a status, and nothing is fetched, loaded or routed. Requests ask for a Model's metadata:
they take the way of inference requests, through Envoy to the server, and the model computes nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import LEASE, MODEL
from bailie.api.status import told_condition, told_number
from bailie.doctor.isolation.samples import IsolationRefused, Samples, Scheduling
from bailie.inference.client import ServerUnreachable
from bailie.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from bailie.scope.claim import SCHEDULER_LEASE

if TYPE_CHECKING:
    from bailie.inference.client import RestClient
    from bailie.kube.client import Client

PROBE = "bailie-isolation-probe"
_PAUSE_SECONDS = 0.5
"""Between a change that was seen and the next one."""
_REQUESTS_PER_SECOND = 5.0
_AT_A_TIME = 4
"""Requests of a load that wait for their answers at one moment."""


class NamespaceProbe:
    """Changes and requests of one namespace. `plane` is None where no request can be sent."""

    def __init__(
        self, client: Client, namespace: str, plane: RestClient | None, *, poll_seconds: float
    ) -> None:
        self.namespace = namespace
        self.model = ""
        """A Model that answers requests, empty for none."""
        self._client = client
        self._plane = plane
        self._poll = poll_seconds
        self._uid: str | None = None
        self._may_exist = False
        self._replicas = itertools.cycle((2, 1))

    async def begin(self) -> None:
        """Makes the probe and looks for a Model to ask. Raises IsolationRefused where the name is taken."""
        models = (await self._client.list(MODEL, self.namespace)).items
        ready = sorted(each["metadata"]["name"] for each in models if _is_ready(each))
        self.model = next(iter(ready), "")
        self._may_exist = True  # also where the answer is lost, or the check is ended while it waits for it
        try:
            made = await self._client.create(_manifest(self.namespace))
        except AlreadyExists as error:
            self._may_exist = False
            raise IsolationRefused(
                f"namespace {self.namespace} has a Model {PROBE}: another check runs, or one was killed",
                hint=f"`kubectl delete model {PROBE} --namespace {self.namespace}`, then check again",
            ) from error
        self._uid = str(made["metadata"]["uid"])
        if self._plane is not None and self.model:
            await _asked(self._plane, self.model)  # the first request opens the connection

    async def end(self) -> str:
        """Deletes the probe and waits until it is gone; returns why the API refused, empty for success."""
        if self._plane is not None:
            await self._plane.close()
        try:
            while self._may_exist:
                await self._client.delete(MODEL, PROBE, self.namespace, uid=self._uid)
                await asyncio.sleep(self._poll)
        except (NotFound, Conflict):  # gone, or another Model has the name by now
            pass
        except ApiError as error:
            return str(error)
        return ""

    async def change_until(self, ends: float, patience: float, samples: Samples) -> None:
        """Changes the probe again and again until the loop's time `ends`.

        A change that is under way then is waited for, at most `patience` seconds.
        """
        clock = asyncio.get_running_loop().time
        while clock() < ends:
            began = clock()
            generation = await self._change()
            while not await self._is_seen(generation):
                if clock() > ends + patience:
                    samples.unseen = clock() - began
                    return
                await asyncio.sleep(self._poll)
            samples.changes.append(clock() - began)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def flood_until(self, ends: float, per_second: float) -> None:
        """Changes the probe at a rate, without a look at what becomes of it."""
        clock = asyncio.get_running_loop().time
        while clock() < ends:
            due = clock() + 1 / per_second
            await self._change()
            await asyncio.sleep(max(0.0, due - clock()))

    async def ask_until(
        self, ends: float, samples: Samples, per_second: float = _REQUESTS_PER_SECOND
    ) -> None:
        """Sends requests, one after the other, at most `per_second`."""
        clock = asyncio.get_running_loop().time
        while self._plane is not None and self.model and clock() < ends:
            began = clock()
            problem = await _asked(self._plane, self.model)
            if problem:
                samples.failures.append(problem)
            else:
                samples.requests.append(clock() - began)
            await asyncio.sleep(max(0.0, began + 1 / per_second - clock()))

    async def load_until(self, ends: float, per_second: float, samples: Samples) -> None:
        """Sends requests, several at a time, at most `per_second` in all."""
        rate = per_second / _AT_A_TIME
        await asyncio.gather(*(self.ask_until(ends, samples, rate) for _ in range(_AT_A_TIME)))

    async def _change(self) -> int:
        body = {"spec": {"replicas": next(self._replicas)}}
        changed = await self._client.patch(MODEL, PROBE, self.namespace, body)
        return int(changed["metadata"]["generation"])

    async def _is_seen(self, generation: int) -> bool:
        probe = await self._client.get(MODEL, PROBE, self.namespace)
        return told_number(probe, "observedGeneration") >= generation


async def scheduling(client: Client, namespace: str) -> Scheduling:
    """Returns the scheduler that has the namespace's Lease. Its pod is named by the Lease at its home."""
    home, shared, _ = (holder := await _holder(client, namespace)).partition("/")
    if not shared:
        return Scheduling(namespace, holder) if holder else Scheduling()
    return Scheduling(home, await _holder(client, home))


async def _holder(client: Client, namespace: str) -> str:
    try:
        lease = await client.get(LEASE, SCHEDULER_LEASE, namespace)
    except NotFound:
        return ""
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


async def _asked(plane: RestClient, model: str) -> str:
    """Returns why the answer is none, empty for a good one."""
    try:
        answer = await plane.metadata(model)
    except ServerUnreachable as error:
        return str(error)
    return "" if answer.ok else f"{answer.status} {answer.body}"


def _is_ready(model: dict[str, Any]) -> bool:
    ready = told_condition(model, "Ready")
    return ready is not None and ready.status == "True"


def _manifest(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": MODEL.api_version,
        "kind": MODEL.kind,
        "metadata": {"name": PROBE, "namespace": namespace},
        "spec": {"storageUri": f"/{PROBE}", "requirements": [PROBE], "memory": "1", "replicas": 1},
    }

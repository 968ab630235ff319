"""Measures what the namespaces of an installation notice of each other. Called by the command line.

At rest, then with a bounded load on one namespace, then, if that is asked for, while one scheduler's leader
is replaced. The probes are deleted at the end, whatever ends the check.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from bailie.api.kinds import POD
from bailie.doctor.isolation.probe import PROBE, NamespaceProbe, scheduling
from bailie.doctor.isolation.report import IsolationReport, report
from bailie.doctor.isolation.samples import REST, IsolationPlan, IsolationRefused, Phase, Samples, Scheduling
from bailie.kube.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping

    from bailie.inference.client import RestClient
    from bailie.kube.client import Client

    OpenPlane: TypeAlias = Callable[[str], Awaitable[RestClient | None]]
    Say: TypeAlias = Callable[[str], None]
    Deed: TypeAlias = Callable[[float], Coroutine[None, None, None]]
    Probes: TypeAlias = Mapping[str, NamespaceProbe]

READS_PER_SECOND = 80.0
"""The most looks at all probes together; with many namespaces each is looked at less often."""
_CHANGES_TO_REQUESTS = 0.2
_CLEANING_SECONDS = 15.0
_PATIENCE_SECONDS, _REPLACEMENT_SECONDS = 5.0, 60.0
"""How long a change is waited for after its phase, and for the successor of an ended scheduler."""


async def check_isolation(
    client: Client, plan: IsolationPlan, *, open_plane: OpenPlane, say: Say
) -> IsolationReport:
    """Measures the namespaces of `plan` and returns the report.

    `open_plane` returns a client of a namespace's data plane, None where it has none; the check closes it.
    `say` is told each deed before it is done.

    Raises:
        IsolationRefused: A probe's name is taken, or the scheduler to end is not there.
        ApiError: The API is away, or the account lacks a right. The probes are deleted before.
    """
    found = await asyncio.gather(*(scheduling(client, each) for each in plan.namespaces))
    scheduled = dict(zip(plan.namespaces, found, strict=True))
    if plan.end_scheduler_of:
        _endable(scheduled[plan.end_scheduler_of], plan.end_scheduler_of)
    async with _probes(client, plan, open_plane, say) as probes:
        say(f"{plan.seconds:g} s at rest")
        phases = [Phase(name=REST, samples=await _phase(plan, probes, patience=_PATIENCE_SECONDS))]
        if plan.load_per_second:
            phases.append(await _loaded(plan, probes, say))
        if plan.end_scheduler_of:
            phases.append(await _without_scheduler(client, plan, probes, say))
    return report(phases, scheduled)


@asynccontextmanager
async def _probes(
    client: Client, plan: IsolationPlan, open_plane: OpenPlane, say: Say
) -> AsyncIterator[dict[str, NamespaceProbe]]:
    """Makes the probes, and deletes those that were made when the block ends."""
    poll = max(0.05, len(plan.namespaces) / READS_PER_SECOND)
    say(f"making a Model {PROBE}, which no server can take, in {', '.join(plan.namespaces)}")
    probes: dict[str, NamespaceProbe] = {}
    try:
        for namespace in plan.namespaces:
            plane = await open_plane(namespace)
            probes[namespace] = NamespaceProbe(client, namespace, plane, poll_seconds=poll)
            await probes[namespace].begin()
        yield probes
    finally:
        await asyncio.gather(*(_ended(probe, say) for probe in probes.values()))


async def _ended(probe: NamespaceProbe, say: Say) -> None:
    try:
        async with asyncio.timeout(_CLEANING_SECONDS):
            problem = await probe.end()
    except TimeoutError:
        problem = f"it was not gone after {_CLEANING_SECONDS:g} s"
    if problem:
        say(
            f"Model {probe.namespace}/{PROBE} is still there: {problem}\n"
            f"hint: `kubectl delete model {PROBE} -n {probe.namespace}`; its scheduler lets it go"
        )


async def _phase(plan: IsolationPlan, probes: Probes, *deeds: Deed, patience: float) -> dict[str, Samples]:
    """Observes every namespace for the seconds of a phase; each deed is given the loop's time of its end."""
    samples = {namespace: Samples() for namespace in probes}
    ends = asyncio.get_running_loop().time() + plan.seconds
    work = [deed(ends) for deed in deeds]
    for namespace, probe in probes.items():
        work.append(probe.change_until(ends, patience, samples[namespace]))
        work.append(probe.ask_until(ends, samples[namespace]))
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return samples


async def _loaded(plan: IsolationPlan, probes: Probes, say: Say) -> Phase:
    namespace, rate = plan.loaded_namespace, plan.load_per_second
    probe, changes, sent = probes[namespace], rate * _CHANGES_TO_REQUESTS, Samples()
    asked = f"{rate:g} requests a second to its Model {probe.model} and " if probe.model else ""
    say(f"{plan.seconds:g} s load on {namespace}: {asked}{changes:g} changes a second of its probe")
    samples = await _phase(
        plan,
        probes,
        lambda ends: probe.load_until(ends, rate, sent),
        lambda ends: probe.flood_until(ends, changes),
        patience=_PATIENCE_SECONDS,
    )
    return Phase(name=f"load on {namespace}", target=namespace, samples=samples, load=sent)


async def _without_scheduler(client: Client, plan: IsolationPlan, probes: Probes, say: Say) -> Phase:
    namespace = plan.end_scheduler_of

    async def end(_: float) -> None:
        leader = _endable(await scheduling(client, namespace), namespace)
        say(f"ending pod {leader}, the scheduler of {namespace}")
        try:
            await client.delete(POD, leader.pod, leader.home)
        except NotFound as error:
            raise IsolationRefused(f"pod {leader} is gone already", hint="check again") from error

    samples = await _phase(plan, probes, end, patience=_REPLACEMENT_SECONDS)
    return Phase(name=f"scheduler of {namespace} ended", target=namespace, samples=samples)


def _endable(leader: Scheduling, namespace: str) -> Scheduling:
    if not leader.pod:
        raise IsolationRefused(
            f"no scheduler leads in namespace {namespace}, so none can be ended",
            hint=f"`bailie doctor -n {namespace}` says why",
        )
    return leader

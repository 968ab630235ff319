"""How the Models of namespaces are used now, as their schedulers say: the facts that `bailie top` shows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import SELDON_RUNTIME
from bailie.local.errors import LocalError
from bailie.local.scheduler_answers import ask_scheduler, not_heard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.kube.client import Client
    from bailie.local.scheduler_answers import SchedulerAnswer


async def namespaces_with_schedulers(client: Client) -> list[str]:
    """Returns all namespaces that have a SeldonRuntime, in order. Raises ApiError."""
    return sorted({each["metadata"]["namespace"] for each in (await client.list(SELDON_RUNTIME)).items})


async def models_in_use(client: Client, namespaces: Iterable[str]) -> list[dict[str, Any]]:
    """Returns the rows of `control.usage` for all Models of the namespaces, each with its `namespace`.

    Raises:
        LocalError: no scheduler of a namespace answers.
    """
    asked = list(namespaces)
    answers = await asyncio.gather(*(ask_scheduler(client, each, f"top/{each}") for each in asked))
    return [
        {"namespace": namespace, **row}
        for namespace, answer in zip(asked, answers, strict=True)
        for row in rows_of(namespace, answer)
    ]


def rows_of(namespace: str, answer: SchedulerAnswer) -> list[dict[str, Any]]:
    """Returns the rows of an answer. Raises LocalError where there is none."""
    if answer.value is not None:
        return list(answer.value["models"])
    if not answer.pods:
        raise LocalError(
            f"no scheduler runs for namespace {namespace}",
            hint=f"is the namespace served? `bailie doctor -n {namespace}` says what is missing",
        )
    if answer.forbidden:
        raise LocalError(
            f"you may not ask the scheduler of namespace {namespace}: it takes the right to get pods/proxy",
            hint="ask for the right; within the cluster the scheduler's /metrics has the requests, too",
        )
    if answer.unheard:
        raise LocalError(
            not_heard(answer.unheard[0]), hint=f"see `bailie doctor -n {namespace}` for the scheduler's state"
        )
    raise LocalError(
        f"no scheduler leads in namespace {namespace} now",
        hint="a new leader is there within seconds; else see `bailie doctor`",
    )

"""Asks the leading scheduler of a namespace a question over HTTP, for `explanation` and `usage`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from bailie.api.kinds import POD, SELDON_RUNTIME, SERVICE
from bailie.api.seldon_config import SCHEDULER
from bailie.inference.bodies import fetch
from bailie.inference.trust import trusted
from bailie.kube.errors import ApiError, Forbidden, NotFound
from bailie.scope.central import asked_of, redirected_to
from bailie.wellknown import labels, names, ports

if TYPE_CHECKING:
    from bailie.kube.client import Client

SCHEDULER_HTTP_PORT = ports.HEALTH
TIMEOUT_SECONDS = 2.0
LONGEST_ANSWER = 32 * 1024 * 1024
_UNHEARD = (
    "pod {pod} did not answer the API server{then}; if it runs, a NetworkPolicy may be in the way:"
    " networkPolicies.apiServer of the chart seldon-core-v2-runtime"
)


@dataclass(frozen=True, slots=True)
class SchedulerAnswer:
    """The answer of a scheduler, None where none gave one.

    `pods` are the schedulers' pods that were asked, `unheard` those that could not be reached, `forbidden`
    says that the account may not ask them through the API server, and nothing else led there.
    """

    value: dict[str, Any] | None = None
    pods: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    forbidden: bool = False


async def ask_scheduler(client: Client, namespace: str, path: str) -> SchedulerAnswer:
    """Asks through the API, which reaches pods that this machine may not reach; without that right, asks them
    directly."""
    place = await _scheduled_from(client, namespace)
    found = (await client.list(POD, place, labels=labels.selector(labels.NAME, names.SCHEDULER))).items
    pods, unheard, forbidden = tuple(f"{place}/{each['metadata']['name']}" for each in found), [], False
    for pod, manifest in zip(pods, found, strict=True):
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await client.ask_pod(manifest["metadata"]["name"], place, SCHEDULER_HTTP_PORT, path)
            return SchedulerAnswer(dict(answer), pods)
        except Forbidden:
            forbidden = True
            if told := await _asked_directly(manifest, path):
                return SchedulerAnswer(told, pods)
        except NotFound:
            continue  # a standby, or it does not know the name
        except (ApiError, TimeoutError):
            unheard.append(pod)
    return SchedulerAnswer(None, pods, tuple(unheard), forbidden)


def not_heard(pod: str, then: str = "") -> str:
    """Returns the sentence about a pod that did not answer; `then` says what follows, after a comma."""
    return _UNHEARD.format(pod=pod, then=f", {then}" if then else "")


async def _asked_directly(pod: dict[str, Any], path: str) -> dict[str, Any]:
    address = pod.get("status", {}).get("podIP")
    if not address:
        return {}
    url = f"http://{address}:{SCHEDULER_HTTP_PORT}/{path}"
    async with httpx2.AsyncClient(trust_env=False, verify=trusted(url)) as http:
        try:
            answer = await fetch(http, "GET", url, most=LONGEST_ANSWER, seconds=TIMEOUT_SECONDS)
            return dict(json.loads(answer.content)) if answer.is_success else {}
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TypeError):
            return {}  # the process that answers there is no scheduler


async def _scheduled_from(client: Client, namespace: str) -> str:
    """Returns the namespace whose scheduler serves this one: its own unless an object says otherwise."""
    try:
        runtimes = (await client.list(SELDON_RUNTIME, namespace)).items
        other = asked_of(runtimes[0]) if runtimes else ""
        return other or redirected_to(await client.get(SERVICE, SCHEDULER, namespace)) or namespace
    except (Forbidden, NotFound):
        return namespace

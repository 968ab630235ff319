"""Why a model is where it is: from the scheduler if it can be reached, else from the Model's status. And who
gets the requests of an experiment: from its status and those of its Models."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx2

from bailie.api.kinds import EXPERIMENT, MODEL, POD, SELDON_RUNTIME, SERVICE
from bailie.api.seldon_config import SCHEDULER
from bailie.inference.bodies import fetch
from bailie.kube.errors import ApiError, Forbidden, NotFound
from bailie.local.readiness import condition
from bailie.scope.central import asked_of, redirected_to
from bailie.wellknown import labels, names, ports

if TYPE_CHECKING:
    from bailie.kube.client import Client

SCHEDULER_HTTP_PORT = ports.HEALTH
TIMEOUT_SECONDS = 2.0
LONGEST_ANSWER = 32 * 1024 * 1024
_UNHEARD = (
    "pod {pod} did not answer the API server, so this is from the Model's status; if it runs, a NetworkPolicy"
    " may be in the way: networkPolicies.apiServer of the chart seldon-core-v2-runtime"
)


async def explanation(client: Client, namespace: str, name: str) -> dict[str, Any]:
    """Returns `model`, `summary`, `conditions`, and `trail`: a line per replica that was looked at."""
    model = await client.get(MODEL, name, namespace)
    scheduled = condition(model, "Scheduled")
    summary = scheduled.get("message") or await _why_nobody_looked(client, namespace)
    told, unheard = await _asked(client, namespace, name)
    return {
        "model": name,
        "namespace": namespace,
        "summary": told.get("summary") or summary,
        "conditions": model.get("status", {}).get("conditions", []),
        "trail": told.get("trail", unheard),
        "detail": told,
    }


async def experiment_explanation(client: Client, namespace: str, name: str) -> dict[str, Any]:
    """Returns `experiment`, `summary`, `conditions`, and `trail`: a line per name and per Model."""
    experiment = await client.get(EXPERIMENT, name, namespace)
    spec, active = experiment["spec"], condition(experiment, "ExperimentReady")
    summary = active.get("message") or await _why_nobody_looked(client, namespace)
    default = spec.get("default")
    callers = f"callers of {name}.experiment{f' and of {default}' if default else ''} are shared"
    roles = {each["name"]: f"weight {each['weight']}" for each in spec.get("candidates") or ()}
    if mirror := spec.get("mirror"):
        roles[mirror["name"]] = f"mirror of {mirror['percent']} %"
    return {
        "experiment": name,
        "namespace": namespace,
        "summary": summary,
        "conditions": experiment.get("status", {}).get("conditions", []),
        "trail": [callers, *[await _target(client, namespace, model, role) for model, role in roles.items()]],
    }


async def _target(client: Client, namespace: str, model: str, role: str) -> str:
    try:
        ready = condition(await client.get(MODEL, model, namespace), "ModelReady")
    except NotFound:
        return f"{model}: {role}; there is no such Model"
    return f"{model}: {role}; {ready.get('message') or ready.get('reason') or 'nobody has looked at it'}"


async def _why_nobody_looked(client: Client, namespace: str) -> str:
    try:
        runtimes = (await client.list(SELDON_RUNTIME, namespace)).items
    except ApiError:
        runtimes = []
    else:
        if not runtimes:
            return (
                f"no scheduler has looked at it, for namespace {namespace} has no SeldonRuntime: the chart"
                " seldon-core-v2-runtime makes one"
            )
    return "no scheduler has looked at it: is its namespace served?"


async def _asked(client: Client, namespace: str, name: str) -> tuple[dict[str, Any], list[str]]:
    """Asks through the API, which reaches pods that this machine may not reach; without that right, asks them
    directly.

    Returns the answer, and a line for each scheduler that gave none, with what may be in the way.
    """
    unheard = []
    place, path = await _scheduled_from(client, namespace), f"explain/{namespace}/{name}"
    pods = (await client.list(POD, place, labels=labels.selector(labels.NAME, names.SCHEDULER))).items
    for pod in pods:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await client.ask_pod(pod["metadata"]["name"], place, SCHEDULER_HTTP_PORT, path)
            return dict(answer), []
        except Forbidden:
            if told := await _asked_directly(pod, path):
                return told, []
        except NotFound:
            continue  # a standby, or it does not know the model
        except (ApiError, TimeoutError):
            unheard.append(_UNHEARD.format(pod=f"{place}/{pod['metadata']['name']}"))
    return {}, unheard


async def _asked_directly(pod: dict[str, Any], path: str) -> dict[str, Any]:
    address = pod.get("status", {}).get("podIP")
    if not address:
        return {}
    url = f"http://{address}:{SCHEDULER_HTTP_PORT}/{path}"
    async with httpx2.AsyncClient(trust_env=False) as http:
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

"""Makes the leader the only endpoint of the Service `seldon-scheduler`.

Run by `run` for its own namespace and by `served_namespace` for each further one, as long as a term lasts.
The Service has no selector; its EndpointSlice is made by the operator with everything but the endpoints, and
the leader writes itself into it. Other ways were worse: readiness that only the leader has makes every
standby look broken and no roll-out ends; a label on the leader's pod needs the right to patch pods, which is
the right to run anything. This way needs `get` and `patch` of one named object. The address of a former
leader refuses connections until the next leader has written its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import ENDPOINT_SLICE
from bailie.api.seldon_config import SCHEDULER
from bailie.kube.errors import ApiError, NotFound, Withheld

if TYPE_CHECKING:
    from bailie.kube.client import Client, Object
    from bailie.scheduler.settings import SchedulerSettings

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
"""Between two reads of the slice, which may have been deleted and made anew."""
RETRY_SECONDS = 0.5


async def keep_endpoint(client: Client, settings: SchedulerSettings, namespace: str) -> None:
    """Keeps this process the only endpoint of the namespace's Service until cancelled.

    `client` writes only while the lease is held.
    """
    wanted, trouble = [_endpoint(settings)], ""
    while True:
        try:
            await _converge(client, namespace, wanted)
            pause, trouble = CHECK_SECONDS, ""
        except Withheld:  # not certain at this moment that this process leads: the term ends, or goes on
            pause = RETRY_SECONDS
        except NotFound:  # the operator has not made it yet, or none does: agents are then told an address
            pause = RETRY_SECONDS
        except ApiError as error:
            pause = RETRY_SECONDS
            if str(error) != trouble:
                trouble = str(error)
                log.warning("leader's endpoint not written", error=trouble)
        await asyncio.sleep(pause)


async def _converge(client: Client, namespace: str, wanted: list[Object]) -> None:
    found = await client.get(ENDPOINT_SLICE, SCHEDULER, namespace)
    if found.get("endpoints") == wanted:
        return
    await client.patch(ENDPOINT_SLICE, SCHEDULER, namespace, {"endpoints": wanted})
    log.info("leader's endpoint written", address=wanted[0]["addresses"][0])


def _endpoint(settings: SchedulerSettings) -> Object:
    pod = {"kind": "Pod", "namespace": settings.namespace, "name": settings.pod_name}
    return {
        "addresses": [settings.address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": pod,
    }

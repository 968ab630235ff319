"""Reviews the operator's rights in its own namespace, at the start and while it runs.

Run by `run` in every replica, leading or not: without these rights no replica can lead, nor report the reason
anywhere but in its log and its metrics.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.kube.errors import ApiError
from bailie.kube.reviews import own_missing_rights
from bailie.manifests.rbac import OPERATOR_HOME_RULES
from bailie.scope.rights import named, rights_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.kube.client import Client
    from bailie.scope.rights import Right

log = structlog.get_logger(__name__)

RECHECK_SECONDS = 30.0
"""Between two reviews while all rights are held."""
_MENDING_SECONDS = 3.0


async def watch_own_rights(client: Client, namespace: str, tell: Callable[[tuple[Right, ...]], None]) -> None:
    """Calls `tell` with the missing rights whenever they change, until cancelled; logs them verb by verb."""
    needed = rights_of(OPERATOR_HOME_RULES)
    said: tuple[Right, ...] = ()
    while True:
        try:
            missing = await own_missing_rights(client, namespace, needed)
        except ApiError as error:
            log.debug("rights in own namespace not reviewed", namespace=namespace, error=str(error))
            missing = said
        if missing != said:
            said = missing
            tell(missing)
            if missing:
                log.warning(
                    "rights in own namespace are missing", namespace=namespace, missing=named(missing)
                )
            else:
                log.info("rights in own namespace are complete", namespace=namespace)
        await asyncio.sleep(_MENDING_SECONDS if missing else RECHECK_SECONDS)

"""Publishes the status of each namespace of the scope: in the log, as Kubernetes Events, and in a ConfigMap.

Owned by `run`, one for each term. It is told of changes and reads the scope; it decides nothing. `bailie
scope list` and `bailie doctor` show the ConfigMap, because the operator's own HTTP port is not reachable from
a user's machine.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import structlog

from bailie import __version__
from bailie.api.kinds import CONFIG_MAP, LEASE
from bailie.kube.clock import stamp, utc_now
from bailie.kube.errors import ApiError
from bailie.kube.events import EventType
from bailie.manifests.rbac import SCOPE_STATUS
from bailie.scope.claim import CLAIM_LEASE, ELECTION_LEASE, STATUS_KEY
from bailie.scope.namespace_status import NamespaceState, NamespaceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.api.problems import Problem
    from bailie.kube.client import Client, Object
    from bailie.kube.events import Recorder
    from bailie.operator.scope import Scope
    from bailie.operator.settings import OperatorSettings

log = structlog.get_logger(__name__)

_FIELD_MANAGER = ELECTION_LEASE
_AT_MOST_EVERY_SECONDS = 1.0
_AGAIN_SECONDS = 10.0
_PASSING = frozenset({"NotLookedAt", "NotClaimed", "NotListed"})
"""Reasons that last for moments only: shown in the debug log and in the ConfigMap, but not as Events."""


class Announcer:
    """Follows the scope of one term."""

    def __init__(self, client: Client, recorder: Recorder, scope: Scope, settings: OperatorSettings) -> None:
        self._client = client
        self._recorder = recorder
        self._scope = scope
        self._installation = settings.installation
        self._about = _about(settings)
        self._problems: Callable[[], tuple[Problem, ...]] = tuple
        self._said: dict[str, NamespaceStatus] = {}
        self._since: dict[str, str] = {}
        self._touched = asyncio.Event()
        scope.subscribe(self._take)

    def follow_problems(self, problems: Callable[[], tuple[Problem, ...]]) -> Callable[[], None]:
        """Publishes these problems too; returns the function to call when they change."""
        self._problems = problems
        return self._take_problems

    async def run(self) -> None:
        """Writes the ConfigMap after each change, until cancelled."""
        said = ""
        while True:
            try:
                await self._client.apply(self._manifest(), field_manager=_FIELD_MANAGER, force=True)
                said = ""
            except ApiError as error:
                if str(error) != said:
                    log.warning("status of namespaces not published", error=str(error))
                said = str(error)
                self._touched.set()
            await asyncio.sleep(_AGAIN_SECONDS if said else _AT_MOST_EVERY_SECONDS)
            await self._touched.wait()
            self._touched.clear()

    def document(self) -> dict[str, Any]:
        """Returns the published document."""
        namespaces = {
            name: {**status.manifest(), "since": status.since or self._since.get(name, "")}
            for name, status in self._scope.statuses().items()
        }
        return {
            "installation": self._installation,
            "version": __version__,
            "problems": [str(problem) for problem in self._problems()],
            "namespaces": namespaces,
        }

    def _manifest(self) -> Object:
        metadata = {"name": SCOPE_STATUS, "namespace": self._about["metadata"]["namespace"]}
        data = {STATUS_KEY: json.dumps(self.document(), indent=1)}
        return {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": metadata,
            "data": data,
        }

    def _take_problems(self) -> None:
        for problem in self._problems():
            self._recorder.event(self._about, EventType.WARNING, f"List{problem.reason}", str(problem))
        self._touched.set()

    def _take(self, namespace: str) -> None:
        status = self._scope.status(namespace)
        before = self._said.pop(namespace, None)
        if status is None:
            self._since.pop(namespace, None)
        else:
            self._said[namespace] = status
            if before is None or before.state != status.state:
                self._since[namespace] = stamp(utc_now())
            if before is None or _news(before) != _news(status):
                self._tell(namespace, status)
        if status != before:
            self._touched.set()

    def _tell(self, namespace: str, status: NamespaceStatus) -> None:
        if status.reason in _PASSING:
            log.debug("namespace status", namespace=namespace, reason=status.reason)
            return
        good = status.state is NamespaceState.SERVED
        values = {"namespace": namespace, "state": status.state.value, "reason": status.reason}
        if good:
            log.info("namespace served", **values)
        else:
            log.warning("namespace not served as wanted", **values, message=status.message)
        kind = EventType.NORMAL if good else EventType.WARNING
        reason = "NamespaceServed" if good else status.reason
        self._recorder.event(self._about, kind, reason, f"{namespace}: {status.message or 'is served'}")
        if status.reason == "ClaimedByAnother":
            text = f"{self._installation} does not act there: {status.message}"
            self._recorder.event(_claim(namespace), EventType.WARNING, status.reason, text)


def _news(status: NamespaceStatus) -> tuple[object, ...]:
    return status.state, status.reason, status.owner, status.missing


def _about(settings: OperatorSettings) -> Object:
    """Returns the object that Events on the scope regard: the list, or the operator's Lease where there is
    none."""
    name = settings.scope_config_map
    kind = CONFIG_MAP if name else LEASE
    metadata = {"name": name or ELECTION_LEASE, "namespace": settings.namespace}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _claim(namespace: str) -> Object:
    metadata = {"name": CLAIM_LEASE, "namespace": namespace}
    return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}

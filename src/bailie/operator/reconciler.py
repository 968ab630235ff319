"""The common part of the reconciliation of SeldonRuntimes and of Servers.

A Controller passes keys to `reconcile`. The steps: read the cache, check, find the configuration, converge,
report. Workloads are owned by the object, so the API deletes them with it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from bailie.api.problems import told_problems
from bailie.api.resource import Resource
from bailie.kube.controller import Result
from bailie.kube.errors import ApiError, Conflict, Unreachable
from bailie.manifests.checks import template_problems
from bailie.manifests.fences import forbidden
from bailie.operator.cache import MissingConfig
from bailie.operator.conditions import (
    SCHEDULER_REFUSED,
    config_current,
    failed,
    refused,
    scheduler_refused,
    unmet,
)
from bailie.operator.config_pins import ConfigPins, config_status
from bailie.scope.central import asked_of
from bailie.workloads.port import WorkloadRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bailie.api.problems import Problem
    from bailie.api.status import Condition
    from bailie.kube.client import Object
    from bailie.kube.informer import Key
    from bailie.manifests.fences import Fence, Origin
    from bailie.manifests.workload import Workload
    from bailie.operator.cache import OperatorCache
    from bailie.operator.central_schedulers import CentralSchedulers
    from bailie.operator.config_pins import PinnedConfig
    from bailie.operator.reporter import Reporter
    from bailie.workloads.port import Workloads

RESYNC_SECONDS = 300.0
"""Between two reconciliations of an object that nothing has triggered; they repair changes that no watch
shows."""
OTHERS_SECONDS = 30.0
"""How soon to look again while objects of others are in the places of the operator's own: not all are
watched."""
PENDING_SECONDS = 1.0
"""How soon to look again while the configurations are not listed yet, or while a scheduler hands a namespace
over."""

R = TypeVar("R", bound=Resource)
C = TypeVar("C", bound=Resource)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a reconciliation: conditions, further fields of the status, whether all workloads were
    made, after how many seconds to look again, and warnings about the object's fields."""

    conditions: Sequence[Condition]
    fields: Mapping[str, Any] = field(default_factory=dict)
    made: bool = True
    again: float = RESYNC_SECONDS
    warnings: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Ensured:
    """Why a workload is refused, empty when it is not, and the objects of others in the places of its own."""

    refusal: str = ""
    others: Sequence[Object] = ()


class Using(Generic[C]):
    """The configuration that an object is served with, and the condition that tells of it."""

    def __init__(self, config: C, choice: PinnedConfig, kind: str) -> None:
        self.config = config
        self.frozen = choice.frozen
        """No workload may be changed, only observed."""
        self.condition = config_current(kind, config.metadata.name, pending=choice.pending)


class Reconciler(Generic[R, C]):
    """Runs the workloads of the objects of one kind, each with the configuration that its object names."""

    resource: ClassVar[type[Resource]]
    config: ClassVar[type[Resource]]

    def __init__(
        self,
        cache: OperatorCache,
        workloads: Workloads,
        reporter: Reporter,
        *,
        central_schedulers: CentralSchedulers,
        fence: Fence,
    ) -> None:
        self._cache = cache
        self._workloads = workloads
        self._reporter = reporter
        self._central_schedulers = central_schedulers
        self._fence = fence
        self._pins = ConfigPins()
        self._remembered: dict[str, dict[str, str]] = {}
        """The uids of the objects of which anything is remembered, by namespace and name."""

    def config_name(self, resource: R) -> str:
        """Returns the name of the configuration that the object asks for."""
        raise NotImplementedError

    def objection(self, resource: R) -> Condition | None:
        """Returns why the object is not served although it is valid, None to serve it."""
        namespace = resource.metadata.namespace
        other = self._central_schedulers.refused_by(namespace)
        if not other or other != asked_of(self._cache.runtime_of(namespace)):
            return None
        text = scheduler_refused(other, namespace)
        return unmet(SCHEDULER_REFUSED, f"running pods stay as they are: {text}")

    async def converge(self, resource: R, using: Using[C]) -> Outcome:
        """Ensures the object's workloads and returns their observed state. Raises ApiError."""
        raise NotImplementedError

    def forget(self, key: Key) -> None:
        """Drops the memory of an object that was deleted, or is of a namespace that left the scope."""
        namespace, name = key
        known = self._remembered.get(namespace, {})
        uid = known.pop(name, "")
        if not known:
            self._remembered.pop(namespace, None)
        self._pins.forget(uid)
        self._reporter.forget(uid)

    def forget_namespace(self, namespace: str) -> None:
        """Drops the memory of all objects of a namespace that left the scope.

        Another operator may serve the namespace until it comes back: then its objects are looked at as at a
        start.
        """
        for name in tuple(self._remembered.get(namespace, ())):
            self.forget((namespace, name))
        self._workloads.forget_namespace(namespace)

    async def reconcile(self, key: Key) -> Result | None:
        """Converges on one object. Raises ApiError."""
        manifest = self._cache.get(self.resource.resource_kind, key)
        if (
            manifest is None
            or not self._cache.is_known(key[0])
            or manifest["metadata"].get("deletionTimestamp")
        ):
            return None
        uid = manifest["metadata"]["uid"]
        if self._remembered.get(key[0], {}).get(key[1], uid) != uid:  # no watch has shown that it was deleted
            self.forget(key)
        self._remembered.setdefault(key[0], {})[key[1]] = uid
        try:
            return await self._fenced(manifest)
        finally:
            self._forget_unless_there(key, uid)

    def _forget_unless_there(self, key: Key, uid: str) -> None:
        """Drops the memory of an object that went while it was reconciled, which remembers it anew."""
        present = self._cache.get(self.resource.resource_kind, key)
        if present is None or present["metadata"]["uid"] != uid:
            self._remembered.setdefault(key[0], {})[key[1]] = uid
            self.forget(key)

    async def _fenced(self, manifest: Object) -> Result | None:
        """Reconciles; a mistake of Bailie's own is told in the status before the queue tries again."""
        try:
            return await self._reconcile(manifest)
        except (ApiError, TimeoutError):
            raise
        except Exception as error:
            await self._report_failure(manifest, failed(self.resource.resource_kind.kind, error))
            raise

    async def _report_failure(self, manifest: Object, condition: Condition) -> None:
        """Reports a failure whose exception goes on to the log. A status that cannot be written just now must
        not take its place there."""
        with suppress(ApiError, TimeoutError):
            await self._reporter.report(manifest, [condition])

    async def _reconcile(self, manifest: Object) -> Result | None:
        parsed, problems = self.resource.parse(manifest)
        self._reporter.warn(manifest, problems)
        if parsed is None:
            return await self._refuse(manifest, [refused(problems)])
        resource = cast("R", parsed)
        objection = self.objection(resource)
        if objection is not None:
            return await self._refuse(manifest, [objection])
        return await self._with_config(manifest, resource)

    async def _with_config(self, manifest: Object, resource: R) -> Result:
        kind, name = self.config.resource_kind, self.config_name(resource)
        present = self._cache.config(kind, name, manifest["metadata"]["namespace"])
        choice = self._pins.choose(manifest, present)
        if isinstance(choice, MissingConfig):
            if choice.pending:
                return Result(PENDING_SECONDS)
            return await self._refuse(manifest, [unmet(f"{kind.kind}NotFound", choice.message)])
        config, problems = self.config.parse(choice.config)
        if config is None:
            text = f'{kind.kind} "{name}": {refused(problems).message}'
            return await self._refuse(manifest, [unmet(f"{kind.kind}Invalid", text)])
        self._reporter.warn(manifest, [replace(p, path=f'{kind.kind} "{name}" {p.path}') for p in problems])
        using = Using(cast("C", config), choice, kind.kind)
        found = await self._converge(manifest, resource, using)
        self._reporter.warn(manifest, found.warnings)
        fields = dict(found.fields)
        if found.made and not choice.frozen:
            self._pins.keep(manifest, choice.config)
            fields |= config_status(manifest, choice.config)
        await self._reporter.report(manifest, [*found.conditions, using.condition], fields)
        return Result(found.again)

    async def _converge(self, manifest: Object, resource: R, using: Using[C]) -> Outcome:
        """Converges; a lasting refusal by the API is reported before the next try."""
        try:
            return await self.converge(resource, using)
        except (Conflict, Unreachable):
            raise
        except ApiError as error:
            text = f"what the {self.resource.resource_kind.kind} needs could not be made: {error}"
            await self._report_failure(manifest, unmet("WorkloadFailed", text))
            raise

    async def _ensure(self, workload: Workload, origin: Origin) -> Ensured:
        """Ensures a workload; running pods of a refused one go on.

        `origin`: where its pods come from. Raises ApiError.
        """
        problems = template_problems(workload)
        if problems:
            return Ensured(told_problems(problems))
        beyond = forbidden(workload, self._fence, origin)
        if beyond:
            return Ensured(beyond)
        try:
            return Ensured(others=await self._workloads.ensure(workload))
        except WorkloadRefused as refusal:
            return Ensured(str(refusal))

    async def _refuse(self, manifest: Object, conditions: Sequence[Condition]) -> Result:
        await self._reporter.report(manifest, conditions)
        return Result(RESYNC_SECONDS)

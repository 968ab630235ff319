"""The operator against the embedded API, with the rights that an installation gives it and pods in memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.api import Api, running_api
from tests.support.manifests import manifest_of
from tests.support.waiting import until_true
from tests.support.workloads import MemoryWorkloads

from bailie.api.kinds import EVENT
from bailie.kube.client import Client
from bailie.kube.errors import AlreadyExists
from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.manifests.rbac import (
    OPERATOR_ACCOUNT,
    OPERATOR_STATEFUL_RULES,
    RbacRule,
    role_manifests,
)
from bailie.operator.run import Adapter, Operator
from bailie.operator.settings import OperatorSettings

_numbers = itertools.count(1)


@dataclass
class Installation:
    """Namespaces, rights and configurations, and the clients of administrator and operator."""

    api: Api
    admin: Client
    client: Client
    home: str
    namespaces: tuple[str, ...]
    workloads: MemoryWorkloads = field(default_factory=MemoryWorkloads)
    rules: tuple[RbacRule, ...] = OPERATOR_STATEFUL_RULES

    @property
    def a(self) -> str:
        return self.namespaces[0]

    @property
    def b(self) -> str:
        return self.namespaces[1]

    @property
    def adapter(self) -> Adapter:
        return Adapter(lambda _: self.workloads, self.rules)

    def settings(self, **changes: Any) -> OperatorSettings:
        values = {"namespace": self.home, "pod_name": "operator-0", "port": 0, "watch": self.namespaces}
        return OperatorSettings(**{**values, **changes})

    async def grant(self, *namespaces: str) -> None:
        """The rights that an installation gives, one after the other: each request beside another one opens a
        connection, which takes longer than the request."""
        for manifest in (each for namespace in namespaces for each in role_manifests(namespace, self.home)):
            await self.put(manifest)

    async def put(self, manifest: dict[str, Any]) -> None:
        with contextlib.suppress(AlreadyExists):
            await self.admin.create(manifest)

    async def make(self, kind: str, name: str, spec: dict[str, Any], namespace: str | None = None) -> None:
        manifest = manifest_of(kind, name, spec, namespace or self.a)
        del manifest["metadata"]["uid"]
        await self.admin.create(manifest)

    async def condition(
        self, kind: Any, name: str, condition: str = "Ready", namespace: str | None = None
    ) -> Any:
        manifest = await self.admin.get(kind, name, namespace or self.a)
        found = manifest.get("status", {}).get("conditions", [])
        return next((c for c in found if c["type"] == condition), {})

    async def until(self, kind: Any, name: str, status: str, reason: str = "", **where: Any) -> Any:
        """Waits for a condition (`Ready` unless said otherwise) with that status and reason."""

        async def holds() -> Any:
            found = await self.condition(kind, name, **where)
            return found if found.get("status") == status and reason in {"", found.get("reason")} else None

        return await until_true(holds, seconds=40)

    async def events(self, reason: str) -> list[Any]:
        return [e for e in (await self.admin.list(EVENT, self.a)).items if e["reason"] == reason]

    @contextlib.asynccontextmanager
    async def operator(self, **changes: Any):
        operator = Operator(self.settings(**changes), self.client, self.adapter, lambda: True)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(operator.run())
            try:
                yield operator
            finally:
                task.cancel()


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
async def installation(api, tmp_path):
    number = next(_numbers)
    home, *namespaces = (f"{name}-{number}" for name in ("home", "a", "b"))
    for namespace in (home, *namespaces):
        api.namespace(namespace)
    token = api.service_account_token(home, OPERATOR_ACCOUNT)
    kubeconfig = api.kubeconfig_for(token, tmp_path / "operator.kubeconfig")
    async with Client.from_kubeconfig(api.kubeconfig) as admin, Client.from_kubeconfig(kubeconfig) as client:
        made = Installation(api, admin, client, home, tuple(namespaces))
        await made.grant(*namespaces)
        await made.put(seldon_config(home, image="bailie:1"))
        await made.put(mlserver_config(home, image="bailie:1", server_image="bailie-mlserver:1"))
        yield made

"""The traces and the kept data of a namespace's pipeline gateways, of all replicas together.

Called by `cli.pipeline_traces` and `cli.pipeline_inspection`. A gateway tells them to its own pod alone: on a
laptop the pod's address is one of this machine, on a cluster a port is forwarded, with the user's own rights.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from bailie.api.kinds import POD
from bailie.api.texts import shown
from bailie.inference.bodies import TooLong, fetch
from bailie.inference.trust import trusted
from bailie.local.connection import running_kubeconfig
from bailie.local.errors import LocalError, NoAddress
from bailie.local.gateway_answers import NoGatewayAnswer, decoded
from bailie.local.port_forward import kubectl_program, open_pod_forward
from bailie.wellknown import labels, names, ports

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.kube.client import Client
    from bailie.local.port_forward import PortForward

_MOST_BYTES = 128 << 20
_SECONDS = 20.0


@dataclass(slots=True)
class GatewayAnswers:
    """The answers of the replicas that were reached, and a sentence for each that was not."""

    found: list[dict[str, Any]] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class GatewayReader:
    """Reads from the gateways of one namespace; `kubeconfig` and `state_dir` as the commands have them."""

    client: Client
    namespace: str
    kubeconfig: Path | None = None
    state_dir: Path | None = None
    port: int = ports.PIPELINE_TRACES

    async def read(self, kind: str, name: str = "") -> GatewayAnswers:
        """Asks each replica at the same time. `kind`: traces or data.

        Raises:
            LocalError: The namespace has no gateway, or none could be reached.
        """
        selector = labels.selector(labels.SERVER, names.PIPELINE_GATEWAY)
        pods = (await self.client.list(POD, self.namespace, labels=selector)).items
        if not pods:
            hint = f"a namespace runs pipelines with the Server {names.PIPELINE_GATEWAY}; -n names another"
            raise LocalError(f"namespace {self.namespace} has no pipeline gateway", hint=hint)
        path = f"{kind}/{quote(name, safe='')}"
        answers = GatewayAnswers()
        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(self._ask(pod, path, answers))
        if not answers.found:
            raise LocalError(f"no pipeline gateway answers: {'; '.join(answers.unheard)}")
        return answers

    async def _ask(self, pod: dict[str, Any], path: str, answers: GatewayAnswers) -> None:
        name, address = pod["metadata"]["name"], pod.get("status", {}).get("podIP") or ""
        try:
            if _is_here(address):
                answers.found.append(await _fetched(f"{_host(address)}:{self.port}", path))
                return
            forward = await asyncio.to_thread(self._forwarded, name)
            try:
                answers.found.append(await _fetched(forward.address, path))
            finally:
                forward.close()
        except (NoAddress, _Unheard) as error:
            answers.unheard.append(f"{name}: {error}")

    def _forwarded(self, pod: str) -> PortForward:
        kubeconfig = self.kubeconfig or running_kubeconfig(self.state_dir)
        return open_pod_forward(
            pod, self.port, namespace=self.namespace, kubeconfig=kubeconfig, program=kubectl_program()
        )


class _Unheard(Exception):  # noqa: N818 - the name of the gateway's state
    """A gateway gave no answer."""


def _is_here(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


async def _fetched(address: str, path: str) -> dict[str, Any]:
    """Returns the answer of one gateway. Raises _Unheard."""
    url = f"http://{address}/{path}"
    async with httpx2.AsyncClient(trust_env=False, verify=trusted(url)) as http:
        try:
            answer = await fetch(http, "GET", url, most=_MOST_BYTES, seconds=_SECONDS)
            if not answer.is_success:
                raise _Unheard(f"it answers with status {answer.status}")
            return decoded(answer.content)
        except (httpx2.HTTPError, httpx2.InvalidURL, TooLong, NoGatewayAnswer) as error:
            raise _Unheard(shown(str(error) or type(error).__name__)) from error

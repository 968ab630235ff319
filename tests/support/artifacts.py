"""Downloads as an agent makes them, with Secrets in memory, and servers that count who connects to them."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bailie.agent.addresses import Networks, parse_networks
from bailie.agent.artifact_limits import ArtifactLimits
from bailie.agent.artifacts import Artifacts
from bailie.agent.claims import Claims
from bailie.agent.egress import Egress, resolve
from bailie.agent.errors import ArtifactError
from bailie.agent.local_copy import Roots
from bailie.agent.outside_proxy import OutsideProxy
from bailie.agent.remotes import ConfiguredRemotes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

LOOPBACK = ("127.0.0.0/8",)
LARGE = ArtifactLimits()


class Secrets:
    """Secrets of one namespace, in memory."""

    def __init__(self, **secrets: Mapping[str, bytes]) -> None:
        self._secrets = secrets

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        if name not in self._secrets:
            raise ArtifactError("SecretNotFound", f"there is no Secret {name} in namespace {namespace}")
        return self._secrets[name]


NO_PROXY = OutsideProxy()
NO_CLAIMS = Claims()


def egress(
    *networks: str,
    api_server: tuple[str, int] | None = None,
    names=resolve,
    outside: OutsideProxy = NO_PROXY,
) -> Egress:
    """The way out, with networks that the administrator has opened."""
    return Egress(
        networks=Networks(parse_networks(networks)), api_server=api_server, resolve=names, outside=outside
    )


def artifacts(
    timeout: float = 30,
    config: Path | None = None,
    roots: Roots | None = None,
    out: Egress | None = None,
    limits: ArtifactLimits = LARGE,
    claims: Claims = NO_CLAIMS,
    **secrets: object,
) -> Artifacts:
    """Downloads of namespace `a`; loopback is open unless `out` says otherwise."""
    reader = Secrets(**{name: {"remote": json.dumps(content).encode()} for name, content in secrets.items()})
    return Artifacts(
        namespace="a",
        secrets=reader,
        configured=ConfiguredRemotes(folder=config, namespace="a"),
        claims=claims,
        roots=roots or Roots(allowed=(Path("/tmp"), Path("/nowhere"))),
        egress=out or egress(*LOOPBACK),
        timeout=timeout,
        limits=limits,
        identity=False,
        environment={"PATH": os.defpath},
    )


def names(folder: Path) -> set[str]:
    """The files below a folder."""
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@dataclass
class Host:
    """A server on loopback: how often somebody connected, and what was asked."""

    address: str
    port: int
    connections: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


@asynccontextmanager
async def listening(
    answer: Callable[[str], bytes] | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[Host]:
    """A server that answers each request's head with bytes and hangs up; without `answer` it says nothing."""
    host = Host(address, 0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            host.heads.append(head)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer(head))
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, address, 0) as server:
        host.port = server.sockets[0].getsockname()[1]
        yield host


def response(
    body: bytes = b"", status: str = "200 OK", *, length: int | None = None, **headers: str
) -> bytes:
    """An HTTP answer; `length` is what it claims."""
    told = {"content-length": str(len(body) if length is None else length), "connection": "close", **headers}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _link(to: str) -> Callable[[Path], None]:
    return lambda model: (model / "x").symlink_to(to.format(up=model.parent.parent))


def _link_by_a_link(model: Path) -> None:
    (model / "y").symlink_to("../..")
    (model / "x").symlink_to("y/outside/token")


def _settings_by_a_link(model: Path) -> None:
    (model / "model-settings.json").symlink_to("../../outside/token")


def _round_and_round(model: Path) -> None:
    (model / "sub").mkdir(exist_ok=True)
    (model / "sub" / "x").symlink_to("..")


def _another_model(model: Path) -> None:
    (model.parent / "other").mkdir()
    (model / "x").symlink_to("../other")


def _pipe(model: Path) -> None:
    os.mkfifo(model / "x")


def _pipe_by_a_link(model: Path) -> None:
    os.mkfifo(model / "y")
    (model / "x").symlink_to("y")


HOSTILE_FOLDERS = [
    pytest.param(_link("../../outside/token"), id="a file outside"),
    pytest.param(_link("{up}/outside/token"), id="a file outside, absolutely"),
    pytest.param(_link("../../outside"), id="a folder outside"),
    pytest.param(_link("/proc/self/environ"), id="the kernel's"),
    pytest.param(_link("/dev/zero"), id="a device"),
    pytest.param(_link("nothing"), id="nothing"),
    pytest.param(_link("x"), id="itself"),
    pytest.param(_link("."), id="its own folder"),
    pytest.param(_link_by_a_link, id="a link by a link"),
    pytest.param(_settings_by_a_link, id="settings by a link"),
    pytest.param(_round_and_round, id="the folder above"),
    pytest.param(_another_model, id="another model"),
    pytest.param(_pipe, id="a pipe"),
    pytest.param(_pipe_by_a_link, id="a pipe by a link"),
]
"""What is put into the folder of a model, `root/iris`, beside which `outside/token` is a secret."""

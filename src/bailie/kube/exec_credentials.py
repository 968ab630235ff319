"""Credentials that a command gives, as the kubeconfigs of most clouds and of OIDC log-ins name one.

Used by `connections` in place of lightkube's, which knows the beta versions alone and runs the command for
each of several requests at a time. The protocol is
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import msgspec

from bailie.api.texts import shown
from bailie.kube.clock import utc_now
from bailie.kube.errors import Unconfigured
from bailie.kube.lightkube_config import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bailie.kube.lightkube_config import UserExec

_GROUP = "client.authentication.k8s.io"
_VERSIONS = tuple(f"{_GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_LATEST_SECONDS = 180.0
"""How long a command may take: a person may have to log in."""
_UNAUTHORIZED = 401
_INFO = "KUBERNETES_EXEC_INFO"


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    expiration_timestamp: datetime | None = None
    certificate: str = msgspec.field(name="clientCertificateData", default="")


class _Credential(msgspec.Struct, rename="camel"):
    api_version: str
    status: _Status


class ExecCredentials(httpx2.Auth):
    """Adds the token that the command gives; the command is run again when it is over, or not accepted."""

    def __init__(self, given: UserExec, folder: Path) -> None:
        """Takes the folder of the kubeconfig, where a relative path begins. Raises ConfigError."""
        if given.apiVersion not in _VERSIONS:
            known = ", ".join(_VERSIONS)
            raise ConfigError(
                f'its command for credentials speaks "{shown(given.apiVersion)}", which is none of {known}'
            )
        relative = os.sep in given.command and not Path(given.command).is_absolute()
        self._command = str(folder / given.command) if relative else given.command
        self._given = given
        self._token, self._ends = "", datetime.max.replace(tzinfo=UTC)
        self._running = asyncio.Lock()

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Sends a request with the token, and once more with a new one. Raises Unconfigured."""
        token = await self._current("")
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == _UNAUTHORIZED:
            token = await self._current(token)
            request.headers["Authorization"] = f"Bearer {token}"
            yield request

    async def _current(self, refused: str) -> str:
        """Returns a token that is neither over nor refused; one request at a time runs the command."""
        async with self._running:
            if not self._token or self._token == refused or utc_now() >= self._ends:
                status = self._read(await self._output())
                self._token = status.token
                self._ends = status.expiration_timestamp or datetime.max.replace(tzinfo=UTC)
            return self._token

    async def _output(self) -> bytes:
        """Runs the command, which may ask the person at the terminal, and returns what it prints."""
        spec = {"interactive": sys.stdin is not None and sys.stdin.isatty()}
        info = {"apiVersion": self._given.apiVersion, "kind": "ExecCredential", "spec": spec}
        added = {each.name: each.value for each in self._given.env or ()}
        try:
            process = await asyncio.create_subprocess_exec(
                self._command,
                *(self._given.args or ()),
                env={**os.environ, _INFO: json.dumps(info), **added},  # noqa: TID251 - the person's own
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            hint = f": {shown(self._given.installHint)}" if self._given.installHint else ""
            raise self._failure(f"cannot be started: {error.strerror}{hint}") from error
        try:
            async with asyncio.timeout(_LATEST_SECONDS):
                printed, _ = await process.communicate()
        except TimeoutError as error:
            raise self._failure(f"gave none within {_LATEST_SECONDS:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise self._failure(f"ended with {process.returncode}; it may say more above")
        return printed

    def _read(self, printed: bytes) -> _Status:
        try:
            found = msgspec.json.decode(printed, type=_Credential)
        except msgspec.MsgspecError as error:
            raise self._failure(f"printed no ExecCredential: {error}") from error
        if found.api_version != self._given.apiVersion:
            asked, told = self._given.apiVersion, shown(found.api_version)
            raise self._failure(f'printed "{told}", though the kubeconfig asks for {asked}')
        if not found.status.token:
            instead = ", but a certificate, which is not supported" if found.status.certificate else ""
            raise self._failure(f"gave no token{instead}")
        return found.status

    def _failure(self, words: str) -> Unconfigured:
        command = shown(self._command)
        return Unconfigured(f'the command "{command}", which the kubeconfig has for credentials, {words}')

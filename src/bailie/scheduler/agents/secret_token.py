"""The token of another namespace's control plane, read from its Secret.

Made by `served_namespace`, for each further namespace of a scheduler: their pods show the token of their own
namespace, and only a caller with that token may speak for the namespace. The scheduler needs the right to
`get` this one Secret.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import SECRET
from bailie.kube.errors import ApiError
from bailie.kube.token import Verdict, judged
from bailie.manifests.defaults import TOKEN_SECRET
from bailie.wellknown.paths import TOKEN_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.kube.client import Client, Object

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 30.0
"""How soon a token that was rotated is known, at the latest; a caller with another token hastens it."""
RETRY_SECONDS = 2.0


class SecretToken:
    """The token as last read; `run` keeps it fresh."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._token = ""
        self._trouble = ""
        self._doubted = asyncio.Event()

    async def run(self) -> None:
        """Reads the Secret again and again until cancelled."""
        while True:
            await self._refresh()
            pause = REFRESH_SECONDS if self._token else RETRY_SECONDS
            try:
                async with asyncio.timeout(pause):
                    await self._doubted.wait()
                await asyncio.sleep(RETRY_SECONDS)  # or wrong tokens would have it read all the time
            except TimeoutError:
                pass
            self._doubted.clear()

    def read(self) -> str:
        """Returns the token. Raises ValueError when it is not known."""
        if not self._token:
            raise ValueError(f"the token of namespace {self._namespace} is not known: {self._trouble}")
        return self._token

    def check(self, metadata: Iterable[tuple[str, str | bytes]]) -> Verdict:
        """Judges the token in a caller's gRPC metadata, in constant time."""
        verdict = judged(metadata, self.read)
        if verdict is Verdict.WRONG:
            self._doubted.set()
        return verdict

    async def _refresh(self) -> None:
        trouble = ""
        try:
            self._token = _decoded(await self._client.get(SECRET, TOKEN_SECRET, self._namespace))
        except (ApiError, ValueError) as error:
            trouble = str(error)
        if trouble and trouble != self._trouble:
            log.warning("token of a namespace not read", namespace=self._namespace, error=trouble)
        self._trouble = trouble


def _decoded(secret: Object) -> str:
    try:
        token = base64.b64decode((secret.get("data") or {}).get(TOKEN_KEY, "")).decode().strip()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"Secret {TOKEN_SECRET}: {error}") from error
    if not token:
        raise ValueError(f'Secret {TOKEN_SECRET} has no "{TOKEN_KEY}"')
    return token

"""Which Envoys the xDS server takes: those with the token of a namespace for which this scheduler decides."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
import pytest
from tests.support.dataplane import KnownToken

from bailie.gateway import ads, request_reports
from bailie.gateway.publisher import Gateway
from bailie.kube.tenants import Tenants
from bailie.kube.token import METADATA_KEY, NAMESPACE_KEY

EXPORT = f"/{request_reports.SERVICE}/Export"


@dataclass
class WatchedToken(KnownToken):
    """Notes the verdicts, as a token does that is read again when a caller shows another one."""

    verdicts: list = field(default_factory=list)

    def check(self, metadata):
        self.verdicts.append(super().check(metadata).name)
        return super().check(metadata)


@pytest.fixture
async def server():
    """Serves home and b; c is a tenant for which another scheduler decides now. Port and the token of b."""
    token = WatchedToken("token-of-b")
    tokens = {"home": KnownToken("token-of-home"), "b": token, "c": KnownToken("token-of-c")}
    planes = {name: ads.EnvoyPlane(Gateway()) for name in ("home", "b")}
    async with ads.serve(Tenants("home", tokens), planes, "127.0.0.1", 0) as port:
        yield port, token


async def code(port, named, token):
    """The status of one call: OK where the Envoy is taken."""
    metadata = [(METADATA_KEY, f"Bearer {token}")] if token else []
    metadata += [(NAMESPACE_KEY, named)] if named else []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await channel.unary_unary(EXPORT)(b"", metadata=metadata, timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("named", "token", "expected"),
    [
        ("", "token-of-home", "OK"),
        ("home", "token-of-home", "OK"),
        ("b", "token-of-b", "OK"),
        ("c", "token-of-c", "UNAVAILABLE"),
        ("c", "token-of-b", "UNAUTHENTICATED"),
        ("b", "token-of-home", "UNAUTHENTICATED"),
        ("", "token-of-b", "UNAUTHENTICATED"),
        ("nowhere", "token-of-home", "UNAUTHENTICATED"),
        ("b", "", "UNAUTHENTICATED"),
    ],
)
async def test_a_token_opens_its_own_namespace_only(server, named, token, expected):
    assert (await code(server[0], named, token)).name == expected


async def test_a_token_hears_of_envoys_that_show_another_one(server):
    port, token = server
    await code(port, "b", "token-of-b-tomorrow")
    assert token.verdicts == ["WRONG"]

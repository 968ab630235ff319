"""The way out of the agent: where the real rclone ends up, and what the proxy does with other callers."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.artifacts import artifacts, egress, listening, names, response
from tests.support.waiting import until

from bailie._gen.agent_pb2 import ModelSource
from bailie.agent import rclone
from bailie.agent.errors import ArtifactError
from bailie.agent.outside_proxy import OutsideProxy
from bailie.agent.remotes import Remote

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.agent.egress import Egress

HERE = ("127.0.0.1",)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


async def refused(out: Egress, uri: str, target: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        await artifacts(out=out).fetch(ModelSource(storage_uri=uri), target)
    assert names(target) == set()
    return caught.value


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:{}/x",
        "http://localhost:{}/x",
        "http://LOCALHOST:{}/x",
        "http://127.1:{}/x",
        "http://0x7f000001:{}/x",
        "http://2130706433:{}/x",
        "http://0.0.0.0:{}/x",
        "http://[::1]:{}/x",
        "http://[::ffff:127.0.0.1]:{}/x",
        "https://127.0.0.1:{}/x",
    ],
)
async def test_loopback_in_every_spelling(target: Path, uri: str):
    async with listening() as host:
        error = await refused(egress(), uri.format(host.port), target)
    assert (error.reason, host.connections) == ("AddressRefused", 0)
    assert "BAILIE_ALLOWED_NETWORKS" in error.message


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_redirects_go_by_the_same_rules(target: Path, status: str):
    async with listening(address="127.0.0.2") as closed:
        moved = response(status=status, location=f"{closed.url}/model.joblib")
        async with listening(lambda _: moved) as host:
            error = await refused(egress(*HERE), f"{host.url}/model.joblib", target)
    assert (error.reason, host.connections > 0, closed.connections) == ("AddressRefused", True, 0)
    assert "127.0.0.2 is a loopback address" in error.message


async def test_the_kubernetes_api_is_closed_where_its_network_is_open(target: Path):
    async with listening() as api:
        out = egress("127.0.0.0/8", "::1", api_server=("localhost", api.port))
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            error = await refused(out, f"http://{host}:{api.port}/api", target)
            assert "is the Kubernetes API" in error.message
    assert api.connections == 0


async def test_a_name_that_is_something_else_the_second_time(target: Path):
    """The name resolves to an open address when it is checked, and to a closed one when rclone connects."""
    answers = iter([("127.0.0.1",)])

    async def rebinding(_host: str, _port: int) -> tuple[str, ...]:
        return next(answers, ("127.0.0.2",))

    async with listening(address="127.0.0.2") as closed:
        error = await refused(egress(*HERE, names=rebinding), f"http://evil.test:{closed.port}/x", target)
    assert (error.reason, closed.connections) == ("AddressRefused", 0)


async def test_one_closed_address_among_open_ones_closes_the_name(target: Path):
    async def several(_host: str, _port: int) -> tuple[str, ...]:
        return ("127.0.0.1", "127.0.0.2")

    async with listening() as host:
        error = await refused(egress(*HERE, names=several), f"http://evil.test:{host.port}/x", target)
    assert (error.reason, host.connections) == ("AddressRefused", 0)


async def test_a_host_that_does_not_listen(target: Path, free_port: int):
    error = await refused(egress(*HERE), f"http://127.0.0.1:{free_port}/model.joblib", target)
    assert (error.reason, "Connection refused" in error.message) == ("HostUnreachable", True)


async def test_the_administrators_proxy_is_used_where_it_is_set(target: Path):
    """A second proxy of the same kind stands in the place of a company's; it alone resolves the name."""

    async def inside(host: str, _port: int) -> tuple[str, ...]:
        if host == "store.test":
            raise OSError(0, "unknown here")
        return (host,)

    async def beyond(_host: str, _port: int) -> tuple[str, ...]:
        return ("127.0.0.1",)

    async with (
        listening(lambda _: response(b"model")) as host,
        egress(*HERE, names=beyond).proxy(frozenset()) as company,
    ):
        outside = OutsideProxy(http=company.url, https=company.url, bypass="near.test")
        out = egress(*HERE, names=inside, outside=outside)
        uri = f"http://store.test:{host.port}/model.joblib"
        await artifacts(out=out).fetch(ModelSource(storage_uri=uri), target)
        assert (target / "model.joblib").read_text() == "model"
        async with out.proxy(frozenset()) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(f"CONNECT store.test:{host.port} HTTP/1.1\r\n{login(proxy.url)}\r\n\r\n".encode())
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await reader.read()).endswith(b"model")
            writer.close()
        for closed in ("127.0.0.2", "169.254.169.254"):
            with pytest.raises(ArtifactError, match="AddressRefused"):
                await out.check(closed, 80, named=False)
        with pytest.raises(ArtifactError, match="HostUnknown"):
            await egress(names=inside).check("store.test", 80, named=False)


async def test_what_the_administrators_proxy_refuses_is_told(target: Path):
    async with listening(lambda _: response(status="403 Not Here")) as company:
        outside = OutsideProxy(http=company.url, https=company.url)
        out = egress(*HERE, outside=outside)
        error = await refused(out, "https://127.0.0.1:9/x", target)
        assert (error.reason, "the proxy answered" in error.message) == ("HostUnreachable", True)
        assert company.heads[0].startswith("CONNECT 127.0.0.1:9 ")


async def test_a_host_that_does_not_exist(target: Path):
    error = await refused(egress(), "https://nothing.invalid/model.joblib", target)
    assert error.reason == "HostUnknown"
    assert "nothing.invalid has no address" in error.message


PARAMETERS = {
    "s3": {"provider": "Other", "access_key_id": "a", "secret_access_key": "b", "endpoint": "{}"},
    "google cloud storage": {"anonymous": "true", "endpoint": "{}"},
    "azureblob": {"account": "a", "key": "YWJj", "endpoint": "{}"},
    "b2": {"account": "a", "key": "b", "endpoint": "{}"},
    "swift": {"user": "u", "key": "k", "auth": "{}/v3", "domain": "d", "tenant": "t"},
    "http": {"url": "{}/"},
    "webdav": {"url": "{}/", "vendor": "other", "bearer_token": "x"},
}


@pytest.mark.parametrize("kind", PARAMETERS)
async def test_every_type_of_remote_goes_by_the_proxy(target: Path, kind: str):
    """rclone alone, behind a proxy that refuses: no type may have a client that goes past it."""
    async with listening() as host, egress().proxy(frozenset()) as proxy:
        remote = Remote("x", kind, {key: value.format(host.url) for key, value in PARAMETERS[kind].items()})
        job = rclone.Job(
            uri="x:bucket/iris",
            remote=remote,
            path="bucket/iris",
            target=target,
            proxy=proxy.url,
            environment={},
            most_bytes=1000,
        )
        with pytest.raises(ArtifactError):
            await rclone.copy(job)
    assert host.connections == 0
    assert proxy.refusal is not None


async def test_the_endpoint_of_a_secret_may_be_private_but_not_what_it_redirects_to(target: Path):
    async def cluster(host: str, _port: int) -> tuple[str, ...]:
        return {"minio.store": ("10.0.0.9",), "bucket.minio.store": ("10.0.0.9",)}.get(host, ("10.0.0.10",))

    out = egress(names=cluster)
    assert await out.check("minio.store", 9000, named=True) == ("10.0.0.9",)
    async with out.proxy(frozenset({"minio.store"})) as proxy:
        async with httpx.AsyncClient(proxy=proxy.url, trust_env=False) as client:
            answer = await client.get("http://elsewhere.store/x")
        assert (answer.status_code, "is a private address" in answer.text) == (403, True)
    with pytest.raises(ArtifactError, match="is a private address"):
        await out.check("minio.store", 9000, named=False)


async def test_requests_and_tunnels_carry_everything():
    body = bytes(range(256)) * 20_000
    async with (
        listening(lambda _: response(body)) as host,
        egress(*HERE).proxy(frozenset()) as proxy,
        httpx.AsyncClient(proxy=proxy.url, trust_env=False) as client,
    ):
        answers = await asyncio.gather(*(client.get(f"{host.url}/a b?c=d") for _ in range(8)))
        assert all(answer.content == body for answer in answers)
        assert host.heads[0].startswith("GET /a%20b?c=d HTTP/1.1\r\n")
        assert "proxy-authorization" not in "".join(host.heads).lower()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"CONNECT 127.0.0.1:{host.port} HTTP/1.1\r\n{login(proxy.url)}\r\n\r\n".encode())
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.read()).endswith(body[-100:])
        writer.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Says that nothing more comes, by an end or a reset."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


def login(url: str) -> str:
    """The header with a proxy URL's password."""
    credentials = url.split("//")[1].rpartition("@")[0]
    return f"Proxy-Authorization: Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize(
    "header", ["X: y", "Proxy-Authorization: Basic Ym9iOmJvYg==", "Proxy-Authorization: \xff"]
)
async def test_nobody_else_gets_through(header: str):
    async with listening() as host, egress(*HERE).proxy(frozenset()) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"CONNECT 127.0.0.1:{host.port} HTTP/1.1\r\n{header}\r\n\r\n".encode("latin-1"))
        assert b" 407 " in await reader.read()
        writer.close()
    assert host.connections == 0


@pytest.mark.parametrize("length", [100, 100_000])
async def test_a_body_that_breaks_off_is_no_artifact(target: Path, length: int):
    async with listening(lambda _: response(b"x" * 10, length=length)) as host:
        error = await refused(egress(*HERE), f"{host.url}/model.joblib", target)
    assert error.reason == "DownloadFailed"


async def test_the_end_of_a_download_ends_its_connections():
    async with listening() as silent:
        async with egress(*HERE).proxy(frozenset()) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(f"CONNECT 127.0.0.1:{silent.port} HTTP/1.1\r\n{login(proxy.url)}\r\n\r\n".encode())
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            await until(lambda: silent.connections)
        writer.close()
        assert await ended(reader)
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the kernel likes
            await asyncio.open_connection("127.0.0.1", proxy.port)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300)
    | st.tuples(st.sampled_from(["GET", "CONNECT", "\0"]), st.text(max_size=30), st.text(max_size=30))
    .map(lambda parts: f"{parts[0]} {parts[1]} HTTP/1.1\r\n{parts[2]}\r\n\r\n".encode(errors="replace"))
)  # fmt: skip
def test_whatever_is_sent_the_proxy_answers_or_hangs_up(data: bytes):
    async def send() -> None:
        async with egress().proxy(frozenset()) as proxy:
            for head in (data, data + b"\r\n\r\n", f"{login(proxy.url)}\r\n".encode() + data + b"\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                writer.write(head)
                writer.write_eof()
                try:
                    async with asyncio.timeout(60):
                        await reader.read()
                except ConnectionError:
                    pass
                writer.close()

    asyncio.run(send())


def test_the_password_is_in_no_text():
    async def made() -> str:
        async with egress().proxy(frozenset()) as proxy:
            password = proxy.url.split(":")[2].partition("@")[0]
            assert password not in repr(proxy)
            return json.dumps(password)

    assert asyncio.run(made()) != asyncio.run(made())

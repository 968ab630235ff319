"""Hostile storageUris, Secrets and artifacts: refused by name before anything is started, connected or read.

Counted twice: by the interpreter's audit events (processes started, sockets connected, files opened), and by
a server on loopback that the cases point to.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.artifacts import HOSTILE_FOLDERS, Host, artifacts, egress, listening

from bailie._gen.agent_pb2 import ModelSource
from bailie.agent.errors import ArtifactError
from bailie.agent.local_copy import Roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CANARY = "s3cret-of-the-agent"

URIS = {
    # programs and remotes in the address
    ":local:/etc": "StorageUriRefused",
    ":webdav,url=http://127.0.0.1:{port},bearer_token_command=/bin/touch:x": "StorageUriRefused",
    ':sftp,ssh="/bin/touch {outside}/made",host=x:foo': "StorageUriRefused",
    ":http,url='http://127.0.0.1:{port}/':path": "StorageUriRefused",
    ":memory:": "StorageUriRefused",
    "gs,endpoint='http://127.0.0.1:{port}':x": "StorageUriRefused",
    "store,override.local=/etc:x": "StorageUriRefused",
    "--log-file={outside}/made:x": "StorageUriRefused",
    "--config={outside}/token": "StorageUriRefused",
    "-P:x": "StorageUriRefused",
    "-:x": "StorageUriRefused",
    "bailie source:x": "StorageUriRefused",
    "local:/etc": "RemoteUnknown",
    "alias:/etc": "RemoteUnknown",
    "sftp://x@127.0.0.1:{port}/x": "RemoteUnknown",
    "ftp://127.0.0.1:{port}/x": "RemoteUnknown",
    "unix:///run/x": "RemoteUnknown",
    "bailiesource:x": "RemoteUnknown",
    "hf://127.0.0.1/x": "StorageUriRefused",
    # characters
    "gs:bucket\n--log-file=x": "StorageUriRefused",
    "gs:bucket\0": "StorageUriRefused",
    "gs:../../x": "StorageUriRefused",
    "gs:a/../../x": "StorageUriRefused",
    "g\u200bs:bucket": "StorageUriRefused",
    # servers
    "http://127.0.0.1:{port}/x": "AddressRefused",
    "https://127.0.0.1:{port}/x": "AddressRefused",
    "HTTP://LocalHost:{port}/x": "AddressRefused",
    "http://127.1:{port}/x": "AddressRefused",
    "http://0x7f.1:{port}/x": "AddressRefused",
    "http://2130706433:{port}/x": "AddressRefused",
    "http://017700000001:{port}/x": "AddressRefused",
    "http://127.9.9.9:{port}/x": "AddressRefused",
    "http://0:{port}/x": "AddressRefused",
    "http://[::1]:{port}/x": "AddressRefused",
    "http://[::]:{port}/x": "AddressRefused",
    "http://[::ffff:127.0.0.1]:{port}/x": "AddressRefused",
    "http://[64:ff9b::7f00:1]:{port}/x": "AddressRefused",
    "http://169.254.169.254/latest/meta-data": "AddressRefused",
    "http://[fd00:ec2::254]/latest": "AddressRefused",
    "http://100.100.100.200/latest": "AddressRefused",
    "http://10.0.0.1/x": "AddressRefused",
    "http://192.168.0.1/x": "AddressRefused",
    "http://224.0.0.1/x": "AddressRefused",
    "http://x@127.0.0.1:{port}/x": "StorageUriRefused",
    "http://example.org\\@127.0.0.1:{port}/x": "StorageUriRefused",
    "http://example.org#@127.0.0.1:{port}/x": "StorageUriRefused",
    "http://127.0.0.1:{port}?/x": "StorageUriRefused",
    "http:127.0.0.1:{port}/x": "StorageUriRefused",
    "http://127.0.0.1:{port}/%2e%2e/x": "StorageUriRefused",
    # this machine
    "{outside}/token": "StorageUriRefused",
    "file://{outside}/token": "StorageUriRefused",
    "file://localhost{outside}": "StorageUriRefused",
    "FILE:{outside}": "StorageUriRefused",
    "file://{root}/%2e%2e/outside/token": "StorageUriRefused",
    "{root}/../outside/token": "StorageUriRefused",
    "{root}/./../outside": "StorageUriRefused",
    "{root}-2": "StorageUriRefused",
    "{root}/stolen": "StorageUriRefused",
    "{root}/out/token": "StorageUriRefused",
    "file:///proc/self/environ": "StorageUriRefused",
    "file:///proc/self/root/etc/shadow": "StorageUriRefused",
    "/dev/fd/0": "StorageUriRefused",
    "/etc/shadow": "StorageUriRefused",
    "/var/run/secrets/kubernetes.io/serviceaccount/token": "StorageUriRefused",
    "/": "StorageUriRefused",
}
S3 = {"provider": "Other", "access_key_id": "a", "secret_access_key": "b"}
SECRETS: dict[str, tuple[str, dict[str, str], str]] = {
    "a local remote": ("local", {"nounc": "true"}, "RemoteRefused"),
    "an alias": ("alias", {"remote": "{outside}"}, "RemoteRefused"),
    "a union": ("union", {"upstreams": "{outside}"}, "RemoteRefused"),
    "crypt around local": ("crypt", {"remote": "{outside}", "password": "x"}, "RemoteRefused"),
    "ssh": ("sftp", {"ssh": "/bin/touch {outside}/made", "host": "x"}, "RemoteRefused"),
    "a command for a token": (
        "webdav",
        {"url": "http://127.0.0.1:{port}", "bearer_token_command": "/bin/touch {outside}/made"},
        "RemoteRefused",
    ),
    "headers": ("http", {"url": "http://127.0.0.1:{port}", "headers": "a,b"}, "RemoteRefused"),
    "a socket": ("webdav", {"url": "http://x", "unix_socket": "/run/x"}, "RemoteRefused"),
    "a file of keys": ("google cloud storage", {"service_account_file": "{outside}/token"}, "RemoteRefused"),
    "a file of credentials": ("s3", {**S3, "shared_credentials_file": "{outside}/token"}, "RemoteRefused"),
    "a profile": ("s3", {"profile": "default"}, "RemoteRefused"),
    "the identity of the pod": ("s3", {"env_auth": "true"}, "RemoteRefused"),
    "the az program": ("azureblob", {"account": "a", "use_az": "true"}, "RemoteRefused"),
    "a parameter with a line break": ("s3", {**S3, "region\nRCLONE_LOG_FILE": "x"}, "RemoteRefused"),
    "a loopback endpoint": ("s3", {**S3, "endpoint": "http://127.0.0.1:{port}"}, "AddressRefused"),
    "a loopback endpoint by name": ("s3", {**S3, "endpoint": "localhost:{port}"}, "AddressRefused"),
    "a metadata service": ("http", {"url": "http://169.254.169.254/latest"}, "AddressRefused"),
    "the Kubernetes API": ("http", {"url": "https://10.96.0.1/api"}, "AddressRefused"),
    "a second address on loopback": (
        "swift",
        {"auth": "https://1.1.1.1/v3", "storage_url": "http://127.0.0.1:{port}/"},
        "AddressRefused",
    ),
    "an endpoint that is a file": ("s3", {**S3, "endpoint": "file://{outside}"}, "RemoteRefused"),
}


@dataclass
class Seen:
    """Audit events while something is watched."""

    processes: list[Any] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


WATCHING: list[Seen] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    for seen in WATCHING or ():  # None when the interpreter ends
        if event in {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "os.system"}:
            seen.processes.append(arguments)
        elif event in {"socket.connect", "socket.sendto"}:
            seen.connections.append(arguments[1:])
        elif event == "open":
            seen.files.append(os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else "")


sys.addaudithook(_audit)


@contextmanager
def watched() -> Iterator[Seen]:
    WATCHING.append(seen := Seen())
    try:
        yield seen
    finally:
        WATCHING.remove(seen)


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    """An allowed folder with a model, and a secret outside of it to which links lead."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "token").write_text(CANARY)
    (tmp_path / "target").mkdir()
    model = tmp_path / "root" / "iris"
    model.mkdir(parents=True)
    (model / "model.joblib").write_text("bytes")
    (model.parent / "stolen").symlink_to("../outside/token")
    (model.parent / "out").symlink_to("../outside")
    return tmp_path


async def refusal(ground: Path, uri: str, host: Host, **secrets: object) -> ArtifactError:
    """Fetches, and checks that nothing happened but a refusal."""
    roots = Roots(allowed=(ground / "root",))
    fetching = artifacts(roots=roots, out=egress(api_server=("10.96.0.1", 443)), **secrets)
    source = ModelSource(storage_uri=uri, secret_name="creds" if secrets else "")
    with watched() as seen, pytest.raises(ArtifactError) as caught:
        await fetching.fetch(source, ground / "target")
    error = caught.value
    assert (seen.processes, seen.connections, host.connections) == ([], [], 0)
    assert not [path for path in seen.files if "token" in path or path.startswith(("/proc", "/dev"))]
    assert not [
        path for path in (ground / "target").rglob("*") if path.is_file() and path.name != "model.joblib"
    ]
    assert not (ground / "outside" / "made").exists()
    assert CANARY not in error.message
    assert error.message.isprintable()
    assert len(error.message) < 1000
    return error


@pytest.mark.parametrize("uri", URIS, ids=lambda uri: uri.encode("unicode_escape").decode())
async def test_uris(ground: Path, uri: str):
    async with listening() as host:
        found = uri.format(port=host.port, outside=ground / "outside", root=ground / "root")
        error = await refusal(ground, found, host)
    assert error.reason == URIS[uri]


@pytest.mark.parametrize("case", SECRETS)
async def test_secrets(ground: Path, case: str):
    kind, parameters, reason = SECRETS[case]
    async with listening() as host:
        filled = {
            name: value.format(port=host.port, outside=ground / "outside")
            for name, value in parameters.items()
        }
        creds = {"type": kind, "name": "store", "parameters": filled}
        error = await refusal(ground, "store:bucket/iris", host, creds=creds)
    assert error.reason == reason


@pytest.mark.parametrize("make", HOSTILE_FOLDERS)
async def test_artifacts(ground: Path, make: Callable[[Path], None]):
    make(ground / "root" / "iris")
    async with listening() as host:
        error = await refusal(ground, str(ground / "root" / "iris"), host)
    assert error.reason == "ArtifactRefused"


async def test_the_watch_sees_files_processes_and_connections(ground: Path):
    async with listening() as host:
        with watched() as seen:
            await artifacts().fetch(ModelSource(storage_uri=str(ground / "root" / "iris")), ground / "target")
            with pytest.raises(ArtifactError):
                await artifacts(timeout=1).fetch(ModelSource(storage_uri=f"{host.url}/x"), ground / "target")
    assert (len(seen.processes), host.connections > 0) == (1, True)
    assert seen.connections
    assert "model.joblib" in seen.files


def test_there_are_enough():
    assert len(URIS) + len(SECRETS) + len(HOSTILE_FOLDERS) >= 60

"""Downloads with the real rclone: local folders, a real S3 endpoint, and everything that can be wrong."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.artifacts import Secrets, artifacts, listening, names, response
from tests.support.objectstore import SECRET_KEY, ObjectStore, WebServer
from tests.support.waiting import until

from bailie._gen.agent_pb2 import ModelSource
from bailie.agent import rclone
from bailie.agent.artifact_limits import ArtifactLimits
from bailie.agent.claims import ClaimMount, Claims
from bailie.agent.errors import ArtifactError
from bailie.agent.remotes import Remote
from bailie.agent.seen_secrets import CONFIGURATION

if TYPE_CHECKING:
    from bailie.agent.artifacts import Artifacts


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.fixture
def bucket(object_store: ObjectStore) -> ObjectStore:
    folder = object_store.folder / "models" / "iris"
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "model.joblib").write_text("bytes")
    (folder / "sub" / "a.txt").write_text("a")
    return object_store


async def refused(fetching: Artifacts, source: ModelSource, target: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        await fetching.fetch(source, target)
    assert SECRET_KEY not in caught.value.message
    return caught.value


@pytest.mark.parametrize("prefix", ["", "file://"])
async def test_local_folder(tmp_path: Path, target: Path, prefix: str):
    source = tmp_path / "source"
    (source / "1").mkdir(parents=True)
    (source / "1" / "m").write_text("x")
    (source / "link").symlink_to("1/m")
    await artifacts().fetch(ModelSource(storage_uri=f"{prefix}{source}"), target)
    assert names(target) == {"1/m", "link"}
    assert not (target / "link").is_symlink()


async def test_local_file(tmp_path: Path, target: Path):
    (tmp_path / "model.joblib").write_text("x")
    await artifacts().fetch(ModelSource(storage_uri=str(tmp_path / "model.joblib")), target)
    assert names(target) == {"model.joblib"}


@pytest.mark.parametrize(
    ("uri", "secret", "reason", "message"),
    [
        ("", "", "StorageUriMissing", "spec.storageUri is empty"),
        ("/nowhere/iris", "", "ArtifactNotFound", "/nowhere does not exist (storageUri /nowhere/iris)"),
        ("file:///nowhere", "", "ArtifactNotFound", "/nowhere does not exist (storageUri file:///nowhere)"),
        ("file://host/x", "", "StorageUriRefused", "names the host host"),
        ("models/iris", "", "StorageUriRefused", "neither an absolute path nor an address"),
        ("://", "", "StorageUriRefused", "names no remote"),
        (
            "unknown://b/p",
            "",
            "RemoteUnknown",
            "no remote unknown is configured; a Secret that defines unknown goes",
        ),
        ("store://b/p", "nope", "SecretNotFound", "no Secret nope in namespace a"),
        ("/models/iris", "creds", "SecretInvalid", "names no remote"),
        (
            "other://b/p",
            "creds",
            "SecretInvalid",
            "remote 'other', but Secret creds defines 'store'",
        ),
    ],
)
async def test_refusals_without_a_network(target: Path, uri: str, secret: str, reason: str, message: str):
    creds = {"type": "s3", "name": "store", "parameters": {"secret_access_key": SECRET_KEY}}
    error = await refused(artifacts(creds=creds), ModelSource(storage_uri=uri, secret_name=secret), target)
    assert error.reason == reason
    assert message in error.message


async def test_a_path_that_is_missing_is_named_once(tmp_path: Path, target: Path):
    error = await refused(artifacts(), ModelSource(storage_uri=f"{tmp_path}/none"), target)
    assert error.message == f"{tmp_path}/none does not exist"


async def test_empty_folder_is_no_artifact(tmp_path: Path, target: Path):
    (tmp_path / "empty").mkdir()
    error = await refused(artifacts(), ModelSource(storage_uri=str(tmp_path / "empty")), target)
    assert error.reason == "ArtifactNotFound"


@pytest.mark.parametrize("name", ["store", "My-Store_1"])
@pytest.mark.parametrize("form", ["{}://models/iris", "{}:models/iris"])
async def test_remote_of_a_secret(bucket: ObjectStore, target: Path, name: str, form: str):
    source = ModelSource(storage_uri=form.format(name), secret_name="creds")
    await artifacts(creds=bucket.remote(name)).fetch(source, target)
    assert names(target) == {"model.joblib", "sub/a.txt"}


async def test_configured_remote(bucket: ObjectStore, tmp_path: Path, target: Path):
    (tmp_path / "agent.yaml").write_text(
        json.dumps({"rclone": {"config": [json.dumps(bucket.remote("s3"))]}})
    )
    await artifacts(config=tmp_path).fetch(ModelSource(storage_uri="s3://models/iris"), target)
    assert names(target) == {"model.joblib", "sub/a.txt"}


async def test_a_configured_remote_that_cannot_be_used_is_told_with_its_cause(tmp_path: Path, target: Path):
    config = {"rclone": {"config_secrets": ["three", "absent"]}}
    (tmp_path / "agent.yaml").write_text(json.dumps(config))
    three = artifacts(config=tmp_path)
    three = replace(three, secrets=Secrets(three={"a": b"1", "b": b"2", "c": b"3"}))
    error = await refused(three, ModelSource(storage_uri="s3://models/iris"), target)
    assert error.reason == "RemoteUnknown"
    assert "Secret three has 3 data keys; it needs exactly one" in error.message
    assert "there is no Secret absent in namespace a" in error.message
    assert error.rests_on.keys() == {"three", "absent", CONFIGURATION}
    public = ModelSource(storage_uri="other://models/iris")
    assert "no remote other can be used" in (await refused(three, public, target)).message


async def test_what_a_refused_download_rested_on_is_told(target: Path):
    creds = {"type": "s3", "name": "store", "parameters": {"secret_access_key": SECRET_KEY}}
    source = ModelSource(storage_uri="other://b/p", secret_name="creds")
    first, again = [(await refused(artifacts(creds=creds), source, target)).rests_on for _ in range(2)]
    assert first == again
    assert first.keys() == {"creds", CONFIGURATION}
    changed = await refused(artifacts(creds={**creds, "name": "third"}), source, target)
    assert changed.rests_on["creds"] != first["creds"]
    assert SECRET_KEY not in str(changed.rests_on)
    missing = await refused(artifacts(), source, target)
    assert missing.rests_on["creds"] == "SecretNotFound"
    local = await refused(artifacts(), ModelSource(storage_uri="/nowhere/iris"), target)
    assert local.rests_on == {}


async def test_a_path_of_a_claim(tmp_path: Path, target: Path):
    (tmp_path / "team" / "iris").mkdir(parents=True)
    (tmp_path / "team" / "iris" / "model.joblib").write_text("x")
    claims = Claims((ClaimMount("team-models", "", tmp_path / "team"),))
    await artifacts(claims=claims).fetch(ModelSource(storage_uri="pvc://team-models/iris"), target)
    assert names(target) == {"model.joblib"}


@pytest.mark.parametrize(
    ("uri", "reason", "message"),
    [
        (
            "pvc://other/iris",
            "ClaimNotMounted",
            "(mounted are team-models): mount the claim in the container",
        ),
        ("pvc://team-models/none", "ArtifactNotFound", "does not exist"),
        ("pvc://team-models/../x", "StorageUriRefused", "steps up"),
        ("pvc://Team_Models/x", "StorageUriRefused", "names no volume claim"),
        ("pvc://", "StorageUriRefused", "names no volume claim"),
        ("pvc://team-models/out", "StorageUriRefused", "leads out of it"),
    ],
)
async def test_refusals_of_a_claim(tmp_path: Path, target: Path, uri: str, reason: str, message: str):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "out").symlink_to("/etc")
    claims = Claims((ClaimMount("team-models", "", tmp_path / "team"),))
    error = await refused(artifacts(claims=claims), ModelSource(storage_uri=uri), target)
    assert error.reason == reason
    assert message in error.message


async def test_one_object_of_a_remote(bucket: ObjectStore, target: Path):
    source = ModelSource(storage_uri="store://models/iris/model.joblib", secret_name="creds")
    await artifacts(creds=bucket.remote()).fetch(source, target)
    assert names(target) == {"model.joblib"}


@pytest.mark.parametrize(
    ("path", "key", "kind", "reason", "message"),
    [
        ("models/nope", SECRET_KEY, "s3", "ArtifactNotFound", "no file at store://models/nope"),
        ("nobucket/x", SECRET_KEY, "s3", "ArtifactNotFound", "store://nobucket/x: there is nothing there"),
        ("models/iris", "WRONGwrongWRONG", "s3", "AccessDenied", "refuses the credentials"),
        ("models/iris", SECRET_KEY, "nope", "RemoteRefused", "has the type nope, which is not allowed"),
    ],
)
async def test_refusals_of_a_remote(
    bucket: ObjectStore, target: Path, path: str, key: str, kind: str, reason: str, message: str
):
    creds = {**bucket.remote(secret_key=key), "type": kind}
    source = ModelSource(storage_uri=f"store://{path}", secret_name="creds")
    error = await refused(artifacts(creds=creds), source, target)
    assert error.reason == reason
    assert message in error.message
    assert key not in error.message
    assert rclone.ALIAS not in error.message


@pytest.fixture
def silent_url():
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


async def test_secrets_are_in_no_argument(bucket: ObjectStore, target: Path, silent_url: str):
    """While rclone waits for a server that accepts and says nothing, its command line is looked at."""
    remote = bucket.remote()
    remote["parameters"] = {
        **bucket.remote()["parameters"],  # type: ignore[dict-item]
        "endpoint": silent_url,
    }
    source = ModelSource(storage_uri="store://models/iris", secret_name="creds")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(artifacts(creds=remote).fetch(source, target))
        pid = str(await until(lambda: child_with("copy", str(target))))
        assert SECRET_KEY not in command_line(pid)
        task.cancel()
    await until(lambda: command_line(pid) == "")


def command_line(pid: str) -> str:
    """Returns a process's arguments; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def child_with(*words: str) -> str | None:
    """Finds a process by words of its command line."""
    pids = (path.name for path in Path("/proc").glob("[0-9]*"))
    return next((pid for pid in pids if set(words) <= set(command_line(pid).split("\0"))), None)


async def test_time_limit(target: Path, silent_url: str):
    source = ModelSource(storage_uri=f"{silent_url}/model.joblib")
    error = await refused(artifacts(timeout=1), source, target)
    assert (error.reason, "within 1 s" in error.message) == ("DownloadFailed", True)


async def test_the_time_limit_of_a_copy(tmp_path: Path, target: Path):
    endless = tmp_path / "endless.joblib"
    with endless.open("wb") as file:
        file.truncate(1 << 40)
    fetching = artifacts(timeout=0.1, limits=ArtifactLimits(bytes=1 << 41))
    error = await refused(fetching, ModelSource(storage_uri=str(endless)), target)
    told = f"the copy of {endless} did not end within 0 s"
    assert (error.reason, error.message) == ("DownloadFailed", told)
    assert fetching.copies.hanging == 0


LINES = [
    (b"", ""),
    (b"plain text\n", "plain text"),
    (
        (
            b'{"level":"error","msg":"Attempt 1/1 failed with 1 errors and: disk\\nfull"}\n'
            b'{"level":"notice","msg":"x"}'
        ),
        "disk full",
    ),
    (b'{"level":"notice","msg":"only this"}\n', "only this"),
]


@pytest.mark.parametrize(("stderr", "words"), LINES)
def test_last_words(stderr: bytes, words: str):
    assert rclone.last_words(stderr) == words


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("write /x: no space left on device", "DiskFull"),
        ("api error NoSuchBucket: gone", "ArtifactNotFound"),
        ("googleapi: Error 403: denied", "AccessDenied"),
        ("dial tcp: connection refused with k3y-value", "DownloadFailed"),
    ],
)
def test_reasons(words: str, reason: str):
    remote = Remote("store", "s3", {"secret_access_key": "k3y-value"})
    error = rclone.explain("store://b/p", json.dumps({"level": "error", "msg": words}).encode(), remote)
    assert error.reason == reason
    assert "k3y-value" not in error.message


async def test_public_web_server(web_server: WebServer, target: Path):
    (web_server.folder / "models").mkdir()
    (web_server.folder / "models" / "model.joblib").write_text("x")
    await artifacts().fetch(ModelSource(storage_uri=f"{web_server.url}/models/model.joblib"), target)
    assert names(target) == {"model.joblib"}
    missing = ModelSource(storage_uri=f"{web_server.url}/models/nope.joblib")
    assert (await refused(artifacts(), missing, target)).reason == "ArtifactNotFound"


async def test_a_file_that_is_larger_than_allowed(bucket: ObjectStore, target: Path):
    (bucket.folder / "models" / "iris" / "large").write_bytes(b"x" * 200_000)
    source = ModelSource(storage_uri="store://models/iris", secret_name="creds")
    limits = ArtifactLimits(bytes=100_000, entries=100)
    error = await refused(artifacts(limits=limits, creds=bucket.remote()), source, target)
    assert error.reason == "ArtifactTooLarge"
    (bucket.folder / "models" / "iris" / "large").unlink()


async def test_many_files_that_are_together_larger_than_allowed(bucket: ObjectStore, target: Path):
    source = ModelSource(storage_uri="store://models/iris", secret_name="creds")
    for limits in (ArtifactLimits(bytes=5, entries=100), ArtifactLimits(bytes=1000, entries=2)):
        error = await refused(artifacts(limits=limits, creds=bucket.remote()), source, target)
        assert error.reason == "ArtifactTooLarge"


LISTING = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Name>models</Name><Prefix>iris/</Prefix><KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>{entries}
</ListBucketResult>"""
ENTRY = """<Contents><Key>iris/{}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><Size>1</Size>
</Contents>"""
KEYS = ["../evil", "../../evil", "/etc/evil", "a/../../../evil", "..", "x.rclonelink", "-evil", "ok"]


def hostile_store(head: str) -> bytes:
    """A store whose keys try to leave the folder into which they are copied."""
    line = head.partition("\r\n")[0]
    if "prefix=" in line:
        entries = "".join(ENTRY.format(key) for key in KEYS)
        body = LISTING.format(count=len(KEYS), entries=entries).encode()
        return response(body, **{"content-type": "application/xml"})
    if line.startswith("HEAD /models/iris "):
        return response(status="404 Not Found")
    return response(b"x", **{"last-modified": "Mon, 01 Jan 2024 00:00:00 GMT", "etag": '"x"'})


async def test_keys_of_a_store_stay_in_the_artifact(tmp_path: Path):
    target = tmp_path / "deep" / "deeper" / "target"
    target.mkdir(parents=True)
    parameters = {"provider": "Other", "access_key_id": "a", "secret_access_key": "b"}
    async with listening(hostile_store) as store:
        source = ModelSource(storage_uri="store:models/iris", secret_name="creds")
        remote = {"type": "s3", "name": "store", "parameters": {**parameters, "endpoint": store.url}}
        await artifacts(creds=remote).fetch(source, target)
    assert {"ok", "x.rclonelink"} <= names(target)
    assert names(tmp_path) == {f"deep/deeper/target/{name}" for name in names(target)}
    assert not (target / "x").is_symlink()


async def test_what_a_server_says_is_bounded_in_messages(target: Path):
    words = "<html>\x1b[2J" + "words " * 100_000
    async with listening(lambda _: response(words.encode(), status="500 \x1b[31mBroken")) as host:
        source = ModelSource(storage_uri=f"{host.url}/model.joblib")
        error = await refused(artifacts(), source, target)
    assert error.message.isprintable()
    assert len(error.message) < 1000

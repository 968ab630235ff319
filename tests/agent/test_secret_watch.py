"""What is looked at again, and how often, while Secrets are wrong."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.artifacts import Secrets
from tests.support.waiting import until

from bailie._gen import agent_pb2 as pb
from bailie.agent.errors import ArtifactError
from bailie.agent.outbox import Outbox
from bailie.agent.remotes import ConfiguredRemotes
from bailie.agent.secret_watch import SecretWatch
from bailie.agent.secrets import UNREADABLE
from bailie.agent.seen_secrets import CONFIGURATION, SeenSecrets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

S3 = json.dumps({"type": "s3", "name": "store", "parameters": {"provider": "Minio"}}).encode()


class Counted:
    """A reader whose Secrets the test changes; counts the readings of each."""

    def __init__(self, **secrets: Mapping[str, bytes]) -> None:
        self.secrets = dict(secrets)
        self.reads: list[str] = []
        self.away = False

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        self.reads.append(name)
        if self.away:
            raise ArtifactError(UNREADABLE, "the API is away")
        return await Secrets(**self.secrets).read(namespace, name)


class Failures:
    """Models whose loads failed with these Secrets."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.seen: list[Mapping[str, str]] = []

    def failed_with(self) -> set[str]:
        return self.names

    def causes_seen(self, marks: Mapping[str, str]) -> None:
        self.seen.append(marks)


@asynccontextmanager
async def watching(folder: Path, secrets: Counted, failures: Failures):
    outbox = Outbox(pb.ReplicaStatus())
    watch = SecretWatch(
        namespace="a",
        secrets=secrets,
        configured=ConfiguredRemotes(folder=folder, namespace="a"),
        models=failures,
        outbox=outbox,
        seconds=0.01,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        yield outbox
        task.cancel()


def configure(folder: Path, *names: str) -> None:
    (folder / "agent.yaml").write_text(json.dumps({"rclone": {"config_secrets": names}}))


async def rounds(failures: Failures, number: int = 3) -> None:
    before = len(failures.seen)
    await until(lambda: len(failures.seen) >= before + number)


async def test_remotes_that_cannot_be_used_are_told_until_they_are_corrected(tmp_path: Path):
    configure(tmp_path, "three", "absent")
    secrets, failures = Counted(three={"a": b"1", "b": b"2", "c": b"3"}), Failures()
    async with watching(tmp_path, secrets, failures) as outbox:
        await until(lambda: outbox.status.remotes_problem)
        assert outbox.status.remotes_problem == (
            "Secret three has 3 data keys; it needs exactly one, with one rclone remote; "
            "there is no Secret absent in namespace a"
        )
        secrets.secrets |= {"three": {"s3": S3}}
        await until(lambda: outbox.status.remotes_problem == "there is no Secret absent in namespace a")
        configure(tmp_path, "three")
        await until(lambda: not outbox.status.remotes_problem)
        asked = len(secrets.reads)
        await rounds(failures)
        assert len(secrets.reads) == asked


async def test_secrets_are_read_only_while_a_load_has_failed_with_them(tmp_path: Path):
    secrets, failures = Counted(creds={"s3": S3}), Failures()
    async with watching(tmp_path, secrets, failures):
        await rounds(failures)
        assert secrets.reads == []
        failures.names = {"creds", CONFIGURATION}
        await until(lambda: "creds" in failures.seen[-1])
        assert set(secrets.reads) == {"creds"}


async def test_marks_are_those_of_a_load_and_change_with_the_secret(tmp_path: Path):
    secrets, failures = Counted(creds={"s3": S3}), Failures("creds", "absent")
    load = SeenSecrets(secrets)
    await load.read("a", "creds")
    async with watching(tmp_path, secrets, failures):
        await until(lambda: failures.seen)
        assert failures.seen[-1] == {
            **load.marks,
            "absent": "SecretNotFound",
            CONFIGURATION: ConfiguredRemotes(folder=tmp_path, namespace="a").fingerprint(),
        }
        secrets.secrets = {"creds": {"s3": S3 + b" "}}
        await until(lambda: failures.seen[-1]["creds"] != load.marks["creds"])


async def test_an_api_that_is_away_says_nothing_of_a_secret(tmp_path: Path):
    secrets, failures = Counted(), Failures("creds")
    secrets.away = True
    async with watching(tmp_path, secrets, failures):
        await rounds(failures)
        assert all("creds" not in marks for marks in failures.seen)

"""rclone remotes in Secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.fuzz_known import MERGES

from bailie.agent.errors import ArtifactError
from bailie.agent.remotes import ConfiguredRemotes, Remote, decode_data, parse_remote

if TYPE_CHECKING:
    from pathlib import Path

S3 = {"type": "s3", "name": "store", "parameters": {"provider": "Minio", "secret_access_key": "hidden-key"}}


def yaml_of_s3() -> bytes:
    return b"type: s3\nname: store\nparameters:\n  provider: Minio\n  secret_access_key: hidden-key\n"


@pytest.mark.parametrize("content", [json.dumps(S3).encode(), yaml_of_s3()])
def test_json_and_yaml(content: bytes):
    remote = parse_remote("creds", {"s3": content})
    assert remote == Remote("store", "s3", {"provider": "Minio", "secret_access_key": "hidden-key"})


def test_values_are_texts_for_rclone():
    content = json.dumps({**S3, "parameters": {"env_auth": False, "port": 22, "none": None}}).encode()
    assert parse_remote("creds", {"s3": content}).parameters == {
        "env_auth": "false",
        "port": "22",
        "none": "",
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "has 0 data keys"),
        ({"a": b"x", "b": b"y"}, "has 2 data keys"),
        ({"s3": b"\xff"}, "neither JSON nor YAML"),
        ({"s3": b"{hidden-key"}, "neither JSON nor YAML"),
        ({"s3": MERGES.encode()}, "neither JSON nor YAML"),
        ({"s3": b"type: " + b"9" * 5000}, "neither JSON nor YAML"),
        ({"s3": b"hidden-key"}, "should hold an object"),
        ({"s3": json.dumps({**S3, "type": ""}).encode()}, "lacks type"),
        ({"s3": json.dumps({**S3, "name": 3}).encode()}, "lacks name"),
        ({"s3": json.dumps({**S3, "parameters": None}).encode()}, "lacks parameters"),
        (
            {"s3": json.dumps({**S3, "parameters": {"k": {"hidden-key": 1}}}).encode()},
            "a parameter k that is no text",
        ),
    ],
)
def test_unusable_secrets_say_why_and_show_nothing(data: dict[str, bytes], message: str):
    with pytest.raises(ArtifactError, match=message) as caught:
        parse_remote("creds", data)
    assert caught.value.reason == "SecretInvalid"
    assert "hidden-key" not in str(caught.value)
    assert "creds" in caught.value.message


def test_scrubbing_hides_values_and_keeps_the_open_ones():
    remote = Remote("store", "s3", {"endpoint": "http://minio:9000", "secret": "abcd", "longer": "abcd-1234"})
    text = remote.scrub("http://minio:9000 said abcd-1234 and abcd")
    assert text == "http://minio:9000 said *** and ***"
    assert "abcd" not in repr(remote)


def test_data_is_base64():
    assert decode_data("creds", {"a": "eA=="}) == {"a": b"x"}
    with pytest.raises(ArtifactError, match="not base64"):
        decode_data("creds", {"a": "x"})


class Secrets:
    """Secrets of one namespace, in memory."""

    def __init__(self, **secrets: bytes) -> None:
        self._secrets = secrets

    async def read(self, namespace: str, name: str) -> dict[str, bytes]:
        assert namespace == "a"
        if name not in self._secrets:
            raise ArtifactError("SecretNotFound", "not there")
        return {"remote": self._secrets[name]}


async def test_configured_remotes(tmp_path: Path):
    inline = {"type": "http", "name": "web", "parameters": {"url": "http://host"}}
    config = {"rclone": {"config": ["{", json.dumps(inline)], "config_secrets": ["nope", "creds"]}}
    (tmp_path / "agent.yaml").write_text(json.dumps(config))
    found = await ConfiguredRemotes(folder=tmp_path, namespace="a").read(
        Secrets(creds=json.dumps(S3).encode())
    )
    assert found.remotes["web"] == Remote("web", "http", {"url": "http://host"})
    assert found.remotes["store"].type == "s3"
    assert found.problems == (
        "a remote of agentConfig.rclone.config is neither JSON nor YAML",
        "not there",
    )


async def test_of_two_remotes_of_one_name_the_first_counts(tmp_path: Path):
    inline = {"type": "http", "name": "store", "parameters": {"url": "http://host"}}
    config = {"rclone": {"config": [json.dumps(inline)], "config_secrets": ["creds"]}}
    (tmp_path / "agent.yaml").write_text(json.dumps(config))
    found = await ConfiguredRemotes(folder=tmp_path, namespace="a").read(
        Secrets(creds=json.dumps(S3).encode())
    )
    assert found.remotes["store"].type == "http"


@pytest.mark.parametrize("content", [None, "", "[]", "rclone: 3", "{", "rclone: {}"])
async def test_configuration_without_remotes(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "agent.yaml").write_text(content)
    for folder in (tmp_path, None):
        found = await ConfiguredRemotes(folder=folder, namespace="a").read(Secrets())
        assert (found.remotes, found.problems) == ({}, ())


def test_the_fingerprint_changes_with_the_configuration(tmp_path: Path):
    configured, fingerprints = ConfiguredRemotes(folder=tmp_path, namespace="a"), set()
    for content in (None, "rclone: {}", "rclone: {config: []}"):
        if content is not None:
            (tmp_path / "agent.yaml").write_text(content)
        fingerprints.add(configured.fingerprint())
        assert configured.fingerprint() in fingerprints
    assert len(fingerprints) == 3

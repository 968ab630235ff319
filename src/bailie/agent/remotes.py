"""rclone remotes of Secrets and of the agents' configuration: reading, checking, hiding their values.

`artifacts` asks for a remote when a Model has a `secretName`, or names one that may be configured. Nothing
here may put a value of a remote into an error, a log or an argument.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from bailie.agent.errors import ArtifactError
from bailie.agent.remote_types import hosts_of
from bailie.api import json_yaml
from bailie.api.texts import shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OPEN_KEYS = frozenset(
    {"provider", "region", "endpoint", "env_auth", "anonymous", "location", "storage_class"}
)
"""Parameters that are no secrets: they may be shown where rclone repeats them."""
_HIDDEN = "***"
_LARGEST = 128 * 1024
"""Bytes of one definition."""


class SecretReader(Protocol):
    """Reads the Secrets of the namespace."""

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """Returns a Secret's data. Raises ArtifactError (`SecretNotFound`, `SecretUnreadable`)."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An rclone remote as a Secret or the configuration defines it.

    `trusted`: a person with more rights than to create Models named its hosts.
    """

    name: str
    type: str
    parameters: Mapping[str, str] = field(repr=False)
    trusted: bool = True

    @property
    def hosts(self) -> frozenset[tuple[str, int]]:
        """The hosts that its parameters name, each with its port."""
        return hosts_of(self.type, self.parameters)

    def environment(self, alias: str) -> dict[str, str]:
        """Returns the variables that define the remote for rclone under the name `alias`."""
        prefix = f"RCLONE_CONFIG_{alias.upper()}_"
        return {f"{prefix}TYPE": self.type} | {
            prefix + key.upper(): value for key, value in self.parameters.items()
        }

    def scrub(self, text: str) -> str:
        """Returns the text without the values of the parameters that may be secret."""
        hidden = {value for key, value in self.parameters.items() if key not in OPEN_KEYS and len(value) > 3}
        for value in sorted(hidden, key=len, reverse=True):
            text = text.replace(value, _HIDDEN)
        return text


def web_remote(origin: str) -> Remote:
    """Returns a public web server as a remote; the author of a Model names it."""
    return Remote("web", "http", {"url": origin}, trusted=False)


PUBLIC: Mapping[str, Remote] = {"gs": Remote("gs", "google cloud storage", {"anonymous": "true"})}
"""Public Google buckets as `gs://`, as upstream's charts predefine them; a configured `gs` wins."""


def parse_remote(secret: str, data: Mapping[str, bytes]) -> Remote:
    """Reads the remote of a Secret: exactly one key, JSON or YAML. Raises ArtifactError (`SecretInvalid`)."""
    if len(data) != 1:
        problem = f"has {len(data)} data keys; it needs exactly one, with one rclone remote"
        raise ArtifactError("SecretInvalid", f"Secret {secret} {problem}")
    (key, content) = next(iter(data.items()))
    try:
        return parse_definition(content)
    except ValueError as error:
        raise ArtifactError("SecretInvalid", f"key {shown(key)} of Secret {secret} {error}") from None


def parse_definition(content: bytes) -> Remote:
    """Reads a remote from JSON or YAML. Raises ValueError, which completes a sentence and shows no value."""
    if len(content) > _LARGEST:
        raise ValueError(f"is longer than {_LARGEST} bytes")
    try:
        remote = json_yaml.load(content.decode())
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("is neither JSON nor YAML") from None
    if not isinstance(remote, dict):
        raise ValueError(  # noqa: TRY004 - what the file says, not what a caller passed
            "should hold an object with type, name and parameters"
        )
    kind, name, parameters = remote.get("type"), remote.get("name"), remote.get("parameters")
    for field_name, value in (("type", kind), ("name", name)):
        if not isinstance(value, str) or not value:
            raise ValueError(f"lacks {field_name}, a text")
    if not isinstance(parameters, dict) or not parameters:
        raise ValueError("lacks parameters, an object of texts")
    return Remote(
        str(name), str(kind), {str(key): _text(str(key), value) for key, value in parameters.items()}
    )


def _text(key: str, value: object) -> str:
    """Returns a parameter as rclone reads it; YAML makes booleans and numbers of unquoted texts."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str | int | float):
        return "" if value is None else str(value)
    raise ValueError(f"has a parameter {shown(key)} that is no text")


def decode_data(secret: str, data: Mapping[str, str]) -> dict[str, bytes]:
    """Decodes the `data` of a Secret object. Raises ArtifactError (`SecretInvalid`)."""
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in data.items()}
    except binascii.Error:
        raise ArtifactError("SecretInvalid", f"Secret {secret} has a value that is not base64") from None


@dataclass(frozen=True, slots=True)
class RemotesFound:
    """The configured remotes by name, and a sentence for each definition that cannot be used."""

    remotes: Mapping[str, Remote]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredRemotes:
    """The remotes that every Model of the namespace may name, from `agent.yaml` in the agent's config folder.

    The file is read at each download, so that a change takes effect without a restart.
    """

    folder: Path | None
    namespace: str

    async def read(self, secrets: SecretReader) -> RemotesFound:
        """Reads the configuration and its Secrets. Of two remotes of one name the first counts."""
        config = self._config()
        remotes: dict[str, Remote] = {}
        problems = []
        for content in config.get("config") or ():
            try:
                remote = parse_definition(str(content).encode())
                remotes.setdefault(remote.name, remote)
            except ValueError as error:
                problems.append(f"a remote of agentConfig.rclone.config {error}")
        for secret in map(str, config.get("config_secrets") or ()):
            try:
                remote = parse_remote(secret, await secrets.read(self.namespace, secret))
                remotes.setdefault(remote.name, remote)
            except ArtifactError as error:
                problems.append(error.message)
        return RemotesFound(remotes, tuple(problems))

    def fingerprint(self) -> str:
        """Returns a text that changes with the configuration."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def _text(self) -> str:
        if self.folder is None:
            return ""
        try:
            return (self.folder / "agent.yaml").read_text()
        except (OSError, ValueError):
            return ""

    def _config(self) -> dict[str, Any]:
        try:
            rclone = json_yaml.load(self._text())["rclone"]
        except (yaml.YAMLError, ValueError, KeyError, TypeError, RecursionError):
            return {}
        return rclone if isinstance(rclone, dict) else {}

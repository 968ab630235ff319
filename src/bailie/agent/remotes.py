"""rclone remotes that come from Secrets: reading, checking, and keeping their values out of every text.

`artifacts` asks for a remote when a Model has a `secretName`. Nothing here may put a value of a Secret
into an error, a log or an argument.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import yaml

from bailie.agent.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

OPEN_KEYS = frozenset(
    {"provider", "region", "endpoint", "env_auth", "anonymous", "location", "storage_class"}
)
"""Parameters that are no secrets: they may be shown where rclone repeats them."""
_HIDDEN = "***"


class SecretReader(Protocol):
    """Reads the Secrets of the namespace."""

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """Returns a Secret's data. Raises ArtifactError (`SecretNotFound`, `SecretUnreadable`)."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An rclone remote as a Secret defines it."""

    name: str
    type: str
    parameters: Mapping[str, str] = field(repr=False)

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


def parse_remote(secret: str, data: Mapping[str, bytes]) -> Remote:
    """Reads the remote of a Secret: exactly one key, JSON or YAML. Raises ArtifactError (`SecretInvalid`)."""
    if len(data) != 1:
        raise _invalid(secret, f"has {len(data)} data keys; it needs exactly one, with one rclone remote")
    (key, content) = next(iter(data.items()))
    try:
        remote = yaml.safe_load(content.decode())
    except (UnicodeDecodeError, yaml.YAMLError):
        raise _invalid(secret, f"key {key} is neither JSON nor YAML") from None
    if not isinstance(remote, dict):
        raise _invalid(secret, f"key {key} should hold an object with type, name and parameters")
    kind, name, parameters = remote.get("type"), remote.get("name"), remote.get("parameters")
    for field_name, value in (("type", kind), ("name", name)):
        if not isinstance(value, str) or not value:
            raise _invalid(secret, f"key {key} lacks {field_name}, a text")
    if not isinstance(parameters, dict) or not parameters:
        raise _invalid(secret, f"key {key} lacks parameters, an object of texts")
    return Remote(str(name), str(kind), {str(k): _text(secret, str(k), v) for k, v in parameters.items()})


def _text(secret: str, key: str, value: object) -> str:
    """Returns a parameter as rclone reads it; YAML makes booleans and numbers of unquoted texts."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str | int | float):
        return "" if value is None else str(value)
    raise _invalid(secret, f"parameter {key} should be a text")


def _invalid(secret: str, problem: str) -> ArtifactError:
    return ArtifactError("SecretInvalid", f"Secret {secret} {problem}")


def decode_data(secret: str, data: Mapping[str, str]) -> dict[str, bytes]:
    """Decodes the `data` of a Secret object. Raises ArtifactError (`SecretInvalid`)."""
    try:
        return {key: base64.b64decode(value, validate=True) for key, value in data.items()}
    except binascii.Error:
        raise _invalid(secret, "has a value that is not base64") from None

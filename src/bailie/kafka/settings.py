"""The settings of the message broker, from the operator's kafka.json and the mounted Secrets.

Read by `pipelinegateway` when it starts. The file has the form of Seldon Core's; the variables have its
names. A password is read from its file when the gateway starts, and is in no variable, argument or log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bailie.api.kafka_config import (
    NO_BROKER,
    OWN_PROPERTIES,
    KafkaConfig,
    content_digest,
    topic_number,
)
from bailie.api.parsing import problems_of
from bailie.api.resource import has_errors
from bailie.settings import fields
from bailie.wellknown import paths, variables
from bailie.wellknown.names import KAFKA_CONFIG, PIPELINE_GATEWAY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_PREFIX = "seldon"
"""Of topics, as in Seldon Core."""
_PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
_MECHANISMS = ("plain", "scram-sha-256", "scram-sha-512", "oauthbearer")
_OAUTH = {
    "method": "sasl.oauthbearer.method",
    "client_id": "sasl.oauthbearer.client.id",
    "client_secret": "sasl.oauthbearer.client.secret",
    "scope": "sasl.oauthbearer.scope",
    "token_endpoint_url": "sasl.oauthbearer.token.endpoint.url",
    "extensions": "sasl.oauthbearer.extensions",
}
"""Keys of an OAuth Secret, as in Seldon Core, with librdkafka's properties."""
_NEEDED = ("client_id", "client_secret", "token_endpoint_url")
_COMMON = {
    "log.connection.close": "false",
    "reconnect.backoff.max.ms": "2000",
    "socket.keepalive.enable": "true",
}
"""Properties that users may set otherwise: a broker that is back is seen within two seconds."""


class KafkaSettingsError(ValueError):
    """The broker's settings cannot be used; the text says which file or key, and what it should be."""


class OutdatedKafkaFile(KafkaSettingsError):  # noqa: N818 - a state of the world, as in bailie.kube.errors
    """The file is another one than the operator has written last: the machine may still have to bring it."""


def _path(variable: str, meaning: str) -> dict[str, Any]:
    return fields.path(variable, meaning, "the path of a file", otherwise="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaVariables:
    """Where the broker's settings are, and how the gateway proves who it is."""

    file: Path | None = field(
        default=None,
        metadata=_path(
            variables.KAFKA_FILE,
            "The message broker, in the form that Seldon Core has. Without the file there is none.",
        ),
    )
    digest: str = field(
        default="",
        metadata=fields.text(
            variables.KAFKA_DIGEST,
            f"Digest of that file, which the gateway awaits for a while; `{NO_BROKER}`: there is no broker.",
            "a digest as the operator writes it",
            otherwise="any file will do",
        ),
    )
    protocol: str = field(
        default="plaintext",
        metadata=fields.choice(
            variables.KAFKA_PROTOCOL, "How brokers are spoken to, as `security.kafka.protocol`.", *_PROTOCOLS
        ),
    )
    mechanism: str = field(
        default="scram-sha-512",
        metadata=fields.choice(variables.KAFKA_MECHANISM, "How the gateway logs in (SASL).", *_MECHANISMS),
    )
    username: str = field(
        default=DEFAULT_PREFIX, metadata=fields.text(variables.KAFKA_USERNAME, "User for SASL.", "a user")
    )
    password: Path | None = field(
        default=None,
        metadata=_path(
            variables.KAFKA_PASSWORD,
            "The password for SASL. For OAUTHBEARER its folder has `client_id`, `client_secret`,"
            " `token_endpoint_url`, and `scope`, `extensions`, `method` where they are needed.",
        ),
    )
    key: Path | None = field(
        default=None, metadata=_path(variables.KAFKA_KEY, "The gateway's private key for TLS.")
    )
    certificate: Path | None = field(
        default=None, metadata=_path(variables.KAFKA_CERTIFICATE, "The gateway's certificate.")
    )
    authority: Path | None = field(
        default=None,
        metadata=_path(
            variables.KAFKA_AUTHORITY,
            f"Certificates of the brokers' authorities, where {variables.KAFKA_BROKER_AUTHORITY} is no file.",
        ),
    )
    broker_authority: Path | None = field(
        default=None,
        metadata=_path(variables.KAFKA_BROKER_AUTHORITY, "Certificates of the brokers' authorities."),
    )
    names: str = field(
        default="https",
        metadata=fields.choice(
            variables.KAFKA_NAMES,
            "Whether a broker's certificate must have the broker's name: `https`, or `none`.",
            "https",
            "none",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """One broker, with librdkafka's properties: `common` for all clients, then those of each kind."""

    common: Mapping[str, str]
    producer: Mapping[str, str] = field(default_factory=dict)
    consumer: Mapping[str, str] = field(default_factory=dict)
    topic_prefix: str = DEFAULT_PREFIX
    group_prefix: str = ""
    partitions: int = 1
    replication_factor: int = 1
    debug: bool = False

    def group(self, namespace: str) -> str:
        """Returns the consumer group of a namespace's gateways, as Seldon Core names it."""
        return "-".join(filter(None, (self.group_prefix, namespace, PIPELINE_GATEWAY)))

    @property
    def brokers(self) -> str:
        """The addresses, for people."""
        return self.common["bootstrap.servers"]

    def __repr__(self) -> str:
        """Names the brokers alone: properties hold passwords."""
        return f"KafkaSettings({self.brokers})"


def read_kafka_settings(given: KafkaVariables) -> KafkaSettings | None:
    """Returns the settings; None where no broker is configured. Raises KafkaSettingsError."""
    text = None if given.digest == NO_BROKER else _content(given.file)
    if given.digest not in {"", NO_BROKER} and (text is None or content_digest(text) != given.digest):
        raise OutdatedKafkaFile(
            f"{paths.KAFKA_FILE} is not the one that the gateways' Server names, and is read again every few"
            f" seconds: see whether the ConfigMap {KAFKA_CONFIG} is there"
        )
    config = None if text is None else parsed_config(text)
    return None if config is None else joined(config, security_properties(given))


def _content(file: Path | None) -> bytes | None:
    try:
        return None if file is None else file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KafkaSettingsError(f"{paths.KAFKA_FILE} cannot be read: {error.strerror}") from None


def parsed_config(text: bytes) -> KafkaConfig | None:
    """Returns the content of kafka.json; None where it names no broker. Raises KafkaSettingsError."""
    try:
        content: Any = json.loads(text)
        config = KafkaConfig.model_validate(content)
    except ValidationError as error:
        problems = problems_of(error, KafkaConfig)
    except (ValueError, RecursionError) as error:
        raise KafkaSettingsError(f"{paths.KAFKA_FILE} is no JSON: {error}") from None
    else:
        problems = config.problems("kafkaConfig")
        if not has_errors(problems):
            return config if (config.bootstrap_servers or "").strip() else None
    raise KafkaSettingsError(f"{paths.KAFKA_FILE}: {'; '.join(map(str, problems))}")


def joined(config: KafkaConfig, security: Mapping[str, str]) -> KafkaSettings:
    """Returns settings from the configuration and the properties of security, which win."""
    topics = config.topics or {}
    debug = {"debug": config.debug} if config.debug else {}
    brokers = {"bootstrap.servers": (config.bootstrap_servers or "").strip()}
    return KafkaSettings(
        common={**_COMMON, **debug, **security, **brokers},
        producer=_section(config.producer, security),
        consumer=_section(config.consumer, security),
        topic_prefix=config.topic_prefix or DEFAULT_PREFIX,
        group_prefix=config.consumer_group_id_prefix or "",
        partitions=topic_number(topics, "numPartitions"),
        replication_factor=topic_number(topics, "replicationFactor"),
        debug=bool(config.debug),
    )


def _section(given: Mapping[str, Any] | None, security: Mapping[str, str]) -> dict[str, str]:
    """Returns the properties of one kind of client, without those that are not for users to set."""
    kept = {name: str(value) for name, value in (given or {}).items() if name not in OWN_PROPERTIES}
    return {name: value for name, value in kept.items() if name not in security}


def security_properties(given: KafkaVariables) -> dict[str, str]:
    """Returns the properties of encryption and log-in. Raises KafkaSettingsError."""
    found = {} if given.protocol == "plaintext" else {"security.protocol": given.protocol}
    if given.protocol.endswith("ssl"):
        found |= _encryption(given)
    if given.protocol.startswith("sasl"):
        found |= _log_in(given)
    return found


def _encryption(given: KafkaVariables) -> dict[str, str]:
    own = {"ssl.key.location": given.key, "ssl.certificate.location": given.certificate}
    found = {name: str(path) for name, path in own.items() if path is not None and path.exists()}
    if len(found) == 1:
        lacking = next(path for name, path in own.items() if name not in found)
        name = lacking.name if lacking is not None else "second file"
        text = f"the gateway's certificate and private key are needed both, or neither: there is no {name}"
        raise KafkaSettingsError(text)
    for path in (given.broker_authority, given.authority):
        if path is not None and path.exists():
            found["ssl.ca.location"] = str(path)
            break
    return {**found, "ssl.endpoint.identification.algorithm": given.names}


def _log_in(given: KafkaVariables) -> dict[str, str]:
    if given.password is None:
        text = f"{variables.KAFKA_PASSWORD} is not set: give the Secret in security.kafka.sasl.client.secret"
        raise KafkaSettingsError(text)
    if given.mechanism == "oauthbearer":
        return {"sasl.mechanism": "OAUTHBEARER", **_oauth(given.password.parent)}
    return {
        "sasl.mechanism": given.mechanism.upper(),
        "sasl.username": given.username,
        "sasl.password": _secret(given.password),
    }


def _oauth(folder: Path) -> dict[str, str]:
    there = {key: folder / key for key in _OAUTH if key in _NEEDED or (folder / key).exists()}
    found = {_OAUTH[key]: _secret(path) for key, path in there.items()}
    method = found.get(_OAUTH["method"], "").lower() or "oidc"
    return {name: value for name, value in found.items() if value} | {_OAUTH["method"]: method}


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError):
        text = f'the Secret for SASL has no key "{path.name}" that can be read'
        raise KafkaSettingsError(f"{text}: give the Secret that security.kafka.sasl names this key") from None

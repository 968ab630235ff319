"""The broker's settings from kafka.json and mounted Secrets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bailie.api.kafka_config import content_digest
from bailie.kafka.settings import (
    KafkaSettingsError,
    KafkaVariables,
    OutdatedKafkaFile,
    parsed_config,
    read_kafka_settings,
    security_properties,
)
from bailie.settings.reader import read

BROKERS = {"bootstrap.servers": "kafka-a:9092,kafka-b:9092"}


def files(tmp_path, content=BROKERS, **texts):
    """Makes the files, and returns the variables that name them."""
    (tmp_path / "kafka.json").write_text(json.dumps(content))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    given = {name: tmp_path / name for name in FILES}
    return KafkaVariables(file=tmp_path / "kafka.json", **given)


FILES = ("password", "key", "certificate", "authority", "broker_authority")


def test_without_the_file_or_without_brokers_there_is_no_broker(tmp_path):
    assert read_kafka_settings(KafkaVariables()) is None
    assert read_kafka_settings(KafkaVariables(file=tmp_path / "kafka.json")) is None
    assert read_kafka_settings(files(tmp_path, {"topicPrefix": "x"})) is None
    with pytest.raises(KafkaSettingsError, match="cannot be read"):
        read_kafka_settings(KafkaVariables(file=tmp_path))


def test_the_file_is_the_one_that_the_server_names(tmp_path):
    given = files(tmp_path)
    digest = content_digest(given.file.read_bytes())
    assert read_kafka_settings(replace(given, digest=digest)) is not None
    assert read_kafka_settings(replace(given, digest="none")) is None
    for other in (replace(given, digest="other"), KafkaVariables(file=tmp_path / "away", digest=digest)):
        with pytest.raises(OutdatedKafkaFile, match="ConfigMap bailie-kafka"):
            read_kafka_settings(other)


def test_the_sections_are_librdkafkas_properties(tmp_path):
    content = {
        **BROKERS,
        "producer": {"linger.ms": 0, "transactional.id": "mine", "reconnect.backoff.max.ms": 9000},
        "consumer": {"session.timeout.ms": "6000", "bootstrap.servers": "elsewhere"},
        "topics": {"numPartitions": 4, "replicationFactor": "3"},
        "topicPrefix": "own",
        "consumerGroupIdPrefix": "team",
        "debug": "broker",
        "streams": {"x": 1},
    }
    found = read_kafka_settings(files(tmp_path, content))
    assert found.common["bootstrap.servers"] == found.brokers == "kafka-a:9092,kafka-b:9092"
    assert found.common["debug"] == "broker"
    assert found.debug
    assert found.producer == {"linger.ms": "0", "reconnect.backoff.max.ms": "9000"}
    assert found.consumer == {"session.timeout.ms": "6000"}
    assert (found.topic_prefix, found.group_prefix) == ("own", "team")
    assert (found.partitions, found.replication_factor) == (4, 3)
    assert "security.protocol" not in found.common


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "kafka.json"),
        (b'{"producers": {}}', "producers"),
        (b'{"bootstrap.servers": 7}', "bootstrap.servers"),
        (b'{"bootstrap.servers": "k:1", "producer": {"plugin.library.paths": "x"}}', "plugin.library.paths"),
        (b'{"bootstrap.servers": "k:1", "topics": {"numPartitions": "x"}}', "numPartitions"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(text, words):
    with pytest.raises(KafkaSettingsError, match=words):
        parsed_config(text)


def test_a_password_comes_from_its_file_and_is_in_no_text(tmp_path):
    given = files(tmp_path, password="s3cret\n")
    found = read_kafka_settings(replace(given, protocol="sasl_ssl", username="models"))
    assert found.common["sasl.password"] == "s3cret"
    assert found.common["sasl.username"] == "models"
    assert found.common["sasl.mechanism"] == "SCRAM-SHA-512"
    assert found.common["security.protocol"] == "sasl_ssl"
    assert "s3cret" not in repr(found) + str(found)


def test_users_properties_do_not_replace_those_of_security(tmp_path):
    content = {**BROKERS, "producer": {"security.protocol": "plaintext", "sasl.username": "other"}}
    given = files(tmp_path, content, password="x")
    found = read_kafka_settings(replace(given, protocol="sasl_plaintext", mechanism="plain"))
    assert found.producer == {}
    assert found.common["sasl.mechanism"] == "PLAIN"


def test_oauth_takes_the_keys_of_its_secret(tmp_path):
    keys = {
        "client_id": "id", "client_secret": "s3cret", "token_endpoint_url": "https://idp/token", "scope": "",
    }  # fmt: skip
    given = replace(files(tmp_path, **keys), protocol="sasl_ssl", mechanism="oauthbearer")
    found = security_properties(given)
    assert found["sasl.mechanism"] == "OAUTHBEARER"
    assert found["sasl.oauthbearer.method"] == "oidc"
    assert found["sasl.oauthbearer.client.id"] == "id"
    assert found["sasl.oauthbearer.client.secret"] == "s3cret"
    assert "sasl.oauthbearer.scope" not in found
    assert "sasl.oauthbearer.extensions" not in found
    (tmp_path / "client_id").unlink()
    with pytest.raises(KafkaSettingsError, match='no key "client_id"'):
        security_properties(given)


def test_a_missing_password_is_named(tmp_path):
    given = replace(files(tmp_path), protocol="sasl_ssl")
    with pytest.raises(KafkaSettingsError, match='no key "password"'):
        read_kafka_settings(given)
    with pytest.raises(KafkaSettingsError, match=r"security\.kafka\.sasl\.client\.secret"):
        read_kafka_settings(replace(given, password=None))


def test_certificates_are_those_that_are_there(tmp_path):
    given = replace(files(tmp_path), protocol="ssl", names="none")
    assert security_properties(given) == {
        "security.protocol": "ssl",
        "ssl.endpoint.identification.algorithm": "none",
    }
    files(tmp_path, key="k", certificate="c", authority="own")
    found = security_properties(given)
    assert found["ssl.key.location"] == str(tmp_path / "key")
    assert found["ssl.certificate.location"] == str(tmp_path / "certificate")
    assert found["ssl.ca.location"] == str(tmp_path / "authority")
    files(tmp_path, broker_authority="theirs")
    assert security_properties(given)["ssl.ca.location"] == str(tmp_path / "broker_authority")


def test_half_a_certificate_is_refused(tmp_path):
    given = replace(files(tmp_path, key="k"), protocol="ssl")
    for changed in (given, replace(given, certificate=None)):
        with pytest.raises(KafkaSettingsError, match="needed both"):
            security_properties(changed)


def test_the_variables_have_seldon_cores_names(tmp_path):
    environment = {
        "BAILIE_KAFKA_FILE": str(tmp_path / "kafka.json"),
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_CLIENT_SASL_USERNAME": "$ConnectionString",
        "KAFKA_CLIENT_SASL_PASSWORD_LOCATION": "/mnt/kafka/sasl/connectionString",
        "KAFKA_CLIENT_TLS_ENDPOINT_IDENTIFICATION_ALGORITHM": "none",
    }
    found = read(KafkaVariables, environment)
    assert (found.protocol, found.mechanism) == ("sasl_ssl", "plain")
    assert (found.username, found.password.name) == ("$ConnectionString", "connectionString")
    assert found.names == "none"
    assert read(KafkaVariables, {}).names == "https"

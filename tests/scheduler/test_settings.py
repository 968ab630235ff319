"""The scheduler's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailie.scheduler.settings import SchedulerSettings
from bailie.settings.reader import SettingsError

NEEDED = {"POD_NAMESPACE": "a", "POD_NAME": "seldon-scheduler-0"}


def test_defaults():
    settings = SchedulerSettings.from_environment(NEEDED)
    assert settings == SchedulerSettings(
        namespace="a",
        pod_name="seldon-scheduler-0",
        address="127.0.0.1",
        token_file=Path("/var/run/secrets/bailie/token"),
        log_level="info",
    )


def test_given_values():
    given = {"POD_IP": "127.70.0.1", "BAILIE_TOKEN_FILE": "/t", "SELDON_LOG_LEVEL": "DEBUG"}
    settings = SchedulerSettings.from_environment(NEEDED | given)
    assert (settings.address, settings.token_file, settings.log_level) == ("127.70.0.1", Path("/t"), "debug")


@pytest.mark.parametrize(("given", "limit"), [("", 1000), (" 7 ", 7), ("1000000", 1_000_000)])
def test_the_limit_of_requests(given, limit):
    settings = SchedulerSettings.from_environment({**NEEDED, "BAILIE_MAX_REQUESTS_PER_REPLICA": given})
    assert settings.max_requests_per_replica == limit


@pytest.mark.parametrize("nonsense", ["0", "-1", "1e3", "many", "1000001", "9" * 30])
def test_a_limit_that_is_none_is_named(nonsense):
    with pytest.raises(SettingsError, match="BAILIE_MAX_REQUESTS_PER_REPLICA"):
        SchedulerSettings.from_environment({**NEEDED, "BAILIE_MAX_REQUESTS_PER_REPLICA": nonsense})


def test_the_access_log():
    given = {"BAILIE_ACCESS_LOG": "ALL", "BAILIE_ACCESS_LOG_PATH": "/tmp/envoy-accesslog.txt"}
    settings = SchedulerSettings.from_environment(NEEDED | given)
    assert (settings.access_log, settings.access_log_path) == ("all", given["BAILIE_ACCESS_LOG_PATH"])


def test_the_sinks_of_payload_logs():
    settings = SchedulerSettings.from_environment(NEEDED | {"BAILIE_PAYLOAD_SINKS": "payloads.logging, *.b"})
    assert settings.payload_sinks.names == {"payloads.logging", "*.b"}
    assert SchedulerSettings.from_environment(NEEDED).payload_sinks.names == set()


@pytest.mark.parametrize(
    "given",
    [
        {"BAILIE_ACCESS_LOG": "some"},
        {"BAILIE_PAYLOAD_SINKS": "payloads"},
        {"BAILIE_ACCESS_LOG_PATH": "/var/log/envoy.log"},
        {"BAILIE_ACCESS_LOG_PATH": "/tmp/.."},
        {"BAILIE_ACCESS_LOG_PATH": "/tmp/a/b"},
        {"BAILIE_ACCESS_LOG_PATH": "/tmp/"},
        {"BAILIE_ACCESS_LOG_PATH": "/tmp/a\nb"},
        {"BAILIE_ACCESS_LOG_PATH": "stdout"},
    ],
)
def test_a_log_that_no_envoy_could_write_is_named(given):
    (name,) = given
    with pytest.raises(SettingsError, match=name):
        SchedulerSettings.from_environment(NEEDED | given)


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_what_is_missing_is_named(missing):
    with pytest.raises(SettingsError, match=f"{missing} is not set"):
        SchedulerSettings.from_environment({**NEEDED, missing: " "})

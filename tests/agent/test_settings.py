"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailie.agent.settings import SettingsError, from_environment

MINIMAL = {"POD_NAME": "my-server-3", "POD_NAMESPACE": "a"}


def test_defaults_and_identity():
    settings = from_environment(MINIMAL)
    assert (settings.server, settings.replica) == ("my-server", 3)
    assert (settings.http_port, settings.grpc_port, settings.health_port) == (9000, 9500, 9006)
    assert settings.address == "127.0.0.1"
    assert settings.capabilities == ("sklearn", "xgboost")
    assert settings.folder == Path("/mnt/agent")
    assert settings.inference_url == "http://seldon-mesh:80"


def test_everything_given():
    settings = from_environment(
        {
            **MINIMAL,
            "POD_IP": "127.70.0.4",
            "SELDON_SERVER_TYPE": "triton",
            "SELDON_SERVER_CAPABILITIES": "triton, onnx,",
            "MEMORY_REQUEST": "1073741824",
            "SELDON_OVERCOMMIT_PERCENTAGE": "10",
            "SELDON_ENVOY_HOST": "10.0.0.1",
            "SELDON_ENVOY_PORT": "8080",
            "BAILIE_ENDPOINTS_DIR": "/state/endpoints",
            "BAILIE_TOKEN_FILE": "/token",
            "BAILIE_AGENT_FOLDER": "/data",
        }
    )
    assert settings.capabilities == ("triton", "onnx")
    assert settings.memory_bytes == 1 << 30
    assert settings.overcommit_percent == 10
    assert settings.inference_url == "http://10.0.0.1:8080"
    assert settings.endpoints_dir == Path("/state/endpoints")
    assert settings.token_file == Path("/token")
    assert settings.folder == Path("/data")


def test_children_get_no_credentials_of_the_control_plane():
    given = {**MINIMAL, "KUBECONFIG": "/k", "BAILIE_TOKEN_FILE": "/t", "RCLONE_CONFIG_X_TYPE": "s3"}
    child = from_environment(given).child_environment
    assert "RCLONE_CONFIG_X_TYPE" in child
    assert not {"KUBECONFIG", "BAILIE_TOKEN_FILE"} & set(child)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("POD_NAME", "", "POD_NAME is not set"),
        ("POD_NAME", "mlserver", "<server>-<index>"),
        ("POD_NAMESPACE", "", "POD_NAMESPACE is not set"),
        ("SELDON_SERVER_TYPE", "torch", "mlserver or triton"),
        ("SELDON_SERVER_HTTP_PORT", "x", "whole number"),
        ("BAILIE_PARALLEL_LOADS", "0", "at least 1"),
    ],
)
def test_unusable_values(variable: str, value: str, message: str):
    with pytest.raises(SettingsError, match=message):
        from_environment({**MINIMAL, variable: value})

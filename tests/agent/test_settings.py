"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailie.agent.addresses import Networks, parse_networks
from bailie.agent.artifact_limits import ArtifactLimits
from bailie.agent.local_copy import Roots
from bailie.agent.settings import Settings
from bailie.settings.reader import SettingsError

from_environment = Settings.from_environment
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
    given = {**MINIMAL, "KUBECONFIG": "/k", "BAILIE_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "r", "PATH": "/bin"}
    assert from_environment(given).child_environment == {"PATH": "/bin"}
    allowed = from_environment({**given, "BAILIE_CLOUD_IDENTITY": "true"})
    assert allowed.child_environment == {"PATH": "/bin", "AWS_ROLE_ARN": "r"}


def test_folders_of_models_and_of_the_agent(tmp_path: Path):
    assert from_environment(MINIMAL).roots == Roots(
        allowed=(Path("/mnt/models"),), never=(Path("/mnt/agent"),)
    )
    given = {
        **MINIMAL,
        "BAILIE_LOCAL_ROOTS": "/home/me:/data/models",
        "BAILIE_AGENT_FOLDER": "/home/me/state/models",
        "BAILIE_TOKEN_FILE": "/home/me/token/token",
        "BAILIE_NODE_STATE": "/home/me/state",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }
    roots = from_environment(given).roots
    assert roots.allowed == (Path("/home/me"), Path("/data/models"))
    never = {Path("/home/me/state/models"), Path("/home/me/token"), Path("/home/me/state"), tmp_path}
    assert set(roots.never) == never


def test_networks_and_sizes():
    settings = from_environment(
        {
            **MINIMAL,
            "BAILIE_ALLOWED_NETWORKS": "127.0.0.1, 10.1.0.0/16",
            "BAILIE_ARTIFACT_BYTES": "1000",
            "BAILIE_ARTIFACT_FILES": "10",
        }
    )
    assert settings.networks == Networks(parse_networks(["127.0.0.1/32", "10.1.0.0/16"]))
    assert settings.limits == ArtifactLimits(bytes=1000, entries=10)


def test_the_kubernetes_api_is_known(tmp_path: Path):
    pod = {**MINIMAL, "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert from_environment(pod).api_server == ("fd00::1", 6443)
    assert from_environment(MINIMAL).api_server is None
    config = tmp_path / "kubeconfig"
    config.write_text("clusters: [{name: local, cluster: {server: 'https://127.0.0.1:7443'}}]")
    assert from_environment({**pod, "KUBECONFIG": str(config)}).api_server == ("127.0.0.1", 7443)


@pytest.mark.parametrize("server", ["[", "https://h:x", "https://[::1", "7", "[]", "", "{}", "null"])
def test_an_address_of_the_api_that_is_none_is_left_to_the_client(tmp_path: Path, server: str):
    config = tmp_path / "kubeconfig"
    config.write_text(f"clusters: [{{name: local, cluster: {{server: {server!r}}}}}]")
    assert from_environment({**MINIMAL, "KUBECONFIG": str(config)}).api_server is None
    config.write_text(f"clusters: [{{name: local, cluster: {{server: {server or 'null'}}}}}]")
    assert from_environment({**MINIMAL, "KUBECONFIG": str(config)}).api_server is None
    config.write_bytes(b"\xff\xfe\x00")
    assert from_environment({**MINIMAL, "KUBECONFIG": str(config)}).api_server is None


@pytest.mark.parametrize(("host", "port"), [("[", "443"), ("h", "x"), ("h", "99999"), ("h", "-1")])
def test_an_address_of_the_pods_api_that_is_none_is_left_to_the_client(host: str, port: str):
    pod = {**MINIMAL, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    assert from_environment(pod).api_server is None


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("POD_NAME", "", "POD_NAME is not set"),
        ("POD_NAME", f"mlserver-{'9' * 5000}", "<server>-<index>"),
        ("POD_NAME", "mlserver", "<server>-<index>"),
        ("POD_NAMESPACE", "", "POD_NAMESPACE is not set"),
        ("SELDON_SERVER_TYPE", "torch", "mlserver or triton"),
        ("SELDON_SERVER_HTTP_PORT", "x", "a port, from 1 to 65535"),
        ("BAILIE_PARALLEL_LOADS", "0", "1 or more"),
        ("BAILIE_HUNG_SECONDS", "9", "10 or more"),
        ("BAILIE_HUNG_SECONDS", "-60", "10 or more"),
        ("BAILIE_LOCAL_ROOTS", "/", "not the root"),
        ("BAILIE_LOCAL_ROOTS", "models", "absolute paths"),
        ("BAILIE_LOCAL_ROOTS", "/a/../b", "absolute paths"),
        ("BAILIE_ALLOWED_NETWORKS", "10.1.2.3/8", "networks such as 10.1.0.0/16.*host bits set"),
        ("BAILIE_ALLOWED_NETWORKS", "minio", "networks such as"),
        ("BAILIE_ARTIFACT_BYTES", "1G", "whole number"),
        ("BAILIE_CLOUD_IDENTITY", "yes", "true or false"),
        ("BAILIE_ARTIFACT_BYTES", "9" * 30, "1 or more .18 digits at most"),
        ("https_proxy", "socks5://proxy:1080", "HTTPS_PROXY is set; it should be an http:// address"),
        ("HTTP_PROXY", "proxy:3128", "HTTP_PROXY is set; it should be an http:// address"),
    ],
)
def test_unusable_values(variable: str, value: str, message: str):
    with pytest.raises(SettingsError, match=message):
        from_environment({**MINIMAL, variable: value})


@pytest.mark.parametrize(
    ("told", "claims"),
    [
        ("team:/var/models", ("/var/models",)),
        ("team:/var/models:other/sub:/mnt/other", ("/var/models", "/mnt/other")),
        ("own:/mnt/agent", ()),
        ("own:/mnt/agent/models:team:/mnt", ("/mnt",)),
        ("", ()),
    ],
)
def test_claims_are_open_but_where_all_models_are(told: str, claims: tuple[str, ...]):
    found = from_environment({**MINIMAL, "BAILIE_CLAIMS": told})
    assert found.roots.claims == tuple(map(Path, claims))
    assert found.roots.allowed == (Path("/mnt/models"),)


def test_claims_that_are_none_are_named():
    with pytest.raises(SettingsError, match="BAILIE_CLAIMS"):
        from_environment({**MINIMAL, "BAILIE_CLAIMS": "team=/var/models"})

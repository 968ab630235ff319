"""Commands on resources, against the embedded API."""

import json

import pytest
from tests.support.api import running_api
from tests.support.manifests import manifest_of
from typer.testing import CliRunner

from bailie.cli.app import app

RUNNER = CliRunner()
GROUP = "rbac.authorization.k8s.io"
RULE = {
    "apiGroups": ["mlops.seldon.io"],
    "resources": ["models"],
    "resourceNames": ["a"],
    "verbs": ["delete"],
}


def post(api, path, manifest):
    with api.http() as http:
        http.post(path, json=manifest).raise_for_status()


@pytest.fixture
def kubeconfig(tmp_path):
    """Of somebody who may delete Model a and no other; both are there."""
    with running_api(tmp_path) as api:
        for name in ("a", "b"):
            manifest = manifest_of("Model", name, {"storageUri": "/models/iris"}, "default")
            del manifest["metadata"]["uid"]
            post(api, "/apis/mlops.seldon.io/v1alpha1/namespaces/default/models", manifest)
        here = f"/apis/{GROUP}/v1/namespaces/default"
        post(api, f"{here}/roles", {"metadata": {"name": "narrow"}, "rules": [RULE]})
        subject = {"kind": "ServiceAccount", "name": "narrow", "namespace": "default"}
        role = {"apiGroup": GROUP, "kind": "Role", "name": "narrow"}
        binding = {"metadata": {"name": "narrow"}, "subjects": [subject], "roleRef": role}
        post(api, f"{here}/rolebindings", binding)
        yield str(api.kubeconfig_for(api.service_account_token("default", "narrow"), tmp_path / "narrow"))


def test_what_was_deleted_is_told_though_the_next_is_refused(kubeconfig):
    result = RUNNER.invoke(app, ["delete", "model", "a", "b", "--kubeconfig", kubeconfig])
    assert result.exit_code == 1
    assert result.stdout == "model/a deleted\n"
    assert "b" in result.stderr


def test_the_same_as_json(kubeconfig):
    result = RUNNER.invoke(app, ["delete", "model", "a", "b", "-o", "json", "--kubeconfig", kubeconfig])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"deleted": ["model/a"]}

"""`bailie migrate plan` on the embedded API: what people and programs get, exit codes, no writes."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import yaml
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.plan_grounds import BailieGround, SeldonGround, installed, model, old_ground, server

from bailie.cli.app import app


def plan(api, *arguments, kubeconfig=None):
    return CommandRunner().invoke(
        app, ["migrate", "plan", *arguments, "--kubeconfig", str(kubeconfig or api.kubeconfig)]
    )


@pytest.fixture(scope="module")
def api(tmp_path_factory, audit):
    """A namespace with a central scheduler of Bailie's; one of Seldon Core's with 20 Models and 2 Servers."""
    small, large, old = BailieGround("small"), SeldonGround("large"), old_ground("large,other")
    large.put(*(model(f"m{number}") for number in range(19)), *server("triton"))
    with running_api(tmp_path_factory.mktemp("plans"), audit_log=audit.path) as api:
        asyncio.run(installed(api, [small, large, old], listed=["small"], served=["small"]))
        yield api


def test_a_namespace_that_nothing_keeps_from_moving(api):
    result = plan(api, "small")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "small: Bailie with a central scheduler (pattern 0), scheduled from mesh\n"
    )
    assert "1 Model, 1 Server, 0 Pipelines" in result.stdout
    assert "  3. scheduler: ask for a scheduler of the namespace's own" in result.stdout
    assert "     back: ask for the central scheduler again" in result.stdout
    assert result.stdout.endswith("Nothing stands in the way: bailie migrate apply small\n")


def test_a_namespace_of_seldon_core_has_steps_until_its_finish(api):
    result = plan(api, "large", "-o", "yaml")
    assert result.exit_code == 0, result.output
    (found,) = yaml.safe_load(result.stdout)["plans"]
    commands = {step["name"]: step["command"] for step in found["steps"]}
    before = [
        "save",
        "definitions",
        "freeze",
        "detach",
        "apart",
        "install",
        "serve",
        "admit",
        "move",
        "leave",
    ]
    assert [*commands] == [*before, "alone", "envoys", "clear", "own", "releases"]
    assert {commands[name] for name in before} == {""}
    assert commands["clear"] == "bailie migrate finish large"
    (operator,) = found["findings"]
    assert '--set controller.watchNamespaces="{other}"' in operator["remedy"]


def test_twenty_models_take_less_than_five_seconds(api):
    begun = time.process_time()
    assert plan(api, "large").exit_code == 0
    assert time.process_time() - begun < 5


def test_all_namespaces_come_in_the_order_in_which_to_move_them(api):
    result = plan(api, "-A", "-o", "json")
    plans = json.loads(result.stdout)["plans"]
    assert [each["namespace"] for each in plans] == ["mesh", "small", "large"]
    text = plan(api, "-A")
    assert [line.split()[:2] for line in text.stdout.splitlines()[1:]] == [
        ["1", "mesh"],
        ["2", "small"],
        ["3", "large"],
    ]


def test_the_way_to_seldon_cores_own_scoped_pattern(api):
    result = plan(api, "large", "--to", "seldon", "-o", "json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["home"] == "seldon-old"
    assert found["values"]["controller"] == {
        "clusterwide": True,
        "watchNamespaces": ["large", "other"],
        "skipClusterRoleCreation": True,
    }
    assert "kubectl delete service seldon-scheduler --namespace large" in found["commands"]
    assert sum("skipOperatorClusterRoleCreation" in trap for trap in found["traps"]) == 1
    text = plan(api, "large", "--to", "seldon").stdout
    values = text.partition("<<'EOF'\n")[2].partition("EOF")[0]
    assert yaml.safe_load(values) == found["values"]


def test_an_account_without_rights_gets_findings_and_no_traceback(api, tmp_path):
    nobody = api.kubeconfig_for(api.token("nobody"), tmp_path / "nobody")
    result = plan(api, "large", "-o", "json", kubeconfig=nobody)
    assert result.exit_code == 1, result.output
    (found,) = json.loads(result.stdout)["plans"]
    unread = next(each for each in found["findings"] if each["check"] == "unread")
    assert unread["impact"] == "blocker"
    assert "Model, " in unread["message"]
    assert "run the plan with an account" in unread["remedy"]


def test_an_account_that_may_only_read_is_told_the_rights_that_lack(api, tmp_path):
    reader = reading_account(api, "large")
    result = plan(api, "large", "-o", "json", kubeconfig=api.kubeconfig_for(reader, tmp_path / "reader"))
    (found,) = json.loads(result.stdout)["plans"]
    lacking = next(each for each in found["findings"] if each["check"] == "rights")
    assert "patch" in lacking["message"]
    assert "statefulsets.apps" in lacking["message"]
    assert "--namespace large" in lacking["remedy"]


def reading_account(api, namespace):
    """Returns the token of a user who may read everything in one namespace."""
    role = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]}
    place = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    api.request("POST", f"{place}/roles", json={"metadata": {"name": "reader"}, **role})
    binding = {
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}],
    }
    api.request("POST", f"{place}/rolebindings", json=binding)
    return api.token("reader")


def test_secrets_are_read_without_their_contents(api, audit):
    api.request("POST", "/api/v1/namespaces/large/secrets", json=SECRET)
    for form in ("text", "json", "yaml"):
        assert "aG9uZXkK" not in plan(api, "large", "-o", form).output


SECRET = {"metadata": {"name": "pot"}, "type": "Opaque", "data": {"pot": "aG9uZXkK"}}


def test_a_plan_reads_only(api, audit):
    before, lines = audit.writes(), len(audit.lines())
    plan(api, "small", "large")
    assert audit.writes() == before
    assert [line for line in audit.lines()[lines:] if line.get("dryRun")]


def test_the_first_changes_are_tried_by_the_api_server(api):
    (small,) = json.loads(plan(api, "small", "-o", "json").stdout)["plans"]
    assert small["changes"] == [
        "ServiceAccount small/seldon-scheduler: new",
        "Role small/seldon-scheduler-role: new",
        "RoleBinding small/seldon-scheduler-rolebinding: new",
        'SeldonRuntime small/seldon: spec.schedulerNamespace: "mesh" -> nothing',
        'SeldonRuntime mesh/seldon: spec.servesNamespaces: ["small"] -> []',
    ]
    (large,) = json.loads(plan(api, "large", "-o", "json").stdout)["plans"]
    assert "Role large/agent-role: new" in large["changes"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["Large"], '"Large" is no DNS label'),
        (["-A", "large"], "-A is for all namespaces; name none with it"),
        (["large", "--to", "heaven"], "'heaven' is not one of"),
    ],
)
def test_arguments_that_cannot_be_used(api, arguments, says):
    result = plan(api, *arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_an_api_that_is_away(api, tmp_path):
    content = api.kubeconfig.read_text().replace(api.url, "https://127.0.0.1:1")
    (tmp_path / "away").write_text(content)
    result = plan(api, "large", kubeconfig=tmp_path / "away")
    assert result.exit_code == 1
    assert result.output.startswith("error: https://127.0.0.1:1")
    assert "hint: is it running?" in result.output

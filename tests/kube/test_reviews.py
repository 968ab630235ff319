"""Which rights are missing, as servers answer that know all, and as those that do not."""

from __future__ import annotations

import pytest

from bailie.kube import errors
from bailie.kube.client import Client
from bailie.kube.reviews import account_may, own_missing_rights
from bailie.manifests.rbac import OPERATOR_ACCOUNT, OPERATOR_RULES, OPERATOR_STATEFUL_RULES, role_manifests
from bailie.scope.rights import Right, rights_of

NEEDED = rights_of((*OPERATOR_RULES, *OPERATOR_STATEFUL_RULES))
PATCH = Right("mlops.seldon.io", "servers/status", "patch")
LIST = Right("", "services", "list")


class Incomplete:
    """A server with an authoriser beside RBAC: it lists no rules, and knows each right when asked for it."""

    def __init__(self, allowed):
        self.allowed = allowed
        self.asked = []

    async def call(self, method, path, *, body):
        if body["kind"] == "SelfSubjectRulesReview":
            return {"status": {"resourceRules": [], "incomplete": True}}
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        right = Right(asked["group"], resource, asked["verb"])
        self.asked.append((right, asked["namespace"]))
        return {"status": {"allowed": right in self.allowed}}


async def test_what_a_server_cannot_list_is_asked_for_one_by_one():
    server = Incomplete({PATCH})
    assert await own_missing_rights(server, "a", {PATCH, LIST}) == (LIST,)
    assert sorted(server.asked) == sorted([(PATCH, "a"), (LIST, "a")])


@pytest.fixture
async def operator(api, client, tmp_path):
    for manifest in role_manifests("a", "b"):
        await client.create(manifest)
    token = api.service_account_token("b", OPERATOR_ACCOUNT)
    async with Client.from_kubeconfig(api.kubeconfig_for(token, tmp_path / "operator")) as operator:
        yield operator


async def test_what_the_charts_roles_grant_is_all_that_is_needed(operator):
    assert await own_missing_rights(operator, "a", NEEDED) == ()
    assert set(await own_missing_rights(operator, "default", NEEDED)) == NEEDED


async def test_somebody_elses_rights_are_known_to_who_may_ask(client, operator):
    account = ("b", OPERATOR_ACCOUNT)
    assert await account_may(client, account, LIST, "a")
    assert not await account_may(client, account, LIST, "default")
    with pytest.raises(errors.Forbidden):
        await account_may(operator, account, LIST, "a")

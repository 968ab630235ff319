from __future__ import annotations

import pytest

from bailie.manifests.rbac import OPERATOR_HOME_RULES, OPERATOR_RULES, SCOPE_STATUS
from bailie.scope.rights import HeldRights, Right, full_name, missing_rights, named, rights_of

SERVICES = Right("", "services", "get")
STATUS = Right("mlops.seldon.io", "servers/status", "patch")


def rule(group, resource, verb, **more):
    return {"apiGroups": [group], "resources": [resource], "verbs": [verb], **more}


HELD = {
    "exactly": (rule("", "services", "get"), SERVICES, True),
    "every verb": (rule("", "services", "*"), SERVICES, True),
    "every resource": (rule("", "*", "get"), SERVICES, True),
    "every group": (rule("*", "services", "get"), SERVICES, True),
    "another group": (rule("apps", "services", "get"), SERVICES, False),
    "another verb": (rule("", "services", "list"), SERVICES, False),
    "only a named object": (rule("", "services", "get", resourceNames=["one"]), SERVICES, False),
    "a subresource": (rule("mlops.seldon.io", "servers/status", "patch"), STATUS, True),
    "the resource is not its subresource": (rule("mlops.seldon.io", "servers", "patch"), STATUS, False),
    "the subresource of everything": (rule("mlops.seldon.io", "*/status", "patch"), STATUS, True),
    "everything with its subresources": (rule("mlops.seldon.io", "*", "patch"), STATUS, True),
    "a rule of no resources": ({"verbs": ["get"]}, SERVICES, False),
}


@pytest.mark.parametrize(("given", "right", "expected"), HELD.values(), ids=HELD)
def test_held(given, right, expected):
    assert HeldRights((given,)).has(right) is expected


def test_what_a_role_grants_is_not_missing_and_all_else_is():
    needed = rights_of(OPERATOR_RULES)
    granted = HeldRights(tuple(each.manifest() for each in OPERATOR_RULES))
    assert missing_rights(needed, granted) == ()
    assert set(missing_rights(needed, HeldRights(()))) == needed
    without = HeldRights(
        tuple(each.manifest() for each in OPERATOR_RULES if "services" not in each.resources)
    )
    assert {right.resource for right in missing_rights(needed, without)} == {"services", "configmaps"}


def test_rights_on_named_objects_are_not_asked_for_in_general():
    patches = {r for r in rights_of(OPERATOR_HOME_RULES) if (r.resource, r.verb) == ("configmaps", "patch")}
    assert patches == set()
    assert any(rule.names == (SCOPE_STATUS,) for rule in OPERATOR_HOME_RULES)


def test_rights_are_named_verb_by_verb():
    rights = [
        Right("", "services", "patch"),
        Right("", "services", "create"),
        Right("", "configmaps", "create"),
        Right("", "configmaps", "patch"),
        Right("mlops.seldon.io", "servers", "list"),
    ]
    assert named(rights) == "create, patch on configmaps, services; list on servers.mlops.seldon.io"
    assert named([]) == ""


def test_resources_are_named_as_kubectl_takes_them():
    assert full_name("mlops.seldon.io", "servers/status") == "servers.mlops.seldon.io/status"
    assert full_name("", "pods") == "pods"

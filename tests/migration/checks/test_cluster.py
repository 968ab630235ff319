"""The cluster's own faults: its version, its definitions, the caller's rights."""

from __future__ import annotations

import copy
import dataclasses

import pytest
from tests.support.plan_grounds import seen_as

from bailie.api.crd import crd_manifests
from bailie.doctor.facts import Unknown
from bailie.migration.checks.cluster import definitions, rights, version
from bailie.migration.facts import by_name
from bailie.migration.source import MoveSource
from bailie.scope.rights import Right

SOURCE = MoveSource.SELDON_CENTRAL
MODELS = "models.mlops.seldon.io"


def defined(change=lambda _: None):
    """The definitions of this version, after a change."""
    found = copy.deepcopy(by_name(crd_manifests()))
    change(found)
    return found


def messages(check, facts):
    return [f"{each.impact}: {each.message} -> {each.remedy}" for each in check(facts, SOURCE)]


@pytest.mark.parametrize(
    ("server", "old"), [("v1.29.9", True), ("v1.30.0", False), ("v1.36.0+bailie", False), ("", False)]
)
def test_the_version(server, old):
    found = messages(version, seen_as(version=server))
    text = f"blocker: the API server is {server}; Bailie needs Kubernetes 1.30 or newer"
    assert found == ([f"{text} -> upgrade the cluster first"] if old else [])


def test_definitions_of_this_version_are_in_order():
    assert messages(definitions, seen_as(definitions=defined())) == []


def test_a_missing_definition():
    (found,) = messages(definitions, seen_as(definitions=defined(lambda all_: all_.pop(MODELS))))
    assert found == (
        "blocker: the cluster lacks 1 resource definitions -> bailie crds | kubectl apply --server-side -f -"
    )


def test_an_older_definition_of_a_release_without_a_policy():
    def older(all_):
        definition = all_["seldonruntimes.mlops.seldon.io"]
        definition["metadata"]["annotations"] = {
            "meta.helm.sh/release-name": "crds",
            "meta.helm.sh/release-namespace": "seldon",
        }
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["schedulerNamespace"]

    old, unkept = messages(definitions, seen_as(definitions=defined(older)))
    assert "seldonruntimes.mlops.seldon.io lacks spec.schedulerNamespace" in old
    assert "`helm uninstall` of it deletes every Model of the cluster" in unkept
    for each in (old, unkept):
        assert each.startswith("advice: ")
        assert each.endswith("-> helm upgrade crds ./charts/seldon-core-v2-crds --namespace seldon")


def test_a_definition_that_is_about_to_go():
    def deleted(all_):
        all_[MODELS]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    (found,) = messages(definitions, seen_as(definitions=defined(deleted)))
    assert found.startswith("blocker: the definition is being deleted")


def test_definitions_that_may_not_be_read():
    (found,) = messages(definitions, seen_as(definitions=Unknown("you may not")))
    assert found.startswith(
        "advice: whether the resource definitions are up to date is not known: you may not"
    )


def test_missing_and_unknown_rights():
    facts = dataclasses.replace(
        seen_as(), missing=(Right("", "pods", "list"), Right("apps", "statefulsets", "patch"))
    )
    (found,) = rights(facts, SOURCE)
    assert found.message == (
        "this account lacks rights that a move needs: list on pods; patch on statefulsets.apps"
    )
    assert "kubectl create rolebinding" in found.remedy
    facts = dataclasses.replace(seen_as(), missing=Unknown("no answer"))
    (found,) = rights(facts, SOURCE)
    assert found.message == "whether this account has the rights for a move is not known: no answer"

"""Resource definitions that lack, or that lack a field, are brought up to date; others are left alone."""

from __future__ import annotations

import copy

from tests.support.plan_grounds import seen_as

from bailie.api.crd import crd_manifests
from bailie.migration.changes import Verb
from bailie.migration.facts import by_name
from bailie.migration.seldon.definitions import are_served, bring_up_to_date

MODELS = "models.mlops.seldon.io"


def cluster(change=lambda definitions: None):
    """The facts with all definitions served, but for a change of them."""
    definitions = copy.deepcopy(by_name(crd_manifests()))
    for each in definitions.values():
        each["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    change(definitions)
    return seen_as(definitions=definitions)


def test_definitions_of_this_version_are_left_alone():
    assert bring_up_to_date(cluster(), None) == ()
    assert are_served(cluster(), None) == ()


def test_a_definition_that_lacks_a_field_gets_the_whole_spec():
    def older(definitions):
        schema = definitions[MODELS]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["storageUri"]
        marks = {"meta.helm.sh/release-name": "crds", "meta.helm.sh/release-namespace": "seldon"}
        definitions[MODELS]["metadata"]["annotations"] = marks

    (change,) = bring_up_to_date(cluster(older), None)
    assert (change.verb, change.name, change.namespace) == (Verb.PATCH, MODELS, "")
    assert "storageUri" in str(change.body)
    assert change.helm.startswith("helm upgrade crds ./charts/seldon-core-v2-crds --namespace seldon")


def test_a_missing_definition_is_made_and_waited_for():
    facts = cluster(lambda definitions: definitions.pop(MODELS))
    (change,) = bring_up_to_date(facts, None)
    assert (change.verb, change.name) == (Verb.CREATE, MODELS)
    assert are_served(facts, None) == (f"definition {MODELS}: the API does not serve it yet",)

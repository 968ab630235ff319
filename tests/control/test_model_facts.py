"""The facts of a Model that no pass looks at."""

import pytest
from tests.support.manifests import manifest_of

from bailie.control.model_facts import misnamed_facts


@pytest.mark.parametrize("name", ["rose.pipeline", "rose.experiment", "rose.a.pipeline"])
def test_a_model_with_the_name_of_another_kind_is_not_ready_and_names_its_mistake(name):
    facts = misnamed_facts(manifest_of("Model", name, {"storageUri": "/m"}, generation=3))
    status = facts.status(0, (), "2026-01-01T00:00:00Z")
    conditions = {each["type"]: each for each in status["conditions"]}
    assert {conditions[each]["status"] for each in ("Ready", "ModelReady", "RolledOut")} == {"False"}
    assert "metadata.name" in conditions["Ready"]["message"]
    assert (status["observedGeneration"], status["availableReplicas"]) == (3, 0)

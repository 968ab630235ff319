import re

import pytest

from bailie.api.model import Model
from bailie.api.names import MODEL_RULE, is_model_name

GOOD = ["iris", "fraud.v2", "a.b.c-d.1", "0", "a" * 63, "x.pipelines", "pipeline", "experiment.x"]
BAD = [
    "",
    ".",
    "..",
    ".a",
    "a.",
    "a..b",
    "a.-b",
    "a-.b",
    "A.b",
    "a_b",
    "a/b",
    "a@",
    "@",
    "a" * 64,
    "a\n",
    "ä",
]
OTHERS = ["x.pipeline", "x.experiment", "a.b.pipeline"]


@pytest.mark.parametrize("name", GOOD)
def test_names_with_dots_are_taken(name):
    assert is_model_name(name)
    assert re.fullmatch(MODEL_RULE.pattern, name)


@pytest.mark.parametrize("name", BAD + OTHERS)
def test_other_names_are_not(name):
    assert not is_model_name(name)
    manifest = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"storageUri": "gs://b/x", "requirements": ["sklearn"]},
    }
    model, problems = Model.parse(manifest)
    assert model is None
    assert [problem.path for problem in problems] == ["metadata.name"]


def test_the_definition_refuses_all_of_them_but_those_of_other_kinds():
    assert [name for name in BAD if re.fullmatch(MODEL_RULE.pattern, name)] == ["a" * 64]
    assert all(re.fullmatch(MODEL_RULE.pattern, name) for name in OTHERS)

"""Samples of each Model kind whose runtime is installed, applied in one go: real inferences, or the reason.

Only the address of a sample is changed, to an artifact that the kind's own library has just written.
"""

import json
import shutil

import pytest
from tests.agent.test_runtimes import KINDS, environment_has, flowers, trained
from tests.e2e.conftest import SYSTEM, until
from tests.samples.table import of_kind
from tests.support import plain_http

pytestmark = pytest.mark.e2e

QUERY = """
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse

class Query(MLModel):
    async def predict(self, payload):
        output = StringCodec.encode_output("query", [self.settings.parameters.extra["query"]])
        return InferenceResponse(model_name=self.name, outputs=[output])
"""
SKLEARN = "scikit-learn, columns beside the model"
CLASSES = [0, 2]
"""Of the flowers, by each trained kind."""
SERVED = {
    **dict.fromkeys(
        (
            "iris", "by-type", "by-type-and-requirement", "twice", "blanks", "from-file", "memory-mega",
            "pinned", "labelled", "in-its-namespace", "iris.v2", "idle-words", "logged",
        ),
        SKLEARN,
    ),
    "income": "scikit-learn, a name of its own in a sub-folder",
    "movies": "scikit-learn, a scaler beside the model",
    "income-boosted": "XGBoost, model.ubj",
    "income-leaves": "LightGBM",
    "wine": "MLflow, in a sub-folder",
}  # fmt: skip
"""By sample the kind of its artifact, in `KINDS`."""
FAILED = {
    "iris-second": ("ModelReady", "ArtifactNotFound"),
    "from-s3": ("ModelReady", "there is no Secret minio in namespace"),
    "explains-model": ("Scheduled", 'lacks capability "alibi-explain"'),
    "simple": ("Scheduled", 'lacks capability "tensorflow"'),
}
"""By sample the condition that says why it cannot be served on this stack."""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """The folder of an artifact by its kind; of each kind that can be served here."""
    folder = tmp_path_factory.mktemp("artifacts")
    kinds = {kind for kind in SERVED.values() if environment_has(KINDS[kind].package)}
    made = {kind: trained(folder / str(number), KINDS[kind]) for number, kind in enumerate(sorted(kinds))}
    (folder / "query").mkdir()
    (folder / "query" / "model.py").write_text(QUERY)
    shutil.copytree(made[SKLEARN], folder / "versions" / "2")
    described = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel"}
    (folder / "versions" / "2" / "model-settings.json").write_text(json.dumps(described))
    return {**made, "query": folder / "query", "versions": folder / "versions", "nowhere": folder / "nowhere"}


@pytest.fixture(scope="module")
def applied(stack, artifacts):
    """Applies the samples; the value is the names of those that are to answer."""
    given = {name: artifacts[kind] for name, kind in SERVED.items() if kind in artifacts}
    given |= {"choice-first": artifacts["query"], "choice-second": artifacts["query"]}
    given |= {"iris-version": artifacts["versions"]}
    answering = list(given)
    given |= {name: artifacts["nowhere"] for name in FAILED if name == "iris-second"}
    items = [
        manifest(each, given.get(each.name)) for each in of_kind("Model") if each.name in {*given, *FAILED}
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    stack.kubectl("apply", "-f", "-", stdin=listed)
    yield answering
    stack.kubectl("delete", "-f", "-", "--timeout=60s", stdin=listed)


def manifest(sample, artifact):
    made = sample.manifest(SYSTEM)
    if artifact is not None:
        scheme = "file://" if sample.spec["storageUri"].startswith("file:") else ""
        made["spec"] = {**made["spec"], "storageUri": f"{scheme}{artifact}"}
    return made


def outputs(stack, name):
    url = f"{stack.url()}/v2/models/{name}/infer"
    answer = plain_http.post(url, json=flowers(), timeout=30)
    assert answer.is_success, f"{name}: {answer.text}"
    return answer.json()["outputs"][0]["data"]


def test_the_samples_answer(stack, applied):
    stack.kubectl(
        "wait", "--for=condition=Ready", *[f"model/{each}" for each in applied], "-n", SYSTEM, "--timeout=80s"
    )
    answers = {name: outputs(stack, name) for name in applied}
    assert (answers.pop("choice-first"), answers.pop("choice-second")) == (["choice == 1"], ["choice == 2"])
    wrong = {name: data for name, data in answers.items() if [round(value) for value in data] != CLASSES}
    assert wrong == {}
    assert len(answers) >= len([kind for kind in SERVED.values() if kind == SKLEARN])


@pytest.mark.parametrize("name", FAILED)
def test_the_others_say_why(stack, applied, name):
    condition, words = FAILED[name]
    until(
        lambda: told(stack.condition(name, condition), words),
        what=f"{name}: {words} (last: {stack.condition(name, condition)})",
    )


def told(condition, words):
    said = f"{condition.get('reason')}: {condition.get('message')}"
    return condition.get("status") == "False" and words in said

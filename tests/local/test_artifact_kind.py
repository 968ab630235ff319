"""Which runtime an artifact is for: by names of files, a few first bytes, and what the artifact states."""

import json

import pytest

from bailie.local.artifact_kind import recognise_artifact
from bailie.local.errors import LocalError

CUSTOM = b"from mlserver import MLModel\n\nclass Mine(MLModel):\n    pass\n"
TEXT_TREE = b"tree\nversion=v4\n"
UBJ = b"{L\x00\x00"
TENSORS = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]
COLUMNS = [{"type": "double", "name": "age"}, {"type": "string", "name": "city"}]


def mlmodel(inputs):
    return f"flavors: {{sklearn: {{}}}}\nsignature:\n  inputs: '{json.dumps(inputs)}'\n".encode()


@pytest.fixture
def folder(tmp_path):
    """Writes files, and returns their folder."""

    def write(files):
        for name, content in files.items():
            path = tmp_path / "artifact" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "artifact"

    return write


@pytest.mark.parametrize(
    ("files", "requirement", "file"),
    [
        ({"model.joblib": b"x"}, "sklearn", "model.joblib"),
        ({"deep/model.pkl": b"x", "notes.txt": b"x"}, "sklearn", "deep/model.pkl"),
        ({"model.json": b"{}"}, "xgboost", "model.json"),
        ({"model.bst": UBJ}, "xgboost", "model.bst"),
        ({"model.ubj": UBJ}, "xgboost", "model.ubj"),
        ({"scaler.joblib": b"x", "model.pkl": b"x"}, "sklearn", "model.pkl"),
        ({"model.bst": TEXT_TREE}, "lightgbm", "model.bst"),
        ({"mine.py": CUSTOM}, "python", "mine.py"),
        ({"model.joblib": b"x", "metadata.json": b"{}"}, "sklearn", "model.joblib"),
        ({"MLmodel": b"flavors: {}", "model.pkl": b"x"}, "mlflow", None),
        ({"model-settings.json": b'{"implementation": "mlserver_sklearn.SKLearnModel"}'}, "sklearn", None),
        ({"model-settings.json": b'{"implementation": "mine.Mine"}', "mine.py": CUSTOM}, "python", None),
        (
            {"model-settings.json": b'{"implementation": "mlserver_alibi_detect.AlibiDetectRuntime"}'},
            "alibi-detect",
            None,
        ),
    ],
)
def test_what_a_folder_is(folder, files, requirement, file):
    path = folder(files)
    found = recognise_artifact(path)
    assert (found.requirement, found.path) == (requirement, path)
    assert found.file == (path / file if file else None)


@pytest.mark.parametrize(
    ("name", "content", "requirement"),
    [
        ("iris.joblib", b"x", "sklearn"),
        ("iris.pickle", b"x", "sklearn"),
        ("boosted.bst", UBJ, "xgboost"),
        ("boosted.bst", TEXT_TREE, "lightgbm"),
        ("mine.py", CUSTOM, "python"),
    ],
)
def test_what_a_file_is_whatever_lies_beside_it(folder, name, content, requirement):
    path = folder({name: content, "model-settings.json": b"{}", "MLmodel": b"", "a.joblib": b"x"}) / name
    found = recognise_artifact(path)
    assert (found.requirement, found.path, found.file) == (requirement, path, path)
    assert found.size == len(content)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model.onnx": b"x"}, "has no model that MLServer loads without settings"),
        ({"config.pbtxt": b"", "1/model.onnx": b"x"}, "is a model for Triton"),
        ({"model-settings.json": b"["}, "not valid JSON"),
        ({"model-settings.json": b"[]"}, "should hold a JSON object"),
        ({"a.joblib": b"x", "b.joblib": b"x"}, "may be the model for requirement sklearn"),
        ({"mine.py": b"print('no class')"}, "has no model that MLServer loads"),
    ],
)
def test_what_no_runtime_takes_is_said(folder, files, message):
    with pytest.raises(LocalError, match=message):
        recognise_artifact(folder(files))


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(LocalError, match="there is no file or folder"):
        recognise_artifact(tmp_path / "nothing")


def test_inputs_of_settings_are_those_that_they_state(folder):
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    settings = {"implementation": "mine.Mine", "inputs": [*inputs, "rubbish"]}
    found = recognise_artifact(folder({"model-settings.json": json.dumps(settings).encode()}))
    assert list(found.inputs) == inputs


def test_inputs_of_an_mlflow_model_are_those_of_its_signature(folder):
    [tensor] = recognise_artifact(folder({"MLmodel": mlmodel(TENSORS)})).inputs
    assert (tensor["datatype"], tensor["shape"]) == ("FP64", [-1, 4])
    age, city = recognise_artifact(folder({"MLmodel": mlmodel(COLUMNS)})).inputs
    assert (age["datatype"], city["datatype"]) == ("FP64", "BYTES")
    assert age["parameters"] == {"content_type": "pd"}


@pytest.mark.parametrize(
    "content",
    [b"", b"[", b"signature: 5", b"signature: {inputs: x}", b"\xff", mlmodel([{}]), mlmodel({"a": 1})],
)
def test_a_signature_that_is_not_understood_is_none(folder, content):
    assert recognise_artifact(folder({"MLmodel": content})).inputs == ()


def test_a_file_that_no_runtime_takes_is_named_as_the_user_named_it(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"x")
    with pytest.raises(LocalError) as refused:
        recognise_artifact(path)
    assert refused.value.message.startswith(f"{path} has no model")

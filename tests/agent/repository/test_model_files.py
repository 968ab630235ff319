"""Which file of an artifact without settings is the model: as tables, of what people leave in folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.agent.errors import RepositoryError
from bailie.agent.repository.model_files import find_model_file

if TYPE_CHECKING:
    from pathlib import Path

CODE = "from mlserver import MLModel\nclass {}(MLModel):\n    pass\n"


def tree(folder: Path, *paths: str) -> Path:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CODE.format(file.stem.title()) if path.endswith("runtime.py") else "x")
    return folder


@pytest.mark.parametrize(
    ("requirements", "files", "implementation", "uri"),
    [
        (["sklearn"], ["model.joblib"], "mlserver_sklearn.SKLearnModel", "./model.joblib"),
        (["sklearn"], ["scaler.joblib", "model.pkl"], "mlserver_sklearn.SKLearnModel", "./model.pkl"),
        (
            ["sklearn"],
            ["label_encoder.joblib", "model.joblib"],
            "mlserver_sklearn.SKLearnModel",
            "./model.joblib",
        ),
        (["sklearn"], ["columns.pkl", "model.pkl"], "mlserver_sklearn.SKLearnModel", "./model.pkl"),
        (["sklearn"], ["model.pkl", "model.joblib"], "mlserver_sklearn.SKLearnModel", "./model.joblib"),
        (["gpu", "sklearn"], ["a.pickle"], "mlserver_sklearn.SKLearnModel", "./a.pickle"),
        (["sklearn"], ["sub/model.joblib"], "mlserver_sklearn.SKLearnModel", "./sub/model.joblib"),
        (["sklearn"], ["a.joblib", "sub/model.pkl"], "mlserver_sklearn.SKLearnModel", "./sub/model.pkl"),
        (["sklearn"], ["a.joblib", "old/a.joblib"], "mlserver_sklearn.SKLearnModel", "./a.joblib"),
        (
            ["sklearn"],
            ["a.joblib", "._a.joblib", ".ipynb_checkpoints/model.joblib"],
            "mlserver_sklearn.SKLearnModel",
            "./a.joblib",
        ),
        (["xgboost"], ["m.bst"], "mlserver_xgboost.XGBoostModel", "./m.bst"),
        (["xgboost"], ["model.ubj"], "mlserver_xgboost.XGBoostModel", "./model.ubj"),
        (["xgboost"], ["booster.ubj"], "mlserver_xgboost.XGBoostModel", "./booster.ubj"),
        (["xgboost"], ["metrics.json", "model.ubj"], "mlserver_xgboost.XGBoostModel", "./model.ubj"),
        (["lightgbm"], ["m.bst"], "mlserver_lightgbm.LightGBMModel", "./m.bst"),
        (["mlflow"], ["MLmodel", "model.pkl"], "mlserver_mlflow.MLflowRuntime", "./"),
        (["mlflow"], ["artifacts/m/MLmodel"], "mlserver_mlflow.MLflowRuntime", "./artifacts/m"),
        (["alibi-detect"], ["x.dill"], "mlserver_alibi_detect.AlibiDetectRuntime", "./"),
        (["alibi-explain"], ["data/x.dill"], "mlserver_alibi_explain.AlibiExplainRuntime", "./data"),
        (["mlserver", "python"], ["runtime.py", "other.py"], "runtime.Runtime", "./runtime.py"),
        (["python", "mlflow"], ["MLmodel", "python_model.pkl"], "mlserver_mlflow.MLflowRuntime", "./"),
        (["mlflow", "python"], ["runtime.py"], "runtime.Runtime", "./runtime.py"),
        (["xgboost", "sklearn"], ["model.joblib"], "mlserver_sklearn.SKLearnModel", "./model.joblib"),
        (["python", "mlflow"], ["MLmodel", "runtime.py"], "runtime.Runtime", "./runtime.py"),
    ],
)
def test_the_model_of_an_artifact(
    tmp_path: Path, requirements: list[str], files: list[str], implementation: str, uri: str
):
    found = find_model_file(tree(tmp_path, *files), requirements, {})
    assert (found.implementation, found.uri) == (implementation, uri)


@pytest.mark.parametrize(
    ("requirements", "files", "candidates"),
    [
        (["sklearn"], ["b.joblib", "a.joblib"], ["a.joblib, b.joblib", "call its file model.joblib"]),
        (["sklearn"], ["b.pkl", "a.pickle"], ["a.pickle, b.pkl"]),
        (["xgboost"], ["m.bst", "m.json"], ["m.bst, m.json"]),
        (["sklearn"], ["1/model.joblib", "2/model.joblib"], ["1/model.joblib, 2/model.joblib", "its folder"]),
        (["mlflow"], ["a/MLmodel", "b/MLmodel"], ["a/MLmodel, b/MLmodel", "its folder"]),
        (["python"], ["a_runtime.py", "b_runtime.py"], ["a_runtime.A_Runtime, b_runtime.B_Runtime"]),
        (["sklearn"], [f"m{n}.pkl" for n in range(9)], ["and 4 more"]),
        (["python", "sklearn"], ["b.joblib", "a.joblib"], ["a.joblib, b.joblib"]),
    ],
)
def test_candidates_are_named(
    tmp_path: Path, requirements: list[str], files: list[str], candidates: list[str]
):
    with pytest.raises(RepositoryError) as caught:
        find_model_file(tree(tmp_path, *files), requirements, {})
    assert caught.value.reason == "ModelFileAmbiguous"
    assert [each for each in candidates if each not in caught.value.message] == []


@pytest.mark.parametrize(
    ("requirements", "reason", "messages"),
    [
        (["sklearn"], "NoModelFile", ["no *.joblib or *.pickle or *.pkl", "; it has notes.txt"]),
        (["python"], "NoModelFile", ["class …"]),
        (["python", "mlflow"], "NoModelFile", ["class …", "no file MLmodel", "; it has notes.txt"]),
        (["alibi-explain"], "NoModelFile", ["no folder"]),
        (["huggingface"], "ModelSettingsMissing", ["requirements huggingface"]),
        ([], "ModelSettingsMissing", ["without requirements"]),
    ],
)
def test_an_artifact_that_fits_nothing(
    tmp_path: Path, requirements: list[str], reason: str, messages: list[str]
):
    with pytest.raises(RepositoryError) as caught:
        find_model_file(tree(tmp_path, "notes.txt"), requirements, {})
    assert caught.value.reason == reason
    assert [each for each in messages if each not in caught.value.message] == []


def test_the_servers_words_go_before_the_names_known_here(tmp_path: Path):
    told = {"mlserver_xgboost": ["model.newest"], "mlserver_sklearn": ["model.joblib"]}
    found = find_model_file(tree(tmp_path, "model.newest", "model.bst"), ["xgboost"], told)
    assert found.uri == "./model.newest"
    with pytest.raises(RepositoryError, match=r"no \*\.newest, as"):
        find_model_file(tree(tmp_path / "sub", "model.bst"), ["xgboost"], told)


FILES = st.lists(
    st.sampled_from(["model.pkl", "a.pkl", "b.joblib", "x/model.joblib", "x/c.pkl", "y/model.pkl", "n.txt"]),
    unique=True,
)


@given(files=FILES)
def test_what_is_taken_is_there_and_is_the_only_one_of_its_kind(
    tmp_path_factory: pytest.TempPathFactory, files: list[str]
):
    folder = tree(tmp_path_factory.mktemp("case"), *files)
    try:
        found = find_model_file(folder, ["sklearn"], {})
    except RepositoryError as error:
        reason = error.reason
    else:
        reason = ""
    assert reason in {"", "NoModelFile", "ModelFileAmbiguous"}
    if reason:
        return
    assert found.path in files
    named = [each for each in files if each.rpartition("/")[2].startswith("model.")]
    assert found.path in (named or files)

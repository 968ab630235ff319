"""MLServer's folder and settings rules, as tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie._gen.agent_pb2 import Explainer, Llm, ModelSource, Parameter
from bailie.agent.errors import RepositoryError
from bailie.agent.repository.mlserver import choose_folder, generate_settings, prepare, rewrite_settings
from bailie.agent.repository.model_files import ModelFile
from bailie.agent.repository.prepared import Prepared
from bailie.agent.repository.server_words import ServerWords

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "model-settings.json"
WORDS = ServerWords("mlserver", workers=0)


def tree(folder: Path, *paths: str) -> Path:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}" if path.endswith(SETTINGS) else "x")
    return folder


@pytest.mark.parametrize(
    ("files", "version", "expected"),
    [
        ([SETTINGS, f"2/{SETTINGS}"], None, "."),
        ([SETTINGS, f"2/{SETTINGS}"], 2, "."),
        ([f"1/{SETTINGS}", f"2/{SETTINGS}"], 1, "1"),
        ([f"a/1/{SETTINGS}"], 1, "a/1"),
        ([f"1/{SETTINGS}", f"10/{SETTINGS}", f"9/{SETTINGS}"], None, "10"),
        ([f"1/{SETTINGS}", "7/model.joblib"], None, "1"),
        (["model.joblib"], None, "."),
        (["1/model.joblib"], None, "."),
    ],
)
def test_folder_choice(tmp_path: Path, files: list[str], version: int | None, expected: str):
    assert choose_folder(tree(tmp_path, *files), version) == (tmp_path / expected)


@pytest.mark.parametrize(
    ("files", "version", "reason", "message"),
    [
        (["model.joblib"], 3, "ArtifactVersionNotFound", "no folder of the artifact has one"),
        ([f"1/{SETTINGS}"], 3, "ArtifactVersionNotFound", "those with one are 1"),
        ([f"a/3/{SETTINGS}", f"b/3/{SETTINGS}"], 3, "ArtifactVersionAmbiguous", "a/3, b/3"),
        ([f"sub/{SETTINGS}"], None, "ModelSettingsMissing", "there is one in sub"),
    ],
)
def test_folder_refusals(tmp_path: Path, files: list[str], version: int | None, reason: str, message: str):
    with pytest.raises(RepositoryError, match=message) as caught:
        choose_folder(tree(tmp_path, *files), version)
    assert caught.value.reason == reason


def test_generated_settings_name_the_class_and_the_uri():
    found = ModelFile("mlserver_sklearn.SKLearnModel", "./model.pkl", "model.pkl")
    assert generate_settings(found) == {
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.pkl"},
    }


def test_a_generated_explainer_runs_in_the_servers_own_process():
    found = ModelFile("mlserver_alibi_explain.AlibiExplainRuntime", "./data", "data")
    assert generate_settings(found)["parallel_workers"] == 0


@pytest.mark.parametrize(
    ("files", "version", "path"),
    [
        (["model.pkl", "scaler.joblib"], None, "model.pkl"),
        (["sub/model.joblib"], None, "sub/model.joblib"),
        ([SETTINGS, "model.pkl"], None, SETTINGS),
        ([f"2/{SETTINGS}", f"10/{SETTINGS}"], None, f"10/{SETTINGS}"),
        ([f"2/{SETTINGS}", f"10/{SETTINGS}"], 2, f"2/{SETTINGS}"),
    ],
)
def test_the_part_that_was_taken_is_told(tmp_path: Path, files: list[str], version: int | None, path: str):
    source = ModelSource(requirements=["sklearn"], artifact_version=version)
    artifact = tree(tmp_path / "artifact", *files)
    assert prepare(artifact, tmp_path / "target", source, "iris_3", WORDS) == Prepared(path)


def test_a_whole_folder_has_no_part(tmp_path: Path):
    artifact = tree(tmp_path / "artifact", "x.dill")
    source = ModelSource(requirements=["alibi-detect"])
    assert prepare(artifact, tmp_path / "target", source, "iris_3", WORDS) == Prepared("")


@pytest.mark.parametrize(
    "callers", [{"explainer": Explainer(model_ref="iris")}, {"llm": Llm(model_ref="chat")}]
)
def test_a_model_that_calls_others_has_no_environment_of_its_own(tmp_path: Path, callers: dict[str, Any]):
    """It runs in the server's own process, so workers do not help."""
    artifact = tree(tmp_path / "artifact")
    artifact.mkdir()
    (artifact / SETTINGS).write_text('{"parameters": {"environment_tarball": "./e.tar.gz"}}')
    with pytest.raises(RepositoryError, match="parallel_workers of the model is 0") as caught:
        prepare(artifact, tmp_path / "target", ModelSource(**callers), "e_1", ServerWords("s", 4))
    assert caught.value.reason == "EnvironmentNotSupported"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "a JSON object"),
        pytest.param("[" * 100_000, "not valid JSON", id="deep"),
        pytest.param(" " * (2 << 20), "not valid JSON: is larger than", id="large"),
        ('{"parameters": 3}', "parameters of"),
        ('{"parameters": {"extra": []}}', "parameters.extra of"),
    ],
)
def test_settings_that_cannot_be_read(tmp_path: Path, text: str, message: str):
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / SETTINGS).write_text(text)
    with pytest.raises(RepositoryError, match=message) as caught:
        prepare(artifact, tmp_path / "target", ModelSource(), "iris_1", WORDS)
    assert caught.value.reason == "ModelSettingsInvalid"


URL = "http://mesh:80"
REFERENCES = [
    (
        ModelSource(inference_url=URL, explainer=Explainer(type="anchor_tabular", model_ref="iris")),
        {"infer_uri": f"{URL}/v2/models/iris/infer", "explainer_type": "anchor_tabular"},
    ),
    (
        ModelSource(inference_url=URL, explainer=Explainer(pipeline_ref="p")),
        {"infer_uri": f"{URL}/v2/pipelines/p/infer"},
    ),
    (
        ModelSource(inference_url=URL, llm=Llm(model_ref="chat")),
        {"infer_uri": f"{URL}/v2/models/chat/infer"},
    ),
    (
        ModelSource(inference_url=URL, llm=Llm(model_ref="../repository?x#")),
        {"infer_uri": f"{URL}/v2/models/..%2Frepository%3Fx%23/infer"},
    ),
]


@pytest.mark.parametrize(("source", "extra"), REFERENCES)
def test_models_that_call_others(source: ModelSource, extra: dict[str, str]):
    settings = rewrite_settings({}, source, "e_1")
    assert settings["parallel_workers"] == 0
    assert settings["parameters"]["extra"] == extra


def test_reference_is_needed():
    with pytest.raises(RepositoryError, match="neither a modelRef nor a pipelineRef"):
        rewrite_settings({}, ModelSource(llm=Llm()), "e_1")


def test_parameters_come_last():
    source = ModelSource(
        inference_url=URL,
        explainer=Explainer(model_ref="iris"),
        parameters=[Parameter(name="infer_uri", value="mine"), Parameter(name="n", value="5")],
    )
    given_settings = {"parameters": {"extra": {"n": 4, "kept": [1]}}}
    extra = rewrite_settings(given_settings, source, "e_1")["parameters"]["extra"]
    assert extra == {"n": "5", "kept": [1], "infer_uri": "mine"}
    assert given_settings == {"parameters": {"extra": {"n": 4, "kept": [1]}}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OTHER_KEYS = st.dictionaries(
    st.text(max_size=12).filter(lambda key: key not in {"name", "parameters"}), JSON, max_size=5
)
PARAMETERS = st.dictionaries(
    st.text(max_size=12).filter(lambda key: key not in {"version", "extra"}), JSON, max_size=5
)


@given(settings=OTHER_KEYS, parameters=PARAMETERS, extra=st.none() | PARAMETERS)
def test_nothing_given_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    settings: dict[str, Any],
    parameters: dict[str, Any],
    extra: dict[str, Any] | None,
):
    folder = tmp_path_factory.mktemp("case")
    given_parameters = parameters if extra is None else {**parameters, "extra": extra}
    artifact = folder / "artifact"
    artifact.mkdir()
    whole = {**settings, "name": "theirs", "parameters": {**given_parameters, "version": "v9"}}
    (artifact / SETTINGS).write_text(json.dumps(whole))
    prepare(artifact, folder / "target", ModelSource(), "iris_3", WORDS)
    written = json.loads((folder / "target" / "1" / SETTINGS).read_text(encoding="utf-8"))
    assert written == {**settings, "name": "iris_3", "parameters": {**given_parameters, "version": "1"}}


def test_prepare_moves_the_chosen_folder_whole(tmp_path: Path):
    artifact = tree(tmp_path / "artifact", f"2/{SETTINGS}", "2/model.joblib", "2/code/x.py", "notes.txt")
    prepare(artifact, tmp_path / "target", ModelSource(artifact_version=2), "iris_3", WORDS)
    found = {p.relative_to(tmp_path / "target").as_posix() for p in (tmp_path / "target").rglob("*")}
    assert found == {"1", f"1/{SETTINGS}", "1/model.joblib", "1/code", "1/code/x.py"}

"""A request of the right shape: from inputs, and from models that the inference server's Python opens."""

import json
import shlex
import subprocess

import pytest
from tests.support.environments import mlserver_environment

from bailie.inference.codec import to_protobuf
from bailie.local.artifact_kind import recognise_artifact
from bailie.local.example_request import (
    MOST_ELEMENTS,
    SignatureQuestion,
    curl_command,
    example_request,
    python_program,
)

TRAIN = """
import sys, joblib
from pathlib import Path
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
folder = Path(sys.argv[1])
joblib.dump(LinearRegression().fit([[1.0, 2.0, 3.0]] * 2, [1, 2]), folder / "numbers.joblib")
frame = pd.DataFrame({"age": [1.0, 2.0], "height": [1.0, 2.0]})
joblib.dump(LinearRegression().fit(frame, [1, 2]), folder / "columns.joblib")
texts = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad night"], [1, 0])
joblib.dump(texts, folder / "texts.joblib")
joblib.dump({"not": "a model"}, folder / "other.joblib")
(folder / "broken.joblib").write_bytes(b"rubbish")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    subprocess.run([python(), "-c", TRAIN, folder], check=True)
    return folder


def python():
    return mlserver_environment() / "bin" / "python"


@pytest.mark.parametrize(
    ("file", "inputs"),
    [
        ("numbers.joblib", [("input-0", "FP64", [-1, 3])]),
        ("columns.joblib", [("age", "FP64", [-1, 1]), ("height", "FP64", [-1, 1])]),
        ("texts.joblib", [("text", "BYTES", [-1])]),
        ("other.joblib", []),
        ("broken.joblib", []),
    ],
)
def test_a_model_says_which_inputs_it_takes(trained, file, inputs):
    told = SignatureQuestion(recognise_artifact(trained / file), python()).answer(60)
    assert [(each["name"], each["datatype"], each["shape"]) for each in told] == inputs


def test_a_model_that_hangs_when_it_is_opened_is_left(tmp_path):
    code = (
        "import joblib, sys\n"
        "class Hangs:\n    def __reduce__(self):\n        import time\n        return time.sleep, (3600,)\n"
        "joblib.dump(Hangs(), sys.argv[1])\n"
    )
    path = tmp_path / "hangs.joblib"
    subprocess.run([python(), "-c", code, path], check=True)
    assert SignatureQuestion(recognise_artifact(path), python()).answer(0.5) == ()


def test_a_child_that_writes_without_an_end_is_left(tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec yes '[1'\n")
    program.chmod(0o755)
    (tmp_path / "model.joblib").write_bytes(b"x")
    assert SignatureQuestion(recognise_artifact(tmp_path / "model.joblib"), program).answer(60) == ()


def test_a_request_has_one_row_of_each_input():
    body = example_request([{"name": "x", "datatype": "FP32", "shape": [-1, 3]}])
    assert body == {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [0.0, 0.0, 0.0]}]}


@pytest.mark.parametrize("datatype", ["BOOL", "INT8", "UINT64", "FP32", "FP64", "BYTES"])
def test_the_values_are_of_the_datatype(datatype):
    body = example_request([{"name": "x", "datatype": datatype, "shape": [2]}])
    assert len(to_protobuf("m", body).inputs) == 1


def test_columns_of_a_data_frame_are_sent_as_one():
    column = {"datatype": "FP64", "shape": [-1, 1], "parameters": {"content_type": "pd"}}
    body = example_request([{"name": "a", **column}, {"name": "b", **column}])
    assert body["parameters"] == {"content_type": "pd"}


@pytest.mark.parametrize(
    "inputs",
    [
        [],
        [{}],
        [{"name": "x", "datatype": "FP32", "shape": 5}],
        [{"name": "x", "datatype": "FP32", "shape": ["a"]}],
        [{"name": "x", "datatype": "FP32", "shape": [MOST_ELEMENTS + 1]}],
    ],
)
def test_inputs_that_are_not_understood_make_a_request_of_one_number(inputs):
    assert example_request(inputs)["inputs"][0]["shape"] == [1, 1]


BODY = {"inputs": [{"name": "it's", "shape": [1, 2], "datatype": "FP32", "data": [0.0, 1.0]}]}


def test_a_shell_reads_the_request_as_it_was_written():
    words = shlex.split(curl_command("http://127.0.0.1:1", "iris", BODY))
    assert words[:2] == ["curl", "http://127.0.0.1:1/v2/models/iris/infer"]
    assert json.loads(words[-1]) == BODY


def test_the_program_is_one_of_python():
    program = python_program("http://127.0.0.1:1", "iris", BODY)
    compile(program, "example", "exec")
    assert "[[0.0, 1.0]]" in program
    two = {
        "inputs": [*BODY["inputs"], {**BODY["inputs"][0], "name": "b"}],
        "parameters": {"content_type": "pd"},
    }
    compile(python_program("http://127.0.0.1:1", "iris", two), "example", "exec")

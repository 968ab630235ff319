import pytest

from bailie.inference.client import InferenceAnswer
from bailie.local.traffic import Expectation

IRIS = Expectation("iris", [[1.0, 2.0], [3.0, 4.0]], [0, 1])


def answer(data):
    return InferenceAnswer(True, "200", {"outputs": [{"data": data}]}, {})


def test_the_request_holds_all_inputs_row_major():
    assert IRIS.request()["inputs"] == [
        {"name": "predict", "shape": [2, 2], "datatype": "FP64", "data": [1.0, 2.0, 3.0, 4.0]}
    ]


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (answer([0, 1]), ""),
        (answer([0, 1 + 1e-9]), ""),
        (answer([0, 2]), "answered [0, 2], expected [0, 1]"),
        (answer([0]), "answered [0], expected [0, 1]"),
        (answer([0, 1, 1]), "answered [0, 1, 1], expected [0, 1]"),
        (answer(["0", "1"]), "answered {'outputs': [{'data': ['0', '1']}]}, expected [0, 1]"),
        (answer(None), "answered {'outputs': [{'data': None}]}, expected [0, 1]"),
        (InferenceAnswer(True, "200", "<html>", {}), "answered '<html>', expected [0, 1]"),
        (InferenceAnswer(True, "200", {"outputs": []}, {}), "answered {'outputs': []}, expected [0, 1]"),
        (InferenceAnswer(False, "503", {"error": "x"}, {}), "503 {'error': 'x'}"),
    ],
)
def test_an_answer_is_compared_with_what_the_model_says(given, wrong):
    assert IRIS.wrong(given) == wrong

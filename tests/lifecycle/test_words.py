"""How much of an exception a condition shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailie.lifecycle.words import LONGEST, being_deleted, brief, clipped, for_callers, is_token

NATIVE = """could not load it: [10:11:12] /src/c_api/c_api.cc:1048: Check failed: str[0] == '{'
Stack trace:
  [bt] (0) /opt/mlserver/lib/python3.11/site-packages/xgboost/lib/libxgboost.so(+0x22dbbc) [0x7f1f8482dbbc]
  [bt] (1) /opt/mlserver/lib/python3.11/site-packages/xgboost/lib/libxgboost.so(+0x1) [0x7f1f8482dbbd]"""
TRACE = """could not load it: Traceback (most recent call last):
  File "/mnt/agent/models/iris_1/1/model.py", line 7, in load
    raise ValueError("no weights in the file")
ValueError: no weights in the file
"""


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("/m is not there", "/m is not there"),
        (TRACE, "could not load it: ValueError: no weights in the file"),
        (
            NATIVE,
            "could not load it: [10:11:12] /src/c_api/c_api.cc:1048: Check failed: str[0] == '{'",
        ),
        ("two\n  lines\n\n", "two lines"),
        ("Traceback (most recent call last):\n  File x", ""),
        ("x" * 5000, "x" * 399 + "…"),
    ],
)
def test_what_was_raised_without_the_way_there(cause, expected):
    assert brief(cause) == expected


@given(st.text())
def test_a_text_is_shown_on_one_line_of_bounded_length(text):
    for shown in (clipped(text), brief(text)):
        assert len(shown) <= LONGEST
        assert len(shown.splitlines()) <= 1


@given(st.text())
def test_callers_get_no_text_from_anywhere(reason):
    assert is_token(reason) <= reason.isalnum()
    assert for_callers(reason + "/") == "it could not be loaded"


def test_an_object_that_goes_names_the_finalizers_that_keep_it():
    assert being_deleted("model", ()) == "the model is being deleted"
    told = being_deleted("experiment", ["a.io/one", "b.io/two\n", "c.io/three", "d.io/four"])
    assert told == (
        'the experiment is being deleted, and stays until metadata.finalizers is without "a.io/one",'
        ' "b.io/two\\u000a", "c.io/three" and 1 more: whoever set that takes it off'
    )

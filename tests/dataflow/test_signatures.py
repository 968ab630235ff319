"""The edges of graphs against what models say of their tensors: a table."""

from __future__ import annotations

import pytest
from tests.dataflow.engine import plan_of

from bailie.dataflow.signatures import MOST_MISMATCHES, compare_edges, model_edges
from bailie.lifecycle.signature import Signature, TensorMetadata

ANSWER = ""


def tensors(text):
    """Reads `x:FP32[-1,4] y:INT64[]`."""
    found = []
    for each in text.split():
        name, _, form = each.partition(":")
        datatype, _, shape = form.rstrip("]").partition("[")
        found.append(TensorMetadata(name, datatype, tuple(int(size) for size in shape.split(",") if size)))
    return tuple(found)


def models(**told):
    """Reads `x:FP32[4] -> y:INT64[1]` for each model."""
    return {
        name: Signature(*(tensors(side) for side in text.split("->"))) if text else None
        for name, text in told.items()
    }


def found(spec, **told):
    return compare_edges(model_edges(plan_of(spec)), models(**told))


CHAIN = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a"]}], "output": {"steps": ["b"]}}
NAMED = {
    "steps": [
        {"name": "a"},
        {"name": "b", "inputs": ["a.outputs.y"], "tensorMap": {"a.outputs.y": "x"}},
    ],
    "output": {"steps": ["b"]},
}
TWO = {
    "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "inputs": ["a.outputs.y", "b.outputs.z"]}],
    "output": {"steps": ["c"]},
}
TRIGGER = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a"], "triggers": ["a.outputs.ok"]}],
    "output": {"steps": ["b.outputs.answer"]},
}
INPUTS = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a.inputs"]}], "output": {"steps": ["b"]}}
MIXED = {"steps": [{"name": "a"}, {"name": "b", "inputs": ["a", "p"]}], "output": {"steps": ["b"]}}
ANY = {
    "steps": [{"name": "a"}, {"name": "b", "inputs": ["a", "b2"], "inputsJoinType": "any"}, {"name": "b2"}],
    "output": {"steps": ["b"]},
}
CASES = {
    "a chain that fits": (CHAIN, {"a": "r:FP32[4]->x:FP32[-1,3]", "b": "x:FP32[8,-1]->s:BYTES[1]"}, []),
    "another datatype": (
        CHAIN,
        {"a": "r:FP32[4]->x:INT64[-1,3]", "b": "x:FP32[-1,3]->s:BYTES[1]"},
        [("b", "a.outputs", 'its "x" is FP32[-1, 3], and "a" gives INT64[-1, 3]')],
    ),
    "another rank": (
        CHAIN,
        {"a": "->x:FP32[3]", "b": "x:FP32[-1,3]->"},
        [("b", "a.outputs", 'its "x" is FP32[-1, 3], and "a" gives FP32[3]')],
    ),
    "another name": (
        CHAIN,
        {"a": "->y:FP32[3]", "b": "x:FP32[3]->"},
        [
            ("b", "a.outputs", 'it takes no "y", which "a" gives; its inputs are "x"'),
            ("b", "", 'no source gives its input "x"'),
        ],
    ),
    "a renamed tensor": (NAMED, {"a": "->y:FP32[3]", "b": "x:FP32[3]->"}, []),
    "a renamed tensor of another form": (
        NAMED,
        {"a": "->y:FP64[3]", "b": "x:FP32[3]->"},
        [("b", "a.outputs", 'its "x" is FP32[3], and "a" gives FP64[3] as "y"')],
    ),
    "a tensor that the source has not": (
        NAMED,
        {"a": "->u:FP32[3] v:FP32[3]", "b": "x:FP32[3]->"},
        [("b", "a.outputs", '"a" has no "y" among its outputs "u", "v"')],
    ),
    "two sources": (TWO, {"a": "->y:FP32[1]", "b": "->z:FP32[1]", "c": "y:FP32[1] z:FP32[1]->"}, []),
    "an input that neither source gives": (
        TWO,
        {"a": "->y:FP32[1]", "b": "->z:FP32[1]", "c": "y:FP32[1] z:FP32[1] w:FP32[1]->"},
        [("c", "", 'no source gives its input "w"')],
    ),
    "a trigger, and a tensor of the answer": (
        TRIGGER,
        {"a": "->x:FP32[1]", "b": "x:FP32[1]->other:FP32[1]"},
        [
            ("b", "a.outputs", '"a" has no "ok" among its outputs "x"'),
            (ANSWER, "b.outputs", '"b" has no "answer" among its outputs "other"'),
        ],
    ),
    "a step's inputs": (
        INPUTS,
        {"a": "x:FP32[1]->", "b": "x:INT32[1]->"},
        [("b", "a.inputs", 'its "x" is INT32[1], and "a" gives FP32[1]')],
    ),
    "the request may give the rest": (MIXED, {"a": "->x:FP32[1]", "b": "x:FP32[1] y:FP32[1]->"}, []),
    "alternatives need not give all": (
        ANY,
        {"a": "->x:FP32[1]", "b2": "->y:FP32[1]", "b": "x:FP32[1] y:FP32[1] z:FP32[1]->"},
        [],
    ),
}


@pytest.mark.parametrize(("spec", "told", "expected"), CASES.values(), ids=CASES)
def test_edges(spec, told, expected):
    result = found(spec, **told)
    assert [(each.step, each.source, each.words) for each in result.mismatches] == expected
    assert result.count == len(expected)
    assert result.silent == ()


@pytest.mark.parametrize(
    ("spec", "told", "silent"),
    [
        (CHAIN, {"a": "", "b": ""}, {"a", "b"}),
        (CHAIN, {"a": "x:FP32[1]->", "b": "x:FP32[1]->"}, {"a"}),
        (CHAIN, {"a": "->x:FP32[1]"}, {"b"}),
        (TRIGGER, {"a": "->x:FP32[1] ok:BOOL[1]", "b": "x:FP32[1] ok:BOOL[1]->"}, {"b"}),
    ],
)
def test_models_that_say_nothing_of_the_tensors_of_an_edge(spec, told, silent):
    result = found(spec, **told)
    assert set(result.silent) == silent
    assert not result.count


def test_a_graph_of_one_model_has_nothing_to_compare():
    result = found({"steps": [{"name": "a"}], "output": {"steps": ["a"]}})
    assert (result.edges, result.count, result.silent) == (0, 0, ())


def test_many_mismatches_are_counted_and_few_kept():
    text = " ".join(f"t{index}:FP32[1]" for index in range(64))
    other = text.replace("FP32", "INT64")
    result = found(CHAIN, a=f"->{text}", b=f"{other}->")
    assert (result.count, len(result.mismatches)) == (64, MOST_MISMATCHES)


def test_long_lists_of_names_are_shortened():
    text = " ".join(f"t{index}:FP32[1]" for index in range(9))
    words = found(NAMED, a=f"->{text}", b="x:FP32[1]->").mismatches[0].words
    assert words.endswith('"t4" and 4 more')


class NamedOften(str):
    """A name that counts how often it is cut for a sentence."""

    cut = 0

    def __getitem__(self, part):
        NamedOften.cut += 1
        return super().__getitem__(part)


def test_a_pass_makes_no_words_of_the_mismatches_that_are_only_counted():
    steps = [{"name": "a"}, *({"name": f"b{number}", "inputs": ["a"]} for number in range(100))]
    gives = tuple(TensorMetadata(NamedOften(f"t{number}"), "FP32", (1,)) for number in range(64))
    takes = Signature(inputs=tuple(TensorMetadata(f"u{number}", "FP32", (1,)) for number in range(64)))
    edges = model_edges(plan_of({"steps": steps, "output": {"steps": ["a"]}}))
    told = {"a": Signature(outputs=gives), **{f"b{number}": takes for number in range(100)}}
    result = compare_edges(edges, told)
    assert (result.count, len(result.mismatches)) == (100 * 2 * 64, MOST_MISMATCHES)
    assert NamedOften.cut <= MOST_MISMATCHES

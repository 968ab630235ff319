"""Answers that are none of a pipeline gateway: nothing of them reaches the code that prints."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from tests.dataflow.engine import Engine, plan_of
from tests.drawing.graphs import SWITCH
from tests.support.anyjson import changed

from bailie.cli.output import Output
from bailie.cli.pipeline_inspection import DataWish, RecordOptions, _columns, _with_data, by_topic
from bailie.cli.pipeline_traces import _show_list, drawn
from bailie.local.gateway_answers import NoGatewayAnswer, decoded


def answer():
    """Returns an answer with all that a gateway may say."""
    plan = plan_of(SWITCH)
    head = {"id": "i", "pipeline": "p", "version": 1, "at": 5.0, "ending": "answered", "follower": False}
    trace = Engine(plan, {"conditional": ["OUTPUT0"]}).run(["i"]).traced.told.data(plan)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}
    record = {"pipeline": "p", "version": 1, "id": "i", "at": 5.0, "owner": "a", "side": "inputs"}
    return {
        "requests": [{**head, "ms": 3.0}],
        "traces": [{**head, "spec": SWITCH, **trace}],
        "records": [{**record, "body": {"inputs": [tensor]}, "binary": "AACAPw=="}, {**record, "cut": 7}],
    }


def printed(found):
    """Prints an answer as the commands do."""
    for trace in found.get("traces", ()):
        assert drawn(trace)
    _show_list(found.get("requests", []), Output.TEXT)
    records = [_with_data(each) for each in found.get("records", ())]
    for _, topic in by_topic(records, DataWish("p"), RecordOptions(offset=5)):
        for record in topic:
            assert _columns(record, RecordOptions(verbose=True), dict)


def test_an_answer_of_a_gateway_is_printed(capsys):
    found = decoded(json.dumps(answer()).encode())
    printed(found)
    assert "answered after" in capsys.readouterr().out
    assert _with_data(found["records"][0])["body"]["inputs"][0]["data"] == [1.0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"requests": {}}',
        b'{"traces": [{}]}',
        b'{"records": [{"at": NaN}]}',
        b'{"requests": [{"id":"i","pipeline":"p","version":1,"at":1e300,"ending":""}]}',
        b"[" * 100_000,
    ],
)
def test_what_is_none_is_refused(content):
    with pytest.raises(NoGatewayAnswer, match="none of a pipeline gateway"):
        decoded(content)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changed(answer()))
def test_any_change_of_an_answer_is_refused_or_printed(found):
    content = json.dumps(found).encode()
    refused = contextlib.suppress(NoGatewayAnswer, typer.Exit)  # the latter for a spec that is none
    with refused, contextlib.redirect_stdout(io.StringIO()):
        printed(decoded(content))

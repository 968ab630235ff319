"""Pictures as the text of Mermaid."""

from __future__ import annotations

from tests.drawing.graphs import SWITCH, pipeline_of

from bailie.drawing.mermaid import mermaid_of
from bailie.drawing.picture import picture_of


def test_a_switch_with_a_side_branch():
    assert mermaid_of(picture_of(pipeline_of(SWITCH))).splitlines() == [
        "flowchart TD",
        '  n0(["request"])',
        '  n1["conditional"]',
        '  n2["mul10<br/>conditional.OUTPUT0"]',
        '  n3["add10<br/>conditional.OUTPUT1"]',
        '  n4["drift (side branch)<br/>batch of 20 rows"]',
        '  n5(["answer<br/>joins any"])',
        "  n0 --> n1",
        '  n1 -->|"OUTPUT0"| n2',
        '  n1 -->|"OUTPUT1"| n3',
        "  n0 --> n4",
        "  n2 --> n5",
        "  n3 --> n5",
        "  style n4 stroke-dasharray:4 3",
    ]


def test_a_trigger_is_dashed_and_no_name_is_markup():
    spec = {"steps": [{"name": "a"}, {"name": "b", "triggers": ['a.outputs.x"]<b>|\n; click']}]}
    lines = mermaid_of(picture_of(pipeline_of(spec))).splitlines()
    assert '  n1 -.->|"x#34;#93;#60;b#62;#124;#92;u000a#59; click"| n2' in lines

"""Effects are told from noise, and the table says for each namespace what it noticed."""

from __future__ import annotations

import pytest

from bailie.doctor.isolation.report import COLUMNS, effects, percentile, report
from bailie.doctor.isolation.samples import REST, IsolationPlan, IsolationRefused, Phase, Samples, Scheduling

QUIET = Samples(changes=[0.1] * 10, requests=[0.005] * 50)


@pytest.mark.parametrize(
    ("found", "rest", "expected"),
    [
        (Samples(changes=[0.1], requests=[0.005]), QUIET, []),
        (Samples(changes=[0.55], requests=[0.1]), QUIET, []),
        (Samples(changes=[0.1, 1.7]), QUIET, ["changes waited up to 1.7 s"]),
        (Samples(changes=[1.7]), Samples(changes=[0.8]), []),
        (Samples(changes=[2.5]), Samples(changes=[0.8]), ["changes waited up to 2.5 s"]),
        (Samples(changes=[0.1], unseen=60.0), QUIET, ["a change was not acted upon within 60.0 s"]),
        (Samples(unseen=15.0), Samples(unseen=15.0), []),
        (Samples(requests=[0.3] * 50), QUIET, ["requests took up to 300 ms"]),
        (Samples(requests=[0.005] * 98 + [0.3]), QUIET, ["requests took up to 300 ms"]),
        (Samples(requests=[0.005] * 200 + [0.3]), QUIET, []),
        (Samples(failures=["503 no"]), QUIET, ["1 of 1 requests failed, first: 503 no"]),
        (Samples(failures=["503 no"]), Samples(failures=["503 no"]), []),
        (Samples(), QUIET, []),
    ],
    ids=[
        "as at rest",
        "slower within the noise",
        "a change that waited",
        "a change within a multiple of a slow rest",
        "a change above a multiple of a slow rest",
        "a change never seen",
        "never seen at rest either",
        "slow requests",
        "one slow request of 99",
        "one slow request of 201",
        "a failed request",
        "as many failed at rest",
        "nothing measured",
    ],
)
def test_an_effect_is_more_than_noise(found, rest, expected):
    assert list(effects(found, rest)) == expected


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.99, None), ([1.0], 0.99, 1.0), ([3.0, 1.0, 2.0], 0.5, 2.0), (list(range(100)), 0.99, 99)],
)
def test_percentiles(values, share, expected):
    assert percentile(values, share) == expected


def central(name, **ended):
    """A check of two namespaces with one scheduler, which was ended."""
    rest = {"a": QUIET, "b": QUIET}
    after = {"a": Samples(changes=[2.0], requests=[0.005]), "b": Samples(**ended)}
    phases = [Phase(name=REST, samples=rest), Phase(name=name, target="a", samples=after)]
    return report(phases, {each: Scheduling("mesh", "seldon-scheduler-0") for each in rest})


def test_a_namespace_that_noticed_what_was_done_to_another_is_named():
    found = central("scheduler of a ended", changes=[2.0], requests=[0.005], failures=["503 no"])
    assert not found.isolated
    assert found.conclusions == (
        "2 namespaces, schedulers in 1 of them: 2 of the namespaces share one.",
        "scheduler of a ended: 1 of 1 other namespaces noticed: b; 1 of their 2 requests failed.",
    )
    assert [row["effects"] for row in found.data()["rows"]] == [
        [],
        [],
        ["changes waited up to 2.0 s"],
        ["1 of 2 requests failed, first: 503 no", "changes waited up to 2.0 s"],
    ]


def test_what_the_target_notices_itself_breaks_no_isolation():
    found = central("scheduler of a ended", changes=[0.1], requests=[0.005])
    assert found.isolated
    assert found.rows[2].effects


def test_the_table_is_one_of_markdown():
    lines = central("load on a", changes=[0.1], requests=[0.005]).markdown().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {len(COLUMNS) + 1}
    assert table[2] == "| at rest | a | mesh/seldon-scheduler-0 | 0.10 s, 0.10 s | 0 of 50 | 5 ms, 5 ms |  |"
    assert table[4].startswith("| load on a | a (itself) |")
    assert table[5].endswith("| none |")
    assert len(table) == 2 + 4


def test_text_of_an_answer_cannot_break_the_table():
    found = central("load on a", failures=["503 | no\nhealthy upstream | " + "x" * 500])
    cells = [line for line in found.markdown().splitlines() if "503" in line]
    assert len(cells) == 1
    assert cells[0].count("|") == len(COLUMNS) + 1
    assert cells[0].endswith("x |")
    assert len(cells[0]) < 400


def test_namespaces_in_which_nothing_was_measured_are_named():
    phases = [Phase(name=REST, samples={"a": QUIET, "b": Samples(unseen=15.0)})]
    found = report(phases, {"a": Scheduling("a", "x-0"), "b": Scheduling()})
    assert found.conclusions == (
        "2 namespaces, schedulers in 1 of them: none is shared.",
        "b: no scheduler answered at rest, so effects on its changes cannot be told.",
        "b: no request was answered at rest (it has no ready Model or no data plane).",
    )
    assert "| b | none | -, 15.00 s | nothing to ask | - |" in found.markdown()


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"namespaces": ()}, "0 namespaces are too few"),
        ({"namespaces": ("a",)}, "1 namespaces are too few"),
        ({"namespaces": ("a", "b"), "loaded": "c"}, "namespace c is not among those"),
        ({"namespaces": ("a", "b"), "end_scheduler_of": "c"}, "namespace c is not among those"),
    ],
)
def test_a_plan_that_would_show_nothing_is_refused(plan, words):
    with pytest.raises(IsolationRefused) as refused:
        IsolationPlan(**plan)
    assert words in refused.value.message
    assert refused.value.hint

"""A key means the same however a file has it: empty, as text, in capitals, one item in place of a list."""

import itertools

import helm_python
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.charts.test_values import BESIDE, changes, example, leaves, nested, usual
from tests.support.charts import render

import charts
from chartgen.values import honoured, ignored

BY_PATH = {(chart, row.path): row for chart, rows in charts.ROWS.items() for row in honoured(rows)}
BRANCHES = sorted(
    {
        (chart, path.rsplit(".", depth)[0])
        for chart, path in BY_PATH
        for depth in range(1, path.count(".") + 1)
    }
)
WITHOUT = [(chart, path) for chart, rows in charts.ROWS.items() for r in ignored(rows) for path in r.paths()]
SCALARS = {"text", "flag", "count", "quantity", "choice"}


DECIDES = {"controller.clusterwide", "controller.watchNamespaces", "controller.namespaceSelector"}
"""Keys that agree with some others only."""


def as_text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def forms(row):
    """Yields how people may write the value that `example` gives, besides as it is."""
    value = example(row)
    if row.kind.name in SCALARS:
        yield as_text(value)
        yield f" {as_text(value)} "
        yield [value]
        yield [as_text(value)]
        yield [None, value]
    if row.kind.name in {"choice", "flag"}:
        yield as_text(value).upper()
        yield as_text(value).capitalize()
    if row.kind.name == "count":
        yield float(value)
        yield f"0{value}"
    if row.kind.name == "texts":
        yield ",".join(value)
        yield ", ".join(value)
        yield [*value, None]
    if row.kind.name == "words":
        yield value.split(",")
        yield [value]
    if row.kind.name == "secrets":
        yield [each["name"] for each in value]
        yield ",".join(each["name"] for each in value)
        yield value[0]
    if row.kind.name == "objects":
        yield value[0]
        yield [*value, None]
        yield [{**value[0], "nothing": None}]
    if row.kind.name in {"object", "map"}:
        yield {**value, "nothing": None}


def found(chart, path, value):
    """Returns what is rendered where the chart is given this value at the path, and what else it needs."""
    return leaves(render(chart, nested(path, value, BESIDE.get(path, {}))))


@pytest.mark.parametrize("chart", charts.ROWS)
def test_there_are_forms_of_every_key_and_its_example_has_an_effect(chart):
    rows = [row for (its, _), row in BY_PATH.items() if its == chart]
    assert all(next(forms(row), None) is not None for row in rows)
    assert all(as_text(example(row)) != as_text(row.default) for row in rows if len(row.kind.choices) != 1)


def together(chart):
    """Returns the rows of a chart that may all be given at once."""
    alone = DECIDES | set(BESIDE)
    rows = [row for (its, path), row in BY_PATH.items() if its == chart and path not in alone]
    return [row for row in rows if not row.path.startswith("security.controlplane.token")]


@pytest.mark.parametrize("turn", range(8))
@pytest.mark.parametrize("chart", charts.ROWS)
def test_a_form_of_each_key_means_the_same_as_its_value(chart, turn):
    """Each turn has another form of every key."""
    plain, formed = {}, {}
    for row in together(chart):
        possible = list(forms(row))
        plain = nested(row.path, example(row), plain)
        formed = nested(row.path, possible[turn % len(possible)], formed)
    assert changes(leaves(render(chart, plain)), leaves(render(chart, formed))) == []


@pytest.mark.parametrize("path", sorted(DECIDES | set(BESIDE)))
def test_a_form_of_a_key_that_needs_others_means_the_same_as_its_value(path):
    chart = "setup" if ("setup", path) in BY_PATH else "runtime"
    row = BY_PATH[chart, path]
    expected = found(chart, path, example(row))
    for form in forms(row):
        assert found(chart, path, form) == expected, form


NEEDY = [key for key in BY_PATH if key[1] in BESIDE]


@pytest.mark.parametrize(("chart", "path"), [*NEEDY, *BRANCHES], ids=str)
def test_a_null_key_is_an_unset_one(chart, path):
    assert found(chart, path, None) == usual(chart, path)


def halves():
    """Yields half of a chart's keys, again and again: any two keys are apart once."""
    for chart in charts.ROWS:
        paths = [path for its, path in BY_PATH if its == chart and path not in BESIDE]
        for bit, side in itertools.product(range(len(paths).bit_length()), (0, 1)):
            yield chart, [path for place, path in enumerate(paths) if place >> bit & 1 == side]


@pytest.mark.parametrize(("chart", "paths"), list(halves()))
def test_null_keys_are_unset_ones_whichever_they_are(chart, paths):
    values = {}
    for path in paths:
        values = nested(path, None, values)
    assert changes(usual(chart), leaves(render(chart, values))) == []


@pytest.mark.parametrize(("chart", "path"), BRANCHES, ids=str)
def test_a_blank_branch_is_an_unset_one(chart, path):
    assert found(chart, path, " ") == usual(chart, path)


@pytest.mark.parametrize(("chart", "path"), [key for key, row in BY_PATH.items() if row.kind.blank], ids=str)
def test_a_key_for_which_empty_is_a_value_has_it(chart, path):
    assert found(chart, path, "") == found(chart, path, " ") != usual(chart)


@pytest.mark.parametrize("empty", [None, "", " "])
@pytest.mark.parametrize("chart", charts.ROWS)
def test_all_keys_may_be_empty_at_once(chart, empty):
    values = {}
    for its, path in [*BY_PATH, *WITHOUT]:
        row = BY_PATH.get((its, path))
        if its == chart and not (row and row.kind.blank and empty is not None):
            values = nested(path, empty, values)
    rendered = render(chart, values)
    assert leaves(rendered) == usual(chart)
    assert "no effect" not in rendered.notes


def test_a_list_has_no_null_in_it():
    values = {"controller": {"watchNamespaces": ["a", None, "b"]}}
    assert render("setup", values).one("ConfigMap", "bailie-scope")["data"]["namespaces"] == "a\nb\n"


def test_nothing_that_is_null_reaches_the_cluster():
    pod = {"nodeSelector": None, "tolerations": [None, {"key": "a", "value": None}], "containers": None}
    values = {"scheduler": {"podSpec": pod}, "envoy": {"podSpec": {"affinity": None}}}
    overrides = render("runtime", values).one("SeldonRuntime", "seldon")["spec"]["overrides"]
    assert overrides[0]["podSpec"] == {"tolerations": [{"key": "a"}]}
    assert "podSpec" not in overrides[1]


def texts_of_maps():
    return {"prometheus.io/scrape": True, "version": 2, "build": 20240102, "ratio": 0.5, "none": None}


def test_flags_and_numbers_in_annotations_and_labels_are_texts():
    made = render("setup", {"controller": {"annotations": texts_of_maps(), "labels": texts_of_maps()}})
    metadata = made.one("Deployment", "seldon-v2-controller-manager")["spec"]["template"]["metadata"]
    expected = {"prometheus.io/scrape": "true", "version": "2", "build": "20240102", "ratio": "0.5"}
    assert metadata["annotations"] == expected
    assert metadata["labels"].items() >= expected.items()


def test_every_value_that_cannot_be_read_is_named_at_once():
    values = {"controller": {"replicas": "many", "clusterwide": "perhaps"}, "logging": {"logLevel": "loud"}}
    with pytest.raises(helm_python.HelmError) as refused:
        render("setup", values)
    for path in ("controller.replicas", "controller.clusterwide", "logging.logLevel"):
        assert f"\n{path} is " in str(refused.value)


def test_no_secret_is_in_a_refusal():
    values = {"security": {"controlplane": {"token": {"value": ["s3cret", "t0ken"]}}}}
    with pytest.raises(helm_python.HelmError) as refused:
        render("setup", values)
    assert "security.controlplane.token.value is a list; give text." in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("chart", charts.ROWS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_forms_of_many_keys_together(chart, data):
    chosen = data.draw(
        st.lists(st.sampled_from(together(chart)), unique_by=lambda row: row.path, max_size=12)
    )
    plain, formed = {}, {}
    for row in chosen:
        plain = nested(row.path, example(row), plain)
        formed = nested(row.path, data.draw(st.sampled_from(list(forms(row)))), formed)
    assert leaves(render(chart, formed)) == leaves(render(chart, plain))


JUNK = [True, -1, 1.5, 10**12, "x: {y", "{{ x }}", "'", "\n- a", [[]], [{}], {"a": [1]}]


@pytest.mark.parametrize("chart", charts.ROWS)
def test_whatever_a_key_is_it_is_read_or_refused_by_name(chart):
    """Each key is tried once with each junk, a different one of every other key beside it."""
    rows = [row for (its, _), row in BY_PATH.items() if its == chart]
    for turn in range(len(JUNK)):
        junk = dict(
            zip((row.path for row in rows), itertools.islice(itertools.cycle(JUNK), turn, None), strict=False)
        )
        values = {}
        for path, value in junk.items():
            values = nested(path, value, values)
        with pytest.raises(helm_python.HelmError) as refused:
            render(chart, values)
        named = [line.partition(" is ")[0].partition("[")[0] for line in str(refused.value).split("\n")[1:]]
        assert named
        assert all(any(name == path or name.startswith(f"{path}.") for path in junk) for name in named), named


AWKWARD = """a: 'b' # "c" {d}"""
BOUND = {
    ("setup", "controller.namespaceSelector"),
    ("setup", "controller.watchNamespaces"),
    ("setup", "security.controlplane.token.value"),
    ("runtime", "security.controlplane.token.value"),
    ("runtime", "security.controlplane.token.existingSecret"),
}
"""Texts that have rules of their own, or that are not rendered."""


@pytest.mark.parametrize(
    ("chart", "path"),
    [
        (chart, path)
        for (chart, path), row in BY_PATH.items()
        if (chart, path) not in BOUND
        and row.kind.name in {"text", "words", "texts"}
        and not (row.kind.pattern or row.kind.choices)
    ],
)
def test_a_text_is_rendered_as_it_is(chart, path):
    value = [AWKWARD] if BY_PATH[chart, path].kind.name == "texts" else AWKWARD
    assert any(AWKWARD in str(leaf) for leaf in found(chart, path, value).values())

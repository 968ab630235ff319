"""What of the charts comes from the code is what the code says; `python tools/charts.py` rewrites it."""

import helm_python
import pytest
import yaml
from tests.support.charts import CHARTS, render

import charts
from bailie import __version__
from chartgen.values import honoured, ignored

GENERATED = charts.generated()


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_the_file_is_up_to_date(name):
    path = CHARTS / name
    assert path.exists(), "run `python tools/charts.py` and commit the result"
    assert path.read_text() == GENERATED[name], "run `python tools/charts.py` and commit the result"


@pytest.mark.parametrize("chart", charts.CHARTS)
def test_the_version_is_that_of_the_package(chart):
    content = yaml.safe_load((CHARTS / f"seldon-core-v2-{chart}" / "Chart.yaml").read_text())
    assert (content["version"], content["appVersion"]) == (__version__, __version__)


def test_definitions_stay_when_the_chart_goes():
    definitions = render("crds").of("CustomResourceDefinition")
    assert len(definitions) == 7
    assert all(d["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for d in definitions)


@pytest.mark.parametrize("chart", charts.ROWS)
def test_no_value_is_there_twice(chart):
    rows = charts.ROWS[chart]
    paths = [row.path for row in honoured(rows)]
    paths += [path for row in ignored(rows) for path in row.paths()]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("chart", charts.ROWS)
def test_every_value_is_in_the_readme(chart):
    text = (CHARTS / f"seldon-core-v2-{chart}" / "README.md").read_text()
    rows = charts.ROWS[chart]
    assert [row.path for row in rows if f"`{row.path}" not in text] == []


@pytest.mark.parametrize("chart", charts.CHARTS)
def test_helm_has_nothing_to_say_of_the_chart(chart):
    found = helm_python.lint(CHARTS / f"seldon-core-v2-{chart}", strict=True)
    assert [m for m in found["messages"] if "icon is recommended" not in str(m)] == []

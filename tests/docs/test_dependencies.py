"""docs/dependencies.md has a row for each declared dependency and for no other, and what it says is so."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from tests.support.documents import ROOT

PAGE = (ROOT / "docs" / "dependencies.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LICENCES = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "MPL-2.0", "0BSD", "Zlib", "CC0-1.0"}
"""The last three ask for less than MIT; numpy's wheel carries files under them."""
CELLS = ("dependency", "what for, and where", "kept by", "licence", "MB", "what would replace it")
USUAL_NAMES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "MIT License": "MIT",
}
"""Licences as some packages write them."""


def name_of(requirement):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def listed(name):
    text = (ROOT / "requirements" / f"{name}.in").read_text()
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return {name_of(line) for line in lines if line and not line.startswith("-")}


EXTRAS = {
    extra: {name_of(each) for each in needed}
    for extra, needed in PYPROJECT["project"]["optional-dependencies"].items()
}
DECLARED = {
    "Every installation": {name_of(each) for each in PYPROJECT["project"]["dependencies"]},
    **{f"The extra `{extra}`": needed for extra, needed in EXTRAS.items()},
    "Tests and checks": listed("dev") - EXTRAS["client"],
    "Building the wheel": {name_of(each) for each in PYPROJECT["build-system"]["requires"]} | listed("build"),
    "MLServer's environment": listed("mlserver"),
    "More runtimes for MLServer": listed("mlserver-all"),
    "Clients of other projects": listed("clients"),
}


def rows(section):
    """Returns the cells of each row below a heading, by the dependency's name."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line] for line in lines]
    assert tuple(table[0]) == CELLS, section
    return [dict(zip(CELLS, row, strict=True)) for row in table[2:]]


ROWS = [row for section in DECLARED for row in rows(section)]
by_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row["dependency"])


@pytest.mark.parametrize("section", DECLARED)
def test_each_declared_dependency_has_its_row_and_each_row_is_declared(section):
    assert sorted(name_of(row["dependency"]) for row in rows(section)) == sorted(DECLARED[section])


def test_what_is_pinned_for_processes_is_what_is_declared():
    assert listed("core") == DECLARED["Every installation"] | EXTRAS["local"] | EXTRAS["kafka"]


def test_there_is_no_section_beside():
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE) == list(DECLARED)


@by_row
def test_a_row_says_everything(row):
    assert all(row.values())


@by_row
def test_a_licence_is_one_that_may_come_in_and_is_the_packages_own(row):
    assert set(re.findall(r"[\w.-]+", row["licence"])) - {"AND", "OR"} <= LICENCES
    metadata = installed(row)
    own = metadata["License-Expression"] or metadata["License"]
    if own and len(own) < 60:
        assert row["licence"] == USUAL_NAMES.get(own, own)


@by_row
def test_a_size_is_about_that_of_the_installed_files(row):
    """To within a factor of two and 1 MB: newer versions and other platforms differ."""
    installed(row)
    found = distribution(row["dependency"])
    files = [path for each in found.files or () if (path := Path(each.locate())).is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    stated = float(row["MB"])
    assert stated / 2 - 1 <= size <= 2 * stated + 1


def installed(row):
    """Returns the metadata; what is in another environment than this one is skipped, and says so."""
    try:
        return distribution(row["dependency"]).metadata
    except PackageNotFoundError:
        pytest.skip(f"{row['dependency']} is not in this environment")

"""What is remembered of versions that ended their server."""

import json

import pytest

from bailie.agent.server_deaths import MOST, ServerDeaths


def test_counts_outlive_the_agent(tmp_path):
    deaths = ServerDeaths(tmp_path / "folder" / "deaths.json")
    assert (deaths.of("x"), deaths.count("x"), deaths.count("x"), deaths.count("y")) == (0, 1, 2, 1)
    again = ServerDeaths(tmp_path / "folder" / "deaths.json")
    assert (again.of("x"), again.of("y"), again.of("z")) == (2, 1, 0)


def test_what_is_not_wanted_any_more_is_forgotten(tmp_path):
    deaths = ServerDeaths(tmp_path / "deaths.json")
    deaths.count("x")
    deaths.forget("x")
    deaths.forget("unknown")
    assert ServerDeaths(tmp_path / "deaths.json").of("x") == 0


def test_the_newest_are_remembered(tmp_path):
    deaths = ServerDeaths(tmp_path / "deaths.json")
    for number in range(MOST + 5):
        deaths.count(f"v{number}")
    kept = json.loads((tmp_path / "deaths.json").read_text())
    assert (len(kept), "v4" in kept, "v5" in kept) == (MOST, False, True)


@pytest.mark.parametrize("text", ["", "{", "[]", "17", '{"x": "many"}', '{"x": null}', "\x00"])
def test_a_damaged_file_costs_the_memory_only(tmp_path, text):
    (tmp_path / "deaths.json").write_text(text)
    deaths = ServerDeaths(tmp_path / "deaths.json")
    assert (deaths.of("x"), deaths.count("x")) == (0, 1)


def test_a_folder_that_cannot_be_written_costs_the_memory_only(tmp_path):
    (tmp_path / "file").write_text("")
    deaths = ServerDeaths(tmp_path / "file" / "deaths.json")
    assert (deaths.count("x"), deaths.of("x")) == (1, 1)

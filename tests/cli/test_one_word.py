from __future__ import annotations

import pytest
import typer

from bailie.cli.one_word import experiment_name, kind_and_name, pipeline_name

WORDS = {
    "model/iris": ("model", "iris"),
    "pods/a.b": ("pods", "a.b"),
    "choice.pipeline": ("pipeline", "choice"),
    "a.b.experiment": ("experiment", "a.b"),
    "iris": None,
    "models": None,
    "iris.model": None,
    ".pipeline": None,
    "": None,
}


@pytest.mark.parametrize(("word", "found"), WORDS.items(), ids=ascii)
def test_a_word_has_a_kind_and_a_name_or_not(word, found):
    assert kind_and_name(word) == found


@pytest.mark.parametrize(
    "word", ["model/", "model/a/b", "model/..", "model/a\nb", "\x1b[31m.pipeline"], ids=ascii
)
def test_a_name_that_none_can_have_ends_the_command(word, capsys):
    with pytest.raises(typer.Exit) as ended:
        kind_and_name(word)
    assert ended.value.exit_code == 2
    assert "cannot be a name" in capsys.readouterr().err


def test_the_names_of_callers_are_those_of_the_objects():
    assert pipeline_name("choice.pipeline") == pipeline_name("choice") == "choice"
    assert experiment_name("flower.experiment") == experiment_name("flower") == "flower"
    assert pipeline_name(".pipeline") == ".pipeline"

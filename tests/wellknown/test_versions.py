"""The names of versions lead back to their Models and numbers."""

from __future__ import annotations

import pytest

from bailie.wellknown.names import PIPELINE_ENDING
from bailie.wellknown.versions import model_of, number_of, server_name_of


@pytest.mark.parametrize("model", ["iris", "m.v1-2", f"joined{PIPELINE_ENDING}"])
@pytest.mark.parametrize("number", [1, 40])
def test_a_name_leads_back_to_model_and_number(model, number):
    name = server_name_of(model, number)
    assert (model_of(name), number_of(name)) == (model, str(number))


@pytest.mark.parametrize("text", ["", "iris"])
def test_a_text_that_names_no_version_has_no_model(text):
    assert model_of(text) == ""

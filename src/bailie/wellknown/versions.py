"""The name by which inference servers and Envoy know a version, as in Seldon Core: `iris_3`.

No Model's name has an underscore, so that the name leads back to the Model and the number.
"""

from __future__ import annotations


def server_name_of(model: str, number: int) -> str:
    """Returns the name of a version of a Model, or of a Pipeline with `PIPELINE_ENDING` behind its name."""
    return f"{model}_{number}"


def model_of(version: str) -> str:
    """Returns the Model of a version; empty for a text that names none."""
    return version.rpartition("_")[0]


def number_of(version: str) -> str:
    """Returns the number of a version, as text."""
    return version.rpartition("_")[2]

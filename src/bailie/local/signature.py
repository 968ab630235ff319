"""Says which inputs a trained model takes. Runs as a script under the inference server's Python.

    python signature.py REQUIREMENT FILE

Prints a JSON list of inputs as the protocol's metadata has them, empty when the model does not say. A pickle
is a program, so it is opened here, in a process of its own, as the inference server opens it; never in
Bailie's.
"""

from __future__ import annotations

import json
import sys
from typing import Any

NUMBER = "FP64"


def main(requirement: str, file: str) -> list[dict[str, Any]]:
    """Returns the inputs of the model in a file."""
    readers = {"sklearn": _sklearn, "xgboost": _xgboost, "lightgbm": _lightgbm}
    return readers[requirement](file) if requirement in readers else []


def _sklearn(file: str) -> list[dict[str, Any]]:
    # Only the inference server's environment has these.
    import joblib  # noqa: PLC0415

    model = joblib.load(file)
    steps = getattr(model, "steps", None) or [("", model)]
    if hasattr(steps[0][1], "vocabulary_"):
        return [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        return _columns([str(name) for name in names])
    return _matrix(getattr(model, "n_features_in_", None))


def _xgboost(file: str) -> list[dict[str, Any]]:
    import xgboost  # noqa: PLC0415

    return _matrix(xgboost.Booster(model_file=file).num_features())


def _lightgbm(file: str) -> list[dict[str, Any]]:
    import lightgbm  # noqa: PLC0415

    return _matrix(lightgbm.Booster(model_file=file).num_feature())


def _matrix(features: Any) -> list[dict[str, Any]]:
    if not isinstance(features, int):
        return []
    return [{"name": "input-0", "datatype": NUMBER, "shape": [-1, features]}]


def _columns(names: list[str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": NUMBER, "shape": [-1, 1], "parameters": {"content_type": "pd"}}
        for name in names
    ]


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:3])))  # noqa: T201 - the answer to the process that asks

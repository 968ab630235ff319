"""Trains the demo's two models. Runs as a script under the inference server's Python, which has scikit-learn.

    python training.py FOLDER

Writes `FOLDER/iris` and `FOLDER/petal-width` (a `model.joblib` each) and `FOLDER/expected.json`: for each
model a few inputs and its answers in this process, to be compared with the answers over the network.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

SAMPLES = (0, 60, 120)
"""Rows of the iris data: one of each species."""


def train(folder: Path) -> None:
    """Trains a classifier of the species and a regression of the petal width from the other three lengths."""
    # Only MLServer's environment has these, and Bailie's own imports this module to know where it is.
    import joblib  # noqa: PLC0415
    from sklearn.datasets import load_iris  # noqa: PLC0415
    from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: PLC0415

    data = load_iris()
    models = {
        "iris": (LogisticRegression(max_iter=1000), data.data, data.target),
        "petal-width": (LinearRegression(), data.data[:, :3], data.data[:, 3]),
    }
    expected = {}
    for name, (model, inputs, target) in models.items():
        model.fit(inputs, target)
        (folder / name).mkdir(parents=True, exist_ok=True)
        joblib.dump(model, folder / name / "model.joblib")
        samples = inputs[list(SAMPLES)]
        expected[name] = {"inputs": samples.tolist(), "outputs": model.predict(samples).tolist()}
    (folder / "expected.json").write_text(json.dumps(expected, indent=2))


if __name__ == "__main__":
    train(Path(sys.argv[1]))

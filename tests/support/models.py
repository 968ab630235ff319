"""Real scikit-learn models, trained by the Python that serves them, once per test session.

`iris` answers the class of a flower, `reversed` two minus it: one input tells the two apart.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.support.environments import mlserver_environment

if TYPE_CHECKING:
    from pathlib import Path

SETOSA = [5.1, 3.5, 1.4, 0.2]
"""A flower of class 0: `iris` answers 0, `reversed` answers 2."""
_TRAIN = """
import sys
from pathlib import Path
import joblib
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
x, y = load_iris(return_X_y=True)
for name, labels in {"iris": y, "reversed": 2 - y}.items():
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    joblib.dump(DecisionTreeClassifier(random_state=0).fit(x, labels), folder / "model.joblib")
"""


@dataclass(frozen=True)
class TrainedModels:
    """Folders with a model.joblib and nothing else."""

    iris: Path
    reversed: Path


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory: pytest.TempPathFactory) -> TrainedModels:
    folder = tmp_path_factory.mktemp("trained")
    subprocess.run([mlserver_environment() / "bin" / "python", "-c", _TRAIN, folder], check=True)
    return TrainedModels(folder / "iris", folder / "reversed")


def infer_body(row: list[float] = SETOSA) -> dict[str, object]:
    """A V2 request for one flower."""
    return {
        "inputs": [{"name": "predict", "shape": [1, len(row)], "datatype": "FP32", "data": row}],
    }

"""Trains an iris classifier into a folder: `python train.py FOLDER`. Needs scikit-learn."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
features, species = load_iris(return_X_y=True)
joblib.dump(LogisticRegression(max_iter=1000).fit(features, species), folder / "model.joblib")

"""The known name that a mistyped one may stand for. Called by `explain` and `remedies` for capabilities and
server names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# Other names of the runtimes -> the capability that servers declare.
ALIASES = {
    "alibi": "alibi-explain",
    "catboost-model": "catboost",
    "hf": "huggingface",
    "hugging-face": "huggingface",
    "lgbm": "lightgbm",
    "light-gbm": "lightgbm",
    "ml-flow": "mlflow",
    "onnxruntime": "onnx",
    "py": "python",
    "scikit": "sklearn",
    "scikit-learn": "sklearn",
    "scikitlearn": "sklearn",
    "sk-learn": "sklearn",
    "spark": "spark-mlib",
    "spark-mllib": "spark-mlib",
    "tensor-flow": "tensorflow",
    "tensor-rt": "tensorrt",
    "tf": "tensorflow",
    "torch": "pytorch",
    "transformers": "huggingface",
    "trt": "tensorrt",
    "xgb": "xgboost",
}
_SHORTEST = 3


def nearest(name: str, known: Collection[str]) -> str | None:
    """Returns the known name that `name` is an alias of, differs from in case, or is one edit away from.

    None where `name` is known itself or no known name is near. An edit is one character added, dropped,
    changed, or two neighbours swapped; a name under three characters may only be an alias.
    """
    if name in known:
        return None
    plain = name.strip().lower().replace("_", "-")
    alias = ALIASES.get(plain)
    if alias in known:
        return alias
    if len(plain) < _SHORTEST:
        return None
    return next((other for other in sorted(known) if one_edit_apart(plain, other.lower())), None)


def one_edit_apart(left: str, right: str) -> bool:
    """Says whether one edit at most makes one name of the other."""
    if abs(len(left) - len(right)) > 1:
        return False
    start = next((at for at, (one, two) in enumerate(zip(left, right, strict=False)) if one != two), None)
    if start is None:
        return True
    rest, other = left[start:], right[start:]
    swapped = rest[:2] == other[:2][::-1] and rest[2:] == other[2:]
    return swapped or rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]

"""Finds out which of MLServer's runtimes an artifact of this machine is for, by the agent's own rules.

Called by `cli.serve`. Reads names of files and the beginnings of a few; nothing of the artifact is run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bailie.agent.errors import RepositoryError
from bailie.agent.repository.mlserver import SETTINGS, choose_folder, read_settings
from bailie.agent.repository.model_files import AMBIGUOUS, find_model_file
from bailie.api import json_yaml
from bailie.local.errors import LocalError
from bailie.local.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

ML_MODEL = "MLmodel"
"""The file that MLflow writes beside each model."""
_TRITON = ("config.pbtxt",)
_LIGHTGBM = b"tree"
"""The first bytes of a LightGBM model; XGBoost's begin otherwise, and share the ending `.bst`."""
_IMPLEMENTATION = "mlserver_"
_MLFLOW_TYPES = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
"""Types of columns in MLflow's signatures, and the inference protocol's datatypes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognisedArtifact:
    """An artifact and its runtime. `file` is the file that the runtime loads, as far as that is one; `inputs`
    are those that the artifact itself states, as the protocol's metadata has them."""

    path: Path
    requirement: str
    file: Path | None = None
    inputs: tuple[dict[str, Any], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(each.stat().st_size for each in self._files)

    @property
    def mark(self) -> str:
        """A text that changes with its files, whose contents are not read: a model may have gigabytes."""
        stats = [(each, each.stat()) for each in sorted(self._files)]
        seen = [f"{each.relative_to(self.path)} {stat.st_size} {stat.st_mtime_ns}" for each, stat in stats]
        return hashlib.sha256("\n".join(seen).encode(errors="surrogateescape")).hexdigest()[:16]

    @property
    def _files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        return [each for each in self.path.rglob("*") if each.is_file()]


def recognise_artifact(path: Path) -> RecognisedArtifact:
    """Returns what a file or folder is. Raises LocalError when no runtime takes it, or it cannot be read."""
    try:
        if path.is_dir():
            return _folder(path, named=path)
        if path.is_file():
            return _file(path)
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}") from error
    except (RepositoryError, ValueError) as error:
        raise LocalError(f"{path}: {error}") from error
    raise LocalError(f"there is no file or folder {path}")


def _file(path: Path) -> RecognisedArtifact:
    """Recognises a single file as the only one of a folder, which is how the agent sees it, too."""
    with temporary_folder("bailie-") as folder:
        alone = Path(folder) / path.name
        if path.suffix == ".py":
            shutil.copyfile(path, alone)  # programs are looked into, which the agent's rules do to no link
        else:
            alone.symlink_to(path.resolve())
        found = _folder(Path(folder), named=path)
    return RecognisedArtifact(path=path, requirement=found.requirement, file=path, inputs=found.inputs)


def _folder(path: Path, named: Path) -> RecognisedArtifact:
    """Recognises a folder; `named` is the path that the user gave, for messages."""
    chosen = choose_folder(path, None)
    if (chosen / SETTINGS).is_file():
        return _with_settings(path, chosen)
    if (path / ML_MODEL).is_file():
        return RecognisedArtifact(path=path, requirement="mlflow", inputs=_mlflow_inputs(path / ML_MODEL))
    if any((path / name).is_file() for name in _TRITON):
        raise LocalError(f"{named} is a model for Triton; `bailie up` runs MLServer only")
    for requirement, file in _fitting(chosen):
        return RecognisedArtifact(path=path, requirement=requirement, file=file)
    raise LocalError(
        f"{named} has no model that MLServer loads without settings",
        hint=f"put a {SETTINGS} beside it, or name a *.joblib, *.pkl, *.ubj, *.bst or a *.py with an MLModel",
    )


def _with_settings(path: Path, chosen: Path) -> RecognisedArtifact:
    settings = read_settings(chosen / SETTINGS)
    package = str(settings.get("implementation", "")).partition(".")[0]
    known = package.startswith(_IMPLEMENTATION)
    requirement = package.removeprefix(_IMPLEMENTATION).replace("_", "-") if known else "python"
    stated = settings.get("inputs")
    inputs = tuple(each for each in stated if isinstance(each, dict)) if isinstance(stated, list) else ()
    return RecognisedArtifact(path=path, requirement=requirement, file=_uri(chosen, settings), inputs=inputs)


def _fitting(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields the runtimes that a folder without settings fits, each with the file that it loads."""
    for requirement in ("sklearn", "python", "lightgbm", "xgboost"):
        try:
            file = folder / find_model_file(folder, [requirement], {}).path
        except RepositoryError as error:
            if error.reason == AMBIGUOUS:
                raise
            continue
        if requirement in {"sklearn", "python"} or _is_of(requirement, file):
            yield requirement, file


def _is_of(requirement: str, file: Path) -> bool:
    """Tells apart the two runtimes whose files have the same endings, by the file's first bytes."""
    with file.open("rb") as opened:
        begins = opened.read(len(_LIGHTGBM)) == _LIGHTGBM
    return begins is (requirement == "lightgbm")


def _uri(folder: Path, settings: dict[str, Any]) -> Path | None:
    parameters = settings.get("parameters")
    uri = parameters.get("uri") if isinstance(parameters, dict) else None
    if not isinstance(uri, str):
        return None
    file = folder / uri
    return file if file.is_file() else None


def _mlflow_inputs(path: Path) -> tuple[dict[str, Any], ...]:
    """Returns the inputs of an MLflow model's signature; none where it has none that is understood."""
    try:
        described = json_yaml.load(path.read_text())
        stated = json.loads(described["signature"]["inputs"])
        return tuple(_mlflow_input(each) for each in stated)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()


def _mlflow_input(stated: dict[str, Any]) -> dict[str, Any]:
    if stated["type"] == "tensor":
        spec = stated["tensor-spec"]
        kind = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32"}[spec["dtype"]]
        return {"name": stated.get("name", "input-0"), "datatype": kind, "shape": spec["shape"]}
    return {
        "name": stated["name"],
        "datatype": _MLFLOW_TYPES[stated["type"]],
        "shape": [-1, 1],
        "parameters": {"content_type": "pd"},
    }

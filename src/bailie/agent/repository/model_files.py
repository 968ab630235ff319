"""Which file of an artifact is the model, for each runtime of MLServer; if not certain, which files may be.

`mlserver` asks for artifacts without settings. The requirements and their classes are those of Seldon Core
v2; the names of files are the runtime's own, which the server tells (`server_words`), or those of MLServer
1.7.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.agent.errors import RepositoryError
from bailie.agent.files import TextTooLarge, read_text
from bailie.api.texts import abridged, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    Filenames = Mapping[str, Sequence[str]]
    """By the name of a runtime's package: the names of files that it looks for, in its order."""

_NAME = 60
"""Characters of a file's name in a message."""
_NAMED = 5
"""So many files are named in a message."""
_MISSING = "NoModelFile"
AMBIGUOUS = "ModelFileAmbiguous"
"""Reason of the error for an artifact with several candidates."""
_PYTHON_CLASS = re.compile(r"^class\s+(\w+)\s*\(\s*(?:\w+\.)*MLModel\s*\)\s*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The model in an artifact without settings: the class that loads it, the uri that the class gets, and
    the path of the file that decided both, relative to the artifact's folder."""

    implementation: str
    uri: str
    path: str


@dataclass(frozen=True, slots=True)
class _No:
    """Why a requirement does not fit an artifact."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Runtime:
    """How a requirement finds its model; `names` are those of its well-known files in MLServer 1.7.1."""

    implementation: str
    find: Callable[[_Search], ModelFile | _No]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """One requirement and one artifact. `files` are all files that are not hidden, relative to the folder."""

    folder: Path
    requirement: str
    implementation: str
    names: tuple[str, ...]
    files: tuple[Path, ...]


def find_model_file(folder: Path, requirements: Iterable[str], told: Filenames) -> ModelFile:
    """Returns the model of the first requirement that fits the artifact. Raises RepositoryError.

    `told`: the words of the server about its runtimes, which go before the names known here.
    """
    known = [name for name in requirements if name in _RUNTIMES]
    if not known:
        raise _unknown(list(requirements))
    files = tuple(sorted(_visible(folder)))
    refusals: list[_No] = []
    for name in known:
        found = _RUNTIMES[name].find(_search(folder, name, told, files))
        if isinstance(found, ModelFile):
            return found
        refusals.append(found)
    raise _refusal(refusals, folder)


def _refusal(refusals: Sequence[_No], folder: Path) -> RepositoryError:
    """Returns the error: a requirement with several candidates goes before those that have none."""
    several = next((no for no in refusals if no.reason == AMBIGUOUS), None)
    if several is not None:
        return RepositoryError(AMBIGUOUS, several.message)
    said = "; ".join(no.message for no in refusals)
    return RepositoryError(_MISSING, f"{said}; it has {_contents(folder)}")


def _search(folder: Path, requirement: str, told: Filenames, files: tuple[Path, ...]) -> _Search:
    runtime = _RUNTIMES[requirement]
    package = runtime.implementation.partition(".")[0]
    return _Search(
        folder=folder,
        requirement=requirement,
        implementation=runtime.implementation,
        names=tuple(told.get(package, ())) or runtime.names,
        files=files,
    )


def _unknown(requirements: list[str]) -> RepositoryError:
    asked = f"requirements {', '.join(requirements)}" if requirements else "a Model without requirements"
    return RepositoryError(
        "ModelSettingsMissing",
        f"the artifact has no model-settings.json, and none can be made for {asked} "
        f"(only for {', '.join(_RUNTIMES)})",
    )


def _visible(folder: Path) -> Iterable[Path]:
    """Yields the files without those of editors and systems (`.ipynb_checkpoints/…`, `._model.joblib`)."""
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            yield relative


def _named_or_only(search: _Search) -> ModelFile | _No:
    """Finds the file with a well-known name, else the only file of a kind that the runtime reads.

    Of each, those in the uppermost folders count. Of several well-known names in one folder the runtime
    itself takes the first of its list.
    """
    named = _uppermost(path for path in search.files if path.name in search.names)
    if named:
        first = min(named, key=lambda path: search.names.index(path.name))
        certain = all(path.parent == first.parent for path in named)
        return _model(search, first) if certain else _several(search, named)
    kinds = tuple(dict.fromkeys(f".{name.rpartition('.')[2]}" for name in search.names if "." in name))
    candidates = _uppermost(path for path in search.files if path.suffix in kinds)
    if len(candidates) == 1:
        return _model(search, candidates[0])
    if candidates:
        return _several(search, candidates)
    patterns = " or ".join([f"*{kind}" for kind in kinds] or search.names)
    return _No(_MISSING, f"the artifact has no {patterns}, as requirement {search.requirement} needs")


def _model(search: _Search, path: Path) -> ModelFile:
    return ModelFile(search.implementation, f"./{path.as_posix()}", path.as_posix())


def _several(search: _Search, candidates: Sequence[Path]) -> _No:
    named = all(path.name in search.names for path in candidates)
    first = "let storageUri name its folder" if named else f"call its file {search.names[0]}"
    return _No(
        AMBIGUOUS,
        f"each of {paths_text(candidates)} may be the model for requirement {search.requirement}; {first}, "
        "or name it in a model-settings.json (parameters.uri)",
    )


def _folder_with_file(search: _Search) -> ModelFile | _No:
    """Finds the uppermost folder with the runtime's file in it; the uri is the folder."""
    found = _uppermost(path for path in search.files if path.name in search.names)
    if not found:
        return _No(
            _MISSING,
            f"the artifact has no file {search.names[0]}, as requirement {search.requirement} needs",
        )
    if len(found) > 1:
        return _several(search, found)
    folder = found[0].parent.as_posix()
    return ModelFile(search.implementation, "./" if folder == "." else f"./{folder}", found[0].as_posix())


def _whole_folder(search: _Search) -> ModelFile:
    return ModelFile(search.implementation, "./", "")


def _first_folder(search: _Search) -> ModelFile | _No:
    """Finds the first sub-folder by name, as Seldon Core v2 does."""
    folders = sorted(path.name for path in search.folder.iterdir() if path.is_dir())
    if not folders:
        needs = f"as requirement {search.requirement} needs"
        return _No(_MISSING, f"the artifact has no folder, {needs}")
    return ModelFile(search.implementation, f"./{folders[0]}", folders[0])


def _only_class(search: _Search) -> ModelFile | _No:
    """Finds the one class of the programs at the top that derives from MLModel."""
    programs = [path for path in search.files if path.suffix == ".py" and len(path.parts) == 1]
    found = [(path, name) for path in programs for name in _PYTHON_CLASS.findall(_code(search.folder / path))]
    if not found:
        return _No(
            _MISSING,
            "the artifact has no *.py at its top with a line `class …(MLModel):`, as requirement "
            f"{search.requirement} needs",
        )
    if len(found) > 1:
        names = abridged([f"{path.stem}.{name}" for path, name in found], _NAMED)
        return _No(
            AMBIGUOUS,
            f"each of {names} may be the model for requirement {search.requirement}; name it in a "
            "model-settings.json (implementation)",
        )
    path, name = found[0]
    return ModelFile(f"{path.stem}.{name}", f"./{path}", str(path))


def _code(path: Path) -> str:
    """Returns a program's text; nothing for one that is too large to look through."""
    try:
        return read_text(path)
    except TextTooLarge:
        return ""
    except UnicodeDecodeError:
        return path.read_text(encoding="utf-8", errors="replace")


def _uppermost(paths: Iterable[Path]) -> list[Path]:
    found = list(paths)
    depth = min((len(path.parts) for path in found), default=0)
    return [path for path in found if len(path.parts) == depth]


def paths_text(paths: Iterable[Path]) -> str:
    """Returns relative paths for a message: the first few, and how many more there are."""
    names = [shown(path.as_posix(), _NAME) for path in paths]
    return abridged(names, _NAMED)


def _contents(folder: Path) -> str:
    names = sorted(shown(path.name, _NAME) + ("/" if path.is_dir() else "") for path in folder.iterdir())
    return abridged(names, _NAMED) or "no files"


_RUNTIMES: Mapping[str, _Runtime] = {
    "sklearn": _Runtime(
        "mlserver_sklearn.SKLearnModel", _named_or_only, ("model.joblib", "model.pickle", "model.pkl")
    ),
    "xgboost": _Runtime(
        "mlserver_xgboost.XGBoostModel", _named_or_only, ("model.bst", "model.json", "model.ubj")
    ),
    "lightgbm": _Runtime("mlserver_lightgbm.LightGBMModel", _named_or_only, ("model.bst",)),
    "mlflow": _Runtime("mlserver_mlflow.MLflowRuntime", _folder_with_file, ("MLmodel",)),
    "alibi-detect": _Runtime("mlserver_alibi_detect.AlibiDetectRuntime", _whole_folder),
    "alibi-explain": _Runtime("mlserver_alibi_explain.AlibiExplainRuntime", _first_folder),
    "python": _Runtime("", _only_class),
}

"""MLServer's model folder: which folder of an artifact counts, and its `model-settings.json`.

`loading` calls `prepare` with a finished download; nothing here talks to a server or a network. The rules are
those of Seldon Core v2, except that no key of a settings file that the artifact brings is lost.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bailie.agent.errors import RepositoryError
from bailie.agent.files import TextTooLarge, read_text, write_text
from bailie.api.texts import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bailie._gen import agent_pb2

SETTINGS = "model-settings.json"
_NAME = 60
"""Characters of a file's name in a message."""
INNER_VERSION = "1"
"""One server-side name per version, so the version below the name never changes."""
_PYTHON_CLASS = re.compile(r"^class\s+(\w+)\s*\(\s*(?:\w+\.)*MLModel\s*\)\s*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Runtime:
    """How settings are generated for a requirement. Without patterns the uri is the folder itself."""

    implementation: str
    patterns: tuple[str, ...] = ()


_RUNTIMES: Mapping[str, _Runtime] = {
    "sklearn": _Runtime("mlserver_sklearn.SKLearnModel", ("*.joblib", "*.pkl", "*.pickle")),
    "xgboost": _Runtime("mlserver_xgboost.XGBoostModel", ("*.json", "*.bst")),
    "lightgbm": _Runtime("mlserver_lightgbm.LightGBMModel", ("*.bst",)),
    "mlflow": _Runtime("mlserver_mlflow.MLflowRuntime"),
    "alibi-detect": _Runtime("mlserver_alibi_detect.AlibiDetectRuntime"),
    "alibi-explain": _Runtime("mlserver_alibi_explain.AlibiExplainRuntime"),
    "python": _Runtime(""),
}


def prepare(artifact: Path, target: Path, source: agent_pb2.ModelSource, server_name: str) -> None:
    """Moves the folder that counts to `target/1` and writes its settings. Raises RepositoryError."""
    version = source.artifact_version if source.HasField("artifact_version") else None
    chosen = choose_folder(artifact, version)
    path = chosen / SETTINGS
    given = read_settings(path) if path.is_file() else generate_settings(chosen, source.requirements)
    settings = rewrite_settings(given, source, server_name)
    target.mkdir(parents=True)
    inner = target / INNER_VERSION
    chosen.rename(inner)
    write_text(inner / SETTINGS, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def runtime(folder: Path) -> str:
    """Returns the implementation that a prepared model names; code that came with it is like no other's."""
    try:
        name = str(read_settings(folder / INNER_VERSION / SETTINGS).get("implementation", ""))
    except (RepositoryError, OSError):
        return folder.name
    return name if name.startswith("mlserver") else f"{name} of {folder.name}"


def choose_folder(artifact: Path, version: int | None) -> Path:
    """Returns the folder of an artifact that is the model. Raises RepositoryError.

    In this order: the top folder when it has settings; the folder named as the asked version that has
    settings; the highest numbered folder that has settings; the top folder when there are no settings
    anywhere.
    """
    if (artifact / SETTINGS).is_file():
        return artifact
    folders = sorted(path.parent for path in artifact.rglob(SETTINGS))
    if version is not None:
        return _asked_folder(artifact, folders, version)
    numbered = [folder for folder in folders if folder.name.isdecimal()]
    if numbered:
        return max(numbered, key=lambda folder: (int(folder.name), -len(folder.parts)))
    if not folders:
        return artifact
    raise RepositoryError(
        "ModelSettingsMissing",
        f"the artifact has no {SETTINGS} at its top or in a numbered folder; "
        f"there is one in {_listed(artifact, folders)}",
    )


def _asked_folder(artifact: Path, folders: list[Path], version: int) -> Path:
    found = [folder for folder in folders if folder.name.isdecimal() and int(folder.name) == version]
    if len(found) == 1:
        return found[0]
    if found:
        raise RepositoryError(
            "ArtifactVersionAmbiguous",
            f"artifactVersion {version} is the name of several folders with a {SETTINGS}: "
            f"{_listed(artifact, found)}",
        )
    has = (
        f"those with one are {_listed(artifact, folders)}" if folders else "no folder of the artifact has one"
    )
    raise RepositoryError(
        "ArtifactVersionNotFound", f"no folder named {version} (artifactVersion) has a {SETTINGS}; {has}"
    )


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a settings file. Raises RepositoryError when it is no JSON object, OSError."""
    try:
        settings = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise RepositoryError("ModelSettingsInvalid", f"{SETTINGS} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise RepositoryError("ModelSettingsInvalid", f"{SETTINGS} should hold a JSON object")
    return settings


def generate_settings(folder: Path, requirements: Iterable[str]) -> dict[str, Any]:
    """Makes settings for an artifact without any, from the first requirement known. Raises
    RepositoryError."""
    requirements = list(requirements)
    known = next((name for name in requirements if name in _RUNTIMES), None)
    if known is None:
        asked = f"requirements {', '.join(requirements)}" if requirements else "a Model without requirements"
        raise RepositoryError(
            "ModelSettingsMissing",
            f"the artifact has no {SETTINGS}, and none can be made for {asked} "
            f"(only for {', '.join(_RUNTIMES)})",
        )
    if known == "python":
        return _python_settings(folder)
    runtime = _RUNTIMES[known]
    settings: dict[str, Any] = {"implementation": runtime.implementation}
    if known == "alibi-explain":
        settings["parallel_workers"] = 0
        settings["parameters"] = {"uri": _first_directory(folder)}
    elif runtime.patterns:
        settings["parameters"] = {"uri": _relative(folder, _first_file(folder, known, runtime.patterns))}
    else:
        settings["parameters"] = {"uri": "./"}
    return settings


def _python_settings(folder: Path) -> dict[str, Any]:
    for path in _files(folder, ("*.py",)):
        match = _PYTHON_CLASS.search(_code(path)) if path.parent == folder else None
        if match:
            return {
                "implementation": f"{path.stem}.{match[1]}",
                "parameters": {"uri": _relative(folder, path)},
            }
    raise RepositoryError(
        "NoModelFile",
        f"the artifact has no *.py at its top with a line `class …(MLModel):`, as requirement python needs; "
        f"it has {_contents(folder)}",
    )


def _code(path: Path) -> str:
    """Returns a program's text; nothing for one that is too large to look through."""
    try:
        return read_text(path)
    except TextTooLarge:
        return ""
    except UnicodeDecodeError:
        return path.read_text(encoding="utf-8", errors="replace")


def _first_directory(folder: Path) -> str:
    directories = sorted(path for path in folder.iterdir() if path.is_dir())
    if not directories:
        raise RepositoryError(
            "NoModelFile",
            f"the artifact has no folder, as requirement alibi-explain needs; it has {_contents(folder)}",
        )
    return _relative(folder, directories[0])


def _first_file(folder: Path, requirement: str, patterns: tuple[str, ...]) -> Path:
    files = _files(folder, patterns)
    if files:
        return files[0]
    raise RepositoryError(
        "NoModelFile",
        f"the artifact has no {' or '.join(patterns)}, as requirement {requirement} needs; "
        f"it has {_contents(folder)}",
    )


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Finds files by pattern: the shallowest first, then in the patterns' order, then by name."""
    found = {
        path: (len(path.parts), order, path.name)
        for order, pattern in reversed(list(enumerate(patterns)))
        for path in folder.rglob(pattern)
        if path.is_file()
    }
    return sorted(found, key=lambda path: found[path])


def rewrite_settings(
    given: Mapping[str, Any], source: agent_pb2.ModelSource, server_name: str
) -> dict[str, Any]:
    """Returns settings for this version: everything that was given, with the Model's own values on top.

    `name` and `parameters.version` are ours; `spec.parameters` come last. Raises RepositoryError.
    """
    settings = dict(given)
    parameters = _object(settings, "parameters", "parameters")
    extra = _object(parameters, "extra", "parameters.extra")
    settings["name"] = server_name
    parameters["version"] = INNER_VERSION
    if source.HasField("explainer") or source.HasField("llm"):
        settings["parallel_workers"] = 0
        extra["infer_uri"] = _infer_uri(source)
    if source.HasField("explainer") and source.explainer.type:
        extra["explainer_type"] = source.explainer.type
    extra.update((parameter.name, parameter.value) for parameter in source.parameters)
    if extra or "extra" in parameters:
        parameters["extra"] = extra
    settings["parameters"] = parameters
    return settings


def _object(holder: Mapping[str, Any], key: str, path: str) -> dict[str, Any]:
    value = holder.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RepositoryError("ModelSettingsInvalid", f"{path} of {SETTINGS} should be a JSON object")
    return dict(value)


def _infer_uri(source: agent_pb2.ModelSource) -> str:
    kind = "explainer" if source.HasField("explainer") else "llm"
    refs = source.explainer if source.HasField("explainer") else source.llm
    if refs.model_ref:
        return f"{source.inference_url}/v2/models/{quote(refs.model_ref, safe='')}/infer"
    if refs.pipeline_ref:
        return f"{source.inference_url}/v2/pipelines/{quote(refs.pipeline_ref, safe='')}/infer"
    raise RepositoryError(
        "ReferenceMissing", f"spec.{kind} names neither a modelRef nor a pipelineRef; it needs one"
    )


def _relative(folder: Path, path: Path) -> str:
    return f"./{path.relative_to(folder).as_posix()}"


def _listed(top: Path, paths: list[Path]) -> str:
    names = [shown(path.relative_to(top).as_posix(), _NAME) for path in paths]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _contents(folder: Path) -> str:
    names = sorted(shown(path.name, _NAME) + ("/" if path.is_dir() else "") for path in folder.iterdir())
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) + more) if names else "no files"

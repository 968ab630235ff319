"""MLServer's model folder: which folder of an artifact counts, and its `model-settings.json`.

`loading` calls `prepare` with a finished download; nothing here talks to a server or a network. The rules are
those of Seldon Core v2, except that no key of a settings file that the artifact brings is lost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bailie.agent.errors import RepositoryError
from bailie.agent.files import read_text, write_text
from bailie.agent.repository.model_files import find_model_file, paths_text
from bailie.agent.repository.prepared import Prepared
from bailie.agent.repository.worker_settings import refuse_environment, without_effect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bailie._gen import agent_pb2
    from bailie.agent.repository.model_files import ModelFile
    from bailie.agent.repository.server_words import ServerWords

SETTINGS = "model-settings.json"
INNER_VERSION = "1"
"""One server-side name per version, so the version below the name never changes."""
_IN_PROCESS = "mlserver_alibi_explain."
"""Its models call others and run in the server's own process."""


def prepare(  # noqa: PLR0917 - the port of `repository`
    artifact: Path, target: Path, source: agent_pb2.ModelSource, server_name: str, words: ServerWords
) -> Prepared:
    """Moves the folder that counts to `target/1` and writes its settings. Raises RepositoryError."""
    version = source.artifact_version if source.HasField("artifact_version") else None
    chosen = choose_folder(artifact, version)
    path = chosen / SETTINGS
    if path.is_file():
        given, taken = read_settings(path), SETTINGS
    else:
        found = find_model_file(chosen, source.requirements, words.filenames)
        given, taken = generate_settings(found), found.path
    settings = rewrite_settings(given, source, server_name)
    refuse_environment(settings, words)
    told = (chosen.relative_to(artifact) / taken).as_posix()
    target.mkdir(parents=True)
    inner = target / INNER_VERSION
    chosen.rename(inner)
    write_text(inner / SETTINGS, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    return Prepared("" if told == "." else told, tuple(without_effect(given, words)))


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


def _listed(top: Path, folders: list[Path]) -> str:
    return paths_text(folder.relative_to(top) for folder in folders)


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a settings file. Raises RepositoryError when it is no JSON object, OSError."""
    try:
        settings = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise RepositoryError("ModelSettingsInvalid", f"{SETTINGS} is not valid JSON: {error}") from error
    if not isinstance(settings, dict):
        raise RepositoryError("ModelSettingsInvalid", f"{SETTINGS} should hold a JSON object")
    return settings


def generate_settings(found: ModelFile) -> dict[str, Any]:
    """Returns settings for the model of an artifact that has none."""
    settings: dict[str, Any] = {
        "implementation": found.implementation,
        "parameters": {"uri": found.uri},
    }
    return {**settings, "parallel_workers": 0} if found.implementation.startswith(_IN_PROCESS) else settings


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

"""Triton's model folder: which version folder of an artifact counts, and its `config.pbtxt`.

`loading` calls `prepare` with a finished download; nothing here talks to a server or a network. The rules are
those of Seldon Core v2. Explainer, llm and parameters of a Model have no meaning for Triton.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bailie.agent.errors import RepositoryError
from bailie.agent.files import read_text, write_text
from bailie.agent.repository.prepared import Prepared

if TYPE_CHECKING:
    from pathlib import Path

    from bailie._gen import agent_pb2
    from bailie.agent.repository.server_words import ServerWords

CONFIG = "config.pbtxt"
INNER_VERSION = "1"
_RUNTIME = re.compile(r"""^\s*(?:backend|platform)\s*:\s*["']([^"']+)["']""", re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<string>"(?:\\.|[^"\\])*+(?:"|\\?\Z)|'(?:\\.|[^'\\])*+(?:'|\\?\Z))|(?P<open>[{\[<])|(?P<close>[}\]>])
    |(?P<word>[A-Za-z_]\w*)|(?P<other>[^\s])""",
    re.VERBOSE,
)


def prepare(  # noqa: PLR0917 - the port of `repository`
    artifact: Path,
    target: Path,
    source: agent_pb2.ModelSource,
    server_name: str,
    words: ServerWords,  # noqa: ARG001 - MLServer's module needs them
) -> Prepared:
    """Moves the version folder to `target/1`, the files beside it and the config to `target`.

    Raises RepositoryError.
    """
    version = source.artifact_version if source.HasField("artifact_version") else None
    chosen = choose_folder(artifact, version)
    told = "" if chosen == artifact else chosen.name
    config = artifact / CONFIG
    text = _read_config(config) if config.is_file() else ""
    target.mkdir(parents=True)
    if chosen != artifact:
        for path in [path for path in artifact.iterdir() if path.is_file()]:
            path.rename(target / path.name)
    chosen.rename(target / INNER_VERSION)
    (target / INNER_VERSION / CONFIG).unlink(missing_ok=True)
    write_text(target / CONFIG, rename_config(text, server_name))
    return Prepared(told)


def _read_config(path: Path) -> str:
    try:
        return read_text(path)
    except ValueError as error:
        raise RepositoryError("ModelConfigInvalid", f"{CONFIG} cannot be read: {error}") from error


def runtime(folder: Path) -> str:
    """Returns the backend or platform that a prepared model names, and its folder's name if it names none."""
    try:
        found = _RUNTIME.search(read_text(folder / CONFIG))
    except (OSError, ValueError):
        found = None
    return found[1] if found else folder.name


def choose_folder(artifact: Path, version: int | None) -> Path:
    """Returns the version folder: the wanted version, else the highest above 0, else the artifact itself."""
    numbered = {
        int(path.name): path for path in artifact.iterdir() if path.is_dir() and path.name.isdecimal()
    }
    if version is not None:
        if version in numbered:
            return numbered[version]
        has = ", ".join(str(number) for number in sorted(numbered)) or "none"
        raise RepositoryError(
            "ArtifactVersionNotFound",
            f"the artifact has no folder named {version} (artifactVersion); its version folders: {has}",
        )
    return max(((n, path) for n, path in numbered.items() if n > 0), default=(0, artifact))[1]


def rename_config(text: str, server_name: str) -> str:
    """Returns a model configuration in protobuf text form with its own `name` replaced, or put in front."""
    line = f'name: "{server_name}"'
    span = _name_span(text)
    if span is None:
        return f"{line}\n{text}"
    return text[: span[0]] + line + text[span[1] :]


def _name_span(text: str) -> tuple[int, int] | None:
    """Finds the field `name` of the outermost message; those of inputs and outputs are deeper."""
    depth = 0
    start: int | None = None
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "comment" or (kind == "other" and token[0] == ":"):
            continue
        if kind == "string" and start is not None:
            return start, token.end()
        depth += (kind == "open") - (kind == "close")
        start = token.start() if kind == "word" and token[0] == "name" and depth == 0 else None
    return None

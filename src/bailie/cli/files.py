"""The objects in files of manifests, and the kinds that people name, checked before anything is sent.

Used by `applying`, `resources`, `serve`, `pipelines` and `seldon.objects`. All that cannot be used in any of
the files is told at once, each with its file and line, and ends the command.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from bailie.cli.output import ExitCode, fail, say
from bailie.cli.readiness import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bailie.api.kinds import Kind

Manifest = dict[str, Any]
_Content = TypeVar("_Content", str, bytes)

_ENDINGS = (".yaml", ".yml", ".json")
"""Of the files of a folder that are read."""
_LARGEST = 64 << 20
"""Bytes of a file: a device has no end."""
_ALIKE = 0.8
"""How alike two names of kinds are that one is taken for a slip of the other."""
_OF_THE_API = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"})
_NO_OBJECT = "not a Kubernetes object (it needs apiVersion, kind and metadata.name, each a string)"


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object and its place: file and line, empty for an object of no file."""

    manifest: Manifest
    place: str = ""

    def told(self, text: object) -> str:
        """Returns a sentence about the object, with its place and its name before it."""
        place = f"{self.place}: " if self.place else ""
        return f"{place}{reference_of(self.manifest)}: {text}"


class _Unusable(Exception):  # noqa: N818 - reads as what it says
    """A file or an object in it cannot be used; the message says which, where, and why."""


def read_objects(paths: Iterable[Path]) -> list[FoundObject]:
    """Returns the objects of YAML and JSON files and of those in folders; ends the command where one is
    none."""
    found, faults = _read(paths)
    _refuse(faults)
    return found


def known_objects(paths: Iterable[Path]) -> list[FoundObject]:
    """Returns the same; ends the command also where an object is of a kind that Bailie does not use."""
    found, faults = _read(paths)
    _refuse([*faults, *_unknown_kinds(found)])
    return found


def valid_objects(paths: Iterable[Path]) -> list[FoundObject]:
    """Returns the objects as somebody stated them; ends the command also where a field has a mistake."""
    found, faults = _read(paths)
    found = [replace(each, manifest=stated(each.manifest)) for each in found]
    _refuse([*faults, *_mistakes(found)])
    return found


def refuse_mistakes(found: Sequence[FoundObject]) -> None:
    """Tells every mistake and warning of the objects; ends the command where there is a mistake."""
    _refuse(_mistakes(found))


def end_with(faults: Sequence[str], *, hint: str, code: int) -> NoReturn:
    """Ends the command with a sentence for each fault."""
    *others, last = faults
    for each in others:
        say(f"error: {each}")
    fail(last, hint=hint, code=code)


def stated(manifest: Manifest) -> Manifest:
    """Returns an object that an API answered (it has a uid) without the fields that only the API writes."""
    if "uid" not in manifest["metadata"]:
        return manifest
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _OF_THE_API}
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}


def served_kind(manifest: Manifest) -> Kind:
    """Returns the kind of an object that has been checked."""
    from bailie.kube.client import kind_of

    return kind_of(manifest)


def put_into(manifest: Manifest, namespace: str) -> None:
    """Sets the namespace of a namespaced object that states none."""
    if served_kind(manifest).namespaced:
        manifest["metadata"].setdefault("namespace", namespace)


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        hint = "nothing was sent; mend this, and run the command again"
        end_with(faults, hint=hint, code=ExitCode.USAGE)


def _read(paths: Iterable[Path]) -> tuple[list[FoundObject], list[str]]:
    """Returns the objects of all files, and a sentence for each file and object that cannot be used."""
    found: list[FoundObject] = []
    faults: list[str] = []
    for path in paths:
        try:
            files = _files(path)
        except _Unusable as error:
            faults.append(str(error))
            continue
        for file in files:
            try:
                objects, unreadable = _objects_in(file)
            except _Unusable as error:
                faults.append(str(error))
                continue
            faults += unreadable
            faults += [f"{place}: {_NO_OBJECT}" for place, item in objects if not _is_object(item)]
            found += [FoundObject(item, place) for place, item in objects if _is_object(item)]
    return found, faults


def _files(path: Path) -> list[Path]:
    """Returns the manifests of a folder by name, not those of folders in it; else the file itself."""
    try:
        if str(path) == "-" or not path.is_dir():
            return [path]
        found = sorted(each for each in path.iterdir() if each.suffix in _ENDINGS and not each.is_dir())
    except OSError as error:
        raise _Unusable(f"{path} cannot be read: {error.strerror}") from error
    if not found:
        raise _Unusable(f"{path} has no file that ends in {', '.join(_ENDINGS)}")
    return found


def _objects_in(file: Path) -> tuple[list[tuple[str, Any]], list[str]]:
    """Returns the values of a file with their places, and a sentence for each part that cannot be used.

    Raises _Unusable where the file cannot be read.
    """
    from bailie.cli.yaml_objects import YamlObject, yaml_objects

    source = "standard input" if str(file) == "-" else str(file)
    found: list[tuple[str, Any]] = []
    faults: list[str] = []
    for each in yaml_objects(_text(file, source)):
        place = f"{source}, line {each.line}" if each.line else source
        if isinstance(each, YamlObject):
            found.append((place, each.value))
        else:
            faults.append(f"{place}: not YAML that can be used: {each.problem}")
    if not found and not faults:
        raise _Unusable(f"{source} holds no object")
    return found, faults


def _text(file: Path, source: str) -> str:
    try:
        if str(file) == "-":
            return _bounded(sys.stdin.read(_LARGEST + 1), source)
        with file.open("rb") as opened:
            return _bounded(opened.read(_LARGEST + 1), source).decode("utf-8-sig")
    except OSError as error:
        raise _Unusable(f"{source} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _Unusable(f"{source} is not text in UTF-8") from error


def _bounded(content: _Content, source: str) -> _Content:
    if len(content) > _LARGEST:
        raise _Unusable(f"{source} has more than {_LARGEST >> 20} MiB: give it in parts")
    return content


def _is_object(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
        return False
    metadata = item["metadata"]
    needed = (item.get("apiVersion"), item.get("kind"), metadata.get("name"))
    return all(isinstance(text, str) and text for text in needed) and isinstance(
        metadata.get("namespace", ""), str
    )


def _unknown_kinds(found: Iterable[FoundObject]) -> Iterator[str]:
    """Yields a sentence for each object of a kind that Bailie does not use."""
    for each in found:
        try:
            served_kind(each.manifest)
        except ValueError as error:
            yield each.told(f"{error}: {_meant(each.manifest) or 'use kubectl for other kinds'}")


def _mistakes(found: Iterable[FoundObject]) -> list[str]:
    """Returns a sentence for each mistake; tells those that are only warnings."""
    from bailie.api.registry import parse

    found = tuple(found)
    mistakes = [*_unknown_kinds(found)]
    for each in found:
        for problem in parse(each.manifest)[1]:
            if problem.reason == "NoEffect":
                say(f"warning: {each.told(problem)}")
            else:
                mistakes.append(each.told(problem))
    return mistakes


def _meant(manifest: Manifest) -> str:
    """Returns how the kind is written that was probably meant; empty where no kind of ours is like it."""
    by_name = {kind.kind.lower(): kind for kind in _known_kinds()}
    close = get_close_matches(manifest["kind"].lower(), by_name, n=1, cutoff=_ALIKE)
    if not close:
        return ""
    found = by_name[close[0]]
    return f"write apiVersion: {found.api_version} and kind: {found.kind}"


def _known_kinds() -> list[Kind]:
    from bailie.api import kinds

    return [kind for kind in vars(kinds).values() if isinstance(kind, kinds.Kind)]


def kind_words(incomplete: str) -> list[str]:
    """Returns the names of kinds that begin so, for the shell's completion."""
    return sorted(kind.plural for kind in _known_kinds() if kind.plural.startswith(incomplete))


def resolve(word: str) -> Kind:
    """Returns the kind that a word means: its name, plural or short name, in any case."""
    known = _known_kinds()
    short = {"mlm": "Model", "mlp": "Pipeline", "mlx": "Experiment", "mls": "Server", "mlc": "ServerConfig"}
    short |= {"po": "Pod", "svc": "Service", "cm": "ConfigMap", "ns": "Namespace", "ev": "Event"}
    wanted = short.get(word.lower(), word).lower()
    found = next((kind for kind in known if wanted in (kind.kind.lower(), kind.plural)), None)
    if found is None:
        plurals = sorted(kind.plural for kind in known)
        close = get_close_matches(wanted, plurals, n=1, cutoff=_ALIKE)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(plurals)}"
        fail(f"{word!r} is not a kind that Bailie uses", hint=hint, code=ExitCode.USAGE)
    return found

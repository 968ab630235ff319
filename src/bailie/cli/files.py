"""The objects in files of manifests, and the kinds that people name, checked before anything is sent.

Used by `resources`, `serve`, `pipelines` and `seldon.objects`. A file or a word that cannot be used ends the
command with a sentence.
"""

from __future__ import annotations

import sys
from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from bailie.cli.output import ExitCode, fail, say
from bailie.cli.readiness import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bailie.api.kinds import Kind

Manifest = dict[str, Any]

_ALIKE = 0.8
"""How alike two names of kinds are that one is taken for a slip of the other."""
_OF_THE_API = frozenset({"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"})


def read_manifests(path: Path) -> Iterator[Manifest]:
    """Yields the objects of a YAML or JSON file, lists opened; says which document is none."""
    source = "standard input" if str(path) == "-" else str(path)
    found = False
    for number, document in enumerate(_documents(path, source), 1):
        listed = isinstance(document, dict) and isinstance(document.get("items"), list)
        for item in document["items"] if listed else [document]:
            if item is None:
                continue
            if not _is_object(item):
                text = "not a Kubernetes object (it needs apiVersion, kind and metadata.name, each a string)"
                fail(f"{source}, document {number}: {text}", code=ExitCode.USAGE)
            found = True
            yield item
    if not found:
        fail(f"{source} holds no object", code=ExitCode.USAGE)


def stated(manifest: Manifest) -> Manifest:
    """Returns an object that an API answered (it has a uid) without the fields that only the API writes."""
    if "uid" not in manifest["metadata"]:
        return manifest
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _OF_THE_API}
    return {**{key: value for key, value in manifest.items() if key != "status"}, "metadata": metadata}


def _documents(path: Path, source: str) -> list[Any]:
    import yaml

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        return list(yaml.safe_load_all(text))
    except OSError as error:
        fail(f"{source} cannot be read: {error.strerror}", code=ExitCode.USAGE)
    except UnicodeDecodeError:
        fail(f"{source} is not text", code=ExitCode.USAGE)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fail(f"{source}{place}: not YAML: {error.problem}", code=ExitCode.USAGE)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a 13th month, thousands of levels
        fail(f"{source} is not YAML: {' '.join(str(error).split())}", code=ExitCode.USAGE)


def _is_object(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("metadata"), dict):
        return False
    metadata = item["metadata"]
    needed = (item.get("apiVersion"), item.get("kind"), metadata.get("name"))
    return all(isinstance(text, str) and text for text in needed) and isinstance(
        metadata.get("namespace", ""), str
    )


def refuse_problems(manifests: list[Manifest]) -> None:
    """Tells every problem and warning of the objects; ends the command where there is a problem."""
    from bailie.api.registry import parse

    refused = False
    seen = Counter((each["metadata"].get("namespace"), reference_of(each)) for each in manifests)
    for (_, reference), count in seen.items():
        if count > 1:
            say(f"warning: {reference} is in the files {count} times: the last one counts")
    for manifest in manifests:
        served_kind(manifest)
        for problem in parse(manifest)[1]:
            warning = problem.reason == "NoEffect"
            say(f"{'warning' if warning else 'error'}: {reference_of(manifest)}: {problem}")
            refused = refused or not warning
    if refused:
        fail("nothing was applied", hint="mend the fields named above", code=ExitCode.USAGE)


def served_kind(manifest: Manifest) -> Kind:
    """Returns the kind of an object; ends the command where it is none of those that Bailie uses."""
    from bailie.kube.client import kind_of

    try:
        return kind_of(manifest)
    except ValueError as error:
        fail(str(error), hint=_meant(manifest) or "use kubectl for other kinds", code=ExitCode.USAGE)


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
        fail(
            f"{word!r} is not a kind that Bailie uses",
            hint=f"known are {', '.join(sorted(kind.plural for kind in known))}",
            code=ExitCode.USAGE,
        )
    return found


def put_into(manifest: Manifest, namespace: str) -> None:
    """Sets the namespace of a namespaced object that states none."""
    if served_kind(manifest).namespaced:
        manifest["metadata"].setdefault("namespace", namespace)

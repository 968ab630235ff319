"""A single write of a move, as a value: object, content, and the command line that does the same. Pure.

Made by the steps, carried out by `executor`, printed for people who go by GitOps.
"""

from __future__ import annotations

import enum
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from bailie.api.kinds import SECRET
from bailie.migration.facts import annotations_of
from bailie.migration.finding import quoted
from bailie.wellknown.paths import TOKEN_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bailie.api.kinds import Kind
    from bailie.migration.facts import Object

RELEASE = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
RUNTIME_CHART = "./charts/seldon-core-v2-runtime"
_KEPT, _INSTALL = "--reuse-values", "--install"
ORPHAN = "Orphan"
"""Deletes an object and leaves all that it made."""


class Verb(enum.StrEnum):
    """The ways in which a move writes."""

    CREATE = "create"
    PATCH = "patch"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveChange:
    """One write."""

    verb: Verb
    kind: Kind
    name: str
    namespace: str
    body: Object | None = None
    """The object to create, or a merge patch."""
    version: str = ""
    """The resourceVersion on which the change was decided: a newer object is looked at again. Empty for
    any."""
    uid: str = ""
    """The object that is meant, for a deletion; empty for any."""
    propagation: str = ""
    """For a deletion: `Orphan` leaves all that the object made; empty for the server's default."""
    helm: str = ""
    """The command that says the same to the Helm release that has the object; empty where none has it."""
    said: str = ""
    """The words for people where the body has more in it than the change: of variables of a pod, say."""

    @property
    def reference(self) -> str:
        """Returns kind, name and namespace in words."""
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.kind.kind} {self.name}{place}"

    def told(self) -> str:
        """Returns the change in words: `patch SeldonRuntime seldon in namespace team: {…}`."""
        content = f": {self.said or _compact(self.body)}" if self.verb is Verb.PATCH else ""
        return f"{self.verb.value} {self.reference}{content}"

    def command(self) -> str:
        """Returns the lines for kubectl that do the same."""
        name = quoted(self.name)
        target = f" --namespace {quoted(self.namespace)}" if self.namespace else ""
        resource = f"{self.kind.plural}.{self.kind.group}" if self.kind.group else self.kind.plural
        if self.verb is Verb.CREATE and self.kind is SECRET:
            token = f"--from-literal={TOKEN_KEY}=$(openssl rand -hex 32)"
            return f"kubectl create secret generic {name}{target} {token}"
        if self.verb is Verb.CREATE:
            text = yaml.safe_dump(self.body, sort_keys=False)
            return f"kubectl create -f - <<'EOF'\n{text}EOF"
        if self.verb is Verb.DELETE:
            cascade = f" --cascade={self.propagation.lower()}" if self.propagation else ""
            return f"kubectl delete {resource} {name}{target}{cascade}"
        patch = shlex.quote(_compact(self.body))
        return f"kubectl patch {resource} {name}{target} --type merge --patch {patch}"


def create(kind: Kind, manifest: Object) -> MoveChange:
    """Returns the change that makes an object."""
    metadata = manifest["metadata"]
    return MoveChange(
        verb=Verb.CREATE,
        kind=kind,
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        body=manifest,
    )


def patch(
    kind: Kind, present: Object, body: Object, *, values: Iterable[str] = (), chart: str = ""
) -> MoveChange:
    """Returns the change of some fields of an object.

    `values` are the same fields for its Helm release, which `chart` made, the runtime's unless it is given.
    With neither there is no upgrade that says the same.
    """
    metadata, values = present["metadata"], tuple(values)
    return MoveChange(
        verb=Verb.PATCH,
        kind=kind,
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        body=body,
        version=str(metadata.get("resourceVersion") or ""),
        helm=upgrade(present, values, chart or RUNTIME_CHART) if values or chart else "",
    )


def delete(kind: Kind, present: Object, *, propagation: str = "") -> MoveChange:
    """Returns the change that deletes this very object."""
    metadata = present["metadata"]
    return MoveChange(
        verb=Verb.DELETE,
        kind=kind,
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=str(metadata.get("uid") or ""),
        propagation=propagation,
    )


def upgrade(present: Object, values: Iterable[str], chart: str) -> str:
    """Returns the upgrade of the release that has the object, empty where none has it.

    `values`: options with their texts, such as `--set a=b`.
    """
    marks = annotations_of(present)
    if RELEASE not in marks:
        return ""
    namespace = quoted(marks.get(RELEASE_NAMESPACE) or present["metadata"].get("namespace"))
    words = f"helm upgrade {quoted(marks[RELEASE])} {chart} --namespace {namespace} {_KEPT}"
    return " ".join((words, *values))


def next_upgrades(changes: Iterable[MoveChange]) -> tuple[str, ...]:
    """Returns the upgrades that tell Helm's releases of changes, each once.

    Of a release that Helm has forgotten only the one that installs it anew counts, with the values of the
    others.
    """
    lines = dict.fromkeys(each.helm for each in changes if each.helm)
    anew = {_release_in(line): line for line in lines if _INSTALL in line}
    values = dict.fromkeys(anew, "")
    for line in lines:
        if line not in anew.values() and (release := _release_in(line)) in values:
            values[release] += line.partition(_KEPT)[2]
    told = (line for line in lines if line in anew.values() or _release_in(line) not in anew)
    return tuple(f"{line}{values.get(_release_in(line), '')}" for line in told)


def _release_in(line: str) -> tuple[str, str]:
    """Returns the release of an upgrade, and its namespace."""
    words = [each for each in shlex.split(line) if each != _INSTALL]
    return words[2], words[words.index("--namespace") + 1]


def merge_patched(present: Any, body: Any) -> Any:
    """Returns an object after a merge patch (RFC 7396)."""
    if not isinstance(body, dict):
        return body
    base = present if isinstance(present, dict) else {}
    kept = {key: value for key, value in base.items() if key not in body}
    return kept | {
        key: merge_patched(base.get(key), value) for key, value in body.items() if value is not None
    }


def _compact(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"), sort_keys=True)

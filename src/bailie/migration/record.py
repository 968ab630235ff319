"""The record of a move, kept in the namespace as a ConfigMap. Pure.

It has the state before the first write, so that a way back is known from the first write on, and a log for
people. No step trusts it: each step decides by the objects, and takes from the record only which of two
known states was the one before. So a record that an author of the namespace has made up cannot make the
command write anything but a move's own fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from bailie.api.kinds import CONFIG_MAP
from bailie.api.names import is_dns_label, label_problems
from bailie.api.problems import Problem
from bailie.api.texts import shown
from bailie.migration.errors import DamagedRecord
from bailie.migration.facts import MovePlaces
from bailie.migration.source import MoveSource
from bailie.scope.central import namespace_of
from bailie.wellknown import names

if TYPE_CHECKING:
    from bailie.migration.changes import MoveChange
    from bailie.migration.facts import MoveFacts, Object

NAME = names.MIGRATION_RECORD
"""The ConfigMap in the namespace, and the Lease in the operator's namespace."""
KEY = names.MIGRATION_KEY
ABOUT_TO_APPLY, ABOUT_TO_ROLL_BACK, ABOUT_TO_FINISH = "applying", "rolling back", "finishing"
_LOG_LINES = 200
_LONGEST_TEXT = 500
"""Characters of one text in the log. Lines and names together stay below the 1 MiB of a ConfigMap."""
MOST_BYTES = 600_000
"""A record without its log has at most so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLine:
    """One write, for people: when, by whom, in which step, and the value before."""

    at: str
    by: str
    step: str
    change: str
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRecord:
    """A move that has begun."""

    namespace: str
    source: MoveSource
    home: str
    """The namespace of the operator that serves this one."""
    central: str
    """The namespace whose scheduler served this one before, empty where it was its own."""
    begun: str
    """When, as the API writes times."""
    uid: str = ""
    """The uid of the namespace, empty where it could not be read."""
    by: str
    doing: str = ABOUT_TO_APPLY
    step: str = ""
    """The step that is under way, or was last."""
    listed: bool = True
    """Whether the central SeldonRuntime's `servesNamespaces` had the namespace by name, before."""
    made: tuple[str, ...] = ()
    """Objects that were missing before, each `Kind/name`, or a part of one."""
    foreign: str = ""
    """The namespace of Seldon Core's operator that served this one, empty where none was at work."""
    replicas: int = 0
    """The replicas of that operator, before: for people, and for what to wait for on the way back."""
    scheduled: bool = False
    """Whether Seldon Core's scheduler ran in the namespace."""
    envoys: bool = False
    """Whether Seldon Core's Envoys ran in the namespace."""
    left_out: tuple[str, ...] = ()
    """The fields by which the SeldonRuntime left the scheduler out."""
    redirect: str = ""
    """The DNS name of a scheduler, to which a hand-made Service led; empty where there was none."""
    mesh: str = ""
    """The DNS name of another namespace's mesh, to which the Service of callers led; empty where it led to
    Envoys here."""
    saved: str = ""
    """The SHA-256 digest of the file with the objects of before, in hexadecimal; empty for no file."""
    unready: frozenset[str] = frozenset()
    """Servers, Models, Experiments and Pipelines that were not ready before, each `Kind/name`."""
    known: bytes | None = None
    """The digests of all objects of these kinds before, ready or not (`serving.object_digests`); None in a
    record of an earlier version."""
    pods: dict[str, str] = field(default_factory=dict)
    """The uid of each pod of servers and Envoys, before."""
    one_by_one: tuple[str, ...] = ()
    """The Servers in the order in which they come over one at a time; none where all come at once."""
    placed: dict[str, str] = field(default_factory=dict)
    """The Server of each Model, before, empty where that was not known; none where all come at once."""
    log: tuple[WrittenLine, ...] = ()

    @property
    def places(self) -> MovePlaces:
        """The namespaces whose objects the steps read."""
        if self.source is MoveSource.BAILIE_CENTRAL:
            return MovePlaces(central=self.central)
        ending = self.doing == ABOUT_TO_FINISH
        return MovePlaces(home=self.home, foreign=self.foreign, whole=True, ending=ending)

    def logged(self, line: WrittenLine) -> MoveRecord:
        """Returns the record with one more line of its log; the oldest of very many lines go."""
        return replace(self, step=line.step, log=(*self.log, line)[-_LOG_LINES:])

    def text(self) -> str:
        """Returns the record as JSON."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=2).decode()

    def manifest(self) -> Object:
        """Returns the ConfigMap."""
        metadata = {"name": NAME, "namespace": self.namespace}
        return {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": metadata,
            "data": {KEY: self.text()},
        }


def read_record(config_map: Object) -> MoveRecord:
    """Reads the ConfigMap. Raises DamagedRecord."""
    namespace = config_map["metadata"]["namespace"]
    text = (config_map.get("data") or {}).get(KEY)
    try:
        if text is None:
            raise msgspec.ValidationError(f"it has no key {KEY}")
        found = msgspec.json.decode(text.encode(), type=MoveRecord)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _damaged(namespace, str(error)) from error
    if problems := _problems(found):
        raise _damaged(namespace, problems[0].message)
    if found.namespace != namespace:
        raise _damaged(namespace, f"it is of the namespace {found.namespace}")
    return found


def record_in(facts: MoveFacts) -> MoveRecord | None:
    """Returns the record among the facts, None where there is none. Raises DamagedRecord.

    A record of another namespace of this name, in another cluster or before a restore, says nothing here.
    """
    config_map = facts.here.get(CONFIG_MAP, NAME)
    if config_map is None:
        return None
    found = read_record(config_map)
    if found.uid and facts.here.uid and found.uid != facts.here.uid:
        text = (
            f"it is of another namespace of this name (uid {shown(found.uid)}), of another cluster or deleted"
        )
        raise _damaged(facts.here.name, text)
    return found


def _problems(record: MoveRecord) -> list[Problem]:
    """Returns the names in a record that would become part of other namespaces' paths and are none."""
    found = label_problems("home", record.home)
    if record.central or record.source is not MoveSource.SELDON_SCOPED:
        found += label_problems("central", record.central)
    if record.foreign:
        found += label_problems("foreign", record.foreign)
    for server in record.one_by_one:
        found += label_problems("one_by_one", server)
    if record.mesh and not mesh_namespace(record.mesh):
        found.append(Problem("mesh", "Invalid", f"mesh is no {names.MESH}.NAMESPACE of this cluster"))
    if record.redirect and namespace_of(record.redirect) != record.central:
        text = f"leads to another scheduler than that of {record.central}"
        found.append(Problem("redirect", "Invalid", f"redirect {text}"))
    return found


def line_of(change: MoveChange, present: Object | None, *, step: str, at: str, by: str) -> WrittenLine:
    """Returns the line for the log of a change that is about to be written. The content of a Secret is in no
    line."""
    before = "" if present is None else _value_before(change, present)
    told = shown(change.told(), _LONGEST_TEXT)
    return WrittenLine(at=at, by=by, step=step, change=told, before=shown(before, _LONGEST_TEXT))


def _value_before(change: MoveChange, present: Object) -> str:
    if change.body is None or not change.version or change.said:
        return ""
    fields = {key: _pruned(present.get(key), value) for key, value in change.body.items()}
    return msgspec.json.encode(fields).decode()


def _pruned(present: object, patch: object) -> object:
    """Returns the part of a value that a merge patch changes."""
    if not isinstance(patch, dict) or not isinstance(present, dict):
        return present
    return {key: _pruned(present.get(key), value) for key, value in patch.items()}


def mesh_namespace(target: str) -> str:
    """Returns the namespace of a mesh's DNS name, empty where it is not one's."""
    service, _, rest = target.rstrip(".").partition(".")
    namespace, _, domain = rest.partition(".")
    of_cluster = not domain or domain == "svc" or domain.startswith("svc.")
    return namespace if service == names.MESH and of_cluster and is_dns_label(namespace) else ""


def _damaged(namespace: str, why: str) -> DamagedRecord:
    return DamagedRecord(
        f"ConfigMap {NAME} in namespace {namespace} is no record of a move that can be read: {why}",
        hint="`--from-what-is-there` makes a new record from the objects as they are now",
    )

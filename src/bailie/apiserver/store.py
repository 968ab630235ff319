"""Objects and their changes in one SQLite file; the only module that touches it.

Called by the verbs (`objects.py`), the token store and the watch hub. It gives every write a revision (the
`resourceVersion`, one counter for everything), appends it to a log from which watches resume, and tells its
listeners after the commit. It knows nothing of kinds, rights or HTTP.

A write is durable when its method or transaction returns: the write-ahead log is written with write(2) before
COMMIT returns, so `kill -9` loses nothing. `synchronous=NORMAL` leaves out the fsync per commit; only a crash
of the whole machine may lose the last moments, never consistency.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from bailie.apiserver.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Obj = dict[str, Any]
"""A Kubernetes object as plain JSON data."""


def copied(obj: Obj) -> Obj:
    """A private copy of JSON data; ten times as fast as `copy.deepcopy`."""
    found: Obj = orjson.loads(orjson.dumps(obj))
    return found


_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  uid TEXT NOT NULL, revision INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_uid ON objects (uid);
CREATE TABLE IF NOT EXISTS changes (
  revision INTEGER PRIMARY KEY, type TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL,
  name TEXT NOT NULL, data BLOB NOT NULL, previous BLOB);
CREATE TABLE IF NOT EXISTS tokens (
  hash TEXT PRIMARY KEY, identity BLOB NOT NULL, expires REAL) WITHOUT ROWID;
"""
_COMPACT_EVERY = 500
DEFAULT_KEPT_CHANGES = 10_000


class Compacted(Exception):  # noqa: N818 - a state of the log, not a failure
    """The changes after the revision asked for are no longer kept."""


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. `previous` is the object before it, None for a new one. Never mutate either."""

    revision: int
    type: str
    resource: str
    namespace: str
    name: str
    object: Obj
    previous: Obj | None


@dataclass(frozen=True, slots=True)
class Key:
    """Where an object lives: `resource` is `group/plural`, `namespace` is empty for cluster scope."""

    resource: str
    namespace: str
    name: str


class Store:
    """The database. Synchronous: no call takes longer than a write to the page cache."""

    def __init__(self, path: Path, *, kept_changes: int = DEFAULT_KEPT_CHANGES) -> None:
        """Opens or creates the file.

        Raises:
            StateError: the file or its directory cannot be used.
        """
        self.path = path
        self._kept = kept_changes
        self._listeners: list[Callable[[Change], None]] = []
        self._pending: list[Change] = []
        self._depth = 0
        with _translated(path):
            self._db = _connect(path)
            row = self._db.execute("SELECT max(revision), min(revision) FROM changes").fetchone()
        self.revision: int = row[0] or 0
        self._oldest: int = row[1] or 1

    def close(self) -> None:
        """Closes the file; afterwards nothing may be called."""
        self._db.close()

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Calls `listener` after every commit, once per change, in order."""
        self._listeners.append(listener)

    # Reading

    def get(self, key: Key) -> Obj | None:
        """A fresh copy of the object, or None."""
        row = self._db.execute(
            "SELECT data FROM objects WHERE resource=? AND namespace=? AND name=?",
            (key.resource, key.namespace, key.name),
        ).fetchone()
        return None if row is None else orjson.loads(row[0])

    def by_uid(self, uid: str) -> Obj | None:
        """The object with this uid, or None."""
        row = self._db.execute("SELECT data FROM objects WHERE uid=?", (uid,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def exists(self, uid: str) -> bool:
        """Whether an object with this uid is there."""
        return self._db.execute("SELECT 1 FROM objects WHERE uid=?", (uid,)).fetchone() is not None

    def scan(
        self, resource: str, namespace: str | None = None, *, after: tuple[str, str] | None = None
    ) -> Iterator[bytes]:
        """The encoded objects of a resource by namespace and name, from behind `after` on."""
        clause, values = "resource=?", [resource]
        if namespace is not None:
            clause, values = clause + " AND namespace=?", [*values, namespace]
        if after is not None:
            clause, values = clause + " AND (namespace, name) > (?, ?)", [*values, *after]
        query = f"SELECT data FROM objects WHERE {clause} ORDER BY namespace, name"  # noqa: S608 - no input in it
        for (data,) in self._db.execute(query, values):
            yield data

    def objects(self, resource: str, namespace: str | None = None) -> list[Obj]:
        """The objects of a resource, decoded."""
        return [orjson.loads(data) for data in self.scan(resource, namespace)]

    def contents(self, namespace: str) -> list[Key]:
        """Everything that lives in a namespace."""
        query = "SELECT resource, namespace, name FROM objects WHERE namespace=? ORDER BY resource, name"
        return [Key(*row) for row in self._db.execute(query, (namespace,))]

    def resources(self) -> list[str]:
        """The resources that have objects."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT resource FROM objects")]

    def changes_since(self, revision: int, resource: str, namespace: str | None) -> list[Change]:
        """What happened to a resource after `revision`, oldest first.

        Raises:
            Compacted: part of it is no longer in the log, or the revision was never given out here.
        """
        if revision < self._oldest - 1 or revision > self.revision:
            raise Compacted
        clause, values = "revision > ? AND resource=?", [revision, resource]
        if namespace is not None:
            clause, values = clause + " AND namespace=?", [*values, namespace]
        query = (
            "SELECT revision, type, resource, namespace, name, data, previous FROM changes "  # noqa: S608
            f"WHERE {clause} ORDER BY revision"
        )
        return [
            Change(*row[:5], *(None if data is None else orjson.loads(data) for data in row[5:]))
            for row in self._db.execute(query, values)
        ]

    @property
    def oldest_resumable(self) -> int:
        """The smallest revision that a watch may resume from."""
        return self._oldest - 1

    # Writing

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are committed together; listeners hear of them afterwards. May nest."""
        if self._depth:
            yield
            return
        before, self._depth = self.revision, 1
        try:
            with _translated(self.path):
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._compact(before)
                self._db.execute("COMMIT")
        except BaseException:
            self.revision, self._pending = before, []
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._depth = 0
        self._tell()

    def put(self, key: Key, obj: Obj, previous: Obj | None = None) -> Obj:
        """Stores `obj` under a new revision, which it writes into its metadata; returns `obj`."""
        with self.transaction():
            obj["metadata"]["resourceVersion"] = str(self.revision + 1)
            data = orjson.dumps(obj)
            self._db.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?)",
                (key.resource, key.namespace, key.name, obj["metadata"]["uid"], self.revision + 1, data),
            )
            self._log("MODIFIED" if previous else "ADDED", key, data, previous)
        return obj

    def remove(self, key: Key, obj: Obj) -> Obj:
        """Deletes the object; the log keeps `obj`, its last state, under the revision of the deletion."""
        with self.transaction():
            last = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision + 1)}}
            self._db.execute(
                "DELETE FROM objects WHERE resource=? AND namespace=? AND name=?",
                (key.resource, key.namespace, key.name),
            )
            self._log("DELETED", key, orjson.dumps(last), obj)
        return last

    def _log(self, kind: str, key: Key, data: bytes, previous: Obj | None) -> None:
        self.revision += 1
        before = None if previous is None else orjson.dumps(previous)
        row = (self.revision, kind, key.resource, key.namespace, key.name, data, before)
        self._db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._pending.append(Change(*row[:5], orjson.loads(data), previous))

    def _compact(self, before: int) -> None:
        every = max(1, min(_COMPACT_EVERY, self._kept))
        if self.revision // every == before // every:
            return
        oldest = max(self._oldest, self.revision - self._kept + 1)
        self._db.execute("DELETE FROM changes WHERE revision < ?", (oldest,))
        self._oldest = oldest

    def _tell(self) -> None:
        changes, self._pending = self._pending, []
        for change in changes:
            for listener in self._listeners:
                listener(change)

    # Tokens (rows without a revision: nobody watches them)

    def put_token(self, digest: str, identity: Obj, expires: float | None) -> None:
        """Keeps what a token's hash stands for."""
        with self.transaction():
            row = (digest, orjson.dumps(identity), expires)
            self._db.execute("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", row)

    def token(self, digest: str) -> tuple[Obj, float | None] | None:
        """What a token's hash stands for and when it expires (seconds since the epoch)."""
        row = self._db.execute("SELECT identity, expires FROM tokens WHERE hash=?", (digest,)).fetchone()
        return None if row is None else (orjson.loads(row[0]), row[1])

    def drop_tokens(self, expired_at: float) -> None:
        """Forgets the tokens that expired before this moment."""
        with self.transaction():
            self._db.execute("DELETE FROM tokens WHERE expires < ?", (expired_at,))


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = sqlite3.connect(path, isolation_level=None, timeout=1, check_same_thread=False)
    path.chmod(0o600)
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA cache_size=-4000")
    db.executescript(_SCHEMA)
    # Exclusive locking takes hold at the first write: a second server on this file learns it here.
    db.execute("BEGIN IMMEDIATE")
    db.execute("COMMIT")
    return db


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        raise StateError(_sentence(path, error)) from error


def _sentence(path: Path, error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError):
        return f"cannot use the state directory {path.parent}: {error.strerror or text}"
    if "locked" in text:
        return f"the state directory {path.parent} is in use by another API server"
    if "full" in text:
        return f"no space left for the state directory {path.parent}"
    if "not a database" in text or "malformed" in text:
        return f"{path} is not a database of this program (or it is damaged): {text}"
    return f"cannot use the state file {path}: {text}"

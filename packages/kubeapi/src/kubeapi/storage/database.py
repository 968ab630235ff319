"""The database file: opened and checked once, with a sentence for each fault.

Called by `store.py`, which does everything else with the connection. A file that is damaged, empty where it
should not be, or of another program is refused at the start: to go on with a part of the objects would delete
those that depend on the rest.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VERSION = 1
"""The version of the tables, kept as `user_version`; a file without one (0) has the same tables."""
_SCHEMA = f"""
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
PRAGMA user_version={_VERSION};
"""
_WAY_BACK = (
    "Put a copy of it back; or move it away (also the files beside it that end in -wal and -shm), "
    "start again with nothing, and apply your manifests again"
)
_NAMED = 3
"""Damaged rows that a message names."""


def connect(path: Path, *, expected: bool) -> sqlite3.Connection:
    """Opens the file, or makes it; `expected` says that a file that is there must have content.

    Raises:
        StateError: the file cannot be used, is not whole, or is empty where content was expected.
    """
    with translated(path):
        expected = expected and path.is_file()  # one that was moved away is not missed
        if expected and not path.stat().st_size:
            raise _lost(path)  # before it is opened: SQLite would remove the log beside it
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = sqlite3.connect(path, isolation_level=None, timeout=1, check_same_thread=False)
        try:
            path.chmod(0o600)
            _prepare(db, path, expected=expected)
        except BaseException:
            db.close()
            raise
        return db


def _prepare(db: sqlite3.Connection, path: Path, *, expected: bool) -> None:
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA cache_size=-4000")
    # Exclusive locking takes hold at the first write: a second server on this file learns it here.
    db.execute("BEGIN IMMEDIATE")
    db.execute("COMMIT")
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found not in {0, _VERSION}:
        raise StateError(
            f"{path} is of another version of this program (its tables are version {found}, this program "
            f"reads {_VERSION}): start the version that wrote it, or name another state directory"
        )
    db.executescript(_SCHEMA)
    _check(db, path)
    if expected and db.execute("SELECT 1 FROM objects LIMIT 1").fetchone() is None:
        raise _lost(path)


def _lost(path: Path) -> StateError:
    return StateError(
        f"{path} is empty, but this state directory was used before: what was stored in the file is lost. "
        f"{_WAY_BACK}"
    )


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Raises StateError for a row that cannot be as it was written, or pages that do not fit together."""
    damaged = list(islice(_damaged(db), _NAMED + 1))
    if damaged:
        more = " and more" if len(damaged) > _NAMED else ""
        raise StateError(f"{path} is damaged in {', '.join(damaged[:_NAMED])}{more}. {_WAY_BACK}")
    said = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if said != "ok":
        raise StateError(f"{path} is damaged ({' '.join(said.split())}). {_WAY_BACK}")


def _damaged(db: sqlite3.Connection) -> Iterator[str]:
    """Yields the names of the objects, changes and tokens whose rows cannot be as they were written."""
    query = "SELECT resource, namespace, name, uid, revision, data FROM objects"
    for resource, namespace, name, uid, revision, data in db.execute(query):
        if not _fits(data, name=name, namespace=namespace, uid=uid, resourceVersion=str(revision)):
            yield f"the object {_title(resource, namespace, name)}"
    query = "SELECT revision, type, resource, namespace, name, data, previous FROM changes"
    for revision, kind, resource, namespace, name, data, previous in db.execute(query):
        whole = _fits(data, name=name, namespace=namespace, resourceVersion=str(revision))
        before = previous is None or _fits(previous, name=name, namespace=namespace)
        if not (whole and before and kind in {"ADDED", "MODIFIED", "DELETED"}):
            yield f"change {revision} ({_title(resource, namespace, name)})"
    for digest, identity, expires in db.execute("SELECT hash, identity, expires FROM tokens"):
        if not isinstance(_loaded(identity), dict) or not isinstance(expires, float | None):
            yield f"the token with the hash {str(digest)[:8]}…"


def _title(resource: str, namespace: str, name: str) -> str:
    group, _, plural = str(resource).partition("/")
    kind = f"{plural}.{group}" if group else plural
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _fits(data: Any, **expected: Any) -> bool:
    obj = _loaded(data)
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    return (
        isinstance(meta, dict)
        and "name" in meta
        and all(meta.get(field, value) == value for field, value in expected.items())
    )


def _loaded(data: Any) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def decoded(data: bytes) -> Any:
    """Returns the JSON data of a column.

    Raises:
        StateError: the file was damaged after it had been checked.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise StateError(
            f"the state file is damaged: a row of it is no JSON ({error}); see its log"
        ) from error


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises StateError in place of errors of SQLite and the file system."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        raise StateError(_sentence(path, error)) from error


def _sentence(path: Path, error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError):
        return f"cannot use the state directory {path.parent}: {error.strerror or text}"
    for said, sentence in _SENTENCES.items():
        if said in text:
            return sentence.format(path=path, folder=path.parent, text=text, way_back=_WAY_BACK)
    folder = ": it is a folder. Move it away" if path.is_dir() else f": {text}"
    return f"cannot use the state file {path}{folder}"


_FOREIGN = "{path} is not a database of this program (or it is damaged): {text}. {way_back}"
_DAMAGED = "{path} is damaged ({text}). {way_back}"
_SENTENCES = {
    "locked": "the state directory {folder} is in use by another API server",
    "full": "no space left for the state directory {folder}",
    "not a database": _FOREIGN,
    "no such column": _FOREIGN,
    "malformed": _DAMAGED,
    "decode": _DAMAGED,
}
"""The sentences by the words of SQLite."""

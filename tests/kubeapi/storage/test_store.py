"""Objects and changes in SQLite: revisions, the log, crashes and unusable files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from kubeapi.errors import StateError
from kubeapi.storage.store import Compacted, Key, Store


def obj(name, **more):
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, **more}


def key(name, namespace="a", resource="/configmaps"):
    return Key(resource, namespace, name)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "objects.db", kept_changes=100)
    yield opened
    opened.close()


def test_every_write_has_its_own_revision(store):
    first = store.put(key("x"), obj("x"))
    second = store.put(key("y"), obj("y"))
    assert (first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]) == ("1", "2")
    assert store.get(key("x"))["metadata"]["resourceVersion"] == "1"
    last = store.remove(key("x"), first)
    assert last["metadata"]["resourceVersion"] == "3"
    assert store.get(key("x")) is None


def test_a_failed_transaction_leaves_nothing(store):
    heard = []
    store.listen(heard.append)

    def fail_half_way():
        with store.transaction():
            store.put(key("x"), obj("x"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert (store.revision, store.get(key("x")), heard) == (0, None, [])


def test_listeners_hear_of_changes_after_the_commit(store):
    heard = []
    store.listen(lambda change: heard.append((change.type, change.name, change.revision)))
    with store.transaction():
        stored = store.put(key("x"), obj("x"))
        store.put(key("x"), {**stored, "data": {}}, stored)
        assert heard == []
    assert heard == [("ADDED", "x", 1), ("MODIFIED", "x", 2)]


def test_changes_are_read_from_a_revision_on(store):
    store.put(key("x"), obj("x"))
    store.put(key("s", resource="/secrets"), obj("s"))
    store.put(key("y", namespace="b"), obj("y"))
    assert [c.name for c in store.changes_since(0, "/configmaps", None)] == ["x", "y"]
    assert [c.name for c in store.changes_since(1, "/configmaps", None)] == ["y"]
    assert [c.name for c in store.changes_since(0, "/configmaps", "a")] == ["x"]
    with pytest.raises(Compacted):
        store.changes_since(99, "/configmaps", None)


def test_the_log_is_compacted_and_says_so(store):
    for number in range(1100):
        store.put(key("x"), obj("x", number=number))
    with pytest.raises(Compacted):
        store.changes_since(1, "/configmaps", None)
    assert store.changes_since(store.oldest_resumable, "/configmaps", None)


def test_revisions_go_on_after_a_restart(tmp_path):
    first = Store(tmp_path / "objects.db")
    stored = first.put(key("x"), obj("x"))
    first.remove(key("x"), stored)
    first.close()
    second = Store(tmp_path / "objects.db")
    assert second.put(key("y"), obj("y"))["metadata"]["resourceVersion"] == "3"
    assert [c.type for c in second.changes_since(0, "/configmaps", "a")] == ["ADDED", "DELETED", "ADDED"]
    second.close()


def test_two_servers_on_one_directory_are_refused(store):
    with pytest.raises(StateError, match="is in use by another API server"):
        Store(store.path)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "objects.db"
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(StateError, match="is not a database of this program"):
        Store(path)


def test_a_directory_that_is_a_file(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="cannot use the state directory"):
        Store(tmp_path / "state" / "objects.db")


def test_a_full_disk_is_one_sentence_and_loses_nothing(store):
    kept = store.put(key("x"), obj("x"))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StateError, match="no space left for the state directory"):
        store.put(key("big"), obj("big", data="x" * 1_000_000))
    assert store.get(key("x")) == kept
    assert store.get(key("big")) is None
    store._db.execute("PRAGMA max_page_count=1000000")
    assert store.put(key("y"), obj("y"))["metadata"]["resourceVersion"] == "2"


WRITER = """
import pathlib, sys
from kubeapi.storage.store import Key, Store
store = Store(pathlib.Path(sys.argv[1]))
for number in range(1_000_000):
    name = f"o{number}"
    store.put(Key("/configmaps", "a", name), {"metadata": {"name": name, "uid": name}, "data": "x" * 2000})
    print(name, flush=True)
"""


@pytest.mark.parametrize("seconds", [0.2, 0.5])
def test_kill_9_loses_no_acknowledged_write(tmp_path, seconds):
    path = tmp_path / "objects.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    with (tmp_path / "acknowledged").open("wb") as out, subprocess.Popen(command, stdout=out) as writer:
        deadline = time.monotonic() + 30
        while not (tmp_path / "acknowledged").stat().st_size and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(seconds)
        os.kill(writer.pid, signal.SIGKILL)
    acknowledged = (tmp_path / "acknowledged").read_text().split("\n")[:-1]
    store = Store(path)
    try:
        present = {found["metadata"]["name"] for found in store.objects("/configmaps")}
        assert acknowledged
        assert not set(acknowledged) - present
        assert store.revision == len(present)
    finally:
        store.close()

"""Files that are no whole database: what is said, and that nothing is taken for a new beginning."""

from __future__ import annotations

import random
import shutil
import sqlite3

import pytest

from kubeapi.errors import StateError
from kubeapi.server import ApiServer
from kubeapi.settings import Settings
from kubeapi.storage.store import Key, Store

MODELS = "mlops.seldon.io/models"


def filled(path, *, objects=60):
    """A file with objects of 2 kB, changes and a token."""
    store = Store(path)
    for number in range(objects):
        meta = {"name": f"m{number}", "namespace": "a", "uid": f"uid-{number}"}
        old = store.put(Key(MODELS, "a", f"m{number}"), {"metadata": meta, "spec": {"text": "x" * 2000}})
        if number % 3 == 0:
            store.put(Key(MODELS, "a", f"m{number}"), {**old, "spec": {"text": "y" * 2000}}, old)
    store.put_token("digest", {"name": "somebody"}, None)
    store.close()
    return path


def refused(path, **options):
    """The sentence that the file is refused with."""
    with pytest.raises(StateError) as refusal:
        Store(path, **options).close()
    text = str(refusal.value)
    assert str(path) in text or str(path.parent) in text
    assert "\n" not in text
    return text


def opened(path):
    """The store of a file that had content once, or None and what is said."""
    try:
        return Store(path, expected=True), ""
    except StateError as error:
        return None, str(error)


def changed(path, statement, *values):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(statement, values)
    db.close()


def test_an_empty_file_is_a_new_beginning_only_where_nothing_was_before(tmp_path):
    path = tmp_path / "objects.db"
    path.touch()
    assert "is empty, but this state directory was used before" in refused(path, expected=True)
    Store(path).close()


@pytest.mark.parametrize("size", [0, 1, 100, 4096])
def test_a_file_that_was_cut_is_no_new_beginning(tmp_path, size):
    path = filled(tmp_path / "objects.db")
    with path.open("r+b") as file:
        file.truncate(size)
    assert "Put a copy of it back; or move it away" in refused(path, expected=True)


def test_a_log_that_is_beside_an_emptied_file_is_left_alone(tmp_path):
    path, log = tmp_path / "objects.db", tmp_path / "objects.db-wal"
    path.touch()
    log.write_bytes(b"what may still be read by somebody who knows how")
    refused(path, expected=True)
    assert log.read_bytes().startswith(b"what may")


def test_a_file_that_was_moved_away_is_a_new_beginning(tmp_path):
    store = Store(tmp_path / "objects.db", expected=True)
    assert store.revision == 0
    store.close()


def test_the_api_that_was_here_before_refuses_an_emptied_file(tmp_path):
    settings = Settings(state_dir=tmp_path / "api")
    ApiServer(settings).close()
    ApiServer(settings).close()
    settings.database.write_bytes(b"")
    for _ in range(2):  # it is not made anew by the first attempt
        with pytest.raises(StateError, match="is empty, but this state directory was used before"):
            ApiServer(settings)


@pytest.mark.parametrize("content", [b"nonsense" * 1000, b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 9000])
def test_what_is_no_database_is_said(tmp_path, content):
    path = tmp_path / "objects.db"
    path.write_bytes(content)
    assert "Put a copy of it back" in refused(path)


def test_the_file_of_another_program_is_said(tmp_path):
    path = tmp_path / "objects.db"
    changed(path, "CREATE TABLE objects (id INTEGER)")
    assert "is not a database of this program" in refused(path)


def test_the_file_of_a_later_version_is_said(tmp_path):
    path = filled(tmp_path / "objects.db")
    changed(path, "PRAGMA user_version=7")
    assert "its tables are version 7, this program reads 1" in refused(path)


def test_the_file_of_a_version_before_versions_is_read(tmp_path):
    path = filled(tmp_path / "objects.db")
    changed(path, "PRAGMA user_version=0")
    store = Store(path, expected=True)
    assert store.get(Key(MODELS, "a", "m0"))["spec"]["text"][0] == "y"
    store.close()


@pytest.mark.parametrize("name", ["objects.db", "objects.db-wal"])
def test_a_folder_in_its_place_is_said(tmp_path, name):
    (tmp_path / name).mkdir()
    refused(tmp_path / "objects.db")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE objects SET data = x'ff7b' WHERE name = 'm7'", "the object models.mlops.seldon.io a/m7"),
        ("UPDATE objects SET data = '[]' WHERE name = 'm7'", "the object models.mlops.seldon.io a/m7"),
        ("UPDATE objects SET data = 7 WHERE name = 'm7'", "the object models.mlops.seldon.io a/m7"),
        ("UPDATE objects SET name = 'n' WHERE name = 'm7'", "the object models.mlops.seldon.io a/n"),
        ("UPDATE objects SET revision = 3 WHERE name = 'm7'", "the object models.mlops.seldon.io a/m7"),
        ("UPDATE changes SET data = '{' WHERE revision = 5", "change 5 (models.mlops.seldon.io a/m3)"),
        ("UPDATE changes SET previous = 'x' WHERE revision = 5", "change 5 (models.mlops.seldon.io a/m3)"),
        ("UPDATE changes SET type = 'ODD' WHERE revision = 5", "change 5 (models.mlops.seldon.io a/m3)"),
        ("UPDATE tokens SET identity = ''", "the token with the hash digest"),
        ("UPDATE tokens SET expires = 'soon'", "the token with the hash digest"),
        ("UPDATE objects SET data = ''", "a/m1, the object models.mlops.seldon.io a/m10 and more"),
    ],
)
def test_a_damaged_row_is_named(tmp_path, statement, said):
    path = filled(tmp_path / "objects.db")
    changed(path, statement)
    text = refused(path)
    assert f"{path} is damaged in" in text
    assert said in text
    assert "apply your manifests again" in text


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_refused_in_words_or_does_not_matter(tmp_path, seed):
    """Whatever is damaged: the store opens with all that it gives out readable, or says one sentence."""
    dice = random.Random(seed)
    path = filled(tmp_path / "objects.db")
    data = bytearray(path.read_bytes())
    for _ in range(dice.choice([1, 3, 30])):
        at, length = dice.randrange(len(data)), dice.choice([1, 8, 400, 5000])
        data[at : at + length] = dice.randbytes(length) if dice.random() < 0.7 else bytes(length)
    path.write_bytes(data[: dice.choice([len(data), dice.randrange(len(data))])])
    store, said = opened(path)
    if store is None:
        assert "\n" not in said
        return
    try:
        assert all(found["metadata"]["name"] for found in store.objects(MODELS))
        assert store.changes_since(store.oldest_resumable, MODELS, "a")
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(20))
def test_a_log_that_was_cut_or_damaged_gives_an_earlier_state_or_words(tmp_path, seed):
    """As after `kill -9` and a disk that lost the last moments."""
    dice = random.Random(seed)
    live = tmp_path / "live" / "objects.db"
    store = Store(live)
    for number in range(100):
        meta = {"name": f"m{number}", "namespace": "a", "uid": f"uid-{number}"}
        store.put(Key(MODELS, "a", f"m{number}"), {"metadata": meta, "spec": "x" * 1000})
    (tmp_path / "left").mkdir()
    for file in live.parent.iterdir():
        shutil.copy(file, tmp_path / "left" / file.name)
    store.close()
    log = tmp_path / "left" / "objects.db-wal"
    data = bytearray(log.read_bytes())
    if dice.random() < 0.5:
        data = data[: dice.randrange(len(data))]
    else:
        data[(at := dice.randrange(len(data))) : at + 100] = dice.randbytes(100)
    log.write_bytes(data)
    store, said = opened(tmp_path / "left" / "objects.db")
    if store is None:
        assert "is empty, but" in said or "damaged" in said
        return
    names = [found["metadata"]["name"] for found in store.objects(MODELS)]
    store.close()
    assert sorted(names, key=lambda name: int(name[1:])) == [f"m{number}" for number in range(len(names))]


def test_a_row_damaged_while_the_store_is_open_is_said(tmp_path):
    store = Store(tmp_path / "objects.db")
    key = Key(MODELS, "a", "m")
    store.put(key, {"metadata": {"name": "m", "namespace": "a", "uid": "u"}})
    store._db.execute("UPDATE objects SET data = '{'")
    for read in (lambda: store.get(key), lambda: store.by_uid("u"), lambda: store.objects(MODELS)):
        with pytest.raises(StateError, match="a row of it is no JSON"):
            read()
    store.close()

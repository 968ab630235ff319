"""Versions on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bailie.agent.store import Record, Store

if TYPE_CHECKING:
    from pathlib import Path

IRIS = Record(name="iris", identity="x", number=3, declared_bytes=10)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    assert store.open() == []
    return store


def prepared(store: Store, content: str = "v") -> Path:
    folder = store.workplace("iris_3") / "prepared"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.joblib").write_text(content)
    return folder


def test_installed_version_is_found_again(store: Store, tmp_path: Path):
    store.install(prepared(store), IRIS)
    assert (tmp_path / "models" / "iris_3" / "1" / "model.joblib").is_file()
    assert Store(tmp_path).open() == [IRIS]


def test_install_replaces_and_remove_is_idempotent(store: Store, tmp_path: Path):
    store.install(prepared(store, "old"), IRIS)
    store.install(prepared(store, "new"), IRIS)
    assert (tmp_path / "models" / "iris_3" / "1" / "model.joblib").read_text() == "new"
    store.remove("iris_3")
    store.remove("iris_3")
    assert not store.has("iris_3")


def test_opening_drops_what_was_on_its_way(store: Store, tmp_path: Path):
    prepared(store)
    Store(tmp_path).open()
    assert list((tmp_path / ".incoming").iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "iris"}', '{"unknown": 1}'])
def test_unusable_record_is_left_alone(store: Store, tmp_path: Path, text: str):
    store.install(prepared(store), IRIS)
    (tmp_path / "models" / "iris_3" / "bailie.json").write_text(text)
    assert Store(tmp_path).open() == []
    assert store.has("iris_3")


def test_foreign_folders_are_left_alone(store: Store, tmp_path: Path):
    (tmp_path / "models" / "mine").mkdir()
    assert Store(tmp_path).open() == []
    assert (tmp_path / "models" / "mine").is_dir()

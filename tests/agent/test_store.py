"""Versions on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bailie.agent.errors import ArtifactError
from bailie.agent.store import Store, VersionRecord

if TYPE_CHECKING:
    from pathlib import Path

IRIS = VersionRecord(name="iris", identity="x", number=3, declared_bytes=10)


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


FOREIGN = '{{"name": "{}", "identity": "x", "number": {}}}'


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", '{"name": "iris"}', '{"unknown": 1}', "[" * 100_000, " " * (2 << 20), "\0",
        FOREIGN.format("iris", 4), FOREIGN.format("other", 3), FOREIGN.format("iris", '"3"'),
        FOREIGN.format("../../iris", 3), FOREIGN.format("iris", -3), FOREIGN.format("iris", 3.5),
    ],
    ids=lambda text: text[:50],
)  # fmt: skip
def test_unusable_record_is_left_alone(store: Store, tmp_path: Path, text: str):
    store.install(prepared(store), IRIS)
    (tmp_path / "models" / "iris_3" / "bailie.json").write_text(text)
    assert Store(tmp_path).open() == []
    assert store.has("iris_3")


def test_foreign_folders_are_left_alone(store: Store, tmp_path: Path):
    (tmp_path / "models" / "mine").mkdir()
    assert Store(tmp_path).open() == []
    assert (tmp_path / "models" / "mine").is_dir()


NAMES = [
    "../x_1",
    "/x_1",
    "x_1/..",
    "..",
    ".",
    "",
    "x",
    "X_1",
    "x_-1",
    "x_1\n",
    "-x_1",
    "x_\u0661",
    "a" * 64 + "_1",
    "a." * 32 + "a_1",
    "._1",
    ".._1",
    "a.._1",
    ".a_1",
    "a._1",
    "a/.b_1",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_no_versions_are_never_part_of_a_path(store: Store, tmp_path: Path, name: str):
    before = sorted(tmp_path.rglob("*"))
    for method in (store.workplace, store.folder, store.has, store.remove):
        with pytest.raises(ArtifactError, match="NameRefused"):
            method(name)
    assert sorted(tmp_path.rglob("*")) == before


def test_links_that_a_server_put_there_are_not_followed(store: Store, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "bailie.json").write_text(FOREIGN.format("iris", 3))
    (outside / "token").write_text("s3cret")
    (tmp_path / "models" / "iris_3").symlink_to(outside)
    assert Store(tmp_path).open() == []
    with pytest.raises(OSError, match="iris_3"):
        store.record(IRIS)
    store.remove("iris_3")
    assert (outside / "token").is_file()

    store.install(prepared(store), IRIS)
    folder = tmp_path / "models" / "iris_3"
    (folder / "bailie.json").unlink()
    (folder / "bailie.json").symlink_to(outside / "bailie.json")
    assert Store(tmp_path).open() == []
    (folder / "bailie.json.new").symlink_to(outside / "token")
    store.record(IRIS)
    assert (outside / "token").read_text() == "s3cret"
    assert Store(tmp_path).open() == [IRIS]

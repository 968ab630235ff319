"""Copies from this machine: what is outside the allowed folders is not read, whichever way leads there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from tests.support.artifacts import HOSTILE_FOLDERS

from bailie.agent.artifact_limits import ArtifactLimits
from bailie.agent.errors import ArtifactError
from bailie.agent.local_copy import NEVER, Roots, copy

LARGE = ArtifactLimits()
SECRET = "s3cret-of-the-agent"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed folder with a model in it, and a secret beside the folder."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "token").write_text(SECRET)
    model = tmp_path / "root" / "iris"
    (model / "sub").mkdir(parents=True)
    (model / "model.joblib").write_text("bytes")
    (model / "sub" / "a.txt").write_text("a")
    return tmp_path / "root"


def fetched(
    path: Path,
    root: Path,
    limits: ArtifactLimits = LARGE,
    never: tuple[Path, ...] = (),
    claims: tuple[Path, ...] = (),
) -> dict[str, str]:
    """Copies, and returns what arrived: contents by path."""
    target = root.parent / "target"
    target.mkdir(exist_ok=True)
    roots = Roots(allowed=(root,), never=never, claims=claims)
    copy(path, target, roots=roots, limits=limits, stop=threading.Event())
    assert not [each for each in target.rglob("*") if each.is_symlink()]
    return {
        each.relative_to(target).as_posix(): each.read_text() for each in target.rglob("*") if each.is_file()
    }


def refused(path: Path, root: Path, **more) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        fetched(path, root, **more)
    read = [each.read_text() for each in (root.parent / "target").rglob("*") if each.is_file()]
    assert SECRET not in read
    assert SECRET not in caught.value.message
    return caught.value


def test_a_folder_a_file_and_links_that_stay_inside(root: Path):
    model = root / "iris"
    (model / "link").symlink_to("model.joblib")
    (model / "linked").symlink_to(model / "sub")
    assert fetched(model, root) == {
        "model.joblib": "bytes",
        "link": "bytes",
        "sub/a.txt": "a",
        "linked/a.txt": "a",
    }


def test_a_claim_in_a_closed_folder_is_open_and_the_folder_around_it_is_not(root: Path):
    """As on a laptop, where claims lie in the state folder."""
    state = root.parent / "state"
    claim = state / "claims" / "team"
    claim.mkdir(parents=True)
    (claim / "model.joblib").write_text("bytes")
    (state / "kubeconfig").write_text(SECRET)
    (claim / "up").symlink_to(state)
    more = {"never": (state,), "claims": (claim,)}
    assert fetched(claim / "model.joblib", root, **more) == {"model.joblib": "bytes"}
    for path in (state / "kubeconfig", claim / "up" / "kubeconfig", claim / "up", claim.parent):
        assert refused(path, root, **more).reason == "StorageUriRefused"
    assert refused(claim, root, **more).reason == "ArtifactRefused"
    (claim / "own").mkdir()
    more = {"never": (state, claim / "own"), "claims": (claim,)}
    assert refused(claim / "own", root, **more).reason == "StorageUriRefused"
    assert (
        refused(claim / "model.joblib", root, never=(claim,), claims=(claim,)).reason == "StorageUriRefused"
    )


def test_of_a_mounted_config_map_each_file_comes_once(root: Path):
    mounted = root / "mounted"
    times = mounted / "..2026_01_02_03_04_05.1234"
    times.mkdir(parents=True)
    (times / "model.joblib").write_text("bytes")
    (mounted / "..data").symlink_to(times.name)
    (mounted / "model.joblib").symlink_to("..data/model.joblib")
    (mounted / ".settings").write_text("kept")
    assert fetched(mounted, root) == {"model.joblib": "bytes", ".settings": "kept"}


def test_a_file_by_a_link_that_stays_below_the_root(root: Path):
    (root / "current").symlink_to("iris")
    assert fetched(root / "current" / "model.joblib", root) == {"model.joblib": "bytes"}


def test_a_root_behind_a_link(root: Path, tmp_path: Path):
    (tmp_path / "by-link").symlink_to(root)
    target = tmp_path / "other"
    target.mkdir()
    roots = Roots(allowed=(tmp_path / "by-link",))
    for path in (tmp_path / "by-link" / "iris" / "sub", root / "iris"):
        copy(path, target, roots=roots, limits=LARGE, stop=threading.Event())
    assert {each.name for each in target.iterdir()} == {"a.txt", "model.joblib", "sub"}


OUTSIDE = {
    "beside the root": "{root}/../outside",
    "another folder": "/usr",
    "the kernel's": "/proc/self/environ",
    "what does not exist": "/nowhere/at/all",
    "a name that begins like the root": "{root}-2",
    "the machine": "/",
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_outside(root: Path, case: str):
    path = Path(os.path.normpath(OUTSIDE[case].format(root=root)))
    error = refused(path, root)
    assert error.reason == "StorageUriRefused"
    assert f"these are {root}" in error.message


def test_folders_that_no_setting_opens(root: Path, tmp_path: Path):
    for path in (*NEVER, tmp_path / "outside"):
        with pytest.raises(ArtifactError) as caught:
            Roots(allowed=(Path("/"),), never=(tmp_path / "outside",)).locate(path)
        assert caught.value.reason == "StorageUriRefused"


@pytest.mark.parametrize("make", HOSTILE_FOLDERS)
def test_what_an_artifact_may_not_hold(root: Path, make):
    make(root / "iris")
    assert refused(root / "iris", root).reason == "ArtifactRefused"


def test_a_link_out_as_the_artifact_itself(root: Path):
    (root / "stolen").symlink_to("../outside/token")
    (root / "folder").symlink_to("../outside")
    for name in ("stolen", "folder", "folder/token"):
        assert refused(root / name, root).reason == "StorageUriRefused"


def test_a_folder_of_the_agent_below_an_allowed_one(root: Path):
    inner = root / "state"
    inner.mkdir()
    (inner / "token").write_text(SECRET)
    assert refused(inner, root, never=(inner,)).reason == "StorageUriRefused"
    assert refused(root, root, never=(inner,)).reason == "ArtifactRefused"


@pytest.mark.parametrize("limits", [ArtifactLimits(bytes=5, entries=9), ArtifactLimits(bytes=99, entries=2)])
def test_too_large(root: Path, limits: ArtifactLimits):
    assert refused(root / "iris", root, limits=limits).reason == "ArtifactTooLarge"


def test_nothing_is_written_through_what_is_there_before(root: Path, tmp_path: Path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "model.joblib").symlink_to(tmp_path / "outside" / "token")
    with pytest.raises(ArtifactError, match="was there before"):
        fetched(root / "iris", root)
    assert (tmp_path / "outside" / "token").read_text() == SECRET


def test_folders_that_become_links_while_they_are_copied(root: Path):
    """A second thread swaps a folder and a link to the secret as fast as it can."""
    model, aside, link = root / "iris", root / "aside", root / "link"
    link.symlink_to("../outside")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            (model / "sub").rename(aside)
            link.rename(model / "sub")
            (model / "sub").rename(link)
            aside.rename(model / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = set()
    try:
        for attempt in range(300):
            target = root.parent / f"target-{attempt}"
            target.mkdir()
            try:
                copy(model, target, roots=Roots(allowed=(root,)), limits=LARGE, stop=threading.Event())
                outcomes.add("copied")
            except (ArtifactError, OSError) as error:
                outcomes.add(type(error).__name__)
            assert not list(target.rglob("token"))
    finally:
        over.set()
        thread.join()
    assert outcomes - {"copied"}


def test_stopped_copy_goes_no_further(root: Path, tmp_path: Path):
    stop = threading.Event()
    stop.set()
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="stopped"):
        copy(root / "iris", tmp_path / "target", roots=Roots(allowed=(root,)), limits=LARGE, stop=stop)
    assert [each for each in (tmp_path / "target").rglob("*") if each.is_file() and each.stat().st_size] == []

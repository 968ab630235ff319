import os

import pytest

from bailie.local.errors import AlreadyRunning, NotRunning, StateUnusable
from bailie.local.state import Lock, StateDirectory, SupervisorRecord


def test_a_record_is_read_back_whole(tmp_path):
    state = StateDirectory(tmp_path)
    record = SupervisorRecord(7, "starting", "", ("a", "b"), ("pod a/x: not started yet",))
    state.record(record)
    assert state.supervisor() == record


def test_nothing_has_run_in_an_empty_directory(tmp_path):
    state = StateDirectory(tmp_path / "none")
    assert state.supervisor() is None
    assert not state.running()
    with pytest.raises(NotRunning), Lock(state):
        pass


def test_the_lock_is_held_once_and_freed(tmp_path):
    state = StateDirectory(tmp_path)
    state.prepare()
    with Lock(state):
        state.record(SupervisorRecord(os.getpid(), "ready"))
        assert state.running()
        with pytest.raises(AlreadyRunning, match=str(os.getpid())), Lock(state):
            pass
    assert not state.running()


def test_folders_are_readable_by_their_owner_only(tmp_path):
    state = StateDirectory(tmp_path / "state")
    state.prepare()
    for folder in (state.root, state.api, state.node, state.logs):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_state_directory_that_is_a_file_is_one_sentence(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(StateUnusable) as raised:
        StateDirectory(path).prepare()
    assert str(path) in raised.value.message
    assert "--state-dir" in raised.value.hint


@pytest.mark.parametrize("text", ["", "{", "5", "[]", '{"pid": 5}', "\0"])
def test_a_damaged_record_is_none(tmp_path, text):
    (tmp_path / "supervisor.json").write_text(text)
    assert StateDirectory(tmp_path).supervisor() is None

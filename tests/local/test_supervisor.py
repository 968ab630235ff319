"""What a supervisor bears."""

from bailie.local.settings import LocalSettings
from bailie.local.state import StateDirectory
from bailie.local.supervisor import Supervisor


def test_a_state_directory_that_takes_nothing_does_not_end_what_runs(tmp_path):
    state = StateDirectory(tmp_path / "gone")
    supervisor = Supervisor(LocalSettings(state_directory=state.root), state)
    assert supervisor._record("ready").phase == "ready"
    assert state.supervisor() is None

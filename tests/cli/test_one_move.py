"""The file with the objects of before, at the begin of a move from Seldon Core on the embedded API."""

from __future__ import annotations

import asyncio
import datetime as dt
import stat

import pytest
from tests.support.api import running_api
from tests.support.commands import CommandRunner
from tests.support.plan_grounds import SeldonGround, installed, old_ground

from bailie.cli.app import app
from bailie.kube.clock import utc_now

TEAM = "team"


@pytest.fixture(scope="module")
def api(tmp_path_factory, audit):
    with running_api(tmp_path_factory.mktemp("api"), audit_log=audit.path) as running:
        asyncio.run(installed(running, [SeldonGround(TEAM), old_ground(f"{TEAM},other")], listed=[]))
        yield running


def migrate(api, verb, *options):
    words = ["migrate", verb, TEAM, "--yes", *options, "--kubeconfig", str(api.kubeconfig)]
    return CommandRunner().invoke(app, words)


def names_in_the_next_minute(folder):
    """The names that the file would have if the command began in one of the next sixty seconds."""
    begins = [utc_now() + dt.timedelta(seconds=number) for number in range(60)]
    return [folder / f"{TEAM}-{each:%Y-%m-%dT%H%M%SZ}.yaml" for each in begins]


def apart_from_the_lock(audit):
    return [each for each in audit.writes() if each["group"] != "coordination.k8s.io"]


def test_a_link_in_the_place_of_the_file_is_not_followed(api, audit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "passwd"
    target.write_text("root:x:0:0")
    for each in names_in_the_next_minute(tmp_path):
        each.symlink_to(target)
    before = apart_from_the_lock(audit)
    result = migrate(api, "apply", "--until", "save")
    assert result.exit_code == 1, result.output
    assert "cannot be saved as team-" in result.stderr
    assert "File exists; nothing was changed\nhint: run the command in a folder of your own" in result.stderr
    assert target.read_text() == "root:x:0:0"
    assert apart_from_the_lock(audit) == before


def test_a_folder_that_takes_no_file_begins_nothing(api, audit, monkeypatch):
    monkeypatch.chdir("/proc")
    before = apart_from_the_lock(audit)
    result = migrate(api, "apply", "--until", "save")
    assert result.exit_code == 1, result.output
    assert "No such file or directory; nothing was changed" in result.stderr
    assert apart_from_the_lock(audit) == before


def test_the_file_is_readable_by_its_owner_alone(api, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = migrate(api, "apply", "--until", "save")
    assert result.exit_code == 0, result.output
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "kind: SeldonRuntime" in file.read_text()

"""Locks name everything with its hashes, agree with each other, and are installed without resolution."""

from __future__ import annotations

import re
import tomllib
from functools import cache

import pytest
from tests.support.documents import ROOT

LOCKS = ("build", "clients", "core", "dev", "mlserver", "mlserver-all")
INSTALLERS = ("Makefile", "Dockerfile", "CONTRIBUTING.md", "README.md")
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)([^\\]*)")

by_lock = pytest.mark.parametrize("name", LOCKS)


@by_lock
def test_every_package_has_one_version_and_its_hashes(name):
    entries = _entries(name)
    assert entries
    for entry in entries:
        assert _PIN.match(entry), f"{entry.splitlines()[0]} is not pinned"
        assert "--hash=sha256:" in entry, f"{entry.splitlines()[0]} has no hash"


@by_lock
def test_no_lock_names_an_index_or_an_address(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"://|--(?:extra-)?index-url|--find-links|--trusted-host", text)


def test_the_tools_are_installed_over_bailie_without_changing_what_it_runs_with():
    assert _pins("core").items() <= _pins("dev").items()


def test_more_runtimes_come_without_changing_the_server():
    assert _pins("mlserver").items() <= _pins("mlserver-all").items()


@pytest.mark.parametrize("file", INSTALLERS)
def test_whoever_installs_a_lock_resolves_nothing(file):
    for line in (ROOT / file).read_text().replace("\\\n", " ").splitlines():
        for command in line.split("&&"):
            if re.search(r"\bpip install\b.*-r\s", command):
                assert "--no-deps" in command, command
                assert "--require-hashes" in command, command


def test_the_build_lock_has_what_the_project_asks_for():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pins = _pins("build")
    for requirement in asked:
        name, _, version = re.match(r"([A-Za-z0-9-]+)(==|>=)(.+)", requirement).groups()
        assert name in pins
        if "==" in requirement:
            assert pins[name] == version


def _pins(name):
    return dict(_PIN.match(entry).group(1, 2) for entry in _entries(name))


@cache
def _entries(name):
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    return tuple(re.split(r"\n(?=\S)", text))

"""Where a path of a volume claim is, as the operator tells the mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailie.agent.claims import Claims, parse_claims
from bailie.agent.errors import ArtifactError
from bailie.api.storage import ClaimPath


@pytest.mark.parametrize(
    ("told", "address", "place"),
    [
        ("team:/var/models", ClaimPath("team", "iris"), "/var/models/iris"),
        ("team:/var/models", ClaimPath("team", ""), "/var/models"),
        ("team/in:/var/models", ClaimPath("team", "in/iris"), "/var/models/iris"),
        ("a:/a:team:/var/models", ClaimPath("team", "iris/1"), "/var/models/iris/1"),
        ("team/x:/x:team:/var/models", ClaimPath("team", "y"), "/var/models/y"),
    ],
)
def test_a_mounted_path(told: str, address: ClaimPath, place: str):
    assert parse_claims(told).locate(address) == Path(place)


@pytest.mark.parametrize(
    ("told", "address", "mounted"),
    [
        ("", ClaimPath("team", "iris"), "(no claim is)"),
        ("other:/o", ClaimPath("team", "iris"), "(mounted are other)"),
        ("team/in:/o", ClaimPath("team", "inner"), "(mounted are team/in)"),
    ],
)
def test_a_path_that_is_not_mounted_says_what_is(told: str, address: ClaimPath, mounted: str):
    with pytest.raises(ArtifactError) as caught:
        parse_claims(told).locate(address)
    assert caught.value.reason == "ClaimNotMounted"
    assert mounted in caught.value.message
    assert "spec.server" in caught.value.message


def test_mounts_are_folders_of_artifacts():
    assert parse_claims("a:/x:b/c:/y").folders == (Path("/x"), Path("/y"))
    assert parse_claims("") == Claims()


@pytest.mark.parametrize(
    "told", ["team", "team:", "team:x", "team:/", "team:/a/../b", "T:/x", "a/../b:/x", ":/x", "a:/x:b"]
)
def test_nothing_else_is_told(told: str):
    with pytest.raises(ValueError, match=r"not '|zip"):
        parse_claims(told)

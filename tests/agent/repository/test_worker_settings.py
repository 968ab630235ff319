"""Settings that ask for parallel workers, on servers with and without them."""

from __future__ import annotations

from typing import Any

import pytest

from bailie.agent.errors import RepositoryError
from bailie.agent.repository.server_words import ServerWords
from bailie.agent.repository.worker_settings import refuse_environment, without_effect

NONE, TWO = ServerWords("small", workers=0), ServerWords("large", workers=2)
TARBALL = {"parameters": {"environment_tarball": "./environment.tar.gz"}}
FOLDER = {"parameters": {"environment_path": "/opt/env"}}


@pytest.mark.parametrize(
    ("settings", "words", "message"),
    [
        (TARBALL, NONE, 'environment_tarball .* Server "small" has none: set MLSERVER_PARALLEL_WORKERS to 1'),
        (FOLDER, NONE, "environment_path"),
        ({**TARBALL, "parallel_workers": 0}, TWO, "parallel_workers of the model is 0; leave that out"),
        ({**FOLDER, "parallel_workers": -1}, TWO, "parallel_workers of the model is -1"),
    ],
)
def test_an_environment_that_nobody_gives_is_refused(
    settings: dict[str, Any], words: ServerWords, message: str
):
    with pytest.raises(RepositoryError, match=message) as caught:
        refuse_environment(settings, words)
    assert caught.value.reason == "EnvironmentNotSupported"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (TARBALL, TWO),
        ({**TARBALL, "parallel_workers": 4}, TWO),
        ({}, NONE),
        ({"parameters": None}, NONE),
        ({"parameters": {"environment_tarball": None}}, NONE),
        ({"parameters": {"environment_tarball": ""}}, NONE),
    ],
)
def test_other_settings_are_let_through(settings: dict[str, Any], words: ServerWords):
    refuse_environment(settings, words)


@pytest.mark.parametrize(
    ("settings", "words", "told"),
    [
        ({"parallel_workers": 4}, NONE, ["parallel_workers 4"]),
        ({"parallel_workers": 4}, TWO, ["parallel_workers 4"]),
        ({"parallel_workers": 2}, TWO, []),
        ({"parallel_workers": 0}, TWO, []),
        ({"parallel_workers": None}, NONE, []),
        ({"parallel_workers": "4"}, NONE, []),
        ({"parameters": {"inference_pool_gid": "a"}}, NONE, ["parameters.inference_pool_gid"]),
        ({"parameters": {"inference_pool_gid": "a"}}, TWO, []),
        (
            {"parameters": {"inference_pool_gid": "a"}, "parallel_workers": 0},
            TWO,
            ["parameters.inference_pool_gid"],
        ),
        ({"parameters": {"autogenerate_inference_pool_gid": True}}, NONE, ["parameters.autogenerate"]),
        ({"parameters": "x"}, NONE, []),
    ],
)
def test_settings_that_the_server_passes_over_are_named(
    settings: dict[str, Any], words: ServerWords, told: list[str]
):
    found = list(without_effect(settings, words))
    assert len(found) == len(told)
    assert all(one.startswith(beginning) for one, beginning in zip(found, told, strict=True))

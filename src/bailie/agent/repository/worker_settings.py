"""Settings of an artifact that MLServer follows only in parallel workers, or not at all.

Called by `mlserver`. MLServer itself passes over them without a word: a model would run in another
environment than its author chose. Source: mlserver/parallel/registry.py of MLServer 1.7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.agent.errors import RepositoryError
from bailie.wellknown import variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailie.agent.repository.server_words import ServerWords

ENVIRONMENTS = ("environment_tarball", "environment_path")
_POOLS = ("inference_pool_gid", "autogenerate_inference_pool_gid")
_OWN = "parallel_workers"


def refuse_environment(settings: Mapping[str, Any], words: ServerWords) -> None:
    """Raises RepositoryError for an environment of the model's own where no worker can have it."""
    named = [name for name in ENVIRONMENTS if _parameters(settings).get(name)]
    if not named or (words.workers > 0 and not _refuses_workers(settings)):
        return
    asked = f"parameters.{named[0]} of model-settings.json asks for an environment of the model's own"
    if words.workers > 0:
        why = f"which only parallel workers have, and {_OWN} of the model is {settings[_OWN]}; leave that out"
    else:
        why = (
            f'which only parallel workers have, and Server "{words.server}" has none: set '
            f"{variables.PARALLEL_WORKERS} to 1 or more in its container mlserver, or name a Server with "
            "workers in spec.server"
        )
    raise RepositoryError("EnvironmentNotSupported", f"{asked}, {why}")


def without_effect(settings: Mapping[str, Any], words: ServerWords) -> Iterator[str]:
    """Yields a sentence for each setting of the artifact that the server passes over."""
    asked = settings.get(_OWN)
    if isinstance(asked, int) and asked > 0 and asked != words.workers:
        yield (
            f"{_OWN} {asked} of model-settings.json has no effect: all models of a server share its workers "
            f'({variables.PARALLEL_WORKERS}, {words.workers} on Server "{words.server}")'
        )
    if words.workers > 0 and not _refuses_workers(settings):
        return
    for name in _POOLS:
        if _parameters(settings).get(name):
            yield f"parameters.{name} of model-settings.json has no effect without parallel workers"


def _refuses_workers(settings: Mapping[str, Any]) -> bool:
    asked = settings.get(_OWN)
    return isinstance(asked, int) and asked <= 0


def _parameters(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settings.get("parameters")
    return found if isinstance(found, dict) else {}

"""The parts of lightkube that read kubeconfigs and make connections from them, without the other parts.

Used by `kubeconfig`, `connections`, `exec_credentials` and `errors` in place of lightkube itself. Its import
makes classes of all kinds of Kubernetes: 3 MiB and a fifth of the start of each process. A program that uses
lightkube beside Bailie imports all of lightkube, as if this module were not there.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "DEFAULT_KUBECONFIG",
    "ConfigError",
    "ConnectionParams",
    "ExecAuth",
    "KubeConfig",
    "SingleConfig",
    "User",
    "UserExec",
]

_PACKAGE = "lightkube"


@contextmanager
def _without_kinds() -> Iterator[None]:
    """Keeps lightkube's package from importing all its modules, and its exceptions from importing the kinds.

    Afterwards no module of lightkube is among the imported ones, so that the next import makes them anew.
    """
    found = None if _PACKAGE in sys.modules else find_spec(_PACKAGE)
    if found is None:  # lightkube is imported already, or missing, which the import tells
        yield
        return
    package, kinds = ModuleType(_PACKAGE), ModuleType(f"{_PACKAGE}.core.internal_models")
    package.__path__ = list(found.submodule_search_locations or ())
    kinds.__dict__["meta_v1"] = None
    sys.modules.update({each.__name__: each for each in (package, kinds)})
    try:
        yield
    finally:
        for name in [each for each in sys.modules if each.partition(".")[0] == _PACKAGE]:
            del sys.modules[name]


with _without_kinds():
    from lightkube.config.client_adapter import ConnectionParams, ExecAuth
    from lightkube.config.kubeconfig import DEFAULT_KUBECONFIG, KubeConfig, SingleConfig
    from lightkube.config.models import User, UserExec
    from lightkube.core.exceptions import ConfigError

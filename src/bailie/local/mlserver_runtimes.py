"""Which of MLServer's runtimes are installed on this machine: the runtimes that its server can load.

Asked by `bootstrap` at each start, so that a Model for another runtime is refused in words when it is placed,
and does not fail when it is loaded. On a cluster the chart's values say what the image has.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import structlog

from bailie.manifests.defaults import MLSERVER_CAPABILITIES

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

ITSELF = frozenset({"mlserver", "python"})
"""The runtimes that MLServer has without a package of their own."""
_MODULES = {"spark-mlib": "mlserver_mllib"}
"""Where the name of the module is not made from the capability's."""
_QUESTION = "import json, sys; from importlib.util import find_spec; "
_QUESTION += "print(json.dumps([name for name in sys.argv[1:] if find_spec(name)]))"
_SECONDS = 20.0


def installed(environment: Path) -> tuple[str, ...]:
    """Returns the capabilities that an MLServer of this virtual environment has, in the usual order."""
    modules = {
        name: _MODULES.get(name, f"mlserver_{name.replace('-', '_')}")
        for name in MLSERVER_CAPABILITIES
        if name not in ITSELF
    }
    command = [str(environment / "bin" / "python"), "-c", _QUESTION, *modules.values()]
    try:
        answer = subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS)
        found = frozenset(json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.warning("mLServer's runtimes not known", environment=str(environment), reason=str(error))
        found = frozenset()
    return tuple(name for name in MLSERVER_CAPABILITIES if name in ITSELF or modules[name] in found)

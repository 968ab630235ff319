"""The programs that images stand for on this machine, and the node's settings that follow from `bailie
up`'s."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bailie.local import monitoring
from bailie.local.settings import PROMETHEUS
from bailie.mlserver import START_SCRIPT
from bailie.wellknown import variables
from bailie.workloads.node.settings import NodeSettings, Program

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.local.settings import LocalSettings
    from bailie.local.state import StateDirectory


TITLES = {"bailie": "Bailie", "bailie-mlserver": "MLServer", "mlserver": "MLServer"}
"""The programs by the names of the images that they stand for."""


def node_settings(settings: LocalSettings, state: StateDirectory, api_url: str) -> NodeSettings:
    """Returns the settings of this machine's node."""
    mlserver = Program(
        title=TITLES["mlserver"],
        argv=mlserver_command(settings.mlserver_environment),
        hint=f"run `make setup`, or name its environment in {variables.MLSERVER_ENV}",
        needs=(variables.MLSERVER_MODELS_DIR,),
        address=variables.MLSERVER_HOST,
    )
    return NodeSettings(
        state_dir=state.root,
        api_url=api_url,
        api_ca=state.api_ca,
        local_roots=settings.local_roots,
        programs={
            "bailie": Program(title=TITLES["bailie"], argv=(sys.executable, "-m", "bailie")),
            "bailie-mlserver": mlserver,
            "mlserver": mlserver,
            **({PROMETHEUS: monitoring.program(state)} if settings.monitoring else {}),
        },
    )


def mlserver_command(environment: Path) -> tuple[str, ...]:
    """Returns the command that starts MLServer from its virtual environment, as its image does."""
    return (
        str(environment / "bin" / "python"),
        str(START_SCRIPT),
        "start",
        f"$({variables.MLSERVER_MODELS_DIR})",
    )

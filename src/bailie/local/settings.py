"""Settings of everything that runs on one machine, and the one place that reads the environment for them.

Read by the command line. Holds paths and names; starts nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import platformdirs

from bailie.settings import fields
from bailie.settings.reader import SettingsError, read
from bailie.wellknown import names, variables

API_NAME = "bailie"
"""The name of the embedded API in kubeconfigs and in its version, by which `bailie doctor` knows it."""
OPERATOR_NAMESPACE = names.LOCAL_NAMESPACE
OPERATOR_NAME = names.OPERATOR

DEFAULT_NAMESPACES = ("default",)
"""Watched by default, so that a manifest without a namespace is served."""

TRAINING_SCRIPT = Path(__file__).with_name("training.py")
"""Run by the inference server's Python, which has scikit-learn; never imported."""

EXTRA_MODULES = ("cryptography", "envoy", "jsonpatch", "orjson", "starlette", "wsproto")
"""Modules of the extra `local` (pyproject.toml)."""
PROMETHEUS = "prometheus"
"""The program, and the pod that runs it."""
INSTALL_EXTRA = "install the extra with `pip install 'bailie[local]'`"


def _roots(value: str) -> tuple[Path, ...]:
    return tuple(fields.users_path(word).absolute() for word in value.split(os.pathsep) if word)


def _usual_roots() -> tuple[Path, ...]:
    """Returns the usual folders, without a working folder of `/`: models could be anything on the machine."""
    usual = []
    with suppress(RuntimeError):  # a user without a home
        usual.append(Path.home())
    for found in (Path.cwd, tempfile.gettempdir):
        with suppress(FileNotFoundError):  # a folder that is gone, or none that this user may write into
            usual.append(Path(found()))
    usual.append(Path("/tmp"))  # noqa: S108 - to read from
    return tuple(dict.fromkeys(each for each in usual if each != Path("/")))


def _environment_beside_ours() -> Path:
    own = Path(sys.prefix)
    return own.with_name(f"{own.name}-mlserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSettings:
    """Settings of this machine from the environment, for commands without the options of that name."""

    state_directory: Path | None = field(
        default=None,
        metadata=fields.custom(
            variables.STATE_DIR,
            "Everything that `bailie up` keeps.",
            allowed="the path of a folder",
            parse=fields.users_path,
            otherwise="`bailie` in the user's folder for state, `~/.local/state` for most",
        ),
    )
    mlserver_environment: Path = field(
        default_factory=_environment_beside_ours,
        metadata=fields.custom(
            variables.MLSERVER_ENV,
            "MLServer's virtual environment.",
            allowed="the path of a folder",
            parse=fields.users_path,
            otherwise="the folder beside Bailie's own environment whose name ends in `-mlserver`",
        ),
    )
    local_roots: tuple[Path, ...] = field(
        default_factory=_usual_roots,
        metadata=fields.custom(
            variables.LOCAL_ROOTS,
            "Folders below which a storageUri may be a path.",
            allowed="paths of folders, separated by colons",
            parse=_roots,
            otherwise="the user's home, the working folder, and those for temporary files",
        ),
    )


class NoHome(SettingsError):  # noqa: N818 - reads as what it says
    """The user of this process has no home, as some in containers, and no folder for state was named."""


def default_state_directory() -> Path:
    """Returns the folder for state that the environment names, else the user's. Raises NoHome."""
    named = machine_settings().state_directory
    if named is not None:
        return named
    try:
        return platformdirs.user_state_path("bailie")
    except RuntimeError:
        way = f"set HOME, or name a folder with --state-dir or {variables.STATE_DIR}"
        raise NoHome(f"this user has no home folder: {way}") from None


def machine_settings() -> MachineSettings:
    """Reads the process's environment."""
    return read(MachineSettings, os.environ)  # noqa: TID251


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """The options of `bailie up`."""

    state_directory: Path = field(default_factory=default_state_directory)
    namespaces: tuple[str, ...] | None = None
    """The namespaces to set the list to; None leaves it as it is, and begins with DEFAULT_NAMESPACES."""
    default_servers: bool = True
    api_port: int = 0
    """Port of the embedded API on 127.0.0.1; 0 takes the one used before, or a free one."""
    mlserver_environment: Path = field(default_factory=lambda: machine_settings().mlserver_environment)
    local_roots: tuple[Path, ...] = field(default_factory=lambda: machine_settings().local_roots)
    """Folders below which a Model's storageUri may be a path."""
    log_level: str = "info"
    scheduler_replicas: int | None = None
    """Schedulers in each namespace; None leaves runtimes as they are, and new ones with one."""
    monitoring: bool = False
    """Run a Prometheus, too."""

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
    if settings.monitoring and which(PROMETHEUS) is None:
        problems.append(
            f"`bailie up --monitoring` needs the program `{PROMETHEUS}` on the PATH: install it (in Debian "
            "and Ubuntu the package `prometheus`), or leave --monitoring out"
        )
    if settings.default_servers and not settings.mlserver_program.exists():
        problems.append(
            f"MLServer is not installed at {settings.mlserver_environment}: run `make setup`, or "
            "make a virtual environment with `mlserver==1.7.1 mlserver-sklearn==1.7.1 'pandas<3' "
            f"'uvloop<0.22'` and name it in {variables.MLSERVER_ENV} (or leave the servers out with "
            "--no-default-servers)"
        )
    return problems

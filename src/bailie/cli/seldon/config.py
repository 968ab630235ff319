"""`seldon config list|add|remove|activate|deactivate`: named files that say where the data plane is.

Of a file only `dataplane.inferHost` and `dataplane.tls` have an effect; `add` names the other keys.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bailie.cli.output import ExitCode, fail, say
from bailie.cli.seldon import session, views

app = typer.Typer(help="Files that say where the data plane is.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The configuration's key.")]
_USED = {"dataplane": {"inferHost", "tls"}}


@app.command("list")
def show_all() -> None:
    """List the known configurations; a star marks the active one."""
    known, active = session.configurations()
    rows = [(key, path, "*" if key == active else "") for key, path in sorted(known.items())]
    sys.stdout.write(views.table(("config", "path", "active"), rows))


@app.command()
def add(key: Key, path: Annotated[Path, typer.Argument(help="A JSON file.")]) -> None:
    """Add a configuration file under a key."""
    for each in unused(session.read_configuration(path)):
        say(f"note: {path}: {each} has no effect: the objects are in the Kubernetes API")
    known, active = session.configurations()
    session.write_configurations({**known, key: str(path.absolute())}, active)


def unused(configuration: dict[str, object]) -> list[str]:
    """Returns the keys of a configuration that change nothing."""
    found = []
    for section, value in configuration.items():
        used = _USED.get(section, set())
        if not used or not isinstance(value, dict):
            found.append(section)
        else:
            found += [f"{section}.{key}" for key in value if key not in used]
    return found


@app.command()
def remove(key: Key) -> None:
    """Forget a configuration; its file stays."""
    known, active = _known(key)
    del known[key]
    session.write_configurations(known, "" if active == key else active)


@app.command()
def activate(key: Key) -> None:
    """Use a configuration from now on."""
    known, _ = _known(key)
    session.write_configurations(known, key)


@app.command()
def deactivate(key: Key) -> None:
    """Use a configuration no longer."""
    known, active = _known(key)
    session.write_configurations(known, "" if active == key else active)


def _known(key: str) -> tuple[dict[str, str], str]:
    known, active = session.configurations()
    if key not in known:
        hint = f"known are {', '.join(sorted(known))}" if known else "`seldon config add KEY FILE` adds one"
        fail(f"there is no configuration {key}", hint=hint, code=ExitCode.NOT_FOUND)
    return known, active

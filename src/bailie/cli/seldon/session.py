"""The files of upstream's command line: its configurations, and the route of the last answer.

Used by `infer` and `config`. Both are where upstream keeps them, `~/.config/seldon/cli`: `configs.json` names
configuration files and the active one, `session` has the routes that `--sticky-session` sends. A file that is
damaged ends the command with a sentence.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from bailie.cli.output import ExitCode, fail


def _folder() -> Path | None:
    """Returns the folder of both files; None for a user without a home, who has neither."""
    try:
        return platformdirs.user_config_path("seldon") / "cli"
    except RuntimeError:
        return None


def route() -> str:
    """Returns the route of the last answer, nothing where there was none."""
    folder = _folder()
    try:
        return (folder / "session").read_text().strip() if folder is not None else ""
    except (OSError, UnicodeDecodeError):
        return ""


def remember(found: str) -> None:
    """Keeps the route of an answer; a folder that cannot be written only costs the sticky session."""
    folder = _folder()
    if found and folder is not None:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "session").write_text(found)


def configurations() -> tuple[dict[str, str], str]:
    """Returns the paths of the known configurations by key, and the key of the active one."""
    folder = _folder()
    path = folder / "configs.json" if folder is not None else None
    if path is None or not path.exists():
        return {}, ""
    found = _read_object(path)
    known = found.get("configs")
    if known is None:
        known = {}
    if not isinstance(known, dict):
        fail(f"{path}: `configs` must be an object", code=ExitCode.USAGE)
    return {str(key): str(value) for key, value in known.items()}, str(found.get("active") or "")


def write_configurations(known: dict[str, str], active: str) -> None:
    """Writes the known configurations. Ends the command when the file cannot be written."""
    folder = _folder()
    if folder is None:
        fail("this user has no home folder", hint="set HOME or XDG_CONFIG_HOME", code=ExitCode.USAGE)
    path = folder / "configs.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"configs": known, "active": active}, indent=2) + "\n")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")


def inference_host() -> str | None:
    """Returns the data plane's address of the active configuration, as a URL where it asks for TLS."""
    known, active = configurations()
    if active not in known:
        return None
    plane = read_configuration(Path(known[active])).get("dataplane", {})
    if not isinstance(plane, dict):
        fail(f"{known[active]}: `dataplane` must be an object", code=ExitCode.USAGE)
    host = plane.get("inferHost")
    if host is not None and not isinstance(host, str):
        fail(f"{known[active]}: `dataplane.inferHost` must be a text", code=ExitCode.USAGE)
    return f"https://{host}" if host and plane.get("tls") else host


def read_configuration(path: Path) -> dict[str, Any]:
    """Returns a configuration. Ends the command when it cannot be read or is no JSON object."""
    return _read_object(path)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}", code=ExitCode.USAGE)
    except (ValueError, RecursionError) as error:
        fail(f"{path} is not JSON: {error}", code=ExitCode.USAGE)
    if not isinstance(found, dict):
        fail(f"{path} must hold a JSON object", code=ExitCode.USAGE)
    return found

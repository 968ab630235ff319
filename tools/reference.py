"""Writes docs/reference from the code: resources from the CRDs, commands from the CLI, variables from the
settings, rights from the rules, alerts from the alerts.

    python tools/reference.py [FOLDER]

A test fails when what is committed differs from what this writes.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

import alertspage
import environmentpage
import rightspage
from bailie.api.crd import crd_manifests
from bailie.cli.app import app
from bailie.cli.output import MEANINGS
from bailie.cli.seldon.app import app as seldon_app

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by tools/reference.py; do not edit. -->\n\n"


def write(folder: Path) -> None:
    """Writes every page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


def pages() -> dict[str, str]:
    """Returns the text of each page by file name."""
    made = {
        "resources.md": resources(),
        "cli.md": commands(),
        "seldon.md": seldon_commands(),
        "environment.md": environmentpage.page(),
        "rights.md": rightspage.page(),
        "alerts.md": alertspage.page(),
    }
    return {name: NOTE + text for name, text in made.items()}


def resources() -> str:
    """Every field of every kind."""
    parts = ["# Resources\n\n`apiVersion: mlops.seldon.io/v1alpha1`. Required fields carry a star.\n"]
    for crd in crd_manifests():
        version = crd["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        names = crd["spec"]["names"]
        short = f" (`{'`, `'.join(names['shortNames'])}`)" if names.get("shortNames") else ""
        parts.append(f"\n## {names['kind']}{short}\n\n{schema.get('description', '')}\n")
        for section in ("spec", "status"):
            properties = schema["properties"].get(section)
            if properties and properties.get("properties"):
                parts.append(
                    f"\n### {names['kind']} {section}\n\n| field | type | meaning |\n|---|---|---|\n"
                )
                parts.extend(_rows(properties, ""))
    return "".join(parts)


def _rows(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    required = set(schema.get("required", []))
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        star = "*" if name in required else ""
        default = (
            f" Default `{json.dumps(field['default'])}`." if field.get("default") not in (None, {}) else ""
        )
        text = (field.get("description", "") + default).replace("|", "\\|").replace("\n", " ")
        yield f"| `{path}`{star} | {_type(field)} | {text} |\n"
        items = field.get("items", {})
        if items.get("properties"):
            yield from _rows(items, f"{path}[].")
        elif field.get("properties"):
            yield from _rows(field, f"{path}.")


def _type(field: dict[str, Any]) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "int or string"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"[]{_type(field['items'])}"
    return kind


def commands() -> str:
    """Every command with its arguments, options and examples."""
    return "".join(["# Commands\n", _exit_codes(), *_sections("bailie", app)])


def seldon_commands() -> str:
    """Every command of `seldon`."""
    text = (
        "# Commands of `seldon`\n\nThe verbs and flags of Seldon Core v2's command line over Bailie's own "
        "commands ([how they differ](../seldon.md)). Exit codes are [those of `bailie`](cli.md#exit-codes).\n"
    )
    return "".join([text, *_sections("seldon", seldon_app)])


def _sections(program: str, commands_of: typer.Typer) -> Iterator[str]:
    for name, command in _commands(typer.main.get_command(commands_of), ""):
        yield f"\n## {program} {name}\n\n{_prose(command.help or '')}\n"
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield "\n| argument or option | meaning |\n|---|---|\n" + "".join(rows)


def _exit_codes() -> str:
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return f"\n## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}"


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _prose(text: str) -> str:
    """Examples are indented in help texts; here they become code."""
    lines = []
    for line in text.replace("\f", "").splitlines():
        stripped = line.strip()
        code = stripped.startswith(("bailie ", "seldon ", "export "))
        lines.append(f"    {stripped}" if code else stripped)
    return "\n".join(lines).strip()


def _parameter(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    text = " ".join([getattr(parameter, "help", None) or "", *_said_of(parameter)])
    return f"| {names} | {text.strip()} |\n"


def _said_of(parameter: Any) -> Iterator[str]:
    """Yields what `--help` says beside the text: the values to choose from, the default, the variable."""
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        yield f"One of {', '.join(f'`{choice.value}`' for choice in annotation)}."
    default, shown = parameter.default, getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        yield f"Default: {shown}."
    elif shown is not False and isinstance(default, str | int | float) and not isinstance(default, bool):
        yield f"Default `{default:g}`." if isinstance(default, float) else f"Default `{default}`."
    if parameter.envvar:
        yield f"Variable `{parameter.envvar}`."


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER)

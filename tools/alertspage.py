"""The page docs/reference/alerts.md: every alert and computed series. Called by `reference`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bailie.monitoring.alerts import ALERTS, ERROR_PERCENT, SLOW_SECONDS
from bailie.monitoring.rules import RECORDINGS

if TYPE_CHECKING:
    from bailie.monitoring.alerts import Alert

_INTRODUCTION = """# Alerts

The alerts of the setup chart (`monitoring.enabled`) and of `bailie up --monitoring`: what each one means, and
what to do. [Monitoring](../operations.md#monitoring) says how to get them. `critical` justifies a call at
night, `warning` the next morning. `monitoring.errorPercent` and `monitoring.slowSeconds` are values of the
setup chart. In a command a word in capitals stands for the alert's label of that name (`NAMESPACE`, `POD`,
`SERVER`, `MODEL`, `ROUTE`); `NAME`, and a label that the alert has not got, for what the command before has
shown. On a laptop `export KUBECONFIG=$(bailie kubeconfig)` comes first.
"""
_LIMITS = {ERROR_PERCENT: "monitoring.errorPercent", SLOW_SECONDS: "monitoring.slowSeconds"}
_LABEL, _VALUE = re.compile(r"\{\{ \$labels\.(\w+) }}"), re.compile(r"\{\{ \$value[^}]*}}")


def page() -> str:
    """Returns the page in Markdown."""
    rows = "".join(f"| `{each.name}` | `{_cell(each.expr)}` | {each.purpose} |\n" for each in RECORDINGS)
    series = f"\n## Computed series\n\n| series | expression | meaning |\n|---|---|---|\n{rows}"
    return "".join([_INTRODUCTION, *map(_section, ALERTS), series])


def _section(alert: Alert) -> str:
    lasting = f", for {alert.lasting}" if alert.lasting else ""
    return (
        f"\n## {alert.name}\n\n{_plain(alert.summary)}. {_plain(alert.description)}\n\n"
        f"| | |\n|---|---|\n| severity | {alert.severity} |\n"
        f"| condition | `{_cell(_plain(alert.expr))}`{lasting} |\n| do | {_cell(alert.remedy)} |\n"
    )


def _plain(text: str) -> str:
    """Returns a template of Prometheus as text: labels in capitals, N for the value, limits by name."""
    text = _VALUE.sub("N", _LABEL.sub(lambda found: found[1].upper(), text))
    for token, value in _LIMITS.items():
        text = text.replace(token, value)
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

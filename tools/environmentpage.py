"""The page docs/reference/environment.md: the variables that processes read, from their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.agent.settings import Settings as AgentSettings
from bailie.gateway.settings import StarterSettings
from bailie.kube.settings import ApiSettings
from bailie.local.settings import MachineSettings
from bailie.operator.settings import OperatorSettings
from bailie.pipelinegateway.settings import PipelineGatewaySettings
from bailie.scheduler.settings import SchedulerSettings
from bailie.settings.reader import rows

if TYPE_CHECKING:
    from bailie.settings.reader import VariableRow

PROCESSES: dict[str, tuple[str, type[Any]]] = {
    "bailie operator": ("The setup chart sets these, from its values.", OperatorSettings),
    "bailie scheduler": (
        "The SeldonConfig of the setup chart has these; `spec.overrides` of a SeldonRuntime may change them.",
        SchedulerSettings,
    ),
    "bailie envoy": ("Set like those of the scheduler.", StarterSettings),
    "bailie agent": (
        "The ServerConfigs of the setup chart set these; `spec.podSpec` of a Server may change them.",
        AgentSettings,
    ),
    "bailie pipelinegateway": ("Set like those of the scheduler.", PipelineGatewaySettings),
    "Where the Kubernetes API is": ("For all commands, and all processes but Envoy.", ApiSettings),
    "Commands on a laptop": ("An option of the command comes before the variable.", MachineSettings),
}
INTRODUCTION = """# Environment variables

What pods are told besides their arguments, and commands besides their options. Blanks around a value do not
count, and an empty value counts as not set. A value that cannot be used ends the process with one sentence,
which names the variable, its value and what is allowed. A star marks a variable that must be set. `bailie
apiserver` reads none: it takes arguments.
"""


def page() -> str:
    """Returns the page."""
    parts = [INTRODUCTION]
    for title, (remark, kind) in PROCESSES.items():
        parts.append(
            f"\n## {title}\n\n{remark}\n\n| variable | default | value | meaning |\n|---|---|---|---|\n"
        )
        parts += [_line(row) for row in rows(kind)]
    return "".join(parts)


def _line(row: VariableRow) -> str:
    star = "*" if row.default is None else ""
    default = row.default or ""
    shown = f"`{default}`" if default and " " not in default else default
    cells = (f"`{row.variable}`{star}", shown, row.allowed.replace("<", "&lt;"), row.meaning)
    return f"| {' | '.join(cells)} |\n"

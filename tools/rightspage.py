"""Writes docs/reference/rights.md: who may do what in each pattern, from the one list of rules.

Called by `reference.py`. `PATTERNS` is compared with the rendered charts by a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.manifests import rbac

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.manifests.rbac import Rule

NOTHING = "nothing"
HOME, SERVED, CLUSTER = "home", "served", "cluster"
SCHEDULER, AGENT = "scheduler", "agent"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that go together, and the object that carries them."""

    title: str
    carrier: str
    rules: Sequence[Rule]


SETS = {
    HOME: RuleSet(
        "The operator at home",
        "Role `seldon-v2-leader-election-role` in the operator's own namespace",
        rbac.OPERATOR_HOME_RULES,
    ),
    SERVED: RuleSet(
        "The operator in a served namespace",
        "Role `seldon-v2-manager-role` in each served namespace",
        (*rbac.OPERATOR_RULES, *rbac.OPERATOR_STATEFUL_RULES),
    ),
    CLUSTER: RuleSet(
        "The operator in the whole cluster",
        "ClusterRole `seldon-v2-manager-role-OPERATOR`, with the operator's namespace in its name",
        (*rbac.OPERATOR_RULES, *rbac.OPERATOR_STATEFUL_RULES, rbac.NAMESPACE_RULE),
    ),
    SCHEDULER: RuleSet(
        "The schedulers",
        "Role `seldon-scheduler-role` in each served namespace",
        rbac.SCHEDULER_RULES,
    ),
    AGENT: RuleSet("The agents", "Role `agent-role` in each served namespace", rbac.SERVER_RULES),
}
PATTERNS = {
    "0 central scheduler": (HOME, SERVED, NOTHING),
    "1 same namespace": (HOME, SERVED, NOTHING),
    "2 cluster-wide operator": (HOME, NOTHING, CLUSTER),
    "3 scoped operator": (HOME, SERVED, NOTHING),
}
"""What the operator has at home, in each served namespace, and in the cluster."""


def page() -> str:
    """Returns the page."""
    return "".join((_HEAD, _patterns(), _delicate(), *(_set(rules) for rules in SETS.values())))


_HEAD = """# Rights

What the charts give each account, and `bailie rbac` prints. The operator knows the same list and names
what it lacks, verb by verb, in its log, in `bailie scope list` and in `bailie doctor`.

## By pattern

| pattern | operator in its namespace | in each served one | in the cluster | schedulers | agents | Envoy |
|---|---|---|---|---|---|---|
"""


def _patterns() -> str:
    lines = ""
    for name, operator in PATTERNS.items():
        cells = (*operator, SCHEDULER, AGENT, NOTHING)
        lines += f"| {name} | {' | '.join(_link(cell) for cell in cells)} |\n"
    return lines + (
        "\nIn pattern 1 the operator's own namespace is the one that it serves. "
        "Only pattern 2 has objects of the cluster: one ClusterRole and its binding. "
        "In pattern 0 the central scheduler is bound to the schedulers' Role of each namespace it serves.\n"
    )


def _delicate() -> str:
    """Who may read secrets or give rights: stated from the rules, not from memory."""
    text = "\n## What is delicate\n\n| | who |\n|---|---|\n"
    for resource in ("secrets", "roles", "rolebindings", "clusterroles", "serviceaccounts", "pods/exec"):
        holders = [
            f"{rules.title.lower()}: {', '.join(rule.verbs)}"
            for rules in SETS.values()
            for rule in rules.rules
            if resource in rule.resources
        ]
        text += f"| `{resource}` | {'; '.join(holders) or 'nobody'} |\n"
    return text + (
        "\nWho may make pods in a namespace may mount its Secrets. So may the operator where it serves, "
        "as of everything that runs workloads there, and it is why the list of namespaces matters.\n"
    )


def _set(rules: RuleSet) -> str:
    text = f"\n## {rules.title}\n\n{rules.carrier}.\n\n"
    text += "| group | resources | verbs | only | why |\n|---|---|---|---|---|\n"
    for rule in rules.rules:
        row = (
            rule.group or "core",
            ", ".join(rule.resources),
            ", ".join(rule.verbs),
            ", ".join(rule.names),
            rule.why,
        )
        text += f"| {' | '.join(row)} |\n"
    return text


def _link(name: str) -> str:
    if name == NOTHING:
        return NOTHING
    title = SETS[name].title
    return f"[{name}](#{title.lower().replace(' ', '-')})"

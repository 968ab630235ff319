"""Writes the rules of `bailie.manifests.rbac` as named templates of the charts."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from bailie.manifests import rbac
from bailie.manifests.rbac import RbacRule

Rules = Sequence[RbacRule]


def rules_template(named: dict[str, Rules]) -> str:
    """Returns one named template per list of rules."""
    return "\n".join(_template(name, rules) for name, rules in named.items())


def setup_rules() -> dict[str, Rules]:
    """Returns the lists of rules that the setup chart gives."""
    return {
        "bailie.rules.cluster": (*rbac.OPERATOR_RULES, *rbac.OPERATOR_STATEFUL_RULES, rbac.NAMESPACE_RULE),
        "bailie.rules.operator": (*rbac.OPERATOR_RULES, *rbac.OPERATOR_STATEFUL_RULES),
        "bailie.rules.home": rbac.OPERATOR_HOME_RULES,
        **runtime_rules(),
    }


def runtime_rules() -> dict[str, Rules]:
    """Returns the lists of rules of what runs in a served namespace."""
    return {
        "bailie.rules.scheduler": rbac.SCHEDULER_RULES,
        "bailie.rules.central": rbac.CENTRAL_SCHEDULER_RULES,
        "bailie.rules.agent": rbac.AGENT_RULES,
    }


def _template(name: str, rules: Rules) -> str:
    body = yaml.safe_dump(
        [rule.manifest() for rule in rules], sort_keys=False, default_flow_style=None, width=200
    )
    return f'{{{{- define "{name}" -}}}}\n{body}{{{{- end }}}}\n'

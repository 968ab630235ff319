"""Writes docs/reference/rights.md: who may do what in each pattern, from the one list of rules.

Called by `reference.py`. `PATTERNS` is compared with the rendered charts by a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailie.manifests import rbac
from bailie.manifests.fences import PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.manifests.rbac import RbacRule

NOTHING = "nothing"
HOME, SERVED, CLUSTER = "home", "served", "cluster"
SCHEDULER, CENTRAL, AGENT = "scheduler", "central", "agent"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that go together, and the object that carries them."""

    title: str
    carrier: str
    rules: Sequence[RbacRule]


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
    CENTRAL: RuleSet(
        "A scheduler in another namespace that it serves",
        "Role `seldon-central-scheduler-role` in each namespace with `schedulerNamespace`",
        rbac.CENTRAL_SCHEDULER_RULES,
    ),
    AGENT: RuleSet("The agents", "Role `agent-role` in each served namespace", rbac.SERVER_RULES),
}
PATTERNS = {
    "0 central scheduler": (HOME, SERVED, NOTHING, SCHEDULER, CENTRAL),
    "1 same namespace": (HOME, SERVED, NOTHING, SCHEDULER, NOTHING),
    "2 cluster-wide operator": (HOME, NOTHING, CLUSTER, SCHEDULER, NOTHING),
    "3 scoped operator": (HOME, SERVED, NOTHING, SCHEDULER, NOTHING),
}
"""The operator at home, in each served namespace, in the cluster; a scheduler in its namespace, in others."""


def page() -> str:
    """Returns the page."""
    return "".join((_HEAD, _patterns(), _delicate(), _pods(), *(_set(rules) for rules in SETS.values())))


_HEAD = """# Rights

The rights that the charts give to each account, and that `bailie rbac` prints. The operator knows the same
list and names missing rights, verb by verb, in its log, in `bailie scope list` and in `bailie doctor`.

## By pattern

| pattern | operator, own namespace | served | cluster | scheduler, own namespace | others | agents | Envoy |
|---|---|---|---|---|---|---|---|
"""


_WHO_MAKES_PODS = """
## Who may make pods

The operator makes the pods that Servers and SeldonRuntimes ask for, and both have a `podSpec`, as have the
ServerConfigs and SeldonConfigs that they build on. So the rights to write `servers`, `seldonruntimes`,
`serverconfigs` and `seldonconfigs` are rights to make pods: with images and commands of one's own, which
run as `seldon-server`, `seldon-scheduler` or `seldon-envoy` and may mount the Secrets, ConfigMaps and
volume claims of their namespace. The right to write `models` is none of these, but a model may be code,
which runs in the server's container.

The operator makes no pod that reaches beyond its namespace. It refuses the fields that do, with the
condition `Ready` (reason `Refused`), which names the field, where it is written and the value that would
allow it; running pods go on as they are. An administrator allows more for the whole installation, by
`controller.podPermissions` of the chart `seldon-core-v2-setup`:
"""
_FENCES = """
Where a template says nothing of `automountServiceAccountToken`, the operator states `false` and mounts the
token in the agent's or scheduler's container only, so that a ServerConfig made for Seldon Core gives models
no token either.

`serviceAccounts` lists further service accounts by name. The place of a field does not matter:
a user who overrides the command of a privileged container in the administrator's own ServerConfig, by a
Server, would get its privileges.

These fences check stated fields only. For an unstated field the cluster's default holds, such as the user of
an image without a user; give the served namespaces the Pod Security Standard `restricted`, which demands that
these fields be stated:

```console
$ kubectl label namespace financial-staging pod-security.kubernetes.io/enforce=restricted
```

All pods of the charts' defaults meet it: the operator, the schedulers, the Envoys, MLServer and Triton with
their agents. A Secret that may not be read by who writes Servers belongs into another namespace.
"""


def _patterns() -> str:
    lines = ""
    for name, given in PATTERNS.items():
        cells = (*given, AGENT, NOTHING)
        lines += f"| {name} | {' | '.join(_link(cell) for cell in cells)} |\n"
    return lines + (
        "\nIn pattern 1 the operator's own namespace is the one that it serves. "
        "Only pattern 2 has objects of the cluster: one ClusterRole and its binding.\n"
    )


def _delicate() -> str:
    """Who may read secrets or give rights: stated from the rules, not from memory."""
    text = "\n## What is delicate\n\n| | who |\n|---|---|\n"
    for resource in ("secrets", "roles", "rolebindings", "clusterroles", "serviceaccounts", "pods/exec"):
        holders = [
            f"{rules.title.lower()}: {', '.join((*rule.verbs, *(f'`{name}`' for name in rule.names)))}"
            for rules in SETS.values()
            for rule in rules.rules
            if resource in rule.resources
        ]
        text += f"| `{resource}` | {'; '.join(holders) or 'nobody'} |\n"
    return text + (
        "\nThe Secrets that agents may read are those of `security.modelSecrets`. Their account's token is "
        "in the agents' containers alone, so models' code may read nothing.\n"
        "\nA user who may make pods in a namespace may mount its Secrets. So could the operator where it "
        "serves, like everything that runs workloads there; it is why the list of namespaces matters.\n"
    )


def _pods() -> str:
    """Who gets pods made, and within which fences: the permissions come from `manifests.fences`."""
    text = _WHO_MAKES_PODS + "\n| permission | of Servers and runtimes it allows |\n|---|---|\n"
    return text + "".join(f"| `{name}` | {what} |\n" for name, what in PERMISSIONS.items()) + _FENCES


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

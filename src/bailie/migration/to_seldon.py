"""A plan for people who stay on Seldon Core: its own scoped pattern as values, commands and traps. Pure.

Called for `bailie migrate plan --to seldon`. The keys are those of Seldon Core's charts from 2.9.1 on; the
traps were read in its charts and its operator's flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.api import kinds
from bailie.migration.facts import name_of, spec_of
from bailie.migration.finding import quoted
from bailie.migration.foreign import foreign_operators
from bailie.migration.source import MoveSource, recognise
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailie.migration.facts import MoveFacts
    from bailie.migration.foreign import ForeignOperator

OLDEST_CHARTS = "2.9.1"
_SETUP, _RUNTIME, _SERVERS = (
    f"seldon-charts/seldon-core-v2-{name}" for name in ("setup", "runtime", "servers")
)
_HOME = "seldon-system"
_COPY = "seldon-v2-manager-scoped"
"""A copy of the operator's ClusterRole, bound in single namespaces: the chart takes its own away."""
_COPY_COMMAND = (
    "kubectl get clusterrole seldon-v2-manager-role -o json "
    f"| jq '{{apiVersion, kind, rules, metadata: {{name: \"{_COPY}\"}}}}' | kubectl apply -f -"
)
_CONFIGS = (kinds.SERVER_CONFIG, kinds.SELDON_CONFIG)
_TRAPS = """
controller.watchNamespaces has an effect only with controller.clusterwide=true; without it the list is ignored
in silence.

The list narrows what the operator watches and not its rights: without controller.skipClusterRoleCreation=true
the chart binds a ClusterRole for the whole cluster. The chart's values file names the key
controller.skipOperatorClusterRoleCreation, which has no effect.

A ClusterRoleBinding of an earlier install may stay behind: kubectl delete clusterrolebinding
seldon-v2-manager-rolebinding-{home}, once the RoleBindings are there.

The operator reads its list when it starts, and always serves {home}, too: each new namespace restarts it.

ServerConfigs and SeldonConfigs are read from {home} only; a team cannot have its own.

Two operators may have one namespace in both their lists, and nothing stops them: keep the lists apart.

The chart of the resource definitions does not keep them: never uninstall its release, or every Model of the
cluster goes with it.

Each namespace gets a scheduler with a volume of its own, which knows no model: its servers restart, and
models do not answer until they are loaded again.

A component of a SeldonRuntime with disable: true never gets a condition, so that the runtime's Ready stays
Unknown: give it replicas: 0.

Certificates and rclone Secrets must be in each namespace; nothing copies them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedPlan:
    """The way to Seldon Core's scoped pattern."""

    home: str
    """The namespace of Seldon Core's operator."""
    values: dict[str, Any]
    """For the setup chart."""
    commands: tuple[str, ...]
    traps: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """Returns the plan as JSON data."""
        return {
            "home": self.home,
            "charts": f">={OLDEST_CHARTS}",
            "values": self.values,
            "commands": list(self.commands),
            "traps": list(self.traps),
        }


def scoped_plan(facts: Sequence[MoveFacts]) -> ScopedPlan:
    """Returns the plan for namespaces that one operator of Seldon Core's is to serve."""
    operator = _operator(facts)
    home = operator.home if operator is not None else _HOME
    moving = [each.here.name for each in facts if each.here.name != home]
    listed = sorted({*moving, *((operator.namespaces or ()) if operator is not None else ())} - {home})
    values = {"controller": {"clusterwide": True, "watchNamespaces": listed, "skipClusterRoleCreation": True}}
    release = quoted((operator.release if operator is not None else "") or "seldon-core-v2-setup")
    commands = [_COPY_COMMAND, *(_rights(name, home) for name in listed)]
    commands.append(
        f"helm upgrade --install {release} {_SETUP} --version '>={OLDEST_CHARTS}' --namespace {home} "
        "--reuse-values -f scoped.yaml"
    )
    for each in facts:
        if each.here.name != home:
            commands += _of_namespace(each)
    return ScopedPlan(home=home, values=values, commands=tuple(commands), traps=_traps(facts, home))


def _operator(facts: Sequence[MoveFacts]) -> ForeignOperator | None:
    found = [operator for each in facts for operator in foreign_operators(each)]
    return next(iter(found), None)


def _rights(namespace: str, home: str) -> str:
    account = f"--serviceaccount {home}:{names.OPERATOR}"
    return f"kubectl create rolebinding {_COPY} --clusterrole {_COPY} {account} --namespace {namespace}"


def _of_namespace(facts: MoveFacts) -> list[str]:
    name = facts.here.name
    found = []
    service = facts.here.get(kinds.SERVICE, names.SCHEDULER)
    if service is not None and spec_of(service).get("type") == "ExternalName":
        found.append(f"kubectl delete service {names.SCHEDULER} --namespace {name}")
    if facts.here.runtime() is None or recognise(facts) is MoveSource.SELDON_CENTRAL:
        found.append(f"helm upgrade --install seldon-core-v2-runtime {_RUNTIME} --namespace {name}")
    if not facts.here.all(kinds.SERVER):
        found.append(f"helm upgrade --install seldon-core-v2-servers {_SERVERS} --namespace {name}")
    servers = [name_of(each) for each in facts.here.all(kinds.SERVER)]
    found += [f"kubectl rollout restart statefulset {server} --namespace {name}" for server in servers]
    found.append(f"kubectl wait models --all --for=condition=Ready --namespace {name} --timeout=10m")
    return found


def _traps(facts: Sequence[MoveFacts], home: str) -> tuple[str, ...]:
    own = sorted({each.here.name for each in facts for kind in _CONFIGS if each.here.all(kind)} - {home})
    found = [" ".join(each.split()).format(home=home) for each in _TRAPS.strip().split("\n\n")]
    if own:
        found.append(
            f"The SeldonConfigs and ServerConfigs of {', '.join(own)} are read by nobody; copy them."
        )
    return tuple(found)

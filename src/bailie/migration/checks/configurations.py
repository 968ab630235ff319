"""The SeldonConfigs and ServerConfigs that count for a namespace after its move. Pure.

Called by `beginnings`, `broker`, `pods` and `resources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api import kinds
from bailie.api.seldon_config import Configuration, SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.doctor.facts import known
from bailie.manifests.configuration import effective_configuration
from bailie.migration.facts import name_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bailie.api.kinds import Kind
    from bailie.migration.facts import MoveFacts, Object


def bailies_homes(facts: MoveFacts) -> frozenset[str]:
    """Returns the namespaces of Bailie's operators."""
    return frozenset(each.home for each in known(facts.cluster.installations))


def configurations(facts: MoveFacts, kind: Kind, homes: Collection[str] | None) -> Mapping[str, Object]:
    """Returns the configurations of a kind that an operator in one of these namespaces uses, by name.

    None stands for any namespace. Those beside the operator come before those of the namespace that moves:
    a move sets those of the same names aside.
    """
    beside = (
        each
        for each in known(facts.cluster.shared)
        if each["kind"] == kind.kind and (homes is None or each["metadata"]["namespace"] in homes)
    )
    return {name_of(each): each for each in (*facts.here.all(kind), *beside)}


def runtime_of(facts: MoveFacts) -> SeldonRuntime | None:
    """Returns the namespace's SeldonRuntime; None where there is none, or one with mistakes."""
    found = facts.here.runtime()
    return SeldonRuntime.parse_without_status(found)[0] if found is not None else None


def settings_of(facts: MoveFacts, runtime: SeldonRuntime, homes: Collection[str] | None) -> Configuration:
    """Returns the settings of a SeldonRuntime joined with those of its SeldonConfig, if that is found."""
    found = configurations(facts, kinds.SELDON_CONFIG, homes).get(runtime.spec.seldon_config)
    config = SeldonConfig.parse_without_status(found)[0] if found is not None else None
    return effective_configuration(runtime.spec.config, config.spec.config if config else Configuration())

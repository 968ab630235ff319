"""The four patterns of an installation, as what is installed where with which values.

In each, the namespaces `team-a` and `team-b` serve models; `platform` is the operator's in all but the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.charts import Rendered, render

HOME = "platform"
TEAMS = ("team-a", "team-b")
_LISTED = {"controller": {"watchNamespaces": list(TEAMS)}}


@dataclass(frozen=True)
class Pattern:
    """One installation: where the operator is, whom it serves, and the values of each chart."""

    name: str
    home: str
    served: tuple[str, ...]
    setup: dict[str, Any] = field(default_factory=dict)
    runtimes: dict[str, dict[str, Any]] = field(default_factory=dict)
    runtime_makes_rights: bool = False

    def install(self) -> list[tuple[str, Rendered]]:
        """Renders the releases in the order in which they are installed."""
        releases = [("setup", render("setup", self.setup, namespace=self.home))]
        for namespace, values in self.runtimes.items():
            rights = {"rights": {"create": self.runtime_makes_rights}}
            releases += [
                (f"runtime in {namespace}", render("runtime", {**rights, **values}, namespace=namespace)),
                (
                    f"servers in {namespace}",
                    render("servers", {"triton": {"enabled": False}}, namespace=namespace),
                ),
            ]
        return releases

    def manifests(self) -> list[dict[str, Any]]:
        """All objects of the installation."""
        return [manifest for _, release in self.install() for manifest in release.manifests]


PATTERNS = (
    Pattern(
        "0-central-scheduler",
        home=HOME,
        served=(HOME, *TEAMS),
        setup={"controller": {"watchNamespaces": [HOME, *TEAMS]}},
        runtimes={
            HOME: {"servesNamespaces": list(TEAMS)},
            **{team: {"schedulerNamespace": HOME} for team in TEAMS},
        },
    ),
    Pattern("1-same-namespace", home="team-a", served=("team-a",), runtimes={"team-a": {}}),
    Pattern(
        "2-cluster-wide",
        home=HOME,
        served=TEAMS,
        setup={"controller": {"clusterwide": True}},
        runtimes={team: {} for team in TEAMS},
        runtime_makes_rights=True,
    ),
    Pattern("3-scoped", home=HOME, served=TEAMS, setup=_LISTED, runtimes={team: {} for team in TEAMS}),
)

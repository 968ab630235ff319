"""Which other namespace's scheduler a namespace uses, as its own objects say it. Pure.

Two ways lead there: `schedulerNamespace` of a SeldonRuntime, and a Service `seldon-scheduler` that stands for
another namespace's (ExternalName). Read by the operator, the doctor and `bailie explain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.seldon_config import SCHEDULER

if TYPE_CHECKING:
    from collections.abc import Mapping


def asked_of(runtime: Mapping[str, Any] | None) -> str:
    """Returns the other namespace that a SeldonRuntime names as its scheduler's, empty for none."""
    if runtime is None:
        return ""
    other = str((runtime.get("spec") or {}).get("schedulerNamespace") or "")
    return "" if other == runtime["metadata"]["namespace"] else other


def redirected_to(service: Mapping[str, Any] | None) -> str:
    """Returns the namespace whose scheduler an ExternalName Service stands for, empty for none."""
    return namespace_of(str((service or {}).get("spec", {}).get("externalName") or ""))


def namespace_of(target: str) -> str:
    """Returns the namespace of a scheduler's DNS name, empty where it is not one's."""
    name, _, rest = target.rstrip(".").partition(".")
    return rest.partition(".")[0] if name == SCHEDULER else ""

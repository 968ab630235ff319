"""Which other namespace's scheduler a namespace uses, as its own objects say it. Pure.

Two ways lead there: `schedulerNamespace` of a SeldonRuntime, and a Service `seldon-scheduler` that stands for
another namespace's (ExternalName). Read by the operator, the doctor and `bailie explain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bailie.api.seldon_config import SCHEDULER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANY = "*"
"""In `servesNamespaces`: every namespace that asks."""
SERVED_ELSEWHERE = "ServedElsewhere"
"""Reason of a runtime's condition `SchedulerReady` where another namespace's scheduler serves it."""


def asked_of(runtime: Mapping[str, Any] | None) -> str:
    """Returns the other namespace that a SeldonRuntime names as its scheduler's, empty for none."""
    if runtime is None:
        return ""
    other = str((runtime.get("spec") or {}).get("schedulerNamespace") or "")
    return "" if other == runtime["metadata"]["namespace"] else other


def oldest(runtimes: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Returns the SeldonRuntime that counts in a namespace: of several only the oldest is served."""
    return min(
        runtimes,
        key=lambda item: (item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"]),
        default=None,
    )


def let(served: Iterable[str], asking: Iterable[str]) -> frozenset[str]:
    """Returns the namespaces that ask for a scheduler and may have it.

    `served`: the namespaces that the SeldonRuntime beside the scheduler lets it serve (`servesNamespaces`).
    The request of another namespace alone is not enough: a person who may write in one namespace must not
    change the workloads of another.
    """
    named, all_that_ask = frozenset(served), frozenset(asking)
    return all_that_ask if ANY in named else named & all_that_ask


def served_of(runtime: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Returns the other namespaces that a SeldonRuntime lets its scheduler serve, as it states them."""
    found = ((runtime or {}).get("spec") or {}).get("servesNamespaces")
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def redirected_to(service: Mapping[str, Any] | None) -> str:
    """Returns the namespace whose scheduler an ExternalName Service stands for, empty for none."""
    return namespace_of(str((service or {}).get("spec", {}).get("externalName") or ""))


def namespace_of(target: str) -> str:
    """Returns the namespace of a scheduler's DNS name, empty where it is not one's."""
    name, _, rest = target.rstrip(".").partition(".")
    return rest.partition(".")[0] if name == SCHEDULER else ""

"""Amounts and names as sentences show them. Used by `explain`, `compare` and `remedies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.quantity import quantity_text

if TYPE_CHECKING:
    from collections.abc import Iterable


def amount(value: int | str) -> str:
    """Returns bytes as Kubernetes writes them, with one decimal at most; returns text as it is."""
    return value if isinstance(value, str) else quantity_text(value)


def at_most(size: int) -> str:
    """Returns the most whole mebibytes that are no more than `size` bytes."""
    return _mebibytes(size >> 20)


def at_least(size: int) -> str:
    """Returns the fewest whole mebibytes that are no less than `size` bytes."""
    return _mebibytes(-(-size >> 20))


def _mebibytes(count: int) -> str:
    return f"{count}Mi" if count % 1024 else f"{count >> 10}Gi"


def listed(names: Iterable[str]) -> str:
    """Returns names in quotes, as in `"a", "b"`."""
    return ", ".join(f'"{name}"' for name in names)

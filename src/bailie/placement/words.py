"""How amounts and names read in sentences. Used by `explain`, `compare` and `remedies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.api.quantity import quantity_text

if TYPE_CHECKING:
    from collections.abc import Iterable


def amount(value: int | str) -> str:
    """Bytes as Kubernetes writes them, at most one decimal; text as it is."""
    return value if isinstance(value, str) else quantity_text(value)


def at_most(size: int) -> str:
    """Whole mebibytes that are no more than the bytes given."""
    return _mebibytes(size >> 20)


def at_least(size: int) -> str:
    """Whole mebibytes that are no less than the bytes given."""
    return _mebibytes(-(-size >> 20))


def _mebibytes(count: int) -> str:
    return f"{count}Mi" if count % 1024 else f"{count >> 10}Gi"


def listed(names: Iterable[str]) -> str:
    """`"a", "b"`."""
    return ", ".join(f'"{name}"' for name in names)


def counted(number: int, noun: str) -> str:
    """`1 replica`, `2 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

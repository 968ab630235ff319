"""How amounts and names read in sentences. Used by every module of this package that speaks to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))


def amount(value: int | str) -> str:
    """Bytes as Kubernetes writes them, at most one decimal; text as it is."""
    if isinstance(value, str):
        return value
    unit, size = next(((unit, size) for unit, size in _UNITS if value >= size), ("", 1))
    whole = f"{value / size:.1f}".removesuffix(".0")
    return f"{whole}{unit}"


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

"""Parts of manifests at which reading fails, as a mistake of Bailie's own would make it."""

from __future__ import annotations


class Broken(dict):
    """A part of which no member can be listed."""

    def items(self):
        raise ZeroDivisionError("a mistake of our own")


class BrokenMembers(dict):
    """A part of which no member can be had."""

    def get(self, key, default=None):
        raise ZeroDivisionError(f"a mistake of our own at {key}: {default}")

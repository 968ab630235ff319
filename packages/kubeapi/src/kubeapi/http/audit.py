"""The audit log: one JSON line for each request of a resource, when it is answered.

Called by `app.py` where the settings name a file. A watch is written when it begins. Fields: `at` (RFC 3339),
`user`, `verb`, `group`, `resource`, `subresource`, `namespace`, `name`, `code`, and `dryRun` where the query
says that nothing is to be stored. Bodies are never written: they may hold secrets.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson

from kubeapi import clock

if TYPE_CHECKING:
    from pathlib import Path

    from kubeapi.access.rbac import Attributes, User


class AuditLog:
    """Appends to a file (0600). Lines are whole: each is one write."""

    def __init__(self, path: Path) -> None:
        """Opens the file. Raises OSError where it cannot be opened."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, user: User, asked: Attributes, code: int, *, dry_run: bool) -> None:
        """Writes one line."""
        line = {
            "at": clock.now().isoformat(),
            "user": user.name,
            "verb": asked.verb,
            "group": asked.group,
            "resource": asked.resource,
            "subresource": asked.subresource,
            "namespace": asked.namespace,
            "name": asked.name,
            "code": code,
            **({"dryRun": True} if dry_run else {}),
        }
        os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)

"""The list of further namespaces that this scheduler serves, followed live.

Held by `run`. The operator writes the list into a ConfigMap beside the scheduler
(`manifests.runtime`); a scheduler without one serves its own namespace alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from bailie.api.kinds import CONFIG_MAP
from bailie.kube.informer import Informer
from bailie.scope.watch_list import NAMESPACES, parse_lines
from bailie.wellknown import names

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bailie.kube.client import Client

log = structlog.get_logger(__name__)


class ServedList:
    """The namespaces, as last seen; `run` keeps them up to date."""

    def __init__(self, client: Client, home: str) -> None:
        self.namespaces: frozenset[str] = frozenset()
        self._home = home
        field = f"metadata.name={names.SERVED_NAMESPACES}"
        self._informer = Informer(client, CONFIG_MAP, home, fields=field)
        self._informer.subscribe(lambda _: self._read())
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follows the list until cancelled."""
        await self._informer.run()

    async def each(self, work: Callable[[str], Coroutine[None, None, None]]) -> None:
        """Keeps `work(namespace)` running for each listed namespace, until cancelled.

        The work of a namespace that leaves the list is cancelled, and has ended before it begins anew.
        """
        running: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                changed = self._changed
                ending = [running.pop(name) for name in running.keys() - self.namespaces]
                for task in ending:
                    task.cancel()
                if ending:
                    await asyncio.wait(ending)
                for name in sorted(self.namespaces - running.keys()):
                    running[name] = group.create_task(work(name), name=f"{work.__name__}-{name}")
                await changed.wait()

    def _read(self) -> None:
        found = self._informer.store.get((self._home, names.SERVED_NAMESPACES))
        listed, problems = parse_lines(((found or {}).get("data") or {}).get(NAMESPACES, ""))
        if problems:
            log.warning("list of served namespaces has mistakes", problems=[str(each) for each in problems])
        namespaces = frozenset(listed) - {self._home}
        if namespaces != self.namespaces:
            log.info("served namespaces", namespaces=sorted(namespaces))
            self.namespaces = namespaces
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

"""Writes the results of passes into the API: one controller for all kinds, one writer for each kind.

Made by `namespace` with a table of writers. The loop hands over the result of every pass; each writer names
the objects whose status may differ from the result before, and a few workers write these, each object by one
worker at a time, with back-off while the API is away. Any change of an object in the API brings it to its
writer again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from bailie.kube.callbacks import Callbacks
from bailie.kube.controller import Controller, Result
from bailie.kube.errors import NotFound, Withheld

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bailie.api.kinds import Kind
    from bailie.control.pass_result import PassResult
    from bailie.kube.client import Object
    from bailie.kube.informer import Change, Informer

log = structlog.get_logger(__name__)

UNCERTAIN_SECONDS = 0.5
"""Wait before another try to write, where it was not certain that this process leads."""


class KindWriter(Protocol):
    """Writes the status of the objects of one kind."""

    def take(self, result: PassResult) -> Iterable[str]:
        """Takes over the result of a pass; returns the names of the objects that may have to be written."""
        ...

    async def write(self, manifest: Object) -> Result | None:
        """Writes the object's status where it differs; `manifest` is the object as it is in the API.

        Returns when the object is to be looked at again; None: at its next change. Raises ApiError.
        """
        ...


class _Key(NamedTuple):
    kind: Kind
    name: str


class StatusWriter:
    """Follows the results of passes. `run` writes until cancelled."""

    def __init__(
        self, namespace: str, informers: Mapping[Kind, Informer], writers: Mapping[Kind, KindWriter]
    ) -> None:
        """Takes `informers` for at least the kinds of `writers`."""
        self._namespace = namespace
        self._informers = {kind: informers[kind] for kind in writers}
        self._writers = writers
        self._take = Callbacks("results of passes", [partial(self._take_by, kind) for kind in writers])
        self._controller: Controller[_Key] = Controller("status", self._reconcile, workers=4)

    def take(self, result: PassResult) -> None:
        """Takes over the result of a pass, and queues the objects that may have to be written."""
        self._take(result)

    def _take_by(self, kind: Kind, result: PassResult) -> None:
        for name in self._writers[kind].take(result):
            self._controller.enqueue(_Key(kind, name))

    async def run(self) -> None:
        """Writes until cancelled; an object that changes in the API is compared again."""
        ends = []
        for kind, informer in self._informers.items():
            ends.append(informer.subscribe(lambda change, kind=kind: self._note(kind, change)))  # type: ignore[misc]
            for _, name in informer.store:
                self._controller.enqueue(_Key(kind, name))
        try:
            await self._controller.run()
        finally:
            for end in ends:
                end()

    def _note(self, kind: Kind, change: Change) -> None:
        self._controller.enqueue(_Key(kind, change.object["metadata"]["name"]))

    async def _reconcile(self, key: _Key) -> Result | None:
        manifest = self._informers[key.kind].store.get((self._namespace, key.name))
        if manifest is None:
            return None
        try:
            return await self._writers[key.kind].write(manifest)
        except Withheld:
            return Result(requeue_after=UNCERTAIN_SECONDS)
        except NotFound:
            log.debug("object went away", kind=key.kind.kind, name=key.name)
        return None

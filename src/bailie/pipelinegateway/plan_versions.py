"""The versions of pipelines on this gateway, as the scheduler's commands change them.

Satisfies `agent.session.Commanded`, made by `run`. A gateway is a replica that loads plans: it reports its
plans, and takes a plan in at the command. The plans are kept in a file for a restart without a scheduler.
With a message broker the gateway also reports of each plan whether its requests are journalled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from bailie._gen import agent_pb2
from bailie.pipelinegateway.plan_file import read_plans, write_plans
from bailie.pipelinegateway.plans import PlanSource
from bailie.wellknown.names import PIPELINE_ENDING
from bailie.wellknown.versions import server_name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bailie.agent.outbox import Outbox
    from bailie.lifecycle.journal import JournalNote
    from bailie.pipelinegateway.broker_port import BrokerPort
    from bailie.pipelinegateway.plans import Plans

log = structlog.get_logger(__name__)

SPEC_PARAMETER = "pipeline"
"""As in `control.pipeline_versions`."""
_REFUSED = "PlanRefused"
_NO_PLAN = "NoPipeline"


class PlanVersions:
    """All versions of this gateway."""

    def __init__(
        self,
        plans: Plans,
        outbox: Outbox,
        path: Path,
        *,
        left: Callable[[frozenset[str]], None],
        later: Callable[[Callable[[], None]], object],
        broker: BrokerPort | None = None,
    ) -> None:
        """Takes the kept plans in. `left` is told the keys that remain after a version has gone.

        `later` calls back soon: a thousand plans that come together are written a few times. `broker`: the
        message broker, if one is configured.
        """
        self._broker = broker
        self._notes: dict[str, JournalNote | None] = {}
        self._plans, self._outbox, self._path, self._left = plans, outbox, path, left
        self._later, self._unwritten = later, False
        self._sources = {source.key: source for source in read_plans(path)}
        refused = plans.replace(self._sources.values())
        for key, cause in refused.items():
            log.warning("plan refused", plan=key, cause=cause)
            del self._sources[key]
        for source in self._sources.values():
            self._take_in(source)

    def submit(self, command: agent_pb2.Load | agent_pb2.Unload) -> None:
        """Takes a plan in, or lets it go, and reports that."""
        if isinstance(command, agent_pb2.Unload):
            self._unload(command)
        else:
            self._load(command)
        if not self._unwritten:
            self._unwritten = True
            self._later(self.keep)

    def keep(self) -> None:
        """Writes the file, if it is not up to date."""
        if self._unwritten:
            self._unwritten = False
            write_plans(self._path, self._sources.values())

    def renew(self) -> None:
        """Reports the plans again whose notes about the journal have changed."""
        for key, source in self._sources.items() if self._broker is not None else ():
            if self._notes.get(key) != self._note(source):
                self._loaded(source)

    def evict(self, command: agent_pb2.Evict) -> None:
        """Does nothing: plans never leave memory by themselves."""

    def used(self, server_names: Iterable[str]) -> None:
        """Does nothing: all plans stay in memory."""

    def remember(self, idle: Iterable[str], awaited: Iterable[str]) -> None:
        """Does nothing: all plans stay in memory."""

    def _load(self, command: agent_pb2.Load) -> None:
        version = command.version
        text = next((each.value for each in command.source.parameters if each.name == SPEC_PARAMETER), "")
        if not version.name.endswith(PIPELINE_ENDING) or not text:
            words = "a pipeline gateway runs Pipelines and no Models: name another Server"
            self._report(version, agent_pb2.MODEL_STATE_FAILED, _NO_PLAN, words)
            return
        name = version.name.removesuffix(PIPELINE_ENDING)
        source = PlanSource(name, version.number, msgspec.json.decode(text), version.identity)
        refused = self._plans.put(source)
        if refused:
            log.warning("plan refused", plan=source.key, cause=refused)
            self._report(version, agent_pb2.MODEL_STATE_FAILED, _REFUSED, refused)
            return
        self._sources[source.key] = source
        log.info("plan loaded", plan=source.key)
        self._take_in(source)

    def _unload(self, command: agent_pb2.Unload) -> None:
        version = command.version
        key = server_name_of(version.name, version.number)
        known = self._sources.get(key)
        if known is not None and known.identity == version.identity:
            del self._sources[key]
            self._let_go(known, deleted=command.deleted)
            self._left(self._plans.keys)
            log.info("plan unloaded", plan=key)
        self._report(version, agent_pb2.MODEL_STATE_UNLOADED)

    def _take_in(self, source: PlanSource) -> None:
        served = self._plans.get(source.key)
        if self._broker is not None and served is not None:
            self._broker.planned(served)
        self._loaded(source)

    def _let_go(self, source: PlanSource, *, deleted: bool) -> None:
        served = self._plans.get(source.key)
        self._plans.take_out(source.key)
        self._notes.pop(source.key, None)
        if self._broker is None or served is None:
            return
        left = self._plans.newest(source.name)
        if left is None:
            self._broker.gone(source.name, clean=deleted and served.cleans_topics)
        else:
            self._broker.planned(left)

    def _note(self, source: PlanSource) -> JournalNote | None:
        return self._broker.note(source.name) if self._broker is not None else None

    def _loaded(self, source: PlanSource) -> None:
        """Reports a plan that is loaded, with the note about its journal."""
        note = self._notes[source.key] = self._note(source)
        report = agent_pb2.ModelReport(
            version=_version(source), state=agent_pb2.MODEL_STATE_LOADED, workers=1
        )
        if note is not None:
            report.journal.CopyFrom(agent_pb2.Journal(kept=note.kept, words=note.words))
        self._outbox.publish(report)

    def _report(
        self,
        version: agent_pb2.ModelVersion,
        state: agent_pb2.ModelState,
        reason: str = "",
        message: str = "",
    ) -> None:
        self._outbox.publish(
            agent_pb2.ModelReport(version=version, state=state, reason=reason, message=message, workers=1)
        )


def _version(source: PlanSource) -> agent_pb2.ModelVersion:
    return agent_pb2.ModelVersion(
        name=f"{source.name}{PIPELINE_ENDING}", identity=source.identity, number=source.number
    )

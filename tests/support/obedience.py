"""Replicas in memory whose truth is their own: commands wait at each, are lost or obeyed.

What `fleet.Agents` reports is set by a test; here it follows from what was obeyed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from tests.support.fleet import FAILED, LOADED, LOADING, UNLOADING, Agents

from bailie.control.agent_port import LoadCommand, ModelReport, UnloadCommand


class ObedientAgents(Agents):
    """`inventory` has what each replica has, connected or not; `waiting` what it was told and has not obeyed.

    `sent` are (replica, command) pairs.
    """

    def __init__(self, replicas, memory):
        super().__init__()
        self.memory = memory
        self.inventory = {key: {} for key in replicas}
        self.waiting = {key: deque() for key in replicas}
        self.fields = {key: {} for key in replicas}

    def send(self, replica, command):
        if replica not in self.connected:
            return False
        same = (command.version, command.number)
        kept = [each for each in self.waiting[replica] if (each.version, each.number) != same]
        self.waiting[replica] = deque((*kept, command))  # as a session's outbox does
        self.sent.append((replica, command))
        return True

    def join(self, replica):
        """A session with everything that is there; what was under way to the session before is lost."""
        self.waiting[replica].clear()
        given = {**self.fields[replica], "memory_bytes": self.memory, "models": self._reports(replica)}
        self.connect(replica, **given)

    def leave(self, replica):
        self.waiting[replica].clear()
        self.connected.pop(replica, None)

    def die(self, replica):
        """The server loses its models, the agent its session."""
        self.leave(replica)
        self.inventory[replica].clear()

    def set(self, replica, **fields):
        """Readiness, draining."""
        self.fields[replica] |= fields
        if replica in self.connected:
            self.change(replica, **fields)

    def lose(self, replica):
        """The next command is never obeyed."""
        if self.waiting[replica]:
            self.waiting[replica].popleft()

    def obey(self, replica):
        """Takes the next command; a load is then LOADING, an unload UNLOADING. False where there is none."""
        if not self.waiting[replica]:
            return False
        command = self.waiting[replica].popleft()
        key, mine = (command.version.model, command.number), self.inventory[replica]
        before = mine.get(key)
        if isinstance(command, LoadCommand):
            known = before and before.version == command.version and before.state in {LOADED, LOADING}
            state = before.state if known else LOADING
            self._say(replica, key, command.version, state, command.memory_bytes)
        elif isinstance(command, UnloadCommand) and before and before.version == command.version:
            self._say(replica, key, command.version, UNLOADING, before.declared_bytes)
        return True

    def finish(self, replica, *, well=True):
        """Ends what is under way: loads end well or not, unloads well."""
        for key, report in list(self.inventory[replica].items()):
            if report.state is UNLOADING:
                del self.inventory[replica][key]
            elif report.state is LOADING:
                self._say(replica, key, report.version, LOADED if well else FAILED, report.declared_bytes)
        self._tell(replica)

    def _say(self, replica, key, version, state, memory):
        self.inventory[replica][key] = ModelReport(
            version=version, number=key[1], state=state, revision=next(self._revisions), declared_bytes=memory
        )
        self._tell(replica)

    def _tell(self, replica):
        if replica in self.connected:
            found = tuple(
                sorted(self.inventory[replica].values(), key=lambda each: (each.version, each.number))
            )
            self.connected[replica] = replace(self.connected[replica], models=found)

    def _reports(self, replica):
        """With new revisions, as a session numbers what its hello says."""
        found = sorted(self.inventory[replica].values(), key=lambda each: (each.version, each.number))
        return tuple(replace(each, revision=next(self._revisions)) for each in found)

    def taken(self, replica):
        """Bytes in use and promised: what is there, and loads that wait."""
        mine = self.inventory[replica]
        found = {key: each.declared_bytes for key, each in mine.items() if each.state is not FAILED}
        for command in self.waiting[replica]:
            if isinstance(command, LoadCommand):
                found[command.version.model, command.number] = command.memory_bytes
        return sum(found.values())

    def loaded(self, version):
        """The replicas that have the version in memory, connected or not."""
        return {
            key
            for key, mine in self.inventory.items()
            if any(each.version == version and each.state is LOADED for each in mine.values())
        }

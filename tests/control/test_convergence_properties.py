"""Any history of models, commands, losses and leaders: what must never be never is, and all of it converges.

Placement, lifecycle and routing together as the engine joins them, pass by pass, without a network. The
replicas are honest but unreliable: they obey late or never, fail, vanish and come back with or without what
they had.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.support.fleet import FAILED, LOADED
from tests.support.obedience import ObedientAgents
from tests.support.passes import Pass
from tests.support.publisher import RecordingPublisher

from bailie.control.acknowledgements import GIVE_UP_SECONDS
from bailie.control.agent_port import LoadCommand, UnloadCommand
from bailie.control.fleet import ASSUMED_SECONDS
from bailie.lifecycle.version import VersionState, state_of
from bailie.placement import ReplicaId, place
from bailie.routing.table import Route

MODELS = ("a", "b", "c", "d")
SERVERS = ("mlserver", "triton")
REPLICAS = [ReplicaId(server, index) for server in SERVERS for index in range(2)]
MEMORY = 1000 << 20
SETTLING_STEPS = 300


class World(Pass):
    """A pass with replicas that obey."""

    def __init__(self):
        super().__init__()
        self.agents = ObedientAgents(REPLICAS, MEMORY)
        self.lead_anew()

    def lead_anew(self):
        """A scheduler that knows nothing, in the same world."""
        for replica in list(self.agents.connected):
            self.agents.join(replica)
        self.publisher = RecordingPublisher(prompt=False)
        self.engine = self.new_engine()


class Histories(RuleBasedStateMachine):
    """`table` is what the data plane has, `told` the newest that it was told by any leader."""

    def __init__(self):
        super().__init__()
        self.world = World()
        self.generation = 1
        self.seconds = 0.0
        self.table = self.told = None
        self.published = 0
        self.left: dict[tuple[str, str], float] = {}

    @property
    def agents(self):
        return self.world.agents

    @initialize()
    def begin(self):
        for name in SERVERS:
            self.world.server(name, 2)
        for replica in REPLICAS:
            self.agents.join(replica)

    # what people do

    @rule(
        name=st.sampled_from(MODELS),
        uri=st.sampled_from(["/x", "/y", "/z"]),
        replicas=st.sampled_from([0, 1, 1, 2, 2, 3]),
        memory=st.sampled_from(["1Mi", "400Mi", "400Mi", "700Mi"]),
    )
    def apply(self, name, uri, replicas, memory):
        self.generation += 1
        self.world.model(name, self.generation, storageUri=uri, memory=memory, replicas=replicas)

    @rule(name=st.sampled_from(MODELS))
    def delete(self, name):
        self.world.models.pop(name, None)

    @rule(name=st.sampled_from(SERVERS), replicas=st.integers(0, 2))
    def scale_server(self, name, replicas):
        self.world.server(name, replicas)

    # what happens to replicas

    @rule(replica=st.sampled_from(REPLICAS), count=st.integers(1, 4))
    def obey(self, replica, count):
        for _ in range(count):
            self.agents.obey(replica)

    @rule(replica=st.sampled_from(REPLICAS), well=st.sampled_from([True, True, True, False]))
    def finish(self, replica, well):
        self.agents.finish(replica, well=well)

    def all_obey(self):
        for replica in REPLICAS:
            while self.agents.obey(replica):
                pass
            self.agents.finish(replica)

    @rule(
        replica=st.sampled_from(REPLICAS),
        how=st.sampled_from(["lose", "leave", "die", "join"]),
    )
    def disturb(self, replica, how):
        """A command is lost, the session breaks, the server dies with its models, the agent says hello."""
        getattr(self.agents, how)(replica)

    @rule(replica=st.sampled_from(REPLICAS), ready=st.booleans(), draining=st.booleans())
    def change(self, replica, ready, draining):
        self.agents.set(replica, server_ready=ready, draining=draining)

    @rule()
    def recover(self):
        for replica in REPLICAS:
            self.agents.set(replica, server_ready=True, draining=False)
            if replica not in self.agents.connected:
                self.agents.join(replica)

    # what happens to the data plane and to schedulers

    @rule(back=st.integers(0, 2))
    def acknowledge(self, back):
        tables = self.world.publisher.tables
        newest = max(len(tables) - back, self.world.publisher.acknowledged)
        if newest:
            self.table = tables[newest - 1]
            self.world.publisher.acknowledge(newest)

    @rule()
    def all_go_on(self):
        self.all_obey()
        self.acknowledge(0)

    @rule()
    def lose_the_leader(self):
        self.world.lead_anew()
        self.published = 0

    # a pass, and what must hold at each

    @rule(seconds=st.sampled_from([0.5, 1.5, 4.0, 11.0, 31.0]))
    def wait(self, seconds):
        """What an agent has not taken in all this time went with its session."""
        self.seconds = seconds
        if seconds >= ASSUMED_SECONDS:
            for waiting in self.agents.waiting.values():
                waiting.clear()

    @invariant()
    def a_pass_does_no_harm(self):
        self.step(self.seconds)
        self.seconds = 0.0

    def step(self, seconds):
        before = {replica: self.agents.taken(replica) for replica in REPLICAS}
        sent = self.world.step(seconds)
        self._note_published()
        self._memory_holds(sent, before)
        self._nothing_is_unloaded_that_serves(sent)
        self._ready_means_served()

    def _note_published(self):
        """When a version left the newest table; the data plane may still have it."""
        tables, now = self.world.publisher.tables, self.world.time
        for table in tables[self.published :]:
            self._never_gives_up_what_serves(self.told, table)
            self.told = table
        self.published = len(tables)
        routed = self._routed(tables[-1]) if tables else set()
        for where in self._routed(self.table) - routed:
            self.left.setdefault(where, now)
        for where in routed:
            self.left.pop(where, None)

    def _never_gives_up_what_serves(self, before, after):
        """A route is not taken from a model that is wanted while what it leads to answers."""
        for name, entry in (before.entries if before else {}).items():
            model = self.world.models.get(name)
            if model and model["spec"]["replicas"] and isinstance(entry, Route):
                answers = [
                    where for where in _seats(entry) if self._answers(*where) and self._is_ready(where[1])
                ]
                assert not answers or isinstance(after.entries.get(name), Route), f"{name} answered"

    def _is_ready(self, replica):
        found = self.agents.connected.get(replica)
        return found is not None and found.server_ready

    def _answers(self, inside, replica):
        found = self.agents.connected.get(replica)
        reports = found.models if found else ()
        return any(
            f"{each.version.model}_{each.number}" == inside and each.state is LOADED for each in reports
        )

    def _memory_holds(self, sent, before):
        loads = {replica for replica, command in sent if isinstance(command, LoadCommand)}
        for replica in loads:
            used = self.agents.taken(replica)
            assert used <= max(MEMORY, before[replica]), f"{used >> 20} MiB on {replica}"

    def _nothing_is_unloaded_that_serves(self, sent):
        for replica, command in sent:
            if isinstance(command, UnloadCommand):
                where = f"{command.version.model}_{command.number}", replica
                newest = self._routed(self.world.publisher.tables[-1])
                assert where not in newest, f"{where} is in the newest route"
                # A load that was only just sent may be called off: requests that come there find nothing.
                if where in self._routed(self.table) and self._answers(*where):
                    waited = self.world.time - self.left[where]
                    assert waited >= GIVE_UP_SECONDS, (
                        f"{where} is unloaded {waited} s after it left its route"
                    )

    def _routed(self, table):
        return {where for entry in (table.entries.values() if table else ()) for where in _seats(entry)}

    def _ready_means_served(self):
        for name, facts in self.world.engine.result.facts.items():
            if state_of(facts.version) is VersionState.AVAILABLE:
                wanted = self.world.engine.result.wanted[name]
                served = {replica for _, replica in _seats(self.table.entries[name])}
                assert served & self.agents.loaded(wanted.version), f"{name} is ready and nobody has it"

    # in the end

    def teardown(self):
        if not hasattr(self.world, "engine"):
            return
        self.recover()
        quiet = 0
        for _ in range(SETTLING_STEPS):
            self.all_go_on()
            count = len(self.world.publisher.tables)
            seconds = 1.0 if quiet < 5 else 100.0  # beyond every back-off and every wait
            self.step(seconds)
            news = any(self.agents.waiting.values()) or len(self.world.publisher.tables) > count
            quiet = 0 if news else quiet + 1
            if quiet == 10:
                break
        assert quiet == 10, "it does not come to rest"
        self._everything_is_as_planned()

    def _everything_is_as_planned(self):
        result = self.world.engine.result
        plan = place(result.snapshot)
        assert plan == result.plan
        for name in self.world.models:
            version, facts = result.wanted[name].version, result.facts[name]
            found = plan.assignments.get(version)
            planned = {ReplicaId(found.server, index) for index in found.replicas} if found else set()
            loaded = self.agents.loaded(version)
            routed = {replica for _, replica in _seats(self.table.entries[name])}
            # What finds no where leaves its older version, or itself, where it is.
            assert planned in (loaded, set()), f"{name} is loaded on {loaded}, planned on {planned}"
            assert routed == (loaded or routed), f"{name} is loaded on {loaded}, routed to {routed}"
            assert (state_of(facts.version) is VersionState.AVAILABLE) == bool(loaded), name
        for replica, mine in self.agents.inventory.items():
            for (model, number), report in mine.items():
                where = f"{model}_{number}", replica
                assert report.state is FAILED or where in self._routed(self.table), f"{where} is left over"


def _seats(entry):
    """Every (server-side name, replica) of a route."""
    if not isinstance(entry, Route):
        return set()
    return {(backend.name, _id(each.name)) for backend in entry.backends for each in backend.replicas}


def _id(name):
    server, _, ordinal = name.rpartition("-")
    return ReplicaId(server, int(ordinal))


Histories.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHistories = Histories.TestCase

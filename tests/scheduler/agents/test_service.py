"""The agents' server over real gRPC on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import sys

import grpc
import pytest
import structlog
from google.protobuf.internal.encoder import _VarintBytes
from structlog.testing import capture_logs
from tests.support.agents import MIB, TOKEN, connected, hello, report, status
from tests.support.simulator import SimulatedReplica
from tests.support.timelapse import TimelapseLoop
from tests.support.waiting import DEADLINE

from bailie._gen import agent_pb2 as pb
from bailie.api.model import Model
from bailie.control.agent_port import LoadCommand, ModelReport, UnloadCommand
from bailie.kube.token import TokenFile
from bailie.lifecycle.copies import CopyState
from bailie.placement.snapshot import ReplicaId, VersionId
from bailie.scheduler.agents.greetings import MOST_CALLS
from bailie.scheduler.agents.hello_parts import hello_parts
from bailie.scheduler.agents.service import AgentService
from bailie.scheduler.agents.serving import serve_agents
from bailie.scheduler.agents.session import AgentSession

FIRST = ReplicaId("mlserver", 0)
IRIS = VersionId("iris", "abc")


def at(address="127.70.0.1", http_port=9000, grpc_port=9500):
    return pb.Endpoint(address=address, http_port=http_port, grpc_port=grpc_port)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def service(token_file):
    return AgentService("a", TokenFile(token_file), "127.0.0.1")


@pytest.fixture
async def port(service):
    service.lead(7)
    async with serve_agents(service, "127.0.0.1", 0) as port:
        yield port


async def until(service, condition, seconds=DEADLINE):
    """Waits for a change of the replicas after which the condition holds; returns the replicas."""
    changed = asyncio.Event()
    unsubscribe = service.subscribe(changed.set)
    try:
        async with asyncio.timeout(seconds):
            while not condition(service.replicas()):
                await changed.wait()
                changed.clear()
    finally:
        unsubscribe()
    return service.replicas()


def iris(**spec):
    manifest = {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "iris", "namespace": "a", "uid": "u", "generation": 1},
        "spec": {"storageUri": "/models/iris", "requirements": ["sklearn"], **spec},
    }
    model, problems = Model.parse(manifest)
    assert model is not None, problems
    return model


def load(number=1, **spec):
    return LoadCommand(version=IRIS, number=number, model=iris(**spec), memory_bytes=MIB)


async def test_a_hello_is_welcomed_with_the_epoch_and_its_replica_is_seen(service, port):
    inventory = [report(), report("wine", "def", 2, pb.MODEL_STATE_EVICTED), report("old", "x", 1, 5)]
    async with connected(port) as agent:
        await agent.say(hello(inventory=inventory))
        assert (await agent.heard()).welcome.epoch == 7
        replica = service.replicas()[FIRST]
    assert (replica.pod, replica.address, replica.http_port, replica.grpc_port) == (
        "mlserver-0",
        "127.70.0.1",
        9000,
        9500,
    )
    assert replica.capabilities == ("mlserver", "sklearn")
    assert (replica.memory_bytes, replica.overcommit_percent, replica.server_ready) == (1024 * MIB, 10, True)
    assert [(model.version.model, model.number, model.state) for model in replica.models] == [
        ("iris", 1, CopyState.LOADED),
        ("wine", 2, CopyState.EVICTED),
    ]


async def test_agents_are_told_where_spans_go_at_the_welcome_and_at_each_change(service, port):
    async with connected(port) as agent:
        await agent.say(hello())
        assert (await agent.heard()).welcome.tracing.collector == ""
        service.trace_to("c:4317")
        service.trace_to("c:4317")
        service.trace_to("d:4317")
        assert (await agent.heard()).tracing.collector == "d:4317"
        service.trace_to("")
        heard = await agent.heard()
        assert (heard.WhichOneof("message"), heard.tracing.collector) == ("tracing", "")
    service.trace_to("e:4317")
    async with connected(port) as agent:
        await agent.say(hello())
        assert (await agent.heard()).welcome.tracing.collector == "e:4317"


def models_of(message):
    assert message.WhichOneof("message") == "models"
    return message.models.whole, set(message.models.came), set(message.models.gone)


async def test_pipeline_gateways_are_told_the_names_of_models_and_agents_are_not(service, port):
    gateway = hello("gateway", capabilities=["pipelines"])
    async with connected(port, gateway) as early, connected(port, hello(replica=1)) as agent:
        service.tell_models({"a", "b"}, set())
        assert models_of(await early.heard()) == (True, {"a", "b"}, set())
        service.tell_models({"a"}, set())
        service.tell_models({"c"}, {"b", "unknown"})
        service.tell_models(set(), {"c"})
        assert models_of(await early.heard()) == (False, set(), {"b", "c"})
        service.trace_to("c:4317")
        assert (await agent.heard()).WhichOneof("message") == "tracing", "an agent hears of no Models"
    async with connected(port, gateway) as late:
        assert (await late.heard()).WhichOneof("message") == "models"
    service.stand_down()
    service.lead(8)
    async with connected(port, gateway) as next_term:
        service.tell_models(set(), set())
        assert models_of(await next_term.heard()) == (True, set(), set())


@pytest.mark.parametrize(
    ("greeting", "code", "words"),
    [
        (hello(protocol=2), grpc.StatusCode.FAILED_PRECONDITION, "speaks protocol 1, the agent 2"),
        (hello(namespace="b"), grpc.StatusCode.INVALID_ARGUMENT, "serves namespace 'a', not 'b'"),
        (hello(server=""), grpc.StatusCode.INVALID_ARGUMENT, "'' cannot be the name"),
        (hello(pod="mlserver-1"), grpc.StatusCode.INVALID_ARGUMENT, "is pod 'mlserver-0', not 'mlserver-1'"),
        (hello(endpoint=pb.Endpoint()), grpc.StatusCode.INVALID_ARGUMENT, "'', which is no IP address"),
        (hello(endpoint=at("mlserver-0")), grpc.StatusCode.INVALID_ARGUMENT, "is no IP address"),
        (
            hello(endpoint=at(http_port=0)),
            grpc.StatusCode.INVALID_ARGUMENT,
            "HTTP port is 0, which is no port",
        ),
        (hello(endpoint=at(grpc_port=70000)), grpc.StatusCode.INVALID_ARGUMENT, "gRPC port is 70000"),
        (
            hello(endpoint=pb.Endpoint(address="::1", http_port=1, grpc_port=1, held_grpc_port=70000)),
            grpc.StatusCode.INVALID_ARGUMENT,
            "are no ports",
        ),
        (hello("a/b"), grpc.StatusCode.INVALID_ARGUMENT, "'a/b' cannot be the name of a Server"),
        (report(), grpc.StatusCode.INVALID_ARGUMENT, "begins with a hello"),
    ],
    ids=[
        "protocol",
        "namespace",
        "server",
        "pod",
        "endpoint",
        "address",
        "no port",
        "port",
        "held port",
        "server's name",
        "no hello",
    ],
)
async def test_a_hello_that_cannot_be_is_refused_in_words(service, port, greeting, code, words):
    async with connected(port) as agent:
        await agent.say(greeting)
        ended, details = await agent.ended()
    assert ended is code
    assert words in details
    assert service.replicas() == {}


@pytest.mark.parametrize(
    ("token", "code"),
    [("wrong", grpc.StatusCode.PERMISSION_DENIED), (None, grpc.StatusCode.UNAUTHENTICATED)],
)
async def test_a_wrong_token_is_refused(port, token, code):
    async with connected(port, token=token) as agent:
        ended, details = await agent.ended()
    assert ended is code
    assert TOKEN not in details


async def test_a_rotated_token_counts_at_once_and_a_missing_file_is_not_the_agents_fault(port, token_file):
    token_file.write_text("new")
    async with connected(port, hello(), token="new"):
        pass
    token_file.unlink()
    async with connected(port, token="new") as agent:
        assert (await agent.ended())[0] is grpc.StatusCode.UNAVAILABLE


async def test_who_does_not_lead_sends_agents_on(service, port):
    async with connected(port, hello()) as agent:
        service.stand_down()
        assert (await agent.ended())[0] is grpc.StatusCode.UNAVAILABLE
        assert service.replicas() == {}
        assert not service.send(FIRST, load())
    async with connected(port) as agent:
        code, details = await agent.ended()
        assert (code, details) == (
            grpc.StatusCode.UNAVAILABLE,
            "this scheduler does not lead; try the next address",
        )
    service.lead(9)
    async with connected(port) as agent:
        await agent.say(hello())
        assert (await agent.heard()).welcome.epoch == 9


async def test_a_load_carries_the_spec_and_the_epoch(service, port):
    spec = {
        "artifactVersion": 3,
        "secretName": "s3",
        "modelType": "xgboost",
        "parameters": [{"name": "p", "value": "v"}],
        "explainer": {"type": "anchor_tabular", "modelRef": "income"},
    }
    async with connected(port, hello()) as agent:
        assert service.send(FIRST, load(2, **spec))
        got = (await agent.heard()).load
    assert (got.epoch, got.version.name, got.version.identity, got.version.number) == (7, "iris", "abc", 2)
    assert got.memory_bytes == MIB
    source = got.source
    assert (source.storage_uri, source.artifact_version, source.secret_name) == ("/models/iris", 3, "s3")
    assert list(source.requirements) == ["sklearn", "xgboost"]
    assert [(item.name, item.value) for item in source.parameters] == [("p", "v")]
    assert (source.explainer.type, source.explainer.model_ref) == ("anchor_tabular", "income")
    assert not source.HasField("llm")


async def test_what_is_not_in_the_spec_is_not_in_the_load(service, port):
    async with connected(port, hello()) as agent:
        service.send(FIRST, load(llm={"pipelineRef": "chain"}))
        source = (await agent.heard()).load.source
    assert not source.HasField("artifact_version")
    assert not source.HasField("explainer")
    assert source.llm.pipeline_ref == "chain"


async def test_the_newest_command_for_a_version_replaces_one_that_has_not_left(service, port):
    other = UnloadCommand(version=VersionId("wine", "def"), number=4)
    async with connected(port, hello()) as agent:
        service.send(FIRST, load())
        service.send(FIRST, other)
        service.send(FIRST, UnloadCommand(version=IRIS, number=1, deleted=True))
        heard = [(await agent.heard()).unload for _ in range(2)]
    assert [(each.version.name, each.deleted) for each in heard] == [("wine", False), ("iris", True)]


async def test_the_newest_word_about_a_place_in_memory_goes_out_with_the_epoch(service, port):
    async with connected(port) as agent:
        await agent.say(hello())
        await agent.heard()
        service.note_memory(ReplicaId("mlserver", 9), ["iris_1"], [])
        service.note_memory(FIRST, ["iris_1", "wine_2"], [])
        service.note_memory(FIRST, ["zoo_1"], ["wine_2"])
        told = (await agent.heard()).memory
    assert (told.epoch, list(told.idle), list(told.awaited)) == (7, ["iris_1", "zoo_1"], ["wine_2"])


async def test_the_note_about_a_journal_is_one_bounded_line(service, port):
    async with connected(port, hello()) as agent:
        await agent.say(report(journal=pb.Journal(kept=True, words="a\nb" * 1000)))
        seen = await until(service, lambda replicas: replicas[FIRST].models)
        note = seen[FIRST].models[0].journal
        assert note.kept
        assert "\n" not in note.words
        assert len(note.words) < 1000
        await agent.say(report())
        await until(service, lambda replicas: replicas[FIRST].models[0].journal is None)


async def test_reports_and_status_change_what_is_seen(service, port):
    async with connected(port, hello()) as agent:
        await agent.say(
            report(state=pb.MODEL_STATE_FAILED, reason="ArtifactNotFound", message="no such path")
        )
        seen = await until(service, lambda replicas: replicas[FIRST].models)
        first = seen[FIRST].models[0]
        assert (first.state, first.reason, first.message) == (
            CopyState.FAILED,
            "ArtifactNotFound",
            "no such path",
        )
        await agent.say(
            report(state=pb.MODEL_STATE_FAILED, reason="ArtifactNotFound", message="no such path")
        )
        await until(service, lambda replicas: replicas[FIRST].models[0].revision > first.revision)
        await agent.say(report(state=pb.MODEL_STATE_UNLOADED))
        await until(service, lambda replicas: not replicas[FIRST].models)
        await agent.say(status(memory=2048 * MIB, draining=True))
        seen = await until(service, lambda replicas: replicas[FIRST].draining)
        assert seen[FIRST].memory_bytes == 2048 * MIB


async def test_a_status_that_says_nothing_new_is_no_change(service, port):
    async with connected(port, hello()) as agent:
        changes = []
        service.subscribe(lambda: changes.append(1))
        await agent.say(status())
        await agent.say(report())
        await until(service, lambda replicas: replicas[FIRST].models)
    assert len(changes) == 1


async def test_a_snapshot_does_not_change_afterwards(service, port):
    async with connected(port, hello()):
        before = service.replicas()
        async with connected(port, hello(replica=1)):
            assert list(service.replicas()) == [FIRST, ReplicaId("mlserver", 1)]
        assert list(before) == [FIRST]


async def test_a_newer_session_replaces_the_older(service, port):
    async with connected(port, hello(inventory=[report()])) as older:
        first = service.replicas()[FIRST].session
        async with connected(port, hello()):
            assert (await older.ended())[0] is grpc.StatusCode.ABORTED
            replica = service.replicas()[FIRST]
            assert replica.session > first
            assert replica.models == ()


async def test_a_session_that_lives_is_not_taken_by_a_newcomer_from_another_address(service, port):
    async with connected(port, hello(endpoint=at("127.70.0.1"))) as one:
        for other in (at("127.70.0.2"), at(http_port=9001), at(grpc_port=9501)):
            async with connected(port) as newcomer:
                await newcomer.say(hello(endpoint=other))
                code, words = await newcomer.ended()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert words == "mlserver-0 at 127.70.0.1 is connected and alive: it keeps its session"
        assert service.replicas()[FIRST].http_port == 9000
        assert service.send(FIRST, load())
        assert (await one.heard()).load.version.name == "iris"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_replaced_pod_with_a_new_address_is_taken_within_seconds(service, port, how):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT_PROCESS, str(port), stdout=asyncio.subprocess.PIPE
    )
    newcomer = SimulatedReplica(port, endpoint=at("127.70.0.99"))
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"connected\n"
        os.kill(process.pid, how)
        async with newcomer.running():
            await until(service, lambda found: found.get(FIRST) and found[FIRST].address == "127.70.0.99", 8)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_one_address_speaks_for_one_replica(token_file):
    """Behind a mesh, where agents call from a loopback address and have others."""
    service = AgentService("a", TokenFile(token_file), "10.0.0.9")
    service.lead(7)
    async with serve_agents(service, "127.0.0.1", 0) as port:
        async with connected(port, hello(endpoint=at("10.0.0.7"))), connected(port) as second:
            await second.say(hello(replica=1, endpoint=at("10.0.0.7")))
            code, words = await second.ended()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert words == "the agent at 10.0.0.7 speaks for mlserver-0, so not for mlserver-1"
        await until(service, lambda found: not found)
        async with connected(port, hello(replica=1, endpoint=at("10.0.0.7"))):
            assert list(service.replicas()) == [ReplicaId("mlserver", 1)]


async def test_an_agent_that_comes_back_elsewhere_is_taken_once_the_old_one_is_gone(service, port):
    for number in range(3):
        async with connected(port, hello(endpoint=at(f"127.70.0.{number + 1}"))):
            assert service.replicas()[FIRST].address == f"127.70.0.{number + 1}"
        await until(service, lambda found: not found)


async def test_a_second_hello_ends_the_session(port):
    async with connected(port, hello()) as agent:
        await agent.say(hello())
        assert (await agent.ended())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_agent_that_says_goodbye_is_gone(service, port):
    async with connected(port, hello()) as agent:
        await agent.stream.done_writing()
        assert (await agent.ended())[0] is grpc.StatusCode.OK
    assert service.replicas() == {}


async def test_an_agent_that_hangs_up_is_gone(service, port):
    async with connected(port, hello()):
        pass
    await until(service, lambda replicas: not replicas)


AGENT_PROCESS = """
import asyncio, sys
from tests.support.agents import connected, hello

async def main():
    async with connected(int(sys.argv[1]), hello()):
        print("connected", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_dead_or_stopped_agent_is_noticed_without_its_word(service, port, how):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT_PROCESS, str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"connected\n"
        os.kill(process.pid, how)
        await until(service, lambda replicas: not replicas)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_port_in_use_is_said(service, port):
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with serve_agents(service, "127.0.0.1", port):
            pass


class TestFence:
    """Who does not hold the lease for certain says nothing, though nobody has told it to stand down yet."""

    @pytest.fixture
    def deposed_event(self):
        return asyncio.Event()

    @pytest.fixture
    def service(self, token_file, deposed_event):
        def leads():
            return not deposed_event.is_set()

        return AgentService("a", TokenFile(token_file), "127.0.0.1", leads)

    @pytest.fixture
    async def deposed(self, service, deposed_event):
        """Set to make the service's process one that was suspended and woke up too late."""
        event = deposed_event
        service.lead(7)
        async with serve_agents(service, "127.0.0.1", 0) as self.port:
            yield event

    async def test_a_command_is_not_sent_and_the_next_one_not_taken(self, service, deposed):
        async with connected(self.port, hello()) as agent:
            assert service.send(FIRST, load())
            deposed.set()
            assert not service.send(FIRST, load(2))
            assert (await agent.ended())[0] is grpc.StatusCode.UNAVAILABLE

    async def test_no_session_is_opened(self, service, deposed):
        deposed.set()
        # Without a hello: gRPC answers INTERNAL for a call in which it writes as the refusal comes.
        async with connected(self.port) as agent:
            assert (await agent.ended())[0] is grpc.StatusCode.UNAVAILABLE

    @pytest.mark.parametrize("epoch", [8, 2**31 - 2, 2**31, 2**64 - 1])
    async def test_an_agent_that_obeyed_a_later_epoch_is_told_this_one_and_has_no_effect(
        self, service, port, epoch
    ):
        async with connected(port, hello(replica=1)) as neighbour, connected(port) as agent:
            await agent.say(hello(epoch=epoch))
            assert (await agent.heard()).welcome.epoch == 7
            code, told = await agent.ended()
            assert code is grpc.StatusCode.UNAVAILABLE
            assert told == f"the agent has obeyed epoch {epoch}, this scheduler leads 7"
            assert list(service.replicas()) == [ReplicaId("mlserver", 1)]
            assert service.send(ReplicaId("mlserver", 1), load())
            assert (await neighbour.heard()).load.epoch == 7


async def raw(port, *messages):
    """Sends bytes as a holder of the token may, and returns what the scheduler says at the end."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/bailie.agent.v1.AgentService/Session")(
            metadata=(("authorization", f"Bearer {TOKEN}"),)
        )
        with contextlib.suppress(grpc.aio.AioRpcError):
            for message in messages:
                await call.write(message)
            while await call.read() is not grpc.aio.EOF:
                pass
        return await call.code(), await call.details()


def encoded(**fields):
    return pb.AgentMessage(**fields).SerializeToString()


def inventory(*reports):
    """A hello with reports of any bytes, each shorter than 128."""
    words = hello().SerializeToString() + b"".join(b"\x4a" + bytes([len(each)]) + each for each in reports)
    return b"\x0a" + _VarintBytes(len(words)) + words


LARGE = 60_000
IMPOSSIBLE = {
    "no message": ((b"\xff" * 40,), "no message of the agents' protocol"),
    "empty": ((b"",), "begins with a hello"),
    "later": ((encoded(hello=hello()), b"\x0a\xff"), "no message of the agents' protocol"),
    "two": ((encoded(hello=hello()) * 2,), "begins with a hello"),
    "report": ((encoded(hello=hello()).replace(b"\x0a", b"\x12", 1),), "begins with a hello"),
    "in the inventory": ((inventory(b"\x0a\xff"),), "no message of the agents' protocol"),
    "replica": ((encoded(hello=hello(replica=10**9)),), "a Server has at most 10000 replicas"),
    "capabilities": ((encoded(hello=hello(capabilities=["x"] * 300)),), "capabilities are at most 256"),
    "capability": ((encoded(hello=hello(capabilities=["x" * 300])),), "of at most 253 characters"),
    "words": ((encoded(hello=hello(capabilities=["x" * 2**20])),), "131072 bytes beside its inventory"),
    "long report": ((encoded(hello=hello(inventory=[report(message="x" * MIB)])),), "longer than 131072"),
    "long later": ((encoded(hello=hello()), encoded(report=report(message="x" * MIB))), "after the hello"),
    "zone": ((encoded(hello=hello(endpoint=at("fe80::1%eth0"))),), "is no IP address"),
    "name": ((encoded(hello=hello(inventory=[report("x" * 300)])),), "have at most 253 characters"),
    "identity": ((encoded(hello=hello()), encoded(report=report(identity="x" * 300))), "at most 253"),
    "versions": (
        lambda: (encoded(hello=hello(inventory=[report(number=n) for n in range(LARGE)])),),
        "at most 50000 versions, and this hello has more",
    ),
    "more than a message": ((b"\x12" * (17 * MIB),), "larger than max"),
    "empty reports": (lambda: (inventory(*[b""] * 1_000_000),), "at most 50000 versions"),
    "namespace": ((encoded(hello=hello(namespace="x" * 10_000)),), "serves namespace 'a'"),
}


@pytest.mark.parametrize(("messages", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
async def test_what_cannot_be_is_refused_in_words_without_a_traceback(service, port, caplog, messages, words):
    sent = messages() if callable(messages) else messages
    with capture_logs() as lines:
        code, told = await raw(port, *sent)
    assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert words in told
    assert len(told) < 1_000
    assert len([line for line in lines if line["log_level"] == "warning"]) <= 1
    assert caplog.records == []
    await until(service, lambda found: not found)


async def test_the_words_of_an_agent_are_fit_for_a_condition(service, port):
    wild = report(state=pb.MODEL_STATE_FAILED, reason="no reason\n", message="x" * 100_000)
    async with connected(port, hello(inventory=[wild])):
        [model] = service.replicas()[FIRST].models
    assert (model.reason, len(model.message)) == ("Unknown", 4096)


async def test_sessions_are_begun_at_a_bounded_rate(service, port):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(DEADLINE):
        code = None
        while code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            call = channel.stream_stream("/bailie.agent.v1.AgentService/Session")(
                metadata=(("authorization", f"Bearer {TOKEN}"),)
            )
            await call.done_writing()
            code, told = await call.code(), await call.details()
    assert told == "more than 50 sessions a second are begun from there"


async def test_one_inventory_of_an_agent_is_taken_at_a_time(port):
    """An agent that says hello again and again would keep the others out."""
    large = hello(inventory=[report(number=number) for number in range(20_000)])

    async def answered(agent):
        await agent.say(large)
        try:
            return (await agent.heard()).WhichOneof("message")
        except grpc.aio.AioRpcError as refused:
            return refused.details()

    async with connected(port) as first, connected(port) as second, connected(port) as third:
        told = await asyncio.gather(answered(first), answered(second), answered(third))
        async with connected(port) as later:
            assert await answered(later) == "welcome"
    assert sorted(told) == [*2 * ["an earlier hello of this agent is being read"], "welcome"]


class Deaf:
    """The stream of an agent that reports, and takes no message before it has to."""

    def __init__(self):
        self.has_to = asyncio.Event()

    async def read(self):
        await asyncio.sleep(10)
        return encoded(status=status())

    async def write(self, message):
        await self.has_to.wait()


def test_a_session_whose_agent_takes_no_message_ends(service):
    """It may go on to report: the commands that it does not take are loads that nobody begins."""

    async def talk():
        service.lead(7)
        parts = hello_parts(encoded(hello=hello()))
        session, stream = AgentSession(1, parts, itertools.count(1).__next__), Deaf()
        session.put(load())
        serving = asyncio.get_running_loop().create_task(service._converse(session, stream, 7))
        await asyncio.sleep(1)
        assert list(service.replicas()) == [FIRST]
        ended = await session.ended
        await asyncio.sleep(1)
        assert service.replicas() == {}
        assert not serving.done(), "gRPC tells nobody the end before the message is taken"
        stream.has_to.set()
        await serving
        return ended

    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(100)) as runner:
        ended = runner.run(talk())
    assert ended == (grpc.StatusCode.DEADLINE_EXCEEDED, "a message was not taken within 30 s")


class DeafFromTheFirst(Deaf):
    """The call of an agent that says hello, and takes no welcome before it has to."""

    def __init__(self, greeting, peer="ipv4:127.0.0.1:40000"):
        super().__init__()
        self.greeting, self.peer = greeting, lambda: peer
        self.said_hello = False
        self.aborted = None

    async def read(self):
        if self.said_hello:
            return await super().read()
        self.said_hello = True
        return self.greeting

    def invocation_metadata(self):
        return (("authorization", f"Bearer {TOKEN}"),)

    async def abort(self, code, told):
        self.aborted = code


def test_a_session_that_is_over_keeps_nothing_while_its_agent_takes_no_message(service):
    """An agent may begin one session after the other: what each of them tells is megabytes."""

    def reports():
        gc.collect()
        return sum(isinstance(each, ModelReport) for each in gc.get_objects())

    async def talk():
        service.lead(7)
        gc.freeze()  # what other tests have left takes seconds to look through
        before = reports()
        stream = DeafFromTheFirst(encoded(hello=hello(inventory=[report(f"m{n}") for n in range(50)])))
        serving = asyncio.get_running_loop().create_task(service.Session(None, stream))
        await asyncio.sleep(1)
        assert len(service.replicas()[FIRST].models) == 50
        await asyncio.sleep(60)
        assert service.replicas() == {}
        assert reports() == before
        assert not serving.done(), "gRPC tells nobody the end before the message is taken"
        stream.has_to.set()
        await serving
        return stream.aborted

    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(100)) as runner:
        assert runner.run(talk()) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_agent_that_takes_no_message_has_few_calls_at_a_time(service):
    """Each hello ends the session before it, and the call of that goes on."""
    deaf, address = [], "10.0.0.9"

    async def talk():
        service.lead(7)
        said = encoded(hello=hello(endpoint=at(address)))
        for _ in range(MOST_CALLS + 2):
            deaf.append(DeafFromTheFirst(said, f"ipv4:{address}:40000"))
            asyncio.get_running_loop().create_task(service.Session(None, deaf[-1]))
            await asyncio.sleep(0.2)
        refused = [each.aborted for each in deaf]
        other = DeafFromTheFirst(encoded(hello=hello(replica=1, endpoint=at("10.0.0.8"))), "ipv4:10.0.0.8:1")
        asyncio.get_running_loop().create_task(service.Session(None, other))
        await asyncio.sleep(1)
        assert set(service.replicas()) == {FIRST, ReplicaId("mlserver", 1)}
        for each in (*deaf, other):
            each.has_to.set()
        await asyncio.sleep(1)
        return refused

    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(100)) as runner:
        refused = runner.run(talk())
    assert refused == [None] * MOST_CALLS + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2


def test_an_agent_of_a_later_epoch_that_takes_no_welcome_is_kept_in_no_memory(service):
    """Its hello, which has megabytes, would stay for as long as the agent lives."""

    def sessions():
        gc.collect()
        return [each for each in gc.get_objects() if isinstance(each, AgentSession)]

    async def talk():
        service.lead(7)
        gc.freeze()  # what other tests have left takes seconds to look through
        stream = DeafFromTheFirst(encoded(hello=hello(epoch=8)))
        with structlog.testing.capture_logs() as logs:
            serving = asyncio.get_running_loop().create_task(service.Session(None, stream))
            await asyncio.sleep(1)
            assert sessions() == []
            await asyncio.sleep(60)
        assert not serving.done(), "gRPC tells nobody the end before the message is taken"
        stream.has_to.set()
        await serving
        return [(each["event"], each["cause"]) for each in logs], stream.aborted

    with asyncio.Runner(loop_factory=lambda: TimelapseLoop(100)) as runner:
        told, aborted = runner.run(talk())
    assert told == [("agent takes no message", "a message was not taken within 30 s")]
    assert aborted is grpc.StatusCode.UNAVAILABLE

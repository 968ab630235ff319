"""The session with the scheduler: who leads, what is sent when, what is refused."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from tests.agent.scheduler import WAIT_SECONDS, SchedulerStandIn
from tests.support.mlserver import free_port
from tests.support.timelapse import TimelapseLoop
from tests.support.waiting import until

from bailie._gen import agent_pb2 as pb
from bailie.agent.outbox import Outbox
from bailie.agent.session import SchedulerSession, _Lost
from bailie.agent.settings import Settings
from bailie.pipelinegateway.model_names import ModelNames
from bailie.tracing.tracer import Tracer

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.agent.models import Models

FACTOR = 20
"""Seconds of a hurried loop in one second."""


class Commands:
    """Takes commands as Models does and does nothing."""

    def __init__(self) -> None:
        self.taken: list[pb.Load | pb.Unload] = []

    def submit(self, command: pb.Load | pb.Unload) -> None:
        self.taken.append(command)


def replica(port: int, **changes) -> Settings:
    return Settings(
        namespace="a",
        pod="mlserver-0",
        server="mlserver",
        replica=0,
        scheduler_port=port,
        **{"scheduler_host": "127.0.0.1", "status_seconds": 0.1, **changes},
    )


def session_of(settings: Settings) -> SchedulerSession:
    models: Models = Commands()  # type: ignore[assignment]
    return SchedulerSession(
        settings=settings,
        models=models,
        outbox=Outbox(pb.ReplicaStatus(memory_bytes=9)),
        endpoint=pb.Endpoint(),
        tracer=Tracer("seldon-agent", "a", "mlserver-0"),
    )


@asynccontextmanager
async def dialling(settings: Settings):
    session = session_of(settings)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(session.run())
        yield session
        task.cancel()


@asynccontextmanager
async def leading(host: str = "127.0.0.1", port: int = 0, **how):
    scheduler = SchedulerStandIn(**how)
    await scheduler.start(host, port)
    try:
        yield scheduler
    finally:
        await scheduler.stop()


def report(number: int, state: pb.ModelState = pb.MODEL_STATE_LOADED) -> pb.ModelReport:
    return pb.ModelReport(version=pb.ModelVersion(name="iris", identity="x", number=number), state=state)


def load(epoch: int) -> pb.Load:
    return pb.Load(epoch=epoch, version=pb.ModelVersion(name="iris", identity="x", number=epoch))


async def test_status_comes_again_and_again():
    async with leading() as scheduler, dialling(replica(scheduler.port)):
        await scheduler.until(lambda: len(scheduler.statuses) >= 3)
        assert scheduler.statuses[-1].memory_bytes == 9


async def test_newest_report_per_version_is_sent():
    async with leading() as scheduler, dialling(replica(scheduler.port)) as session:
        await scheduler.connected()
        for state in (pb.MODEL_STATE_LOADING, pb.MODEL_STATE_LOADED, pb.MODEL_STATE_UNLOADED):
            session.outbox.publish(report(1, state))
        session.outbox.publish(report(2))
        await scheduler.until(lambda: len(scheduler.reports) == 2)
        assert [(r.version.number, r.state) for r in scheduler.reports] == [
            (1, pb.MODEL_STATE_UNLOADED),
            (2, pb.MODEL_STATE_LOADED),
        ]
        assert session.outbox.inventory() == [report(2)]


async def test_next_scheduler_gets_the_whole_inventory():
    port = free_port()
    async with dialling(replica(port)) as session:
        async with leading(port=port) as first:
            await first.connected()
            session.outbox.publish(report(1))
            await first.until(lambda: first.reports)
        await until(lambda: not session.connected.is_set())
        session.outbox.publish(report(2))
        session.outbox.publish(report(3, pb.MODEL_STATE_UNLOADED))
        async with leading(port=port, epoch=2) as second:
            hello = (await second.connected()).hello
            assert [r.version.number for r in hello.inventory] == [1, 2]
            assert hello.epoch == 1
            await until(lambda: session.epochs.seen == 2)


async def test_lost_session_is_dialled_again():
    port = free_port()
    async with dialling(replica(port)) as session:
        async with leading(port=port) as first:
            await first.connected()
        async with leading(port=port) as second:
            await second.connected()
        assert session.welcomed


async def test_address_that_does_not_lead_is_passed_over(tmp_path: Path):
    hosts = tmp_path / "a" / "seldon-scheduler.hosts"
    hosts.parent.mkdir()
    port = free_port()
    hosts.write_text("127.0.0.2\n127.0.0.3\n127.0.0.4\n")
    settings = replica(port, scheduler_host="seldon-scheduler", endpoints_dir=tmp_path)
    async with leading("127.0.0.3", port) as standby, leading("127.0.0.4", port) as leader:
        standby.leads = False
        async with dialling(settings):
            await leader.connected()
            assert standby.refused
            assert not standby.connections


async def test_a_leader_that_hangs_does_not_keep_us_from_the_next(tmp_path: Path):
    """A stopped process: its port still accepts connections, and nothing comes of them."""
    hosts = tmp_path / "a" / "seldon-scheduler.hosts"
    hosts.parent.mkdir()
    hosts.write_text("127.0.0.2\n127.0.0.3\n")
    port = free_port()
    settings = replica(port, scheduler_host="seldon-scheduler", endpoints_dir=tmp_path)
    silent = asyncio.Event()

    async def hang(_, writer):
        await silent.wait()
        writer.close()

    async with leading("127.0.0.3", port) as standby, dialling(settings):
        standby.leads = False
        async with leading("127.0.0.2", port) as first:
            await first.connected()
        async with await asyncio.start_server(hang, "127.0.0.2", port):
            await until(lambda: standby.refused)
            standby.leads, standby.epoch = True, 2
            await standby.until(lambda: standby.connections, seconds=3.0)
            silent.set()


async def test_a_scheduler_that_never_welcomes_is_said_to_be_none():
    over, closed = asyncio.Event(), asyncio.Event()

    async def hang(_, writer):
        await over.wait()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(_Lost, match=r"^no welcome within 0\.2 s$"):
            await session_of(replica(port))._attempt(f"127.0.0.1:{port}", 0.2)
        over.set()
        await closed.wait()


class ReadsNothing(SchedulerStandIn):
    """A leader whose process hangs, or whose machine is too busy, while its kernel and gRPC answer pings."""

    async def _listen(self, requests, connection) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def reading_nothing():
    scheduler = ReadsNothing()
    await scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.stop()


def test_a_leader_that_reads_nothing_does_not_keep_the_session():
    async def session_is_begun_anew():
        async with reading_nothing() as scheduler, dialling(replica(scheduler.port)) as session:
            await scheduler.connected()
            for number in range(64):  # more than a stream's window
                version = report(number).version
                session.outbox.publish(pb.ModelReport(version=version, message="x" * (100 << 10)))
            async with asyncio.timeout(WAIT_SECONDS * FACTOR):
                await scheduler.until(lambda: len(scheduler.connections) > 1, WAIT_SECONDS * FACTOR)

    with capture_logs() as logs, asyncio.Runner(loop_factory=lambda: TimelapseLoop(FACTOR)) as runner:
        runner.run(session_is_begun_anew())
    assert "the scheduler took no message within 10 s" in [each.get("error") for each in logs]


class LosesMessages:
    """A call whose connection gives a message up by itself."""

    async def write(self, message) -> None:
        raise TimeoutError("the network's")


async def test_a_message_that_the_network_has_lost_ends_the_session():
    session = session_of(replica(0))
    session.outbox.publish(report(1))
    with pytest.raises(TimeoutError, match="the network's"):
        async with asyncio.timeout(WAIT_SECONDS):
            await session._tell(LosesMessages())


async def test_addresses_are_looked_up_afresh(tmp_path: Path):
    hosts = tmp_path / "a" / "seldon-scheduler.hosts"
    hosts.parent.mkdir()
    async with leading() as scheduler:
        settings = replica(scheduler.port, scheduler_host="seldon-scheduler", endpoints_dir=tmp_path)
        async with dialling(settings) as session:
            assert session.trouble() == "no session with seldon-scheduler yet"
            hosts.write_text("127.0.0.1\n")
            await scheduler.connected()
            await until(lambda: session.trouble() is None)


async def test_an_agent_that_nobody_takes_in_says_what_it_was_told(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("bad\n")
    async with (
        leading(token="good") as scheduler,
        dialling(replica(scheduler.port, token_file=token)) as session,
    ):
        await until(lambda: "PERMISSION_DENIED: wrong token" in (session.trouble() or ""))
        token.write_text("good\n")
        await until(lambda: session.trouble() is None)


async def test_token_is_read_at_each_connect(tmp_path: Path):
    token = tmp_path / "token"
    async with leading(token="good") as scheduler, dialling(replica(scheduler.port, token_file=token)):
        token.write_text("bad\n")
        await asyncio.sleep(0)
        assert not scheduler.connections
        token.write_text("good\n")
        await scheduler.connected()


@pytest.mark.parametrize("seen", [1, 3])
async def test_older_commands_are_refused(seen: int):
    async with leading(epoch=3) as scheduler, dialling(replica(scheduler.port)) as session:
        await scheduler.connected()
        scheduler.send(load(seen))
        scheduler.send(load(4))
        await until(lambda: session.epochs.seen == 4)
        scheduler.send(load(3))
        scheduler.send(pb.Unload(epoch=5, version=load(5).version))
        await until(lambda: session.epochs.seen == 5)
        numbers = [command.version.number for command in session.models.taken]  # type: ignore[attr-defined]
        assert numbers == [n for n in (seen, 4, 5) if n >= 3]


async def test_who_runs_pipelines_hears_which_models_there_are():
    async with leading() as scheduler, dialling(replica(scheduler.port)) as session:
        connection = await scheduler.connected()
        scheduler.send(load(1))  # an agent takes no names, and goes on
        connection.commands.put_nowait(pb.SchedulerMessage(models=pb.Models(whole=True, came=["x"])))
        scheduler.send(load(2))
        await until(lambda: len(session.models.taken) == 2)  # type: ignore[attr-defined]
        session.names = names = ModelNames()
        connection.commands.put_nowait(pb.SchedulerMessage(models=pb.Models(whole=True, came=["a", "b"])))
        connection.commands.put_nowait(pb.SchedulerMessage(models=pb.Models(came=["c"], gone=["a"])))
        await until(lambda: names.names == {"b", "c"})


async def test_older_leader_is_left():
    async with leading(epoch=1) as scheduler, dialling(replica(scheduler.port)) as session:
        await scheduler.connected()
        scheduler.send(load(7))
        await until(lambda: session.epochs.seen == 7)
        scheduler.connections[-1].commands.put_nowait(None)
        await scheduler.connected(3)
        assert not session.connected.is_set()


async def test_a_leader_whose_count_has_begun_anew_is_followed_when_there_is_no_other():
    async with leading(epoch=1) as scheduler, dialling(replica(scheduler.port)) as session:
        await scheduler.connected()
        scheduler.send(load(2**31 - 1))
        await until(lambda: session.epochs.seen == 2**31 - 1)
        scheduler.connections[-1].commands.put_nowait(None)
        await until(lambda: session.epochs.seen == 1 and session.connected.is_set(), seconds=30)
        assert scheduler.connections[-1].hello.epoch == 1


async def test_draining_is_said_in_this_session_and_in_the_next():
    async with leading() as scheduler, dialling(replica(scheduler.port)) as session:
        connection = await scheduler.connected()
        session.drain()
        await scheduler.until(lambda: any(status.draining for status in scheduler.statuses))
        connection.commands.put_nowait(None)
        assert (await scheduler.connected(2)).hello.status.draining
        assert session.stranded is None


async def test_only_the_newest_leader_says_that_the_replica_may_end():
    async with leading(epoch=3) as scheduler, dialling(replica(scheduler.port)) as session:
        await scheduler.connected()
        scheduler.send(pb.Drained(epoch=2, stranded=["old"]))
        scheduler.send(load(4))
        await until(lambda: session.epochs.seen == 4)
        assert session.stranded is None
        scheduler.send(pb.Drained(epoch=4, stranded=["iris"]))
        await until(lambda: session.stranded == ("iris",))

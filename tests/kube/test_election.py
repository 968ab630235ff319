"""One leader among candidates, on leases of the embedded API."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.waiting import until, until_true

from bailie.api import kinds
from bailie.kube.client import Client
from bailie.kube.election import LAST_EPOCH, LeaderElection, LeaseTiming, next_epoch

STEADY = LeaseTiming(duration=60, renew=0.05, give_up=45, poll=0.05, retry=0.05)
"""Looks often and keeps a lease through any pause of a busy machine."""


class Candidate(LeaderElection):
    """Notes the epochs in which it led (`epochs`) and those that came to an end (`ended`)."""

    def __init__(self, client, identity, timing, notes=dict):
        super().__init__(client, "a", "lease", identity, timing=timing, notes=notes)
        self.epochs: list[int] = []
        self.ended: list[int] = []

    async def lead(self, epoch):
        self.epochs.append(epoch)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.append(epoch)


@asynccontextmanager
async def standing(client, identity, timing=STEADY, notes=dict):
    """A candidate that runs while entered."""
    candidate = Candidate(client, identity, timing, notes)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(candidate.run(candidate.lead))
        try:
            yield candidate
        finally:
            task.cancel()


async def lease(client):
    return (await client.get(kinds.LEASE, "lease", "a"))["spec"]


async def test_one_of_two_leads_and_a_stopped_leader_releases_at_once(client):
    async with asyncio.TaskGroup() as group:
        one, two = Candidate(client, "one", STEADY), Candidate(client, "two", STEADY)
        first = group.create_task(one.run(one.lead))
        await until(lambda: one.leading)
        second = group.create_task(two.run(two.lead))
        await until(lambda: two.holder == "one")
        assert not two.leading
        first.cancel()
        await until(lambda: two.leading, seconds=STEADY.duration / 2)
        await until(lambda: (one.ended, two.epochs) == ([1], [2]))
        second.cancel()
    assert (await lease(client))["holderIdentity"] == ""


async def test_a_lease_that_changed_since_the_last_renewal_is_released_all_the_same(client):
    seldom = LeaseTiming(duration=60, renew=40, give_up=50, poll=0.1)
    async with asyncio.TaskGroup() as group:
        one = Candidate(client, "one", seldom)
        first = group.create_task(one.run(one.lead))
        await until(lambda: one.leading)
        await client.patch(kinds.LEASE, "lease", "a", {"metadata": {"annotations": {"a": "b"}}})
        first.cancel()
    assert (await lease(client))["holderIdentity"] == ""


async def test_a_lease_that_somebody_else_took_is_lost(client):
    async with standing(client, "one") as first:
        await until(lambda: first.leading)
        stolen = {"holderIdentity": "thief", "leaseTransitions": 9, "leaseDurationSeconds": 60}
        await client.patch(kinds.LEASE, "lease", "a", {"spec": stolen})
        await until(lambda: first.ended == [1])
        assert (first.leading, first.holder) == (False, "thief")
        await client.patch(kinds.LEASE, "lease", "a", {"spec": {"leaseDurationSeconds": 1}})
        await until(lambda: first.epochs == [1, 10])


async def test_a_lease_that_was_deleted_is_made_anew_with_a_higher_epoch(client):
    async with standing(client, "one") as first:
        await until(lambda: first.leading)
        await client.delete(kinds.LEASE, "lease", "a")
        await until(lambda: first.epochs == [1, 2])


async def test_ones_own_lease_of_before_a_restart_is_taken_at_once_with_a_new_epoch(client):
    record = {"holderIdentity": "one", "leaseTransitions": 4, "leaseDurationSeconds": 60}
    metadata = {"name": "lease", "namespace": "a"}
    await client.create(
        {"apiVersion": kinds.LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": record}
    )
    async with standing(client, "one") as first:
        await until(lambda: first.leading)
        assert first.epoch == 5


async def test_a_change_of_the_lease_that_is_no_takeover_is_survived(client):
    async with standing(client, "one") as first:
        await until(lambda: first.leading)
        for index in range(10):
            await client.patch(kinds.LEASE, "lease", "a", {"metadata": {"labels": {"turn": str(index)}}})
            await asyncio.sleep(0.05)
        assert (first.leading, first.ended) == (True, [])


async def test_a_leader_that_cannot_reach_the_server_stops_before_the_lease_is_free(api_for_a_while):
    async with api_for_a_while() as api:
        api.namespace("a")
        client = Client.from_kubeconfig(api.kubeconfig)
        timing = LeaseTiming(duration=60, renew=0.1, give_up=0.5, poll=0.1, retry=0.05)
        election = LeaderElection(client, "a", "lease", "one", timing=timing)
        held = asyncio.Event()
        ended = asyncio.Event()

        async def lead(epoch):
            held.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.set()

        task = asyncio.get_running_loop().create_task(election.run(lead))
        await held.wait()
    async with asyncio.timeout(timing.duration / 2):
        await ended.wait()
    assert not election.leading
    task.cancel()
    await asyncio.wait({task}, timeout=30)
    assert task.cancelled()
    await client.aclose()


async def test_what_lead_raises_ends_the_run_and_frees_the_lease(client):
    async def lead(epoch):
        raise ValueError("bug")

    election = LeaderElection(client, "a", "lease", "one", timing=STEADY)
    with pytest.raises(ExceptionGroup) as caught:
        await election.run(lead)
    assert caught.group_contains(ValueError, match="bug")
    assert (await lease(client))["holderIdentity"] == ""


async def test_a_lead_that_returns_ends_the_run(client):
    async def lead(epoch):
        return None

    await LeaderElection(client, "a", "lease", "one", timing=STEADY).run(lead)
    assert (await lease(client))["holderIdentity"] == ""


CANDIDATE = """
import asyncio, sys, structlog
from bailie.kube.client import Client
from bailie.kube.election import LeaderElection

async def lead(epoch):
    print(epoch, flush=True)
    await asyncio.sleep(60)

async def main():
    async with Client.from_kubeconfig(sys.argv[1]) as client:
        await LeaderElection(client, "a", "lease", "other").run(lead)

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main())
"""


def test_a_dead_leader_is_replaced_within_five_seconds_by_default():
    timing = LeaseTiming()
    assert timing.duration + timing.poll < 5
    assert timing.give_up < timing.duration


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_a_dead_leader_is_replaced(api, client, how):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CANDIDATE, str(api.kubeconfig), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"1\n"
        async with standing(client, "one", LeaseTiming()) as first:
            await until(lambda: first.holder == "other")
            process.send_signal(how)
            await until(lambda: first.leading)
            assert first.epoch == 2
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


class TestEpochs:
    async def test_a_lease_that_was_deleted_is_made_anew_above_what_a_standby_has_seen(self, client):
        async with standing(client, "one") as first:
            await until(lambda: first.leading)
            stolen = {"spec": {"holderIdentity": "two", "leaseTransitions": 9}}
            await client.patch(kinds.LEASE, "lease", "a", stolen)
            await until(lambda: first.holder == "two")
            await client.delete(kinds.LEASE, "lease", "a")
            await until(lambda: first.epochs == [1, 10], seconds=1.5)

    async def test_a_count_at_the_end_of_its_numbers_begins_anew_and_grows_from_there(self, client):
        async with standing(client, "one") as first:
            await until(lambda: first.leading)
            for count, epoch in ((LAST_EPOCH - 1, LAST_EPOCH), (LAST_EPOCH, 1), (1, 2), (2, 3)):
                spoilt = {"holderIdentity": "", "leaseTransitions": count}
                await client.patch(kinds.LEASE, "lease", "a", {"spec": spoilt})
                await until(lambda: first.epochs[-1] == epoch and first.leading)  # noqa: B023 - awaited here
            async with standing(client, "two") as second:
                await client.patch(kinds.LEASE, "lease", "a", {"spec": {"holderIdentity": ""}})
                await until(lambda: second.leading or first.epochs[-1] == 4)
                # Before the second ends and hands the lease on.
                assert (await lease(client))["leaseTransitions"] == 4

    @given(st.integers(0, LAST_EPOCH), st.integers(0, LAST_EPOCH))
    def test_an_epoch_is_one_that_a_lease_can_say_and_another_than_the_present_one(self, highest, counted):
        epoch = next_epoch(highest, counted)
        assert 0 < epoch <= LAST_EPOCH
        assert epoch != counted or counted == LAST_EPOCH == 1
        assert epoch == highest + 1 or highest == LAST_EPOCH


class TestLeaderless:
    """What a candidate says where nobody can lead; it is for readiness."""

    async def test_who_may_not_take_the_lease_says_so_and_a_standby_does_not(self, client):
        async with standing(client, "one") as first:
            await until(lambda: first.leading)
            assert first.leaderless == ""
            standby = Candidate(client, "two", STEADY)
            standby._observe(await client.get(kinds.LEASE, "lease", "a"))
            standby.trouble = "the API is away"
            assert standby.leaderless == ""

    async def test_without_a_lease_the_cause_is_named(self, api_for_a_while):
        async with api_for_a_while() as api:
            client = Client.from_kubeconfig(api.kubeconfig)
            async with standing(client, "one") as first:  # there is no namespace "a"
                await until(lambda: first.leaderless)
                assert "no replica leads, because Lease lease cannot be taken: " in first.leaderless
                assert "namespace" in first.leaderless
            await client.aclose()


class TestHolderAddress:
    """A leader of another process, with a record that is not renewed any more; its lease is a long one."""

    @pytest.fixture
    async def others_lease(self, client):
        async def make(address):
            record = {"holderIdentity": "other", "leaseTransitions": 1, "leaseDurationSeconds": 30}
            annotations = {"bailie.io/holder-address": address}
            metadata = {"name": "lease", "namespace": "a", "annotations": annotations}
            manifest = {"apiVersion": kinds.LEASE.api_version, "kind": "Lease", "metadata": metadata}
            await client.create({**manifest, "spec": record})

        return make

    async def test_who_refuses_connections_and_does_not_renew_is_replaced(
        self, client, others_lease, unused_tcp_port
    ):
        await others_lease(f"127.0.0.1:{unused_tcp_port}")
        async with standing(client, "one", LeaseTiming()) as first:
            started = asyncio.get_running_loop().time()
            await until(lambda: first.leading, seconds=4)
            assert asyncio.get_running_loop().time() - started >= LeaseTiming().missed
            assert first.epoch == 2

    @pytest.mark.parametrize("address", ["", "nonsense", "127.0.0.1:"])
    async def test_who_has_no_address_keeps_the_lease_for_its_duration(self, client, others_lease, address):
        await others_lease(address)
        async with standing(client, "one", LeaseTiming(missed=0.3, poll=0.05)) as first:
            await until(lambda: first.holder == "other")
            await asyncio.sleep(0.8)
            assert not first.leading

    async def test_who_accepts_connections_keeps_the_lease_for_its_duration(self, client, others_lease):
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await others_lease(f"127.0.0.1:{port}")
            async with standing(client, "one", LeaseTiming(missed=0.3, poll=0.05)) as first:
                await until(lambda: first.holder == "other")
                await asyncio.sleep(0.8)
                assert not first.leading

    async def test_who_renews_keeps_the_lease_though_connections_are_refused(self, client, unused_tcp_port):
        async with standing(client, "one") as first:
            await until(lambda: first.leading)
            annotations = {"bailie.io/holder-address": f"127.0.0.1:{unused_tcp_port}"}
            await client.patch(kinds.LEASE, "lease", "a", {"metadata": {"annotations": annotations}})
            async with standing(client, "two", LeaseTiming(duration=2.0, missed=0.5, poll=0.05)) as second:
                await until(lambda: second.holder == "one")
                await asyncio.sleep(1.0)
                assert (first.ended, second.epochs) == ([], [])


async def test_a_lease_that_is_kept_goes_to_the_same_identity_at_once_and_to_no_other(client):
    async with standing(client, "one") as first:
        first.kept = True
        await until(lambda: first.leading)
    kept = await lease(client)
    assert (kept["holderIdentity"], first.leading) == ("one", False)
    async with standing(client, "two") as other:
        await until(lambda: other.holder == "one")
        assert not other.leading
        async with standing(client, "one") as second:
            second.kept = True
            await until(lambda: second.leading)
            taken = await lease(client)
    assert (second.acquired, taken["acquireTime"]) == (kept["acquireTime"],) * 2
    assert taken["leaseTransitions"] == kept["leaseTransitions"] + 1


async def test_notes_go_along_with_renewals(client):
    notes = {"bailie.io/term": "1"}
    async with standing(client, "one", notes=lambda: notes) as first:
        await until(lambda: first.leading)
        notes["bailie.io/term"] = "2"

        async def noted():
            found = await client.get(kinds.LEASE, "lease", "a")
            return found["metadata"]["annotations"].get("bailie.io/term") == "2"

        await until_true(noted)


async def test_why_a_lease_cannot_be_had_is_known(api, tmp_path):
    kubeconfig = api.kubeconfig_for(api.token("nobody"), tmp_path / "nobody.kubeconfig")
    async with Client.from_kubeconfig(kubeconfig) as nobody, standing(nobody, "one") as first:
        await until(lambda: "forbidden" in first.trouble)
        assert not first.leading

"""One scheduler from the API to agents and data plane: embedded API, real gRPC, simulated replicas."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
import pytest
from tests.support import plain_http
from tests.support.waiting import until as until_within
from tests.support.waiting import until_true

from bailie._gen import agent_pb2 as pb
from bailie.api.kinds import LEASE, MODEL
from bailie.kube.client import Client
from bailie.kube.election import LAST_EPOCH
from bailie.manifests.rbac import namespace_manifests
from bailie.scheduler.run import run
from bailie.scheduler.settings import SchedulerSettings
from bailie.scope.claim import SCHEDULER_LEASE

until = partial(until_within, seconds=30.0)


async def test_a_model_becomes_ready_when_it_is_loaded_and_routed(namespace):
    namespace.server()
    namespace.model(requirements=["sklearn"])
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        assert replica.loads == ["iris_1"]
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
        status = namespace.status()
        assert (status["replicas"], status["availableReplicas"]) == (1, 1)
        assert status["selector"] == "server=mlserver"
        await until(lambda: namespace.status("mlserver", "servers").get("loadedModels") == 1)
        await until(lambda: {"ModelAvailable", "Placed"} <= set(namespace.events()))


async def test_replicas_are_numbered_from_the_first_ordinal_on_and_others_drain(namespace):
    namespace.server()
    numbered = {"metadata": {"annotations": {"bailie.io/first-ordinal": "100"}}}
    headers = {"content-type": "application/merge-patch+json"}
    namespace.api.request("PATCH", namespace.url("servers", "mlserver"), json=numbered, headers=headers)
    namespace.model()
    async with (
        namespace.scheduler(),
        namespace.replica(0).running() as lower,
        namespace.replica(100).running() as wanted,
    ):
        await namespace.ready()
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-100"}}
        assert (lower.loads, wanted.loads) == ([], ["iris_1"])


async def test_it_is_not_ready_before_the_data_plane_has_the_route(namespace):
    namespace.server()
    namespace.model()
    namespace.publisher.prompt = False
    async with namespace.scheduler(), namespace.replica().running():
        await namespace.says("RoutePending")
        namespace.publisher.acknowledge()
        await namespace.ready()


async def test_a_model_leaves_memory_and_comes_back_and_is_ready_all_the_time(namespace):
    namespace.server()
    namespace.model(memory="600Mi")
    endpoint = pb.Endpoint(
        address="127.70.0.1", http_port=9000, grpc_port=9500, held_http_port=9001, held_grpc_port=9501
    )
    async with namespace.scheduler(), namespace.replica(endpoint=endpoint).running() as replica:
        await namespace.ready()
        namespace.publisher.use("iris", "unknown")
        await until(lambda: replica.asked_for == {"iris_1"})
        await replica.ask_to_evict("iris_1")
        await until(lambda: replica.inventory["iris_1"].state == pb.MODEL_STATE_EVICTED)
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0.held"}}
        told = "1 not in memory: the next request brings it back"
        assert (await namespace.says(told)).startswith("True ModelAvailable: 1/1 replicas answer")
        replica.disconnect()
        await until(lambda: replica.sessions == 2)
        await replica.bring_back("iris_1")
        await until(lambda: namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0"}})
        await namespace.says('1/1 replicas answer on server "mlserver"', "RolledOut")
        assert replica.loads == ["iris_1"]
        reasons = {each["reason"] for each in namespace.status()["conditions"] if each["type"] == "Ready"}
        assert reasons == {"Ready"}


async def test_a_model_that_fits_nowhere_says_why_and_is_placed_when_a_server_comes(namespace):
    namespace.server()
    namespace.model(requirements=["xgbost"])
    async with namespace.scheduler():
        await namespace.says("0/1 servers fit: 1 has no replica connected", "Scheduled")
        async with namespace.replica(capabilities=["xgboost"]).running():
            await namespace.says('lacks capability "xgbost" (did you mean "xgboost"?)', "Scheduled")
            assert namespace.publisher.table.entries["iris"].reason == "ScheduleFailed"
            namespace.change("iris", requirements=["xgboost"])
            await namespace.ready()


async def test_more_replicas_than_fit_serve_what_fits(namespace):
    namespace.server()
    namespace.model(replicas=2)
    async with namespace.scheduler() as scheduler, AsyncExitStack() as stack:
        await stack.enter_async_context(namespace.replica(0).running())
        await namespace.ready()
        said = await namespace.says("1/2 replicas placed", "Scheduled")
        assert said == 'True PartiallyPlaced: 1/2 replicas placed on server "mlserver": it has 1 replica'
        assert (await scheduler.explain("iris"))["trail"] == [
            "mlserver-0: iris_1 is Loaded",
            "server mlserver: chosen (1.1Gi free, 0 other model versions)",
            "mlserver-0: chosen",
            'would fit: scale server "mlserver" to 2 replicas',
        ]
        namespace.api.request(
            "PATCH",
            namespace.url("servers", "mlserver"),
            json={"spec": {"replicas": 2}},
            headers={"content-type": "application/merge-patch+json"},
        )
        await stack.enter_async_context(namespace.replica(1).running())
        await namespace.says("2/2 replicas answer", "RolledOut")


async def test_a_new_version_takes_over_when_it_is_loaded_and_then_the_old_one_goes(namespace):
    namespace.server()
    namespace.model()
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        replica.holding.add("iris")
        namespace.change("iris", storageUri="/other")
        said = await namespace.says("PreviousVersionAnswers")
        assert "version 1 answers on 1 replica; version 2: 0/1 replicas loaded" in said
        assert namespace.status()["observedGeneration"] == 1
        assert replica.loaded == {"iris_1"}
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
        await replica.finish("iris")
        await namespace.ready()
        await until(lambda: replica.loaded == {"iris_2"})
        routed = [t.entries["iris"].backends[0].name for t in namespace.publisher.tables if _is_route(t)]
        assert sorted(routed) == routed


def _is_route(table):
    return hasattr(table.entries.get("iris"), "backends")


async def test_a_failing_new_version_leaves_the_old_one_and_going_back_reuses_it(namespace):
    namespace.server()
    namespace.model()
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        replica.failing["iris"] = ("ArtifactNotFound", "/gone is not there")
        namespace.change("iris", storageUri="/gone")
        said = await namespace.says("ArtifactNotFound", "RolledOut")
        assert "/gone is not there (attempt 1 on mlserver-0; next at " in said
        assert namespace.condition("Ready").startswith("True")
        status = namespace.status()
        seen = {each["type"]: each["observedGeneration"] for each in status["conditions"]}
        assert status["observedGeneration"] == 1
        assert seen == {"ModelReady": 1, "Ready": 1, "RolledOut": 2, "Scheduled": 2}
        namespace.change("iris", storageUri="/m")
        await namespace.ready()
        assert replica.loads == ["iris_1", "iris_2"]
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}


async def test_a_failure_shows_its_cause_is_tried_again_and_a_corrected_spec_at_once(namespace):
    namespace.server()
    namespace.model(storageUri="/nowhere")
    async with namespace.scheduler(), namespace.replica().running() as replica:
        replica.failing["iris"] = ("ArtifactNotFound", "/nowhere is not there")
        assert (await namespace.says("ArtifactNotFound")).startswith("False ArtifactNotFound: /nowhere")
        await namespace.says("attempt 2", seconds=30)
        assert replica.loads == ["iris_1", "iris_1"]
        del replica.failing["iris"]
        namespace.change("iris", storageUri="/m")
        await namespace.ready(seconds=30)
        await until(lambda: "ModelAvailable" in namespace.events())
        assert namespace.events().count("ArtifactNotFound") == 1


async def test_the_route_goes_before_the_model_does(namespace):
    namespace.server()
    namespace.model()
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        namespace.publisher.prompt = False
        namespace.delete("iris")
        await until(lambda: "iris" not in namespace.publisher.table.entries)
        assert replica.unloads == []
        namespace.publisher.acknowledge()
        await until(lambda: replica.unloads == ["iris_1"])
        await until(lambda: namespace.status("mlserver", "servers").get("loadedModels") == 0)


async def test_a_model_scaled_to_zero_says_so_and_comes_back(namespace):
    namespace.server()
    namespace.model()
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        namespace.change("iris", replicas=0)
        await namespace.says("ModelScaledDown")
        await until(lambda: replica.loaded == set())
        assert namespace.publisher.table.entries["iris"].reason == "ModelScaledDown"
        namespace.change("iris", replicas=1)
        await namespace.ready()


async def test_an_invalid_spec_is_told_and_leaves_what_answers(namespace):
    namespace.server()
    namespace.model()
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        namespace.change("iris", minReplicas=3, maxReplicas=1)
        said = await namespace.says("InvalidScaling", "RolledOut")
        assert "minReplicas 3 is more than maxReplicas 1" in said
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
        assert replica.unloads == []


async def test_fields_without_effect_are_a_warning(namespace):
    namespace.server()
    namespace.model(dedicated=True)
    async with namespace.scheduler(), namespace.replica().running():
        await namespace.ready()
        assert namespace.condition("SpecWarnings").startswith("True NoEffect: spec.dedicated")


async def test_a_model_follows_when_its_replica_drains(namespace):
    namespace.server(replicas=2)
    namespace.model()
    async with namespace.scheduler(), namespace.replica(0).running() as first:
        await namespace.ready()
        async with namespace.replica(1).running() as second:
            await first.say_status(draining=True)
            await until(lambda: namespace.publisher.backends("iris") == {"iris_1": {"mlserver-1"}})
            await until(lambda: first.drained == [()])
            assert (first.unloads, second.loaded) == ([], {"iris_1"})


async def test_a_lost_replica_gives_its_models_up_after_a_grace(namespace):
    namespace.server(replicas=2)
    namespace.model()
    async with namespace.scheduler(), AsyncExitStack() as stack:
        async with namespace.replica(0).running():
            await namespace.ready()
            other = await stack.enter_async_context(namespace.replica(1).running())
            await until(lambda: other.sessions)
        await until(lambda: namespace.condition("Ready").startswith("False"))
        assert other.loads == []
        await until(lambda: other.loaded == {"iris_1"})
        await namespace.ready()
        assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-1"}}


async def test_a_short_absence_moves_nothing(namespace):
    namespace.server(replicas=2)
    namespace.model()
    async with namespace.scheduler(), namespace.replica(0).running() as first:
        await namespace.ready()
        async with namespace.replica(1).running() as other:
            first.disconnect()
            await until(lambda: first.sessions == 2)
            await namespace.ready()
            assert (other.loads, first.loads) == ([], ["iris_1"])


async def test_the_status_of_a_server_says_what_each_replica_holds_and_how_it_is(namespace):
    namespace.server(replicas=2)
    namespace.model(replicas=2)

    def states():
        found = namespace.status("mlserver", "servers").get("replicaStates", [])
        return [[each[key] for key in ("name", "ready", "draining", "modelVersions")] for each in found]

    def reasons():
        return [each.get("reason") for each in namespace.status("mlserver", "servers")["replicaStates"]]

    async with namespace.scheduler(), namespace.replica(0).running(), AsyncExitStack() as stack:
        second = await stack.enter_async_context(namespace.replica(1).running())
        both = [["mlserver-0", True, False, 1], ["mlserver-1", True, False, 1]]
        await until(lambda: states() == both)
        await second.say_status(server_ready=False)
        await until(lambda: states()[1] == ["mlserver-1", False, False, 1])
        assert reasons() == [None, "ServerNotReady"]
        await second.say_status(server_ready=False, server_silent=True)
        await until(lambda: reasons() == [None, "ServerNotResponding"])
        await second.say_status(draining=True)
        await until(lambda: states()[1] == ["mlserver-1", True, True, 1])
        await stack.aclose()
        await until(lambda: states() == [both[0]])


async def test_a_dead_model_server_is_noticed(namespace):
    namespace.server()
    namespace.model()
    async with namespace.scheduler(), namespace.replica().running() as replica:
        await namespace.ready()
        await replica.say_status(server_ready=False)
        await until(lambda: namespace.condition("Ready").startswith("False"))
        await replica.say_status()
        await namespace.ready()


class TestRestart:
    async def test_what_is_loaded_is_recognised_and_nothing_is_touched(self, namespace):
        namespace.server(replicas=1)
        namespace.model()
        namespace.model("other")
        async with AsyncExitStack() as stack:
            async with namespace.scheduler():
                replica = await stack.enter_async_context(namespace.replica().running())
                await namespace.ready()
                await namespace.ready("other")
            async with namespace.scheduler("seldon-scheduler-1"):
                await until(lambda: namespace.publisher.backends("iris"))
                assert namespace.publisher.backends("iris") == {"iris_1": {"mlserver-0"}}
                await namespace.ready()
            assert sorted(replica.loads) == ["iris_1", "other_1"]
            assert replica.unloads == []
            assert replica.epochs == sorted(replica.epochs)

    async def test_the_next_leader_writes_no_status_that_is_true_already(self, namespace):
        """Envoys take a moment to come to it; what they had of the leader before still holds."""
        namespace.server(replicas=1)
        namespace.model()
        async with AsyncExitStack() as stack:
            async with namespace.scheduler():
                await stack.enter_async_context(namespace.replica().running())
                await namespace.ready()
            before = namespace.version()
            namespace.publisher.prompt = False
            async with namespace.scheduler("seldon-scheduler-1"):
                await until(lambda: namespace.publisher.backends("iris"))
                with pytest.raises(AssertionError):
                    await until(lambda: namespace.version() != before, seconds=1)
                namespace.publisher.acknowledge()
                namespace.model("other")
                await until(lambda: namespace.publisher.backends("other"))
                namespace.publisher.acknowledge()
                await namespace.ready("other")
            assert namespace.version() == before

    async def test_a_data_plane_that_does_not_come_to_the_next_leader_is_said(self, namespace):
        namespace.server(replicas=1)
        namespace.model()
        async with AsyncExitStack() as stack:
            async with namespace.scheduler():
                await stack.enter_async_context(namespace.replica().running())
                await namespace.ready()
            namespace.publisher.prompt = False
            async with namespace.scheduler("seldon-scheduler-1"):
                await namespace.says("RoutePending", "Ready")

    async def test_nothing_is_said_before_the_expected_agents_have_reported(self, namespace):
        namespace.server(replicas=2, running=2)
        namespace.model()
        async with namespace.scheduler(), namespace.replica(0).running() as first:
            await until(lambda: first.sessions)
            with pytest.raises(AssertionError):
                await until(lambda: namespace.publisher.tables or first.loads, seconds=1)
            async with namespace.replica(1).running():
                await namespace.ready()

    async def test_an_agent_that_never_reports_holds_nothing_up_for_long(self, namespace):
        namespace.server(replicas=2, running=2)
        namespace.model()
        async with namespace.scheduler(), namespace.replica(0).running():
            await namespace.ready(seconds=30)

    async def test_versions_that_nobody_wants_any_more_are_unloaded(self, namespace):
        namespace.server()
        async with namespace.scheduler():
            replica = namespace.replica()
            version = pb.ModelVersion(name="gone", identity="abc", number=4)
            replica.inventory["gone_4"] = pb.ModelReport(version=version, state=pb.MODEL_STATE_LOADED)
            async with replica.running():
                await until(lambda: replica.unloads == ["gone_4"], seconds=30)

    async def test_a_number_that_is_taken_is_not_used_again(self, namespace):
        namespace.server()
        namespace.model()
        async with namespace.scheduler():
            replica = namespace.replica()
            version = pb.ModelVersion(name="iris", identity="former", number=1)
            replica.inventory["iris_1"] = pb.ModelReport(version=version, state=pb.MODEL_STATE_LOADED)
            async with replica.running():
                await namespace.ready()
                assert replica.loads == ["iris_2"]
                await until(lambda: replica.loaded == {"iris_2"}, seconds=30)


class TestDeletion:
    async def test_the_finalizer_of_another_operator_is_taken_off_before_it_can_hold_anything_up(
        self, namespace
    ):
        namespace.server()
        namespace.model(metadata={"finalizers": ["seldon.model.finalizer", "keep.me/please"]})
        async with namespace.scheduler(), namespace.replica().running():
            await namespace.ready()
            await until(lambda: namespace.finalizers() == ["keep.me/please"])

    async def test_one_that_its_operator_puts_back_is_taken_off_once_all_is_unloaded(self, namespace):
        namespace.server()
        namespace.model(metadata={"finalizers": ["seldon.model.finalizer"]})
        async with namespace.scheduler(), namespace.replica().running() as replica:
            await namespace.ready()
            await until(lambda: namespace.finalizers() == [])
            back = {"metadata": {"finalizers": ["seldon.model.finalizer"]}}
            await namespace.client.patch(MODEL, "iris", namespace.name, back)
            namespace.change("iris", replicas=0)
            await namespace.says("ModelScaledDown")
            namespace.change("iris", replicas=1)
            await namespace.ready()
            assert namespace.finalizers() == ["seldon.model.finalizer"]
            replica.unloads.clear()
            namespace.delete("iris")
            await until(lambda: namespace.names() == set())
            assert replica.unloads == ["iris_1"]

    async def test_deletion_without_any_server_ends_at_once(self, namespace):
        namespace.model(metadata={"finalizers": ["seldon.model.finalizer"]})
        async with namespace.scheduler():
            await namespace.says("ScheduleFailed")
            namespace.delete("iris")
            await until(lambda: namespace.names() == set())


async def test_a_standby_takes_over_at_once_and_finds_everything(namespace):
    namespace.server(running=1)
    namespace.model()
    async with AsyncExitStack() as second:
        async with namespace.scheduler("seldon-scheduler-0"), namespace.replica().running() as replica:
            await namespace.ready()
            namespace.port = 0
            standby = await second.enter_async_context(namespace.scheduler("seldon-scheduler-1"))
            await until(lambda: standby.unready() is None)
            assert await standby.explain("iris") is None
            leader, replica.port = namespace.publisher, namespace.port
        async with replica.running():
            await until(lambda: namespace.publisher is not leader and namespace.publisher.backends("iris"))
            await until_true(lambda: standby.explain("iris"))
            assert replica.loads == ["iris_1"]


def _reasons(namespace, name, plural):
    status = namespace.status(name, plural)
    return {each["type"]: each["reason"] for each in status.get("conditions", [])}


async def test_a_pipeline_says_what_is_missing(namespace):
    namespace.create("Pipeline", "pipelines", "flow", {"steps": [{"name": "iris"}]})
    missing = dict.fromkeys(("PipelineReady", "PipelineGwReady", "Ready"), "NoPipelineGateway")
    async with namespace.scheduler():
        expected = missing | {"ModelsReady": "ModelsNotReady", "SpecWarnings": "NoOutput"}
        expected["SignaturesMatch"] = "SignaturesMatch"  # of one step there is no edge
        await until(lambda: _reasons(namespace, "flow", "pipelines").items() >= missing.items())
        assert _reasons(namespace, "flow", "pipelines") == expected


async def test_pipeline_gateways_know_which_models_there_are(namespace):
    namespace.model("iris")
    namespace.model("wine", storageUri="")  # refused, and there all the same
    namespace.create("Pipeline", "pipelines", "flow", {"steps": [{"name": "iris"}]})
    async with namespace.scheduler():
        gateway = namespace.replica(server="seldon-pipelinegateway", capabilities=["pipelines"])
        async with gateway.running():
            await until(lambda: gateway.models == {"iris", "wine"})
            namespace.model("corn")
            namespace.delete("iris")
            await until(lambda: gateway.models == {"corn", "wine"})
    namespace.delete("wine")
    async with namespace.scheduler("seldon-scheduler-1"), gateway.running():
        await until(lambda: gateway.models == {"corn"})


async def test_an_experiment_says_when_its_weights_are_in_effect(namespace):
    namespace.server()
    namespace.model()
    spec = {"default": "iris", "candidates": [{"name": "iris", "weight": 1}, {"name": "rose", "weight": 1}]}
    namespace.create("Experiment", "experiments", "flower", spec)
    ready = {"CandidatesReady": "CandidatesReady", "ExperimentReady": "ExperimentActive"}
    async with namespace.scheduler():
        replica = namespace.replica()
        async with replica.running():
            missing = ready | {"CandidatesReady": "ModelNotFound", "MirrorReady": "NoMirror"}
            await until(
                lambda: _reasons(namespace, "flower", "experiments") == missing | {"Ready": "ModelNotFound"}
            )
            namespace.model("rose")
            everything = ready | {"MirrorReady": "NoMirror", "Ready": "Ready"}
            await until(lambda: _reasons(namespace, "flower", "experiments") == everything)
            assert namespace.publisher.backends("iris").keys() == {"iris_1", "rose_1"}
            namespace.api.request("DELETE", namespace.url("experiments", "flower"))
            await until(lambda: namespace.publisher.backends("iris").keys() == {"iris_1"})


async def test_the_process_answers_probes_and_explains(namespace, unused_tcp_port_factory, tmp_path):
    namespace.model()
    (tmp_path / "token").write_text("a-token")
    http, agents = unused_tcp_port_factory(), unused_tcp_port_factory()
    settings = SchedulerSettings(
        namespace=namespace.name,
        pod_name="seldon-scheduler-0",
        address="127.0.0.1",
        token_file=tmp_path / "token",
        log_level="info",
        http_port=http,
        agent_port=agents,
    )

    @asynccontextmanager
    async def data_plane(*_):
        yield namespace.publisher

    async def ask(path):
        with contextlib.suppress(httpx.TransportError):
            return (await client.get(f"http://127.0.0.1:{http}{path}")).text

    async with asyncio.TaskGroup() as group, plain_http.async_client() as client:
        task = group.create_task(run(settings, namespace.client, data_plane))
        async with asyncio.timeout(60):
            while True:
                if await ask("/ready") == "ok\n" and "0/0 servers fit" in str(await ask("/explain/iris")):
                    break
                await asyncio.sleep(0.01)
        assert "nothing is known" in await ask("/explain/other")
        task.cancel()


async def test_who_may_not_take_the_lease_is_not_ready_and_says_why(namespace, api, tmp_path):
    for manifest in namespace_manifests(namespace.name, "nowhere"):
        if manifest["kind"] == "Role":
            manifest["rules"] = [each for each in manifest["rules"] if each["resources"] != ["leases"]]
        await namespace.client.create(manifest)
    account = api.service_account_token(namespace.name, "seldon-scheduler")
    admin, scheduler = namespace.client, api.kubeconfig_for(account, tmp_path / "scheduler.kubeconfig")
    async with Client.from_kubeconfig(scheduler) as namespace.client, namespace.scheduler() as running:
        await until(lambda: "no replica leads" in (running.unready() or ""))
        assert "Lease seldon-scheduler cannot be taken" in running.unready()
        assert "forbidden" in running.unready()
    namespace.client = admin


@pytest.mark.parametrize("count", [None, LAST_EPOCH], ids=["deleted", "spoilt"])
async def test_a_lease_that_begins_anew_is_led_and_followed_by_agents_that_obeyed_another(namespace, count):
    namespace.server()
    namespace.model("before")
    lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "spec": {"leaseTransitions": 40}}
    lease["metadata"] = {"name": SCHEDULER_LEASE, "namespace": namespace.name}
    await namespace.client.create(lease)
    replica = namespace.replica()
    async with namespace.scheduler():
        replica.port = namespace.port
        async with replica.running():
            await namespace.ready("before")
    assert replica.epoch == 41
    if count is None:
        await namespace.client.delete(LEASE, SCHEDULER_LEASE, namespace.name)
    else:
        spoilt = {"spec": {"leaseTransitions": count}}
        await namespace.client.patch(LEASE, SCHEDULER_LEASE, namespace.name, spoilt)
    async with namespace.scheduler(), replica.running():
        namespace.model("after")
        await namespace.ready("after")
        assert (replica.epoch, replica.unloads) == (1, [])

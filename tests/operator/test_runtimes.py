from __future__ import annotations

import json

from tests.support.waiting import until, until_true

from bailie.api.kinds import SELDON_CONFIG, SELDON_RUNTIME, SERVER
from bailie.kube.errors import Forbidden
from bailie.manifests.cluster import companions

RUNTIME = {"seldonConfig": "default"}


async def test_a_runtime_becomes_ready(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        assert set(installation.workloads.running) == {
            (installation.a, "seldon-agent"),
            (installation.a, "seldon-scheduler"),
            (installation.a, "seldon-envoy"),
        }
        manifest = await installation.admin.get(SELDON_RUNTIME, "seldon", installation.a)
        assert manifest["status"]["observedGeneration"] == 1
        types = [c["type"] for c in manifest["status"]["conditions"]]
        assert types == ["ConfigCurrent", "EnvoyReady", "OwnServices", "Ready", "SchedulerReady"]
        owner = installation.workloads.running[installation.a, "seldon-envoy"].owner
        assert owner["uid"] == manifest["metadata"]["uid"]
        await until_true(lambda: installation.events("RuntimeReady"))


async def test_what_is_there_already_is_taken_up(installation):
    await installation.make("SeldonRuntime", "seldon", RUNTIME)
    async with installation.operator():
        await installation.until(SELDON_RUNTIME, "seldon", "True")


async def test_a_component_that_is_not_ready_says_why(installation):
    installation.workloads.ready["seldon-scheduler"] = 0
    installation.workloads.message = "pod seldon-scheduler-0, container scheduler: CrashLoopBackOff"
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        ready = await installation.until(SELDON_RUNTIME, "seldon", "False", "ReplicasNotReady")
        assert "CrashLoopBackOff" in ready["message"]
        assert (await installation.condition(SELDON_RUNTIME, "seldon", "EnvoyReady"))["status"] == "True"


async def test_a_missing_config_is_said_and_found_when_it_comes(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "mine"})
        ready = await installation.until(SELDON_RUNTIME, "seldon", "False", "SeldonConfigNotFound")
        assert ready["message"] == (
            f'there is no SeldonConfig "mine" in namespace {installation.a} or {installation.home}'
        )
        default = await installation.admin.get(SELDON_CONFIG, "default", installation.home)
        await installation.make("SeldonConfig", "mine", default["spec"])
        await installation.until(SELDON_RUNTIME, "seldon", "True")


async def test_the_config_of_the_own_namespace_goes_first(installation):
    default = await installation.admin.get(SELDON_CONFIG, "default", installation.home)
    spec = default["spec"]
    spec["components"][0]["labels"] = {"from": "own"}
    await installation.make("SeldonConfig", "default", spec)
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
    assert _labels(installation)["from"] == "own"


async def test_changes_of_the_config_are_followed_unless_disabled(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", {**RUNTIME, "disableAutoUpdate": True})
        await installation.make("SeldonRuntime", "seldon", RUNTIME, installation.b)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        await installation.until(SELDON_RUNTIME, "seldon", "True", namespace=installation.b)
        default = await installation.admin.get(SELDON_CONFIG, "default", installation.home)
        components = default["spec"]["components"]
        components[0]["labels"] = {"changed": "yes"}
        body = {"spec": {"components": components}}
        await installation.admin.patch(SELDON_CONFIG, "default", installation.home, body)
        await until(lambda: _labels(installation, installation.b).get("changed"))
        # even when something else makes the operator look at the one that does not follow
        body = {"metadata": {"labels": {"touched": "yes"}}}
        before = installation.workloads.ensured.count((installation.a, "seldon-scheduler"))
        await installation.admin.patch(SELDON_RUNTIME, "seldon", installation.a, body)
        await until(
            lambda: installation.workloads.ensured.count((installation.a, "seldon-scheduler")) > before
        )
        assert "changed" not in _labels(installation)


async def test_an_operator_that_starts_with_a_change_pending_tells_no_other_collector(installation):
    held = {"condition": "ConfigCurrent"}
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", {**RUNTIME, "disableAutoUpdate": True})
        await installation.until(SELDON_RUNTIME, "seldon", "True")
    body = {"spec": {"config": {"tracingConfig": {"otelExporterEndpoint": "c.o11y:4317"}}}}
    await installation.admin.patch(SELDON_CONFIG, "default", installation.home, body)
    async with installation.operator():
        await installation.until(SELDON_RUNTIME, "seldon", "False", "UpdatePending", **held)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        found = await installation.admin.get(SELDON_RUNTIME, "seldon", installation.a)
        assert "tracing" not in found["status"]
        body = {"spec": {"disableAutoUpdate": False}}
        await installation.admin.patch(SELDON_RUNTIME, "seldon", installation.a, body)

        async def told():
            found = await installation.admin.get(SELDON_RUNTIME, "seldon", installation.a)
            return found["status"].get("tracing", {}).get("collector") == "c.o11y:4317"

        await until_true(told)


async def test_a_second_runtime_waits_for_the_first_to_go(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "first", RUNTIME)
        await installation.until(SELDON_RUNTIME, "first", "True")
        await installation.make("SeldonRuntime", "second", RUNTIME)
        refused = await installation.until(SELDON_RUNTIME, "second", "False", "AnotherRuntime")
        assert '"first"' in refused["message"]
        await installation.admin.delete(SELDON_RUNTIME, "first", installation.a)
        await installation.until(SELDON_RUNTIME, "second", "True")


async def test_a_disabled_component_is_removed(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        body = {"spec": {"overrides": [{"name": "seldon-envoy", "disable": True}]}}
        await installation.admin.patch(SELDON_RUNTIME, "seldon", installation.a, body)
        await until(lambda: (installation.a, "seldon-envoy") in installation.workloads.removed)
        await installation.until(SELDON_RUNTIME, "seldon", "True", "Disabled", condition="EnvoyReady")
        await installation.until(SELDON_RUNTIME, "seldon", "True")


async def test_fields_without_effect_are_told_once(installation):
    async with installation.operator():
        spec = {**RUNTIME, "overrides": [{"name": "hodometer", "disable": True}]}
        await installation.make("SeldonRuntime", "seldon", spec)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        events = await until_true(lambda: installation.events("NoEffect"))
        assert "hodometer" in events[0]["message"]


async def test_settings_of_the_config_without_effect_are_told_at_the_runtime(installation):
    kafka = {"bootstrap.servers": "kafka:9092", "streams": {"x": 1}}
    body = {"spec": {"config": {"kafkaConfig": kafka}}}
    async with installation.operator():
        config = {"tracingConfig": {"otelExporterEndpoint": "http://c:4317"}}
        await installation.make("SeldonRuntime", "seldon", {**RUNTIME, "config": config})
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        await installation.admin.patch(SELDON_CONFIG, "default", installation.home, body)

        async def told():
            messages = {each["message"] for each in await installation.events("NoEffect")}
            return messages if len(messages) == 2 else None

        said = sorted(await until_true(told))
    assert [each.partition(": ")[0] for each in said] == [
        'SeldonConfig "default" spec.config.kafkaConfig.streams',
        "spec.config.tracingConfig.otelExporterEndpoint",
    ]


async def test_the_status_and_the_servers_pods_are_told_where_traces_go(installation):
    def told():
        found = installation.workloads.running[installation.a, "seldon-agent"].objects
        return {each["metadata"]["name"]: each["data"] for each in found}["bailie-tracing"]

    async def tracing():
        found = await installation.admin.get(SELDON_RUNTIME, "seldon", installation.a)
        return found.get("status", {}).get("tracing")

    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        assert (await tracing(), told()) == (None, {})
        body = {
            "spec": {"config": {"tracingConfig": {"otelExporterEndpoint": "c.o11y:4317", "ratio": "0.01"}}}
        }
        await installation.admin.patch(SELDON_CONFIG, "default", installation.home, body)
        expected = {"collector": "c.o11y:4317", "ratio": "0.01"}
        await until_true(_is(tracing, expected))
        assert told() == {"MLSERVER_TRACING_SERVER": "c.o11y:4317"}
        body = {"spec": {"config": {"tracingConfig": {"disable": True}}}}
        await installation.admin.patch(SELDON_RUNTIME, "seldon", installation.a, body)
        await until_true(_is(tracing, None))
        assert told() == {}


def _is(read, expected):
    async def holds():
        return await read() == expected

    return holds


async def test_an_invalid_runtime_is_refused_and_what_runs_stays(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        body = {"spec": {"overrides": [{"name": "seldon-envoi"}]}}
        await installation.admin.patch(SELDON_RUNTIME, "seldon", installation.a, body)
        ready = await installation.until(SELDON_RUNTIME, "seldon", "False", "InvalidSpec")
        assert "spec.overrides[0].name" in ready["message"]
    assert len(installation.workloads.running) == 3
    assert installation.workloads.removed == []


async def test_a_config_that_is_wrong_or_bare_is_said(installation):
    await installation.make("SeldonConfig", "wrong", {"components": [{"name": "nothing"}]})
    await installation.make("SeldonConfig", "bare", {"components": []}, installation.b)
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "wrong"})
        await installation.make("SeldonRuntime", "seldon", {"seldonConfig": "bare"}, installation.b)
        await installation.until(SELDON_RUNTIME, "seldon", "False", "SeldonConfigInvalid")
        await installation.until(SELDON_RUNTIME, "seldon", "False", "NoTemplate", namespace=installation.b)


async def test_a_workload_that_cannot_be_made_is_said_and_tried_again(installation):
    installation.workloads.refusals["seldon-envoy"] = Forbidden("services is forbidden", status=403)
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        ready = await installation.until(SELDON_RUNTIME, "seldon", "False", "WorkloadFailed")
        assert "services is forbidden" in ready["message"]
        installation.workloads.refusals.clear()
        await installation.until(SELDON_RUNTIME, "seldon", "True")


def _labels(installation, namespace=None):
    workload = installation.workloads.running.get((namespace or installation.a, "seldon-scheduler"))
    return workload.template["metadata"]["labels"] if workload else {}


async def test_those_that_a_central_scheduler_serves_are_left_alone_when_it_changes(installation):
    served = {**RUNTIME, "schedulerNamespace": installation.b}
    async with installation.operator():
        await installation.make(
            "SeldonRuntime", "central", {**RUNTIME, "servesNamespaces": [installation.a]}, installation.b
        )
        await installation.make("SeldonRuntime", "seldon", served)
        for name, namespace in (("central", installation.b), ("seldon", installation.a)):
            await installation.until(SELDON_RUNTIME, name, "True", namespace=namespace)

        async def scaled(replicas):
            change = {"spec": {"overrides": [{"name": "seldon-envoy", "replicas": replicas}]}}
            generation = (await installation.admin.patch(SELDON_RUNTIME, "central", installation.b, change))[
                "metadata"
            ]["generation"]

            async def reported():
                central = await installation.admin.get(SELDON_RUNTIME, "central", installation.b)
                return central["status"]["observedGeneration"] == generation

            await until_true(reported)

        await scaled(2)
        installation.workloads.ensured.clear()
        for replicas in (3, 4, 5):
            await scaled(replicas)
        assert {namespace for namespace, _ in installation.workloads.ensured} == {installation.b}


async def test_remotes_that_agents_cannot_use_are_told_until_they_can(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.make("Server", "mlserver", {"serverConfig": "mlserver"})
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        assert await installation.condition(SELDON_RUNTIME, "seldon", "RemotesUsable") == {}
        problem = "there is no Secret absent in namespace a"
        for told, status in ((problem, "False"), (None, "True")):
            body = {"status": {"remotesProblem": told}}
            await installation.admin.patch(SERVER, "mlserver", installation.a, body, subresource="status")
            found = await installation.until(SELDON_RUNTIME, "seldon", status, condition="RemotesUsable")
            assert (found["message"] == problem) == (told is not None)
        await installation.until(SELDON_RUNTIME, "seldon", "True")


async def test_names_that_another_mesh_answers_for_are_told_as_the_scheduler_counts_them(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME | {"fallbackMesh": {"namespace": "old"}})
        await installation.until(SELDON_RUNTIME, "seldon", "Unknown", condition="ServedHere")
        for names, status in ((2, "False"), (0, "True")):
            told = {"mesh": "seldon-mesh.old.svc:80", "names": names, "listed": ["iris", "wine"][:names]}
            body = {"status": {"fallback": told}}
            await installation.admin.patch(
                SELDON_RUNTIME, "seldon", installation.a, body, subresource="status"
            )
            await installation.until(SELDON_RUNTIME, "seldon", status, condition="ServedHere")
        await installation.until(SELDON_RUNTIME, "seldon", "True")


async def test_a_mesh_that_is_this_one_is_refused(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME | {"fallbackMesh": {"port": 81}})
        found = await installation.until(SELDON_RUNTIME, "seldon", "False")
        assert found["reason"] == "InvalidSpec"
        assert "spec.fallbackMesh: names seldon-mesh of this namespace" in found["message"]


GATEWAY = "seldon-pipelinegateway"


async def tell_of_pipelines(installation, *, there):
    """As the scheduler writes it."""
    body = {"status": {"hasPipelines": there}}
    await installation.admin.patch(SELDON_RUNTIME, "seldon", installation.a, body, subresource="status")


async def gateway_says(installation, status, reason):
    where = {"condition": "PipelineGatewayReady"}
    return await installation.until(SELDON_RUNTIME, "seldon", status, reason, **where)


async def test_the_server_of_pipelines_is_there_while_the_scheduler_tells_of_one(installation):
    server = (installation.a, "seldon-pipelinegateway.server")
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        assert server not in installation.workloads.running, "a namespace without Pipelines"
        assert not await installation.condition(SELDON_RUNTIME, "seldon", "PipelineGatewayReady")
        await tell_of_pipelines(installation, there=True)
        await gateway_says(installation, "False", "NotMadeYet")
        (made,) = companions(installation.workloads.running[server])
        await installation.put(made)
        await gateway_says(installation, "False", "ServerConfigNotFound")
        assert (await installation.condition(SELDON_RUNTIME, "seldon"))["status"] == "True"
        await tell_of_pipelines(installation, there=False)
        await gateway_says(installation, "True", "NoPipelines")
        assert server not in installation.workloads.running


async def test_gateways_hear_of_the_broker_of_runtime_and_config_together(installation):
    server = (installation.a, "seldon-pipelinegateway.server")
    body = {"spec": {"config": {"kafkaConfig": {"bootstrap.servers": "kafka:9092"}}}}
    async with installation.operator():
        config = {"kafkaConfig": {"topicPrefix": "own"}}
        await installation.make("SeldonRuntime", "seldon", {**RUNTIME, "config": config})
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        await tell_of_pipelines(installation, there=True)
        await gateway_says(installation, "False", "NotMadeYet")
        (alone,) = companions(installation.workloads.running[server])
        assert alone["metadata"]["annotations"] == {"bailie.io/kafka-config": "none"}

        async def told():
            return [each["message"] for each in await installation.events("NoEffect")]

        (said,) = await until_true(told)
        assert 'without "bootstrap.servers"' in said
        await installation.admin.patch(SELDON_CONFIG, "default", installation.home, body)
        config_map, made = await until_true(lambda: both(installation, server))
        assert json.loads(config_map["data"]["kafka.json"]) == {
            "bootstrap.servers": "kafka:9092",
            "topicPrefix": "own",
        }
        assert made["metadata"]["annotations"]["bailie.io/kafka-config"] != "none"


async def both(installation, server):
    found = companions(installation.workloads.running[server])
    return found if len(found) == 2 else None


async def test_the_runtime_may_leave_the_gateway_out_and_says_so(installation):
    async with installation.operator():
        overrides = [{"name": GATEWAY, "disable": True}]
        await installation.make("SeldonRuntime", "seldon", {**RUNTIME, "overrides": overrides})
        await installation.until(SELDON_RUNTIME, "seldon", "True")
        await tell_of_pipelines(installation, there=True)
        said = await gateway_says(installation, "False", "Disabled")
        assert "spec.overrides" in said["message"]
        assert (installation.a, "seldon-pipelinegateway.server") not in installation.workloads.running


async def test_the_word_of_the_server_is_the_runtimes_also_of_one_made_by_hand(installation):
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await installation.make("Server", GATEWAY, {"serverConfig": "mlserver"})
        await installation.until(SERVER, GATEWAY, "True")
        await tell_of_pipelines(installation, there=True)
        said = await gateway_says(installation, "True", "ReplicasReady")
        assert "made by hand" in said["message"]


async def test_an_older_role_keeps_the_gateway_back_and_nothing_else(installation):
    refusal = "servers.mlops.seldon.io is forbidden"
    installation.workloads.refusals["seldon-pipelinegateway.server"] = Forbidden(refusal, status=403)
    async with installation.operator():
        await installation.make("SeldonRuntime", "seldon", RUNTIME)
        await tell_of_pipelines(installation, there=True)
        said = await gateway_says(installation, "False", "Refused")
        assert refusal in said["message"]
        await installation.until(SELDON_RUNTIME, "seldon", "True")

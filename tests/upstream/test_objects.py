"""The objects of upstream's in each pattern: an API takes them, and they are as facts say."""

from __future__ import annotations

import json

import pytest
from tests.support.upstream.envoy import envoy_config
from tests.support.upstream.facts import GitOps, Upstream, UpstreamPattern, bailies, steady_models
from tests.support.upstream.install import install
from tests.support.upstream.resources import statuses

from bailie.api.kinds import (
    CLUSTER_ROLE,
    EXPERIMENT,
    HORIZONTAL_POD_AUTOSCALER,
    MODEL,
    PERSISTENT_VOLUME_CLAIM,
    PIPELINE,
    SECRET,
    SELDON_RUNTIME,
    SERVER,
    SERVICE,
    STATEFUL_SET,
)
from bailie.wellknown import names

EVERYTHING = {"experiments": ("split",), "pipelines": ("chain",), "autoscaled": True}


@pytest.mark.parametrize("pattern", UpstreamPattern)
async def test_every_pattern_is_taken_by_an_api(api, admin, tmp_path, pattern):
    facts = Upstream(pattern=pattern, models=steady_models(4), owner=GitOps.ARGO, **EVERYTHING)
    made = await install(admin, api.kubeconfig, facts, tmp_path / "charts")
    here = facts.namespace
    for kind in (MODEL, PIPELINE, EXPERIMENT):
        for found in (await admin.list(kind, here)).items:
            assert found["metadata"]["finalizers"] == [f"seldon.{kind.kind.lower()}.finalizer"]
            assert "argocd.argoproj.io/tracking-id" in found["metadata"]["annotations"]
            assert {each["status"] for each in found["status"]["conditions"]} == {"True"}
    scheduler = await admin.get(SERVICE, names.SCHEDULER, here)
    assert (scheduler["spec"]["type"] == "ExternalName") == (pattern is UpstreamPattern.CENTRAL)
    sets = {each["metadata"]["name"]: each for each in (await admin.list(STATEFUL_SET, here)).items}
    assert sets.keys() == {*facts.servers, names.SCHEDULER}
    assert sets[names.SCHEDULER]["spec"]["replicas"] == (pattern is not UpstreamPattern.CENTRAL)
    wide = {each["metadata"]["name"] for each in (await admin.list(CLUSTER_ROLE)).items}
    assert ("seldon-v2-manager-role" in wide) == (pattern is not UpstreamPattern.SAME)
    assert [each["kind"] for each in made].count("StatefulSet") == 3
    assert (await admin.list(HORIZONTAL_POD_AUTOSCALER, here)).items


async def test_the_owners_and_the_releases(api, admin, tmp_path):
    facts = Upstream(models=steady_models(2, ("mlserver",)), servers={"mlserver": 2})
    await install(admin, api.kubeconfig, facts, tmp_path / "charts")
    server = await admin.get(SERVER, "mlserver", facts.namespace)
    assert server["metadata"]["annotations"]["meta.helm.sh/release-name"] == "seldon-core-v2-servers"
    services = (await admin.list(SERVICE, facts.namespace, labels="seldon-server-replica=true")).items
    assert {each["metadata"]["name"] for each in services} == {"mlserver-0", "mlserver-1"}
    assert {each["metadata"]["ownerReferences"][0]["uid"] for each in services} == {server["metadata"]["uid"]}
    claims = (await admin.list(PERSISTENT_VOLUME_CLAIM, facts.namespace)).items
    assert [each["metadata"]["name"] for each in claims] == [
        "mlserver-models-mlserver-0", "mlserver-models-mlserver-1",
    ]  # fmt: skip
    runtime = await admin.get(SELDON_RUNTIME, "seldon", facts.namespace)
    assert runtime["metadata"]["finalizers"] == ["seldon.runtime.finalizer"]
    secrets = [each["metadata"]["name"] for each in (await admin.list(SECRET, facts.namespace)).items]
    assert {name for name in secrets if name.startswith("sh.helm.release.v1.")} == {
        "sh.helm.release.v1.seldon-core-v2-runtime.v1", "sh.helm.release.v1.seldon-core-v2-servers.v1",
    }  # fmt: skip
    applied = json.loads(
        (await admin.get(STATEFUL_SET, "mlserver", facts.namespace))["metadata"]["annotations"][
            "seldon.io/last-applied"
        ]
    )
    assert applied["replicas"] == 2


def test_a_model_upstream_has_reason_and_message_the_other_way_round():
    [model] = [each for each in statuses(Upstream(models=steady_models(1))) if each["kind"] == "Model"]
    [ready] = [each for each in model["status"]["conditions"] if each["type"] == "ModelReady"]
    assert (ready["reason"], ready["message"]) == ("", "ModelAvailable")


def test_envoy_asks_each_replica_by_name_for_the_version_that_is_loaded():
    facts = Upstream(models=steady_models(2), servers={"mlserver": 2, "second": 1})
    clusters = envoy_config(facts)["static_resources"]["clusters"]
    hosts = {
        each["name"]: [
            host["endpoint"]["address"]["socket_address"]
            for host in each["load_assignment"]["endpoints"][0]["lb_endpoints"]
        ]
        for each in clusters
    }
    assert hosts.keys() == {"steady-0_1_http", "steady-0_1_grpc", "steady-1_2_http", "steady-1_2_grpc"}
    assert [each["address"] for each in hosts["steady-0_1_http"]] == ["mlserver-0", "mlserver-1"]
    assert {each["port_value"] for each in hosts["steady-1_2_grpc"]} == {9501}


def test_on_a_cluster_that_pulls_nothing_the_images_are_bailies():
    facts = Upstream(image=bailies)
    assert facts.image("seldon-envoy").startswith("bailie:")
    assert facts.image("mlserver").startswith("bailie-mlserver:")

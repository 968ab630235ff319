"""`helm uninstall` of every release after a move, by Helm itself: all that goes on is there."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import gzip
import json

import helm_python
import pytest
from tests.support.api import running_api
from tests.support.charts import CHARTS
from tests.support.moves import Quiet
from tests.support.plan_grounds import plain, resource, seen_as
from tests.support.upstream.facts import OPERATOR, Upstream, UpstreamPattern, steady_models
from tests.support.upstream.install import install
from tests.support.upstream.releases import releases

from bailie.api.kinds import CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, MLOPS_KINDS, SERVICE
from bailie.doctor.facts import Unknown
from bailie.kube.client import Client
from bailie.migration.executor import Executor
from bailie.migration.helm_release import HelmRelease
from bailie.migration.look import look
from bailie.migration.record import MoveRecord
from bailie.migration.seldon.releases import are_forgotten, forget, seldons_chart
from bailie.migration.seldon_steps import SELDON_STEPS
from bailie.migration.source import MoveSource
from bailie.migration.write import ClientWriter

HOME, PLACE = "bailie-home", "financial-staging"
(STEP,) = [step for step in SELDON_STEPS if step.name == "releases"]
RECORD = MoveRecord(
    namespace=PLACE,
    source=MoveSource.SELDON_SCOPED,
    home=HOME,
    central="",
    begun="2999-01-01T00:00:00Z",
    by="mary@desk",
)


@pytest.mark.parametrize("pattern", [UpstreamPattern.CENTRAL, UpstreamPattern.SAME])
def test_nothing_goes_with_a_release_and_bailies_charts_take_the_objects_over(tmp_path, pattern):
    facts = Upstream(pattern=pattern, models=steady_models(2))
    with running_api(tmp_path) as api:
        before = asyncio.run(moved(api, facts, tmp_path / "charts"))
        for name, namespace, _ in releases(facts):
            with helm(api, namespace) as config, contextlib.suppress(helm_python.HelmNotFoundError):
                config.uninstall(f"seldon-core-v2-{name}")
        assert asyncio.run(what_goes_on(api)) == before
        for name in ("runtime", "servers"):
            chart = CHARTS / f"seldon-core-v2-{name}"
            with helm(api, PLACE) as config:
                config.install(chart, chart.name, {"rights": {"create": False}}, namespace=PLACE)
        after = asyncio.run(what_goes_on(api))
        assert {key: after[key] for key in before} == before


def helm(api, namespace):
    options = {"kubeconfig_path": api.kubeconfig, "qps": 1000.0, "burst_limit": 1000}
    return helm_python.Config(namespace=namespace, **options)


async def moved(api, facts, charts):
    """Installs Seldon Core's releases and makes the last step of `finish`; returns what is there then."""
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        await install(admin, api.kubeconfig, facts, charts)
        await admin.patch(DEPLOYMENT, OPERATOR, facts.operated_from, {"spec": {"replicas": 0}})

        async def see(places):
            return await look(admin, PLACE, places)

        steps = {"steps": lambda _: (STEP,)}
        mover = Executor(PLACE, by="mary", look=see, write=ClientWriter(admin), tell=Quiet(), **steps)
        await mover.finish(RECORD)
    return await what_goes_on(api)


async def what_goes_on(api):
    """The uid of each resource and definition, and uid and address of each Service."""
    async with Client.from_kubeconfig(api.kubeconfig) as admin:
        found = [each for kind in MLOPS_KINDS for each in (await admin.list(kind, PLACE)).items]
        found += (await admin.list(CUSTOM_RESOURCE_DEFINITION)).items
        found += (await admin.list(SERVICE, PLACE)).items
    return {
        (each["kind"], each["metadata"]["name"]): (
            each["metadata"]["uid"],
            each["metadata"].get("deletionTimestamp"),
            each["spec"].get("clusterIP"),
        )
        for each in found
    }


OLD = "seldon-system"
MARKS = {"meta.helm.sh/release-name": "theirs", "meta.helm.sh/release-namespace": "team"}


def stored(name="theirs", namespace="team", *, version=1):
    """The metadata of a revision of a release."""
    secret = plain("v1", "Secret", f"sh.helm.release.v1.{name}.v{version}")
    labels = {"owner": "helm", "name": name, "version": str(version)}
    secret["metadata"] |= {"namespace": namespace, "labels": labels}
    return secret


def release(*secrets, chart="seldon-core-v2-runtime"):
    (first, *_) = secrets
    metadata = first["metadata"]
    return HelmRelease(
        namespace=metadata["namespace"], name=metadata["labels"]["name"], chart=chart, secrets=secrets
    )


def runtime():
    return resource("SeldonRuntime", "seldon", {}, annotations=MARKS)


DEFINITION = {
    "metadata": {
        "name": "models.mlops.seldon.io",
        "annotations": MARKS | {"meta.helm.sh/release-namespace": OLD},
    },
}
OF_TEAM = dataclasses.replace(RECORD, namespace="team")
CASES = {
    "each revision of the runtime's": (
        [runtime()],
        [],
        release(stored(), stored(version=2)),
        ["sh.helm.release.v1.theirs.v1", "sh.helm.release.v1.theirs.v2"],
    ),
    "the definitions'": (
        [],
        [DEFINITION],
        release(stored(namespace=OLD), chart="seldon-core-v2-crds"),
        ["sh.helm.release.v1.theirs.v1"],
    ),
    "one of another chart stays": ([runtime()], [], release(stored(), chart=""), []),
    "one of which nothing goes on stays": ([resource("Model", "iris", {})], [], release(stored()), []),
}


@pytest.mark.parametrize(("objects", "definitions", "found", "gone"), CASES.values(), ids=CASES.keys())
def test_which_releases_helm_forgets(objects, definitions, found, gone):
    known = {each["metadata"]["name"]: each for each in definitions}
    facts = dataclasses.replace(seen_as(*objects, definitions=known), releases=(found,))
    assert [change.name for change in forget(facts, OF_TEAM)] == gone


def test_the_operators_own_objects_go_with_its_release_and_the_rights_in_use_stay():
    used, other = ("seldon-v2-manager-role", "seldon-v2-leader-election-role")
    roles = [plain("rbac.authorization.k8s.io/v1", "Role", name) for name in (used, other)]
    for each in roles:
        each["metadata"]["annotations"] = MARKS
    operator = plain("apps/v1", "Deployment", "seldon-v2-controller-manager")
    operator["metadata"]["annotations"] = MARKS
    mine = plain("v1", "ConfigMap", "theirs")
    facts = dataclasses.replace(
        seen_as(*roles, operator, mine), releases=(release(stored(), chart="seldon-core-v2-setup"),)
    )
    assert [(change.kind.kind, change.name) for change in forget(facts, OF_TEAM)] == [
        ("Deployment", "seldon-v2-controller-manager"),
        ("Role", other),
        ("Secret", "sh.helm.release.v1.theirs.v1"),
    ]


def test_releases_that_cannot_be_read_are_told_with_the_way_on():
    facts = dataclasses.replace(seen_as(runtime()), releases=Unknown("secrets is forbidden"))
    (text,) = are_forgotten(facts, OF_TEAM)
    assert text.startswith("Helm release team/theirs: its Secrets cannot be read (secrets is forbidden)")
    assert text.endswith("helm upgrade theirs CHART --namespace team")
    assert forget(facts, OF_TEAM) == ()


def packed(content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.b64encode(base64.b64encode(gzip.compress(text, 1))).decode()


def of_chart(name, **metadata):
    return {"chart": {"metadata": {"name": name, **metadata}}, "config": {"password": "x"}}


STORED = {
    "Seldon Core's": ({"release": packed(of_chart("seldon-core-v2-crds"))}, "seldon-core-v2-crds"),
    "Bailie's of the same name": (
        {"release": packed(of_chart("seldon-core-v2-crds", keywords=["bailie"]))},
        "",
    ),
    "another chart": ({"release": packed(of_chart("team-models"))}, ""),
    "another form": ({"release": packed({"chart": []})}, ""),
    "no JSON": ({"release": packed(b"{")}, ""),
    "not compressed": ({"release": base64.b64encode(base64.b64encode(b"{}")).decode()}, ""),
    "no base64": ({"release": "***"}, ""),
    "a number": ({"release": 1}, ""),
    "nothing": ({}, ""),
    "too long": ({"release": packed(b" " * (65 * 2**20) + b"{}")}, ""),
}


@pytest.mark.parametrize(("data", "chart"), STORED.values(), ids=STORED.keys())
def test_the_chart_of_a_stored_release(data, chart):
    assert seldons_chart({"data": data}) == chart

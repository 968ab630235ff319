"""Fixtures of the contract suite: the cluster, a namespace that is deleted afterwards, kubectl.

By default the embedded server is started. With `BAILIE_TEST_KUBECONFIG` the suite runs against that cluster:
it installs the CustomResourceDefinitions, works in namespaces of its own and deletes them; what only local
processes can do is skipped. With `KUBEBUILDER_ASSETS` it starts the etcd and kube-apiserver of that folder;
what needs controllers is skipped, too.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.api import running_api
from tests.support.cluster import (
    CONFIG_MAPS,
    MODELS,
    Cluster,
    Kubectl,
    config_map,
    kubectl_binaries,
    model,
)
from tests.support.controlplane import control_plane, missing
from tests.support.waiting import until_blocking as eventually

from bailie.api.crd import crd_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BINARIES = kubectl_binaries()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.kubernetes)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    kubeconfig = os.environ.get("BAILIE_TEST_KUBECONFIG")  # noqa: TID251
    if kubeconfig:
        real = Cluster(Path(kubeconfig), embedded=False)
        _install_definitions(real)
        _until_collected(real)
        yield real
        real.close()
        return
    directory = tmp_path_factory.mktemp("api")
    assets = os.environ.get("KUBEBUILDER_ASSETS")  # noqa: TID251
    if assets:
        with _control_plane(Path(assets), directory) as bare:
            yield bare
        return
    with running_api(directory) as api:
        embedded = Cluster(api.kubeconfig, embedded=True, log_dir=directory / "logs")
        yield embedded
        embedded.close()


@contextlib.contextmanager
def _control_plane(assets: Path, directory: Path) -> Iterator[Cluster]:
    lacking = missing(assets)
    if lacking:
        pytest.skip(lacking)
    with control_plane(assets, directory) as kubeconfig:
        bare = Cluster(kubeconfig, embedded=False, controllers=False)
        _install_definitions(bare)
        yield bare
        bare.close()


def _install_definitions(cluster: Cluster) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    query = {"fieldManager": "bailie-contract", "force": "true"}
    headers = {"content-type": "application/apply-patch+yaml"}
    for manifest in crd_manifests():
        name = manifest["metadata"]["name"]
        found = cluster.http.get(f"{path}/{name}")
        if found.is_success and found.json()["spec"]["versions"] == manifest["spec"]["versions"]:
            continue
        answer = cluster.http.patch(f"{path}/{name}", params=query, json=manifest, headers=headers)
        assert answer.is_success, answer.text
    for manifest in crd_manifests():
        plural, group = manifest["spec"]["names"]["plural"], manifest["spec"]["group"]
        served = f"/apis/{group}/v1alpha1/{plural}"
        eventually(lambda served=served: cluster.http.get(served).is_success, what=served)


def _until_collected(cluster: Cluster) -> None:
    """Waits until the garbage collector knows our kinds: it looks for new ones every half minute."""
    name = f"bailie-test-{uuid.uuid4().hex[:8]}"
    assert cluster.http.post("/api/v1/namespaces", json={"metadata": {"name": name}}).is_success
    made = cluster.http.post(MODELS.format(name), json=model()).json()
    identity = {"name": "iris", "uid": made["metadata"]["uid"]}
    owner = {"apiVersion": made["apiVersion"], "kind": made["kind"], **identity}
    children = CONFIG_MAPS.format(name)
    assert cluster.http.post(children, json=config_map(ownerReferences=[owner])).is_success
    cluster.http.delete(f"{MODELS.format(name)}/iris")
    child = f"{children}/settings"
    eventually(lambda: cluster.http.get(child).status_code == 404, seconds=180, what="the collector")
    cluster.http.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def embedded_only(cluster: Cluster) -> None:
    """For what only local processes, or a server of our own, can show."""
    if not cluster.embedded:
        pytest.skip("needs the embedded API: it has no counterpart on a cluster")


@pytest.fixture
def controllers(cluster: Cluster) -> None:
    """For what the controller manager of a cluster does."""
    if not cluster.controllers:
        pytest.skip("needs the controllers of a cluster: etcd and kube-apiserver alone have none")


@pytest.fixture
def new_namespace(cluster: Cluster) -> Iterator[Callable[[], str]]:
    """Makes namespaces with generated names; they are deleted at the end."""
    made: list[str] = []

    def create() -> str:
        name = f"bailie-test-{uuid.uuid4().hex[:8]}"
        answer = cluster.http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
        assert answer.status_code == 201, answer.text
        made.append(name)
        return name

    yield create
    for name in made:
        cluster.http.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def namespace(new_namespace: Callable[[], str]) -> str:
    return new_namespace()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of whoever runs kubectl, which keeps there what the API serves, as it does for people."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(params=BINARIES.values(), ids=[f"kubectl-{version}" for version in BINARIES])
def kubectl(request: pytest.FixtureRequest, cluster: Cluster, namespace: str, home: Path) -> Kubectl:
    """Every kubectl on this machine in turn, in a fresh namespace."""
    return Kubectl(request.param, cluster.kubeconfig, namespace, home)


@pytest.fixture
def one_kubectl(cluster: Cluster, namespace: str, home: Path) -> Kubectl:
    """One kubectl, for what does not differ between versions."""
    return Kubectl(next(iter(BINARIES.values())), cluster.kubeconfig, namespace, home)

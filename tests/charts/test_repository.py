"""The charts as a repository: packed, served by a static server, read and installed from there by Helm."""

from __future__ import annotations

import functools
import http.server
import threading

import helm_python
import pytest
import yaml
from tests.charts.test_helm import HOME, Cluster
from tests.support.api import running_api

import charts
import charts_repo
from bailie import __version__

NAMES = {f"seldon-core-v2-{chart}" for chart in charts.CHARTS}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A served repository: its address and its folder."""
    folder = tmp_path_factory.mktemp("charts")
    assert {name.removesuffix(f"-{__version__}.tgz") for name in charts_repo.pack(folder)} == NAMES
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()
        thread.join(30)


def test_the_index_has_each_chart_with_its_version(repository):
    address, folder = repository
    entries = helm_python.repo_index(address)["entries"]
    versions = {name: [each["version"] for each in found] for name, found in entries.items()}
    assert versions == {name: [__version__] for name in NAMES}
    urls = [url for found in entries.values() for each in found for url in each["urls"]]
    assert all((folder / url).is_file() for url in urls)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_package_is_the_chart(repository, tmp_path, name):
    address, _ = repository
    helm_python.pull(name, repo_url=address, destination=tmp_path)
    packed = (tmp_path / f"{name}-{__version__}.tgz").read_bytes()
    with (
        helm_python.Chart.load_archive(packed) as pulled,
        helm_python.Chart.load(charts.ROOT / name) as chart,
    ):
        given = {"namespace": HOME, "name": name}
        values = {"security": {"controlplane": {"token": {"value": "x" * 43}}}}
        assert pulled.render(values, **given) == chart.render(values, **given)


def test_the_charts_are_installed_by_their_names(repository, tmp_path):
    address, _ = repository
    with running_api(tmp_path) as api:
        api.namespace(HOME)
        options = {"kubeconfig_path": api.kubeconfig, "qps": 1000.0, "burst_limit": 1000, "namespace": HOME}
        with helm_python.Config(**options) as config:
            for chart in charts.CHARTS:
                name = f"seldon-core-v2-{chart}"
                config.install(name, name, {}, namespace=HOME, chart_repo_url=address)
        assert "seldon-v2-controller-manager" in Cluster(api).names(
            f"/apis/apps/v1/namespaces/{HOME}/deployments"
        )


def test_packages_of_other_versions_stay_in_the_index(repository):
    _, folder = repository
    helm_python.package(charts.ROOT / "seldon-core-v2-crds", destination=folder, version="0.0.1")
    charts_repo.pack(folder)
    index = yaml.safe_load((folder / "index.yaml").read_text())
    versions = {name: {each["version"] for each in found} for name, found in index["entries"].items()}
    assert versions == {name: {__version__} for name in NAMES} | {
        "seldon-core-v2-crds": {__version__, "0.0.1"}
    }

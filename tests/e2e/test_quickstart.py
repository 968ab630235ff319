"""The commands of a quickstart notebook, with `seldon` and `kubectl`, as a script with the right answers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import SYSTEM, kubectl_program

pytestmark = pytest.mark.e2e

PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"
MODEL = """
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata:
  name: {name}
spec:
  storageUri: "{folder}"
  requirements:
  - sklearn
  memory: 100Ki
"""
EXPERIMENT = """
apiVersion: mlops.seldon.io/v1alpha1
kind: Experiment
metadata:
  name: experiment-sample
spec:
  default: quick
  candidates:
  - name: quick
    weight: 50
  - name: quick2
    weight: 50
"""
PIPELINE = """
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: flow
spec:
  steps:
  - name: quick
  output:
    steps:
    - quick
"""
REST = {"inputs": [{"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": [[5.1, 3.5, 1.4, 0.2]]}]}
GRPC = {
    "model_name": "quick",
    "inputs": [
        {
            "name": "input",
            "contents": {"fp32_contents": [5.1, 3.5, 1.4, 0.2]},
            "datatype": "FP32",
            "shape": [1, 4],
        }
    ],
}
SCRIPT = f"""
set -euo pipefail
step() {{ echo "=== $1"; }}
step load; seldon model load -f quick.yaml
step status; seldon model status quick -w ModelAvailable -t 60
step list; seldon model list
step servers; seldon server list
step apply; kubectl apply -f quick2.yaml
step wait; kubectl wait --for condition=ready --timeout=300s model --all -n {SYSTEM}
step rest; seldon model infer quick '{json.dumps(REST)}'
step grpc; seldon model infer quick --inference-mode grpc '{json.dumps(GRPC)}'
step many; seldon model infer quick -i 50 '{json.dumps(REST)}'
step sticky; seldon model infer quick -s --show-headers '{json.dumps(REST)}'
step seconds; seldon model infer quick2 --seconds 1 '{json.dumps(REST)}'
step metadata; seldon model metadata quick
step curl; curl -s "http://$INFER/v2/models/quick/infer" -H 'content-type: application/json' \\
  -d '{json.dumps(REST)}'; echo
step host; seldon model infer quick --inference-host "$INFER" '{json.dumps(REST)}'
step condition; kubectl get model quick -n {SYSTEM} \\
  -o jsonpath='{{.status.conditions[?(@.type=="Ready")].status}}'; echo
step experiment; seldon experiment start -f experiment.yaml
step pipeline; seldon pipeline load -f pipeline.yaml
step pipelines; seldon pipeline list
step stop; seldon experiment stop experiment-sample; seldon pipeline unload flow
step unload; seldon model unload quick
step unload2; seldon model unload -f quick2.yaml
step end; seldon model list
"""


@pytest.fixture
def said(stack, models, tmp_path):
    """What each step of the script prints."""
    folder = models.folder / "iris"
    for name in ("quick", "quick2"):
        (tmp_path / f"{name}.yaml").write_text(MODEL.format(name=name, folder=folder))
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(kubectl_program())
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{PATH}",
        "HOME": str(tmp_path),
        "BAILIE_STATE_DIR": str(stack.state),
        "KUBECONFIG": str(stack.state / "kubeconfig"),
        "INFER": stack.url().removeprefix("http://"),
    }
    result = subprocess.run(
        ["bash", "-c", SCRIPT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    pieces = re.split(r"^=== (\w+)\n", result.stdout, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_the_commands_of_a_quickstart_end_with_the_right_answers(said):
    assert said["load"] == "{}\n"
    [version] = json.loads(said["status"])["versions"]
    assert version["state"]["state"] == "ModelAvailable"
    assert ["quick", "ModelAvailable"] in [line.split() for line in said["list"].splitlines()]
    assert "mlserver" in said["servers"]

    for step in ("rest", "curl", "host"):
        [output] = json.loads(said[step])["outputs"]
        assert (output["name"], output["data"]) == ("predict", [0]), step
    [output] = json.loads(said["grpc"])["outputs"]
    assert (output["datatype"], output["contents"]) == ("INT64", {"int64Contents": ["0"]})
    assert said["many"] == "Success: map[:quick_1::50]\n"
    assert re.fullmatch(r"Success: map\[:quick2_1::\d+\]\n", said["seconds"])
    assert "> x-seldon-route:[:quick_1:]" in said["sticky"]
    assert "< x-seldon-route:[:quick_1:]" in said["sticky"]
    assert json.loads(said["metadata"])["name"] == "quick_1"
    assert said["condition"] == "True\n"

    assert said["experiment"] == said["pipeline"] == "{}\n"
    assert said["pipelines"].splitlines()[2].split()[0] == "flow"
    assert said["stop"] == "{}\n{}\n"
    assert said["unload"] == said["unload2"] == "{}\n"
    assert "ModelAvailable" not in said["end"]

"""A model that stops being ready: the status follows, the others go on, and it comes back by itself."""

import pytest
from tests.e2e.conftest import until

pytestmark = pytest.mark.e2e

SICKLY = """
from pathlib import Path
from mlserver import MLModel
from mlserver.types import InferenceResponse
class Sickly(MLModel):
    _up = False
    @property
    def ready(self):
        return self._up and not Path(self.settings.parameters.extra["sick"]).exists()
    @ready.setter
    def ready(self, value):
        self._up = value
    async def predict(self, payload):
        return InferenceResponse(model_name=self.name, outputs=[])
"""


def test_a_model_that_is_no_longer_ready_shows_it_and_recovers(stack, model, models, tmp_path):
    (tmp_path / "sickly.py").write_text(SICKLY)
    sick = tmp_path / "sick"
    spec = {"requirements": ["python"], "parameters": [{"name": "sick", "value": str(sick)}]}
    model("sickly", storageUri=str(tmp_path), **spec)
    model("healthy")
    for name in ("sickly", "healthy"):
        stack.wait_ready(name)
    sick.touch()
    ready = until(
        lambda: (found := stack.condition("sickly")).get("status") == "False" and found,
        seconds=60,
        what="the end of readiness",
    )
    assert ready["reason"] in {"ModelNotReady", "ModelProgressing"}, ready
    assert stack.condition("healthy")["status"] == "True"
    response = stack.infer(models.expected["iris"], model="healthy")
    assert response.status_code == 200
    until(
        lambda: "does not say that it is ready" in stack.condition("sickly").get("message", ""),
        seconds=60,
        what="the failed load",
    )
    assert stack.condition("healthy")["status"] == "True"
    refused = stack.infer(models.expected["iris"], model="sickly")
    assert (refused.status_code, refused.json()["reason"]) == (503, "ModelNotReady")
    sick.unlink()
    stack.wait_ready("sickly", seconds=60)

"""A model that calls another one through the namespace's data plane."""

import pytest

pytestmark = pytest.mark.e2e

CALLER = """
import asyncio, json, urllib.request
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput
class Caller(MLModel):
    async def predict(self, payload):
        inputs = [each.model_dump(exclude_none=True) for each in payload.inputs]
        body = json.dumps({"inputs": inputs}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.settings.parameters.extra["infer_uri"], body, headers)
        answer = await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(request, timeout=30)))
        data = [answer["model_name"], *map(str, answer["outputs"][0]["data"])]
        output = ResponseOutput(name="said", shape=[len(data)], datatype="BYTES", data=data)
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


def test_a_model_that_names_another_is_told_where_it_answers(stack, model, models, tmp_path):
    (tmp_path / "caller.py").write_text(CALLER)
    model("called")
    model("caller", storageUri=str(tmp_path), requirements=["python"], llm={"modelRef": "called"})
    for name in ("called", "caller"):
        stack.wait_ready(name)
    response = stack.infer(models.expected["iris"], model="caller")
    assert response.status_code == 200, response.text
    name, *answer = response.json()["outputs"][0]["data"]
    assert name == "called_1"
    assert answer == [str(each) for each in models.expected["iris"].outputs]

"""A real MLServer with models that answer with what they were sent."""

import json

import pytest
from tests.support import plain_http

ECHO = """
from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceResponse, ResponseOutput

class Echo(MLModel):
    async def predict(self, payload):
        if (payload.parameters and getattr(payload.parameters, "fail", None)):
            raise ValueError("as the caller wishes")
        kind = getattr(payload.parameters, "content_type", None)
        if kind == "pd":
            frame = self.decode_request(payload)
            return InferenceResponse(model_name=self.name, outputs=[
                StringCodec.encode_output("columns", list(frame)),
                StringCodec.encode_output("first", [str(each) for each in frame.iloc[0]]),
            ])
        outputs = [
            ResponseOutput(name=each.name, shape=each.shape, datatype=each.datatype, data=each.data)
            for each in payload.inputs
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""


@pytest.fixture(scope="session")
def echo(mlserver_process):
    """Loads the model `echo`, and says where the server is: a URL for REST, HOST:PORT for gRPC."""
    folder = mlserver_process.folder / "models" / "echo"
    folder.mkdir()
    (folder / "model.py").write_text(ECHO)
    settings = {
        "name": "echo",
        "implementation": "model.Echo",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    url = f"{mlserver_process.url}/v2/repository/models/echo/load"
    plain_http.post(url, timeout=60).raise_for_status()
    return {"rest": mlserver_process.url, "grpc": f"{mlserver_process.host}:{mlserver_process.grpc_port}"}

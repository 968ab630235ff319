"""Says whether the numbers of a request lie far from those that a model was trained on."""

from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

MEAN, DEVIATION = 2.5, 1.0
"""Of the numbers of the training data."""
FAR = 3.0
"""Deviations from the mean that are drift."""


class Drift(MLModel):
    """Answers with IS_DRIFT, 1 or 0, and DISTANCE in deviations."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Measures the mean of INPUT."""
        numbers = next((each.data for each in payload.inputs if each.name == "INPUT"), ())
        if not len(numbers):
            raise InferenceError("send numbers in the tensor INPUT")
        distance = abs(sum(numbers) / len(numbers) - MEAN) / DEVIATION
        outputs = [
            ResponseOutput(name="IS_DRIFT", datatype="INT64", shape=[1], data=[int(distance > FAR)]),
            ResponseOutput(name="DISTANCE", datatype="FP64", shape=[1], data=[distance]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)

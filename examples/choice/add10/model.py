"""Adds 10 to each number."""

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Add10(MLModel):
    """Answers with OUTPUT, as long as INPUT."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Adds."""
        numbers = payload.inputs[0]
        output = ResponseOutput(
            name="OUTPUT",
            datatype=numbers.datatype,
            shape=numbers.shape,
            data=[each + 10 for each in numbers.data],
        )
        return InferenceResponse(model_name=self.name, outputs=[output])

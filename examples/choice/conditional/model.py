"""Sends a request one way or the other: `CHOICE` says which of two outputs carries the numbers on."""

from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Conditional(MLModel):
    """Answers with OUTPUT0 where CHOICE is 0, and with OUTPUT1 otherwise."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Passes INPUT on, under one of two names."""
        tensors = {each.name: each for each in payload.inputs}
        if not {"CHOICE", "INPUT"} <= tensors.keys():
            raise InferenceError(f"send the tensors CHOICE and INPUT, not {', '.join(tensors) or 'none'}")
        choice, numbers = tensors["CHOICE"], tensors["INPUT"]
        output = ResponseOutput(
            name="OUTPUT1" if choice.data[0] else "OUTPUT0",
            datatype=numbers.datatype,
            shape=numbers.shape,
            data=numbers.data,
        )
        return InferenceResponse(model_name=self.name, outputs=[output])

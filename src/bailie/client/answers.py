"""The values that callers get: an answer with its arrays, or the error with the server's sentence.

Made by `rest_wire` and `grpc_wire`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = np.ndarray[Any, np.dtype[Any]]


class InferenceError(Exception):
    """The data plane or the server said no. `status` is the HTTP code ("404") or the name of gRPC's code
    ("NOT_FOUND"); the message has the server's own sentence."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(f"{status} {text}".strip())
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """A model's answer. `outputs` are its arrays by name, in the shapes that the server states; texts are
    arrays of `str`. `model` is the version that answered, `route` its route, which a sticky caller sends."""

    outputs: Mapping[str, Array]
    model: str = ""
    route: str = ""
    id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def array(self) -> Array:
        """The only output. Raises ValueError where there are several, or none."""
        if len(self.outputs) != 1:
            named = ", ".join(self.outputs) or "no output"
            raise ValueError(f"the answer has {named}: choose one by its name")
        return next(iter(self.outputs.values()))

    def __getitem__(self, name: str) -> Array:
        """Returns an output by its name. Raises KeyError."""
        return self.outputs[name]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Returns the only output, for `numpy.asarray`."""
        return np.array(self.array, dtype=dtype, copy=copy)

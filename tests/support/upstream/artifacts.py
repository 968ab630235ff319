"""The models that both systems serve: MLServer models without libraries, each with answers of its own. Pure.

Called by `servers` for the models that upstream has loaded, and by `install` for the folders that
`storageUri` names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bailie.local.traffic import Expectation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.upstream.facts import Upstream, UpstreamModel

_CODE = '''"""Answers the sum of each row, plus an offset."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Sums(MLModel):
    async def load(self) -> bool:
        self._offset = self.settings.parameters.extra["offset"]
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        sums = rows.sum(axis=1) + self._offset
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("sums", sums)])
'''
ROWS = [[1.0, 2.0], [3.0, 4.5]]


def artifact_files(model: UpstreamModel) -> dict[str, str]:
    """Returns the files of a model by name."""
    settings = {"implementation": "model.Sums", "parameters": {"extra": {"offset": model.offset}}}
    return {"model.py": _CODE, "model-settings.json": json.dumps(settings)}


def write_artifacts(facts: Upstream, folder: Path) -> None:
    """Writes each model into a folder of its own."""
    for model in facts.models:
        place = folder / model.name
        place.mkdir(parents=True)
        for name, text in artifact_files(model).items():
            (place / name).write_text(text)


def expectations(facts: Upstream) -> list[Expectation]:
    """Returns a request to each model, and its answer."""
    return [
        Expectation(model.name, ROWS, [sum(row) + model.offset for row in ROWS]) for model in facts.models
    ]

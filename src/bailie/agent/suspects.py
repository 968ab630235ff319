"""Which models were answering requests when the inference server ended, as its next process found it.

`monitor` reads it after a restart of the server, and `models` says it of each model. A process that ends in
an inference says nothing of the model that ended it. Our MLServer keeps the numbers of requests under way
(`bailie_under_way` of `bailie.mlserver`). Models' code can write to the same folder, and can end the server
while another model answers: the models are suspects, no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bailie.agent.files import read_text
from bailie.api.texts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = ".was-under-way.json"
"""Name of the file, in the models' folder."""
_MOST_NAMED = 5


class WasUnderWay:
    """Reads what each process of the server has left, once."""

    def __init__(self, models: Path) -> None:
        self._file = models / FILE
        self._read: tuple[int, int] | None = None

    def read(self) -> Mapping[str, int]:
        """Returns the requests by model at the end of the last process; none where it was told before."""
        try:
            state = self._file.lstat()
            told = msgspec.json.decode(read_text(self._file), type=dict[str, int])
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError):
            return {}
        mark = state.st_ino, state.st_mtime_ns
        if mark == self._read:
            return {}
        self._read = mark
        return told


def ended_words(server_name: str, suspects: Mapping[str, int]) -> str:
    """Returns what is said of a model whose server ended while it answered requests of `suspects`."""
    others = sorted(suspects.keys() - {server_name})
    named = ", ".join(others[:_MOST_NAMED])
    if len(others) > _MOST_NAMED:
        named = f"{named} and {len(others) - _MOST_NAMED} more"
    ended = "the inference server ended while it answered"
    if server_name not in suspects:
        return f"{ended} {named}; this model had no request there"
    own = counted(suspects[server_name], "request")
    if not others:
        return f"{ended} {own} for this model, and none for another one"
    return f"{ended} {own} for this model, and others for {named}: one of these may have ended it"

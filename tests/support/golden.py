"""Golden files: expected output beside the tests, rewritten by `pytest --update-golden`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@dataclass(frozen=True)
class Golden:
    """Compares data with `golden/<name>.yaml` in the folder of the test."""

    folder: Path
    update: bool

    def check(self, name: str, data: Any) -> None:
        self._compare(f"{name}.yaml", yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=110))

    def check_text(self, name: str, text: str) -> None:
        """Compares text with `golden/<name>.txt`."""
        self._compare(f"{name}.txt", text)

    def _compare(self, name: str, text: str) -> None:
        path = self.folder / name
        if self.update:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path} is missing; run pytest --update-golden"
        assert text == path.read_text(), f"{path} differs; look at it and run pytest --update-golden"

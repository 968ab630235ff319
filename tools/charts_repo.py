"""Packs the charts into a repository that any static server can serve: the packages and their `index.yaml`.

    python tools/charts_repo.py [FOLDER]        default: dist/charts

`helm repo add` takes the address of the folder. The index names no address, so any server can have it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import helm_python

ROOT = Path(__file__).resolve().parent.parent


def pack(folder: Path) -> list[str]:
    """Writes the packages of all charts and the index into `folder`; returns the names of the packages.

    Packages of other versions that lie there stay in the index. Raises helm_python.HelmError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    charts = sorted(path.parent for path in (ROOT / "charts").glob("*/Chart.yaml"))
    packed = [Path(helm_python.package(chart, destination=folder)).name for chart in charts]
    helm_python.repo_index_generate(folder)
    return packed


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "charts"
    print("\n".join(str(place / name) for name in pack(place)))

"""Writes what of charts/ comes from the code: CRDs, rules, values with their schema and tables, versions,
monitors, alerts and dashboards.

    python tools/charts.py

A test fails when what is committed differs from what this writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bailie import __version__
from bailie.api.crd import crd_manifests
from bailie.monitoring import rules, scrapes
from bailie.monitoring.alerts import ERROR_PERCENT, SLOW_SECONDS
from chartgen import files, rights, runtime_values, setup_values
from dashboards.boards import BOARDS
from dashboards.grafana import as_json

ROOT = Path(__file__).resolve().parent.parent / "charts"
CHARTS = {
    "crds": "Custom resources of mlops.seldon.io/v1alpha1, kept on uninstall",
    "setup": "The operator, its rights, and the configurations that runtimes and servers build on",
    "runtime": "A scheduler and Envoys for one namespace",
    "servers": "Inference servers for one namespace: MLServer and Triton",
}
ROWS = {"setup": setup_values.ROWS, "runtime": runtime_values.RUNTIME, "servers": runtime_values.SERVERS}
PART = {"app.kubernetes.io/part-of": "bailie"}
KEPT = {"helm.sh/resource-policy": "keep"}
SHARED = Path(__file__).resolve().parent / "chartgen" / "shared"


def generated() -> dict[str, str]:
    """Returns the text of each generated file by its path below charts/."""
    made = {f"{_folder(chart)}/Chart.yaml": _chart(chart, text) for chart, text in CHARTS.items()}
    for crd in crd_manifests():
        made[f"seldon-core-v2-crds/templates/{crd['metadata']['name']}.yaml"] = _crd(crd)
    made["seldon-core-v2-crds/values.yaml"] = f"# {files.NOTE} There are none.\n{{}}\n"
    made["seldon-core-v2-crds/values.schema.json"] = files.schema_json(())
    for chart, rows in ROWS.items():
        folder = _folder(chart)
        made[f"{folder}/values.yaml"] = files.values_yaml(rows)
        made[f"{folder}/values.schema.json"] = files.schema_json(rows)
        made[f"{folder}/keys.yaml"] = files.keys_yaml(rows)
        made[f"{folder}/README.md"] = files.tables(_present(f"{folder}/README.md"), rows)
        for name in ("values", "kinds", "unused"):
            made[f"{folder}/templates/_{name}.tpl"] = _shared(f"{name}.tpl")
    made["seldon-core-v2-setup/templates/_rules.tpl"] = _rules(rights.setup_rules())
    made["seldon-core-v2-runtime/templates/_rules.tpl"] = _rules(rights.runtime_rules())
    made |= _monitoring()
    for chart in ("setup", "runtime"):
        made[f"{_folder(chart)}/templates/_runtime_rights.tpl"] = _shared("runtime_rights.tpl")
        made[f"{_folder(chart)}/templates/_monitors.tpl"] = _shared("monitors.tpl")
        made[f"{_folder(chart)}/templates/_kafka.tpl"] = _shared("kafka.tpl")
    return made


def _monitoring() -> dict[str, str]:
    """Returns the monitors, rules and dashboards, which templates read as they are: braces in them are not
    Helm's."""
    made = {
        f"{_folder(chart)}/monitoring/monitors.yaml": _yaml(
            {each.component: scrapes.pod_monitor(each) for each in scraped}
        )
        for chart, scraped in (("setup", scrapes.SETUP), ("runtime", scrapes.RUNTIME))
    }
    limits = rules.Thresholds(error_percent=ERROR_PERCENT, slow_seconds=SLOW_SECONDS)
    made["seldon-core-v2-setup/monitoring/rules.yaml"] = _yaml(rules.rule_file(limits))
    for board in BOARDS:
        made[f"seldon-core-v2-setup/monitoring/dashboards/{board.name}.json"] = as_json(board)
    return made


def write() -> None:
    """Writes every generated file."""
    for name, text in generated().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _folder(chart: str) -> str:
    return f"seldon-core-v2-{chart}"


def _chart(chart: str, description: str) -> str:
    content = {
        "apiVersion": "v2",
        "name": _folder(chart),
        "description": description,
        "type": "application",
        "version": __version__,
        "appVersion": __version__,
        "kubeVersion": ">=1.30.0-0",
        "keywords": ["bailie"],
    }
    return f"# {files.NOTE}\n" + yaml.safe_dump(content, sort_keys=False, width=200)


def _crd(manifest: dict[str, Any]) -> str:
    metadata = {**manifest["metadata"], "labels": PART, "annotations": KEPT}
    text = yaml.safe_dump({**manifest, "metadata": metadata}, sort_keys=False, width=120)
    if "{{" in text:
        raise ValueError(f"{metadata['name']}: a description has braces, which Helm takes for a template")
    return f"# {files.NOTE}\n{text}"


def _rules(named: dict[str, rights.Rules]) -> str:
    return f"{{{{- /* {files.NOTE} */ -}}}}\n" + rights.rules_template(named)


def _yaml(content: dict[str, Any]) -> str:
    return f"# {files.NOTE}\n" + yaml.safe_dump(content, sort_keys=False, width=120)


def _shared(name: str) -> str:
    return f"{{{{- /* {files.NOTE} */ -}}}}\n" + (SHARED / name).read_text()


def _present(name: str) -> str:
    path = ROOT / name
    return (
        path.read_text()
        if path.exists()
        else f"# {name.partition('/')[0]}\n\n## Values\n\n{files.BEGIN}{files.END}"
    )


if __name__ == "__main__":
    write()

"""Prometheus for tests: where its programs are, its rules tried by promtool, its answers."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

import pytest
import yaml
from tests.support import plain_http
from tests.support.documents import ROOT

_UNPACKED = ROOT / ".venv-prometheus" / "usr" / "bin"


def program(name="prometheus"):
    """Returns the path of a program of Prometheus; skips the test where none is installed or unpacked."""
    found = shutil.which(name) or shutil.which(name, path=str(_UNPACKED))
    if found is None:
        pytest.skip(f"no {name}: `make prometheus` gets it")
    return found


def promtool(*arguments):
    """Runs promtool; the test fails with its words."""
    result = subprocess.run(
        [program("promtool"), *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def rules_tried(folder, rules, tests):
    """Runs promtool's unit tests of a file of rules."""
    (folder / "rules.yml").write_text(yaml.safe_dump(rules, sort_keys=False))
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yml").write_text(yaml.safe_dump(content, sort_keys=False, width=1000))
    promtool("check", "rules", folder / "rules.yml")
    return promtool("test", "rules", folder / "tests.yml")


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus by its address."""

    url: str

    def get(self, path, **parameters):
        """Returns the `data` of an answer of its API."""
        answer = plain_http.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def query(self, expr):
        """Returns the series of an expression: labels and value of each."""
        return [(each["metric"], float(each["value"][1])) for each in self.get("query", query=expr)["result"]]

    def firing(self):
        """Returns the names of the alerts that fire."""
        return {
            each["labels"]["alertname"] for each in self.get("alerts")["alerts"] if each["state"] == "firing"
        }

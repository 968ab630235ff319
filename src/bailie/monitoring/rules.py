"""The rules of Prometheus: series that are computed, and the alerts of `alerts`, as a file of rules.

`local.monitoring` gives them to a laptop's Prometheus; `tools/charts.py` writes the PrometheusRule of the
setup chart from them, which has the same form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bailie.monitoring.alerts import ALERTS, ERROR_PERCENT, SLOW_SECONDS

if TYPE_CHECKING:
    from bailie.monitoring.alerts import Alert

Manifest = dict[str, Any]
RUNBOOK = "docs/reference/alerts.md"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The limits that depend on the models: which share of requests may fail (percent), and how long the
    slowest hundredth may take (seconds)."""

    error_percent: str = "1"
    slow_seconds: str = "5"


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes from others, and its purpose."""

    name: str
    expr: str
    purpose: str


RECORDINGS = (
    Recording(
        "namespace:envoy_requests:rate5m",
        "sum by (namespace) (rate(envoy_http_downstream_rq_xx"
        '{envoy_http_conn_manager_prefix="inference"}[5m]))',
        "Requests a second that callers sent to the namespace's Envoys.",
    ),
    Recording(
        "namespace:envoy_request_errors:ratio5m",
        "sum by (namespace) (rate(envoy_http_downstream_rq_xx"
        '{envoy_http_conn_manager_prefix="inference",envoy_response_code_class="5"}[5m]))'
        " / (namespace:envoy_requests:rate5m > 0)",
        "The share of them that ended with 5xx, where there are any.",
    ),
    Recording(
        "namespace_model:seldon_model_infer_total:rate5m",
        "sum by (namespace, model) (rate(seldon_model_infer_total[5m]))",
        "Inferences a second of each model.",
    ),
)


def rule_file(thresholds: Thresholds | None = None) -> Manifest:
    """Returns the groups of rules, as Prometheus reads them and as the spec of a PrometheusRule."""
    limits = thresholds or Thresholds()
    recorded = [{"record": each.name, "expr": each.expr} for each in RECORDINGS]
    return {
        "groups": [
            {"name": "bailie.series", "rules": recorded},
            {"name": "bailie.alerts", "rules": [_alert(each, limits) for each in ALERTS]},
        ]
    }


def _alert(alert: Alert, limits: Thresholds) -> Manifest:
    def filled(text: str) -> str:
        known = text.replace(ERROR_PERCENT, limits.error_percent)
        return known.replace(SLOW_SECONDS, limits.slow_seconds)

    found: Manifest = {"alert": alert.name, "expr": filled(alert.expr)}
    if alert.lasting:
        found["for"] = alert.lasting
    found["labels"] = {"severity": alert.severity}
    found["annotations"] = {
        "summary": alert.summary,
        "description": filled(alert.description),
        "runbook": f"{RUNBOOK}#{alert.name.lower()}",
    }
    return found

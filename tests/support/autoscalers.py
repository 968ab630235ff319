"""Stand-ins for others' autoscalers: prometheus-adapter, KEDA's triggers, and the controller of HPAs.

Each does as its project documents: the adapter discovers metrics and asks Prometheus by the templates of its
rules, KEDA makes an HPA of a ScaledObject, and the controller compares metrics with targets and writes the
scale subresource.
"""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict, deque

import httpx
from tests.support import plain_http

from bailie.api.quantity import parse_thousandths

TOLERANCE = 0.1
"""A metric that is so near to its target changes nothing."""
STABLE_SECONDS = 300
"""The highest wish of that time counts, where fewer replicas are wished for."""
MANAGER = "kube-controller-manager"
PLURALS = {"Model": "models", "Server": "servers"}


class PrometheusAdapter:
    """Metrics of objects by the rules of a configuration, as `custom.metrics.k8s.io` has them."""

    def __init__(self, prometheus, values):
        self._prometheus, self._rules = prometheus, values["rules"]["custom"]

    def available(self):
        """Returns what the API lists: each metric, by the resource that it describes."""
        return {f"{resource}/{name}": (rule, series) for rule, resource, name, series in self._discovered()}

    def value(self, resource, namespace, name, metric, selector=""):
        """Returns the newest value in thousandths, None where there is none.

        `resource` as in the API's path: `models.mlops.seldon.io`, or `namespaces`, which has no name.
        """
        found = self.available().get(f"{resource}/{metric}")
        if found is None:
            return None
        rule, series = found
        label = next(each for each, given in _overrides(rule).items() if given == resource)
        matchers = [f'namespace="{namespace}"', *([selector] if selector else [])]
        matchers += [] if resource == "namespaces" else [f'{label}=~"{name}"']
        query = rule["metricsQuery"]
        for template, text in (
            ("Series", series),
            ("LabelMatchers", ",".join(matchers)),
            ("GroupBy", label),
        ):
            query = query.replace(f"<<.{template}>>", text)
        wanted = namespace if resource == "namespaces" else name
        answers = [value for labels, value in self._prometheus.query(query) if labels.get(label) == wanted]
        return math.floor(answers[0] * 1000) if answers else None

    def _discovered(self):
        for rule in self._rules:
            series = self._prometheus.get(
                "series", **{"match[]": rule["seriesQuery"].strip(), "start": time.time() - 60}
            )
            for each in series:
                if not any(
                    re.search(given["isNot"], each["__name__"]) for given in rule.get("seriesFilters", ())
                ):
                    form = re.sub(r"\$\{(\d)\}", r"\\\1", rule["name"]["as"])
                    name = re.sub(rule["name"]["matches"], form, each["__name__"])
                    for label, resource in _overrides(rule).items():
                        if label in each:
                            yield rule, resource, name, each["__name__"]


def _overrides(rule):
    """Returns the resource that each label names, as in the API's paths."""
    given = rule["resources"]["overrides"]
    return {
        label: ".".join(filter(None, (f"{each['resource']}s", each.get("group", ""))))
        for label, each in given.items()
    }


class Triggers:
    """The triggers of ScaledObjects, whose values KEDA answers by `external.metrics.k8s.io`."""

    def __init__(self, prometheus, hosts):
        """Takes the addresses of Services that the triggers name."""
        self._prometheus, self._hosts = prometheus, hosts
        self._triggers = {}

    def autoscaler(self, scaled_object):
        """Returns the HPA that KEDA makes of a ScaledObject."""
        spec, metrics = scaled_object["spec"], []
        for number, trigger in enumerate(spec["triggers"]):
            metric = f"s{number}-{trigger['type']}"
            self._triggers[metric] = trigger
            wanted = trigger["metadata"].get("threshold") or trigger["metadata"]["targetValue"]
            target = {"type": "AverageValue", "averageValue": wanted}
            metrics.append({"type": "External", "external": {"metric": {"name": metric}, "target": target}})
        return {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": f"keda-hpa-{scaled_object['metadata']['name']}"},
            "spec": {
                "scaleTargetRef": spec["scaleTargetRef"],
                "minReplicas": spec["minReplicaCount"],
                "maxReplicas": spec["maxReplicaCount"],
                "metrics": metrics,
            },
        }

    def value(self, metric):
        """Returns the newest value of a trigger in thousandths, None where there is none."""
        trigger = self._triggers[metric]
        given = trigger["metadata"]
        if trigger["type"] == "prometheus":
            found = self._prometheus.query(given["query"])
            return math.floor(found[0][1] * 1000) if found else None
        host = httpx.URL(given["url"]).host
        answer = plain_http.get(given["url"].replace(host, self._hosts[host]), timeout=10)
        return math.floor(answer.json()[given["valueLocation"]] * 1000)


class Autoscalers:
    """The controller of HorizontalPodAutoscalers, for metrics of the types Object and External."""

    def __init__(self, request, *, custom=None, external=None, clock=time.monotonic):
        """Takes `request`, which asks the API: method, path, body and parameters."""
        self._request, self._custom, self._external, self._clock = request, custom, external, clock
        self._wishes = defaultdict(deque)

    def sync(self, namespace):
        """Looks once at every HPA of the namespace; a metric that is missing changes nothing."""
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
        for each in self._request("GET", path)["items"]:
            self._scale(namespace, each["metadata"]["name"], each["spec"])

    def _scale(self, namespace, name, spec):
        target = spec["scaleTargetRef"]
        place = f"/apis/{target['apiVersion']}/namespaces/{namespace}/{PLURALS[target['kind']]}"
        scale = self._request("GET", f"{place}/{target['name']}/scale")
        assert scale["status"].get("selector"), f"selector is required of {target}"
        present = scale["spec"]["replicas"]
        wishes = [self._wish(namespace, each, scale["status"]["replicas"]) for each in spec["metrics"]]
        if not present or None in wishes:
            return
        wished = self._stable(name, max(wishes))
        wished = min(max(wished, spec.get("minReplicas", 1)), spec["maxReplicas"], max(2 * present, 4))
        if wished != present:
            scale["spec"]["replicas"] = wished
            self._request("PUT", f"{place}/{target['name']}/scale", scale, fieldManager=MANAGER)

    def _wish(self, namespace, metric, replicas):
        """Returns the number by one metric: that for its target, or the present one where it is near."""
        if metric["type"] == "External":
            of, value = metric["external"], self._external(metric["external"]["metric"]["name"])
        else:
            of = metric["object"]
            described, group = of["describedObject"], of["describedObject"]["apiVersion"].partition("/")[0]
            resource = f"{PLURALS[described['kind']]}.{group}"
            value = self._custom(resource, namespace, described["name"], of["metric"]["name"])
        if value is None:
            return None
        wanted = parse_thousandths(of["target"]["averageValue"])
        near = replicas and abs(1 - value / (wanted * replicas)) <= TOLERANCE
        return replicas if near else math.ceil(value / wanted)

    def _stable(self, name, wished):
        now, wishes = self._clock(), self._wishes[name]
        wishes.append((now, wished))
        while wishes[0][0] <= now - STABLE_SECONDS:
            wishes.popleft()
        return max(each for _, each in wishes)

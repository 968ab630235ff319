"""`bailie up --monitoring` under load: each expression of a dashboard or a rule answers, and alerts fire."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import yaml
from tests.e2e.conftest import SYSTEM, Stack, bailie, processes_of
from tests.support import plain_http
from tests.support.autoscalers import MANAGER, Autoscalers, PrometheusAdapter, Triggers
from tests.support.prometheus import Prometheus, program

from bailie._gen import inference_pb2_grpc
from bailie.inference.codec import to_protobuf
from bailie.monitoring.rules import RECORDINGS, rule_file
from dashboards.boards import BOARDS

pytestmark = pytest.mark.e2e

KIND = {"apiVersion": "mlops.seldon.io/v1alpha1"}
SECONDS = 90
"""For Prometheus to have read what is asked of it, on a busy machine."""
GATEWAY, CROWDED = "seldon-pipelinegateway", "crowded"
FOLLOWED = "followed"
"""A Model whose replicas others scale; its own annotation would leave it at one."""
CROWD = [f"crowded-{number}" for number in range(3)]
BROKEN = [f"broken-{number}" for number in range(3)]
CHOSEN = {
    "__rate_interval": "1m",
    "namespace": SYSTEM,
    "server": CROWDED,
    "model": "iris",
    "pipeline": ".+",
    "route": "ab.experiment",
}
RECIPES = Path(__file__).parents[2] / "examples" / "autoscaling"
QUERIES_FILE = Path(__file__).with_name("seldon_core_queries.yaml")
QUERIES = yaml.safe_load(QUERIES_FILE.read_text())


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A `bailie up` of its own, with Prometheus."""
    state = tmp_path_factory.mktemp("monitored") / "state"
    path = f"{os.environ['PATH']}:{Path(program()).parent}"  # noqa: TID251 - as a user's shell has it
    bailie(
        *("up", "--detach", "--monitoring", "--namespaces", SYSTEM, "--state-dir", state),
        env={**os.environ, "PATH": path},  # noqa: TID251
    )
    try:
        yield Stack(state)
    finally:
        bailie("down", "--state-dir", state)
        assert processes_of(state) == []


@pytest.fixture(scope="module")
def prometheus(stack):
    """The Prometheus of the stack, made quick: it reads each second, and alerts fire without waiting."""
    shown, folder = stack.status()["prometheus"], stack.state / "monitoring"
    configuration = yaml.safe_load((folder / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    rules = rule_file()
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule.pop("for", None)
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    os.kill(shown["pid"], signal.SIGHUP)
    return Prometheus(shown["url"])


def servers():
    """A server with memory for one model of the crowd, and gateways for pipelines."""
    pod = {
        "containers": [
            {"name": "agent", "env": [{"name": "SELDON_OVERCOMMIT_PERCENTAGE", "value": "200"}]},
            {"name": "mlserver", "resources": {"requests": {"memory": "15Mi"}}},
        ]
    }
    for name, spec in (
        (CROWDED, {"serverConfig": "mlserver", "podSpec": pod}),
        (GATEWAY, {"serverConfig": GATEWAY}),
    ):
        yield {**KIND, "kind": "Server", "metadata": {"name": name, "namespace": SYSTEM}, "spec": spec}


def followed(models):
    manifest = models.manifest(FOLLOWED, server="mlserver", replicas=1, maxReplicas=3)
    manifest["metadata"]["annotations"] = {"bailie.io/scale": "rps=1000"}
    return manifest


def objects(models):
    yield from servers()
    for name in ("iris", "iris-b"):
        yield models.manifest(name, server="mlserver")
    yield followed(models)
    yield from (models.manifest(name, server=CROWDED) for name in CROWD)
    nowhere = str(models.folder / "nowhere")
    yield from (models.manifest(name, storageUri=nowhere, server="mlserver") for name in BROKEN)
    candidates = [{"name": "iris", "weight": 80}, {"name": "iris-b", "weight": 20}]
    steps = {"steps": [{"name": "iris"}], "output": {"steps": ["iris"]}}
    delivery = {"bailie.io/progressive": "steps=20%:1h"}
    for kind, name, spec, annotations in (
        ("Experiment", "ab", {"default": "iris", "candidates": candidates}, delivery),
        ("Pipeline", "one", steps, {}),
    ):
        metadata = {"name": name, "namespace": SYSTEM, "annotations": annotations}
        yield {**KIND, "kind": kind, "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def callers(stack, models, prometheus):
    """Calls every name, over and over while the tests run, from the moment when all answer."""
    for manifest in objects(models):
        stack.apply(manifest)
    for name in (
        "model/iris",
        "model/iris-b",
        f"model/{FOLLOWED}",
        *(f"model/{each}" for each in CROWD),
        "pipeline/one",
    ):
        stack.kubectl("wait", "--for=condition=Ready", name, "-n", SYSTEM, "--timeout=90s")
    inference = stack.status()["namespaces"][SYSTEM]["inference"]
    request = models.expected["iris"].request()
    names = ("iris", "iris-b", "ab.experiment", "one.pipeline", "nobody", FOLLOWED, *CROWD)
    ended = []

    def call():
        with (
            plain_http.client(base_url=inference["http"], timeout=30) as client,
            grpc.insecure_channel(inference["grpc"]) as channel,
        ):
            stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            while not ended:
                for name in names:
                    client.post(f"/v2/models/{name}/infer", json=request)
                stub.ModelInfer(to_protobuf("iris", request), metadata=(("seldon-model", "iris"),))
                time.sleep(0.1)  # a load that leaves the machine to the servers

    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call)
        yield
        ended.append(True)
        calling.result(60)


def until_none(left):
    """Waits until `left` returns nothing; fails with what is left."""
    deadline = time.monotonic() + SECONDS
    while found := left():
        assert time.monotonic() < deadline, f"after {SECONDS} s: {found}"
        time.sleep(0.2)


def until_answered(prometheus, expressions):
    """Waits until each expression has returned series once."""
    left = dict(expressions)

    def silent():
        for title in [title for title, expr in left.items() if prometheus.query(expr)]:
            del left[title]
        return left

    until_none(silent)


def test_every_pod_is_read(stack, callers, prometheus):
    def read():
        return {
            (each["labels"]["job"], each["labels"]["pod"], each["labels"]["container"], each["health"])
            for each in prometheus.get("targets")["activeTargets"]
        }

    expected = {
        ("seldon-v2-controller-manager", "seldon-v2-controller-manager-0", "manager", "up"),
        ("seldon-scheduler", "seldon-scheduler-0", "scheduler", "up"),
        ("seldon-envoy", "seldon-envoy-0", "envoy", "up"),
        ("seldon-server", f"{GATEWAY}-0", "agent", "up"),
        *(
            ("seldon-server", f"{server}-0", container, "up")
            for server in ("mlserver", CROWDED)
            for container in ("agent", "mlserver")
        ),
    }
    until_none(lambda: read() ^ expected)


def test_every_expression_of_the_dashboards_answers(callers, prometheus):
    def filled(expr):
        for name, value in CHOSEN.items():
            expr = expr.replace(f"${{{name}}}", value).replace(f"${name}", value)
        return expr

    expressions = {
        f"{board.name}: {panel.title} {query.legend}": filled(query.expr)
        for board in BOARDS
        for _, panels in board.rows
        for panel in panels
        for query in panel.queries
    }
    for board in BOARDS:
        for selector in board.selectors:
            expressions[f"{board.name}: the choice of {selector.label}"] = filled(selector.series)
    until_answered(prometheus, expressions)


def test_every_computed_series_is_there(callers, prometheus):
    until_answered(prometheus, {each.name: each.name for each in RECORDINGS})
    health = [rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert set(health) == {"ok"}


@pytest.mark.parametrize("who", QUERIES)
def test_what_others_ask_of_seldon_core_is_answered(callers, prometheus, who):
    expressions = {
        title: expr.replace("SERVER", "mlserver").replace("MODEL", "iris")
        for title, expr in QUERIES[who].items()
    }
    until_answered(prometheus, expressions)


def test_no_request_is_counted_twice(callers, prometheus):
    labels = "model_internal, code, server, server_replica, method_type"
    assert prometheus.query(f'count by ({labels}) (seldon_model_infer_total{{model="iris"}}) > 1') == []


def adapter(prometheus, path):
    return PrometheusAdapter(prometheus, yaml.safe_load(path.read_text()))


def recipe(name):
    """The manifests of a recipe, for the Model and a load that is small."""
    text = re.sub(r"\biris\b", FOLLOWED, (RECIPES / name).read_text())
    for old, new in (('"50"', '"0.1"'), ("maxReplicas: 6", "maxReplicas: 2"), ("Count: 6", "Count: 2")):
        text = text.replace(old, new)
    return list(yaml.safe_load_all(text))


def wait_until_scaled(stack, autoscalers):
    """Has the autoscalers look, over and over, until two replicas of the Model answer."""

    def left():
        autoscalers.sync(SYSTEM)
        return stack.get("model", FOLLOWED)["status"]["availableReplicas"] != 2

    until_none(left)


def wait_until_scheduler_scales(stack, models):
    """Applies the Model with its own number, which ends that of another autoscaler."""
    stack.apply(followed(models))
    until_none(lambda: stack.condition(FOLLOWED, "Scaling").get("status") != "True")
    until_none(lambda: stack.get("model", FOLLOWED)["status"]["availableReplicas"] != 1)


def test_the_rule_of_seldon_core_answers_for_each_kind_of_object(callers, prometheus):
    asked = adapter(prometheus, QUERIES_FILE.with_name("seldon_core_adapter.yaml"))
    described = {
        "models.mlops.seldon.io": FOLLOWED,
        "servers.mlops.seldon.io": "mlserver",
        "pods": "mlserver-0",
        "namespaces": "",
    }
    until_none(
        lambda: [each for each, name in described.items() if not asked.value(each, SYSTEM, name, "infer_rps")]
    )
    rest = asked.value("pods", SYSTEM, "mlserver-0", "infer_rps", 'method_type="rest"')
    assert rest > 0


def test_an_hpa_scales_a_model_with_its_server_and_lets_go(stack, models, callers, prometheus):
    asked = adapter(prometheus, RECIPES / "prometheus-adapter.yaml")
    for each in recipe("hpa.yaml"):
        stack.apply({**each, "metadata": {**each["metadata"], "namespace": SYSTEM}})
    wait_until_scaled(stack, Autoscalers(stack.request, custom=asked.value))
    assert stack.get("server", "mlserver")["spec"]["replicas"] == 2
    until_none(lambda: stack.condition(FOLLOWED, "Scaling").get("reason") != "ReplicasOwned")
    assert MANAGER in stack.condition(FOLLOWED, "Scaling")["message"]
    answering = f'sum by (pod) (rate(seldon_model_infer_total{{model="{FOLLOWED}"}}[1m])) > 0'
    until_none(
        lambda: {"mlserver-0", "mlserver-1"} ^ {each["pod"] for each, _ in prometheus.query(answering)}
    )
    stack.kubectl("delete", "hpa", "--all", "-n", SYSTEM)
    wait_until_scheduler_scales(stack, models)


def test_keda_scales_a_model_by_either_trigger(stack, models, callers, prometheus):
    scheduler = next(each for each in stack.list("pod") if each["metadata"]["name"] == "seldon-scheduler-0")
    triggers = Triggers(prometheus, {"seldon-scheduler.seldon-system": scheduler["status"]["podIP"]})
    hpa = triggers.autoscaler(*recipe("keda.yaml"))
    until_none(lambda: [each for each in ("s0-prometheus", "s1-metrics-api") if not triggers.value(each)])
    stack.apply({**hpa, "metadata": {**hpa["metadata"], "namespace": SYSTEM}})
    wait_until_scaled(stack, Autoscalers(stack.request, external=triggers.value))
    stack.kubectl("delete", "hpa", "--all", "-n", SYSTEM)
    wait_until_scheduler_scales(stack, models)


def test_alerts_fire(stack, callers, prometheus):
    until_none(lambda: {"BailieModelsNotReady", "BailieLoadsFail"} - prometheus.firing())
    leaderless = {"BailieNoSchedulerLeads", "BailieTargetSilent", "BailieEnvoyAlone"}
    until_none(lambda: leaderless & prometheus.firing())
    [scheduler] = stack.status()["namespaces"][SYSTEM]["schedulers"]
    os.kill(scheduler["pid"], signal.SIGSTOP)
    try:
        until_none(lambda: leaderless - prometheus.firing())
    finally:
        os.kill(scheduler["pid"], signal.SIGCONT)
    until_none(lambda: leaderless & prometheus.firing())

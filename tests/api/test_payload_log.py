"""Where the payloads of a Model go: what the annotations may say."""

import pytest

from bailie.api.model import Model
from bailie.api.payload_log import ANNOTATION, MODE_ANNOTATION, PayloadLog, SinkRule
from bailie.api.resource import NO_EFFECT

SINK = "http://payloads.logging:8080/events"


def parsed(logger, **annotations):
    names = {"sink": ANNOTATION, "mode": MODE_ANNOTATION}
    metadata = {
        "name": "iris",
        "namespace": "team-a",
        "annotations": {names[key]: value for key, value in annotations.items()},
    }
    spec = {"storageUri": "gs://bucket/iris"} | ({} if logger is None else {"logger": logger})
    model, problems = Model.parse(
        {"apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Model", "metadata": metadata, "spec": spec}
    )
    assert model is not None, problems
    return model.payload_log, problems


GOOD = {
    SINK: PayloadLog("iris", "payloads.logging.svc", 8080, "/events"),
    " http://Payloads.Logging.svc.cluster.local ": PayloadLog("iris", "payloads.logging.svc", 80, "/"),
    "http://payloads/": PayloadLog("iris", "payloads.team-a.svc", 80, "/"),
    "http://broker-ingress.knative-eventing.svc/team-a/default": PayloadLog(
        "iris", "broker-ingress.knative-eventing.svc", 80, "/team-a/default"
    ),
    "http://kubernetes/": PayloadLog("iris", "kubernetes.team-a.svc", 80, "/"),
    "http://localhost:9000": PayloadLog("iris", "localhost", 9000, "/"),
}


@pytest.mark.parametrize("host", ["example.com", "127.1", "0x7f.1", "2130706433", "google"])
def test_no_name_leads_out_of_the_cluster(host):
    log, _ = parsed({}, sink=f"http://{host}/")
    assert log.host.endswith(".svc")
    assert log.host.count(".") == 2


@pytest.mark.parametrize("text", GOOD)
def test_a_sink(text):
    assert parsed({}, sink=text) == (GOOD[text], [])


BAD = {
    "": "is no address of a Service",
    "payloads.logging:8080": "is no address of a Service",
    "ftp://payloads.logging": "is no address of a Service",
    "https://payloads.logging": "asks for TLS, which is not done",
    "http://user:password@payloads.logging/": "is no address of a Service without user",
    "http://payloads.logging/?token=hunter2": "is no address of a Service without user, query",
    "http://payloads.logging/#a": "is no address of a Service",
    "http://payloads.logging/a b": "is no address of a Service",
    "http://payloads.logging/\r\nx-header: 1": "is no address of a Service",
    "http://169.254.169.254/latest": "names no Service",
    "http://[::1]/": "is no address of a Service",
    "http://127.0.0.1:9003/": "names no Service",
    "http://metadata.google.internal/": "names no Service",
    "http://payloads.logging.svc.evil.example/": "names no Service",
    "http://a..b/": "names no Service",
    "http://-a.b/": "names no Service",
    "http://a.b./": "names no Service",
    "http://payloads.logging:0/": "is no port",
    "http://payloads.logging:70000/": "is no port",
    "http://seldon-mesh.team-b/": "names no Service",
    "http://seldon-mesh-before/": "names no Service",
    "http://Seldon-Scheduler.team-b.svc:9004/": "names no Service",
    "http://seldon-envoy/": "names no Service",
    "http://seldon-pipelinegateway.team-b/": "names no Service",
    "http://kubernetes.default:443/api": "names no Service",
    "http://kubernetes.default.svc.cluster.local/": "names no Service",
    "http://kube-dns.kube-system:9153/": "names no Service",
    "http://mlserver:9000/v2/repository/models/rose_1/unload": "names no Service",
    "http://mlserver.team-b:9000/v2/%72epository/models/rose_1/unload": "names no Service",
    "http://mlserver:9000/v2/%2572epository/models/rose_1/unload": "or a server's repository",
    "http://mlserver:9000/V2/Repository/index": "or a server's repository",
    "http://mlserver:9000/v2/models/../repository/index": "no paths with empty parts, ..",
    "http://mlserver:9000/v2/%2e/repository/index": "no paths with empty parts, ..",
    "http://mlserver:9000/v2//repository/index": "no paths with empty parts",
    "http://mlserver:9000//v2": "no paths with empty parts",
    "http://" + "a" * 600: "has 607 characters",
}


ALLOWED = {
    "": False,
    "payloads.logging": True,
    "payloads.else, *.logging": True,
    "*": True,
    "*.else,payloads.else,other.logging": False,
}


@pytest.mark.parametrize("names", ALLOWED)
def test_a_sink_in_another_namespace_needs_the_administrator(names):
    log, _ = parsed({}, sink=SINK)
    refusal, at_home = (SinkRule.parse(names).refusal(log, place) for place in ("team-a", "logging"))
    assert (refusal is None, at_home) == (ALLOWED[names], None)
    if refusal:
        assert refusal.reason == NO_EFFECT
        assert "payloads.logging is in another namespace" in refusal.message
        assert "security.payloadSinks" in refusal.message
    assert SinkRule.parse(names).refusal(parsed({}, sink="http://localhost:80")[0], "team-a") is None


@pytest.mark.parametrize(
    "names", ["payloads", "a.b.c", "*.*", "payloads.*", "http://a.b", "a.b:80", "A.b", "**"]
)
def test_what_is_no_name_of_sinks_is_refused(names):
    with pytest.raises(ValueError, match=r"is none of service\.namespace"):
        SinkRule.parse(f"payloads.logging,{names}")


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_sink_is_named_and_the_model_serves(text):
    log, problems = parsed({}, sink=text)
    (problem,) = problems
    assert (log, problem.reason, problem.path) == (None, NO_EFFECT, f"metadata.annotations[{ANNOTATION}]")
    assert BAD[text] in problem.message
    assert "\n" not in problem.message


@pytest.mark.parametrize(
    ("logger", "mode", "percent", "found"),
    [
        ({}, None, 100, "all"),
        ({"percent": 7}, " request ", 7, "request"),
        ({"percent": 100}, "response", 100, "response"),
    ],
)
def test_which_requests(logger, mode, percent, found):
    log, problems = parsed(logger, sink=SINK, **({"mode": mode} if mode else {}))
    assert (log.percent, log.mode, problems) == (percent, found, [])


def test_no_percent_is_none_of_them():
    assert parsed({"percent": 0}, sink=SINK) == (None, [])


@pytest.mark.parametrize(
    ("logger", "annotations", "path", "says"),
    [
        ({}, {}, "spec.logger", f"without the annotation {ANNOTATION}"),
        ({"percent": 101}, {"sink": SINK}, "spec.logger.percent", "101 is more than 100"),
        (
            {},
            {"sink": SINK, "mode": "some"},
            f"metadata.annotations[{MODE_ANNOTATION}]",
            "none of all, request",
        ),
        (None, {"sink": SINK}, f"metadata.annotations[{ANNOTATION}]", "spec.logger is not set"),
    ],
)
def test_what_has_no_effect_is_said(logger, annotations, path, says):
    log, (problem,) = parsed(logger, **annotations)
    assert (log, problem.path, problem.reason) == (None, path, NO_EFFECT)
    assert says in problem.message

"""Traces of a namespace by its SeldonRuntime: from Envoy, an agent and the scheduler of a real stack."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from tests.e2e.conftest import SYSTEM, until
from tests.support import plain_http
from tests.support.collector import SAMPLED, SERVICE, TRACE, TraceCollector

pytestmark = pytest.mark.e2e


@contextmanager
def receiving():
    """A collector in threads of its own."""
    found = TraceCollector()
    server = grpc.server(ThreadPoolExecutor(4))
    handler = grpc.unary_unary_rpc_method_handler(lambda data, _: found.take(data))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": handler}),))
    found.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield found
    finally:
        server.stop(0)


def trace_to(stack, config):
    """Says where the namespace's traces go, None for nowhere, and waits for the status to say so."""
    patch = json.dumps({"spec": {"config": {"tracingConfig": config}}})
    stack.kubectl("patch", "seldonruntime", "seldon", "-n", SYSTEM, "--type", "merge", "-p", patch)
    expected = config and {"collector": config["otelExporterEndpoint"], "ratio": "1"}
    until(lambda: stack.get("seldonruntime", "seldon").get("status", {}).get("tracing") == expected)


def test_a_namespace_sends_its_traces_without_a_restart(stack, models, model):
    model("iris")
    stack.wait_ready("iris")
    url, body = f"{stack.url(SYSTEM)}/v2/models/iris/infer", models.expected["iris"].request()

    def traced(found):
        headers = {"traceparent": SAMPLED}
        assert plain_http.post(url, json=body, headers=headers, timeout=30).status_code == 200
        return found.of("seldon-envoy", trace=TRACE)

    with receiving() as found:
        trace_to(stack, {"otelExporterEndpoint": f"127.0.0.1:{found.port}"})
        config = stack.get("configmap", "bailie-tracing")["data"]
        assert config == {"MLSERVER_TRACING_SERVER": f"127.0.0.1:{found.port}"}
        (span, *_) = until(lambda: traced(found))
        assert (span.attributes["model"], span.attributes["server"]) == ("iris", "mlserver")
        model("iris-b")
        (load, *_) = until(lambda: found.of("seldon-agent", "load"))
        assert load.attributes["model"] == "iris-b"
        passes = until(lambda: found.of("seldon-scheduler", "pass"))
        assert any(each.attributes.get("load sent") for each in passes)
        trace_to(stack, None)

"""The alerts: each with the condition, how long it has to last, and what a person does about it.

`rules` makes Prometheus's rules of them; the page docs/reference/alerts.md is written from them. In a healthy
namespace an expression has no result. `critical` justifies a call at night, `warning` the next morning.
ERROR_PERCENT and SLOW_SECONDS stand for limits that depend on the models.
"""

from __future__ import annotations

from dataclasses import dataclass

from bailie.wellknown import labels, names

ERROR_PERCENT, SLOW_SECONDS = "@ERROR_PERCENT@", "@SLOW_SECONDS@"
CRITICAL, WARNING = "critical", "warning"
GRPC_FAILURES = "Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss|ResourceExhausted"
"""The gRPC codes that stand for HTTP's 5xx, by Envoy's names."""
_JOBS = "|".join((names.OPERATOR, names.SCHEDULER, names.ENVOY, names.SERVER))
_ANSWERING = "ModelAvailable|PreviousVersionAnswers|ModelScaledDown|ModelTerminating|Asleep"
"""The states of a Model about which nobody has to do anything at once."""
_TAKEN_BACK = "TooManyErrors|MoreErrors|MoreCancelled|TooSlow|NotProven"
"""The ends of a delivery that no person has asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. `lasting` is a duration of Prometheus, empty for none; `remedy` is for the person who is
    called, in Markdown, with the alert's labels in capitals; `summary` and `description` are templates of
    Prometheus."""

    name: str
    severity: str
    expr: str
    lasting: str
    summary: str
    description: str
    remedy: str


REQUESTS = (
    Alert(
        name="BailieRequestsFail",
        severity=CRITICAL,
        expr=f"namespace:envoy_request_errors:ratio5m * 100 > {ERROR_PERCENT}",
        lasting="5m",
        summary="Requests to {{ $labels.namespace }} fail",
        description="{{ $value | humanize }} % of the requests to the Envoys of {{ $labels.namespace }} end"
        " with 5xx.",
        remedy="`bailie status -n NAMESPACE` shows what is not ready; the body of a 503 says which model, and"
        " why. The dashboard of the namespace shows which models and codes.",
    ),
    Alert(
        name="BailieModelFails",
        severity=WARNING,
        expr=f'sum by (namespace, model) (rate(seldon_model_infer_total{{code=~"5..|{GRPC_FAILURES}"}}[5m]))'
        f" / (sum by (namespace, model) (rate(seldon_model_infer_total[5m])) > 0) * 100 > {ERROR_PERCENT}",
        lasting="10m",
        summary="Model {{ $labels.model }} of {{ $labels.namespace }} fails",
        description="{{ $value | humanize }} % of its inferences end with a fault of the server, REST and"
        " gRPC together.",
        remedy="`bailie explain model MODEL -n NAMESPACE` names the pods that have the model. `bailie"
        " logs POD -c mlserver -n NAMESPACE`, with the name of one of them, shows what the"
        " model's code raised.",
    ),
    Alert(
        name="BailieRequestsSlow",
        severity=WARNING,
        expr="histogram_quantile(0.99, sum by (namespace, server, le)"
        f" (rate(seldon_model_infer_api_seconds_bucket[5m]))) > {SLOW_SECONDS}",
        lasting="10m",
        summary="Server {{ $labels.server }} of {{ $labels.namespace }} answers slowly",
        description="The slowest hundredth of its inferences takes {{ $value | humanizeDuration }} or more.",
        remedy="The dashboard of the server: do requests wait for models that are not in memory"
        " ([BailieModelsReturnSlowly](#bailiemodelsreturnslowly)), or does one model take the processor?"
        " `kubectl scale server SERVER -n NAMESPACE --replicas=3` gives the server more replicas. Raise"
        " `monitoring.slowSeconds` where the models are meant to take so long.",
    ),
    Alert(
        name="BailieRequestsRefused",
        severity=WARNING,
        expr='sum by (namespace) (increase({__name__=~"envoy_cluster_upstream_rq_pending_overflow'
        '|envoy_http_adaptive_concurrency_gradient_controller_rq_blocked"}[10m])) > 0',
        lasting="5m",
        summary="Requests to {{ $labels.namespace }} are refused for want of room",
        description="Envoy answered {{ $value | humanize }} requests of ten minutes 503 `Overloaded`: a"
        " name, or a replica, has as many in progress as it may have.",
        remedy="Ask Prometheus for the models: `sum by (model)"
        ' (rate(seldon_model_infer_total{code=~"503|Unavailable"}[10m]))`. Give their server more'
        " replicas; or raise `envoy.maxRequestsPerReplica`, where the server can take more at a"
        " time ([limits](../operations.md#limits-of-the-data-plane)).",
    ),
    Alert(
        name="BailieEnvoyMemoryShort",
        severity=CRITICAL,
        expr="max by (namespace, pod) (envoy_overload_envoy_resource_monitors_fixed_heap_pressure) > 60",
        lasting="5m",
        summary="Envoy {{ $labels.namespace }}/{{ $labels.pod }} is short of memory",
        description="It holds {{ $value }} % of its memory. At 68 % it ends the calls that hold most, at 76"
        " % it refuses all new ones.",
        remedy="`bailie top -n NAMESPACE` shows which models the requests are for. Raise"
        " `envoy.resources.limits.memory` of the setup chart, or share the calls with one more"
        " Envoy (`envoy.replicas` of the runtime chart).",
    ),
)

MODELS = (
    Alert(
        name="BailieModelsNotReady",
        severity=WARNING,
        expr=f'sum by (namespace, state) (bailie_models{{state!~"{_ANSWERING}"}}) > 0',
        lasting="10m",
        summary="Models of {{ $labels.namespace }} are not ready: {{ $labels.state }}",
        description="{{ $value }} models, for ten minutes.",
        remedy="`bailie status -n NAMESPACE` names the Models, `bailie explain model NAME -n NAMESPACE`"
        " says why one is not ready, and [a model is not"
        " ready](../operations.md#a-model-is-not-ready) what to do.",
    ),
    Alert(
        name="BailieLoadsFail",
        severity=WARNING,
        expr='sum by (namespace, reason) (increase(bailie_agent_loads_total{reason!=""}[15m])) > 3',
        lasting="",
        summary="Loads fail in {{ $labels.namespace }}: {{ $labels.reason }}",
        description="{{ $value | humanize }} loads of fifteen minutes ended with this reason. Each is tried"
        " again, with growing pauses.",
        remedy="`bailie status -n NAMESPACE` names the Models. Their condition `ModelReady` has the"
        " artifact, the Secret or the server's words: [a model is not"
        " ready](../operations.md#a-model-is-not-ready).",
    ),
    Alert(
        name="BailieModelsThrash",
        severity=WARNING,
        expr="sum by (namespace, pod) (rate(bailie_agent_returns_total[10m])) * 60 > 6",
        lasting="15m",
        summary="Models of {{ $labels.namespace }}/{{ $labels.pod }} push each other out of memory",
        description="{{ $value | humanize }} models a minute are loaded again for a request, for a quarter"
        " of an hour.",
        remedy="Give the server more memory or more replicas, or less"
        " [overcommit](../models.md#overcommit). The dashboard of the server shows which models.",
    ),
    Alert(
        name="BailieModelsReturnSlowly",
        severity=WARNING,
        expr="histogram_quantile(0.95, sum by (namespace, pod, le)"
        " (rate(bailie_agent_held_seconds_bucket[15m]))) > 10",
        lasting="10m",
        summary="Requests to {{ $labels.namespace }}/{{ $labels.pod }} wait long for evicted models",
        description="One in twenty of those that have to wait for a model waits {{ $value |"
        " humanizeDuration }} or more.",
        remedy="The metric `bailie_agent_stage_seconds` says how long the loads take. Give a model that loads"
        " slowly a server without [overcommit](../models.md#overcommit).",
    ),
    Alert(
        name="BailiePipelinesRefused",
        severity=WARNING,
        expr="sum by (namespace) (increase(bailie_pipeline_refused_total[10m])) > 0",
        lasting="5m",
        summary="Requests to pipelines of {{ $labels.namespace }} are refused for want of room",
        description="{{ $value | humanize }} requests of ten minutes.",
        remedy="Give the Server that runs pipelines more replicas: `kubectl scale server"
        f" {names.PIPELINE_GATEWAY} -n NAMESPACE --replicas=3`; [pipelines](../pipelines.md).",
    ),
    Alert(
        name="BailieJournalIncomplete",
        severity=WARNING,
        expr="sum by (namespace) (increase(bailie_journal_dropped_total[10m])) > 0",
        lasting="5m",
        summary="Requests to pipelines of {{ $labels.namespace }} are not all journalled",
        description="{{ $value | humanize }} records of ten minutes were dropped. Callers have answers.",
        remedy="`kubectl describe pipelines -n NAMESPACE`: the condition `JournalReady` says why;"
        " [without the broker](../pipelines.md#without-the-broker).",
    ),
)

DELIVERIES = (
    Alert(
        name="BailieDeliveryTakenBack",
        severity=WARNING,
        expr=f'bailie_delivery{{phase=~"{_TAKEN_BACK}"}} == 1',
        lasting="",
        summary="{{ $labels.model }} of {{ $labels.namespace }} was taken back: {{ $labels.phase }}",
        description="Its answers broke a limit of the delivery at {{ $labels.route }}, or were too few for"
        " long. The default has all callers.",
        remedy="`bailie experiment status ROUTE -n NAMESPACE` has the figures. A new version of the candidate"
        " begins anew; without one take the annotation `bailie.io/progressive` off, or delete the Experiment:"
        " [deliveries](../experiments.md#deliver-a-candidate-step-by-step).",
    ),
    Alert(
        name="BailieDeliveryWaits",
        severity=WARNING,
        expr='bailie_delivery{phase=~"Waiting|AwaitsCandidate|AwaitsVersion"} == 1',
        lasting="1h",
        summary="The delivery of {{ $labels.model }} in {{ $labels.namespace }} goes no further",
        description="{{ $labels.route }} is in the phase {{ $labels.phase }}: a version does not answer, or"
        " the step has too few requests to say that its limits are kept.",
        remedy="`bailie experiment status ROUTE -n NAMESPACE` says what is waited for. Where requests are too"
        " few, give the candidate a larger share or wider limits, or decide yourself: `bailie experiment"
        " promote ROUTE -n NAMESPACE`.",
    ),
)

REPLICAS = (
    Alert(
        name="BailieServerNotReady",
        severity=CRITICAL,
        expr="bailie_agent_server_ready == 0",
        lasting="10m",
        summary="The server of {{ $labels.namespace }}/{{ $labels.pod }} is not ready",
        description="Its agent gets no answer from it, or the answer that it is not ready. Its models are"
        " loaded elsewhere, where there is room.",
        remedy="`kubectl logs POD -c mlserver -n NAMESPACE` has the server's last words, with"
        " `--previous` those of the run before; [a server that"
        " hangs](../operations.md#a-server-that-hangs).",
    ),
    Alert(
        name="BailieServerReplicasLost",
        severity=CRITICAL,
        expr='sum by (namespace, server) (bailie_server_replicas{state=~"NotReady|NotConnected"}) > 0',
        lasting="10m",
        summary="Server {{ $labels.server }} of {{ $labels.namespace }} lacks replicas",
        description="{{ $value }} of the replicas that it asks for do not answer: no pod, no agent, or a"
        " server that is not ready.",
        remedy="`bailie explain server SERVER -n NAMESPACE` says which replicas do not answer, `kubectl"
        " describe pod POD -n NAMESPACE` why such a pod does not start; [a machine that does not"
        " come back](../operations.md#a-machine-that-does-not-come-back).",
    ),
    Alert(
        name="BailieAgentAlone",
        severity=WARNING,
        expr="bailie_agent_session_open == 0",
        lasting="5m",
        summary="The agent of {{ $labels.namespace }}/{{ $labels.pod }} has no scheduler",
        description="The replica's models go on answering. Nothing is loaded there, unloaded or brought"
        " back into memory.",
        remedy="`bailie doctor -n NAMESPACE` says whether a scheduler leads; if not, see"
        " [BailieNoSchedulerLeads](#bailienoschedulerleads). If one leads, `bailie logs POD -c agent -n"
        " NAMESPACE` says why it is not reached: a"
        " [token](../operations.md#rotate-the-control-planes-token) that differs, or a NetworkPolicy.",
    ),
    Alert(
        name="BailieEnvoyAlone",
        severity=WARNING,
        expr="envoy_control_plane_connected_state == 0",
        lasting="5m",
        summary="Envoy {{ $labels.namespace }}/{{ $labels.pod }} has no scheduler",
        description="It keeps its routes and answers; it hears of no change, so a replica that goes is"
        " called in vain.",
        remedy="As for [BailieAgentAlone](#bailieagentalone); the log is that of the pod's only container:"
        " `bailie logs POD -n NAMESPACE`.",
    ),
    Alert(
        name="BailieTargetSilent",
        severity=WARNING,
        expr=f'up{{job=~"{_JOBS}"}} == 0',
        lasting="10m",
        summary="{{ $labels.namespace }}/{{ $labels.pod }} gives no metrics",
        description="Prometheus cannot read them at {{ $labels.instance }}, so no other alert about this"
        " pod can fire.",
        remedy="`kubectl get pod POD -n NAMESPACE` says whether the pod is ready. One that is ready is"
        " hidden by a NetworkPolicy: let Prometheus in by `networkPolicies.monitoring` of the"
        " charts.",
    ),
)

CONTROL_PLANE = (
    Alert(
        name="BailieNoSchedulerLeads",
        severity=CRITICAL,
        expr="count by (namespace) (envoy_server_live == 1)"
        f' unless on (namespace) (bailie_leader{{lease="{names.SCHEDULER}"}} == 1)',
        lasting="1m",
        summary="No scheduler leads in {{ $labels.namespace }}",
        description="Requests go on. Nothing new is placed, and no replica that is lost is replaced.",
        remedy="`bailie doctor -n NAMESPACE`; `kubectl get pods,leases -n NAMESPACE` says whether the"
        " schedulers run and which one led, and their log why none does: `kubectl logs -n"
        f" NAMESPACE -l {labels.NAME}={names.SCHEDULER} --tail=50`.",
    ),
    Alert(
        name="BailieNoOperatorLeads",
        severity=WARNING,
        expr=f'max by (namespace) (bailie_leader{{lease="{names.ELECTION_LEASE}"}}) == 0',
        lasting="5m",
        summary="No operator leads in {{ $labels.namespace }}",
        description="What runs goes on. No runtime and no server is made, changed or scaled.",
        remedy="`bailie doctor -A`; `kubectl logs -n NAMESPACE -l"
        f" {labels.NAME}={names.OPERATOR} --tail=50` says why no operator leads.",
    ),
    Alert(
        name="BailieNamespaceNotServed",
        severity=WARNING,
        expr='sum by (state) (bailie_operator_namespaces{state!="served"}) > 0',
        lasting="5m",
        summary="Namespaces of the list are {{ $labels.state }}",
        description="{{ $value }} namespaces: with `foreign` another operator holds the claim, with"
        " `waiting` they or their rights are not there.",
        remedy="`bailie scope list` names them, with the reason of each.",
    ),
    Alert(
        name="BailieRightMissing",
        severity=WARNING,
        expr="bailie_operator_missing_right == 1",
        lasting="5m",
        summary="The operator may not {{ $labels.verb }} {{ $labels.resource }} in {{ $labels.namespace }}",
        description="It serves the namespace as far as it may.",
        remedy="An administrator runs `bailie rbac NAMESPACE | kubectl apply -f -`: [rights](rights.md).",
    ),
    Alert(
        name="BailieListHasMistakes",
        severity=WARNING,
        expr="bailie_operator_list_problems > 0",
        lasting="5m",
        summary="The list of namespaces has {{ $value }} mistakes",
        description="Lines that cannot be names are left out; the others are served.",
        remedy="`bailie doctor` names each of them, and the ConfigMap or the value to correct.",
    ),
    Alert(
        name="BailieReconciliationsFail",
        severity=WARNING,
        expr="sum by (namespace, pod, controller)"
        ' (increase(bailie_reconciles_total{result!="success"}[15m])) > 10',
        lasting="5m",
        summary="{{ $labels.controller }} of {{ $labels.namespace }}/{{ $labels.pod }} fails again and again",
        description="{{ $value | humanize }} reconciliations of fifteen minutes failed.",
        remedy="`kubectl logs POD -n NAMESPACE --tail=100` has the object and the API's answer.",
    ),
    Alert(
        name="BailieApiUnreachable",
        severity=WARNING,
        expr="sum by (namespace, pod) (increase(bailie_informer_failures_total[10m])) > 20",
        lasting="5m",
        summary="{{ $labels.namespace }}/{{ $labels.pod }} loses the Kubernetes API again and again",
        description="{{ $value | humanize }} lists and watches of ten minutes failed.",
        remedy="`kubectl logs POD -n NAMESPACE --all-containers --tail=100` has the API's answers: an"
        " API server under load, or a right that was taken away (`bailie doctor -n NAMESPACE`).",
    ),
)

ALERTS = (*REQUESTS, *MODELS, *DELIVERIES, *REPLICAS, *CONTROL_PLANE)

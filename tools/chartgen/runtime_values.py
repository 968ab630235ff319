"""The values of `seldon-core-v2-runtime` and `seldon-core-v2-servers`."""

from __future__ import annotations

from dataclasses import replace

from chartgen.values import (
    FLAG,
    MAP,
    MODEL_SECRETS,
    NAMES,
    OBJECT,
    SERVICE_TYPE,
    TEXT,
    Ignored,
    Row,
    Value,
    choice,
    count,
    kafka_values,
    monitors,
    network_policies,
    texts,
)

_NO_COMPONENT = "Bailie has no such component"
_RETENTION = choice("Retain", "Delete")
_REPLICAS = count()
_NAMESPACE = r"^([*]|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$"
_NETWORK = "^[0-9a-fA-F.:]+/[0-9]{1,3}$"


def _component(name: str, text: str) -> tuple[Value, ...]:
    return (
        Value(f"{name}.disable", False, f"Run no {text} in this namespace.", FLAG),
        Value(f"{name}.replicas", 1, f"Pods of the {text}.", count()),
        Value(f"{name}.podSpec", {}, "PodSpec merged over the SeldonConfig's, containers by name.", OBJECT),
        Value(f"{name}.keepService", False, "Keep the Service where there are no pods.", FLAG),
    )


RUNTIME: tuple[Row, ...] = (
    Value("seldonConfig", "default", "SeldonConfig to build on, in this namespace or in the operator's.", TEXT),
    Value("disableAutoUpdate", False, "Keep the workloads as they are when the SeldonConfig changes.", FLAG),
    Value("schedulerNamespace", "", "Namespace whose scheduler serves this one. Default: its own.", TEXT),
    Value("servesNamespaces", [], "Other namespaces that may name this one in `schedulerNamespace`; `*` for all that the operator serves.", texts("names of namespaces, or *", pattern=_NAMESPACE)),
    Value("fallbackMesh.namespace", "", "Namespace of another mesh, which answers for each name of this namespace while nothing here does.", TEXT),
    Value("fallbackMesh.service", "seldon-mesh", "Service of that mesh; a Service of this namespace where no other is named.", TEXT),
    Value("fallbackMesh.port", 80, "Port of that Service.", count(1, 65535)),
    *network_policies("the scheduler, the servers and the Envoys' statistics"),
    Value("networkPolicies.apiServer", [], "Addresses from which the API server reaches pods, as CIDRs: `bailie explain` asks the scheduler by way of it.", texts("networks such as 10.0.0.0/28", pattern=_NETWORK)),
    *monitors("PodMonitors for the scheduler, the Envoys and the servers"),
    Value("monitoring.modelTimes", True, "Read the times of each model as a histogram: 15 series for each model, code and Envoy. Without them dashboards lack the percentiles of models, and have those of servers.", FLAG),
    Value("rights.create", "auto", "Make the runtime's service accounts, Roles and token here: `true`, `false`, or `auto`, unless they exist already.", choice("auto", "true", "false")),
    Value("security.controlplane.token.existingSecret", "", "Secret with the control plane's token; the chart then makes none. As in the setup chart.", TEXT),
    Value("security.controlplane.token.value", "", "Text from which the token is derived. As in the setup chart.", TEXT),
    MODEL_SECRETS,
    *_component("scheduler", "scheduler"),
    *_component("envoy", "Envoy"),
    Value("pipelinegateway.disable", False, "Run no pipeline gateway in this namespace, whatever Pipelines it has.", FLAG),
    Value("pipelinegateway.replicas", None, "Pipeline gateways, while the namespace has a Pipeline. Unset: one, or as many as somebody scales the Server `seldon-pipelinegateway` to.", _REPLICAS),
    Value("pipelinegateway.podSpec", {}, "PodSpec merged over that of the ServerConfig `seldon-pipelinegateway`, containers by name.", OBJECT),
    Value("envoy.serviceType", "LoadBalancer", "Type of the Service `seldon-mesh`; empty: the SeldonConfig's.", replace(SERVICE_TYPE, blank=True)),
    Value("config.agentConfig.rclone.configSecrets", [], "Secrets with remotes that all models may use, as a list or separated by commas.", NAMES),
    Value("config.scalingConfig.models.enabled", False, "The replicas of each Model with a `maxReplicas` above its `minReplicas` follow its load.", FLAG),
    Value("config.scalingConfig.servers.enabled", True, "The replicas of each Server with both `minReplicas` and a larger `maxReplicas` follow what its models need.", FLAG),
    Value("config.scalingConfig.servers.scaleDownPackingEnabled", False, "Models are moved so that fewer replicas are enough; `false`: only replicas without a model are taken away.", FLAG),
    *kafka_values("config.kafkaConfig"),
    Value("config.tracingConfig.disable", False, "Send no traces from this namespace.", FLAG),
    Value("config.tracingConfig.otelExporterEndpoint", "", "Collector of this namespace's traces, as `host:port`, which takes OTLP over gRPC without TLS. Default: the SeldonConfig's.", TEXT),
    Value("config.tracingConfig.otelExporterProtocol", "", "Protocol of the collector; `grpc` is the only one.", TEXT),
    Value("config.tracingConfig.ratio", "", "Part of the requests that is traced where their callers have not decided, 0 to 1. Default: the SeldonConfig's.", TEXT),
    Value("config.serviceConfig.serviceGRPCPrefix", "", "Prefix of the names of gRPC ports.", TEXT),
    Value("config.serviceConfig.serviceType", "", "Type of the Services that clients call.", SERVICE_TYPE),
    Ignored("scheduler.serviceType", "the scheduler's Service is headless, for use within the namespace"),
    *(
        Ignored(name, _NO_COMPONENT, ("disable", "replicas", "podSpec"))
        for name in ("hodometer", "dataflow", "modelgateway")
    ),
    Ignored("config.kafkaConfig.streams", "no stream processor runs"),
    Ignored("config.scalingConfig.servers.scaleDownPackingPercentage", "replicas that are not needed are taken away for certain, not by chance"),
    Ignored("config.scalingConfig.pipelines", "every replica of the pipeline gateway has all pipelines"),
    Ignored("serviceGRPCPrefix", "give `config.serviceConfig.serviceGRPCPrefix`"),
)  # fmt: skip


def _server(name: str) -> tuple[Row, ...]:
    policy = f"{name}.statefulSetPersistentVolumeClaimRetentionPolicy"
    return (
        Value(f"{name}.enabled", True, f"Make the Server `{name}`.", FLAG),
        Value(f"{name}.replicas", 1, "Replicas.", count()),
        Value(
            f"{name}.minReplicas",
            None,
            "Fewest replicas. With a larger `maxReplicas` the number follows what the models need.",
            _REPLICAS,
        ),
        Value(
            f"{name}.maxReplicas",
            None,
            "Most replicas. With a smaller `minReplicas` the number follows what the models need.",
            _REPLICAS,
        ),
        Value(
            f"{policy}.whenDeleted",
            "Retain",
            "Fate of the volume claims when the Server is deleted.",
            _RETENTION,
        ),
        Value(
            f"{policy}.whenScaled", "Retain", "Fate of a claim when its replica is scaled away.", _RETENTION
        ),
        Value(f"{name}.annotations", {}, "Annotations of the Server and its pods.", MAP),
        Value(f"{name}.labels", {}, "Labels of the Server and its pods.", MAP),
        Value(f"{name}.podSpec", {}, "PodSpec merged over the ServerConfig's, containers by name.", OBJECT),
    )


SERVERS: tuple[Row, ...] = (
    *_server("mlserver"),
    *_server("triton"),
    Ignored("useDeploymentsForServers", "replicas have stable names, which Deployments do not give"),
)

"""The values of `seldon-core-v2-runtime` and `seldon-core-v2-servers`."""

from __future__ import annotations

from chartgen.values import (
    BOOLEAN,
    COUNT,
    MAP,
    MODEL_SECRETS,
    OBJECT,
    SERVICE_TYPE,
    STRING,
    Ignored,
    Row,
    Value,
    network_policies,
)

_NO_COMPONENT = "Bailie has no such component"
_RETENTION = {"enum": ["Retain", "Delete"]}
_STRINGS = {"type": "array", "items": STRING}
_SECRETS = {"anyOf": [_STRINGS, STRING]}
_REPLICAS = {"type": ["integer", "null"], "minimum": 0}


def _component(name: str, text: str) -> tuple[Value, ...]:
    return (
        Value(f"{name}.disable", False, f"Run no {text} in this namespace.", BOOLEAN),
        Value(f"{name}.replicas", 1, f"Pods of the {text}.", COUNT),
        Value(f"{name}.podSpec", {}, "PodSpec merged over the SeldonConfig's, containers by name.", OBJECT),
        Value(f"{name}.keepService", False, "Keep the Service where there are no pods.", BOOLEAN),
    )


RUNTIME: tuple[Row, ...] = (
    Value("seldonConfig", "default", "SeldonConfig to build on, in this namespace or in the operator's.", STRING),
    Value("disableAutoUpdate", False, "Keep the workloads as they are when the SeldonConfig changes.", BOOLEAN),
    Value("schedulerNamespace", "", "Namespace whose scheduler serves this one. Default: its own.", STRING),
    Value("servesNamespaces", [], "Other namespaces that may name this one in `schedulerNamespace`; `*` for all that the operator serves.", {"type": "array", "items": {"type": "string", "pattern": r"^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$"}}),
    *network_policies("the scheduler, the servers and the Envoys' statistics"),
    Value("networkPolicies.apiServer", [], "Addresses from which the API server reaches pods, as CIDRs: `bailie explain` asks the scheduler by way of it.", {"type": "array", "items": {"type": "string", "pattern": r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"}}),
    Value("rights.create", "auto", "Make the runtime's service accounts, Roles and token here: `true`, `false`, or `auto`, unless they exist already.", {"enum": ["auto", True, False]}),
    Value("security.controlplane.token.existingSecret", "", "Secret with the control plane's token; the chart then makes none. As in the setup chart.", STRING),
    Value("security.controlplane.token.value", "", "Text from which the token is derived. As in the setup chart.", STRING),
    MODEL_SECRETS,
    *_component("scheduler", "scheduler"),
    *_component("envoy", "Envoy"),
    Value("envoy.serviceType", "LoadBalancer", "Type of the Service `seldon-mesh`; empty: the SeldonConfig's.", SERVICE_TYPE),
    Value("config.agentConfig.rclone.configSecrets", [], "Secrets with remotes that all models may use, as a list or separated by commas.", _SECRETS),
    Value("config.serviceConfig.serviceGRPCPrefix", "", "Prefix of the names of gRPC ports.", STRING),
    Value("config.serviceConfig.serviceType", "", "Type of the Services that clients call.", SERVICE_TYPE),
    Ignored("scheduler", ("serviceType",), "the scheduler's Service is headless, for use within the namespace"),
    *(
        Ignored(name, ("disable", "replicas", "podSpec"), _NO_COMPONENT)
        for name in ("hodometer", "dataflow", "modelgateway", "pipelinegateway")
    ),
    Ignored(
        "config.kafkaConfig",
        ("bootstrap", "topicPrefix", "consumer", "producer", "streams", "topics", "debug"),
        "nothing that Bailie runs needs a broker",
    ),
    Ignored(
        "config.tracingConfig",
        ("disable", "otelExporterEndpoint", "otelExporterProtocol", "ratio"),
        "Bailie sends no traces",
    ),
    Ignored("config", ("scalingConfig",), "`spec.replicas` alone sets the number of replicas; an autoscaler such as an HPA may write it"),
)  # fmt: skip


def _server(name: str) -> tuple[Row, ...]:
    policy = f"{name}.statefulSetPersistentVolumeClaimRetentionPolicy"
    return (
        Value(f"{name}.enabled", True, f"Make the Server `{name}`.", BOOLEAN),
        Value(f"{name}.replicas", 1, "Replicas.", COUNT),
        Value(f"{name}.minReplicas", None, "Fewest replicas that an autoscaler may ask for.", _REPLICAS),
        Value(f"{name}.maxReplicas", None, "Most replicas that an autoscaler may ask for.", _REPLICAS),
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
    Ignored("", ("useDeploymentsForServers",), "replicas have stable names, which Deployments do not give"),
)

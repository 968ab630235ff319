"""The values of `seldon-core-v2-setup`."""

from __future__ import annotations

from bailie.agent.settings import Settings as AgentSettings
from bailie.gateway.settings import StarterSettings
from bailie.manifests.fences import PERMISSIONS
from bailie.wellknown import limits, variables
from chartgen.values import (
    AT_LEAST_TEN,
    BOOLEAN,
    COUNT,
    FLAG_OR_TEXT,
    LOG_LEVEL,
    MAP,
    MODEL_SECRETS,
    NUMBER_OR_TEXT,
    OBJECT,
    POSITIVE,
    PULL_POLICY,
    QUANTITY,
    SERVICE_TYPE,
    STRING,
    Ignored,
    Row,
    Value,
    default_of,
    image,
    network_policies,
    resources,
)

PERMITTED = "; ".join(f"`{name}` ({text})" for name, text in PERMISSIONS.items())
TRITON_CAPABILITIES = "triton,dali,fil,onnx,openvino,python,pytorch,tensorflow,tensorrt"
USER = {"fsGroup": 1000, "runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": True}
_PLAINTEXT = {"enum": ["PLAINTEXT"]}
_NO_GATEWAYS = "Bailie has no such component: requests go from Envoy straight to the server"
_NO_BROKER = "nothing that Bailie runs needs a broker"
_NO_TLS = "Bailie's control plane has no TLS of its own; use a service mesh or network policies"
_IMAGE_KEYS = ("image.pullPolicy", "image.registry", "image.repository", "image.tag")
_COMPONENT_KEYS = (
    *_IMAGE_KEYS, "resources.cpu", "resources.memory", "securityContext", "annotations", "labels", "logLevel",
)  # fmt: skip
_SSL_SERVER = ("secret", "clientValidationSecret", "keyPath", "crtPath", "caPath", "clientCaPath")
_SSL_CLIENT = ("secret", "serverValidationSecret", "keyPath", "crtPath", "caPath", "serverCaPath")


def _pods(component: str, text: str) -> tuple[Value, ...]:
    return (
        Value(f"{component}.annotations", {}, f"Annotations of the pods of {text}.", MAP),
        Value(f"{component}.labels", {}, f"Labels of the pods of {text}.", MAP),
        Value(f"{component}.securityContext", USER, "Their security context.", OBJECT),
        Value(f"{component}.logLevel", "", "Their log level. Default: `logging.logLevel`.", LOG_LEVEL),
    )


SHARED: tuple[Row, ...] = (
    Value("image.registry", "", "Registry of Bailie's image, for all components.", STRING),
    Value("image.repository", "bailie", "Repository of Bailie's image.", STRING),
    Value("image.tag", "", "Tag. Default: the chart's `appVersion`.", {"type": ["string", "number"]}),
    Value("image.pullPolicy", "IfNotPresent", "When images are pulled.", PULL_POLICY),
    Value(
        "imagePullSecrets",
        [],
        "Secrets with which all pods pull, each as `{name: …}`.",
        {"type": "array", "items": OBJECT},
    ),
    Value("logging.logLevel", "info", "trace, debug, info, warn, error or fatal.", LOG_LEVEL),
)

CONTROLLER: tuple[Row, ...] = (
    Value(
        "controller.clusterwide",
        False,
        "Serve all namespaces. With `watchNamespaces` it changes nothing: a list is always the whole scope.",
        BOOLEAN,
    ),
    Value(
        "controller.watchNamespaces",
        [],
        "Namespaces to serve. The operator gets rights in these and in no others.",
        {"type": "array", "items": STRING},
    ),
    Value(
        "controller.namespaceSelector",
        "",
        "With `clusterwide` and no list: labels of the namespaces to serve, as in `kubectl -l`.",
        STRING,
    ),
    Value(
        "controller.skipClusterRoleCreation",
        False,
        "Make neither ClusterRole nor ClusterRoleBinding, because they are made elsewhere.",
        BOOLEAN,
    ),
    Value("controller.skipOperatorClusterRoleCreation", False, "The same under its other name.", BOOLEAN),
    Value(
        "controller.podPermissions.allow",
        [],
        f"What pods of Servers and runtimes may ask for beyond the usual: {PERMITTED}.",
        {"type": "array", "items": {"enum": list(PERMISSIONS)}},
    ),
    Value(
        "controller.podPermissions.serviceAccounts",
        [],
        "Service accounts that their pods may name besides `seldon-server`, `seldon-scheduler` and"
        " `seldon-envoy`, each of which is for its own pods.",
        {"type": "array", "items": STRING},
    ),
    Value(
        "controller.replicas",
        1,
        "Pods of the operator; one leads, the others stand by.",
        {"type": "integer", "minimum": 1},
    ),
    *_pods("controller", "the operator"),
    *resources("controller", "10m", "128Mi", "512Mi"),
    *image("controller", "the operator"),
    *network_policies("the operator"),
)

COMPONENTS: tuple[Row, ...] = (
    *_pods("scheduler", "the schedulers"),
    *resources("scheduler", "100m", "256Mi", "1Gi"),
    *image("scheduler", "the schedulers"),
    *_pods("envoy", "the Envoys"),
    *resources("envoy", "100m", "128Mi", "1Gi"),
    *image("envoy", "the Envoys"),
    Value("envoy.maxConnections", int(default_of(StarterSettings, variables.ENVOY_MAX_CONNECTIONS)), "Connections of callers that an Envoy takes; more are closed at once.", POSITIVE),
    Value(
        "envoy.maxRequestsPerReplica",
        limits.REQUESTS_PER_REPLICA,
        "Requests in progress that each Envoy allows per server replica; more are answered 503 with the reason `Overloaded`.",
        {**POSITIVE, "maximum": limits.MOST_REQUESTS_PER_REPLICA},
    ),
    Value("envoy.preStopSleepPeriodSeconds", 30, "Seconds that an Envoy goes on while clients learn that it leaves.", COUNT),
    Value("envoy.terminationGracePeriodSeconds", 120, "Seconds until one that leaves is killed.", COUNT),
    Value("services.serviceGRPCPrefix", "", "Prefix of the names of gRPC ports, for example `http2-` for a service mesh.", STRING),
    Value("services.defaultServiceType", "LoadBalancer", "Type of the Service `seldon-mesh`, where a runtime says nothing else.", SERVICE_TYPE),
    Value("security.controlplane.protocol", "PLAINTEXT", "Only PLAINTEXT: the control plane's own connections carry a token and no TLS.", _PLAINTEXT),
    Value("security.controlplane.token.existingSecret", "", "Secret in every served namespace with the control plane's token (key `token`); the chart then makes none.", STRING),
    Value("security.controlplane.token.value", "", "Text from which the token of each namespace is derived, where charts are rendered without a cluster; at least 32 characters.", STRING),
    MODEL_SECRETS,
    Value("security.kafka.protocol", "PLAINTEXT", "Only PLAINTEXT.", _PLAINTEXT),
    Value("security.envoy.protocol", "PLAINTEXT", "Only PLAINTEXT: end TLS in front of `seldon-mesh`.", _PLAINTEXT),
)  # fmt: skip

SERVERS: tuple[Row, ...] = (
    Value("serverConfig.terminationGracePeriodSeconds", 120, "Seconds that a server has to end; all but the last 15 are for loading its models elsewhere.", COUNT),
    Value("serverConfig.securityContext", USER, "Security context of the servers' pods.", OBJECT),
    *image("serverConfig.agent", "the agents"),
    Value("serverConfig.agent.logLevel", "", "Their log level. Default: `logging.logLevel`.", LOG_LEVEL),
    *resources("serverConfig.agent", "50m", "128Mi", "512Mi"),
    Value("serverConfig.agent.overcommitPercentage", "10", "Memory beyond the server's that models may declare, in percent.", NUMBER_OR_TEXT),
    Value("serverConfig.agent.maxLoadElapsedTimeMinutes", "15", "Minutes that one download and one load may take, each.", NUMBER_OR_TEXT),
    Value("serverConfig.agent.hungServerSeconds", default_of(AgentSettings, variables.HUNG_SECONDS), "Seconds without any answer, and without a load, until a model server is restarted, 10 or more. A model of MLServer that computes for so long, and answers nothing else meanwhile, is loaded again: more than the longest inference takes.", AT_LEAST_TEN),
    Value("serverConfig.agent.localRoots", [], "Folders of the agent's container below which a `storageUri` may be a path. Empty: `/mnt/models`.", {"type": "array", "items": STRING}),
    Value("serverConfig.agent.allowedNetworks", [], "Networks that downloads may reach besides the internet and the private addresses that a Secret names, such as `10.1.0.0/16`.", {"type": "array", "items": STRING}),
    Value("serverConfig.agent.cloudIdentity", False, "Let remotes use the cloud identity of the servers' pods (`env_auth`).", BOOLEAN),
    Value("serverConfig.agent.artifactMaxBytes", int(default_of(AgentSettings, variables.ARTIFACT_BYTES)), "Bytes of the largest artifact.", COUNT),
    Value("serverConfig.agent.artifactMaxFiles", int(default_of(AgentSettings, variables.ARTIFACT_FILES)), "Files and folders of the largest artifact.", COUNT),
    *image("serverConfig.mlserver", "MLServer", "|bailie-mlserver"),
    Value("serverConfig.mlserver.serverCapabilities", "mlserver,python,sklearn", "What models may require of it, separated by commas: what the image has.", STRING),
    Value("serverConfig.mlserver.modelVolumeStorage", "1Gi", "Size of each replica's volume claim for models; empty: no claim, models go with the pod.", QUANTITY),
    Value("serverConfig.mlserver.parallel_workers", 0, "Processes that run models; 0 is in MLServer's own, the fastest for most.", COUNT),
    Value("serverConfig.mlserver.debug", "false", "Log each request, which costs a sixth of the processor time.", FLAG_OR_TEXT),
    *resources("serverConfig.mlserver", "100m", "1Gi"),
    *image("serverConfig.triton", "Triton", "nvcr.io|nvidia/tritonserver:23.03-py3"),
    Value("serverConfig.triton.serverCapabilities", TRITON_CAPABILITIES, "What models may require of it, separated by commas.", STRING),
    Value("serverConfig.triton.modelVolumeStorage", "1Gi", "Size of each replica's volume claim for models; empty: no claim.", QUANTITY),
    *resources("serverConfig.triton", "100m", "1Gi"),
)  # fmt: skip

IGNORED: tuple[Row, ...] = (
    Ignored("", ("useDeploymentsForServers",), "replicas of a server have stable names, which Deployments do not give"),
    Ignored("opentelemetry", ("endpoint", "protocol", "disable", "ratio"), "Bailie sends no traces"),
    Ignored(
        "kafka",
        (
            "debug", "bootstrap", "topicPrefix", "consumerGroupIdPrefix", "consumer.sessionTimeoutMs",
            "consumer.autoOffsetReset", "consumer.topicMetadataRefreshIntervalMs",
            "consumer.topicMetadataPropagationMaxMs", "consumer.messageMaxBytes", "producer.lingerMs",
            "producer.messageMaxBytes", "topics.replicationFactor", "topics.numPartitions",
        ),
        _NO_BROKER,
    ),
    Ignored("security.controlplane.ssl.server", _SSL_SERVER, _NO_TLS),
    Ignored("security.controlplane.ssl.client", _SSL_CLIENT, _NO_TLS),
    Ignored("security.kafka.sasl", ("mechanism", "client.username", "client.secret", "client.passwordPath"), _NO_BROKER),
    Ignored(
        "security.kafka.ssl.client",
        ("secret", "brokerValidationSecret", "keyPath", "crtPath", "caPath", "brokerCaPath", "endpointIdentificationAlgorithm"),
        _NO_BROKER,
    ),
    Ignored("security.schemaRegistry", ("configPath",), _NO_BROKER),
    Ignored("security.envoy.ssl.upstream.server", _SSL_SERVER, _NO_TLS),
    Ignored("security.envoy.ssl.upstream.client", _SSL_CLIENT, _NO_TLS),
    Ignored("security.envoy.ssl.downstream.server", _SSL_SERVER, _NO_TLS),
    Ignored("security.envoy.ssl.downstream.client", ("mtls", *_SSL_CLIENT), _NO_TLS),
    Ignored("scheduler", ("service.type",), "the scheduler's Service is headless, for use within the namespace"),
    Ignored("scheduler", ("schedulerReadyTimeoutSeconds",), "nothing waits for the scheduler"),
    Ignored("scheduler", ("resources.storage",), "the scheduler keeps nothing"),
    Ignored("envoy", ("service.type",), "give `services.defaultServiceType`, or `envoy.serviceType` of the runtime chart"),
    Ignored("envoy", ("adminInterfacePort",), "Envoy's admin interface has no port: it is a socket in its pod"),
    Ignored("envoy", ("accesslogPath", "enableAccesslog", "includeSuccessfulRequests"), "Envoy writes no access log; its metrics count requests"),
    Ignored("modelgateway", (*_COMPONENT_KEYS, "workers", "maxNumConsumers"), _NO_GATEWAYS),
    Ignored("pipelinegateway", (*_COMPONENT_KEYS, "maxNumConsumers"), _NO_GATEWAYS),
    Ignored("dataflow", (*_COMPONENT_KEYS, "cores", "logLevelKafka", "pipelineCtlopsThreads"), "Bailie has no such component"),
    Ignored("hodometer", (*_COMPONENT_KEYS, "metricsLevel", "extraPublishUrls"), "Bailie reports no use"),
    Ignored(
        "autoscaling",
        ("autoscalingModelEnabled", "autoscalingServerEnabled", "serverPackingEnabled", "serverPackingPercentage"),
        "`spec.replicas` alone sets the number of replicas; an autoscaler such as an HPA may write it",
    ),
    Ignored("serverConfig.rclone", (*_IMAGE_KEYS, "resources.cpu", "resources.memory", "resources.memoryLimit", "logLevel"), "the agent runs rclone itself, when it needs it"),
    Ignored(
        "serverConfig.agent",
        (
            "scalingStatsPeriodSeconds", "modelInferenceLagThreshold", "modelInactiveSecondsThreshold",
            "maxElapsedTimeReadySubServiceAfterStartSeconds", "maxElapsedTimeReadySubServiceBeforeStartMinutes",
            "periodReadySubServiceSeconds", "maxUnloadElapsedTimeMinutes", "maxLoadRetryCount",
            "maxUnloadRetryCount", "unloadGracePeriodSeconds",
        ),
        "the agent decides this itself",
    ),
)  # fmt: skip

ROWS: tuple[Row, ...] = (*SHARED, *CONTROLLER, *COMPONENTS, *SERVERS, *IGNORED)

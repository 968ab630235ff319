"""The values of `seldon-core-v2-setup`."""

from __future__ import annotations

from bailie.agent.settings import Settings as AgentSettings
from bailie.gateway.settings import StarterSettings
from bailie.manifests.fences import PERMISSIONS
from bailie.wellknown import limits, logged, variables
from chartgen.values import (
    CLAIM,
    FLAG,
    LOG_LEVEL,
    MAP,
    MODEL_SECRETS,
    NAMES,
    OBJECT,
    OBJECTS,
    PULL_POLICY,
    SECRETS,
    SERVICE_TYPE,
    TEXT,
    WORDS,
    Ignored,
    Kind,
    Row,
    Value,
    choice,
    count,
    default_of,
    image,
    kafka_values,
    monitors,
    network_policies,
    resources,
    texts,
)

PERMITTED = "; ".join(f"`{name}` ({text})" for name, text in PERMISSIONS.items())
TRITON_CAPABILITIES = "triton,dali,fil,onnx,openvino,python,pytorch,tensorflow,tensorrt"
USER = {"fsGroup": 1000, "runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": True}
_NO_TLS = "Bailie's own connections have no TLS"
_TLS_ELSEWHERE = "an ingress or a service mesh in front of `seldon-mesh` does TLS"
_PLAINTEXT_ENVOY = choice(
    "PLAINTEXT", may=f"PLAINTEXT: {_NO_TLS}, and traffic taken for encrypted would not be; {_TLS_ELSEWHERE}"
)
_PLAINTEXT_CONTROL = choice(
    "PLAINTEXT",
    may=f"PLAINTEXT: {_NO_TLS}, and traffic taken for encrypted would not be; a service mesh encrypts it, and NetworkPolicies bound it",
)
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SINK = rf"^([*]|([*]|{_LABEL})[.]{_LABEL})$"
_LOG_PATH = Kind(
    "quantity",
    "/dev/stdout, /dev/stderr or a file directly in /tmp",
    pattern=f"^({logged.STDOUT}|{logged.STDERR}|{logged.FILE_PATTERN})$",
)
_NO_COMPONENT = "Bailie has no such component"
_OTHERWISE = "Bailie decides this itself or by other means, which the chart's README names"
_COMPONENT_KEYS = (
    "image.pullPolicy", "image.registry", "image.repository", "image.tag", "resources.cpu", "resources.memory",
    "securityContext", "annotations", "labels", "logLevel",
)  # fmt: skip
_SSL_SERVER = ("secret", "clientValidationSecret", "keyPath", "crtPath", "caPath", "clientCaPath")
_SSL_CLIENT = ("secret", "serverValidationSecret", "keyPath", "crtPath", "caPath", "serverCaPath")
_SSL = (*(f"server.{key}" for key in _SSL_SERVER), *(f"client.{key}" for key in _SSL_CLIENT))


def _pods(component: str, text: str) -> tuple[Value, ...]:
    return (
        Value(f"{component}.annotations", {}, f"Annotations of the pods of {text}.", MAP),
        Value(f"{component}.labels", {}, f"Labels of the pods of {text}.", MAP),
        Value(f"{component}.securityContext", USER, "Their security context.", OBJECT),
        Value(f"{component}.logLevel", "", "Their log level. Default: `logging.logLevel`.", LOG_LEVEL),
    )


SHARED: tuple[Row, ...] = (
    Value("image.registry", "", "Registry of Bailie's image, for all components.", TEXT),
    Value("image.repository", "bailie", "Repository of Bailie's image.", TEXT),
    Value("image.tag", "", "Tag. Default: the chart's `appVersion`.", TEXT),
    Value("image.pullPolicy", "IfNotPresent", "When images are pulled.", PULL_POLICY),
    Value(
        "imagePullSecrets",
        [],
        "Secrets with which all pods pull, each as `{name: …}`.",
        SECRETS,
    ),
    Value("logging.logLevel", "info", "trace, debug, info, warn, error or fatal.", LOG_LEVEL),
)

CONTROLLER: tuple[Row, ...] = (
    Value(
        "controller.clusterwide",
        False,
        "Serve all namespaces. With `watchNamespaces` it changes nothing: a list is always the whole scope.",
        FLAG,
    ),
    Value(
        "controller.watchNamespaces",
        [],
        "Namespaces to serve. The operator gets rights in these and in no others.",
        NAMES,
    ),
    Value(
        "controller.namespaceSelector",
        "",
        "With `clusterwide` and no list: labels of the namespaces to serve, as in `kubectl -l`.",
        TEXT,
    ),
    Value(
        "controller.skipClusterRoleCreation",
        False,
        "Make neither ClusterRole nor ClusterRoleBinding, because they are made elsewhere.",
        FLAG,
    ),
    Value("controller.skipOperatorClusterRoleCreation", False, "The same under its other name.", FLAG),
    Value(
        "controller.podPermissions.allow",
        [],
        f"What pods of Servers and runtimes may ask for beyond the usual: {PERMITTED}.",
        texts("a list of these words", choices=tuple(PERMISSIONS)),
    ),
    Value(
        "controller.podPermissions.serviceAccounts",
        [],
        "Service accounts that their pods may name besides `seldon-server`, `seldon-scheduler` and"
        " `seldon-envoy`, each of which is for its own pods.",
        NAMES,
    ),
    Value(
        "controller.replicas",
        1,
        "Pods of the operator; one leads, the others stand by.",
        count(1),
    ),
    *_pods("controller", "the operator"),
    *resources("controller", "10m", "128Mi", "512Mi"),
    Value("controller.nodeSelector", {}, "Labels of the machines on which the operator may run.", MAP),
    Value("controller.tolerations", [], "Taints of machines that keep the operator away no more.", OBJECTS),
    Value(
        "controller.affinity", {}, "Affinity of the operator's pods to machines and to other pods.", OBJECT
    ),
    Value("controller.priorityClassName", "", "PriorityClass of the operator's pods.", TEXT),
    *image("controller", "the operator"),
    *network_policies("the operator"),
)

MONITORING: tuple[Row, ...] = (
    *monitors("a PodMonitor for the operator, the alerts for the whole installation, and dashboards"),
    Value("monitoring.errorPercent", 1, "Alert where more requests than these, in percent, fail.", count(1, 99)),
    Value("monitoring.slowSeconds", 5, "Alert where the slowest hundredth of a server's answers takes longer.", count(1)),
    Value("monitoring.dashboards.labels", {"grafana_dashboard": "1"}, "Labels of the ConfigMaps with dashboards, by which Grafana's sidecar finds them.", MAP),
    Value("monitoring.dashboards.annotations", {}, "Their annotations, by which the sidecar chooses a folder.", MAP),
)  # fmt: skip

COMPONENTS: tuple[Row, ...] = (
    *_pods("scheduler", "the schedulers"),
    *resources("scheduler", "100m", "256Mi", "1Gi"),
    *image("scheduler", "the schedulers"),
    *_pods("envoy", "the Envoys"),
    *resources("envoy", "100m", "128Mi", "1Gi"),
    *image("envoy", "the Envoys"),
    *_pods("pipelinegateway", "the pipeline gateways"),
    *resources("pipelinegateway", "50m", "128Mi", "1Gi"),
    *image("pipelinegateway", "the pipeline gateways"),
    Value("envoy.maxConnections", int(default_of(StarterSettings, variables.ENVOY_MAX_CONNECTIONS)), "Connections of callers that an Envoy takes; more are closed at once.", count(1)),
    Value(
        "envoy.maxRequestsPerReplica",
        limits.REQUESTS_PER_REPLICA,
        "Requests in progress that each Envoy allows to one model per server replica, and twice as many to all models; more are"
        " answered 503 with the reason `Overloaded`.",
        count(1, limits.MOST_REQUESTS_PER_REPLICA),
    ),
    Value("envoy.enableAccesslog", True, "Write requests into the Envoys' access log, a line of JSON each.", FLAG),
    Value("envoy.includeSuccessfulRequests", False, "Log all requests. By default those that failed: no answer, a status of 400 or more, or one of gRPC other than OK.", FLAG),
    Value("envoy.accesslogPath", logged.STDOUT, "Where they are written: `/dev/stdout`, for `kubectl logs`, `/dev/stderr`, or a file directly in `/tmp` of each Envoy's container, as in Seldon Core. Such a file ends at 256 MiB and goes with its pod.", _LOG_PATH),
    Value("envoy.preStopSleepPeriodSeconds", 30, "Seconds that an Envoy goes on while clients learn that it leaves.", count()),
    Value("envoy.terminationGracePeriodSeconds", 120, "Seconds until one that leaves is killed.", count()),
    Value("services.serviceGRPCPrefix", "", "Prefix of the names of gRPC ports, for example `http2-` for a service mesh.", TEXT),
    Value("opentelemetry.endpoint", "", "Collector of traces, as `host:port`, which takes OTLP over gRPC without TLS. Empty: no traces are sent, unless the SeldonRuntime of a namespace says where to.", TEXT),
    Value("opentelemetry.protocol", "grpc", "Protocol of the collector; `grpc` is the only one.", TEXT),
    Value("opentelemetry.disable", False, "Send no traces, unless the SeldonRuntime of a namespace says otherwise.", FLAG),
    Value("opentelemetry.ratio", "1", "Part of the requests that is traced where their callers have not decided, 0 to 1. At many requests per second 0.01 is enough.", TEXT),
    Value("services.defaultServiceType", "LoadBalancer", "Type of the Service `seldon-mesh`, where a runtime says nothing else.", SERVICE_TYPE),
    Value("security.controlplane.protocol", "PLAINTEXT", "Only PLAINTEXT: the control plane's own connections carry a token and no TLS.", _PLAINTEXT_CONTROL),
    Value("security.controlplane.token.existingSecret", "", "Secret in every served namespace with the control plane's token (key `token`); the chart then makes none.", TEXT),
    Value("security.controlplane.token.value", "", "Text from which the token of each namespace is derived, where charts are rendered without a cluster; at least 32 characters.", TEXT),
    MODEL_SECRETS,
    Value(
        "security.payloadSinks",
        [],
        "Services of other namespaces to which the payload logs of Models may go: `service.namespace`, `*.namespace` or `*`.",
        texts("a list of service.namespace, *.namespace or *", pattern=_SINK),
    ),
    Value("security.envoy.protocol", "PLAINTEXT", "Only PLAINTEXT: end TLS in front of `seldon-mesh`.", _PLAINTEXT_ENVOY),
)  # fmt: skip

SERVERS: tuple[Row, ...] = (
    Value("serverConfig.terminationGracePeriodSeconds", 120, "Seconds that a server has to end; all but the last 15 are for loading its models elsewhere.", count()),
    Value("serverConfig.securityContext", USER, "Security context of the servers' pods.", OBJECT),
    *image("serverConfig.agent", "the agents"),
    Value("serverConfig.agent.logLevel", "", "Their log level. Default: `logging.logLevel`.", LOG_LEVEL),
    *resources("serverConfig.agent", "50m", "128Mi", "512Mi"),
    Value("serverConfig.agent.overcommitPercentage", 10, "Memory beyond the server's that models may declare, in percent.", count()),
    Value("serverConfig.agent.maxLoadElapsedTimeMinutes", 15, "Minutes that one download and one load may take, each.", count()),
    Value("serverConfig.agent.hungServerSeconds", int(default_of(AgentSettings, variables.HUNG_SECONDS)), "Seconds without any answer, and without a load, until a model server is restarted, 10 or more. A model of MLServer that computes for so long, and answers nothing else meanwhile, is loaded again: more than the longest inference takes.", count(10)),
    Value("serverConfig.agent.localRoots", [], "Folders of the agent's container below which a `storageUri` may be a path. Empty: `/mnt/models`.", NAMES),
    Value("serverConfig.agent.allowedNetworks", [], "Networks that downloads may reach besides the internet and the private addresses that a Secret names, such as `10.1.0.0/16`.", NAMES),
    Value("serverConfig.agent.cloudIdentity", False, "Let remotes use the cloud identity of the servers' pods (`env_auth`).", FLAG),
    Value("serverConfig.agent.artifactMaxBytes", int(default_of(AgentSettings, variables.ARTIFACT_BYTES)), "Bytes of the largest artifact.", count()),
    Value("serverConfig.agent.artifactMaxFiles", int(default_of(AgentSettings, variables.ARTIFACT_FILES)), "Files and folders of the largest artifact.", count()),
    *image("serverConfig.mlserver", "MLServer", "|bailie-mlserver"),
    Value("serverConfig.mlserver.serverCapabilities", "mlserver,python,sklearn", "What models may require of it, separated by commas: what the image has.", WORDS),
    Value("serverConfig.mlserver.modelVolumeStorage", "1Gi", "Size of each replica's volume claim for models; empty: no claim, models go with the pod.", CLAIM),
    Value("serverConfig.mlserver.parallel_workers", 0, "Processes that run models; 0 is in MLServer's own, the fastest for most.", count()),
    Value("serverConfig.mlserver.debug", False, "Log each request, which costs a sixth of the processor time.", FLAG),
    *resources("serverConfig.mlserver", "100m", "1Gi"),
    *image("serverConfig.triton", "Triton", "nvcr.io|nvidia/tritonserver:23.03-py3"),
    Value("serverConfig.triton.serverCapabilities", TRITON_CAPABILITIES, "What models may require of it, separated by commas.", WORDS),
    Value("serverConfig.triton.modelVolumeStorage", "1Gi", "Size of each replica's volume claim for models; empty: no claim.", CLAIM),
    *resources("serverConfig.triton", "100m", "1Gi"),
)  # fmt: skip

_CLIENT_FILES = "/tmp/certs/kafka/client"
_BROKER_FILES = "/tmp/certs/kafka/broker"
BROKER: tuple[Row, ...] = (
    *kafka_values("kafka"),
    Value("security.kafka.protocol", "PLAINTEXT", "How the gateways speak to brokers.", choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
    Value("security.kafka.sasl.mechanism", "SCRAM-SHA-512", "How they log in.", choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")),
    Value("security.kafka.sasl.client.username", "seldon", "User.", TEXT),
    Value("security.kafka.sasl.client.secret", "", "Secret in each namespace with the password, or for OAUTHBEARER with `client_id`, `client_secret`, `token_endpoint_url`, `scope`, `extensions` and `method`.", TEXT),
    Value("security.kafka.sasl.client.passwordPath", "password", "Key of the password.", TEXT),
    Value("security.kafka.ssl.client.secret", "", "Secret in each namespace with the gateways' certificate.", TEXT),
    Value("security.kafka.ssl.client.brokerValidationSecret", "", "Secret in each namespace with the authorities of the brokers' certificates.", TEXT),
    Value("security.kafka.ssl.client.keyPath", f"{_CLIENT_FILES}/tls.key", "Key of the private key: the last part of this path.", TEXT),
    Value("security.kafka.ssl.client.crtPath", f"{_CLIENT_FILES}/tls.crt", "Key of the certificate: the last part.", TEXT),
    Value("security.kafka.ssl.client.caPath", f"{_CLIENT_FILES}/ca.crt", "Key of authorities in the gateways' Secret, for want of the other: the last part.", TEXT),
    Value("security.kafka.ssl.client.brokerCaPath", f"{_BROKER_FILES}/ca.crt", "Key of authorities in `brokerValidationSecret`: the last part.", TEXT),
    Value("security.kafka.ssl.client.endpointIdentificationAlgorithm", "https", "Whether a broker's certificate must have its name: https, or none.", choice("https", "none")),
)  # fmt: skip

IGNORED: tuple[Row, ...] = (
    Ignored("useDeploymentsForServers", "replicas of a server have stable names, which Deployments do not give", told=_OTHERWISE),
    Ignored("serviceGRPCPrefix", "give `services.serviceGRPCPrefix`", told=_OTHERWISE),
    Ignored("security.controlplane.ssl", f"{_NO_TLS}; use a service mesh or network policies", _SSL, told=_NO_TLS),
    Ignored("kafka.streams", "no stream processor runs", told=_OTHERWISE),
    Ignored("security.kafka.ssl.secret", "give `security.kafka.ssl.client.brokerValidationSecret`, whose key `brokerCaPath` ends with", told=_OTHERWISE),
    Ignored("security.schemaRegistry", "records are written without a schema registry", ("configPath",)),
    Ignored(
        "security.envoy.ssl",
        f"{_NO_TLS}; {_TLS_ELSEWHERE}",
        (*(f"upstream.{key}" for key in _SSL), *(f"downstream.{key}" for key in _SSL), "downstream.client.mtls"),
        told=_NO_TLS,
    ),
    Ignored("scheduler.service", "the scheduler's Service is headless, for use within the namespace", ("type",), told=_OTHERWISE),
    Ignored("scheduler.schedulerReadyTimeoutSeconds", "nothing waits for the scheduler", told=_OTHERWISE),
    Ignored("scheduler.resources.storage", "the scheduler keeps nothing", told=_OTHERWISE),
    Ignored("envoy.service", "give `services.defaultServiceType`, or `envoy.serviceType` of the runtime chart", ("type",), told=_OTHERWISE),
    Ignored("envoy.adminInterfacePort", "Envoy's admin interface has no port: it is a socket in its pod", told=_OTHERWISE),
    Ignored("modelgateway", f"{_NO_COMPONENT}: requests go from Envoy straight to the server", (*_COMPONENT_KEYS, "workers", "maxNumConsumers"), told=_NO_COMPONENT),
    Ignored("pipelinegateway.maxNumConsumers", "a gateway is one consumer", told=_OTHERWISE),
    Ignored("dataflow", _NO_COMPONENT, (*_COMPONENT_KEYS, "cores", "logLevelKafka", "pipelineCtlopsThreads")),
    Ignored("hodometer", f"{_NO_COMPONENT}, which would report its use", ("disable", *_COMPONENT_KEYS, "metricsLevel", "extraPublishUrls"), told=_NO_COMPONENT),
    Ignored(
        "autoscaling",
        "said for each namespace: `config.scalingConfig` of the runtime chart",
        ("autoscalingModelEnabled", "autoscalingServerEnabled", "serverPackingEnabled", "serverPackingPercentage"),
        told=_OTHERWISE,
    ),
    Ignored("serverConfig.rclone", "the agent runs rclone itself, when it needs it", (*_COMPONENT_KEYS, "resources.limits.memory"), told=_NO_COMPONENT),
    *(
        Ignored(f"serverConfig.agent.{key}", "the agent decides this itself", told=_OTHERWISE)
        for key in (
            "scalingStatsPeriodSeconds", "modelInferenceLagThreshold", "modelInactiveSecondsThreshold",
            "maxElapsedTimeReadySubServiceAfterStartSeconds", "maxElapsedTimeReadySubServiceBeforeStartMinutes",
            "periodReadySubServiceSeconds", "maxUnloadElapsedTimeMinutes", "maxLoadRetryCount",
            "maxUnloadRetryCount", "unloadGracePeriodSeconds",
        )
    ),
)  # fmt: skip

ROWS: tuple[Row, ...] = (*SHARED, *CONTROLLER, *MONITORING, *COMPONENTS, *SERVERS, *BROKER, *IGNORED)

"""Structural schemas of the built-in kinds that the embedded API serves.

Read by the catalogue: OpenAPI documents and `kubectl explain`, field validation, and how lists merge in apply
and strategic merge patches. They hold what the objects of this API use; where Kubernetes has more (pods), the
rest is preserved unseen rather than described wrongly. Data only.
"""

from __future__ import annotations

from typing import Any

from bailie.api import kinds
from bailie.api.kinds import Kind
from bailie.apiserver.fieldsets import METADATA

Schema = dict[str, Any]


def _text(description: str = "", **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _number(description: str = "", *, size: int = 32) -> Schema:
    return {"type": "integer", "format": f"int{size}", "description": description}


def _flag(description: str = "") -> Schema:
    return {"type": "boolean", "description": description}


def _time(description: str = "") -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def _object(description: str = "", /, **properties: Schema) -> Schema:
    return {"type": "object", "description": description, "properties": properties}


def _open(description: str = "", /, **properties: Schema) -> Schema:
    """An object of which only some fields are described."""
    return _object(description, **properties) | {"x-kubernetes-preserve-unknown-fields": True}


def _atomic(description: str = "", /, **properties: Schema) -> Schema:
    return _object(description, **properties) | {"x-kubernetes-map-type": "atomic"}


def _map(description: str = "", value: Schema | None = None) -> Schema:
    values = value or {"type": "string"}
    return {"type": "object", "description": description, "additionalProperties": values}


def _list(items: Schema, description: str = "") -> Schema:
    return {
        "type": "array",
        "description": description,
        "items": items,
        "x-kubernetes-list-type": "atomic",
    }


def _texts(description: str = "") -> Schema:
    return _list({"type": "string"}, description)


def _keyed(items: Schema, *keys: str, merge_key: str = "", description: str = "") -> Schema:
    """A list that is a map; `merge_key` is the one key of strategic merge patches."""
    return {
        "type": "array",
        "description": description,
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "x-kubernetes-patch-merge-key": merge_key or keys[0],
        "x-kubernetes-patch-strategy": "merge",
    }


_INT_OR_TEXT: Schema = {"x-kubernetes-int-or-string": True}
_QUANTITIES = _map("Amounts by resource name, such as memory: 1Gi.", _INT_OR_TEXT)
_CONDITION = _open(
    "One observation of the object's state.",
    type=_text("What is observed."),
    status=_text("True, False or Unknown."),
    reason=_text("A CamelCase token that says why."),
    message=_text("The same for people."),
    lastTransitionTime=_time("When the status last changed."),
)
_CONDITIONS = _keyed(_CONDITION, "type", description="Observations of the object's state.")
_OBJECT_REFERENCE = _atomic(
    "A reference to an object.",
    apiVersion=_text(),
    fieldPath=_text(),
    kind=_text(),
    name=_text(),
    namespace=_text(),
    resourceVersion=_text(),
    uid=_text(),
)
_LOCAL_REFERENCE = _atomic("A reference to an object of the same namespace.", name=_text())

_ENV = _object(
    "An environment variable.",
    name=_text("Name of the variable."),
    value=_text("Its value; $(NAME) is replaced by another variable's."),
    valueFrom=_open("Where the value comes from: fieldRef, resourceFieldRef, secretKeyRef, configMapKeyRef."),
)
_PORT = _object(
    "A port that the container listens on.",
    containerPort=_number("The port, 1 to 65535."),
    hostIP=_text("The host address that hostPort binds."),
    hostPort=_number("The port on the host."),
    name=_text("A name that Services can refer to."),
    protocol=_text("TCP, UDP or SCTP.", default="TCP"),
)
_MOUNT = _open("A volume in the container's file system.", name=_text(), mountPath=_text(), readOnly=_flag())
_CONTAINER = _open(
    "A program that runs in the pod.",
    name=_text("Name of the container, unique in the pod."),
    image=_text("The image to run."),
    command=_texts("The program, in place of the image's own."),
    args=_texts("Arguments of the program."),
    workingDir=_text("The directory it starts in."),
    env=_keyed(_ENV, "name", description="Environment variables."),
    envFrom=_list(_open("A ConfigMap or Secret whose keys become variables.")),
    ports=_keyed(_PORT, "containerPort", "protocol", description="Ports it listens on."),
    resources=_open("Requests and limits.", requests=_QUANTITIES, limits=_QUANTITIES),
    volumeMounts=_keyed(_MOUNT, "mountPath", description="Volumes in its file system."),
    imagePullPolicy=_text("Always, IfNotPresent or Never."),
    livenessProbe=_open("The container is restarted when it fails."),
    readinessProbe=_open("The pod gets requests while it succeeds."),
    startupProbe=_open("The other probes wait for it."),
    lifecycle=_open("Hooks around start and stop."),
    securityContext=_open("User, groups and capabilities."),
)
_CONTAINERS = _keyed(_CONTAINER, "name", description="The containers of the pod.")
_STATE = _open(
    "waiting, running or terminated, with details.",
    waiting=_open("", reason=_text(), message=_text()),
    running=_open("", startedAt=_text()),
    terminated=_open(
        "", exitCode=_number(), signal=_number(), reason=_text(), message=_text(), finishedAt=_text()
    ),
)
_CONTAINER_STATUS = _open(
    "The state of one container.",
    name=_text(),
    ready=_flag(),
    restartCount=_number(),
    image=_text(),
    imageID=_text(),
    containerID=_text(),
    started=_flag(),
    state=_STATE,
    lastState=_STATE,
)
_POD_SPEC = _open(
    "What the pod runs.",
    containers=_CONTAINERS,
    initContainers=_CONTAINERS | {"description": "Containers that run to their end before the others start."},
    volumes=_keyed(_open("A volume of the pod.", name=_text()), "name", description="Volumes of the pod."),
    nodeName=_text("The node that runs the pod."),
    serviceAccountName=_text("The ServiceAccount whose rights the pod has."),
    restartPolicy=_text("Always, OnFailure or Never."),
    terminationGracePeriodSeconds=_number("Time to stop after SIGTERM, in seconds.", size=64),
    imagePullSecrets=_keyed(_LOCAL_REFERENCE, "name"),
    nodeSelector=_map("Labels that the node must have.") | {"x-kubernetes-map-type": "atomic"},
    tolerations=_list(_open("A taint that the pod tolerates.")),
    affinity=_open("Which nodes and neighbours are preferred."),
    securityContext=_open("User and groups of all containers."),
    hostname=_text("Host name of the pod."),
    subdomain=_text("Its headless Service."),
)
_POD_STATUS = _open(
    "What is known of the running pod.",
    phase=_text("Pending, Running, Succeeded, Failed or Unknown."),
    conditions=_CONDITIONS,
    containerStatuses=_list(_CONTAINER_STATUS, "State of each container."),
    initContainerStatuses=_list(_CONTAINER_STATUS),
    podIP=_text("Address of the pod."),
    podIPs=_keyed(_object("", ip=_text()), "ip"),
    hostIP=_text(),
    startTime=_time(),
    message=_text(),
    reason=_text(),
    qosClass=_text(),
)
_POD = _object(
    "Containers that run together; here each container is a local process.",
    spec=_POD_SPEC,
    status=_POD_STATUS,
)

_SERVICE_PORT = _object(
    "A port of the Service.",
    name=_text("Name of the port."),
    port=_number("The port that clients use."),
    targetPort=_INT_OR_TEXT | {"description": "Port or port name of the pods."},
    nodePort=_number("The port on every node; here on 127.0.0.1."),
    protocol=_text("TCP, UDP or SCTP.", default="TCP"),
    appProtocol=_text(),
)
_SERVICE_SPEC = _open(
    "Which pods answer, under which ports.",
    type=_text("ClusterIP, NodePort, LoadBalancer or ExternalName."),
    selector=_map("Labels of the pods that answer.") | {"x-kubernetes-map-type": "atomic"},
    ports=_keyed(_SERVICE_PORT, "port", "protocol", description="Ports of the Service."),
    clusterIP=_text("The virtual address, or None."),
    clusterIPs=_texts(),
    externalIPs=_texts(),
    externalName=_text("The name that an ExternalName Service stands for."),
    publishNotReadyAddresses=_flag("Whether pods that are not ready are found too."),
    sessionAffinity=_text(),
)
_BALANCER = _open("", ingress=_list(_open("", ip=_text(), hostname=_text())))
_SERVICE = _object(
    "A name for a set of pods.",
    spec=_SERVICE_SPEC,
    status=_open("", conditions=_CONDITIONS, loadBalancer=_BALANCER),
)

_CONFIG_MAP = _object(
    "Configuration data for pods.",
    data=_map("Texts by key."),
    binaryData=_map("Bytes by key, in base64.", {"type": "string", "format": "byte"}),
    immutable=_flag("Whether the data can no longer change."),
)
_SECRET = _object(
    "Confidential data for pods.",
    data=_map("Bytes by key, in base64.", {"type": "string", "format": "byte"}),
    stringData=_map("Texts by key, for writing only."),
    type=_text("What kind of secret it is."),
    immutable=_flag("Whether the data can no longer change."),
)
_NAMESPACE = _object(
    "A scope for names.",
    spec=_object("", finalizers=_texts("What must be done before it is gone.")),
    status=_object("", phase=_text("Active or Terminating."), conditions=_CONDITIONS),
)
_SERVICE_ACCOUNT = _object(
    "An identity for processes in pods.",
    automountServiceAccountToken=_flag("Whether pods get its token."),
    imagePullSecrets=_list(_LOCAL_REFERENCE),
    secrets=_keyed(_OBJECT_REFERENCE, "name"),
)
_MICRO_TIME: Schema = {"type": "string", "format": "date-time"}
_SERIES = _object("", count=_number(), lastObservedTime=_MICRO_TIME)
_SOURCE = _object("", component=_text(), host=_text())
_EVENT = _object(
    "A report of something that happened.",
    involvedObject=_OBJECT_REFERENCE | {"description": "The object it is about."},
    reason=_text("A CamelCase token that says what happened."),
    message=_text("The same for people."),
    type=_text("Normal or Warning."),
    count=_number("How often it happened."),
    source=_SOURCE | {"description": "The component that reports."},
    firstTimestamp=_time("When it happened first."),
    lastTimestamp=_time("When it happened last."),
    eventTime=_MICRO_TIME,
    series=_SERIES,
    action=_text(),
    related=_OBJECT_REFERENCE,
    reportingComponent=_text(),
    reportingInstance=_text(),
)
_NEW_EVENT = _object(
    "A report of something that happened.",
    regarding=_OBJECT_REFERENCE | {"description": "The object it is about."},
    note=_text("What happened, for people."),
    reason=_text("A CamelCase token that says what happened."),
    type=_text("Normal or Warning."),
    action=_text(),
    eventTime=_MICRO_TIME,
    series=_SERIES,
    related=_OBJECT_REFERENCE,
    reportingController=_text(),
    reportingInstance=_text(),
    deprecatedCount=_number(),
    deprecatedSource=_SOURCE,
    deprecatedFirstTimestamp=_time(),
    deprecatedLastTimestamp=_time(),
)
_LEASE = _object(
    "A claim that expires.",
    spec=_object(
        "Who holds the lease, and since when.",
        holderIdentity=_text("The present holder."),
        leaseDurationSeconds=_number("How long a holder may be silent, in seconds."),
        acquireTime=_MICRO_TIME,
        renewTime=_MICRO_TIME,
        leaseTransitions=_number("How often the holder has changed."),
        preferredHolder=_text(),
        strategy=_text(),
    ),
)
_RULE = _object(
    "Verbs on resources that are allowed.",
    verbs=_texts("Verbs, * for all."),
    apiGroups=_texts("API groups, '' for the core group."),
    resources=_texts("Resources, * for all."),
    resourceNames=_texts("Names of objects; none given means all."),
    nonResourceURLs=_texts("Paths, for cluster roles only."),
)
_SUBJECT = _atomic("Who has the rights.", apiGroup=_text(), kind=_text(), name=_text(), namespace=_text())
_ROLE = _object("Rights in a namespace.", rules=_list(_RULE, "What is allowed."))
_ROLE_REF = _atomic("The Role or ClusterRole.", apiGroup=_text(), kind=_text(), name=_text())
_BINDING = _object(
    "Gives a role's rights to subjects.", roleRef=_ROLE_REF, subjects=_list(_SUBJECT, "Who has the rights.")
)
_CRD = _object(
    "Defines a kind of custom resource.",
    spec=_open(
        "The definition.",
        group=_text("API group of the kind."),
        scope=_text("Namespaced or Cluster."),
        names=_open("", kind=_text(), plural=_text(), singular=_text(), listKind=_text()),
        versions=_list(_open("", name=_text(), served=_flag(), storage=_flag()), "Versions of the kind."),
    ),
    status=_open("", conditions=_CONDITIONS),
)

_EVENTS_V1 = Kind("events.k8s.io", "v1", "Event", "events")
_BY_KIND: dict[Kind, Schema] = {
    kinds.CONFIG_MAP: _CONFIG_MAP,
    kinds.SECRET: _SECRET,
    kinds.NAMESPACE: _NAMESPACE,
    kinds.POD: _POD,
    kinds.SERVICE: _SERVICE,
    kinds.SERVICE_ACCOUNT: _SERVICE_ACCOUNT,
    kinds.EVENT: _EVENT,
    _EVENTS_V1: _NEW_EVENT,
    kinds.LEASE: _LEASE,
    kinds.ROLE: _ROLE,
    kinds.CLUSTER_ROLE: _ROLE
    | {
        "properties": _ROLE["properties"] | {"aggregationRule": _open("Cluster roles whose rules are added.")}
    },
    kinds.ROLE_BINDING: _BINDING,
    kinds.CLUSTER_ROLE_BINDING: _BINDING,
    kinds.CUSTOM_RESOURCE_DEFINITION: _CRD,
}


def builtin_schema(kind: Kind) -> Schema | None:
    """The schema of a built-in kind; None for kinds that are not described here."""
    found = _BY_KIND.get(kind)
    if found is None:
        return None
    common = {"apiVersion": _text(), "kind": _text(), "metadata": METADATA}
    return found | {"properties": common | found["properties"]}

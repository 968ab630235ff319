"""The structural schema of Pods and of the templates that make them.

Read by `builtin_schemas` and `workload_schemas`. Data only.
"""

from __future__ import annotations

from kubeapi.schemas.schema_parts import (
    CONDITIONS,
    INT_OR_TEXT,
    LOCAL_REFERENCE,
    QUANTITIES,
    Schema,
    array,
    flag,
    keyed,
    mapping,
    number,
    obj,
    open_obj,
    text,
    texts,
    time,
)

_ENV = obj(
    "An environment variable.",
    name=text("Name of the variable."),
    value=text("Its value; $(NAME) is replaced by another variable's."),
    valueFrom=open_obj(
        "Its source: fieldRef, resourceFieldRef, secretKeyRef or configMapKeyRef.",
        fieldRef=open_obj("A field of the pod.", fieldPath=text()),
        resourceFieldRef=open_obj("An amount.", containerName=text(), resource=text(), divisor=INT_OR_TEXT),
        secretKeyRef=open_obj("A key of a Secret.", name=text(), key=text(), optional=flag()),
        configMapKeyRef=open_obj("A key of a ConfigMap.", name=text(), key=text(), optional=flag()),
    ),
)
_PORT = obj(
    "A port that the container listens on.",
    containerPort=number("The port, 1 to 65535."),
    hostIP=text("The host address that hostPort binds."),
    hostPort=number("The port on the host."),
    name=text("A name that Services can refer to."),
    protocol=text("TCP, UDP or SCTP.", default="TCP"),
)
_MOUNT = open_obj(
    "A volume in the container's file system.",
    name=text("The volume."),
    mountPath=text("Where it is seen."),
    subPath=text("The part of the volume that is seen; all of it by default."),
    subPathExpr=text("The same, with $(NAME) replaced by the container's variables."),
    readOnly=flag(),
)
_ITEMS = array(open_obj("A key and the file that it becomes.", key=text(), path=text()))
_SECRET_FILES = open_obj("The keys of a Secret as files.", items=_ITEMS, optional=flag())
_MAP_FILES = open_obj("The keys of a ConfigMap as files.", name=text(), items=_ITEMS, optional=flag())
_FIELD_FILE = open_obj("", path=text(), fieldRef=open_obj("A field of the pod.", fieldPath=text()))
_FIELD_FILES = open_obj("Fields of the pod as files.", items=array(_FIELD_FILE))
_SOURCE = open_obj(
    "A source of files.",
    secret=_SECRET_FILES | {"properties": _SECRET_FILES["properties"] | {"name": text()}},
    configMap=_MAP_FILES,
    downwardAPI=_FIELD_FILES,
    serviceAccountToken=open_obj("A token of the pod's ServiceAccount.", path=text(), audience=text()),
)
_VOLUME = open_obj(
    "A volume of the pod.",
    name=text("Name of the volume."),
    emptyDir=open_obj("A folder that lives as long as the pod."),
    hostPath=open_obj("A folder of the machine.", path=text()),
    persistentVolumeClaim=open_obj("What a claim stands for.", claimName=text()),
    secret=_SECRET_FILES | {"properties": _SECRET_FILES["properties"] | {"secretName": text()}},
    configMap=_MAP_FILES,
    downwardAPI=_FIELD_FILES,
    projected=open_obj("Files from several sources.", sources=array(_SOURCE)),
)
_HEADER = open_obj("", name=text(), value=text())
_ACTIONS = {
    "httpGet": open_obj(
        "A request over HTTP.",
        host=text(),
        path=text(),
        port=INT_OR_TEXT,
        scheme=text(),
        httpHeaders=array(_HEADER),
    ),
    "tcpSocket": open_obj("A connection.", host=text(), port=INT_OR_TEXT),
    "grpc": open_obj("A request over gRPC.", port=number(), service=text()),
}
_TIMES = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold")


def _probe(description: str) -> Schema:
    return open_obj(description, **_ACTIONS, **{name: number() for name in _TIMES})


_CONTAINER = open_obj(
    "A program that runs in the pod.",
    name=text("Name of the container, unique in the pod."),
    image=text("The image to run."),
    command=texts("The program, in place of the image's own."),
    args=texts("Arguments of the program."),
    workingDir=text("The directory it starts in."),
    env=keyed(_ENV, "name", description="Environment variables."),
    envFrom=array(
        open_obj(
            "A ConfigMap or Secret whose keys become variables.",
            prefix=text(),
            secretRef=open_obj("A Secret.", name=text(), optional=flag()),
            configMapRef=open_obj("A ConfigMap.", name=text(), optional=flag()),
        )
    ),
    ports=keyed(_PORT, "containerPort", "protocol", description="Ports it listens on."),
    resources=open_obj("Requests and limits.", requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=keyed(_MOUNT, "mountPath", description="Volumes in its file system."),
    imagePullPolicy=text("Always, IfNotPresent or Never."),
    livenessProbe=_probe("The container is restarted when it fails."),
    readinessProbe=_probe("The pod gets requests while it succeeds."),
    startupProbe=_probe("The other probes wait for it."),
    lifecycle=open_obj(
        "Hooks around start and stop.",
        preStop=open_obj("Done before the process is told to end.", **_ACTIONS),
        postStart=open_obj("Done after the start.", **_ACTIONS),
    ),
    securityContext=open_obj("User, groups and capabilities."),
)
_CONTAINERS = keyed(_CONTAINER, "name", description="The containers of the pod.")
_STATE = open_obj(
    "waiting, running or terminated, with details.",
    waiting=open_obj("", reason=text(), message=text()),
    running=open_obj("", startedAt=text()),
    terminated=open_obj(
        "", exitCode=number(), signal=number(), reason=text(), message=text(), finishedAt=text()
    ),
)
_CONTAINER_STATUS = open_obj(
    "The state of one container.",
    name=text(),
    ready=flag(),
    restartCount=number(),
    image=text(),
    imageID=text(),
    containerID=text(),
    started=flag(),
    state=_STATE,
    lastState=_STATE,
)
POD_SPEC = open_obj(
    "What the pod runs.",
    containers=_CONTAINERS,
    initContainers=_CONTAINERS | {"description": "Containers that run to their end before the others start."},
    volumes=keyed(_VOLUME, "name", description="Volumes of the pod."),
    nodeName=text("The node that runs the pod."),
    serviceAccountName=text("The ServiceAccount whose rights the pod has."),
    restartPolicy=text("Always, OnFailure or Never."),
    terminationGracePeriodSeconds=number("Time to stop after SIGTERM, in seconds.", size=64),
    imagePullSecrets=keyed(LOCAL_REFERENCE, "name"),
    nodeSelector=mapping("Labels that the node must have.") | {"x-kubernetes-map-type": "atomic"},
    topologySpreadConstraints=keyed(
        open_obj("How evenly the pods are spread.", topologyKey=text(), whenUnsatisfiable=text()),
        "topologyKey",
        "whenUnsatisfiable",
    ),
    tolerations=array(open_obj("A taint that the pod tolerates.")),
    affinity=open_obj("Which nodes and neighbours are preferred."),
    securityContext=open_obj("User and groups of all containers."),
    hostname=text("Host name of the pod."),
    subdomain=text("Its headless Service."),
)
_POD_STATUS = open_obj(
    "What is known of the running pod.",
    phase=text("Pending, Running, Succeeded, Failed or Unknown."),
    conditions=CONDITIONS,
    containerStatuses=array(_CONTAINER_STATUS, "State of each container."),
    initContainerStatuses=array(_CONTAINER_STATUS),
    podIP=text("Address of the pod."),
    podIPs=keyed(obj("", ip=text()), "ip"),
    hostIP=text(),
    startTime=time(),
    message=text(),
    reason=text(),
    qosClass=text(),
)
POD = obj(
    "Containers that run together; here each container is a local process.",
    spec=POD_SPEC,
    status=_POD_STATUS,
)

POD_TEMPLATE = obj(
    "What each pod is made from.",
    metadata=open_obj("Labels and annotations of the pods.", labels=mapping(), annotations=mapping()),
    spec=POD_SPEC,
)

"""The structural schema of Pods and of the templates that make them.

Read by `builtin_schemas` and `workload_schemas`. Data only.
"""

from __future__ import annotations

from bailie.apiserver.schema_parts import (
    CONDITIONS,
    LOCAL_REFERENCE,
    QUANTITIES,
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
    valueFrom=open_obj("Its source: fieldRef, resourceFieldRef, secretKeyRef or configMapKeyRef."),
)
_PORT = obj(
    "A port that the container listens on.",
    containerPort=number("The port, 1 to 65535."),
    hostIP=text("The host address that hostPort binds."),
    hostPort=number("The port on the host."),
    name=text("A name that Services can refer to."),
    protocol=text("TCP, UDP or SCTP.", default="TCP"),
)
_MOUNT = open_obj("A volume in the container's file system.", name=text(), mountPath=text(), readOnly=flag())
_CONTAINER = open_obj(
    "A program that runs in the pod.",
    name=text("Name of the container, unique in the pod."),
    image=text("The image to run."),
    command=texts("The program, in place of the image's own."),
    args=texts("Arguments of the program."),
    workingDir=text("The directory it starts in."),
    env=keyed(_ENV, "name", description="Environment variables."),
    envFrom=array(open_obj("A ConfigMap or Secret whose keys become variables.")),
    ports=keyed(_PORT, "containerPort", "protocol", description="Ports it listens on."),
    resources=open_obj("Requests and limits.", requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=keyed(_MOUNT, "mountPath", description="Volumes in its file system."),
    imagePullPolicy=text("Always, IfNotPresent or Never."),
    livenessProbe=open_obj("The container is restarted when it fails."),
    readinessProbe=open_obj("The pod gets requests while it succeeds."),
    startupProbe=open_obj("The other probes wait for it."),
    lifecycle=open_obj("Hooks around start and stop."),
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
    volumes=keyed(open_obj("A volume of the pod.", name=text()), "name", description="Volumes of the pod."),
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

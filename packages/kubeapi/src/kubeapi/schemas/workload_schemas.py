"""Structural schemas of what runs pods and goes with them: workloads, disruption budgets, endpoints, claims.

Read by `builtin_schemas`. Stored as plain objects: no controller of this API acts on them. Data only.
"""

from __future__ import annotations

from kubeapi import kinds
from kubeapi.schemas.pod_schemas import POD_TEMPLATE
from kubeapi.schemas.schema_parts import (
    CONDITIONS,
    INT_OR_TEXT,
    OBJECT_REFERENCE,
    QUANTITIES,
    array,
    atomic,
    flag,
    mapping,
    number,
    obj,
    open_obj,
    text,
    texts,
    time,
)

_SELECTOR = atomic(
    "Which pods belong to it.",
    matchLabels=mapping("Labels that they have."),
    matchExpressions=array(open_obj("", key=text(), operator=text(), values=texts())),
)
_CLAIM_SPEC = open_obj(
    "What is asked for.",
    accessModes=texts("How it is mounted."),
    resources=open_obj("", requests=QUANTITIES, limits=QUANTITIES),
    storageClassName=text(),
    volumeMode=text(),
    volumeName=text("The volume that was found."),
    selector=_SELECTOR,
)
_CLAIM = obj(
    "A claim to a volume.",
    spec=_CLAIM_SPEC,
    status=open_obj("", phase=text("Pending, Bound or Lost."), accessModes=texts(), capacity=QUANTITIES),
)
_COUNTS = {
    name: number()
    for name in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas", "collisionCount")
}
_STATEFUL_SET = obj(
    "Pods with stable names.",
    spec=open_obj(
        "Which pods, and how many.",
        replicas=number("How many pods are wanted."),
        selector=_SELECTOR,
        serviceName=text("The Service that names the pods."),
        template=POD_TEMPLATE,
        volumeClaimTemplates=array(
            open_obj("", metadata=open_obj("", name=text("The volume's name.")), spec=_CLAIM_SPEC)
        ),
        podManagementPolicy=text("OrderedReady or Parallel."),
        updateStrategy=open_obj("How pods are replaced.", type=text()),
        persistentVolumeClaimRetentionPolicy=obj("", whenDeleted=text(), whenScaled=text()),
        revisionHistoryLimit=number(),
        minReadySeconds=number(),
    ),
    status=open_obj(
        "What runs.",
        **_COUNTS,
        currentReplicas=number(),
        currentRevision=text(),
        updateRevision=text(),
        observedGeneration=number(size=64),
        conditions=CONDITIONS,
    ),
)
_DEPLOYMENT = obj(
    "Pods that stand for each other.",
    spec=open_obj(
        "Which pods, and how many.",
        replicas=number("How many pods are wanted."),
        selector=_SELECTOR,
        template=POD_TEMPLATE,
        strategy=open_obj(
            "How pods are replaced.",
            type=text("RollingUpdate or Recreate."),
            rollingUpdate=obj("", maxSurge=INT_OR_TEXT, maxUnavailable=INT_OR_TEXT),
        ),
        revisionHistoryLimit=number(),
        minReadySeconds=number(),
        progressDeadlineSeconds=number(),
        paused=flag(),
    ),
    status=open_obj(
        "What runs.",
        **_COUNTS,
        unavailableReplicas=number(),
        observedGeneration=number(size=64),
        conditions=CONDITIONS,
    ),
)
_DISRUPTION_BUDGET = obj(
    "How many pods may be away on purpose.",
    spec=open_obj(
        "",
        selector=_SELECTOR,
        minAvailable=INT_OR_TEXT,
        maxUnavailable=INT_OR_TEXT,
        unhealthyPodEvictionPolicy=text(),
    ),
    status=open_obj(
        "",
        currentHealthy=number(),
        desiredHealthy=number(),
        disruptionsAllowed=number(),
        expectedPods=number(),
        observedGeneration=number(size=64),
        conditions=CONDITIONS,
    ),
)
_ENDPOINT = open_obj(
    "A pod that answers.",
    addresses=texts("Its addresses; the first one counts."),
    conditions=obj("", ready=flag(), serving=flag(), terminating=flag()),
    hostname=text(),
    nodeName=text(),
    targetRef=OBJECT_REFERENCE,
    zone=text(),
)
_ENDPOINT_PORT = atomic("", name=text(), port=number(), protocol=text(), appProtocol=text())
_ENDPOINT_SLICE = obj(
    "Where the pods of a Service are.",
    addressType=text("IPv4, IPv6 or FQDN."),
    endpoints=array(_ENDPOINT, "The pods."),
    ports=array(_ENDPOINT_PORT, "Their ports, by the names of the Service's."),
)
_SCALE_TARGET = atomic("", apiVersion=text(), kind=text(), name=text())
_AUTOSCALER = obj(
    "How many replicas something is to have.",
    spec=open_obj("", scaleTargetRef=_SCALE_TARGET, minReplicas=number(), maxReplicas=number()),
    status=open_obj("", currentReplicas=number(), desiredReplicas=number(), lastScaleTime=time()),
)
_POLICY_PORTS = array(atomic("", port=INT_OR_TEXT, endPort=number(), protocol=text(default="TCP")))
_POLICY_PEERS = array(
    atomic(
        "",
        podSelector=_SELECTOR,
        namespaceSelector=_SELECTOR,
        ipBlock=atomic("", cidr=text(), **{"except": texts()}),
    )
)
_NETWORK_POLICY = obj(
    "Whose connections pods take. Kept, and enforced by nobody: the pods here are processes.",
    spec=obj(
        "",
        podSelector=_SELECTOR,
        ingress=array(obj("", ports=_POLICY_PORTS, **{"from": _POLICY_PEERS})),
        egress=array(obj("", ports=_POLICY_PORTS, to=_POLICY_PEERS)),
        policyTypes=texts(),
    ),
)
WORKLOADS = {
    kinds.STATEFUL_SET: _STATEFUL_SET,
    kinds.DEPLOYMENT: _DEPLOYMENT,
    kinds.POD_DISRUPTION_BUDGET: _DISRUPTION_BUDGET,
    kinds.NETWORK_POLICY: _NETWORK_POLICY,
    kinds.ENDPOINT_SLICE: _ENDPOINT_SLICE,
    kinds.PERSISTENT_VOLUME_CLAIM: _CLAIM,
    kinds.HORIZONTAL_POD_AUTOSCALER: _AUTOSCALER,
}
"""By kind."""

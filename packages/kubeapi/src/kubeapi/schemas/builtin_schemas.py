"""Structural schemas of the built-in kinds that the embedded API serves.

Read by the catalogue: OpenAPI documents and `kubectl explain`, field validation, and how lists merge in apply
and strategic merge patches. They hold what the objects of this API use; where Kubernetes has more (pods), the
rest is preserved unseen rather than described wrongly. Data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeapi import kinds
from kubeapi.apply.fieldsets import METADATA
from kubeapi.schemas.pod_schemas import POD
from kubeapi.schemas.schema_parts import (
    CONDITIONS,
    INT_OR_TEXT,
    LOCAL_REFERENCE,
    OBJECT_REFERENCE,
    Schema,
    array,
    atomic,
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
from kubeapi.schemas.workload_schemas import WORKLOADS

if TYPE_CHECKING:
    from kubeapi.kinds import ApiKind

_SERVICE_PORT = obj(
    "A port of the Service.",
    name=text("Name of the port."),
    port=number("The port that clients use."),
    targetPort=INT_OR_TEXT | {"description": "Port or port name of the pods."},
    nodePort=number("The port on every node; here on 127.0.0.1."),
    protocol=text("TCP, UDP or SCTP.", default="TCP"),
    appProtocol=text(),
)
_SERVICE_SPEC = open_obj(
    "Which pods answer, under which ports.",
    type=text("ClusterIP, NodePort, LoadBalancer or ExternalName."),
    selector=mapping("Labels of the pods that answer.") | {"x-kubernetes-map-type": "atomic"},
    ports=keyed(_SERVICE_PORT, "port", "protocol", description="Ports of the Service."),
    clusterIP=text("The virtual address, or None."),
    clusterIPs=texts(),
    externalIPs=texts(),
    externalName=text("The name that an ExternalName Service stands for."),
    publishNotReadyAddresses=flag("Whether pods that are not ready are found too."),
    sessionAffinity=text(),
)
_BALANCER = open_obj("", ingress=array(open_obj("", ip=text(), hostname=text())))
_SERVICE = obj(
    "A name for a set of pods.",
    spec=_SERVICE_SPEC,
    status=open_obj("", conditions=CONDITIONS, loadBalancer=_BALANCER),
)

_CONFIG_MAP = obj(
    "Configuration data for pods.",
    data=mapping("Texts by key."),
    binaryData=mapping("Bytes by key, in base64.", {"type": "string", "format": "byte"}),
    immutable=flag("Whether the data can no longer change."),
)
_SECRET = obj(
    "Confidential data for pods.",
    data=mapping("Bytes by key, in base64.", {"type": "string", "format": "byte"}),
    stringData=mapping("Texts by key, for writing only."),
    type=text("What kind of secret it is."),
    immutable=flag("Whether the data can no longer change."),
)
_NAMESPACE = obj(
    "A scope for names.",
    spec=obj("", finalizers=texts("What must be done before it is gone.")),
    status=obj("", phase=text("Active or Terminating."), conditions=CONDITIONS),
)
_SERVICE_ACCOUNT = obj(
    "An identity for processes in pods.",
    automountServiceAccountToken=flag("Whether pods get its token."),
    imagePullSecrets=array(LOCAL_REFERENCE),
    secrets=keyed(OBJECT_REFERENCE, "name"),
)
_MICRO_TIME: Schema = {"type": "string", "format": "date-time"}
_SERIES = obj("", count=number(), lastObservedTime=_MICRO_TIME)
_SOURCE = obj("", component=text(), host=text())
_EVENT = obj(
    "A report of something that happened.",
    involvedObject=OBJECT_REFERENCE | {"description": "The object it is about."},
    reason=text("A CamelCase token that says what happened."),
    message=text("The same for people."),
    type=text("Normal or Warning."),
    count=number("How often it happened."),
    source=_SOURCE | {"description": "The component that reports."},
    firstTimestamp=time("When it happened first."),
    lastTimestamp=time("When it happened last."),
    eventTime=_MICRO_TIME,
    series=_SERIES,
    action=text(),
    related=OBJECT_REFERENCE,
    reportingComponent=text(),
    reportingInstance=text(),
)
_NEW_EVENT = obj(
    "A report of something that happened.",
    regarding=OBJECT_REFERENCE | {"description": "The object it is about."},
    note=text("What happened, for people."),
    reason=text("A CamelCase token that says what happened."),
    type=text("Normal or Warning."),
    action=text(),
    eventTime=_MICRO_TIME,
    series=_SERIES,
    related=OBJECT_REFERENCE,
    reportingController=text(),
    reportingInstance=text(),
    deprecatedCount=number(),
    deprecatedSource=_SOURCE,
    deprecatedFirstTimestamp=time(),
    deprecatedLastTimestamp=time(),
)
_LEASE = obj(
    "A claim that expires.",
    spec=obj(
        "Who holds the lease, and since when.",
        holderIdentity=text("The present holder."),
        leaseDurationSeconds=number("How long a holder may be silent, in seconds."),
        acquireTime=_MICRO_TIME,
        renewTime=_MICRO_TIME,
        leaseTransitions=number("How often the holder has changed."),
        preferredHolder=text(),
        strategy=text(),
    ),
)
_RULE = obj(
    "Verbs on resources that are allowed.",
    verbs=texts("Verbs, * for all."),
    apiGroups=texts("API groups, '' for the core group."),
    resources=texts("Resources, * for all."),
    resourceNames=texts("Names of objects; none given means all."),
    nonResourceURLs=texts("Paths, for cluster roles only."),
)
_SUBJECT = atomic("Who has the rights.", apiGroup=text(), kind=text(), name=text(), namespace=text())
_ROLE = obj("Rights in a namespace.", rules=array(_RULE, "What is allowed."))
_ROLE_REF = atomic("The Role or ClusterRole.", apiGroup=text(), kind=text(), name=text())
_BINDING = obj(
    "Gives a role's rights to subjects.", roleRef=_ROLE_REF, subjects=array(_SUBJECT, "Who has the rights.")
)
_CRD = obj(
    "Defines a kind of custom resource.",
    spec=open_obj(
        "The definition.",
        group=text("API group of the kind."),
        scope=text("Namespaced or Cluster."),
        names=open_obj("", kind=text(), plural=text(), singular=text(), listKind=text()),
        versions=array(open_obj("", name=text(), served=flag(), storage=flag()), "Versions of the kind."),
    ),
    status=open_obj("", conditions=CONDITIONS),
)

_BY_KIND: dict[ApiKind, Schema] = {
    kinds.CONFIG_MAP: _CONFIG_MAP,
    kinds.SECRET: _SECRET,
    kinds.NAMESPACE: _NAMESPACE,
    kinds.POD: POD,
    kinds.SERVICE: _SERVICE,
    kinds.SERVICE_ACCOUNT: _SERVICE_ACCOUNT,
    kinds.EVENT: _EVENT,
    kinds.NEW_EVENT: _NEW_EVENT,
    kinds.LEASE: _LEASE,
    kinds.ROLE: _ROLE,
    kinds.CLUSTER_ROLE: _ROLE
    | {"properties": _ROLE["properties"] | {"aggregationRule": open_obj("Roles whose rules are added.")}},
    kinds.ROLE_BINDING: _BINDING,
    kinds.CLUSTER_ROLE_BINDING: _BINDING,
    kinds.CUSTOM_RESOURCE_DEFINITION: _CRD,
    **WORKLOADS,
}


def builtin_schema(kind: ApiKind) -> Schema | None:
    """The schema of a built-in kind; None for kinds that are not described here."""
    found = _BY_KIND.get(kind)
    if found is None:
        return None
    common = {"apiVersion": text(), "kind": text(), "metadata": METADATA}
    return found | {"properties": common | found["properties"]}

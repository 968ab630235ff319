"""Faults of namespaces before a move, by name: the table by which `bailie migrate plan` is judged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.manifests import API_VERSION
from tests.support.plan_grounds import (
    CENTRAL,
    HOME,
    OLD,
    BailieGround,
    Ground,
    SeldonGround,
    mesh_service,
    model,
    plain,
    resource,
    server,
)

from bailie.migration.record import MoveRecord
from bailie.migration.source import MoveSource

if TYPE_CHECKING:
    from collections.abc import Callable

Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong, and what the plan has to say of it."""

    ground: Callable[[str], Ground] = SeldonGround
    prepare: Callable[[Ground], None]
    check: str
    says: str
    remedy: str
    blocks: bool = True


def _model(**spec: Any) -> Callable[[Ground], None]:
    return lambda ground: ground.put(model("iris", **spec))


def _patched(container: Manifest) -> Callable[[Ground], None]:
    return lambda ground: ground.put(*server("mlserver", podSpec={"containers": [container]}))


def _added(*manifests: Manifest) -> Callable[[Ground], None]:
    return lambda ground: ground.put(*(json.loads(json.dumps(each)) for each in manifests))


def _marked(key: str, **marks: Any) -> Callable[[Ground], None]:
    return lambda ground: ground.mark(key, **marks)


def _unpullable(ground: Ground) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    image = {"name": "mlserver", "image": "registry/none:1", "imageID": "", "ready": False, "restartCount": 0}
    ground["Pod/mlserver-0"]["status"] = {
        "phase": "Pending",
        "containerStatuses": [{**image, "state": waiting}],
    }


def _held(ground: Ground) -> None:
    ground["Model/iris"]["metadata"]["finalizers"] = ["seldon.model.finalizer"]
    ground.deleted.append("Model/iris")


def _without_agent(ground: Ground) -> None:
    pod = ground["Pod/mlserver-0"]["spec"]
    pod["containers"] = [each for each in pod["containers"] if each["name"] != "agent"]


def _ending(ground: Ground) -> None:
    _held(ground)
    ground.deleted.clear()
    ground.namespace_deleted = True


def _budget(ground: Ground) -> None:
    spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"seldon-server-name": "mlserver"}}}
    ground.put(plain("policy/v1", "PodDisruptionBudget", "mlserver", spec=spec))


def _autoscaler(kind: str, version: str) -> Callable[[Ground], None]:
    target = {"apiVersion": version, "kind": kind, "name": "mlserver"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3}
    return _added(plain("autoscaling/v2", "HorizontalPodAutoscaler", "mlserver", spec=spec))


def _release(status: str) -> Manifest:
    made = plain("v1", "Secret", "sh.helm.release.v1.runtime.v2", type="helm.sh/release.v1")
    made["metadata"]["labels"] = {"owner": "helm", "name": "runtime", "status": status, "version": "2"}
    return made


def _record(text: str) -> Callable[[Ground], None]:
    return _added(plain("v1", "ConfigMap", "bailie-migration", data={"record.json": text}))


def _begun(ground: Ground) -> None:
    record = MoveRecord(
        namespace=ground.namespace,
        source=MoveSource.BAILIE_CENTRAL,
        home=HOME,
        central=CENTRAL,
        begun="2026-01-01T00:00:00Z",
        by="ada",
        step="scheduler",
    )
    _record(record.text())(ground)


def _no_consent(ground: Ground) -> None:
    ground["SeldonRuntime/seldon"]["spec"]["schedulerNamespace"] = OLD


_NO_SCHEDULER = [{"name": "seldon-scheduler", "replicas": 0}]
_LONG = "a-server-whose-name-is-much-too-long-for-the-labels-of-pods"
_ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "models:mlops.seldon.io/SeldonRuntime:a/seldon"}}
_FLUX = {
    "labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux"}
}
_ANY_PODS = {
    "selector": {"matchLabels": {"a": "b"}},
    "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "x"}]}},
}


def _external(target: str) -> Manifest:
    return plain("v1", "Service", "seldon-mesh", spec={"type": "ExternalName", "externalName": target})


_OTHER_BINDING = plain(
    "rbac.authorization.k8s.io/v1",
    "RoleBinding",
    "seldon-v2-manager-rolebinding",
    roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
    subjects=[],
)
FAULTS: dict[str, Fault] = {
    "storage": Fault(
        prepare=_model(storageUri=":sftp,ssh='id',host=x:/m"),
        check="storage",
        says="spec.storageUri: :sftp,ssh='id',host=x:/m names no remote",
        remedy="kubectl edit models iris",
    ),
    "steps-up": Fault(
        prepare=_model(storageUri="gs://bucket/../secret"),
        check="storage",
        says='steps up with ".."',
        remedy="kubectl edit models iris",
    ),
    "hugging-face": Fault(
        prepare=_model(storageUri="hf://org/model"),
        check="storage",
        says="names a Hugging Face repository",
        remedy="kubectl edit models iris",
    ),
    "spec": Fault(
        prepare=_model(replicas=3, maxReplicas=2),
        check="spec",
        says="spec.replicas: replicas 3 is more than maxReplicas 2",
        remedy="kubectl edit models iris",
    ),
    "model-name": Fault(
        prepare=_added(model("iris.pipeline")),
        check="name",
        says='"iris.pipeline" cannot name a Model',
        remedy="under another name",
    ),
    "server-name": Fault(
        prepare=lambda ground: ground.put(server(_LONG)[0]),
        check="name",
        says="the name has 59 characters; Kubernetes makes pods for at most 52",
        remedy="under a shorter name",
    ),
    "secret": Fault(
        prepare=_model(secretName="team-s3"),
        check="secret",
        says="the Secret team-s3, with which its artifact is fetched, does not exist",
        remedy="make the Secret team-s3, or take secretName out: kubectl edit models iris",
    ),
    "server": Fault(
        prepare=_model(server="triton"),
        check="server",
        says="the Model is for the Server triton, which does not exist",
        remedy="make the Server triton, or name another one: kubectl edit models iris",
    ),
    "server-config": Fault(
        prepare=lambda ground: ground["Server/mlserver"]["spec"].update(serverConfig="gpu"),
        check="configuration",
        says="the ServerConfig gpu is neither in the namespace nor beside Bailie's operator",
        remedy="--field-selector metadata.name=gpu",
    ),
    "seldon-config": Fault(
        prepare=lambda ground: ground["SeldonRuntime/seldon"]["spec"].update(seldonConfig="large"),
        check="configuration",
        says="the SeldonConfig large is neither in the namespace nor beside Bailie's operator",
        remedy="kubectl get seldonconfigs --all-namespaces --field-selector metadata.name=large",
    ),
    "no-effect": Fault(
        prepare=_model(logger={"percent": 10}),
        check="no-effect",
        says="spec.logger: has no effect without the annotation bailie.io/payload-sink",
        remedy="kubectl explain model.spec.logger",
        blocks=False,
    ),
    "deletion": Fault(
        prepare=_held,
        check="deletion",
        says="the object is being deleted (finalizers: seldon.model.finalizer)",
        remedy="kubectl wait --for=delete models.mlops.seldon.io/iris",
    ),
    "finalizers": Fault(
        prepare=lambda ground: ground["Model/iris"]["metadata"].update(finalizers=["seldon.model.finalizer"]),
        check="finalizers",
        says="1 Models carry finalizers of Seldon Core's operator",
        remedy="delete none of them before the move has ended",
        blocks=False,
    ),
    "not-ready": Fault(
        prepare=lambda ground: ground["Model/iris"].pop("status"),
        check="not-ready",
        says="1 of 1 Models are not ready before the move",
        remedy="bailie explain model iris",
        blocks=False,
    ),
    "two-runtimes": Fault(
        prepare=_added(resource("SeldonRuntime", "second", {"seldonConfig": "default"})),
        check="runtimes",
        says="the namespace has 2 SeldonRuntimes; the oldest counts",
        remedy="kubectl delete seldonruntime",
    ),
    "left-out": Fault(
        prepare=lambda ground: ground["SeldonRuntime/seldon"]["spec"].update(overrides=_NO_SCHEDULER),
        check="left-out",
        says="its override of seldon-scheduler leaves the scheduler out",
        remedy="scheduler.replicas=1",
        blocks=False,
    ),
    "rclone-mapped": Fault(
        prepare=_patched({"name": "rclone", "env": [{"name": "A", "value": "b"}]}),
        check="pod-patch",
        says="env of the container rclone go to agent",
        remedy="nothing to do",
        blocks=False,
    ),
    "rclone-unmapped": Fault(
        prepare=_patched({"name": "rclone", "args": ["--vfs-cache-mode"]}),
        check="pod-patch",
        says='containers["rclone"].args: has no effect: the agent runs rclone itself',
        remedy="move it to the container agent",
        blocks=False,
    ),
    "seldon-image": Fault(
        prepare=_patched({"name": "agent", "image": "docker.io/seldonio/seldon-agent:2.9.1"}),
        check="pod-patch",
        says="is Seldon Core's agent, which does not work with Bailie",
        remedy="kubectl edit server mlserver",
    ),
    "pod-fence": Fault(
        prepare=lambda ground: ground.put(*server("mlserver", podSpec={"hostNetwork": True})),
        check="pod-fence",
        says="podSpec.hostNetwork",
        remedy="kubectl edit server mlserver",
    ),
    "image": Fault(
        prepare=_unpullable,
        check="image",
        says="the image registry/none:1 of mlserver-0 cannot be pulled",
        remedy="kubectl describe pod mlserver-0",
    ),
    "agents": Fault(
        prepare=_without_agent,
        check="agents",
        says="the pods mlserver-0 have no container agent",
        remedy="kubectl describe pods",
    ),
    "stray": Fault(
        prepare=lambda ground: ground.put(server("gone")[2]),
        check="stray",
        says="the label of the Server gone, which does not exist",
        remedy="kubectl delete pod gone-0",
        blocks=False,
    ),
    "budget": Fault(
        prepare=_budget,
        check="budget",
        says="it is for pods of Server mlserver, for which Bailie makes one, too",
        remedy="kubectl delete poddisruptionbudget mlserver",
    ),
    "autoscaler-of-set": Fault(
        prepare=_autoscaler("StatefulSet", "apps/v1"),
        check="autoscaler",
        says="it scales StatefulSet mlserver, which the move replaces",
        remedy="kubectl edit horizontalpodautoscalers mlserver",
    ),
    "autoscaler-of-server": Fault(
        prepare=_autoscaler("Server", API_VERSION),
        check="autoscaler",
        says="it scales Server mlserver; a change of replicas in the middle",
        remedy="kubectl patch hpa mlserver",
        blocks=False,
    ),
    "argo": Fault(
        prepare=_marked("SeldonRuntime/seldon", **_ARGO),
        check="gitops",
        says="Argo CD's application models puts back what the move changes in SeldonRuntime",
        remedy="argocd app set models --sync-policy none",
    ),
    "shell-in-a-field": Fault(
        ground=lambda name: BailieGround(name, central="x; rm -rf ~\x1b[2J"),
        prepare=lambda _: None,
        check="spec",
        says='spec.schedulerNamespace: "x; rm -rf ~\\u001b[2J" is no DNS label',
        remedy="kubectl edit seldonruntimes seldon",
    ),
    "shell-in-a-secret": Fault(
        prepare=_model(secretName="a$(id)"),
        check="secret",
        says="the Secret a$(id), with which its artifact is fetched, does not exist",
        remedy="make the Secret 'a$(id)', or",
    ),
    "shell": Fault(
        prepare=_marked("SeldonRuntime/seldon", annotations={"meta.helm.sh/release-name": "x; rm -rf ~"}),
        check="release",
        says="the release has SeldonRuntime",
        remedy="helm get values 'x; rm -rf ~' --namespace",
        blocks=False,
    ),
    "flux": Fault(
        prepare=_marked("Service/seldon-mesh", **_FLUX),
        check="gitops",
        says="Flux's kustomization apps puts back what the move changes in Service",
        remedy="flux suspend kustomization apps --namespace flux",
    ),
    "release-pending": Fault(
        prepare=_added(_release("pending-upgrade")),
        check="release",
        says="revision 2 is pending-upgrade: Helm refuses further changes",
        remedy="helm rollback runtime",
    ),
    "release-owner": Fault(
        prepare=_marked("SeldonRuntime/seldon", annotations={"meta.helm.sh/release-name": "runtime"}),
        check="release",
        says="`helm uninstall` of it would delete them",
        remedy="helm get values runtime --namespace",
        blocks=False,
    ),
    "mesh-selector": Fault(
        prepare=lambda ground: ground.put(mesh_service(app="my-envoy")),
        check="mesh",
        says="its selector is app=my-envoy, by which the new Envoys",
        remedy="kubectl edit service seldon-mesh",
    ),
    "mesh-by-hand": Fault(
        prepare=lambda ground: ground["Service/seldon-mesh"]["spec"].pop("selector"),
        check="mesh",
        says="it has no selector: its endpoints are made by hand",
        remedy="kubectl get service seldon-mesh",
    ),
    "mesh-elsewhere": Fault(
        prepare=_added(_external("seldon-mesh.x")),
        check="mesh",
        says="it is an ExternalName of seldon-mesh.x: the step leave leads it to Bailie's Envoys here",
        remedy="have such callers ask seldon-mesh.",
        blocks=False,
    ),
    "mesh-outside": Fault(
        prepare=_added(_external("mesh.example.com")),
        check="mesh",
        says="it is an ExternalName of mesh.example.com, which is no seldon-mesh.NAMESPACE",
        remedy="kubectl get service seldon-mesh",
    ),
    "server-as-deployment": Fault(
        prepare=_added(plain("apps/v1", "Deployment", "mlserver", spec=_ANY_PODS)),
        check="deployment",
        says="Seldon Core runs the Server as a Deployment",
        remedy="set useDeploymentsForServers=false",
    ),
    "mesh-missing": Fault(
        prepare=lambda ground: ground.drop("Service/seldon-mesh"),
        check="mesh",
        says="there is no Service seldon-mesh: callers ask elsewhere",
        remedy="lead callers to seldon-mesh.",
        blocks=False,
    ),
    "redirect-outside": Fault(
        ground=lambda name: SeldonGround(name, scheduler="scheduler.example.com"),
        prepare=lambda _: None,
        check="redirect",
        says="it leads to scheduler.example.com, which is no seldon-scheduler.NAMESPACE",
        remedy="kubectl get service seldon-scheduler",
    ),
    "redirect-nowhere": Fault(
        ground=lambda name: SeldonGround(name, scheduler="seldon-scheduler.gone.svc"),
        prepare=lambda _: None,
        check="redirect",
        says="and there is no namespace gone",
        remedy="kubectl get service seldon-scheduler",
    ),
    "name-taken": Fault(
        prepare=_added(mesh_service() | {"metadata": {"name": "seldon-mesh-before"}}),
        check="name-taken",
        says="a Service of this name leads to the mesh that is left",
        remedy="kubectl delete service seldon-mesh-before",
    ),
    "record-damaged": Fault(
        prepare=_record("{"),
        check="record",
        says="is no record of a move that can be read: Input data was truncated",
        remedy="apply with --from-what-is-there",
    ),
    "record-begun": Fault(
        prepare=_begun,
        check="record",
        says="ada began it at 2026-01-01T00:00:00Z, its last step is scheduler",
        remedy="bailie migrate rollback",
        blocks=False,
    ),
    "terminating": Fault(
        prepare=_ending,
        check="namespace",
        says="the namespace is being deleted",
        remedy="kubectl get namespace",
    ),
    "nothing": Fault(
        ground=Ground,
        prepare=lambda _: None,
        check="namespace",
        says="neither Bailie nor Seldon Core serves the namespace",
        remedy="bailie migrate plan -A",
    ),
    "dry-run": Fault(
        prepare=_added(_OTHER_BINDING),
        check="dry-run",
        says="the API server would refuse this write of the move",
        remedy="mend the cause that the API server names",
    ),
    "foreign-list": Fault(
        prepare=lambda _: None,
        check="foreign-operator",
        says="Seldon Core's operator in seldon-old serves the whole cluster",
        remedy="kubectl scale deployment seldon-v2-controller-manager --replicas 0 --namespace seldon-old",
        blocks=False,
    ),
    "foreign-beside-bailie": Fault(
        ground=BailieGround,
        prepare=lambda _: None,
        check="foreign-operator",
        says="as Bailie's does",
        remedy="kubectl scale deployment seldon-v2-controller-manager --replicas 0 --namespace seldon-old",
    ),
    "second-claim": Fault(
        ground=lambda name: BailieGround(name, owner="other/two"),
        prepare=lambda _: None,
        check="claim",
        says=f"the namespace is claimed by other/two, and the operator in {HOME} has it in its list, too",
        remedy=f"--operator-namespace {HOME}",
    ),
    "no-central-runtime": Fault(
        ground=BailieGround,
        prepare=_no_consent,
        check="central",
        says="the central namespace seldon-old has no SeldonRuntime",
        remedy="kubectl get seldonruntimes --namespace seldon-old",
    ),
    "no-consent": Fault(
        ground=BailieGround,
        prepare=lambda _: None,
        check="central",
        says="its servesNamespaces does not name",
        remedy="kubectl edit seldonruntime seldon --namespace mesh",
        blocks=False,
    ),
    "disconnected": Fault(
        ground=BailieGround,
        prepare=lambda _: None,
        check="agents",
        says="0 of 1 agents are connected to the central scheduler",
        remedy="kubectl logs",
    ),
}

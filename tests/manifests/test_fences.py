"""Nothing that reaches beyond a namespace gets through, wherever it is written; nothing else is held up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.anyjson import changed
from tests.support.charts import render
from tests.support.manifests import (
    default_seldon_config,
    default_server_config,
    manifest_of,
    parsed,
    runtime,
    server,
)

from bailie.api.seldon_config import SeldonConfig
from bailie.api.seldon_runtime import SeldonRuntime
from bailie.api.server import Server
from bailie.api.server_config import ServerConfig
from bailie.manifests.checks import template_problems
from bailie.manifests.cluster import companions, pod_controller
from bailie.manifests.defaults import mlserver_config, seldon_config
from bailie.manifests.fences import PERMISSIONS, Fence, forbidden
from bailie.manifests.runtime import component_origin, runtime_workloads
from bailie.manifests.server import server_origin, server_workload
from bailie.workloads.replicas import pod_manifest

STRICT = Fence()


def container(name="mlserver", **fields):
    return {"containers": [{"name": name, **fields}]}


def context(**fields):
    return container(securityContext=fields)


def mounted(volume, name="mlserver"):
    mount = {"name": "stolen", "mountPath": "/stolen"}
    return {"volumes": [{"name": "stolen", **volume}], **container(name, volumeMounts=[mount])}


TOKEN = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
SECRET = "seldon-control-plane"
CONTROL_PLANE = {"secret": {"secretName": SECRET}}
IN = 'podSpec.containers["mlserver"].'
DEMANDS = {
    "network": ({"hostNetwork": True}, "host", "podSpec.hostNetwork"),
    "processes": ({"hostPID": True}, "host", "podSpec.hostPID"),
    "shared memory": ({"hostIPC": True}, "host", "podSpec.hostIPC"),
    "machine": ({"nodeName": "master"}, "host", "podSpec.nodeName"),
    "priority": ({"priorityClassName": "system-node-critical"}, "host", "podSpec.priorityClassName"),
    "port": (container(ports=[{"containerPort": 1, "hostPort": 80}]), "host", f"{IN}ports"),
    "probe of metadata": (
        container(livenessProbe={"httpGet": {"host": "169.254.169.254", "port": 80}}),
        "host", f"{IN}livenessProbe.httpGet.host",
    ),
    "probe of the machine": (
        container(startupProbe={"tcpSocket": {"host": "127.0.0.1", "port": 10250}}),
        "host", f"{IN}startupProbe.tcpSocket.host",
    ),
    "hook to elsewhere": (
        container(lifecycle={"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}),
        "host", f"{IN}lifecycle.preStop.httpGet.host",
    ),
    "processes of Windows": (
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        "host", "podSpec.securityContext.windowsOptions.hostProcess",
    ),
    "folder": ({"volumes": [{"name": "v", "hostPath": {}}]}, "volumes", 'podSpec.volumes["v"].hostPath'),
    "nfs": ({"volumes": [{"name": "v", "nfs": {"server": "s"}}]}, "volumes", 'podSpec.volumes["v"].nfs'),
    "iscsi": ({"volumes": [{"name": "v", "iscsi": {}}]}, "volumes", 'podSpec.volumes["v"].iscsi'),
    "flex": ({"volumes": [{"name": "v", "flexVolume": {}}]}, "volumes", 'podSpec.volumes["v"].flexVolume'),
    "git": ({"volumes": [{"name": "v", "gitRepo": {}}]}, "volumes", 'podSpec.volumes["v"].gitRepo'),
    "tomorrow's": ({"volumes": [{"name": "v", "hostNew": {}}]}, "volumes", 'podSpec.volumes["v"].hostNew'),
    "privileged": (context(privileged=True), "privileged", f"{IN}securityContext.privileged"),
    "escalation": (
        context(allowPrivilegeEscalation=True), "privileged", f"{IN}securityContext.allowPrivilegeEscalation",
    ),
    "capability": (
        context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
        "privileged", f"{IN}securityContext.capabilities.add",
    ),
    "proc": (context(procMount="Unmasked"), "privileged", f"{IN}securityContext.procMount"),
    "seccomp": (
        context(seccompProfile={"type": "Unconfined"}), "privileged", f"{IN}securityContext.seccompProfile",
    ),
    "apparmor": (
        {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
        "privileged", "podSpec.securityContext.appArmorProfile",
    ),
    "selinux": (
        context(seLinuxOptions={"type": "spc_t"}), "privileged", f"{IN}securityContext.seLinuxOptions",
    ),
    "sysctl": (
        {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
        "privileged", "podSpec.securityContext.sysctls",
    ),
    "root": (context(runAsUser=0), "root", f"{IN}securityContext.runAsUser"),
    "root of the pod": ({"securityContext": {"runAsUser": 0}}, "root", "podSpec.securityContext.runAsUser"),
    "leave to be root": (context(runAsNonRoot=False), "root", f"{IN}securityContext.runAsNonRoot"),
    "an init container": (
        {"initContainers": [{"name": "i", "image": "i", "securityContext": {"privileged": True}}]},
        "privileged", 'podSpec.initContainers["i"].securityContext.privileged',
    ),
    "automount": ({"automountServiceAccountToken": True}, "tokens", "podSpec.automountServiceAccountToken"),
    "processes of the agent": ({"shareProcessNamespace": True}, "tokens", "podSpec.shareProcessNamespace"),
    "token for the server": (mounted(TOKEN), "tokens", f"{IN}volumeMounts"),
    "control plane's token for the server": (mounted(CONTROL_PLANE), "tokens", f"{IN}volumeMounts"),
    "control plane's token in a projection": (
        mounted({"projected": {"sources": [{"secret": {"name": "seldon-control-plane"}}]}}),
        "tokens", f"{IN}volumeMounts",
    ),
    "the agent's volume": (
        container(volumeMounts=[{"name": "token", "mountPath": "/t"}]), "tokens", f"{IN}volumeMounts",
    ),
    "control plane's token as a variable": (
        container(env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "token"}}}]),
        "tokens", f"{IN}env",
    ),
    "control plane's token as variables": (
        container(envFrom=[{"secretRef": {"name": SECRET}}]), "tokens", f"{IN}envFrom",
    ),
    "token for a container that only has the name of one of Bailie's": (
        {"containers": [{"name": "envoy", "image": "i", "envFrom": [{"secretRef": {"name": SECRET}}]}]},
        "tokens", 'podSpec.containers["envoy"].envFrom',
    ),
    "token for a sidecar": (
        {"containers": [{"name": "s", "image": "i", "envFrom": [{"secretRef": {"name": SECRET}}]}]},
        "tokens", 'podSpec.containers["s"].envFrom',
    ),
    "account": ({"serviceAccountName": "admin"}, "", "podSpec.serviceAccountName"),
    "account by its old name": ({"serviceAccount": "admin"}, "", "podSpec.serviceAccount"),
    "another's account": ({"serviceAccountName": "seldon-scheduler"}, "", "podSpec.serviceAccountName"),
    "account of nobody": ({"serviceAccountName": "default"}, "", "podSpec.serviceAccountName"),
}  # fmt: skip
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "models"}}
USUAL = {
    "nothing": {},
    "a claim and a mount": {
        "volumes": [CLAIM],
        **container(volumeMounts=[{"name": "data", "mountPath": "/mnt/models", "readOnly": True}]),
    },
    "an rclone container": {
        "containers": [{"name": "rclone", "image": "r", "ports": [{"name": "rclone", "containerPort": 5572}]}]
    },
    "accelerators": {
        **container(resources={"limits": {"nvidia.com/gpu": 1}}),
        "nodeSelector": {"gpu": "yes"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "runtimeClassName": "nvidia",
        "affinity": {"nodeAffinity": {}},
    },
    "secrets of the namespace": {
        **container(
            envFrom=[{"secretRef": {"name": "s3"}}],
            env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "k"}}}],
        ),
        "volumes": [{"name": "s", "secret": {"secretName": "s3"}}],
        "imagePullSecrets": [{"name": "pull"}],
    },
    "volumes of all kinds": {
        "volumes": [
            {"name": "a", "emptyDir": {"medium": "Memory"}},
            {"name": "b", "csi": {"driver": "secrets-store.csi.k8s.io"}},
            {"name": "c", "ephemeral": {"volumeClaimTemplate": {}}},
            {"name": "d", "downwardAPI": {}},
            {"name": "e", "image": {"reference": "models:1"}},
            {"name": "f", "projected": {"sources": [{"configMap": {"name": "x"}}]}},
            {"name": "g", "configMap": {"name": "x"}},
        ]
    },
    "stricter than the defaults": {
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 1001, "fsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [{"name": "net.ipv4.tcp_keepalive_time", "value": "60"}],
        },
        "automountServiceAccountToken": False,
        "hostUsers": False,
        **context(
            privileged=False, capabilities={"add": ["NET_BIND_SERVICE"]}, procMount="Default",
            seLinuxOptions={"level": "s0:c1,c2"}, appArmorProfile={"type": "RuntimeDefault"},
        ),
    },
    "a name": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}], "priorityClassName": "high"},
    "probes of the pod": container(livenessProbe={"httpGet": {"path": "/", "port": "server-http"}}),
    "a token for the agent": mounted(TOKEN, "agent"),
    "the account's own name": {"serviceAccountName": "seldon-server", "serviceAccount": "seldon-server"},
}  # fmt: skip


def _refused(pod, fence=STRICT, config=None):
    asked, config = server(podSpec=pod), config or default_server_config()
    workload = server_workload(asked, config)
    return forbidden(workload, fence, server_origin(config))


@pytest.mark.parametrize(("pod", "permission", "path"), DEMANDS.values(), ids=DEMANDS)
def test_what_reaches_beyond_is_refused_with_field_place_and_setting(pod, permission, path):
    text = _refused(pod)
    assert text.startswith(f"{path} (written in spec.podSpec) asks for ")
    setting = (
        f"controller.podPermissions.allow={{{permission}}}"
        if permission
        else "podPermissions.serviceAccounts"
    )
    assert setting in text
    config = parsed(
        ServerConfig,
        manifest_of("ServerConfig", "own", {"podSpec": {**default_server_config().spec.pod_spec, **pod}}),
    )
    assert '(written in ServerConfig "own" of namespace a)' in _refused({}, config=config)


@pytest.mark.parametrize(("pod", "permission", "path"), DEMANDS.values(), ids=DEMANDS)
def test_each_permission_allows_its_own_and_nothing_else(pod, permission, path):
    accounts = frozenset({"admin", "seldon-scheduler", "default"})
    fence = Fence(frozenset({permission})) if permission else Fence(accounts=accounts)
    assert _refused(pod, fence) == ""
    others = Fence(frozenset(PERMISSIONS) - {permission}, accounts if permission else frozenset())
    assert path in _refused(pod, others)


@pytest.mark.parametrize("pod", USUAL.values(), ids=USUAL)
def test_what_stays_within_passes(pod):
    assert _refused(pod) == ""


@given(
    usual=st.sampled_from(list(USUAL.values())), demand=st.sampled_from([pod for pod, *_ in DEMANDS.values()])
)
def test_nothing_hides_a_demand(usual, demand):
    """What only base and override together ask for, in either order, is seen all the same."""
    base = default_server_config().spec.pod_spec
    for first, second in ((usual, demand), (demand, usual)):
        both = {**first, **{key: value for key, value in second.items() if key not in first}}
        spec = {
            **base,
            **{key: value for key, value in first.items() if key not in {"containers", "volumes"}},
        }
        config = parsed(ServerConfig, manifest_of("ServerConfig", "own", {"podSpec": spec}))
        if all(both.get(key) == value for key, value in demand.items()):
            assert _refused(both, config=config)


def test_the_secret_of_the_token_may_have_another_name():
    pod = mounted({"secret": {"secretName": "mine"}})
    assert _refused(pod) == ""
    assert f"{IN}volumeMounts" in _refused(pod, Fence(token_secret="mine"))


def test_an_annotation_is_a_field_too():
    annotation = {"container.apparmor.security.beta.kubernetes.io/mlserver": "unconfined"}
    asked = server_workload(server(), default_server_config())
    template = {**asked.template, "metadata": {**asked.template["metadata"], "annotations": annotation}}
    text = forbidden(replace(asked, template=template), STRICT, server_origin(default_server_config()))
    assert text.startswith(f'metadata.annotations["{next(iter(annotation))}"] asks for no AppArmor profile')


def test_pods_without_an_account_get_that_of_their_component():
    pod = {
        key: value
        for key, value in default_server_config().spec.pod_spec.items()
        if key != "serviceAccountName"
    }
    config = parsed(ServerConfig, manifest_of("ServerConfig", "own", {"podSpec": pod}))
    workload = server_workload(server(), config)
    assert workload.template["spec"]["serviceAccountName"] == "seldon-server"


def test_what_bailie_ships_stays_within():
    setup = render("setup").manifests
    configs = [default_server_config()]
    configs += [parsed(ServerConfig, _stored(each)) for each in setup if each["kind"] == "ServerConfig"]
    assert len(configs) == 4
    assert [_refused({}, config=config) for config in configs] == ["", "", "", ""]
    made = [parsed(SeldonConfig, _stored(each)) for each in setup if each["kind"] == "SeldonConfig"]
    for config in (default_seldon_config(), *made):
        for each in runtime_workloads(runtime(), config):
            assert forbidden(each, STRICT, component_origin(config, each.name)) == ""


def _stored(manifest):
    return {**manifest, "metadata": {**manifest["metadata"], "uid": "u"}}


SERVER_SPEC = {"serverConfig": "mlserver", "podSpec": {**mounted(CONTROL_PLANE), **context(runAsUser=0)}}
CONFIG_SPEC = mlserver_config("a", image="i", server_image="s")["spec"]
RUNTIME_SPEC = {
    "seldonConfig": "default",
    "overrides": [{"name": "seldon-envoy", "podSpec": mounted(TOKEN, "envoy")}],
}


@given(asked=changed(SERVER_SPEC), config=changed(CONFIG_SPEC))
def test_whatever_a_server_says_pods_are_made_or_refused(asked, config):
    wanted, _ = Server.parse(manifest_of("Server", "x", asked))
    using, _ = ServerConfig.parse(manifest_of("ServerConfig", "mlserver", config))
    if wanted is not None and using is not None:
        workload = server_workload(wanted, using)
        _follow(workload, server_origin(using))


@given(asked=changed(RUNTIME_SPEC), config=changed(seldon_config("a", image="i")["spec"]))
def test_whatever_a_runtime_says_pods_are_made_or_refused(asked, config):
    wanted, _ = SeldonRuntime.parse(manifest_of("SeldonRuntime", "x", asked))
    using, _ = SeldonConfig.parse(manifest_of("SeldonConfig", "default", config))
    if wanted is not None and using is not None:
        for workload in runtime_workloads(wanted, using, serves=("b",)):
            _follow(workload, component_origin(using, workload.name))


def _follow(workload, origin):
    """As the operator goes on with it, on a cluster and on a laptop."""
    if template_problems(workload) or forbidden(workload, STRICT, origin):
        return
    pod_controller(workload)
    companions(workload)
    if workload.template:
        pod_manifest(workload, workload.template, "hash", 0)

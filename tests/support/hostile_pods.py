"""Pods that mean to reach what is not theirs, or to break what reads them, and the field to blame."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]


def _container(**more: Any) -> Spec:
    return {"name": "c", "image": "i", "command": ["true"], **more}


def _volume(field: str, **volume: Any) -> tuple[Spec, str]:
    volume = {"name": "v", **volume}
    return {"volumes": [volume], "containers": [_container()]}, f"spec.volumes[0]{field}"


def _mounted(field: str, **mount: Any) -> tuple[Spec, str]:
    mount = {"name": "v", "mountPath": "/m", **mount}
    volumes = [{"name": "v", "emptyDir": {}}]
    spec = {"volumes": volumes, "containers": [_container(volumeMounts=[mount])]}
    return spec, f"spec.containers[0].volumeMounts[0]{field}"


def _in_container(field: str, **more: Any) -> tuple[Spec, str]:
    return {"containers": [_container(**more)]}, f"spec.containers[0]{field}"


def _item(path: str, key: str = "k") -> Spec:
    return {"items": [{"key": key, "path": path}]}


def _probe(field: str, **probe: Any) -> tuple[Spec, str]:
    return _in_container(f".readinessProbe{field}", readinessProbe=probe)


_FILE = ".configMap.items[0].path"
_PART = ".projected.sources[0]"
HOSTILE: dict[str, tuple[Spec, str]] = {
    # names of volumes
    "volume above": _volume(".name", name="../../../../../PWNVOL", emptyDir={}),
    "volume absolute": _volume(".name", name="/tmp/PWNVOL", emptyDir={}),
    "volume below": _volume(".name", name="a/b", emptyDir={}),
    "volume dots": _volume(".name", name="..", emptyDir={}),
    "volume dot": _volume(".name", name=".", emptyDir={}),
    "volume null": _volume(".name", name="a\0b", emptyDir={}),
    "volume line": _volume(".name", name="a\nb", emptyDir={}),
    "volume upper": _volume(".name", name="A", emptyDir={}),
    "volume long": _volume(".name", name="a" * 64, emptyDir={}),
    "volume unicode": _volume(".name", name="ä", emptyDir={}),
    "volume empty name": _volume(".name", name="", emptyDir={}),
    "volume of two kinds": _volume(".hostPath", emptyDir={}, hostPath={"path": "/"}),
    # claims
    "claim of a neighbour": _volume(
        ".persistentVolumeClaim.claimName", persistentVolumeClaim={"claimName": "../b/x"}
    ),
    "claim absolute": _volume(
        ".persistentVolumeClaim.claimName", persistentVolumeClaim={"claimName": "/etc"}
    ),
    "claim below": _volume(".persistentVolumeClaim.claimName", persistentVolumeClaim={"claimName": "x/y"}),
    "claim dots": _volume(".persistentVolumeClaim.claimName", persistentVolumeClaim={"claimName": ".."}),
    "claim null": _volume(".persistentVolumeClaim.claimName", persistentVolumeClaim={"claimName": "x\0"}),
    "claim without name": _volume(".persistentVolumeClaim.claimName", persistentVolumeClaim={}),
    # files of ConfigMaps and Secrets
    "file above": _volume(_FILE, configMap={"name": "m", **_item("../../../../../../PWN")}),
    "file above in the middle": _volume(_FILE, configMap={"name": "m", **_item("a/../../PWN")}),
    "file absolute": _volume(_FILE, configMap={"name": "m", **_item("/tmp/PWN")}),
    "file dots": _volume(_FILE, configMap={"name": "m", **_item("..")}),
    "file hidden as kubelet's": _volume(_FILE, configMap={"name": "m", **_item("..data")}),
    "file null": _volume(_FILE, configMap={"name": "m", **_item("a\0b")}),
    "file empty": _volume(_FILE, configMap={"name": "m", **_item("")}),
    "file without key": _volume(".configMap.items[0].key", configMap={"name": "m", **_item("a", key="")}),
    "secret's file above": _volume(".secret.items[0].path", secret={"secretName": "s", **_item("../PWN")}),
    "secret by another path": _volume(".secret.secretName", secret={"secretName": "../../b/secrets/s"}),
    "secret by a query": _volume(".secret.secretName", secret={"secretName": "s?watch=true"}),
    "secret without name": _volume(".secret.secretName", secret={}),
    "map by another path": _volume(".configMap.name", configMap={"name": "../secrets/s"}),
    "projected file above": _volume(
        f"{_PART}.configMap.items[0].path",
        projected={"sources": [{"configMap": {"name": "m", **_item("../P")}}]},
    ),
    "projected secret above": _volume(
        f"{_PART}.secret.items[0].path", projected={"sources": [{"secret": {"name": "s", **_item("/P")}}]}
    ),
    "token's file above": _volume(
        f"{_PART}.serviceAccountToken.path",
        projected={"sources": [{"serviceAccountToken": {"path": "../P"}}]},
    ),
    "downward file above": _volume(".downwardAPI.items[0].path", downwardAPI={"items": [{"path": "../P"}]}),
    "projected downward absolute": _volume(
        f"{_PART}.downwardAPI.items[0].path",
        projected={"sources": [{"downwardAPI": {"items": [{"path": "/P"}]}}]},
    ),
    "downward field of no name": _volume(
        ".downwardAPI.items[0].fieldRef.fieldPath", downwardAPI={"items": [{"path": "p", "fieldRef": {}}]}
    ),
    # folders of the machine
    "host path with steps back": _volume(".hostPath.path", hostPath={"path": "/srv/../etc"}),
    "host path relative": _volume(".hostPath.path", hostPath={"path": "etc"}),
    "host path null": _volume(".hostPath.path", hostPath={"path": "/a\0"}),
    "host path empty": _volume(".hostPath.path", hostPath={}),
    # mounts
    "part above": _mounted(".subPath", subPath="../../x"),
    "part absolute": _mounted(".subPath", subPath="/etc"),
    "part above in the middle": _mounted(".subPath", subPath="a/../../b"),
    "part null": _mounted(".subPath", subPath="a\0"),
    "part by expression above": _mounted(".subPathExpr", subPathExpr="../$(X)"),
    "part by expression absolute": _mounted(".subPathExpr", subPathExpr="/$(X)"),
    "part twice": _mounted(".subPathExpr", subPath="a", subPathExpr="b"),
    "mount of no volume": _mounted(".name", name="w"),
    "mount without name": _mounted(".name", name=""),
    "mount without place": _mounted(".mountPath", mountPath=""),
    # containers
    "container above": _in_container(".name", name="../../x"),
    "container absolute": _in_container(".name", name="/x"),
    "container null": _in_container(".name", name="x\0"),
    "container without name": _in_container(".name", name=""),
    "container without image": _in_container(".image", image=""),
    "container upper": _in_container(".name", name="X"),
    "container twice": ({"containers": [_container(), _container()]}, "spec.containers[1]"),
    "start container of the same name": (
        {"initContainers": [_container()], "containers": [_container()]},
        "spec.containers[0].name",
    ),
    "start container above": (
        {"initContainers": [_container(name="../x")], "containers": [_container()]},
        "spec.initContainers[0].name",
    ),
    "no container": ({"containers": []}, "spec.containers"),
    "variable with =": _in_container(".env[0].name", env=[{"name": "A=B", "value": "x"}]),
    "variable null": _in_container(".env[0].name", env=[{"name": "A\0", "value": "x"}]),
    "variable of no key": _in_container(
        ".env[0].valueFrom.secretKeyRef.key",
        env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
    ),
    "port too high": _in_container(".ports[0].containerPort", ports=[{"containerPort": 65536}]),
    "port below": _in_container(".ports[0].hostPort", ports=[{"containerPort": 1, "hostPort": -1}]),
    # probes
    "probe without port": _probe(".httpGet.port", httpGet={"path": "/"}),
    "probe's port too high": _probe(".tcpSocket.port", tcpSocket={"port": 70000}),
    "probe without pauses": _probe(".periodSeconds", tcpSocket={"port": 1}, periodSeconds=-1),
    "probe with two requests": _probe(
        ".httpGet.path", httpGet={"port": 1, "path": "/ HTTP/1.1\r\n\r\nDELETE /"}
    ),
    "probe with a line in the host": _probe(".httpGet.host", httpGet={"port": 1, "host": "a\nb"}),
    "probe of another scheme": _probe(".httpGet.scheme", httpGet={"port": 1, "scheme": "FILE"}),
    "probe with a smuggled header": _probe(
        ".httpGet.httpHeaders[0].value",
        httpGet={"port": 1, "httpHeaders": [{"name": "a", "value": "b\r\nc: d"}]},
    ),
    "probe with a header of no name": _probe(
        ".httpGet.httpHeaders[0].name", httpGet={"port": 1, "httpHeaders": [{"name": "a: b", "value": ""}]}
    ),
    # the pod
    "account by another path": (
        {"serviceAccountName": "../../b/serviceaccounts/x", "containers": [_container()]},
        "spec.serviceAccountName",
    ),
    "grace below zero": (
        {"terminationGracePeriodSeconds": -1, "containers": [_container()]},
        "spec.terminationGracePeriodSeconds",
    ),
    "image pulled as nobody does": (
        {"containers": [_container(imagePullPolicy="Sometimes")]},
        "spec.containers[0].imagePullPolicy",
    ),
    "port of no protocol": (
        {"containers": [_container(ports=[{"containerPort": 1, "protocol": "tcp"}])]},
        "spec.containers[0].ports[0].protocol",
    ),
    "names looked up as nobody does": (
        {"dnsPolicy": "Sometimes", "containers": [_container()]},
        "spec.dnsPolicy",
    ),
    "restarts as nobody does": (
        {"restartPolicy": "Sometimes", "containers": [_container()]},
        "spec.restartPolicy",
    ),
}
"""By name: the spec, and the beginning of the path of the field that is wrong."""

MISSHAPEN: dict[str, Spec] = {
    "container of no shape": {"containers": ["x"]},
    "containers of no shape": {"containers": "x"},
    "name of no shape": {"containers": [_container(name=["x"])]},
    "volume of no shape": {"volumes": ["x"], "containers": [_container()]},
    "secret of no shape": {"volumes": [{"name": "v", "secret": "x"}], "containers": [_container()]},
    "item of no shape": {
        "volumes": [{"name": "v", "configMap": {"name": "m", "items": ["x"]}}],
        "containers": [_container()],
    },
    "sources of no shape": {
        "volumes": [{"name": "v", "projected": {"sources": {}}}],
        "containers": [_container()],
    },
    "downward field of no shape": {
        "volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "p", "fieldRef": "x"}]}}],
        "containers": [_container()],
    },
    "mount of no shape": {"containers": [_container(volumeMounts=[1])]},
    "variable of no shape": {"containers": [_container(env=[["x"]])]},
    "reference of no shape": {
        "containers": [_container(env=[{"name": "a", "valueFrom": {"secretKeyRef": "x"}}])]
    },
    "source of no shape": {"containers": [_container(envFrom=[{"secretRef": ["x"]}])]},
    "probe of no shape": {"containers": [_container(livenessProbe={"httpGet": "x"})]},
    "pause of no shape": {
        "containers": [_container(livenessProbe={"httpGet": {"port": 1}, "periodSeconds": "x"})]
    },
    "hook of no shape": {"containers": [_container(lifecycle={"preStop": {"httpGet": {"port": {}}}})]},
    "command of no shape": {"containers": [_container(command=[{}])]},
    "port of no shape": {"containers": [_container(ports=[{"containerPort": "x"}])]},
}
"""Specs with a value of a type that the field does not have."""

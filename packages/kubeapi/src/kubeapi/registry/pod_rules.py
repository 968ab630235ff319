"""The rules of a pod's spec: names, volumes, mounts, variables and probes that lead nowhere else.

Called for Pods and for the templates of workloads when they are written, and by the node, which relies on no
check but its own, before it starts a pod. Pure; the types have been checked by the schema. After
k8s.io/kubernetes `pkg/apis/core/validation`, with its field paths and words, for the fields that the node
uses; where Kubernetes leaves a name to the later search for an object, the name is checked here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kubeapi import causes
from kubeapi.registry import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kubeapi.causes import Cause

_GROUPS = ("initContainers", "containers")
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_PATHS = re.compile(r"[^\x00-\x20\x7f]*")
_HEADER_NAME = re.compile(r"[-A-Za-z0-9]+")
_VARIABLE = re.compile(r"[ -<>-~]+")
_POD_WORDS = {
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "dnsPolicy": ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
}
_CONTAINER_WORDS = {
    "imagePullPolicy": ("Always", "IfNotPresent", "Never"),
    "terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
}
_PORT_WORDS = {"protocol": ("SCTP", "TCP", "UDP")}
_PORT_RANGE = "must be between 1 and 65535, inclusive"
_PORT_NAME = names.Rule(
    r"(?!.*--)(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    15,
    "must contain at least one letter (a-z), and otherwise only lower case alphanumeric characters and "
    "single '-' between them",
)


def spec_causes(spec: Mapping[str, Any], path: str, claimed: frozenset[str] = frozenset()) -> Iterator[Cause]:
    """Yields the mistakes in a pod's spec; `claimed` are the volumes that a StatefulSet adds."""
    if not spec.get("containers"):
        yield causes.required(f"{path}.containers")
    for field, rule in (("serviceAccountName", names.SUBDOMAIN), ("hostname", names.LABEL)):
        yield from _name(spec.get(field), f"{path}.{field}", rule)
    yield from _words(spec, path, _POD_WORDS)
    if (grace := spec.get("terminationGracePeriodSeconds", 0)) < 0:
        yield _negative(f"{path}.terminationGracePeriodSeconds", grace)
    volumes: set[str] = set()
    for number, volume in enumerate(spec.get("volumes") or ()):
        yield from _volume(volume, f"{path}.volumes[{number}]", volumes)
    seen: set[str] = set()
    for group in _GROUPS:
        for number, container in enumerate(spec.get(group) or ()):
            yield from _container(container, f"{path}.{group}[{number}]", volumes | claimed, seen)


def key_causes(content: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Yields the mistakes in the keys of a ConfigMap or Secret, which become names of files."""
    for key in content:
        if broken := names.CONFIG_KEY.broken_by(key) or names.backstep(key):
            yield causes.invalid(f"{path}[{key}]", key, broken)


def _name(value: str | None, path: str, rule: names.Rule) -> Iterator[Cause]:
    if value and (broken := rule.broken_by(value)):
        yield causes.invalid(path, value, broken)


def _words(owner: Mapping[str, Any], path: str, known: Mapping[str, Sequence[str]]) -> Iterator[Cause]:
    """Yields the fields whose word is none of those that are known; an empty one is the default."""
    for field, words in known.items():
        if (word := owner.get(field) or words[0]) not in words:
            yield causes.not_supported(f"{path}.{field}", word, words)


def _named(owner: Mapping[str, Any], path: str, rule: names.Rule, seen: set[str]) -> Iterator[Cause]:
    name = owner.get("name") or ""
    if not name:
        yield causes.required(f"{path}.name")
    yield from _name(name, f"{path}.name", rule)
    if name and name in seen:
        yield causes.duplicate(f"{path}.name", name)
    seen.add(name)


def _negative(path: str, value: float) -> Cause:
    return causes.invalid(path, value, "must be greater than or equal to 0")


def _volume(volume: Mapping[str, Any], path: str, seen: set[str]) -> Iterator[Cause]:
    yield from _named(volume, path, names.LABEL, seen)
    kinds = sorted(set(volume) - {"name"})
    for kind in kinds[1:]:
        yield causes.forbidden(f"{path}.{kind}", "may not specify more than 1 volume type")
    for kind in kinds:
        if check := _VOLUMES.get(kind):
            yield from check(volume[kind] or {}, f"{path}.{kind}")


def _host_path(source: Mapping[str, Any], path: str) -> Iterator[Cause]:
    place = source.get("path") or ""
    if not place:
        yield causes.required(f"{path}.path")
    elif ".." in place.split("/"):
        yield causes.invalid(f"{path}.path", place, "must not contain '..'")
    elif not place.startswith("/") or "\0" in place:
        yield causes.invalid(f"{path}.path", place, "must be an absolute path")


def _claim(source: Mapping[str, Any], path: str) -> Iterator[Cause]:
    name = source.get("claimName") or ""
    if not name:
        yield causes.required(f"{path}.claimName")
    yield from _name(name, f"{path}.claimName", names.SUBDOMAIN)


def _content(field: str) -> Callable[[Mapping[str, Any], str], Iterator[Cause]]:
    def check(source: Mapping[str, Any], path: str) -> Iterator[Cause]:
        name = source.get(field) or ""
        if not name:
            yield causes.required(f"{path}.{field}")
        yield from _name(name, f"{path}.{field}", names.SUBDOMAIN)
        for number, item in enumerate(source.get("items") or ()):
            where = f"{path}.items[{number}]"
            if not item.get("key"):
                yield causes.required(f"{where}.key")
            yield from _file(item, where)

    return check


def _downward(source: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for number, item in enumerate(source.get("items") or ()):
        where = f"{path}.items[{number}]"
        yield from _file(item, where)
        if "fieldRef" in item and not (item["fieldRef"] or {}).get("fieldPath"):
            yield causes.required(f"{where}.fieldRef.fieldPath")


def _file(item: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Yields the mistakes in the path of a file that is written below a volume."""
    place = item.get("path") or ""
    if not place:
        yield causes.required(f"{path}.path")
    elif broken := names.leads_out(place) or names.backstep(place):
        yield causes.invalid(f"{path}.path", place, broken)


_PROJECTED: dict[str, Callable[[Mapping[str, Any], str], Iterator[Cause]]] = {
    "secret": _content("name"),
    "configMap": _content("name"),
    "downwardAPI": _downward,
    "serviceAccountToken": _file,
}


def _projected(source: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for number, part in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{number}]"
        for kind in sorted(part)[1:]:
            yield causes.forbidden(f"{where}.{kind}", "may not specify more than 1 volume type per source")
        for kind in sorted(part):
            if check := _PROJECTED.get(kind):
                yield from check(part[kind] or {}, f"{where}.{kind}")


_VOLUMES: dict[str, Callable[[Mapping[str, Any], str], Iterator[Cause]]] = {
    "hostPath": _host_path,
    "persistentVolumeClaim": _claim,
    "secret": _content("secretName"),
    "configMap": _content("name"),
    "downwardAPI": _downward,
    "projected": _projected,
}


def _container(container: Mapping[str, Any], path: str, volumes: set[str], seen: set[str]) -> Iterator[Cause]:
    yield from _named(container, path, names.LABEL, seen)
    if not container.get("image"):
        yield causes.required(f"{path}.image")
    yield from _words(container, path, _CONTAINER_WORDS)
    places: set[str] = set()
    for number, mount in enumerate(container.get("volumeMounts") or ()):
        yield from _mount(mount, f"{path}.volumeMounts[{number}]", volumes, places)
    for number, entry in enumerate(container.get("env") or ()):
        yield from _variable(entry, f"{path}.env[{number}]")
    for number, port in enumerate(container.get("ports") or ()):
        yield from _port(port, f"{path}.ports[{number}]")
    for probe in _PROBES:
        yield from _probe(container.get(probe) or {}, f"{path}.{probe}")
    for hook, action in (container.get("lifecycle") or {}).items():
        if isinstance(action, dict):
            yield from _action(action, f"{path}.lifecycle.{hook}")


def _mount(mount: Mapping[str, Any], path: str, volumes: set[str], seen: set[str]) -> Iterator[Cause]:
    name, place = mount.get("name") or "", mount.get("mountPath") or ""
    if not name:
        yield causes.required(f"{path}.name")
    elif name not in volumes:
        yield causes.Cause(f"{path}.name", "FieldValueNotFound", f"Not found: {causes.quoted(name)}")
    if not place:
        yield causes.required(f"{path}.mountPath")
    elif place in seen:
        yield causes.invalid(f"{path}.mountPath", place, "must be unique")
    seen.add(place)
    given = [field for field in ("subPath", "subPathExpr") if mount.get(field)]
    for field in given:
        if broken := names.leads_out(mount[field]):
            yield causes.invalid(f"{path}.{field}", mount[field], broken)
    if len(given) > 1:
        wrong = "subPathExpr and subPath are mutually exclusive"
        yield causes.invalid(f"{path}.subPathExpr", mount["subPathExpr"], wrong)


def _variable(entry: Mapping[str, Any], path: str) -> Iterator[Cause]:
    name = entry.get("name") or ""
    if not name:
        yield causes.required(f"{path}.name")
    elif _VARIABLE.fullmatch(name) is None:
        wrong = (
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
        )
        yield causes.invalid(f"{path}.name", name, wrong)
    source = entry.get("valueFrom") or {}
    if source and entry.get("value"):
        yield causes.invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    for form, fields in _REFERENCES.items():
        if form in source:
            for field in fields:
                if not (source[form] or {}).get(field):
                    yield causes.required(f"{path}.valueFrom.{form}.{field}")


_REFERENCES = {
    "fieldRef": ("fieldPath",),
    "resourceFieldRef": ("resource",),
    "secretKeyRef": ("name", "key"),
    "configMapKeyRef": ("name", "key"),
}


def _port(port: Mapping[str, Any], path: str) -> Iterator[Cause]:
    yield from _name(port.get("name"), f"{path}.name", _PORT_NAME)
    yield from _words(port, path, _PORT_WORDS)
    if not port.get("containerPort"):
        yield causes.required(f"{path}.containerPort")
    for field in ("containerPort", "hostPort"):
        number = port.get(field)
        if number and not 0 < number < 65536:
            yield causes.invalid(f"{path}.{field}", number, _PORT_RANGE)


def _probe(probe: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for field in (
        "initialDelaySeconds",
        "periodSeconds",
        "timeoutSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        if (value := probe.get(field, 0)) < 0:
            yield _negative(f"{path}.{field}", value)
    yield from _action(probe, path)


def _action(action: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for kind in ("httpGet", "tcpSocket", "grpc"):
        if kind in action:
            yield from _asked(action[kind] or {}, f"{path}.{kind}")


def _asked(request: Mapping[str, Any], path: str) -> Iterator[Cause]:
    port = request.get("port")
    if port is None:
        yield causes.required(f"{path}.port")
    elif isinstance(port, int) and not 0 < port < 65536:
        yield causes.invalid(f"{path}.port", port, _PORT_RANGE)
    elif isinstance(port, str) and not port.isascii():
        yield causes.invalid(f"{path}.port", port, _PORT_NAME.sentence)
    for field in ("host", "path"):
        if _PATHS.fullmatch(request.get(field) or "") is None:
            wrong = "must not contain white space or control characters"
            yield causes.invalid(f"{path}.{field}", request[field], wrong)
    if (scheme := request.get("scheme", "HTTP")) not in {"HTTP", "HTTPS"}:
        yield causes.not_supported(f"{path}.scheme", scheme, ("HTTP", "HTTPS"))
    for number, header in enumerate(request.get("httpHeaders") or ()):
        if _HEADER_NAME.fullmatch(name := header.get("name") or "") is None:
            yield causes.invalid(f"{path}.httpHeaders[{number}].name", name, "must be the name of a header")
        if not (value := header.get("value") or "").isprintable():
            yield causes.invalid(f"{path}.httpHeaders[{number}].value", value, "must be printable")

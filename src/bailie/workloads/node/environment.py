"""A container's environment from its manifest: every form of `env` and `envFrom`, and `$(VAR)`.

Called by `pods`; pure. A reference that cannot be resolved is a `ConfigError` value with a sentence for
people.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.manifests.workload import Manifest

_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z0-9]+)\)")
_KEYED_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True, slots=True)
class ConfigError:
    """Why a container cannot be started as its manifest says; `message` is a sentence for people."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where values come from besides the manifest. A name that is absent does not exist in the API."""

    ip: str
    host_ip: str = "127.0.0.1"
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    """Of the pod's account; empty where no container gets one."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces `$(NAME)`; unknown names stay as they are and `$$` is a dollar, as in Kubernetes."""

    def value(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return variables.get(match.group(1), match.group(0))

    return _REFERENCE.sub(value, text)


def environment(pod: Manifest, container: Manifest, sources: Sources) -> dict[str, str] | ConfigError:
    """Returns the variables of one container in the order of its manifest; `envFrom` first, as in
    Kubernetes."""
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        several = _from_source(source, sources)
        if isinstance(several, ConfigError):
            return several
        result.update(several)
    for entry in container.get("env") or []:
        origin = entry.get("valueFrom")
        value = _value(pod, container, origin, sources) if origin else expand(entry.get("value", ""), result)
        if isinstance(value, ConfigError):
            return ConfigError(f"environment variable {entry['name']}: {value.message}")
        if value is not None:
            result[entry["name"]] = value
    return result


def _from_source(source: Manifest, sources: Sources) -> dict[str, str] | ConfigError:
    for key, kind, table in (
        ("secretRef", "Secret", sources.secrets),
        ("configMapRef", "ConfigMap", sources.config_maps),
    ):
        reference = source.get(key)
        if not reference:
            continue
        data = table.get(reference["name"])
        if data is None:
            return {} if reference.get("optional") else ConfigError(_absent(kind, reference["name"]))
        return {f"{source.get('prefix', '')}{name}": value for name, value in data.items()}
    return {}


def _value(
    pod: Manifest, container: Manifest, origin: Manifest, sources: Sources
) -> str | ConfigError | None:
    readers: dict[str, Callable[[Any], str | ConfigError | None]] = {
        "fieldRef": lambda reference: field_value(pod, reference["fieldPath"], sources),
        "resourceFieldRef": lambda reference: _resource(pod, container, reference),
        "secretKeyRef": lambda reference: _key(reference, "Secret", sources.secrets),
        "configMapKeyRef": lambda reference: _key(reference, "ConfigMap", sources.config_maps),
    }
    for form, read in readers.items():
        if form in origin:
            return read(origin[form])
    return ConfigError(f"valueFrom {', '.join(sorted(origin))} is not supported for local processes")


def field_value(pod: Manifest, path: str, sources: Sources) -> str | ConfigError:
    """Returns a field of the pod, as the downward API has it."""
    metadata, spec = pod["metadata"], pod.get("spec", {})
    fields = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": sources.ip,
        "status.podIPs": sources.ip,
        "status.hostIP": sources.host_ip,
    }
    if path in fields:
        return str(fields[path])
    keyed = _KEYED_FIELD.fullmatch(path)
    if keyed:
        return str((metadata.get(keyed.group(1)) or {}).get(keyed.group(2), ""))
    return ConfigError(f"the pod has no field {path}")


def _resource(pod: Manifest, container: Manifest, reference: Manifest) -> str | ConfigError:
    name = reference.get("containerName", container["name"])
    target = next((each for each in pod["spec"]["containers"] if each["name"] == name), None)
    if target is None:
        return ConfigError(f"the pod has no container {name}")
    kind, _, resource = reference["resource"].partition(".")
    resources = target.get("resources") or {}
    amount = (resources.get(kind) or {}).get(resource)
    if amount is None and kind == "requests":  # Kubernetes defaults a request to the limit
        amount = (resources.get("limits") or {}).get(resource)
    try:
        value, divisor = parse_quantity(amount or 0), parse_quantity(reference.get("divisor") or 1)
    except ValueError as error:
        return ConfigError(f"{reference['resource']} of container {name}: {error}")
    return str(math.ceil(value / max(divisor, 1)))


def _key(reference: Manifest, kind: str, table: Mapping[str, Mapping[str, str]]) -> str | ConfigError | None:
    data = table.get(reference["name"])
    value = None if data is None else data.get(reference["key"])
    if value is not None or reference.get("optional"):
        return value
    if data is None:
        return ConfigError(_absent(kind, reference["name"]))
    return ConfigError(f"{kind} {reference['name']} has no key {reference['key']}")


def _absent(kind: str, name: str) -> str:
    return f"{kind} {name} does not exist in the pod's namespace"

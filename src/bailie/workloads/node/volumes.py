"""Volumes of a pod as directories and files of this machine, and the Secrets and ConfigMaps that it names.

Called by the pod's set-up before each start. Contents of Secrets are files of mode 0600 below the pod's own
directory, which goes with the pod; a claim's directory stays.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bailie.api.kinds import CONFIG_MAP, SECRET
from bailie.kube.errors import NotFound
from bailie.manifests.account import ROOT_CA_CONFIG_MAP
from bailie.workloads.node.environment import ConfigError, Sources, field_value
from bailie.workloads.node.files import below, make_directory, write_atomically, write_when_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client
    from bailie.manifests.workload import Manifest
    from bailie.workloads.node.settings import NodeSettings

Named = tuple[str, str]
"""`Secret` or `ConfigMap`, and a name."""


def named(pod: Manifest) -> set[Named]:
    """Returns every Secret and ConfigMap that the pod's volumes and environments name."""
    spec = pod["spec"]
    found = {pair for volume in spec.get("volumes") or [] for pair in _in_volume(volume)}
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        for source in container.get("envFrom") or []:
            found |= _referenced(source, "secretRef", "configMapRef")
        for entry in container.get("env") or []:
            found |= _referenced(entry.get("valueFrom") or {}, "secretKeyRef", "configMapKeyRef")
    return found


def _in_volume(volume: Manifest) -> Iterator[Named]:
    for part in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
        if "secret" in part:
            yield "Secret", part["secret"].get("secretName") or part["secret"]["name"]
        if "configMap" in part:
            yield "ConfigMap", part["configMap"]["name"]


def _referenced(source: Manifest, secret: str, config_map: str) -> set[Named]:
    pairs = (("Secret", source.get(secret)), ("ConfigMap", source.get(config_map)))
    return {(kind, reference["name"]) for kind, reference in pairs if reference}


async def fetch_sources(client: Client, pod: Manifest, ip: str) -> Sources:
    """Reads the objects that `named` lists; an object that does not exist is absent from the result. Raises
    ApiError."""
    secrets: dict[str, Mapping[str, str]] = {}
    config_maps: dict[str, Mapping[str, str]] = {}
    for kind, name in sorted(named(pod)):
        table, resource = (secrets, SECRET) if kind == "Secret" else (config_maps, CONFIG_MAP)
        content = await _content(client, resource, name, pod["metadata"]["namespace"])
        if content is not None:
            table[name] = content
    return Sources(ip=ip, secrets=secrets, config_maps=config_maps)


def with_account(pod: Manifest, sources: Sources, token: str, settings: NodeSettings) -> Sources:
    """Adds the pod's token and the API's certificate, which every namespace of a cluster has. OSError."""
    root = {}
    if ("ConfigMap", ROOT_CA_CONFIG_MAP) in named(pod):
        root[ROOT_CA_CONFIG_MAP] = {"ca.crt": settings.api_ca.read_text()}
    return replace(sources, token=token, config_maps={**root, **sources.config_maps})


async def _content(client: Client, kind: Kind, name: str, namespace: str) -> dict[str, str] | None:
    """Returns the decoded values; bytes that are no UTF-8 survive as surrogates."""
    try:
        found = await client.get(kind, name, namespace)
    except NotFound:
        return None
    encoded = dict((found.get("data") if kind is SECRET else found.get("binaryData")) or {})
    plain = dict((found.get("stringData") if kind is SECRET else found.get("data")) or {})
    decoded = {key: base64.b64decode(text).decode(errors="surrogateescape") for key, text in encoded.items()}
    return {**decoded, **plain}


def realise(
    pod: Manifest, sources: Sources, directory: Path, settings: NodeSettings
) -> dict[str, str] | ConfigError:
    """Makes every volume of the pod; returns host paths by volume name."""
    result = {}
    for volume in pod["spec"].get("volumes") or []:
        path = _host_path(volume, pod, settings)
        if path is None:
            own = below(directory / "volumes", volume["name"])
            path = _written(volume, pod, sources, own) if own else _leads_out(volume["name"])
        if isinstance(path, ConfigError):
            return ConfigError(f"volume {volume['name']}: {path.message}")
        result[volume["name"]] = str(path)
    return result


def _leads_out(name: str) -> ConfigError:
    return ConfigError(f"{name!r} leads out of the pod's own folder")


def _host_path(volume: Manifest, pod: Manifest, settings: NodeSettings) -> Path | ConfigError | None:
    """Returns the machine's directory of a `hostPath` or claim; None for volumes in the pod's own
    directory."""
    if "hostPath" in volume:
        return Path(volume["hostPath"]["path"])
    if "persistentVolumeClaim" in volume:
        claim = volume["persistentVolumeClaim"]["claimName"]
        path = below(settings.claims_dir / pod["metadata"]["namespace"], claim)
        return make_directory(path) if path else ConfigError(f"{claim!r} is no claim of this namespace")
    return None


def _written(volume: Manifest, pod: Manifest, sources: Sources, own: Path) -> Path | ConfigError:
    """Returns a directory of the pod's own, filled with the volume's files."""
    make_directory(own)
    if "emptyDir" in volume:
        return own
    for part in (volume.get("projected") or {}).get("sources") or [volume]:
        problem = _write_part(part, pod, sources, own)
        if problem:
            return problem
    return own


def _write_part(part: Manifest, pod: Manifest, sources: Sources, own: Path) -> ConfigError | None:
    if "serviceAccountToken" in part:
        return _write_token(part["serviceAccountToken"], sources, own)
    if "downwardAPI" in part:
        return _write_fields(part["downwardAPI"], pod, sources, own)
    forms: tuple[tuple[str, str, Mapping[str, Mapping[str, str]], Callable[[Manifest], str]], ...] = (
        ("secret", "Secret", sources.secrets, lambda ref: ref.get("secretName") or ref["name"]),
        ("configMap", "ConfigMap", sources.config_maps, lambda ref: ref["name"]),
    )
    for key, kind, table, name_of in forms:
        if key in part:
            return _write_content(
                part[key], f"{kind} {name_of(part[key])}", table.get(name_of(part[key])), own
            )
    kinds = ", ".join(sorted(set(part) - {"name"})) or "nothing"
    return ConfigError(f"{kinds} is not supported for local processes")


def _write_token(reference: Manifest, sources: Sources, own: Path) -> ConfigError | None:
    """Writes the token that the kubeconfig has, too. A token for another audience than the API is not made
    here."""
    if reference.get("audience"):
        return ConfigError("serviceAccountToken.audience is not supported for local processes")
    path = below(own, reference["path"])
    if path is None:
        return _out_of_volume("serviceAccountToken", reference["path"])
    if sources.token:
        write_when_changed(path, sources.token)
    return None


def _write_fields(reference: Manifest, pod: Manifest, sources: Sources, own: Path) -> ConfigError | None:
    for item in reference.get("items") or []:
        if "fieldRef" not in item:
            return ConfigError("downwardAPI without fieldRef is not supported for local processes")
        value = field_value(pod, item["fieldRef"]["fieldPath"], sources)
        if isinstance(value, ConfigError):
            return value
        path = below(own, item["path"])
        if path is None:
            return _out_of_volume("downwardAPI", item["path"])
        write_when_changed(path, value)
    return None


def _write_content(
    reference: Manifest, title: str, content: Mapping[str, str] | None, own: Path
) -> ConfigError | None:
    make_directory(own)
    if content is None:
        return (
            None
            if reference.get("optional")
            else ConfigError(f"{title} does not exist in the pod's namespace")
        )
    items = reference.get("items") or [{"key": key, "path": key} for key in content]
    for item in items:
        if item["key"] not in content:
            if reference.get("optional"):
                continue
            return ConfigError(f"{title} has no key {item['key']}")
        path = below(own, item["path"])
        if path is None:
            return _out_of_volume(title, item["path"])
        write_atomically(path, content[item["key"]].encode(errors="surrogateescape"))
    return None


def _out_of_volume(title: str, path: str) -> ConfigError:
    return ConfigError(f"{title}: the file {path!r} would be out of the volume")

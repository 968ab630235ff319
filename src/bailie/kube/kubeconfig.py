"""Reads the kubeconfig of a person or a pod. Called by `client`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from bailie.api.names import label_problems
from bailie.api.texts import shown
from bailie.kube import errors, settings
from bailie.kube.lightkube_config import DEFAULT_KUBECONFIG, ConfigError, KubeConfig
from bailie.settings.fields import users_path

if TYPE_CHECKING:
    from pathlib import Path

    from bailie.kube.lightkube_config import SingleConfig


def environment_config() -> SingleConfig:
    """Returns that of KUBECONFIG, else of the pod's service account, else of ~/.kube/config.

    Raises Unconfigured.
    """
    with errors.translated_settings():
        path = settings.kubeconfig_path()
    if path is not None:
        return read_config(path)
    try:
        return _selected(KubeConfig.from_service_account())
    except (ConfigError, KeyError):
        return read_config(DEFAULT_KUBECONFIG)


def read_config(path: Path | str) -> SingleConfig:
    """Returns the current context of a kubeconfig. Raises Unconfigured."""
    with errors.translated_configuration(str(path)):
        content = yaml.safe_load(users_path(str(path)).read_text())
        if not isinstance(content, dict):
            raise ConfigError("it is empty or no mapping")
        found = _selected(KubeConfig.from_dict(content, fname=path))
        _check(found)
        return found


def _check(config: SingleConfig) -> None:
    """Raises ConfigError where requests could not be sent, or would be others than are meant."""
    address = urlsplit(config.cluster.server)
    try:
        usable = address.scheme in {"http", "https"} and address.hostname and address.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise ConfigError(f'the address of its cluster is none: "{shown(config.cluster.server)}"')
    if problems := label_problems("", config.namespace):
        raise ConfigError(f"its context names a namespace that is none: {problems[0].message}")


def _selected(config: KubeConfig) -> SingleConfig:
    """Returns the current context of a kubeconfig. Raises ConfigError."""
    found = config.get()
    if found is None:
        raise ConfigError("it selects no context")
    return found

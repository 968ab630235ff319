"""Reads Secrets of the agent's namespace from the Kubernetes API, only when a Model names one.

Made by `run` and handed to `artifacts`, as the port `remotes.SecretReader`. Errors name the Secret and never
show its content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.agent.errors import ArtifactError
from bailie.agent.remotes import decode_data
from bailie.api import kinds
from bailie.kube.client import Client
from bailie.kube.errors import ApiError, Forbidden, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping


UNREADABLE = "SecretUnreadable"
"""Reason where the API gave no answer about the Secret."""


class KubernetesSecrets:
    """A SecretReader with a client per reading: Secrets are read seldom, and tokens rotate."""

    async def read(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """Returns a Secret's data. Raises ArtifactError."""
        try:
            async with Client.from_environment() as client:
                secret = await client.get(kinds.SECRET, name, namespace)
        except NotFound as error:
            raise ArtifactError(
                "SecretNotFound", f"there is no Secret {name} in namespace {namespace}"
            ) from error
        except Forbidden as error:
            allow = "list it in the charts' security.modelSecrets, or in `bailie rbac --secret`"
            raise ArtifactError(
                "SecretForbidden", f"the agent may not read Secret {name}: {allow} ({error})"
            ) from error
        except ApiError as error:
            raise ArtifactError(UNREADABLE, f"Secret {name} could not be read: {error}") from error
        return decode_data(name, secret.get("data") or {})

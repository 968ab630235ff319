"""The user behind a request, and the user's right to make it.

Called by `app.py` for every request and by the reviews. Tokens are random; the store keeps their SHA-256
only. Rights are evaluated by `rbac.py` over the objects of the moment.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from kubeapi import clock
from kubeapi.access import rbac

if TYPE_CHECKING:
    from kubeapi.storage.store import Change, Store

_RBAC_GROUP = "rbac.authorization.k8s.io"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"


class Tokens:
    """Issues bearer tokens and finds the user behind one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def issue(
        self, user: rbac.User, *, bound: dict[str, str] | None = None, seconds: float | None = None
    ) -> str:
        """Returns a new token for `user`, which ends with the objects whose uids `bound` has."""
        token = secrets.token_urlsafe(32)
        self.register(token, user, bound=bound, seconds=seconds)
        return token

    def register(
        self,
        token: str,
        user: rbac.User,
        *,
        bound: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> None:
        """Makes an existing token known."""
        identity = {
            "name": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": dict(user.extra),
            "bound": bound or {},
        }
        moment = clock.now().timestamp()
        self._store.drop_tokens(moment)
        self._store.put_token(_digest(token), identity, None if seconds is None else moment + seconds)

    def issue_for_account(
        self, account: dict[str, Any], *, pod: dict[str, Any] | None, seconds: float
    ) -> str:
        """Returns a token for a ServiceAccount, bound to the account and, when given, to a Pod."""
        meta = account["metadata"]
        extra, bound = {}, {"account": meta["uid"]}
        if pod is not None:
            bound["pod"] = pod["metadata"]["uid"]
            extra = {_POD_NAME: [pod["metadata"]["name"]], _POD_UID: [pod["metadata"]["uid"]]}
        user = service_account_user(meta["namespace"], meta["name"], uid=meta["uid"], extra=extra)
        return self.issue(user, bound=bound, seconds=seconds)

    def user(self, token: str) -> rbac.User | None:
        """Returns the user of a token; None where it is unknown, expired or bound to a deleted object."""
        found = self._store.token(_digest(token))
        if found is None:
            return None
        identity, expires = found
        if expires is not None and expires <= clock.now().timestamp():
            return None
        if not all(self._store.exists(uid) for uid in identity["bound"].values()):
            return None
        return rbac.User(
            identity["name"], identity["uid"], tuple(identity["groups"]), identity.get("extra") or {}
        )


def service_account_user(
    namespace: str, name: str, *, uid: str = "", extra: dict[str, list[str]] | None = None
) -> rbac.User:
    """Returns the user that stands for a ServiceAccount."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", rbac.AUTHENTICATED)
    return rbac.User(f"system:serviceaccount:{namespace}:{name}", uid, groups, extra or {})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Authoriser:
    """Evaluates rights over the stored RBAC objects, whose index follows each change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._policy: rbac.Policy | None = None
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if self._policy is None or not change.resource.startswith(_RBAC_GROUP):
            return
        if change.type == "DELETED":
            self._policy.remove(change.object)
        else:
            self._policy.put(change.object)

    @property
    def policy(self) -> rbac.Policy:
        """The index of the present RBAC objects."""
        if self._policy is None:
            objects = (
                self._store.objects(f"{_RBAC_GROUP}/{plural}")
                for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
            )
            self._policy = rbac.policy_of(*objects)
        return self._policy

    def allowed(self, user: rbac.User, asked: rbac.Attributes) -> bool:
        """Says whether the user has the right."""
        return rbac.allowed(user, asked, self.policy)

"""Access and identity reviews: objects that are answered, never stored.

Called by `http.handlers` for a create on one of these resources: `kubectl auth can-i`, `kubectl auth whoami`,
and clients that check their rights before they use them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeapi import errors
from kubeapi.access import rbac
from kubeapi.access.rbac import Attributes, User
from kubeapi.causes import required
from kubeapi.kinds import (
    LOCAL_SUBJECT_ACCESS,
    SELF_SUBJECT,
    SELF_SUBJECT_ACCESS,
    SELF_SUBJECT_RULES,
    SUBJECT_ACCESS,
    TOKEN_REVIEW,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeapi.access.auth import Authoriser, Tokens
    from kubeapi.kinds import ApiKind
    from kubeapi.storage.store import Obj


@dataclass(frozen=True, slots=True)
class Reviewer:
    """The parts of the server from which reviews are answered."""

    tokens: Tokens
    authoriser: Authoriser

    def answer(self, kind: ApiKind, user: User, body: Obj) -> Obj:
        """Returns the review with its status filled in."""
        spec = body.get("spec") or {}
        if not isinstance(spec, dict):
            raise errors.bad_request("spec is not an object")
        status = _REVIEWS[kind.plural](self, user, spec)
        metadata = {"creationTimestamp": None, **(body.get("metadata") or {})}
        head = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return head | {"spec": spec, "status": status}

    def _access(self, user: User, spec: Obj, kind: ApiKind) -> Obj:
        asked = _asked(spec)
        if asked is None:
            cause = required(
                "spec.resourceAttributes",
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
            raise errors.invalid(kind, "", [cause])
        return {"allowed": self.authoriser.allowed(user, asked)}

    def self_access(self, user: User, spec: Obj) -> Obj:
        """Returns whether the user has the right that the spec names."""
        return self._access(user, spec, SELF_SUBJECT_ACCESS)

    def access(self, _user: User, spec: Obj) -> Obj:
        """Returns whether the user in the spec has the right that it names."""
        if not spec.get("user") and not spec.get("groups"):
            cause = required("spec.user", "at least one of user or group must be specified")
            raise errors.invalid(SUBJECT_ACCESS, "", [cause])
        other = User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()))
        return self._access(other, spec, SUBJECT_ACCESS)

    def self_rules(self, user: User, spec: Obj) -> Obj:
        """Returns the rules for the user in the spec's namespace."""
        namespace = spec.get("namespace", "")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        resources, paths = [], []
        for rule in rbac.rules_for(user, namespace, self.authoriser.policy):
            if rule.get("nonResourceURLs"):
                paths.append({f: rule[f] for f in ("verbs", "nonResourceURLs") if rule.get(f)})
            else:
                fields = ("verbs", "apiGroups", "resources", "resourceNames")
                resources.append({f: rule[f] for f in fields if rule.get(f)})
        return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}

    def self_subject(self, user: User, _spec: Obj) -> Obj:
        """Returns the user of the request."""
        return {"userInfo": user_info(user)}

    def token(self, _user: User, spec: Obj) -> Obj:
        """Returns the user of the token in the spec."""
        found = self.tokens.user(spec.get("token", ""))
        if found is None:
            return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": user_info(found)}


_REVIEWS: dict[str, Callable[[Reviewer, User, Obj], Obj]] = {
    LOCAL_SUBJECT_ACCESS.plural: Reviewer.access,
    SELF_SUBJECT_ACCESS.plural: Reviewer.self_access,
    SELF_SUBJECT_RULES.plural: Reviewer.self_rules,
    SUBJECT_ACCESS.plural: Reviewer.access,
    SELF_SUBJECT.plural: Reviewer.self_subject,
    TOKEN_REVIEW.plural: Reviewer.token,
}


def user_info(user: User) -> dict[str, Any]:
    """Returns a user as `UserInfo`."""
    info: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = dict(user.extra)
    return info


def _asked(spec: Obj) -> Attributes | None:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None:
        wanted = ("verb", "group", "resource", "subresource", "name", "namespace")
        return Attributes(**{"verb": "", **{f: str(resource[f]) for f in wanted if resource.get(f)}})
    if path is not None:
        return Attributes(verb=path.get("verb", ""), path=path.get("path", "") or "/")
    return None

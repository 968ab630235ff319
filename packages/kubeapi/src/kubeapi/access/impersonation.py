"""`kubectl --as`: acting as another user, for users with that right.

Called by `app.py` after authentication. Headers and rules of
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeapi import errors
from kubeapi.access import rbac
from kubeapi.access.auth import service_account_user
from kubeapi.access.rbac import Attributes, User

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from kubeapi.access.auth import Authoriser

_SERVICE_ACCOUNT = "system:serviceaccount:"


def effective_user(user: User, headers: Headers, authoriser: Authoriser) -> User:
    """Returns the user as which a request acts.

    Raises:
        ApiError: the caller may not impersonate them (403).
    """
    name, groups = headers.get("impersonate-user", ""), headers.getlist("impersonate-group")
    if not name:
        if groups:
            raise errors.bad_request("requested groups without impersonating a user")
        return user
    wanted = _as_named(name)
    _check(user, _asked(name), authoriser)
    for group in groups:
        _check(user, Attributes(verb="impersonate", resource="groups", name=group), authoriser)
    if groups:
        wanted = User(
            name, groups=(*groups, *(() if rbac.AUTHENTICATED in groups else (rbac.AUTHENTICATED,)))
        )
    return wanted


def _as_named(name: str) -> User:
    namespace, _, account = name.removeprefix(_SERVICE_ACCOUNT).partition(":")
    if name.startswith(_SERVICE_ACCOUNT) and account:
        return service_account_user(namespace, account)
    return User(name, groups=(rbac.AUTHENTICATED,))


def _asked(name: str) -> Attributes:
    namespace, _, account = name.removeprefix(_SERVICE_ACCOUNT).partition(":")
    if name.startswith(_SERVICE_ACCOUNT) and account:
        return Attributes(verb="impersonate", resource="serviceaccounts", name=account, namespace=namespace)
    return Attributes(verb="impersonate", resource="users", name=name)


def _check(user: User, asked: Attributes, authoriser: Authoriser) -> None:
    if not authoriser.allowed(user, asked):
        message = f'{asked.resource} "{asked.name}" is forbidden: {rbac.refusal(user, asked)}'
        raise errors.ApiError(403, "Forbidden", message)

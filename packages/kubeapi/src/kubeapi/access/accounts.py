"""The `token` subresource of ServiceAccounts (TokenRequest): a token bound to the account and maybe to a Pod.

Called by `http.handlers` with an authorised request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeapi import causes, clock, errors
from kubeapi.kinds import POD, TOKEN_REQUEST
from kubeapi.storage.store import Key

if TYPE_CHECKING:
    from kubeapi.access.auth import Tokens
    from kubeapi.registry.objects import Objects
    from kubeapi.registry.options import Place
    from kubeapi.storage.store import Obj

_DEFAULT_SECONDS = 3600
_SHORTEST_SECONDS = 600
_LONGEST_SECONDS = 1 << 32


def request_token(objects: Objects, tokens: Tokens, place: Place, body: Obj) -> Obj:
    """Returns the TokenRequest with a new token in its status.

    Raises:
        ApiError: no such account or Pod, or the lifetime is out of range.
    """
    account = objects.read(place)
    spec = {"audiences": [], "expirationSeconds": _DEFAULT_SECONDS, **(body.get("spec") or {})}
    seconds = spec["expirationSeconds"] or _DEFAULT_SECONDS
    _check_seconds(seconds, place.name)
    pod = _bound_pod(objects, place.namespace, spec.get("boundObjectRef"))
    token = tokens.issue_for_account(account, pod=pod, seconds=seconds)
    metadata = {"name": place.name, "namespace": place.namespace, "creationTimestamp": clock.stamp()}
    status = {"token": token, "expirationTimestamp": clock.stamp(clock.after(seconds))}
    head = {"kind": TOKEN_REQUEST.kind, "apiVersion": TOKEN_REQUEST.api_version, "metadata": metadata}
    return head | {"spec": spec, "status": status}


def _check_seconds(seconds: object, name: str) -> None:
    wrong = ""
    if not isinstance(seconds, int) or seconds < _SHORTEST_SECONDS:
        wrong = "may not specify a duration less than 10 minutes"
    elif seconds > _LONGEST_SECONDS:
        wrong = "may not specify a duration larger than 2^32 seconds"
    if wrong:
        cause = causes.invalid("spec.expirationSeconds", seconds, wrong)
        raise errors.invalid(TOKEN_REQUEST, name, [cause])


def _bound_pod(objects: Objects, namespace: str, ref: Obj | None) -> Obj | None:
    if not ref:
        return None
    if ref.get("kind") != "Pod":
        message = (
            f"cannot bind token for serviceaccount to object of kind {ref.get('kind')}; only Pod is served"
        )
        raise errors.bad_request(message)
    pod = objects.store.get(Key("/pods", namespace, ref.get("name", "")))
    if pod is None:
        raise errors.not_found(POD, ref.get("name", ""))
    if ref.get("uid") and ref["uid"] != pod["metadata"]["uid"]:
        why = (
            f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(POD, ref.get("name", ""), why)
    return pod

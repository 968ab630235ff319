"""Create, update, patch and delete requests: reads their bodies and options, calls the verbs.

Called by `http.handlers` with an authorised request whose body has been read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kubeapi import errors, limits
from kubeapi.apply import patches, strategic
from kubeapi.apply.managedfields import manager_from_user_agent
from kubeapi.registry.options import DeleteOptions, WriteOptions
from kubeapi.schemas import shapes
from kubeapi.verbs.requests import is_true
from kubeapi.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubeapi.registry.catalogue import Resource
    from kubeapi.registry.objects import Objects
    from kubeapi.registry.options import Place
    from kubeapi.storage.store import Obj
    from kubeapi.verbs.requests import Target


def write_options(query: Mapping[str, str], target: Target, agent: str) -> WriteOptions:
    """Returns the options of a write: the query, and the client's name as its field manager."""
    return WriteOptions(
        dry_run=query.get("dryRun") == "All",
        field_manager=query.get("fieldManager") or manager_from_user_agent(agent),
        field_validation=query.get("fieldValidation") or "Warn",
        subresource=target.subresource,
        force=is_true(query.get("force")),
    )


def decode_for(target: Target, resource: Resource, body: bytes, content_type: str) -> Obj:
    """Returns the object in a body, checked against the request's path.

    Raises:
        ApiError: it is of another kind, name or namespace.
    """
    obj = codec.decode_object(body, content_type)
    kind = resource.kind
    said = obj.get("apiVersion") or kind.api_version, obj.get("kind") or kind.kind
    if said != (kind.api_version, kind.kind):
        message = (
            f"{said[1]} in version {said[0]!r} cannot be handled as a {kind.kind}: "
            f"the resource is {kind.api_version}, Kind={kind.kind}"
        )
        raise errors.bad_request(message)
    meta = obj.setdefault("metadata", {})
    namespace = meta.get("namespace") or target.namespace
    if kind.namespaced and namespace != target.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if not kind.namespaced:
        meta.pop("namespace", None)
    name = meta.get("name") or target.name
    if target.name and name != target.name:
        message = f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        raise errors.bad_request(message)
    return obj


STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def decode_applied(query: Mapping[str, str], target: Target, resource: Resource, body: bytes) -> Obj:
    """Returns the configuration in an apply patch.

    Raises:
        ApiError: as `decode_for`, or the request names no manager.
    """
    if not query.get("fieldManager"):
        wrong = "fieldManager: Required value: is required for apply patch"
        message = f'PatchOptions.meta.k8s.io "" is invalid: {wrong}'
        raise errors.ApiError(422, "Invalid", message)
    return decode_for(target, resource, body, APPLY)


def change_of(content_type: str, body: bytes, resource: Resource) -> Callable[[Obj], Obj]:
    """Returns the patch in a body as a function from the present object to the wanted one."""
    patch = codec.decode(body, content_type)
    kind = codec.media_type(content_type)
    change: dict[str, Callable[[Any, Any], Any]] = {
        "application/merge-patch+json": patches.merge,
        STRATEGIC: partial(strategic.merge, resource.schema or {}),
        "application/json-patch+json": patches.apply_json_patch,
    }
    if kind not in change or (resource.custom and kind == STRATEGIC):
        raise errors.unsupported_media_type(content_type)

    def apply(obj: Obj) -> Obj:
        try:
            result = change[kind](obj, patch)
        except patches.PatchError as error:
            malformed = isinstance(error, patches.MalformedPatchError)
            code, reason = (400, "BadRequest") if malformed else (422, "Invalid")
            raise errors.ApiError(code, reason, f"the server rejected our request: {error}") from None
        except RecursionError:  # operations of a JSON patch can build what no body may hold
            raise limits.too_deep() from None
        limits.check(result)
        if not isinstance(result, dict):
            raise errors.bad_request("the patch leaves no object")
        return result

    return apply


def delete_options(query: Mapping[str, str], body: bytes, content_type: str) -> DeleteOptions:
    """Returns the options of a deletion, from the body (`DeleteOptions`) or the query."""
    said = codec.decode_object(body, content_type) if body.strip() else {}
    shapes.check("DeleteOptions", shapes.DELETE_OPTIONS, said)
    before = said.get("preconditions") or {}
    grace = said.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = said.get("propagationPolicy") or query.get("propagationPolicy")
    if propagation is None and said.get("orphanDependents"):
        propagation = "Orphan"
    dry_run = said.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError):
        raise errors.bad_request(f"gracePeriodSeconds {grace!r} is not a number") from None
    return DeleteOptions(
        uid=before.get("uid"),
        resource_version=before.get("resourceVersion"),
        propagation=propagation,
        grace=seconds,
        dry_run="All" in dry_run,
    )


def delete(objects: Objects, place: Place, options: DeleteOptions) -> Obj:
    """Deletes one object; returns the answer's body."""
    resource = place.resource
    last, gone = objects.delete(place, options)
    if not gone or resource.key == "/pods":
        return last
    details = {"name": place.name, "kind": resource.kind.plural, "uid": last["metadata"]["uid"]}
    if resource.kind.group:
        details["group"] = resource.kind.group
    return codec.success(details)

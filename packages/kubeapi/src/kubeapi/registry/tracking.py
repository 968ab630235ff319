"""Field ownership at the verbs: the writer of each field, and the object that an apply patch makes.

Called by `objects.py`; the rules themselves are in `apply.managedfields`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeapi import clock, errors
from kubeapi.apply import fieldsets, managedfields

if TYPE_CHECKING:
    from kubeapi.registry.catalogue import Resource
    from kubeapi.registry.options import WriteOptions
    from kubeapi.storage.store import Obj


def tracked(new: Obj, old: Obj | None, resource: Resource, options: WriteOptions) -> Obj:
    """Returns `new` with its managedFields, which follow from those of the object that it replaces."""
    if options.applied:
        return new
    return managedfields.update(old, new, resource.schema, _write(resource, options))


def applied(live: Obj | None, config: Obj, resource: Resource, options: WriteOptions) -> Obj:
    """Returns the object that an applied configuration makes of the stored one.

    Raises:
        ApiError: other managers own changed fields (409), or a keyed list is malformed (400).
    """
    write = _write(resource, options)
    try:
        return managedfields.apply(live, config, resource.schema, write, force=options.force)
    except managedfields.ApplyConflict as error:
        details = {"causes": [cause.as_dict() for cause in error.causes()]}
        raise errors.ApiError(409, "Conflict", str(error), details=details) from None
    except fieldsets.FieldError as error:
        raise errors.bad_request(str(error)) from None


def _write(resource: Resource, options: WriteOptions) -> managedfields.Write:
    return managedfields.Write(
        manager=options.field_manager,
        api_version=resource.kind.api_version,
        now=clock.stamp(),
        subresource=options.subresource,
        status=resource.status,
    )

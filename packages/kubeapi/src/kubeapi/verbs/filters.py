"""Label and field selectors of a request as one predicate over objects.

Called by `reading`, `watching` and `http.handlers`; the selectors themselves are in `selectors.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeapi import errors
from kubeapi.verbs.selectors import SelectorError, parse_field_selector, parse_label_selector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubeapi.registry.catalogue import Resource
    from kubeapi.storage.store import Obj


def selector_of(query: Mapping[str, str], resource: Resource) -> Callable[[Obj], bool] | None:
    """Returns the request's selector; None when it selects everything.

    Raises:
        ApiError: a selector is malformed, or names a field by which this kind cannot be selected.
    """
    try:
        labels = parse_label_selector(query.get("labelSelector"))
        fields = parse_field_selector(query.get("fieldSelector"), resource.kind.kind)
    except SelectorError as error:
        raise errors.bad_request(str(error)) from None
    if not labels.requirements and not fields.requirements:
        return None
    return lambda obj: labels.matches(obj) and fields.matches(obj)

"""An operator's scope as people can see and edit it: its list, and the operator's status of each namespace.

Used by `bailie scope` and by the doctor. Reads ConfigMaps and Leases only, and needs no right to reach the
operator itself.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import CONFIG_MAP, LEASE
from bailie.doctor.facts import ClaimView, InstallationView
from bailie.kube.clock import utc_now
from bailie.kube.errors import Conflict, Forbidden, NotFound
from bailie.manifests.rbac import SCOPE_STATUS
from bailie.scope.claim import CLAIM_LEASE, ELECTION_LEASE, STATUS_KEY, claim_of
from bailie.scope.watch_list import CONFIG_MAP_NAME, NAMESPACES, parse_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from bailie.api.kinds import Kind
    from bailie.kube.client import Client
    from bailie.scope.claim import Claim

CLOCK_SLACK_SECONDS = 30.0
"""Clocks of machines differ: a Lease counts as abandoned this much later than it says."""
_ATTEMPTS = 5


async def find_homes(client: Client) -> tuple[str, ...]:
    """Returns the namespaces that have an operator's list. Raises Forbidden where they may not be listed."""
    found = await client.list(CONFIG_MAP, fields=f"metadata.name={CONFIG_MAP_NAME}")
    return tuple(sorted(item["metadata"]["namespace"] for item in found.items))


async def view(client: Client, home: str) -> InstallationView:
    """Looks at the operator of a namespace. Raises NotFound where there is none."""
    try:
        config_map = await client.get(CONFIG_MAP, CONFIG_MAP_NAME, home)
    except Forbidden as error:
        return InstallationView(home=home, unknown=str(error))
    data = {str(key): str(value) for key, value in (config_map.get("data") or {}).items()}
    names, problems = parse_lines(data.get(NAMESPACES, ""))
    said = await _said(client, home)
    leader, alive = await _leader(client, home)
    return InstallationView(
        home=home,
        listed=names if NAMESPACES in data else None,
        data=data,
        problems=tuple(dict.fromkeys((*map(str, problems), *said.get("problems", ())))),
        name=str(said.get("installation") or ""),
        version=str(said.get("version") or ""),
        statuses=said.get("namespaces") or {},
        leader=leader,
        alive=alive,
    )


async def claim_on(client: Client, namespace: str) -> ClaimView | None:
    """Returns the claim on a namespace, None for a free one. Raises Forbidden where it may not be read."""
    lease = await _get(client, LEASE, CLAIM_LEASE, namespace)
    if lease is None:
        return None
    claim = claim_of(lease)
    return ClaimView(claim, is_fresh(claim)) if claim.owner else None


def is_fresh(claim: Claim) -> bool:
    """Says whether a Lease is renewed, by wall clocks; for people only, nothing is decided by it."""
    try:
        renewed = datetime.fromisoformat(claim.renewed)
    except ValueError:
        return False
    age = (utc_now() - renewed).total_seconds()
    return claim.fresh(max(age - CLOCK_SLACK_SECONDS, 0))


async def edit(client: Client, home: str, change: Callable[[str], str]) -> tuple[str, str]:
    """Changes the list and returns its text before and after; others' edits meanwhile are kept.

    Raises NotFound where there is no list.
    """
    for attempt in range(_ATTEMPTS):
        config_map = await client.get(CONFIG_MAP, CONFIG_MAP_NAME, home)
        data = dict(config_map.get("data") or {})
        before = data.get(NAMESPACES, "")
        after = change(before)
        if after == before and NAMESPACES in data:
            break
        try:
            await client.replace({**config_map, "data": {**data, NAMESPACES: after}})
            break
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
    return before, after


async def _said(client: Client, home: str) -> dict[str, Any]:
    try:
        found = await client.get(CONFIG_MAP, SCOPE_STATUS, home)
        document = json.loads((found.get("data") or {}).get(STATUS_KEY, "{}"))
    except (NotFound, Forbidden, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


async def _leader(client: Client, home: str) -> tuple[str, bool | None]:
    try:
        lease = await _get(client, LEASE, ELECTION_LEASE, home)
    except Forbidden:
        return "", None
    if lease is None:
        return "", False
    claim = claim_of(lease)
    return claim.owner, is_fresh(claim)


async def _get(client: Client, kind: Kind, name: str, namespace: str) -> Any:
    try:
        return await client.get(kind, name, namespace)
    except NotFound:
        return None

"""What the pods of a cluster say when a test there has failed: the namespaces are deleted after it.

autopsy(http, ["home-3f9a1c"])     # states, warnings and the ends of the logs, as text
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import httpx

LINES = 15


def autopsy(http: httpx.Client, namespaces: Iterable[str]) -> str:
    """Returns the text; what cannot be read is left out. `http` talks to the API as its administrator."""
    return "\n".join(line for namespace in namespaces for line in _namespace(http, namespace))


def _namespace(http: httpx.Client, namespace: str) -> Iterator[str]:
    root = f"/api/v1/namespaces/{namespace}"
    for pod in _items(http, f"{root}/pods"):
        status, name = pod.get("status") or {}, pod["metadata"]["name"]
        yield f"pod {namespace}/{name}: {status.get('phase')}"
        yield from (f"  {each['message']}" for each in status.get("conditions") or [] if each.get("message"))
        for container in status.get("containerStatuses") or []:
            ready, restarts = container["ready"], container["restartCount"]
            yield f"  {container['name']}: ready={ready} restarts={restarts} {container.get('state')}"
            for previous in ("true", "false") if restarts else ("false",):
                yield from _log(http, f"{root}/pods/{name}/log", container["name"], previous)
    for event in _items(http, f"{root}/events"):
        if event.get("type") == "Warning":
            about = event["involvedObject"]
            yield f"event {about['kind']} {namespace}/{about['name']}: {event['reason']}: {event['message']}"


def _items(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = http.get(path)
    return list(answer.json()["items"]) if answer.is_success else []


def _log(http: httpx.Client, path: str, container: str, previous: str) -> Iterator[str]:
    query: dict[str, str | int] = {"container": container, "tailLines": LINES, "previous": previous}
    answer = http.get(path, params=query)
    yield from (f"    {line}" for line in (answer.text.splitlines() if answer.is_success else ()))

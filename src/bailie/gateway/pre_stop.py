"""The end of an Envoy's pod: its callers are led away before Envoy is told to end.

`python -m bailie.gateway.pre_stop SECONDS` is the `preStop` hook of Envoy's container, run in the folder in
which Envoy was started. Envoy then closes each connection with its next answer (HTTP/1.1 `connection: close`,
HTTP/2 GOAWAY), takes new ones as before, and is not ready any more. The module needs the standard library
only: a hook that imports for seconds on a busy machine would come too late.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from bailie.wellknown import variables

_PATIENCE_SECONDS = 5.0


def lead_away(bootstrap: Path) -> None:
    """Tells the Envoy that was started with this file to send its callers away.

    Raises:
        OSError, ValueError, http.client.HTTPException: it is not there, its file is not whole, or it answers
            no HTTP.
    """
    address = json.loads(bootstrap.read_text())["admin"]["address"]
    connection = http.client.HTTPConnection("envoy", timeout=_PATIENCE_SECONDS)
    connection.sock = _connected(address)
    try:
        connection.request("POST", "/healthcheck/fail")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise OSError(f"Envoy's admin interface answered HTTP {status}")


def _connected(address: dict[str, Any]) -> socket.socket:
    if "pipe" not in address:
        place = address["socket_address"]
        return socket.create_connection((place["address"], place["port_value"]), _PATIENCE_SECONDS)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(_PATIENCE_SECONDS)
    made.connect(address["pipe"]["path"])
    return made


def main(seconds: float, folder: Path, pod: str) -> None:
    """Leads callers away and waits for `seconds`, also for an Envoy that cannot be told."""
    try:
        lead_away(folder / f"envoy-{pod}.json")
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.stderr.write(f"callers are not led away: {error}\n")
    time.sleep(seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]), Path.cwd(), os.environ[variables.POD_NAME])  # noqa: TID251 - what the hook is given

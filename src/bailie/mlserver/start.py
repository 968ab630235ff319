"""Starts MLServer so that a connection outlives what a model raises.

    python start.py start FOLDER

Runs under the Python of MLServer's environment, in its image and on a laptop, in place of `mlserver`, with
the same arguments. What a model raises is answered with a whole 500 and then raised again (by Starlette's
ServerErrorMiddleware), upon which uvicorn closes the connection without having said so. Envoy sends requests
of all callers over the connections to a server: the next request fails, whosever it is, and may not be sent
again, for nobody knows whether it ran. Here the exception ends once the answer is complete.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Message = dict[str, Any]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


def settled(application: Application) -> Application:
    """Returns the ASGI application without exceptions after a complete answer; they are logged.

    An exception before that is raised as before: there the connection must be closed.
    """
    log = logging.getLogger("uvicorn.error")

    async def run(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        complete = False

        async def watched(message: Message) -> None:
            nonlocal complete
            await send(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            await application(scope, receive, watched)
        except Exception:
            if not complete:
                raise
            log.exception("Exception in ASGI application; it was answered, the connection stays open")

    return run


def main() -> None:
    """Runs MLServer's own command with its REST server made so."""
    # Only MLServer's environment has these, and Bailie's own imports this module in tests.
    from mlserver import server  # noqa: PLC0415
    from mlserver.cli import main as command  # noqa: PLC0415
    from mlserver.rest import RESTServer  # noqa: PLC0415

    class Settled(RESTServer):  # type: ignore[misc] # MLServer is not installed where types are checked
        def _get_config(self) -> Any:
            config = super()._get_config()
            config.app = settled(config.app)
            return config

    server.RESTServer = Settled
    sys.argv[0] = "mlserver"
    command()


if __name__ == "__main__":
    main()

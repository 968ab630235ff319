"""A stand-in of the shape of KServe's InferenceGraph router: a sequence of steps, each called over HTTP.

Run by `pipelines` with the Python of MLServer's environment, which has aiohttp:

    python router.py PORT URL [URL …]

As the router's own sequence with `data: $request`, each step gets the request's body, and the body of the
last answer goes back; a step that fails ends the sequence. KServe's is in Go: its ratio to ours is another.
"""

from __future__ import annotations

import sys

import uvloop
from aiohttp import ClientSession, TCPConnector, web

MOST_BYTES = 64 << 20
PASSED = ("content-type", "x-request-id", "traceparent")
"""As the router passes the headers that its configuration names."""
SESSION = web.AppKey("session", ClientSession)


async def main() -> web.Application:
    """Returns the router."""
    urls = sys.argv[2:]

    async def infer(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name: request.headers[name] for name in PASSED if name in request.headers}
        status, answer = 200, b"{}"
        for url in urls:
            async with request.app[SESSION].post(url, data=body, headers=headers) as heard:
                status, answer = heard.status, await heard.read()
            if status != 200:
                break
        return web.Response(status=status, body=answer, content_type="application/json")

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({})

    application = web.Application(client_max_size=MOST_BYTES)
    application[SESSION] = ClientSession(connector=TCPConnector(limit=0))
    application.add_routes([web.post("/{path:.*}", infer), web.get("/{path:.*}", ready)])
    application.on_cleanup.append(lambda app: app[SESSION].close())
    return application


if __name__ == "__main__":
    web.run_app(main(), host="127.0.0.1", port=int(sys.argv[1]), loop=uvloop.new_event_loop(), print=None)

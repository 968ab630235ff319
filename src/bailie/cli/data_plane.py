"""How a command reaches the data plane of a namespace: at its address, else by the API server's proxy.

Used by `infer`. Outside of a cluster, and without a load balancer, the proxy is the only way that needs
nothing but the kubeconfig; it passes HTTP/1.1 on, so gRPC has no such way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bailie.wellknown import names, ports

if TYPE_CHECKING:
    from bailie.inference.client import RestClient
    from bailie.kube.client import Client


async def rest_client(client: Client, namespace: str, *, timeout: float) -> RestClient:
    """Returns a REST client of the namespace's data plane; `timeout` in seconds.

    Raises:
        DeadlinePassed: The namespace has no data plane.
        ApiError: The API does not say.
    """
    import httpx2

    from bailie.inference.client import RestClient
    from bailie.local.errors import NoAddress
    from bailie.local.status import inference_address

    try:
        return RestClient(f"http://{await inference_address(client, namespace)}", timeout=timeout)
    except NoAddress:
        service = f"/api/v1/namespaces/{namespace}/services/{names.MESH}:{ports.MESH}/proxy"
        http = httpx2.AsyncClient(**client.connection_options)
        return RestClient(f"{client.server.rstrip('/')}{service}", timeout=timeout, http=http)

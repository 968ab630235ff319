"""Says whether a process is certainly gone, seen from outside.

Used by the election: a closed port on a host that answers proves that the process is gone; silence does not.
"""

from __future__ import annotations

import asyncio

_SECONDS = 0.3


async def refuses(address: str) -> bool:
    """Tells whether connections to `<ip>:<port>` are refused: no process listens there any more.

    False if the port accepts, if the host does not answer in 0.3 s, and for any other trouble.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    writer.close()
    return False

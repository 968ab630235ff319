"""Stands for a program that is asked nothing here: listens on PORTS of POD_IP, and closes connections."""

from __future__ import annotations

import asyncio
import os
import signal

SETTINGS = os.environ  # noqa: TID251 - a program of its own


async def main(host: str, ports: list[int]) -> None:
    """Listens until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [await asyncio.start_server(_close, host, port) for port in ports]
    await stop.wait()
    for server in servers:
        server.close()


async def _close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


if __name__ == "__main__":
    numbers = [int(each) for each in SETTINGS["PORTS"].split(",") if each]
    asyncio.run(main(SETTINGS["POD_IP"], numbers))

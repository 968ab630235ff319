"""The hand-over between a central scheduler and one of the namespace's own, with as many models as it takes.

Run by `hand_over` with `--simulated`. The scheduler processes are real, the replicas are simulated (`fleet`).
This process does the operator's part: to its own, the namespace leaves the central scheduler's list once the
other scheduler is ready; to the central one, it comes back to the list, and its own scheduler ends.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.support.agents import TOKEN
from tests.support.ports import free_port

from bailie.api.kinds import CONFIG_MAP, LEASE
from bailie.wellknown import names
from benchmarks.fleet import NAMESPACE
from benchmarks.laptop import until
from benchmarks.processes import ask, spawned
from benchmarks.scheduler import (
    CENTRAL,
    Figures,
    Ports,
    bench,
    commanded,
    model,
    quiet,
    scheduler_process,
)
from benchmarks.stack import answers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from benchmarks.scheduler import Bench

TO_ITS_OWN, TO_THE_CENTRAL_ONE = "to its own", "to the central one"


async def measure(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Changes the scheduler again and again and returns the figures."""
    figures: dict[str, Any] = {TO_ITS_OWN: [], TO_THE_CENTRAL_ONE: []}
    async with bench(options.models, Figures(say)) as found:
        await _let_the_central_one_serve(found)
        central = Ports(0, found.ports[0].agents, free_port(), CENTRAL)
        with spawned(scheduler_process, found.kubeconfig, found.folder / "token", central):
            await quiet(found.client, options.models)
            begun = time.monotonic()
            for number in range(options.rounds):
                with found.scheduler(1) as (_, pid):
                    ready = f"http://127.0.0.1:{found.ports[1].health}/ready"
                    await answers(ready, found.folder / f"{found.ports[1].pod}.log")
                    figures[TO_ITS_OWN].append(await _change(found, f"own-{number}", None))
                    await asyncio.sleep(options.pause)
                    figures[TO_THE_CENTRAL_ONE].append(await _change(found, f"central-{number}", pid))
                    await asyncio.sleep(options.pause)
        times = ask(found.fleet, "times")
    figures["models commanded again"] = sum(
        max(at) > begun for name, at in times.items() if name.startswith("model-")
    )
    figures["load average"] = os.getloadavg()
    return figures


async def _change(found: Bench, probe: str, own: int | None) -> dict[str, float]:
    """Changes the scheduler, to the central one by ending the process `own`; returns the seconds until the
    other one leads, and until it has commanded the load of a new Model."""
    before, begun = await _holder(found), time.monotonic()
    await found.client.apply(_list([] if own is None else [NAMESPACE]), field_manager="bench", force=True)
    if own is not None:
        os.kill(own, signal.SIGTERM)

    async def led() -> bool:
        return await _holder(found) not in {"", before}

    await until(led, "another scheduler leads")
    leads = time.monotonic() - begun
    await found.client.create(model(probe))
    return {"leads": leads, "new Model commanded": await commanded(found.fleet, {probe}, begun)}


async def _holder(found: Bench) -> str:
    lease = await found.client.get(LEASE, names.SCHEDULER, NAMESPACE)
    return str(lease["spec"].get("holderIdentity") or "")


async def _let_the_central_one_serve(found: Bench) -> None:
    data = {"token": base64.b64encode(TOKEN.encode()).decode()}
    metadata = {"name": names.CONTROL_PLANE_SECRET, "namespace": NAMESPACE}
    await found.client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    await found.client.apply(_list([NAMESPACE]), field_manager="bench", force=True)


def _list(namespaces: list[str]) -> dict[str, Any]:
    """Returns the operator's list of further namespaces for the central scheduler."""
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": names.SERVED_NAMESPACES, "namespace": CENTRAL},
        "data": {names.NAMESPACES_KEY: "".join(f"{name}\n" for name in namespaces)},
    }

"""`bailie demo`: shows the main job on this machine, checks every claim, and leaves nothing running.

Trains two models, serves one in each of two watched namespaces, kills a scheduler under traffic, and leaves a
third namespace alone. Each claim becomes a row of the final table; a claim that does not hold fails the demo.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bailie.api.kinds import MODEL, SERVER
from bailie.kube.client import Client
from bailie.kube.folders import remove_folder
from bailie.kube.reviews import own_missing_rights
from bailie.local import detached
from bailie.local.errors import DeadlinePassed, LocalError, NotRunning
from bailie.local.readiness import condition, is_current
from bailie.local.settings import TRAINING_SCRIPT, LocalSettings
from bailie.local.state import StateDirectory
from bailie.local.status import local_status
from bailie.local.temporary_folder import lasting_folder
from bailie.local.traffic import Expectation, Tally, inference_clients, stream, wrong_answer
from bailie.scope.rights import Right
from bailie.workloads.node.records import kill_orphans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bailie.inference.client import InferenceClient

SYSTEM = "seldon-system"
STAGING = "financial-staging"
UNWATCHED = "research"
READY_SECONDS = 60.0
REQUESTS_PER_SECOND = 25.0
SETTLE_SECONDS = 1.0
UNSERVED_SECONDS = 3.0
"""How long a Model in the unwatched namespace is observed; a served one is ready in less."""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A claim and how it went."""

    claim: str
    held: bool
    detail: str


@dataclass(slots=True)
class Demo:
    """One run: its folder, its output, and its results."""

    settings: LocalSettings
    say: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)

    @property
    def state(self) -> StateDirectory:
        """The demo's state directory."""
        return StateDirectory(self.settings.state_directory)

    def show(self, row: Row) -> None:
        """Notes how a claim went."""
        self.rows.append(row)
        self.say(f"{'  ok ' if row.held else 'FAIL '} {row.claim}: {row.detail}")


def run(mlserver_environment: Path, say: Callable[[str], None]) -> list[Row]:
    """Runs the demo in a state directory of its own and returns a row per claim.

    A user without a home can run the demo, too: nothing is kept there. The logs of a run that fails stay.

    Raises:
        LocalError: The demo could not be set up; its processes have been ended.
    """
    root = lasting_folder("bailie-demo-")
    own = LocalSettings(
        state_directory=root / "state",
        namespaces=(SYSTEM, STAGING),
        mlserver_environment=mlserver_environment,
    )
    demo = Demo(own, say)
    failed = False
    try:
        _run(demo, root / "models")
        failed = not all(row.held for row in demo.rows)
    except Exception:
        failed = True
        raise
    finally:
        _leave(demo, root, failed=failed)
    return demo.rows


def _run(demo: Demo, models: Path) -> None:
    expectations = _train(demo, models)
    try:
        demo.say("starting the operator, and in each namespace a scheduler, an Envoy and a server")
        started = time.monotonic()
        detached.start(demo.settings, timeout=READY_SECONDS, progress=lambda _: None)
        demo.show(Row("two namespaces served", True, f"ready in {time.monotonic() - started:.1f} s"))
        asyncio.run(_show(demo, models, expectations))
    finally:
        _end(demo)


def _leave(demo: Demo, root: Path, *, failed: bool) -> None:
    """Removes the folder of the run, but not the logs that say why it failed."""
    log = demo.state.supervisor_log
    if failed and log.exists():
        where = f"{log}, and those of each pod in {demo.state.logs}"
        demo.say(f"the logs of this run stay: {where}; delete {root} when you have read them")
    else:
        remove_folder(root)


def _train(demo: Demo, folder: Path) -> dict[str, Expectation]:
    demo.say("training two models on the iris data")
    python = demo.settings.mlserver_environment / "bin" / "python"
    if not python.exists():
        raise LocalError(f"MLServer's Python is not at {python}", hint="run `make setup`")
    command = [python, TRAINING_SCRIPT, folder]
    # In a session of its own: Ctrl-C is answered here, not by a traceback there.
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, start_new_session=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"]
        raise LocalError(
            f"the models could not be trained with {python}: {said[-1]}", hint="run `make setup`"
        )
    expected = json.loads((folder / "expected.json").read_text())
    return {name: Expectation(name, case["inputs"], case["outputs"]) for name, case in expected.items()}


def _end(demo: Demo) -> None:
    demo.say("ending all of it")
    with suppress(NotRunning):
        detached.stop(demo.state, timeout=60.0, progress=lambda _: None)
    left = kill_orphans(demo.state.root, ())
    demo.show(Row("nothing left running", not left, f"{len(left)} processes left" if left else "all ended"))


async def _show(demo: Demo, models: Path, expectations: dict[str, Expectation]) -> None:
    async with Client.from_kubeconfig(demo.state.kubeconfig) as client:
        status = await local_status(client, demo.state)
        served = {SYSTEM: expectations["iris"], STAGING: expectations["petal-width"]}
        for namespace, expectation in served.items():
            seconds = await _apply(client, model_manifest(namespace, expectation.model, models))
            demo.show(
                Row(f"{namespace}: model {expectation.model} ready", True, f"{seconds:.2f} s after apply")
            )
        async with AsyncExitStack() as stack:
            clients = {
                namespace: await stack.enter_async_context(
                    inference_clients(status["namespaces"][namespace]["inference"])
                )
                for namespace in served
            }
            await _answers(demo, clients, served)
            await _failover(demo, client, clients=clients, served=served, models=models)
            await _left_alone(demo, client, models)


def model_manifest(namespace: str, name: str, models: Path, *, artifact: str | None = None) -> Manifest:
    """Returns a Model of a folder below `models`."""
    return {
        "apiVersion": MODEL.api_version,
        "kind": MODEL.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "storageUri": str(models / (artifact or name)),
            "requirements": ["sklearn"],
            "memory": "10Mi",
        },
    }


async def _apply(client: Client, manifest: Manifest) -> float:
    """Applies a Model and waits until it is ready; returns the seconds that it took."""
    started = time.monotonic()
    await client.apply(manifest, field_manager="bailie-demo", force=True)
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]

    async def ready() -> bool:
        model = await client.get(MODEL, name, namespace)
        return condition(model, "Ready")["status"] == "True" and is_current(model)

    try:
        await until(ready, READY_SECONDS)
    except TimeoutError as error:
        why = condition(await client.get(MODEL, name, namespace), "Ready")
        raise DeadlinePassed(f"model {namespace}/{name} is not ready: {why.get('message', '')}") from error
    return time.monotonic() - started


async def until(condition_holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Waits until a condition holds. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition_holds():  # noqa: ASYNC110 - what is waited for sends no event
            await asyncio.sleep(0.05)


async def _answers(
    demo: Demo, clients: dict[str, dict[str, InferenceClient]], served: dict[str, Expectation]
) -> None:
    for namespace, expectation in served.items():
        for protocol, client in clients[namespace].items():
            problem = await wrong_answer(client, expectation)
            detail = problem or f"{[round(value, 2) for value in expectation.outputs]} as in process"
            demo.show(Row(f"{namespace}: {expectation.model} answers over {protocol}", not problem, detail))


async def _failover(
    demo: Demo,
    client: Client,
    *,
    clients: dict[str, dict[str, InferenceClient]],
    served: dict[str, Expectation],
    models: Path,
) -> None:
    """Kills the scheduler of one namespace under traffic on both, then has the new one load a model."""
    demo.say(f"killing the scheduler of {SYSTEM} while both namespaces answer requests")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        streams = {
            namespace: tasks.create_task(
                stream(clients[namespace], served[namespace], per_second=REQUESTS_PER_SECOND, stop=stop)
            )
            for namespace in served
        }
        try:
            await asyncio.sleep(SETTLE_SECONDS)
            await _kill_scheduler(demo, client)
            manifest = model_manifest(SYSTEM, "iris-again", models, artifact="iris")
            seconds = await _apply(client, manifest)
            demo.show(Row("the new scheduler loads a new model", True, f"{seconds:.2f} s after apply"))
        finally:
            stop.set()
    for namespace, task in streams.items():
        for protocol, tally in task.result().items():
            demo.show(traffic_row(namespace, protocol, tally))


async def _kill_scheduler(demo: Demo, client: Client) -> None:
    before = (await local_status(client, demo.state))["namespaces"][SYSTEM]["schedulers"][0]["pid"]
    os.kill(before, signal.SIGKILL)
    killed = time.monotonic()

    async def back() -> bool:
        scheduler = (await local_status(client, demo.state))["namespaces"][SYSTEM]["schedulers"][0]
        return bool(scheduler["leader"] and scheduler["ready"] and scheduler["pid"] not in (None, before))

    await until(back, READY_SECONDS)
    demo.show(
        Row("the killed scheduler comes back", True, f"leads again after {time.monotonic() - killed:.1f} s")
    )


def traffic_row(namespace: str, protocol: str, tally: Tally) -> Row:
    """Returns how the claim went that no request fails while a scheduler is dead; without a request it
    failed."""
    failed = len(tally.failures)
    detail = f"{tally.sent} requests, {failed} failed" + (f": {tally.failures[0]}" if failed else "")
    claim = f"{namespace}: no {protocol} request fails while a scheduler is dead"
    return Row(claim, not failed and tally.sent > 0, detail)


async def _left_alone(demo: Demo, client: Client, models: Path) -> None:
    """Shows a Model in a namespace that the operator does not serve: no process acts on it, or could."""
    await client.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": UNWATCHED}},
        field_manager="bailie-demo",
    )
    await client.apply(model_manifest(UNWATCHED, "iris", models), field_manager="bailie-demo")
    await asyncio.sleep(UNSERVED_SECONDS)
    status = (await client.get(MODEL, "iris", UNWATCHED)).get("status")
    async with Client.from_kubeconfig(demo.state.operator_kubeconfig) as operator:
        listing = [Right(SERVER.group, SERVER.plural, "list")]
        rights = {
            place: not await own_missing_rights(operator, place, listing)
            for place in (SYSTEM, STAGING, UNWATCHED)
        }
    demo.show(left_alone_row(status, rights))


def left_alone_row(status: Manifest | None, rights: dict[str, bool]) -> Row:
    """Returns how the claim went that nothing acts on the Model in the unwatched namespace.

    `status` is that of the Model; `rights` says where the operator's token may list Servers.
    """
    held = not status and rights == {SYSTEM: True, STAGING: True, UNWATCHED: False}
    where = f"{SYSTEM}, {STAGING}"
    why = f"the operator watches {where}; its token may list Servers there, and none in {UNWATCHED}"
    return Row(f"{UNWATCHED}: a Model there is left alone", held, why if held else f"{rights}, {status}")

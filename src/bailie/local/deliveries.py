"""The delivery of an Experiment as its status tells it, and a person's word on it: for `bailie experiment`.

Reads and writes the Experiment alone, so that no process has to be reached but the API.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bailie.api.experiment import Experiment
from bailie.api.kinds import EXPERIMENT, MODEL, PIPELINE
from bailie.control.delivery_facts import AWAITS_VERSION
from bailie.control.delivery_rules import HAND_ANNOTATION, wanted_delivery
from bailie.control.pipeline_versions import parse_version
from bailie.control.wanted_experiments import parse_experiment
from bailie.control.wanted_models import parse_model
from bailie.delivery import ANNOTATION, recorded_state
from bailie.kube.clock import stamp_micro, utc_now
from bailie.kube.errors import NotFound
from bailie.lifecycle.delivery import DELIVERED
from bailie.local.errors import DeadlinePassed, LocalError
from bailie.local.readiness import condition, is_current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bailie.delivery import DeliveryState
    from bailie.delivery.progress import Hand
    from bailie.kube.client import Client
    from bailie.routing.requests import RequestOutcomes

LOOK_SECONDS = 1.0


async def delivery(client: Client, namespace: str, name: str) -> dict[str, Any]:
    """Returns the view of an Experiment's delivery.

    Raises:
        LocalError: The Experiment is no delivery, or its spec has a mistake.
    """
    manifest = await client.get(EXPERIMENT, name, namespace)
    return delivery_view(manifest, await _newest(client, manifest))


async def _newest(client: Client, manifest: Mapping[str, Any]) -> str | None:
    """Returns the identity of the version that the candidate's spec asks for; None for no candidate."""
    found = parse_experiment(manifest)
    if found.delivery is None:
        return None
    kind, parse = (PIPELINE, parse_version) if found.kind == PIPELINE.kind else (MODEL, parse_model)
    try:
        candidate = await client.get(kind, found.delivery.candidate, manifest["metadata"]["namespace"])
    except NotFound:
        return None
    return parse(candidate).identity


def delivery_view(manifest: Mapping[str, Any], newest: str | None = None) -> dict[str, Any]:
    """Returns the delivery of a manifest as JSON data; `delivered` is True, False or Unknown, as text.

    `newest` is the identity of the candidate's newest version: a verdict on another one is none on it. Times
    are in seconds. Raises LocalError, as `delivery` does.
    """
    name = manifest["metadata"]["name"]
    parsed, problems = Experiment.parse_without_status(manifest)
    wanted, more = wanted_delivery(parsed.spec, manifest) if parsed else (None, ())
    if wanted is None:
        wrong = [str(each) for each in (*problems, *more)]
        hint = (
            f"`bailie explain experiment {name}` shows its weights; the annotation {ANNOTATION} makes it one"
        )
        hint = "" if wrong else hint
        words = f": {'; '.join(wrong)}" if wrong else ""
        raise LocalError(f"experiment {name} is no delivery{words}", hint=hint)
    said, state = condition(dict(manifest), DELIVERED), recorded_state(manifest.get("status"))
    if not is_current(dict(manifest)) or (state is not None and state.spec != wanted.digest):
        # The verdict that stands there is about the spec, or the rules, of before.
        said = {"status": "Unknown", "message": "no scheduler has looked at its newest change"}
        state = None
    elif said["status"] != "Unknown" and state is not None and newest not in {None, state.version}:
        # The scheduler is about to say so itself.
        words = f"the newest version of {wanted.candidate} does not answer yet; it will be delivered anew"
        said = {"status": "Unknown", "reason": AWAITS_VERSION, "message": words}
    return {
        "experiment": name,
        "namespace": manifest["metadata"].get("namespace", ""),
        "delivered": said["status"],
        "reason": said.get("reason") or "",
        "message": said.get("message") or "no scheduler has looked at it",
        "steps": [{"weight": each.weight, "pauseSeconds": each.pause} for each in wanted.rules.steps],
        "step": state.step + 1 if state else 0,
        "since": state.since if state else "",
        "seconds": state.seconds if state else 0.0,
        "candidate": {"name": wanted.candidate, **_figures(state.candidate if state else None)},
        "default": {"name": wanted.default, **_figures(state.default if state else None)},
    }


def _figures(found: RequestOutcomes | None) -> dict[str, Any]:
    return {
        "requests": found.requests if found else 0,
        "failures": found.failures if found else 0,
        "cancelled": found.cancelled if found else 0,
        "notCounted": found.others if found else 0,
        "p95Seconds": found.p95 if found else None,
    }


async def speak(client: Client, namespace: str, name: str, word: Hand, *, timeout: float) -> dict[str, Any]:
    """Tells the scheduler a person's word; returns the view after the scheduler has obeyed.

    Raises:
        LocalError: The Experiment is no delivery.
        DeadlinePassed: No scheduler has obeyed within `timeout` seconds.
    """
    before = delivery_view(await client.get(EXPERIMENT, name, namespace))
    if before["reason"] == "HeldBySpec":
        raise LocalError(before["message"], hint="change the weights of the spec, which decide alone now")
    text = f"{word.value} {stamp_micro(utc_now())}"
    body = {"metadata": {"annotations": {HAND_ANNOTATION: text}}}
    await client.patch(EXPERIMENT, name, namespace, body)
    try:
        async with asyncio.timeout(timeout):
            while True:
                manifest = await client.get(EXPERIMENT, name, namespace)
                state = recorded_state(manifest.get("status"))
                if _has_obeyed(state, text):
                    return delivery_view(manifest, await _newest(client, manifest))
                await asyncio.sleep(LOOK_SECONDS / 5)
    except TimeoutError as error:
        raise DeadlinePassed(
            f"no scheduler has obeyed `{word.value}` within {timeout:g} s; the word stays on the experiment",
            hint=f"does a scheduler lead? `bailie doctor -n {namespace}`",
        ) from error


def _has_obeyed(state: DeliveryState | None, text: str) -> bool:
    return state is not None and state.hand == text


async def follow_delivery(
    client: Client, namespace: str, name: str, look: Callable[[dict[str, Any]], None], *, timeout: float
) -> dict[str, Any]:
    """Hands `look` the view every second, once at least, until the delivery has ended; returns the last one.

    Raises:
        DeadlinePassed: It has not ended within `timeout` seconds, above 0, of the first look; 0 is no limit.
    """
    look(view := await delivery(client, namespace, name))
    try:
        async with asyncio.timeout(timeout or None):
            while view["delivered"] == "Unknown":
                await asyncio.sleep(LOOK_SECONDS)
                look(view := await delivery(client, namespace, name))
            return view
    except TimeoutError as error:
        raise DeadlinePassed(f"experiment {name} has not ended within {timeout:g} s") from error

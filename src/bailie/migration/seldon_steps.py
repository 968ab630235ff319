"""The steps from Seldon Core v2 to Bailie in the same namespace, in order. Pure.

Asked by `start`. Seldon Core's pods go on until `finish`; Bailie's come beside them, and Bailie's Envoys hand
requests on to those of before as long as nothing here answers. Each step can be undone, and Seldon Core's
operator then adopts its pods again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bailie.migration.seldon import callers, clear, definitions, detach, freeze, install, one_by_one, releases
from bailie.migration.seldon.interruption import interruption_of
from bailie.migration.steps import MoveStep, nothing
from bailie.wellknown import labels, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bailie.migration.record import MoveRecord

_IN_NAMESPACE = "--namespace {namespace}"

SELDON_STEPS = (
    MoveStep(
        name="save",
        title="save the resources and the objects around them in a file",
        back="nothing: the file stays",
        until="nothing",
        forward=nothing,
        arrived=nothing,
        backward=nothing,
        returned=nothing,
        quiet=None,
        quiet_back=None,
    ),
    MoveStep(
        name="definitions",
        title="bring the resource definitions up to date; they know every field of Seldon Core's",
        back="nothing: Seldon Core's operator goes on with them",
        until="the API serves every kind",
        forward=definitions.bring_up_to_date,
        arrived=definitions.are_served,
        backward=nothing,
        returned=nothing,
        patience=60.0,
        quiet=None,
        quiet_back=None,
    ),
    MoveStep(
        name="freeze",
        title="have Seldon Core's operator let the namespace go; models go on answering",
        back="give the namespace back to the operator, which adopts its pods",
        until="the operator's pod with the longer list has ended and writes nothing here any more",
        forward=freeze.let_go,
        arrived=freeze.is_silent,
        backward=freeze.give_back,
        returned=freeze.has_it_again,
        waits=("sleep 30",),
        quiet=freeze.settled,
        quiet_back=freeze.acts_rightly,
    ),
    MoveStep(
        name="detach",
        title="end Seldon Core's scheduler, and delete its workloads without their pods",
        back="start the scheduler again",
        until="the workloads are gone, and their pods have no owner",
        forward=detach.orphan,
        arrived=detach.are_orphans,
        backward=detach.start_scheduler,
        returned=nothing,
        patience=120.0,
    ),
    MoveStep(
        name="apart",
        title="give the pods labels by which nothing adopts them, and their Envoys a Service of their own",
        back="give the pods their labels back",
        until="nothing",
        forward=detach.set_apart,
        arrived=nothing,
        backward=detach.put_together,
        returned=nothing,
    ),
    MoveStep(
        name="install",
        title="make rights, token and runtime; Servers count from 100 on",
        back="delete all of Bailie's, and take the fields back",
        until="nothing",
        forward=install.prepare,
        arrived=nothing,
        backward=install.undo,
        returned=install.is_undone,
    ),
    MoveStep(
        name="serve",
        title="put the namespace on the list of Bailie's operator, which makes scheduler, Envoys and servers",
        back="take the namespace from the list",
        until="Bailie's scheduler leads, and its Envoys hand on every name",
        forward=install.enlist,
        arrived=install.is_served_beside,
        backward=install.delist,
        returned=install.is_let_go,
        waits=(
            f"kubectl wait deployment/{names.ENVOY} --for=create --timeout=2m {_IN_NAMESPACE}",
            f"kubectl rollout status deployment/{names.ENVOY} --timeout=5m {_IN_NAMESPACE}",
        ),
    ),
    MoveStep(
        name="admit",
        title="let Bailie's Envoys into the Service of callers, beside those of before",
        back="take them out again",
        until="the Service leads to them",
        forward=callers.admit,
        arrived=callers.are_admitted,
        backward=callers.shut_out,
        returned=callers.are_shut_out,
        patience=60.0,
    ),
    MoveStep(
        name="move",
        title="wait for the models: each name comes over by itself when a server of Bailie's has loaded it",
        back="nothing: the Envoys of before answer for every name",
        until="every name is served here",
        forward=nothing,
        arrived=callers.are_served,
        backward=nothing,
        returned=nothing,
        patience=1800.0,
        waits=(
            f"kubectl wait seldonruntimes --all --for=condition=ServedHere --timeout=30m {_IN_NAMESPACE}",
            f"kubectl wait models --all --for=condition=RolledOut --timeout=30m {_IN_NAMESPACE}",
        ),
    ),
    MoveStep(
        name="leave",
        title="take Seldon Core's Envoys out of the Service of callers",
        back="let them in again",
        until="the Service leads to Bailie's Envoys alone",
        forward=callers.keep_out,
        arrived=callers.are_kept_out,
        backward=callers.let_in,
        returned=callers.are_let_in,
        patience=60.0,
    ),
    MoveStep(
        name="alone",
        title="end the fall-back, and take Seldon Core's finalizers off",
        back="none: from here on the way back is by hand",
        until="the scheduler has given the fall-back up",
        forward=clear.part,
        arrived=clear.is_without_fallback,
        backward=nothing,
        returned=nothing,
        patience=60.0,
        no_return=True,
    ),
    MoveStep(
        name="envoys",
        title="end Seldon Core's Envoys, and with them the connections that callers have kept to them",
        back="none",
        until="they have ended",
        forward=clear.end_envoys,
        arrived=clear.are_envoys_ended,
        backward=nothing,
        returned=nothing,
        no_return=True,
    ),
    MoveStep(
        name="clear",
        title="delete the pods of Seldon Core's servers, volume claims and the objects around them",
        back="none",
        until="its pods have ended",
        forward=clear.clear,
        arrived=clear.is_cleared,
        backward=nothing,
        returned=nothing,
        no_return=True,
    ),
    MoveStep(
        name="own",
        title="make the objects that both systems share Bailie's",
        back="none",
        until="nothing",
        forward=clear.make_own,
        arrived=nothing,
        backward=nothing,
        returned=nothing,
        no_return=True,
    ),
    MoveStep(
        name="releases",
        title="have Helm forget Seldon Core's releases whose objects go on here, and with them their values",
        back="none",
        until="Helm knows none of them",
        forward=releases.forget,
        arrived=releases.are_forgotten,
        backward=nothing,
        returned=nothing,
        patience=5.0,
        no_return=True,
    ),
)
"""In order."""


def one_at_a_time(steps: tuple[MoveStep, ...], record: MoveRecord) -> tuple[MoveStep, ...]:
    """Returns the steps with those of each Server before the step that waits for all models."""
    wait = [step.name for step in steps].index("move")
    *others, last = record.one_by_one
    of_servers = [step for server in others for step in (_bring(server), *_make_room(server, record))]
    return (*steps[:wait], *of_servers, _bring(last), *steps[wait:])


def _bring(server: str) -> MoveStep:
    return MoveStep(
        name=f"bring-{server}",
        title=f"have Bailie make its copy of Server {server}, whose names then come over",
        back="nothing: Bailie's copy answers until the step install is undone",
        until=f"Bailie answers for every model of Server {server}",
        forward=partial(one_by_one.release, server=server),
        arrived=partial(one_by_one.is_over, server=server),
        backward=nothing,
        returned=nothing,
        patience=1800.0,
        waits=(
            f"kubectl rollout status statefulset/{server} --timeout=30m {_IN_NAMESPACE}",
            f"# kubectl get models {_IN_NAMESPACE}: those of the Server are RolledOut",
        ),
    )


def _make_room(server: str, record: MoveRecord) -> Iterator[MoveStep]:
    yield MoveStep(
        name=f"lead-{server}",
        title=f"lead the names of the pods of Server {server} to Bailie's Envoys, for Seldon Core's to ask",
        back="lead the names to the pods again, unless these have ended",
        until="Seldon Core's Envoys have looked the names up again",
        forward=partial(one_by_one.lead_here, server=server),
        arrived=partial(one_by_one.is_led_here, server=server),
        backward=partial(one_by_one.lead_back, server=server),
        returned=partial(one_by_one.is_led_back, server=server),
        patience=120.0,
        waits=(f"sleep {one_by_one.LOOK_UP_SECONDS:g}",),
    )
    yield MoveStep(
        name=f"room-{server}",
        title=f"end Seldon Core's pods of Server {server}, for the next one's room; {_price(server, record)}",
        back="nothing: Seldon Core's operator makes the pods again when it has the namespace",
        until="they have ended",
        forward=partial(one_by_one.end_pods, server=server),
        arrived=partial(one_by_one.are_pods_ended, server=server),
        backward=nothing,
        returned=nothing,
        waits=(f"kubectl wait pods --for=delete -l {labels.BEFORE}={server} --timeout=5m {_IN_NAMESPACE}",),
    )


def _price(server: str, record: MoveRecord) -> str:
    seconds = interruption_of(record, (server,))
    return f"from here on a rollback stops its models for about {seconds} s"

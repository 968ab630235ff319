"""The state of each topic as the broker last told it, and what follows for the journal of a pipeline. Pure.

Kept by `topic_keeper`, read by `pipelinegateway`, which reports the note of each pipeline to the scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bailie.lifecycle.journal import JournalNote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LARGEST = 1_000_000
"""Bytes of a record where the broker has told no bound: about the default of Kafka."""
_ROOM = 4 << 10
"""Bytes of a batch beside a record's key, value and headers; no broker counts more."""


class TopicState(NamedTuple):
    """A topic: its partitions, the bytes of its largest batch (0: not told), or why there is none."""

    partitions: int = 0
    most_bytes: int = 0
    problem: str = ""

    @property
    def largest(self) -> int:
        """The bytes of the largest record that fits."""
        return max(0, self.most_bytes - _ROOM) if self.most_bytes else LARGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerView:
    """The broker as seen last: `problem` is empty while it answers.

    `partitions` are those that new topics get. `lost` are the words for records that were dropped just now,
    empty for none.
    """

    brokers: str
    partitions: int
    topics: Mapping[str, TopicState]
    problem: str = ""
    lost: str = ""


def partitions_of(view: BrokerView, topics: Iterable[str]) -> int:
    """Returns how many partitions all of these topics have, or new ones get where none is known."""
    known = [state.partitions for each in topics if (state := view.topics.get(each)) and state.partitions]
    return min(known, default=view.partitions)


def hindrance(view: BrokerView, topics: Iterable[str]) -> str:
    """Returns why no record of a pipeline with these topics can be written now; empty if records can."""
    if view.problem:
        return f"no broker of {view.brokers} answers ({view.problem})"
    names = tuple(topics)
    states = {name: view.topics[name] for name in names if name in view.topics}
    troubled = [f"{name}: {state.problem}" for name, state in states.items() if state.problem]
    if troubled:
        more = f", and {len(troubled) - 1} more topics" if len(troubled) > 1 else ""
        return troubled[0] + more
    if len(states) < len(names):
        return f"{len(names) - len(states)} topics are not made yet"
    return ""


def journal_note(view: BrokerView, topics: Iterable[str], most_bytes: int) -> JournalNote:
    """Returns the note of a pipeline with these topics. `most_bytes`: of the largest request and answer."""
    names = tuple(topics)
    if hindered := hindrance(view, names):
        return JournalNote(kept=False, words=f"requests are not journalled: {hindered}")
    if view.lost:
        return JournalNote(kept=False, words=f"requests are not all journalled: {view.lost}")
    states = {name: view.topics[name] for name in names}
    return JournalNote(kept=True, words="; ".join(_remarks(view, states, most_bytes)))


def _remarks(view: BrokerView, states: Mapping[str, TopicState], most_bytes: int) -> Iterable[str]:
    yield f"requests are journalled to {view.brokers}"
    smallest = min(states.items(), key=lambda each: each[1].largest, default=None)
    if smallest and smallest[1].largest < most_bytes:
        yield (
            f"data of more than {smallest[1].largest} bytes is left out, for the topics take no more: give"
            f" them a max.message.bytes of up to {most_bytes + _ROOM}"
        )
    fewest = partitions_of(view, states)
    if fewest != view.partitions:
        yield (
            f"the topics have {fewest} partitions, not the {view.partitions} of numPartitions: the number of"
            " a topic that exists is not changed"
        )
